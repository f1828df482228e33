//! `status`, which is the same for all of Istio's kinds: the cluster's word, not the user's.

use super::macros::message;
use super::{Schema, choice, int_or_text, list, object, text, time};

/// The schema of every kind's `status`.
pub(crate) const SCHEMA: Schema = object(&STATUS);

message! {
    /// What the control plane says about the object.
    table STATUS {
        "conditions" = list(&object(&CONDITION)),
        /// The generation that the conditions speak of.
        "observedGeneration" = int_or_text(),
        /// What analysis found.
        "validationMessages" = list(&object(&VALIDATION_MESSAGE)),
    }
}

message! {
    /// One aspect of the object's state.
    table CONDITION {
        "lastProbeTime" = time(),
        "lastTransitionTime" = time(),
        "message" = text(),
        "observedGeneration" = int_or_text(),
        "reason" = text(),
        "status" = text(),
        "type" = text(),
    }
}

message! {
    /// A finding of analysis.
    table VALIDATION_MESSAGE {
        "documentationUrl" = text(),
        "level" = choice(&["UNKNOWN", "ERROR", "WARNING", "INFO"]),
        "type" = object(&MESSAGE_TYPE),
    }
}

message! {
    /// What kind of finding it is.
    table MESSAGE_TYPE {
        /// As in `IST0101`.
        "code" = text(),
        "name" = text(),
    }
}
