//! Kubernetes labels, and selectors by equality.

use std::collections::BTreeMap;

use stdx::Str;

/// Labels of an object, or the labels a selector asks for. Ordered, so that equal labels
/// print and hash equally.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Labels(pub BTreeMap<Str, Str>);

impl Labels {
    /// The value of a label.
    pub fn get(&self, key: &str) -> Option<&str> {
        self.0.get(key).map(Str::as_str)
    }

    /// Whether `self`, read as a selector, selects an object with these labels. The empty
    /// selector selects everything; a caller for whom it means "nothing" asks first.
    pub fn select(&self, labels: &Labels) -> bool {
        self.0.iter().all(|(key, value)| labels.0.get(key) == Some(value))
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl<K: Into<Str>, V: Into<Str>> FromIterator<(K, V)> for Labels {
    fn from_iter<I: IntoIterator<Item = (K, V)>>(pairs: I) -> Self {
        Labels(pairs.into_iter().map(|(k, v)| (k.into(), v.into())).collect())
    }
}
