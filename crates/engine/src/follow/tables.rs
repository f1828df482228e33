//! A proxy's configuration, ready to be asked.

use std::collections::BTreeMap;
use std::sync::Arc;

use ir::{Listener, Resource};
use stdx::Str;

use crate::Problem;
use crate::route::RouteTable;

/// The listeners and routes of a proxy.
#[derive(Debug, Default)]
pub struct Configuration {
    listeners: Vec<Arc<Listener>>,
    routes: BTreeMap<Str, RouteTable>,
}

impl Configuration {
    /// Of everything that a proxy is given; what is neither listener nor routes is passed over.
    ///
    /// # Errors
    /// The first route configuration that does not compile, by name.
    pub fn new(resources: impl IntoIterator<Item = Resource>) -> Result<Self, Problem> {
        let mut configuration = Configuration::default();
        for resource in resources {
            match resource {
                Resource::Listener(listener) => configuration.listeners.push(listener),
                Resource::Route(routes) => {
                    let name = routes.name.clone();
                    let table = RouteTable::compile(routes)
                        .map_err(|problem| problem.inside(format!("route configuration {name}")))?;
                    configuration.routes.insert(name, table);
                }
                _ => {}
            }
        }
        Ok(configuration)
    }

    pub(super) fn listeners(&self) -> impl Iterator<Item = &Listener> {
        self.listeners.iter().map(|listener| &**listener)
    }

    pub(super) fn routes(&self, name: &str) -> Option<&RouteTable> {
        self.routes.get(name)
    }
}
