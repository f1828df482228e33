//! Any bytes as a file: findings or a clear error, never a crash, and no finding points outside of
//! the file. Mends can be applied to it.

#![no_main]

use std::sync::Arc;

use analysis::{File, Reading, Settings, Snapshot, analyze, analyzers, fix};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let text = String::from_utf8_lossy(bytes);
    let file = File::read("f.yaml", &text, &Reading::default());
    let all: Vec<_> = analyzers::all().collect();
    let findings = analyze(&Snapshot::new(vec![Arc::new(file)], Settings::default()), &all);
    // A carriage return alone ends a line too (YAML 1.2, section 5.4).
    let unified = text.replace("\r\n", "\n").replace('\r', "\n");
    let lines: Vec<usize> = unified.split('\n').map(|line| line.chars().count()).collect();
    for finding in &findings {
        // An analyzer that panics is caught and reported; here that counts as a crash.
        assert_ne!(finding.code, "IST0001", "{}", finding.message);
        if let Some(place) = finding.place.as_ref().filter(|place| &*place.file == "f.yaml") {
            let width = lines.get(place.line as usize - 1).expect("a line of the file");
            assert!((1..=width + 1).contains(&(place.column as usize)), "{place}");
        }
    }
    if let Some(mended) = fix::mended("f.yaml", &text, &findings) {
        assert_eq!(mended.matches('\n').count(), text.matches('\n').count());
        let _ = fix::diff("f.yaml", &text, &mended);
    }
});
