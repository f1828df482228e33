//! Our own analyzers, codes `LTN0101` to `LTN0199`: what Istio accepts and does not do, or does
//! otherwise than its author meant. One per file.

use crate::analyzers::Analyzer;

pub(crate) const ANALYZERS: &[&Analyzer] = &[];
