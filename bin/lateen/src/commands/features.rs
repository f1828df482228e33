//! Istio's feature variables of the control plane.

use registry::Features;

/// What the environment says. A variable that cannot be read is named, and its default holds.
pub fn of_environment() -> Features {
    let (features, unreadable) = Features::read(|name| std::env::var(name).ok());
    for name in unreadable {
        eprintln!("lateen: {name} has no value that can be read; its default holds");
    }
    features
}
