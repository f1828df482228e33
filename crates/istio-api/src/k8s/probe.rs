//! Probes of a container.

use std::time::Duration;

use model::Str;

use crate::reader::{Fields, Item};
use crate::units::PortRef;
use crate::validate;

/// When a container counts as ready. Times have Kubernetes' defaults filled in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Probe {
    pub action: ProbeAction,
    pub initial_delay: Duration,
    pub period: Duration,
    pub timeout: Duration,
    pub success_threshold: u32,
    pub failure_threshold: u32,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ProbeAction {
    /// Success is a status from 200 to 399.
    HttpGet {
        path: Str,
        port: PortRef,
        https: bool,
        host: Option<Str>,
        headers: Vec<(Str, Str)>,
    },
    TcpSocket {
        port: PortRef,
    },
    Exec {
        command: Vec<Str>,
    },
    Grpc {
        port: u16,
        service: Str,
    },
}

pub(crate) fn read(fields: Fields<'_>) -> Option<Probe> {
    let seconds = |name, min, default: i64| {
        let value = fields.get(name).and_then(|item| item.int(min, 86_400)).unwrap_or(default);
        Duration::from_secs(value.unsigned_abs())
    };
    let count = |name, default| {
        let value = fields.get(name).and_then(|item| item.int(1, 10_000));
        value.and_then(|v| u32::try_from(v).ok()).unwrap_or(default)
    };
    let (initial_delay, period) = (seconds("initialDelaySeconds", 0, 0), seconds("periodSeconds", 1, 10));
    let timeout = seconds("timeoutSeconds", 1, 1);
    let (success_threshold, failure_threshold) = (count("successThreshold", 1), count("failureThreshold", 3));
    let action = read_action(&fields);
    fields.finish_lenient();
    Some(Probe { action: action?, initial_delay, period, timeout, success_threshold, failure_threshold })
}

fn read_action(fields: &Fields<'_>) -> Option<ProbeAction> {
    if let Some(http) = fields.get("httpGet").and_then(|item| item.object()) {
        return read_http(&http);
    }
    if let Some(tcp) = fields.get("tcpSocket").and_then(|item| item.object()) {
        let port = validate::port_ref(&tcp.require("port")?)?;
        return Some(ProbeAction::TcpSocket { port });
    }
    if let Some(exec) = fields.get("exec").and_then(|item| item.object()) {
        return Some(ProbeAction::Exec { command: exec.require("command")?.strings() });
    }
    if let Some(grpc) = fields.get("grpc").and_then(|item| item.object()) {
        let service = grpc.get("service").and_then(|item| item.str()).unwrap_or_default();
        return Some(ProbeAction::Grpc { port: grpc.require("port")?.port()?, service });
    }
    fields.item().invalid("needs httpGet, tcpSocket, exec or grpc".into());
    None
}

fn read_http(fields: &Fields<'_>) -> Option<ProbeAction> {
    let header = |fields: Fields<'_>| Some((fields.require("name")?.str()?, fields.get("value")?.str()?));
    let path = fields.get("path").and_then(|item| item.str()).filter(|p| !p.is_empty());
    Some(ProbeAction::HttpGet {
        path: path.unwrap_or_else(|| "/".into()),
        port: validate::port_ref(&fields.require("port")?)?,
        https: fields.get("scheme").and_then(|i| Item::str(&i)).is_some_and(|s| s == "HTTPS"),
        host: fields.get("host").and_then(|item| item.str()).filter(|h| !h.is_empty()),
        headers: fields.get("httpHeaders").map(|item| item.objects(header)).unwrap_or_default(),
    })
}
