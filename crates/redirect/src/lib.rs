//! Traffic capture: which connections of a pod go through its proxy.
//!
//! A [`CaptureConfig`] (Istio's defaults, or a pod's annotations) becomes a [`Plan`], an ordered
//! list of rules as plain values. A plan prints as nft text, and [`apply`] puts it into the
//! *current* network namespace in one transaction, over nfnetlink, without the `nft` program.

mod apply;
mod config;
mod encode;
mod expr;
mod plan;
mod text;

pub use apply::{ApplyError, apply, remove, tables};
pub use config::{BadAnnotation, CaptureConfig, Cidr, DnsCapture, Owner, Ports, Ranges};
pub use plan::{Family, Hook, Match, Plan, Rule, Transport, Verdict, plan};
