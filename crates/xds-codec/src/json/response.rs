//! A `DiscoveryResponse` from a file: `path_config_source`.

use ir::Resource;
use prost::Message;
use serde::Deserializer;
use stdx::Str;

use super::pool::Pool;
use super::{STACK, bounded, refused, transcode, whole, yaml};
use crate::decode::at::{At, Sink};
use crate::decode::{self};
use crate::pb::discovery::DiscoveryResponse;
use crate::{DecodeError, Problem};

/// A response that could be read as one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReadResponse {
    /// `version_info`.
    pub version: Str,
    /// In the file's order. What is wrong with one has its place in the file.
    pub resources: Vec<Result<Resource, DecodeError>>,
}

/// Reads a response from JSON.
///
/// # Errors
/// Syntax errors (line and column in the message), unknown keys and values of a wrong type, by path.
pub fn response_from_json(text: &str) -> Result<ReadResponse, DecodeError> {
    bounded(text)?;
    let mut json = serde_json::Deserializer::from_str(text);
    let bytes = to_bytes(&mut json);
    json.end().map_err(|error| whole(error.to_string()))?;
    response_from_bytes(&bytes?)
}

/// Reads a response from YAML.
///
/// # Errors
/// As [`response_from_json`].
pub fn response_from_yaml(text: &str) -> Result<ReadResponse, DecodeError> {
    bounded(text)?;
    response_from_bytes(&to_bytes(yaml::read(text).map_err(whole)?)?)
}

/// Reads a response from protobuf.
///
/// # Errors
/// It is none.
pub fn response_from_bytes(bytes: &[u8]) -> Result<ReadResponse, DecodeError> {
    let response =
        DiscoveryResponse::decode(bytes).map_err(|error| whole(format!("cannot be read: {error}")))?;
    let resources = response.resources.iter().enumerate();
    let resources = resources.map(|(index, any)| decode::any(any).map_err(|error| at(index, error)));
    Ok(ReadResponse { version: response.version_info.into(), resources: resources.collect() })
}

fn at(index: usize, mut error: DecodeError) -> DecodeError {
    for problem in &mut error.problems {
        let dot = if problem.path.is_empty() { "" } else { "." };
        problem.path = format!("resources[{index}]{dot}{}", problem.path).into();
    }
    error
}

/// On a thread of its own, as a bootstrap is read: the descriptors should not lie among what stays.
fn to_bytes<'de, D>(from: D) -> Result<Vec<u8>, DecodeError>
where
    D: Deserializer<'de, Error = serde_json::Error> + Send,
{
    let read = std::thread::scope(|scope| {
        let reader = std::thread::Builder::new().name("response".to_owned()).stack_size(STACK);
        let reader = reader.spawn_scoped(scope, move || {
            let sink = Sink::default();
            let mut take = |_: &str, _: usize, _: &[u8]| {};
            let mut out = transcode::Output::new(&mut take);
            let pool = Pool::new();
            let read = transcode::message(At::root(&sink), &pool.response(), &mut out, from);
            let problems: Vec<Problem> = sink.problems();
            (read.map(|()| out.into_bytes()), problems)
        })?;
        reader.join().map_err(|_| std::io::Error::other("the reader panicked"))
    });
    let (bytes, problems) = read.map_err(|error| whole(format!("no thread to read it: {error}")))?;
    let bytes = bytes.map_err(|error| whole(error.to_string()))?;
    if problems.is_empty() { Ok(bytes) } else { Err(refused(problems)) }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FILE: &str = "version_info: '7'\nresources:\n- '@type': type.googleapis.com/envoy.config.cluster.v3.Cluster\n  \
        name: a\n  connect_timeout: 1s\n- '@type': type.googleapis.com/envoy.config.cluster.v3.Cluster\n  name: b\n  \
        type: EDS\n";

    #[test]
    fn one_resource_does_not_cost_the_others() {
        let read = response_from_yaml(FILE).unwrap();
        assert_eq!((&*read.version, read.resources.len()), ("7", 2));
        assert_eq!(read.resources[0].as_ref().unwrap().name(), "a");
        let error = read.resources[1].as_ref().unwrap_err();
        assert_eq!(error.name.as_deref(), Some("b"));
        assert_eq!(error.to_string(), "b: resources[1].eds_cluster_config.eds_config: is required");
    }

    #[test]
    fn what_is_wrong_is_said_with_its_place() {
        let error = |text: &str| response_from_yaml(text).unwrap_err().to_string();
        assert_eq!(
            error(&FILE.replace("name: b", "nam: b")),
            "resources[1].nam: is no field of envoy.config.cluster.v3.Cluster"
        );
        let open = error("resources: [");
        assert!(open.starts_with("line ") && open.contains("expected node content"), "{open}");
        assert!(response_from_json("{\"resources\": [").is_err());
        assert!(response_from_json("{\"version_info\": \"1\"}").is_ok_and(|it| it.resources.is_empty()));
        assert!(response_from_bytes(&[0xff]).is_err());
        assert!(error("").contains("must be an object"), "{}", error(""));
    }
}
