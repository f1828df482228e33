//! The network of a pod, from inside its namespaces.

use std::net::Ipv4Addr;

use anyhow::Context;
use futures_util::TryStreamExt;
use redirect::{CaptureConfig, DnsCapture};
use rtnetlink::{Handle, LinkUnspec, RouteMessageBuilder};

use crate::wire::{Capture, Network};

/// The agent's DNS port.
const AGENT_DNS: u16 = 15053;

/// Configures hostname, sysctls, links, routes and the capture.
///
/// # Errors
/// A step failed; the context says which.
pub async fn network(network: &Network) -> anyhow::Result<()> {
    nix::unistd::sethostname(&network.hostname).context("hostname")?;
    sysctls()?;
    let (connection, handle, _) = rtnetlink::new_connection().context("netlink")?;
    let connection = tokio::spawn(connection);
    links(&handle, network).await?;
    connection.abort();
    match &network.capture {
        Some(capture) => apply(capture),
        None => Ok(()),
    }
}

/// Sysctls of this network namespace. The host's are never touched.
fn sysctls() -> anyhow::Result<()> {
    let set = |name: &str, value: &str| {
        let path = format!("/proc/sys/net/{name}");
        // A kernel without IPv6 lacks the file, and needs no switch.
        if !std::path::Path::new(&path).exists() {
            return Ok(());
        }
        std::fs::write(&path, value).with_context(|| path)
    };
    // Link-local addresses would otherwise be a way around the capture.
    for scope in ["all", "default", "lo"] {
        set(&format!("ipv6/conf/{scope}/disable_ipv6"), "1")?;
    }
    // Applications are not root, and may listen on port 80 all the same.
    set("ipv4/ip_unprivileged_port_start", "0")
}

async fn links(handle: &Handle, network: &Network) -> anyhow::Result<()> {
    let lo = index(handle, "lo").await?;
    handle.link().set(LinkUnspec::new_with_index(lo).up().build()).execute().await.context("lo up")?;
    let link = index(handle, &network.link).await?;
    handle
        .link()
        .set(LinkUnspec::new_with_index(link).name("eth0").build())
        .execute()
        .await
        .context("eth0")?;
    let address = network.address.into();
    handle.address().add(link, address, network.prefix).execute().await.context("address")?;
    handle.link().set(LinkUnspec::new_with_index(link).up().build()).execute().await.context("eth0 up")?;
    let route = RouteMessageBuilder::<Ipv4Addr>::new().gateway(network.gateway).build();
    handle.route().add(route).execute().await.context("default route")
}

/// The index of the link of this name.
///
/// # Errors
/// There is none.
pub async fn index(handle: &Handle, name: &str) -> anyhow::Result<u32> {
    let mut found = handle.link().get().match_name(name.to_owned()).execute();
    let link = found.try_next().await.with_context(|| format!("link {name}"))?;
    Ok(link.with_context(|| format!("no link {name}"))?.header.index)
}

fn apply(capture: &Capture) -> anyhow::Result<()> {
    let lookup = |key: &str| capture.annotations.get(key).map(String::as_str);
    let mut config = CaptureConfig::from_annotations(lookup)
        .map_err(|bad| anyhow::anyhow!(bad.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ")))?;
    config.dns = Some(DnsCapture { port: AGENT_DNS, servers: vec![capture.dns_server.into()] });
    config.outbound_port = capture.outbound_port;
    config.inbound_port = capture.inbound_port;
    config.status_port = capture.status_port;
    redirect::apply(&redirect::plan(&config)).context("capture rules")
}
