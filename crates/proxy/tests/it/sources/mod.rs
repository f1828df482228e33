//! Configuration from elsewhere than the file that the proxy starts from.

mod files;
mod secrets;
mod streams;
