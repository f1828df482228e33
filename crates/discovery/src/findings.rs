//! What goes wrong here, as findings.

use model::{Finding, Level};
use stdx::Str;
use translate::Unit;
use xds_server::Withheld;

/// A resource is not sent, because the server could not read its own output.
pub const WITHHELD: &str = "LTN0301";
/// Translation failed where it must not; what was there before stays.
pub const INTERNAL: &str = "LTN0302";

pub(crate) fn withheld(withheld: &Withheld) -> Finding {
    finding(WITHHELD, withheld.to_string())
}

pub(crate) fn internal(unit: &Unit, panic: &(dyn std::any::Any + Send)) -> Finding {
    let said = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
    let said = said.or_else(|| panic.downcast_ref::<String>().cloned()).unwrap_or_default();
    finding(INTERNAL, format!("{unit} could not be translated, proxies keep what they have: {said}"))
}

fn finding(code: &'static str, message: String) -> Finding {
    Finding {
        level: Level::Error,
        code,
        object: None,
        field: Str::default(),
        place: None,
        message: message.into(),
    }
}
