//! Durations as Istio and Kubernetes write them: Go's `time.ParseDuration`.

use std::time::Duration;

/// Why a duration could not be read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BadDuration(pub String);

impl std::fmt::Display for BadDuration {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:?} is not a duration (examples: 7s, 1.5s, 250ms, 1h30m)", self.0)
    }
}

impl std::error::Error for BadDuration {}

/// Reads `7s`, `1h30m`, `250ms`, `1.5s`; units are ns, us, µs, ms, s, m and h. `0` needs no
/// unit. Negative durations are refused: no field that Lateen knows allows one.
///
/// # Errors
/// The text is no duration, or does not fit into [`Duration`].
pub fn parse(text: &str) -> Result<Duration, BadDuration> {
    let bad = || BadDuration(text.to_owned());
    if text == "0" {
        return Ok(Duration::ZERO);
    }
    let mut rest = text.strip_prefix('+').unwrap_or(text);
    if rest.is_empty() {
        return Err(bad());
    }
    let mut total: u128 = 0;
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit() && c != '.').ok_or_else(bad)?;
        let (number, tail) = rest.split_at(digits);
        let unit_end = tail.find(|c: char| c.is_ascii_digit() || c == '.').unwrap_or(tail.len());
        let (unit, tail) = tail.split_at(unit_end);
        let nanos = nanos_per(unit).and_then(|per| scaled(number, per)).ok_or_else(bad)?;
        total = total.checked_add(nanos).ok_or_else(bad)?;
        rest = tail;
    }
    let secs = u64::try_from(total / 1_000_000_000).map_err(|_| bad())?;
    Ok(Duration::new(secs, (total % 1_000_000_000) as u32))
}

fn nanos_per(unit: &str) -> Option<u128> {
    Some(match unit {
        "ns" => 1,
        "us" | "µs" | "μs" => 1_000,
        "ms" => 1_000_000,
        "s" => 1_000_000_000,
        "m" => 60_000_000_000,
        "h" => 3_600_000_000_000,
        _ => return None,
    })
}

/// `number` (digits with at most one point) times `per`, in integers, so that `0.1s` is exact.
fn scaled(number: &str, per: u128) -> Option<u128> {
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    if (whole.is_empty() && fraction.is_empty()) || fraction.contains('.') || number.len() > 24 {
        return None;
    }
    let whole: u128 = if whole.is_empty() { 0 } else { whole.parse().ok()? };
    let mut value = whole.checked_mul(per)?;
    let mut unit = per;
    for digit in fraction.bytes() {
        unit /= 10;
        value = value.checked_add(u128::from(digit - b'0').checked_mul(unit)?)?;
    }
    Some(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, expected: Option<u64>) {
        assert_eq!(parse(text).ok().map(|d| d.as_micros() as u64), expected, "{text}");
    }

    #[test]
    fn reads_what_go_reads() {
        check("7s", Some(7_000_000));
        check("1h30m", Some(5_400_000_000));
        check("250ms", Some(250_000));
        check("1.5s", Some(1_500_000));
        check(".5s", Some(500_000));
        check("0", Some(0));
        check("10us", Some(10));
        for bad in ["", "7", "-1s", "s", "1..5s", "1 s", "7sec", ".s", "99999999999999999999999999h"] {
            check(bad, None);
        }
    }
}
