//! Any bytes as any type of resource. What decodes must encode to something that decodes equally.

#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let Some((first, bytes)) = data.split_first() else { return };
    let ty = ir::ResourceType::ALL[usize::from(*first) % ir::ResourceType::ALL.len()];
    if let Ok(resource) = xds_codec::decode_bytes(ty, bytes) {
        let again = xds_codec::decode(&xds_codec::encode(&resource));
        assert_eq!(again.as_ref(), Ok(&resource));
    }
});
