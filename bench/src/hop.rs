//! What the proxies are asked to be: a row of hops, each one a proxy process.

/// What a hop speaks on both sides.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Protocol {
    Http1,
    Http2,
    /// Bytes, for the relay that is the yardstick.
    Tcp,
}

/// One proxy process: where it listens, where it sends, and what it does between.
#[derive(Debug, Clone)]
pub struct Hop {
    /// Index in the row; part of file names.
    pub index: usize,
    pub protocol: Protocol,
    pub listen: u16,
    pub upstream: u16,
    /// What clients must speak to it.
    pub downstream_tls: Tls,
    /// What it speaks to its upstream: nothing or mutual.
    pub upstream_tls: Tls,
    /// Whether it admits one identity only.
    pub rbac: bool,
    pub admin: u16,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tls {
    None,
    /// Only the server shows a certificate, as at a gateway.
    Server,
    Mutual,
}

/// How the hops of a scenario are lined up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Row {
    /// One proxy.
    Single,
    /// One proxy that ends TLS.
    Gateway,
    /// This many proxies: mutual TLS between them, plain text at both ends, RBAC wherever TLS ends.
    Mesh(usize),
}

impl Row {
    /// The hops, first to last, with ports of their own. The last one sends to `backend`.
    ///
    /// # Errors
    /// No port is free.
    pub fn hops(self, protocol: Protocol, backend: u16) -> anyhow::Result<Vec<Hop>> {
        let count = if let Row::Mesh(count) = self { count } else { 1 };
        let mut hops = Vec::with_capacity(count);
        let mut upstream = backend;
        for index in (0..count).rev() {
            let first = index == 0;
            let hop = Hop {
                index,
                protocol,
                listen: crate::machine::free_port()?,
                upstream,
                downstream_tls: match self {
                    Row::Gateway => Tls::Server,
                    _ if first => Tls::None,
                    _ => Tls::Mutual,
                },
                upstream_tls: if index + 1 == count { Tls::None } else { Tls::Mutual },
                rbac: !first,
                admin: crate::machine::free_port()?,
            };
            upstream = hop.listen;
            hops.push(hop);
        }
        hops.reverse();
        Ok(hops)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pair_is_plain_outside_and_mutual_inside() {
        let hops = Row::Mesh(2).hops(Protocol::Http1, 9).unwrap();
        let [out, inbound] = &hops[..] else { panic!("{hops:?}") };
        assert_eq!((out.downstream_tls, out.upstream_tls, out.rbac), (Tls::None, Tls::Mutual, false));
        assert_eq!(
            (inbound.downstream_tls, inbound.upstream_tls, inbound.rbac),
            (Tls::Mutual, Tls::None, true)
        );
        assert_eq!((out.upstream, inbound.upstream), (inbound.listen, 9));
    }
}
