//! What a plain scalar means: YAML 1.2's core schema, plus the octal `0644` that Kubernetes'
//! reader still takes for a number.

use super::Scalar;

/// The type of an unquoted scalar.
pub(super) fn plain(text: &str) -> Scalar {
    match text {
        "" | "~" | "null" | "Null" | "NULL" => Scalar::Null,
        "true" | "True" | "TRUE" | "false" | "False" | "FALSE" => Scalar::Bool,
        _ if is_int(text) => Scalar::Int,
        _ if is_float(text) => Scalar::Float,
        _ => Scalar::Str,
    }
}

fn is_int(text: &str) -> bool {
    let digits = |s: &str, ok: fn(&u8) -> bool| !s.is_empty() && s.as_bytes().iter().all(ok);
    if let Some(hex) = text.strip_prefix("0x") {
        return digits(hex, |b| b.is_ascii_hexdigit());
    }
    if let Some(octal) = text.strip_prefix("0o") {
        return digits(octal, |b| matches!(b, b'0'..=b'7'));
    }
    digits(text.strip_prefix(['-', '+']).unwrap_or(text), u8::is_ascii_digit)
}

fn is_float(text: &str) -> bool {
    let unsigned = text.strip_prefix(['-', '+']).unwrap_or(text);
    if matches!(unsigned, ".inf" | ".Inf" | ".INF") || matches!(text, ".nan" | ".NaN" | ".NAN") {
        return true;
    }
    // Rust reads "inf" and "nan" as numbers, YAML does not.
    unsigned.starts_with(|c: char| c.is_ascii_digit() || c == '.')
        && unsigned.bytes().any(|b| b.is_ascii_digit())
        && unsigned.bytes().all(|b| b.is_ascii_digit() || matches!(b, b'.' | b'e' | b'E' | b'-' | b'+'))
        && unsigned.parse::<f64>().is_ok()
}

/// The integer that [`plain`] took the text for.
pub fn int(text: &str) -> Option<i64> {
    if let Some(hex) = text.strip_prefix("0x") {
        return i64::from_str_radix(hex, 16).ok();
    }
    if let Some(octal) = text.strip_prefix("0o") {
        return i64::from_str_radix(octal, 8).ok();
    }
    if text.len() > 1 && text.starts_with('0') && text.bytes().all(|b| matches!(b, b'0'..=b'7')) {
        return i64::from_str_radix(text, 8).ok();
    }
    text.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plain_scalars_have_the_core_schemas_types() {
        for (text, ty) in [
            ("", Scalar::Null),
            ("null", Scalar::Null),
            ("true", Scalar::Bool),
            ("yes", Scalar::Str),
            ("12", Scalar::Int),
            ("-12", Scalar::Int),
            ("0x1F", Scalar::Int),
            ("1.5", Scalar::Float),
            ("1e3", Scalar::Float),
            (".5", Scalar::Float),
            (".inf", Scalar::Float),
            ("inf", Scalar::Str),
            ("nan", Scalar::Str),
            ("1.2.3", Scalar::Str),
            ("10.0.0.1", Scalar::Str),
            ("7s", Scalar::Str),
            ("-", Scalar::Str),
            (".", Scalar::Str),
            ("1e", Scalar::Str),
            ("2024-01-01", Scalar::Str),
        ] {
            assert_eq!(plain(text), ty, "{text}");
        }
    }

    #[test]
    fn integers_have_the_values_kubernetes_reads() {
        assert_eq!(int("0644"), Some(420));
        assert_eq!(int("0x10"), Some(16));
        assert_eq!(int("-3"), Some(-3));
        assert_eq!(int("99999999999999999999"), None);
    }
}
