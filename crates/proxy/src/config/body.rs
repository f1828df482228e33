//! Bodies of answers of our own, read once when their configuration comes, as Envoy does.

use std::fs::File;
use std::io::{self, Read as _};
use std::os::unix::ffi::OsStringExt as _;
use std::sync::Arc;

use engine::Problem;
use ir::body::BodySource;

/// Envoy's `max_direct_response_body_size_bytes`, where nothing is said.
pub const DIRECT_RESPONSE_LIMIT: u32 = 4096;

/// The bytes of a body, at most `limit` of them.
///
/// # Errors
/// It cannot be read, or is longer; by field.
pub fn read(source: &BodySource, limit: Option<u32>) -> Result<Arc<[u8]>, Problem> {
    let (field, body) = match source {
        BodySource::Inline(bytes) => ("", bytes.clone()),
        BodySource::File(path) => {
            let found = file(path, limit);
            ("filename", found.map_err(|error| Problem::new("filename", format!("{path}: {error}")))?)
        }
        BodySource::Environment(name) => {
            let found = std::env::var_os(name.as_str());
            let missing = || Problem::new("environment_variable", format!("{name} is not set"));
            ("environment_variable", found.ok_or_else(missing)?.into_vec().into())
        }
    };
    match limit {
        Some(limit) if body.len() > limit as usize => {
            Err(Problem::new(field, format!("is longer than {limit} bytes, which is the most there may be")))
        }
        _ => Ok(body),
    }
}

/// No more is read than tells that it is too long: a path may lead to what never ends.
fn file(path: &str, limit: Option<u32>) -> io::Result<Arc<[u8]>> {
    let most = limit.map_or(u64::MAX, |limit| u64::from(limit) + 1);
    let mut bytes = Vec::new();
    File::open(path)?.take(most).read_to_end(&mut bytes)?;
    Ok(bytes.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bodies_are_read_and_have_a_limit() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("body");
        std::fs::write(&path, b"\xffbody").unwrap();
        let source = BodySource::File(path.to_str().unwrap().into());
        assert_eq!(&*read(&source, Some(5)).unwrap(), b"\xffbody");
        let why = |source: &BodySource, limit| read(source, limit).unwrap_err().to_string();
        assert_eq!(why(&source, Some(4)), "filename: is longer than 4 bytes, which is the most there may be");
        assert!(
            why(&BodySource::File("/dev/zero".into()), Some(9)).starts_with("filename: is longer than 9")
        );
        assert!(why(&BodySource::File("/none".into()), None).starts_with("filename: /none: No such file"));
        let unset = BodySource::Environment("LATEEN_NO_SUCH_VARIABLE".into());
        assert_eq!(why(&unset, None), "environment_variable: LATEEN_NO_SUCH_VARIABLE is not set");
        assert!(!read(&BodySource::Environment("PATH".into()), None).unwrap().is_empty());
        assert_eq!(&*read(&"text".into(), Some(4)).unwrap(), b"text");
        assert!(why(&"text".into(), Some(3)).contains("is longer than 3 bytes"));
    }
}
