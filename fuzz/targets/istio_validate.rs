//! Any bytes as a file: findings or a clear error, never a crash, and no finding points outside
//! of the file.

#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let text = String::from_utf8_lossy(bytes).replace("\r\n", "\n").replace('\r', "\n");
    let lines: Vec<usize> = text.split('\n').map(|line| line.chars().count()).collect();
    let parsed = istio_api::validate_bytes("fuzz.yaml", bytes);
    for finding in &parsed.findings {
        let place = finding.place.as_ref().expect("every finding has a place");
        let line = lines.get((place.line as usize).wrapping_sub(1)).expect("a line of the file");
        assert!(place.column >= 1 && place.column as usize <= line + 1, "{finding}");
        assert!(!finding.message.is_empty());
    }
});
