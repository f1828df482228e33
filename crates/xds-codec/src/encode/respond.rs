//! What a route answers by itself.

use ir::body::BodySource;
use ir::route::{BodyFormat, DirectResponse, Redirect};

use super::{access_log, matcher, wire};
use crate::pb::core::{self, data_source::Specifier};
use crate::pb::route as pb;
use crate::pb::route::redirect_action::{PathRewriteSpecifier, RedirectResponseCode, SchemeRewriteSpecifier};

pub(super) fn direct_response(it: &DirectResponse) -> pb::DirectResponseAction {
    let empty = it.body.inline().is_some_and(|bytes| bytes.is_empty());
    let body = (!empty).then(|| self::body(&it.body));
    let body_format = it.format.as_deref().map(body_format);
    pb::DirectResponseAction { status: it.status.into(), body, body_format }
}

pub(super) fn body(it: &BodySource) -> core::DataSource {
    let specifier = match it {
        BodySource::File(path) => Specifier::Filename(path.to_string()),
        BodySource::Environment(name) => Specifier::EnvironmentVariable(name.to_string()),
        // Readable in a bootstrap file, where it can be.
        BodySource::Inline(bytes) => match std::str::from_utf8(bytes) {
            Ok(text) => Specifier::InlineString(text.to_owned()),
            Err(_) => Specifier::InlineBytes(bytes.to_vec()),
        },
    };
    core::DataSource { specifier: Some(specifier), ..Default::default() }
}

pub(super) fn body_format(it: &BodyFormat) -> core::SubstitutionFormatString {
    core::SubstitutionFormatString {
        content_type: wire::optional_text(&it.content_type),
        ..access_log::format(&it.format)
    }
}

pub(super) fn redirect(it: &Redirect) -> pb::RedirectAction {
    let code = match it.status {
        302 => RedirectResponseCode::Found,
        303 => RedirectResponseCode::SeeOther,
        307 => RedirectResponseCode::TemporaryRedirect,
        308 => RedirectResponseCode::PermanentRedirect,
        _ => RedirectResponseCode::MovedPermanently,
    };
    let path = it.path.as_ref().map(|path| PathRewriteSpecifier::PathRedirect(path.to_string()));
    let prefix =
        || it.prefix_rewrite.as_ref().map(|path| PathRewriteSpecifier::PrefixRewrite(path.to_string()));
    let regex =
        || it.regex_rewrite.as_ref().map(|it| PathRewriteSpecifier::RegexRewrite(matcher::rewrite(it)));
    pb::RedirectAction {
        host_redirect: wire::optional_text(&it.host),
        port_redirect: it.port.map(u32::from).unwrap_or_default(),
        response_code: code.into(),
        strip_query: it.strip_query,
        scheme_rewrite_specifier: it
            .https
            .then_some(SchemeRewriteSpecifier::HttpsRedirect(true))
            .or_else(|| it.scheme.as_ref().map(|it| SchemeRewriteSpecifier::SchemeRedirect(it.to_string()))),
        path_rewrite_specifier: path.or_else(prefix).or_else(regex),
    }
}
