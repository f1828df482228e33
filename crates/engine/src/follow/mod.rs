//! What becomes of a call: which listener, filter chain, virtual host, route and cluster it meets, or
//! which refusal. The steps are those of a proxy, taken over values; nothing is sent anywhere.

mod call;
mod connection;
mod request;
mod tables;

use ir::{FilterChain, Terminal};
use stdx::Str;

pub use call::{Call, ClientTls, Mode, Refusal, Spoken};
pub use tables::Configuration;

use crate::dice::SplitMix;

/// Where a call came to. On a refusal, what was found before it is still there.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Followed {
    pub refusal: Option<Refusal>,
    pub listener: Option<Str>,
    pub filter_chain: Option<Str>,
    /// The name of the route configuration.
    pub routes: Option<Str>,
    pub virtual_host: Option<Str>,
    pub route: Option<Str>,
    /// None for a response that the proxy gives itself.
    pub cluster: Option<Str>,
}

impl Followed {
    /// Refused before anything was found.
    pub fn refused(refusal: Refusal) -> Self {
        Followed { refusal: Some(refusal), ..Followed::default() }
    }
}

/// Follows a call through what a proxy is configured with. Of weighted clusters always the same one is
/// named: the dice are loaded.
pub fn follow(configuration: &Configuration, call: &Call) -> Followed {
    let mut found = Followed::default();
    found.refusal = steps(configuration, call, &mut found).err();
    found
}

fn steps(configuration: &Configuration, call: &Call, found: &mut Followed) -> Result<(), Refusal> {
    let listener = connection::listener(configuration, call).ok_or(Refusal::NoListener)?;
    found.listener = Some(listener.name.clone());
    let chain = connection::filter_chain(listener, call)?;
    found.filter_chain = Some(chain.name.clone()).filter(|name| !name.is_empty());
    let encrypted = handshake(chain, call)?;
    let mut dice = SplitMix(1);
    match &chain.terminal {
        Terminal::Tcp(tcp) => {
            found.cluster = connection::cluster(&tcp.clusters, &mut dice);
            Ok(())
        }
        Terminal::Direct(_) => Ok(()),
        Terminal::Http(_) if encrypted || call.spoken == Spoken::Bytes => Err(Refusal::Protocol),
        Terminal::Http(manager) => {
            found.routes = Some(manager.routes.name().clone());
            request::route(configuration, &manager.routes, call, &mut dice, found)
        }
    }
}

/// Whether the bytes are still encrypted behind the chain.
fn handshake(chain: &FilterChain, call: &Call) -> Result<bool, Refusal> {
    match (&chain.tls, call.tls) {
        (None, tls) => Ok(tls != ClientTls::Plaintext),
        (Some(_), ClientTls::Plaintext) => Err(Refusal::Tls),
        (Some(tls), client) if tls.require_client_certificate != (client == ClientTls::Mutual) => {
            Err(Refusal::MutualTls)
        }
        (Some(_), _) => Ok(false),
    }
}

#[cfg(test)]
mod tests;
