//! Conversion of scalars. Each function reports what is wrong and then gives `None`.

use std::time::Duration;

use model::Str;

use super::Item;
use crate::units::Percent;
use crate::yaml::{Scalar, Value, int};

impl Item<'_> {
    fn scalar(&self) -> Option<(&str, Scalar)> {
        match &self.node().value {
            Value::Scalar { text, ty } => Some((text, *ty)),
            _ => None,
        }
    }

    /// A string. Numbers and booleans are refused, as Kubernetes does.
    pub fn str(&self) -> Option<Str> {
        match &self.node().value {
            Value::Scalar { text, ty: Scalar::Str } => Some(text.clone()),
            Value::Scalar { text, ty: Scalar::Int | Scalar::Float | Scalar::Bool } => {
                self.invalid(format!("must be a string: write \"{text}\" in quotes"));
                None
            }
            _ => {
                self.expect("a string");
                None
            }
        }
    }

    pub fn is_string(&self) -> bool {
        matches!(self.scalar(), Some((_, Scalar::Str)))
    }

    /// A string that is not empty.
    pub fn non_empty(&self) -> Option<Str> {
        let text = self.str()?;
        if text.is_empty() {
            self.invalid("must not be empty".into());
            return None;
        }
        Some(text)
    }

    pub fn bool(&self) -> Option<bool> {
        match self.scalar() {
            Some(("true" | "True" | "TRUE", Scalar::Bool)) => Some(true),
            Some((_, Scalar::Bool)) => Some(false),
            // YAML 1.1, which Kubernetes' reader still follows.
            Some(("yes" | "Yes" | "YES" | "on" | "On" | "ON", Scalar::Str)) => Some(true),
            Some(("no" | "No" | "NO" | "off" | "Off" | "OFF", Scalar::Str)) => Some(false),
            _ => {
                self.expect("true or false");
                None
            }
        }
    }

    /// An integer from `min` to `max`.
    pub fn int(&self, min: i64, max: i64) -> Option<i64> {
        let value = match self.scalar() {
            Some((text, Scalar::Int)) => int(text),
            // `10.0` is the integer 10 for protobuf's JSON.
            Some((text, Scalar::Float)) => {
                let whole = text.parse::<f64>().ok().filter(|v| v.fract() == 0.0 && v.abs() < 1e15);
                whole.map(|v| v as i64)
            }
            _ => {
                self.expect("an integer");
                return None;
            }
        };
        let found = value.filter(|v| (min..=max).contains(v));
        if found.is_none() {
            self.invalid(format!("must be an integer from {min} to {max}"));
        }
        found
    }

    pub fn u32(&self) -> Option<u32> {
        self.int(0, i64::from(u32::MAX)).and_then(|v| u32::try_from(v).ok())
    }

    /// A port: 1 to 65535.
    pub fn port(&self) -> Option<u16> {
        self.int(1, 65535).and_then(|v| u16::try_from(v).ok())
    }

    pub fn number(&self) -> Option<f64> {
        let value = match self.scalar() {
            Some((text, Scalar::Int)) => int(text).map(|v| v as f64),
            Some((text, Scalar::Float)) => text.parse().ok().filter(|v: &f64| v.is_finite()),
            _ => None,
        };
        if value.is_none() {
            self.expect("a number");
        }
        value
    }

    /// A percentage: 0 to 100.
    pub fn percent(&self) -> Option<Percent> {
        let percent = Percent::new(self.number()?);
        if percent.is_none() {
            self.invalid("must be from 0 to 100".into());
        }
        percent
    }

    /// A duration of at least one millisecond.
    pub fn duration(&self) -> Option<Duration> {
        let duration = self.any_duration()?;
        if duration < Duration::from_millis(1) {
            self.invalid("must be at least 1ms".into());
            return None;
        }
        Some(duration)
    }

    /// A duration that may be zero, by which Istio means "no limit".
    pub fn any_duration(&self) -> Option<Duration> {
        let text = self.str()?;
        stdx::duration::parse(&text).map_err(|error| self.invalid(error.to_string())).ok()
    }

    /// One of some names, or its number.
    pub fn one_of<T: Copy>(&self, names: &[(&'static str, T)]) -> Option<T> {
        let all: Vec<&'static str> = names.iter().map(|(name, _)| *name).collect();
        names.get(self.position(&all)?).map(|(_, value)| *value)
    }

    /// The position of the name that this is. As in protobuf's JSON the position itself may stand
    /// for the name.
    pub fn position(&self, names: &[&'static str]) -> Option<usize> {
        let found = match self.scalar() {
            Some((text, Scalar::Int)) => {
                int(text).and_then(|v| usize::try_from(v).ok()).filter(|index| *index < names.len())
            }
            _ => {
                let text = self.str()?;
                names.iter().position(|name| *name == &*text)
            }
        };
        if found.is_none() {
            let text = self.node().text();
            self.invalid(format!("{text:?} is none of {}", names.join(", ")));
        }
        found
    }
}
