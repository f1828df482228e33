//! The codec from outside: bounds, strictness, and what a real Envoy says to what is encoded.

mod bounds;
mod envoy;
mod strict;
