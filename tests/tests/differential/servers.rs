//! What stands behind the proxies.

use std::net::SocketAddr;
use std::path::Path;
use std::process::Child;

use testkit::free_port;

use crate::tls::Certificates;
use crate::{backend, http2, names};

/// All of it, and what topics call it.
pub struct Servers {
    pub plain: [SocketAddr; 3],
    pub dead: SocketAddr,
    /// `@name@`, with HTTP/2 or TLS.
    others: Vec<(&'static str, SocketAddr)>,
    pub certificates: Certificates,
}

impl Servers {
    pub fn start(folder: &Path) -> Servers {
        let certificates = Certificates::new(folder);
        let tls = |name, who, mutual| (name, backend::start_tls(name, certificates.server(who, mutual)));
        let others = vec![
            ("h2", http2::start("h2")),
            tls("tls-good", "good", false),
            tls("tls-other", "b", false),
            tls("tls-expired", "expired", false),
            tls("tls-stranger", "stranger", false),
            tls("tls-mutual", "good", true),
            tls("tls-names", "names", false),
            ("names", names::start()),
        ];
        let plain = [backend::start("a"), backend::start("b"), backend::start("c")];
        Servers { plain, dead: free_port(), others, certificates }
    }

    /// Puts addresses and paths for their names.
    pub fn fill(&self, text: &str) -> String {
        let text = text.replace("@a@", &socket(self.plain[0])).replace("@b@", &socket(self.plain[1]));
        let text = text.replace("@c@", &socket(self.plain[2])).replace("@dead@", &socket(self.dead));
        let text = text.replace("@a-port@", &self.plain[0].port().to_string());
        let folder = self.certificates.folder.display().to_string();
        let text = text.replace("@certs@", &folder).replace("@files@", &folder);
        let fill = |text: String, (name, to): &(&str, SocketAddr)| {
            let text = text.replace(&format!("@{name}-port@"), &to.port().to_string());
            text.replace(&format!("@{name}@"), &socket(*to))
        };
        self.others.iter().fold(text, fill)
    }
}

/// An address as a bootstrap has it.
pub fn socket(address: SocketAddr) -> String {
    format!("{{socket_address: {{address: {}, port_value: {}}}}}", address.ip(), address.port())
}

/// A process that ends with its owner.
pub struct Process(pub Child);

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}
