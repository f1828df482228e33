//! Whether the value of an annotation can be read, as injection reads it
//! (`pkg/kube/inject/validate.go` names the annotations with a rule).

use std::net::IpAddr;

use istio_api::yaml;

/// What is wrong with a value; `None` if nothing is, or if there is no rule for the annotation.
pub fn problem(annotation: &str, value: &str) -> Option<String> {
    match annotation {
        "sidecar.istio.io/interceptionMode" => interception_mode(value),
        "status.sidecar.istio.io/port" => port(value).map(|p| format!("excludeInboundPorts invalid: {p}")),
        "readiness.status.sidecar.istio.io/initialDelaySeconds"
        | "readiness.status.sidecar.istio.io/periodSeconds"
        | "readiness.status.sidecar.istio.io/failureThreshold" => {
            value.parse::<u32>().is_err().then(|| format!("{value:?} is no number"))
        }
        "traffic.sidecar.istio.io/includeOutboundIPRanges" if value == "*" => None,
        "traffic.sidecar.istio.io/includeOutboundIPRanges" => {
            blocks(value).map(|p| format!("includeIPRanges invalid: {p}"))
        }
        "traffic.sidecar.istio.io/excludeOutboundIPRanges" => {
            blocks(value).map(|p| format!("excludeIPRanges invalid: {p}"))
        }
        "traffic.sidecar.istio.io/includeInboundPorts" if value == "*" => None,
        "traffic.sidecar.istio.io/includeInboundPorts" => {
            ports(value).map(|p| format!("includeInboundPorts invalid: {p}"))
        }
        "traffic.sidecar.istio.io/excludeInboundPorts" => {
            ports(value).map(|p| format!("excludeInboundPorts invalid: {p}"))
        }
        "traffic.sidecar.istio.io/excludeOutboundPorts" => {
            ports(value).map(|p| format!("excludeOutboundPorts invalid: {p}"))
        }
        "traffic.sidecar.istio.io/excludeInterfaces"
        | "traffic.sidecar.istio.io/kubevirtInterfaces"
        | "istio.io/reroute-virtual-interfaces" => interfaces(value),
        "prometheus.istio.io/merge-metrics" => boolean(value),
        "proxy.istio.io/config" => proxy_config(value),
        "sidecar.istio.io/proxyCPU"
        | "sidecar.istio.io/proxyMemory"
        | "sidecar.istio.io/proxyCPULimit"
        | "sidecar.istio.io/proxyMemoryLimit" => quantity(value),
        _ => None,
    }
}

fn interception_mode(value: &str) -> Option<String> {
    let known = matches!(value, "REDIRECT" | "TPROXY" | "NONE");
    (!known).then(|| format!("interceptionMode invalid, use REDIRECT,TPROXY,NONE: {value}"))
}

fn port(value: &str) -> Option<String> {
    let good = value.trim().parse::<u16>().is_ok();
    (!good).then(|| format!("failed parsing port '{value}'"))
}

fn ports(value: &str) -> Option<String> {
    let value = value.trim();
    if value.is_empty() { None } else { value.split(',').find_map(port) }
}

fn blocks(value: &str) -> Option<String> {
    if value.is_empty() {
        return None;
    }
    let good = |block: &str| {
        let Some((address, length)) = block.split_once('/') else { return false };
        let max = match address.parse::<IpAddr>() {
            Ok(IpAddr::V4(_)) => 32,
            Ok(IpAddr::V6(_)) => 128,
            Err(_) => return false,
        };
        length.parse::<u8>().is_ok_and(|length| length <= max)
    };
    value.split(',').find(|block| !good(block)).map(|block| format!("failed parsing cidr '{block}'"))
}

/// Names as Linux takes them: at most 15 bytes, neither a slash nor white space.
fn interfaces(value: &str) -> Option<String> {
    let good = |name: &str| {
        (1..=15).contains(&name.len())
            && !matches!(name, "." | "..")
            && !name.contains(|c: char| c == '/' || c == ':' || c.is_whitespace() || c.is_control())
    };
    let names = value.split(',').map(str::trim).filter(|name| !name.is_empty());
    names.into_iter().find(|name| !good(name)).map(|name| format!("invalid interface name '{name}'"))
}

fn boolean(value: &str) -> Option<String> {
    let known = ["1", "t", "T", "TRUE", "true", "True", "0", "f", "F", "FALSE", "false", "False"];
    (!known.contains(&value)).then(|| format!("{value:?} is no boolean"))
}

fn proxy_config(value: &str) -> Option<String> {
    match yaml::document(value, 0) {
        Err(error) => Some(format!("no YAML: {}", error.message)),
        Ok(Some(node)) if !matches!(node.value, yaml::Value::Map(_)) => {
            Some(format!("must be an object, not {}", node.describe()))
        }
        Ok(_) => None,
    }
}

/// A quantity of Kubernetes: a number with a suffix such as `m`, `Mi` or `e3`.
fn quantity(value: &str) -> Option<String> {
    let unsigned = value.strip_prefix(['+', '-']).unwrap_or(value);
    let end = unsigned.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(unsigned.len());
    let (number, suffix) = unsigned.split_at(end);
    let has_number = number.bytes().any(|b| b.is_ascii_digit()) && number.matches('.').count() <= 1;
    let exponent = || suffix.strip_prefix(['e', 'E']).is_some_and(|e| e.parse::<i32>().is_ok());
    let units = ["", "n", "u", "m", "k", "M", "G", "T", "P", "E", "Ki", "Mi", "Gi", "Ti", "Pi", "Ei"];
    let good = has_number && (units.contains(&suffix) || exponent());
    (!good).then(|| format!("{value:?} is no quantity"))
}

#[cfg(test)]
mod tests {
    use super::problem;

    #[test]
    fn values_are_judged_as_injection_reads_them() {
        for (annotation, value, good) in [
            ("sidecar.istio.io/interceptionMode", "TPROXY", true),
            ("sidecar.istio.io/interceptionMode", "tproxy", false),
            ("status.sidecar.istio.io/port", "15020", true),
            ("status.sidecar.istio.io/port", "70000", false),
            ("readiness.status.sidecar.istio.io/periodSeconds", "-1", false),
            ("traffic.sidecar.istio.io/includeOutboundIPRanges", "*", true),
            ("traffic.sidecar.istio.io/includeOutboundIPRanges", "10.0.0.0/8,fd00::/8", true),
            ("traffic.sidecar.istio.io/excludeOutboundIPRanges", "10.0.0.0/33", false),
            ("traffic.sidecar.istio.io/excludeOutboundIPRanges", "*", false),
            ("traffic.sidecar.istio.io/includeInboundPorts", "80, 443", true),
            ("traffic.sidecar.istio.io/excludeInboundPorts", "80,x", false),
            ("traffic.sidecar.istio.io/excludeInterfaces", "eth0,net1", true),
            ("traffic.sidecar.istio.io/excludeInterfaces", "an-interface-name-too-long", false),
            ("prometheus.istio.io/merge-metrics", "yes", false),
            ("proxy.istio.io/config", "concurrency: 2", true),
            ("proxy.istio.io/config", "concurrency", false),
            ("sidecar.istio.io/proxyCPU", "100m", true),
            ("sidecar.istio.io/proxyMemory", "1.5Gi", true),
            ("sidecar.istio.io/proxyMemory", "1e3", true),
            ("sidecar.istio.io/proxyMemory", "much", false),
            ("sidecar.istio.io/logLevel", "anything", true),
        ] {
            assert_eq!(problem(annotation, value).is_none(), good, "{annotation}: {value}");
        }
    }
}
