//! Puts a plan into the kernel: one table, one batch, so all of it or nothing.

use std::io;

use rustix::fd::OwnedFd;
use rustix::net::netlink::{self, SocketAddrNetlink};
use rustix::net::{AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType};

use crate::encode::{Encoder, answers, attribute_of, messages};
use crate::expr::expressions;
use crate::plan::{Hook, Plan, Rule};

/// The one table that is ours, in family `inet`.
pub const TABLE: &str = "lateen";

const SUBSYSTEM: u16 = 10;
const NFNL_MSG_BATCH_BEGIN: u16 = 0x10;
const NFNL_MSG_BATCH_END: u16 = 0x11;
const NFT_MSG_NEWTABLE: u16 = SUBSYSTEM << 8;
const NFT_MSG_DELTABLE: u16 = (SUBSYSTEM << 8) | 2;
const NFT_MSG_NEWCHAIN: u16 = (SUBSYSTEM << 8) | 3;
const NFT_MSG_NEWRULE: u16 = (SUBSYSTEM << 8) | 6;
const NFPROTO_INET: u8 = 1;

const NLM_F_REQUEST: u16 = 1;
const NLM_F_ACK: u16 = 4;
const NLM_F_CREATE: u16 = 0x400;
const NLM_F_APPEND: u16 = 0x800;

/// Why rules could not be applied.
#[derive(Debug, thiserror::Error)]
pub enum ApplyError {
    /// No netlink socket, or no permission to speak through it.
    #[error("netfilter socket: {0}")]
    Socket(io::Error),
    /// The kernel refused a step; `step` says which.
    #[error("{step}: {error}{}", hint(error))]
    Refused { step: String, error: io::Error },
}

fn hint(error: &io::Error) -> &'static str {
    match error.raw_os_error() {
        Some(1) => " (CAP_NET_ADMIN is needed)",
        Some(95 | 2) => " (does the kernel have nf_tables with nat and redirect for family inet?)",
        _ => "",
    }
}

/// Puts `plan` into the current network namespace. A table of ours that is there is replaced
/// in the same transaction; nobody sees a moment without rules.
///
/// # Errors
/// The namespace is unchanged then.
pub fn apply(plan: &Plan) -> Result<(), ApplyError> {
    let mut batch = Batch::begin();
    // "Add, delete, add": a delete alone would fail where there is no table.
    batch.step("create the table", NFT_MSG_NEWTABLE, NLM_F_CREATE, |m| m.text(1, TABLE));
    batch.step("replace the table", NFT_MSG_DELTABLE, 0, |m| m.text(1, TABLE));
    batch.step("create the table", NFT_MSG_NEWTABLE, NLM_F_CREATE, |m| m.text(1, TABLE));
    for hook in [Hook::Prerouting, Hook::Output] {
        batch.step(&format!("create chain {hook}"), NFT_MSG_NEWCHAIN, NLM_F_CREATE, |m| chain(m, hook));
    }
    for rule in &plan.rules {
        let flags = NLM_F_CREATE | NLM_F_APPEND;
        batch.step(&format!("add rule `{rule}`"), NFT_MSG_NEWRULE, flags, |m| self::rule(m, rule));
    }
    batch.commit()
}

/// Removes our table from the current network namespace, if it is there.
///
/// # Errors
/// The namespace is unchanged then.
pub fn remove() -> Result<(), ApplyError> {
    let mut batch = Batch::begin();
    batch.step("create the table", NFT_MSG_NEWTABLE, NLM_F_CREATE, |m| m.text(1, TABLE));
    batch.step("remove the table", NFT_MSG_DELTABLE, 0, |m| m.text(1, TABLE));
    batch.commit()
}

/// Names of all tables in the current network namespace, `FAMILY NAME`, ours and others'.
///
/// # Errors
/// The kernel did not say.
pub fn tables() -> Result<Vec<String>, ApplyError> {
    const NFT_MSG_GETTABLE: u16 = (SUBSYSTEM << 8) | 1;
    const NLM_F_DUMP: u16 = 0x300;
    let mut encoder = Encoder::default();
    encoder.message(NFT_MSG_GETTABLE, NLM_F_REQUEST | NLM_F_DUMP, |m| m.nfgen(0, 0));
    let socket = socket().map_err(ApplyError::Socket)?;
    send(&socket, &encoder).map_err(ApplyError::Socket)?;
    let mut buffer = vec![0; 64 * 1024];
    let mut names = Vec::new();
    loop {
        let length = match rustix::net::recv(&socket, buffer.as_mut_slice(), RecvFlags::DONTWAIT) {
            Ok((length, _)) if length > 0 => length,
            Ok(_) | Err(rustix::io::Errno::AGAIN) => return Ok(names),
            Err(errno) => return Err(ApplyError::Socket(errno.into())),
        };
        names.extend(tables_of(buffer.get(..length).unwrap_or_default()));
    }
}

