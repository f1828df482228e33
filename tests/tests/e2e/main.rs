//! Whole meshes on one machine: `lateen up`, its sidecars, gateways and clients. One at a time
//! (`--test-threads=1`): the bridge and its lock are the machine's.

mod bookinfo;
mod faults;
mod outside;
mod pushes;
mod reporting;
mod samples;
mod security;
mod tutorial;
