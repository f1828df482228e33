//! The bridge, and the links between it and the pods, over rtnetlink.

use std::net::{IpAddr, Ipv4Addr};

use anyhow::Context;
use futures_util::TryStreamExt;
use redirect::Cidr;
use rtnetlink::packet_route::address::AddressAttribute;
use rtnetlink::packet_route::link::LinkAttribute;
use rtnetlink::packet_route::route::{RouteAddress, RouteAttribute, RouteMessage};
use rtnetlink::{Handle, LinkBridge, LinkUnspec, LinkVeth, RouteMessageBuilder};

/// Every link we make begins with this, so that a later start recognises it.
const PREFIX: &str = "lateen";
pub const BRIDGE: &str = "lateen0";

/// Speaks to the kernel about the links of the host.
#[derive(Clone)]
pub struct Links(Handle);

impl Links {
    /// Must be called inside a tokio runtime.
    ///
    /// # Errors
    /// No netlink socket.
    pub fn open() -> anyhow::Result<Links> {
        let (connection, handle, _) = rtnetlink::new_connection().context("netlink")?;
        tokio::spawn(connection);
        Ok(Links(handle))
    }

    /// Ranges that the host has addresses in or routes to.
    ///
    /// # Errors
    /// The kernel did not say.
    pub async fn used_ranges(&self) -> anyhow::Result<Vec<Cidr>> {
        let mut used = Vec::new();
        let mut addresses = self.0.address().get().execute();
        while let Some(message) = addresses.try_next().await.context("addresses")? {
            let prefix = message.header.prefix_len;
            used.extend(message.attributes.iter().filter_map(|attribute| match attribute {
                AddressAttribute::Address(address) => Cidr::new(*address, prefix),
                _ => None,
            }));
        }
        let all = RouteMessageBuilder::<Ipv4Addr>::new().build();
        let mut routes = self.0.route().get(all).execute();
        while let Some(route) = routes.try_next().await.context("routes")? {
            used.extend(destination(&route));
        }
        Ok(used)
    }

    /// Removes the bridge and all links that an earlier run left, and says which there were.
    ///
    /// # Errors
    /// The kernel refused.
    pub async fn remove_ours(&self) -> anyhow::Result<Vec<String>> {
        let mut ours = Vec::new();
        let mut links = self.0.link().get().execute();
        while let Some(link) = links.try_next().await.context("links")? {
            let name = link.attributes.iter().find_map(|attribute| match attribute {
                LinkAttribute::IfName(name) => Some(name.clone()),
                _ => None,
            });
            ours.extend(name.filter(|name| name.starts_with(PREFIX)).map(|name| (link.header.index, name)));
        }
        for (index, name) in &ours {
            // A link may go by itself in the meantime, with the namespace of its peer.
            if let Err(error) = self.0.link().del(*index).execute().await
                && self.index(name).await.is_some()
            {
                return Err(error).with_context(|| format!("remove link {name}"));
            }
        }
        Ok(ours.into_iter().map(|(_, name)| name).collect())
    }

    /// Makes the bridge with its address.
    ///
    /// # Errors
    /// The kernel refused; without CAP_NET_ADMIN it does.
    pub async fn add_bridge(&self, address: Ipv4Addr, prefix: u8) -> anyhow::Result<()> {
        let bridge = LinkBridge::new(BRIDGE).build();
        self.0.link().add(bridge).execute().await.with_context(|| format!("create bridge {BRIDGE}"))?;
        let index = self.need(BRIDGE).await?;
        self.0.address().add(index, address.into(), prefix).execute().await.context("bridge address")?;
        self.0.link().set(LinkUnspec::new_with_index(index).up().build()).execute().await.context("bridge up")
    }

    /// Links the network namespace of process `pid` to the bridge. Returns the name that the
    /// link has in the namespace.
    ///
    /// # Errors
    /// The kernel refused.
    pub async fn attach(&self, address: Ipv4Addr, pid: i32) -> anyhow::Result<String> {
        let (host, pod) = names(address);
        self.detach(address).await;
        self.0.link().add(LinkVeth::new(&host, &pod).build()).execute().await.context("create link")?;
        let bridge = self.need(BRIDGE).await?;
        let near = LinkUnspec::new_with_index(self.need(&host).await?).controller(bridge).up().build();
        self.0.link().set(near).execute().await.context("attach link")?;
        let far = LinkUnspec::new_with_index(self.need(&pod).await?).setns_by_pid(pid.unsigned_abs()).build();
        self.0.link().set(far).execute().await.context("move link into the pod")?;
        Ok(pod)
    }

    /// Removes the link of the pod with this address, if it is there.
    pub async fn detach(&self, address: Ipv4Addr) {
        if let Some(index) = self.index(&names(address).0).await {
            // Gone in the meantime is as good.
            let _ = self.0.link().del(index).execute().await;
        }
    }

    async fn need(&self, name: &str) -> anyhow::Result<u32> {
        self.index(name).await.with_context(|| format!("no link {name}"))
    }

    async fn index(&self, name: &str) -> Option<u32> {
        let mut found = self.0.link().get().match_name(name.to_owned()).execute();
        found.try_next().await.ok().flatten().map(|link| link.header.index)
    }
}

/// The two ends of a pod's link: on the bridge, and in the pod before it becomes `eth0`.
fn names(address: Ipv4Addr) -> (String, String) {
    let [.., third, fourth] = address.octets();
    (format!("{PREFIX}-{third:02x}{fourth:02x}"), format!("{PREFIX}p-{third:02x}{fourth:02x}"))
}

fn destination(route: &RouteMessage) -> Option<Cidr> {
    let prefix = route.header.destination_prefix_length;
    route.attributes.iter().find_map(|attribute| match attribute {
        RouteAttribute::Destination(RouteAddress::Inet(address)) => Cidr::new(IpAddr::V4(*address), prefix),
        _ => None,
    })
}
