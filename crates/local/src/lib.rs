//! `lateen up`: a mesh on one machine, from the YAML that goes to a cluster.
//!
//! [`run`] is the supervisor. It reads the files, works out which pods they ask for (`workload`,
//! `render`: pure), and gives each pod a task (`pod`) that makes its namespaces and gives orders
//! to the pod's first process (`init`). The control plane is a child process (`control`); it is
//! told of pods by documents in a folder (`documents`). Everything dies with the supervisor, and
//! what a killed one leaves on the host (a bridge, a folder) the next one removes (`preflight`).

mod addresses;
mod backoff;
mod control;
mod dns;
mod documents;
mod exec;
mod folder;
mod images;
mod init;
mod inspect;
mod links;
mod options;
mod pod;
mod preflight;
mod readiness;
mod relay;
mod render;
mod report;
mod status;
mod up;
mod wire;
mod workload;

pub use init::Step;
pub use inspect::{exec_in, status};
pub use options::{AgentCommand, AgentPlace, ControlPlace, Options, Roles};
pub use redirect::Cidr;
pub use up::run;
