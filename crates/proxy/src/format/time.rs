//! Times as access logs write them: `strftime` in UTC, with fractions of a second.

use std::time::{SystemTime, UNIX_EPOCH};

use crate::text::{put_number, put_padded};

/// A compiled `strftime` format.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TimeFormat(Vec<Piece>);

#[derive(Clone, Debug, PartialEq, Eq)]
enum Piece {
    Text(String),
    Field(char),
    /// This many digits of the fraction of a second.
    Fraction(u32),
}

impl TimeFormat {
    /// `2006-01-02T15:04:05.000Z`, Envoy's default.
    pub fn iso() -> Self {
        Self::parse("%Y-%m-%dT%H:%M:%S.%3fZ").unwrap_or(TimeFormat(Vec::new()))
    }

    /// Reads a format.
    ///
    /// # Errors
    /// A conversion that is not known, by name.
    pub fn parse(text: &str) -> Result<Self, String> {
        let mut pieces = Vec::new();
        let mut literal = String::new();
        let mut chars = text.chars();
        while let Some(c) = chars.next() {
            if c != '%' {
                literal.push(c);
                continue;
            }
            let piece = match chars.next() {
                Some('%') => {
                    literal.push('%');
                    continue;
                }
                Some('f') => Piece::Fraction(9),
                Some(d @ '1'..='9') if chars.as_str().starts_with('f') => {
                    chars.next();
                    Piece::Fraction(d as u32 - '0' as u32)
                }
                Some(field) if "YmdHMSsyjeFTzZbBaDR".contains(field) => Piece::Field(field),
                other => {
                    return Err(format!(
                        "time format {text:?}: unknown conversion %{}",
                        other.unwrap_or(' ')
                    ));
                }
            };
            if !literal.is_empty() {
                pieces.push(Piece::Text(std::mem::take(&mut literal)));
            }
            pieces.push(piece);
        }
        if !literal.is_empty() {
            pieces.push(Piece::Text(literal));
        }
        Ok(TimeFormat(pieces))
    }

    /// Writes a time.
    pub fn write(&self, time: SystemTime, out: &mut Vec<u8>) {
        let since = time.duration_since(UNIX_EPOCH).unwrap_or_default();
        let civil = Civil::at(since.as_secs());
        for piece in &self.0 {
            match piece {
                Piece::Text(text) => out.extend_from_slice(text.as_bytes()),
                Piece::Field(field) => civil.write(*field, out),
                Piece::Fraction(digits) => {
                    let value = since.subsec_nanos() / 10u32.pow(9 - digits.min(&9));
                    put_padded(out, u64::from(value), *digits as usize);
                }
            }
        }
    }
}

/// `Sun, 06 Nov 1994 08:49:37 GMT`, as the `date` header has it (RFC 9110, 5.6.7).
pub fn http_date(time: SystemTime) -> String {
    let civil = Civil::at(time.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs());
    let (weekday, month) = (WEEKDAYS[civil.weekday], MONTHS[civil.month as usize - 1]);
    format!(
        "{}, {:02} {} {} {:02}:{:02}:{:02} GMT",
        &weekday[..3],
        civil.day,
        &month[..3],
        civil.year,
        civil.hour,
        civil.minute,
        civil.second
    )
}

const WEEKDAYS: [&str; 7] = ["Sunday", "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday"];
const MONTHS: [&str; 12] = [
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
];

struct Civil {
    unix: u64,
    year: u64,
    /// 1 to 12.
    month: u64,
    day: u64,
    hour: u64,
    minute: u64,
    second: u64,
    weekday: usize,
    day_of_year: u64,
}

impl Civil {
    /// Days to date after Howard Hinnant's `civil_from_days`.
    fn at(unix: u64) -> Self {
        let days = unix / 86_400;
        let shifted = days + 719_468;
        let era = shifted / 146_097;
        let day_of_era = shifted % 146_097;
        let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
        let day_of_march_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
        let shifted_month = (5 * day_of_march_year + 2) / 153;
        let day = day_of_march_year - (153 * shifted_month + 2) / 5 + 1;
        let month = if shifted_month < 10 { shifted_month + 3 } else { shifted_month - 9 };
        let year = year_of_era + era * 400 + u64::from(month <= 2);
        let leap = year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400));
        let before = [0, 31, 59, 90, 120, 151, 181, 212, 243, 273, 304, 334][month as usize - 1];
        Civil {
            unix,
            year,
            month,
            day,
            hour: unix / 3600 % 24,
            minute: unix / 60 % 60,
            second: unix % 60,
            weekday: ((days + 4) % 7) as usize,
            day_of_year: before + day + u64::from(leap && month > 2),
        }
    }

    fn write(&self, field: char, out: &mut Vec<u8>) {
        let month = MONTHS[self.month as usize - 1].as_bytes();
        let mut parts = |parts: &[(u64, u8)]| {
            for (value, before) in parts {
                if *before != 0 {
                    out.push(*before);
                }
                put_padded(out, *value, 2);
            }
        };
        match field {
            'Y' => put_number(out, self.year),
            'y' => put_padded(out, self.year % 100, 2),
            'm' => put_padded(out, self.month, 2),
            'd' => put_padded(out, self.day, 2),
            'e' if self.day < 10 => out.extend_from_slice(&[b' ', b'0' + self.day as u8]),
            'e' => put_number(out, self.day),
            'H' => put_padded(out, self.hour, 2),
            'M' => put_padded(out, self.minute, 2),
            'S' => put_padded(out, self.second, 2),
            's' => put_number(out, self.unix),
            'j' => put_padded(out, self.day_of_year, 3),
            'F' => parts(&[(self.year, 0), (self.month, b'-'), (self.day, b'-')]),
            'T' => parts(&[(self.hour, 0), (self.minute, b':'), (self.second, b':')]),
            'R' => parts(&[(self.hour, 0), (self.minute, b':')]),
            'D' => parts(&[(self.month, 0), (self.day, b'/'), (self.year % 100, b'/')]),
            'z' => out.extend_from_slice(b"+0000"),
            'Z' => out.extend_from_slice(b"UTC"),
            'b' => out.extend_from_slice(&month[..3]),
            'B' => out.extend_from_slice(month),
            _ => out.extend_from_slice(&WEEKDAYS[self.weekday].as_bytes()[..3]),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn writes_times() {
        let check = |format: &str, expected: &str| {
            let mut out = Vec::new();
            let time = UNIX_EPOCH + Duration::from_millis(1_709_210_096_042);
            TimeFormat::parse(format).unwrap().write(time, &mut out);
            assert_eq!(String::from_utf8(out).unwrap(), expected, "{format}");
        };
        check("%Y-%m-%dT%H:%M:%S.%3fZ", "2024-02-29T12:34:56.042Z");
        check("%F %T %s.%6f", "2024-02-29 12:34:56 1709210096.042000");
        check("%d/%b/%Y:%H:%M:%S %z %j %a %%", "29/Feb/2024:12:34:56 +0000 060 Thu %");
        assert!(TimeFormat::parse("%Q").is_err());
        assert_eq!(http_date(UNIX_EPOCH + Duration::from_secs(784_111_777)), "Sun, 06 Nov 1994 08:49:37 GMT");
    }
}
