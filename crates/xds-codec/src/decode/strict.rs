//! Fields without effect: refused if they are set, or accepted with a reason.
//!
//! Decoders take messages apart without `..`, so the compiler names every field that an update
//! of Envoy's types adds. Each must then be honoured, given to [`refuse!`] or to [`harmless!`].

/// Refuses every field given that differs from its default.
macro_rules! refuse {
    ($at:expr; $($field:ident),+ $(,)?) => {
        $( if crate::decode::strict::is_set(&$field) { $at.unsupported(stringify!($field)); } )+
    };
}

/// Refuses an optional boolean that is `true`; unset and `false` mean the same to Envoy.
macro_rules! refuse_true {
    ($at:expr; $($field:ident),+ $(,)?) => {
        $( if $field.as_ref().is_some_and(|it| it.value) { $at.unsupported(stringify!($field)); } )+
    };
}

/// Accepts fields that do not change what the proxy does, for the [`Reason`] named.
macro_rules! harmless {
    ($reason:ident; $($field:ident),+ $(,)?) => {{
        let _ = crate::decode::strict::Reason::$reason;
        $( let _ = $field; )+
    }};
}

pub(crate) use {harmless, refuse, refuse_true};

/// Why fields are accepted though nothing reads them.
#[derive(Clone, Copy)]
pub(crate) enum Reason {
    /// Names and tags of Envoy's own statistics, or statistics that we do not keep. No request is
    /// treated differently.
    Statistics,
    /// Sizes of buffers and windows, batches, balance between threads: how fast, not what. Ours
    /// are fixed and bounded.
    Tuning,
    /// Adjusts a mechanism of Envoy that we do not have, and without it nothing is left to adjust
    /// (hot restart, health checks, draining of listeners on a push).
    NoSuchMechanism,
    /// Metadata other than what we read: it is for filters that we would refuse by name.
    Metadata,
    /// Key of an override from Envoy's runtime layers. We have none, so the value beside it holds,
    /// as in an Envoy without such a layer.
    Runtime,
    /// Concerns resolving host names, in a cluster without any.
    NoNames,
    /// How long to wait for the first answer: always 15 s, then what is there takes effect.
    InitialFetch,
    /// How files are watched: wherever their paths lead, for whatever changes them, and polled.
    Watched,
    /// An extension's free name or a description. Its type decides.
    Label,
    /// An upper bound for something that is in the same message and was read.
    Bound,
    /// Names the client library that sends: for servers only.
    #[cfg(feature = "json")]
    UserAgent,
}

pub(crate) fn is_set<T: Default + PartialEq>(value: &T) -> bool {
    *value != T::default()
}
