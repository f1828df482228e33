//! What a route answers by itself.

use ir::body::BodySource;
use ir::route::{BodyFormat, DirectResponse, Redirect};

use super::at::At;
use super::strict::refuse;
use super::{access_log, matcher, wire};
use crate::pb::core::{self, data_source::Specifier};
use crate::pb::route as pb;
use crate::pb::route::redirect_action::{PathRewriteSpecifier, RedirectResponseCode, SchemeRewriteSpecifier};

pub(super) fn direct_response(at: At<'_>, it: pb::DirectResponseAction) -> DirectResponse {
    let pb::DirectResponseAction { status, body, body_format } = it;
    let status = match u16::try_from(status) {
        Ok(status @ 200..=599) => status,
        _ => {
            at.field("status").refuse(format!("{status} is not from 200 to 599"));
            500
        }
    };
    DirectResponse {
        status,
        body: body.map(|it| self::body(at.field("body"), it)).unwrap_or_default(),
        format: body_format.map(|it| Box::new(self::body_format(at.field("body_format"), it))),
    }
}

pub(super) fn body_format(at: At<'_>, mut it: core::SubstitutionFormatString) -> BodyFormat {
    let content_type = wire::optional_text(std::mem::take(&mut it.content_type));
    BodyFormat { format: access_log::format(at, it), content_type }
}

/// Bytes, or where they are: they are read by who answers with them.
pub(super) fn body(at: At<'_>, it: core::DataSource) -> BodySource {
    let core::DataSource { watched_directory, specifier } = it;
    refuse!(at; watched_directory);
    match specifier {
        Some(Specifier::InlineString(text)) => text.into(),
        Some(Specifier::InlineBytes(bytes)) => BodySource::Inline(bytes.into()),
        Some(Specifier::Filename(path)) => BodySource::File(wire::required(at.field("filename"), path)),
        Some(Specifier::EnvironmentVariable(name)) => {
            BodySource::Environment(wire::required(at.field("environment_variable"), name))
        }
        None => {
            at.refuse("is empty");
            BodySource::default()
        }
    }
}

pub(super) fn redirect(at: At<'_>, it: pb::RedirectAction) -> Redirect {
    let pb::RedirectAction {
        host_redirect,
        port_redirect,
        response_code,
        strip_query,
        scheme_rewrite_specifier,
        path_rewrite_specifier,
    } = it;
    let status = match wire::enumeration(at.field("response_code"), response_code) {
        RedirectResponseCode::MovedPermanently => 301,
        RedirectResponseCode::Found => 302,
        RedirectResponseCode::SeeOther => 303,
        RedirectResponseCode::TemporaryRedirect => 307,
        RedirectResponseCode::PermanentRedirect => 308,
    };
    let (mut path, mut prefix_rewrite, mut regex_rewrite) = (None, None, None);
    match path_rewrite_specifier {
        Some(PathRewriteSpecifier::PathRedirect(it)) => path = wire::optional_text(it),
        Some(PathRewriteSpecifier::PrefixRewrite(it)) => prefix_rewrite = wire::optional_text(it),
        Some(PathRewriteSpecifier::RegexRewrite(it)) => {
            regex_rewrite = Some(matcher::rewrite(at.field("regex_rewrite"), it));
        }
        Some(PathRewriteSpecifier::PathRewrite(_)) => at.unsupported("path_rewrite"),
        None => {}
    }
    let (https, scheme) = match scheme_rewrite_specifier {
        Some(SchemeRewriteSpecifier::HttpsRedirect(https)) => (https, None),
        Some(SchemeRewriteSpecifier::SchemeRedirect(scheme)) => (false, wire::optional_text(scheme)),
        None => (false, None),
    };
    Redirect {
        https,
        scheme: scheme.map(|it| wire::lower(it.to_string())),
        host: wire::optional_text(host_redirect),
        port: (port_redirect != 0).then(|| wire::port(at.field("port_redirect"), port_redirect)),
        path,
        prefix_rewrite,
        regex_rewrite,
        status,
        strip_query,
    }
}
