//! Waiting for whole requests, and answering questions about health.

use std::collections::BTreeMap;

use ir::Fraction;
use ir::buffer::BufferOverride;
use ir::filter::HealthCheckFilter;

use super::at::At;
use super::{matcher, wire};
use crate::pb::buffer::{self as pb, buffer_per_route::Override};
use crate::pb::{envoy_type, health_check};

pub(super) fn limit(at: At<'_>, it: pb::Buffer) -> u32 {
    match wire::optional_number(it.max_request_bytes) {
        Some(bytes @ 1..) => bytes,
        _ => {
            at.field("max_request_bytes").refuse("is required and must not be 0");
            1
        }
    }
}

pub(super) fn per_route(at: At<'_>, it: pb::BufferPerRoute) -> BufferOverride {
    match it.r#override {
        Some(Override::Disabled(true)) => BufferOverride::Disabled,
        Some(Override::Buffer(it)) => BufferOverride::Limit(limit(at.field("buffer"), it)),
        Some(Override::Disabled(false)) | None => {
            at.refuse("disabled: true or buffer is required");
            BufferOverride::Disabled
        }
    }
}

pub(super) fn health_check(at: At<'_>, it: health_check::HealthCheck) -> HealthCheckFilter {
    let health_check::HealthCheck { pass_through_mode, cache_time, cluster_min_healthy_percentages, headers } =
        it;
    let mut cluster_min_healthy = BTreeMap::new();
    for (name, envoy_type::Percent { value }) in cluster_min_healthy_percentages {
        if (0.0..=100.0).contains(&value) {
            let parts_per_million = (value * 10_000.0).round() as u32;
            cluster_min_healthy.insert(name.into(), Fraction { parts_per_million });
        } else {
            let at = at.key("cluster_min_healthy_percentages", &name);
            at.refuse(format!("{value} is not from 0 to 100"));
        }
    }
    let pass_through = wire::flag(pass_through_mode, false);
    let cache_time = wire::optional_duration(at.field("cache_time"), cache_time);
    if cache_time.is_some() && !pass_through {
        at.field("cache_time").refuse("goes with pass_through_mode only");
    }
    HealthCheckFilter {
        pass_through,
        cache_time,
        cluster_min_healthy,
        headers: matcher::headers(&at, "headers", headers),
    }
}
