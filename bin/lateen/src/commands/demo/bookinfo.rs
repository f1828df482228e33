//! `details`, `reviews` and `ratings`.

use std::time::Duration;

use hyper::body::Incoming;
use hyper::{Method, Request, Response};
use serde_json::{Value, json};

use super::Service;
use super::client::service_url;
use super::context::forwarded;
use super::server::{App, Body, json as reply, not_found};

/// Reviews waits this long for ratings: longer than productpage waits for reviews, which is the
/// bug that Istio's fault injection tutorial finds.
const RATINGS_TIMEOUT: Duration = Duration::from_secs(10);

pub async fn handle(app: &App, request: Request<Incoming>) -> Response<Body> {
    let path = request.uri().path().to_owned();
    let parts: Vec<&str> = path.trim_matches('/').split('/').collect();
    match (app.service, request.method(), parts.as_slice()) {
        (_, &Method::GET, ["health"]) => {
            reply(200, &json!({ "status": format!("{} is healthy", app.name()) }))
        }
        (Service::Details, &Method::GET, ["details", id]) => with_id(id, details),
        (Service::Ratings, &Method::GET, ["ratings", id]) => with_id(id, ratings),
        (Service::Reviews, &Method::GET, ["reviews", id]) => match id.parse() {
            Ok(id) => reviews(app, id, &request).await,
            Err(_) => bad_id(),
        },
        _ => not_found(),
    }
}

fn with_id(id: &str, answer: impl Fn(u32) -> Value) -> Response<Body> {
    id.parse().map_or_else(|_| bad_id(), |id| reply(200, &answer(id)))
}

fn bad_id() -> Response<Body> {
    reply(400, &json!({ "error": "please provide numeric product ID" }))
}

fn details(id: u32) -> Value {
    json!({
        "id": id,
        "author": "William Shakespeare",
        "year": 1595,
        "type": "paperback",
        "pages": 200,
        "publisher": "PublisherA",
        "language": "English",
        "ISBN-10": "1234567890",
        "ISBN-13": "123-1234567890",
    })
}

fn ratings(id: u32) -> Value {
    json!({ "id": id, "ratings": { "Reviewer1": 5, "Reviewer2": 4 } })
}

/// v1 has no stars, v2 black ones, v3 red ones.
async fn reviews(app: &App, id: u32, request: &Request<Incoming>) -> Response<Body> {
    let color = match app.version.as_str() {
        "v2" => Some("black"),
        "v3" => Some("red"),
        _ => None,
    };
    let mut reviews = vec![
        json!({ "reviewer": "Reviewer1", "text": "An extremely entertaining play. The slapstick humour is refreshing!" }),
        json!({ "reviewer": "Reviewer2", "text": "Absolutely fun and entertaining, though it lacks the depth of his other plays." }),
    ];
    let mut called = Value::Null;
    if let Some(color) = color {
        let url = format!("{}/ratings/{id}", service_url("ratings"));
        let stars = app.client.get(&url, &forwarded(request.headers()), RATINGS_TIMEOUT).await;
        for review in &mut reviews {
            let reviewer = review["reviewer"].as_str().unwrap_or_default().to_owned();
            review["rating"] = match stars.body["ratings"][&reviewer].as_u64() {
                Some(number) if stars.is_ok() => json!({ "stars": number, "color": color }),
                _ => json!({ "error": "Ratings service is currently unavailable" }),
            };
        }
        called =
            json!({ "served_by": stars.served_by, "presented": stars.presented, "status": stars.status });
    }
    let body = json!({
        "id": id.to_string(),
        "podname": app.host,
        "clustername": "null",
        "version": app.name(),
        "ratings": called,
        "reviews": reviews,
    });
    reply(200, &body)
}
