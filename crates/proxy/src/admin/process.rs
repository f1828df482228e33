//! `/memory`: what the kernel says of the process.

use std::path::Path;

use serde_json::{Value, json};

/// Where the kernel says it.
pub const STATUS: &str = "/proc/self/status";

/// Envoy's fields. The allocator tells nothing cheap about itself, so `allocated` is what is resident
/// of the heap and other anonymous memory, and `heap_size` what is mapped of it.
pub fn memory() -> Value {
    let status = std::fs::read_to_string(STATUS).unwrap_or_default();
    let bytes = |field: &str| field_of(&status, field);
    let (anonymous, data) = (bytes("RssAnon:"), bytes("VmData:"));
    json!({
        "allocated": anonymous.to_string(),
        "heap_size": data.to_string(),
        "pageheap_unmapped": data.saturating_sub(anonymous).to_string(),
        "pageheap_free": "0",
        "total_physical_bytes": bytes("VmRSS:").to_string(),
    })
}

/// Resident memory of the process, bytes.
pub fn resident() -> u64 {
    field_of(&std::fs::read_to_string(STATUS).unwrap_or_default(), "VmRSS:")
}

/// Resident memory that is no file's, bytes: what the overload manager weighs.
///
/// # Errors
/// `status` ([`STATUS`]) cannot be read, or does not say. A kernel before 4.5 does not.
pub fn anonymous(status: &Path) -> std::io::Result<u64> {
    let text = std::fs::read_to_string(status)?;
    find(&text, "RssAnon:").ok_or_else(|| std::io::Error::other("has no line RssAnon"))
}

fn field_of(status: &str, field: &str) -> u64 {
    find(status, field).unwrap_or(0)
}

fn find(status: &str, field: &str) -> Option<u64> {
    let line = status.lines().find_map(|line| line.strip_prefix(field))?;
    let kib: u64 = line.split_whitespace().next()?.parse().ok()?;
    kib.checked_mul(1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_kernels_lines_are_read() {
        assert_eq!(field_of("VmRSS:\t    12 kB\nRssAnon:\t  8 kB\n", "RssAnon:"), 8192);
        assert_eq!(field_of("", "VmRSS:"), 0);
        assert!(resident() > 0 && anonymous(Path::new(STATUS)).unwrap() > 0);
        assert!(anonymous(Path::new("/nowhere")).is_err() && anonymous(Path::new("/dev/null")).is_err());
    }
}
