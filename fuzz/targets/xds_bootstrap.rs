//! Any text as a bootstrap, in JSON and in YAML.

#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    let _ = xds_codec::json::bootstrap_from_json(text);
    if let Ok(read) = xds_codec::json::bootstrap_from_yaml(text) {
        let written = xds_codec::json::bootstrap_to_json(&read.bootstrap);
        let again = xds_codec::json::bootstrap_from_value(&written).map(|read| read.bootstrap);
        assert_eq!(again, Ok(read.bootstrap));
    }
});