fn tables_of(datagram: &[u8]) -> Vec<String> {
    const NFTA_TABLE_NAME: u16 = 1;
    let table = |payload: &[u8]| {
        let family = match payload.first()? {
            1 => "inet",
            2 => "ip",
            7 => "bridge",
            10 => "ip6",
            _ => "other",
        };
        let name = attribute_of(payload.get(4..)?, NFTA_TABLE_NAME)?;
        Some(format!("{family} {}", String::from_utf8_lossy(name.strip_suffix(&[0]).unwrap_or(name))))
    };
    messages(datagram)
        .into_iter()
        .filter(|(kind, _)| *kind == NFT_MSG_NEWTABLE)
        .filter_map(|(_, p)| table(p))
        .collect()
}

fn chain(message: &mut Encoder, hook: Hook) {
    const NF_INET_PRE_ROUTING: u32 = 0;
    const NF_INET_LOCAL_OUT: u32 = 3;
    const DSTNAT: i32 = -100;
    let number = match hook {
        Hook::Prerouting => NF_INET_PRE_ROUTING,
        Hook::Output => NF_INET_LOCAL_OUT,
    };
    message.text(1, TABLE);
    message.text(3, &hook.to_string());
    message.nest(4, |m| {
        m.be32(1, number);
        m.be32(2, DSTNAT as u32);
    });
    message.text(7, "nat");
}

fn rule(message: &mut Encoder, rule: &Rule) {
    message.text(1, TABLE);
    message.text(2, &rule.hook.to_string());
    message.nest(4, |m| expressions(rule, m));
    // User data as libnftnl lays it out: type 0 is the comment; length includes the NUL.
    let mut comment = vec![0, rule.comment.len() as u8 + 1];
    comment.extend(rule.comment.as_bytes());
    comment.push(0);
    message.attribute(7, &comment);
}

fn socket() -> io::Result<OwnedFd> {
    let (family, kind) = (AddressFamily::NETLINK, SocketType::RAW);
    let socket = rustix::net::socket_with(family, kind, SocketFlags::CLOEXEC, Some(netlink::NETFILTER))?;
    rustix::net::bind(&socket, &SocketAddrNetlink::new(0, 0))?;
    Ok(socket)
}

fn send(socket: &OwnedFd, messages: &Encoder) -> io::Result<()> {
    rustix::net::send(socket, messages.bytes(), SendFlags::empty())?;
    Ok(())
}

/// Steps that take effect together, and their names for errors.
struct Batch {
    encoder: Encoder,
    steps: Vec<(u32, String)>,
}

impl Batch {
    fn begin() -> Batch {
        let mut encoder = Encoder::default();
        encoder.message(NFNL_MSG_BATCH_BEGIN, NLM_F_REQUEST, |m| m.nfgen(0, SUBSYSTEM));
        Batch { encoder, steps: Vec::new() }
    }

    fn step(&mut self, name: &str, kind: u16, flags: u16, body: impl FnOnce(&mut Encoder)) {
        self.encoder.message(kind, NLM_F_REQUEST | flags, |m| {
            m.nfgen(NFPROTO_INET, 0);
            body(m);
        });
        self.steps.push((self.encoder.sequence, name.to_owned()));
    }

    fn commit(mut self) -> Result<(), ApplyError> {
        self.encoder.flag_last(NLM_F_ACK);
        self.encoder.message(NFNL_MSG_BATCH_END, NLM_F_REQUEST, |m| m.nfgen(0, SUBSYSTEM));
        let socket = rustix::net::socket_with(
            AddressFamily::NETLINK,
            SocketType::RAW,
            SocketFlags::CLOEXEC,
            Some(netlink::NETFILTER),
        )
        .map_err(|errno| ApplyError::Socket(errno.into()))?;
        rustix::net::bind(&socket, &SocketAddrNetlink::new(0, 0))
            .map_err(|e| ApplyError::Socket(e.into()))?;
        rustix::net::send(&socket, self.encoder.bytes(), SendFlags::empty())
            .map_err(|errno| ApplyError::Socket(errno.into()))?;
        self.wait(&socket)
    }

    /// The kernel answers before `send` returns; so an empty socket means that all was said.
    /// Errors always come, each with the sequence of its step; of successes only the last step
    /// asks for one, so that a long plan does not overflow the socket's buffer.
    fn wait(&self, socket: &OwnedFd) -> Result<(), ApplyError> {
        let mut buffer = vec![0; 64 * 1024];
        let mut acknowledged = false;
        loop {
            let read = rustix::net::recv(socket, buffer.as_mut_slice(), RecvFlags::DONTWAIT);
            let length = match read {
                Ok((length, _)) => length,
                Err(rustix::io::Errno::AGAIN) => break,
                Err(errno) => return Err(ApplyError::Socket(errno.into())),
            };
            for answer in answers(buffer.get(..length).unwrap_or_default()) {
                if answer.errno != 0 {
                    let error = io::Error::from_raw_os_error(answer.errno);
                    return Err(ApplyError::Refused { step: self.name_of(answer.sequence), error });
                }
                acknowledged = true;
            }
        }
        if acknowledged {
            Ok(())
        } else {
            Err(ApplyError::Socket(io::Error::other("the kernel did not answer")))
        }
    }

    fn name_of(&self, sequence: u32) -> String {
        let found = self.steps.iter().find(|(number, _)| *number == sequence);
        found.map_or_else(|| "begin a batch".to_owned(), |(_, name)| name.clone())
    }
}
