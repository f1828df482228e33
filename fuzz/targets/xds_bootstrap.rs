//! Any text as a bootstrap, in JSON and in YAML.

#![no_main]

use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;
use xds_codec::json::Unpacked;

/// Nearly all of an execution would be unpacking.
static UNPACKED: LazyLock<Unpacked> = LazyLock::new(Unpacked::new);

fuzz_target!(|text: &str| {
    LazyLock::force(&UNPACKED);
    let _ = xds_codec::json::bootstrap_from_json(text);
    if let Ok(read) = xds_codec::json::bootstrap_from_yaml(text) {
        let written = xds_codec::json::bootstrap_to_json(&read.bootstrap);
        let again = xds_codec::json::bootstrap_from_value(&written).map(|read| read.bootstrap);
        assert_eq!(again, Ok(read.bootstrap));
    }
});
