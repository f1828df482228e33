//! Calls from one service to another.

use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt, Empty, Limited};
use hyper::{HeaderMap, Request};
use hyper_util::client::legacy::{self, connect::HttpConnector};
use hyper_util::rt::TokioExecutor;
use serde_json::Value;

/// Largest body that is read, in bytes.
const LIMIT: usize = 1 << 20;

/// What came of a call.
#[derive(Clone, Debug)]
pub struct Reply {
    /// 0 if there was no response.
    pub status: u16,
    pub body: Value,
    /// `x-served-by` and `x-caller-identity` of the answering service.
    pub served_by: String,
    pub presented: String,
}

/// An HTTP/1.1 client that keeps connections.
pub struct Client(legacy::Client<HttpConnector, Empty<Bytes>>);

impl Client {
    pub fn new() -> Self {
        Client(legacy::Client::builder(TokioExecutor::new()).build_http())
    }

    /// Gets JSON. A timeout, a broken connection or a body that is no JSON is a status of 0.
    pub async fn get(&self, url: &str, headers: &HeaderMap, timeout: Duration) -> Reply {
        match tokio::time::timeout(timeout, self.try_get(url, headers)).await {
            Ok(Ok(reply)) => reply,
            Ok(Err(error)) => Reply::failed(format!("{error:#}")),
            Err(_) => Reply::failed(format!("no answer within {timeout:?}")),
        }
    }

    async fn try_get(&self, url: &str, headers: &HeaderMap) -> anyhow::Result<Reply> {
        let mut request = Request::get(url).body(Empty::new())?;
        *request.headers_mut() = headers.clone();
        let response = self.0.request(request).await?;
        let text = |name: &str| {
            let value = response.headers().get(name).and_then(|value| value.to_str().ok());
            value.unwrap_or_default().to_owned()
        };
        let (status, served_by, presented) =
            (response.status().as_u16(), text("x-served-by"), text("x-caller-identity"));
        let body = Limited::new(response.into_body(), LIMIT).collect().await;
        let body = body.map_err(|error| anyhow::anyhow!(error))?.to_bytes();
        let body = serde_json::from_slice(&body).unwrap_or(Value::Null);
        Ok(Reply { status, body, served_by, presented })
    }
}

impl Reply {
    fn failed(why: String) -> Self {
        eprintln!("call failed: {why}");
        Reply { status: 0, body: Value::Null, served_by: String::new(), presented: String::new() }
    }

    pub fn is_ok(&self) -> bool {
        self.status == 200
    }
}

/// `http://NAME.DOMAIN:PORT`, with Bookinfo's environment variables.
pub fn service_url(name: &str) -> String {
    let variable = |suffix: &str| std::env::var(format!("{}_{suffix}", name.to_ascii_uppercase())).ok();
    let host = variable("HOSTNAME").unwrap_or_else(|| name.to_owned());
    let port = variable("SERVICE_PORT").and_then(|port| port.parse::<u16>().ok()).unwrap_or(9080);
    let domain = std::env::var("SERVICES_DOMAIN").ok().filter(|domain| !domain.is_empty());
    let domain = domain.map(|domain| format!(".{domain}")).unwrap_or_default();
    format!("http://{host}{domain}:{port}")
}
