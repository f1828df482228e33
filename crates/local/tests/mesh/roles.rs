//! What stands in for the other roles.

use std::ffi::OsString;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::Path;

use local::{AgentCommand, AgentPlace, ControlPlace, Roles};

pub struct StandIns;

impl Roles for StandIns {
    fn control(&self, place: &ControlPlace) -> Vec<OsString> {
        vec!["control".into(), place.address.to_string().into()]
    }

    fn agent(&self, _: &AgentPlace) -> AgentCommand {
        AgentCommand { arguments: vec!["agent".into()], ..AgentCommand::default() }
    }

    fn prepare(&mut self, _: &Path) -> anyhow::Result<()> {
        Ok(())
    }

    fn token(&self, namespace: &str, service_account: &str, pod: &str) -> anyhow::Result<String> {
        Ok(format!("{namespace} {service_account} {pod}"))
    }

    fn roots(&self) -> anyhow::Result<String> {
        Ok("roots".into())
    }
}

/// Ready at once.
pub fn control(address: &str) -> u8 {
    answer(&format!("{address}:15014"), |_| "ready".into())
}

/// A proxy that forwards nothing: it says what it captured.
pub fn agent() -> u8 {
    for (port, side) in [(15001, "outbound"), (15006, "inbound")] {
        std::thread::spawn(move || {
            answer(&format!("0.0.0.0:{port}"), |stream| {
                let original = rustix::net::sockopt::ip_original_dst(stream).expect("captured");
                format!("{side} to {original}")
            })
        });
    }
    answer("0.0.0.0:15021", |_| "ready".into())
}

/// An application.
pub fn serve(port: &str) -> u8 {
    answer(&format!("0.0.0.0:{port}"), |stream| {
        format!("application, called from {}", stream.peer_addr().unwrap())
    })
}

/// Answers every HTTP request on a connection of its own.
fn answer(address: &str, text: impl Fn(&TcpStream) -> String) -> u8 {
    let listener = TcpListener::bind(address).unwrap_or_else(|error| panic!("{address}: {error}"));
    for mut stream in listener.incoming().flatten() {
        let body = text(&stream);
        let mut request = [0; 2048];
        // One read is enough for the small requests of this test; what fails is the client's.
        let _ = stream.read(&mut request);
        let _ = write!(
            stream,
            "HTTP/1.1 200 OK\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{body}",
            body.len()
        );
    }
    0
}
