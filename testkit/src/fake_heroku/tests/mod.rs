//! The fake as clients meet it: over HTTP on loopback, from the first byte to the broken last one.
//!
//! Here is what all of these tests use; each file beside this one is about one side of the fake.

mod api;
mod dynos;
mod log_sessions;
mod router;
mod trouble;

use std::{collections::BTreeMap, time::Duration};

use axum::{
    Router,
    body::Body,
    extract::Request,
    http::{HeaderMap, StatusCode},
    response::Response,
};
use http_body_util::{BodyExt as _, Full};
use hyper::body::{Bytes, Incoming};
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};
use tokio::{
    net::{TcpListener, TcpStream},
    time::timeout,
};

use super::*;

const APP: &str = "/apps/dancing-forest-1234";

/// Much longer than anything here takes, also on a busy machine.
const PATIENCE: Duration = Duration::from_secs(20);

fn setup() -> Setup {
    Setup::app("dancing-forest-1234").process("web", 1, "Standard-1X").process("celery", 1, "Standard-1X")
}

/// An answer, read to its end.
#[derive(Debug)]
struct Got {
    status: u16,
    headers: HeaderMap,
    text: String,
}

impl Got {
    fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap_or_else(|error| panic!("{error}: {}", self.text))
    }

    fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(|value| value.to_str().unwrap())
    }
}

/// Sends a request as it is.
async fn send(
    base: &str,
    method: &str,
    path: &str,
    headers: &[(&str, &str)],
    body: &str,
) -> Result<hyper::Response<Incoming>, hyper::Error> {
    let address = base.trim_start_matches("http://").trim_end_matches('/').to_owned();
    let stream = TcpStream::connect(&address).await.expect("the fake listens");
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
    tokio::spawn(connection);
    let mut request = hyper::Request::builder().method(method).uri(path).header("host", address);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let request = request.body(Full::new(Bytes::from(body.to_owned()))).unwrap();
    timeout(PATIENCE, sender.send_request(request)).await.expect("an answer in time")
}

async fn read(response: hyper::Response<Incoming>) -> Result<Got, hyper::Error> {
    let (parts, body) = response.into_parts();
    let bytes = timeout(PATIENCE, body.collect()).await.expect("a whole answer in time")?.to_bytes();
    let text = String::from_utf8(bytes.to_vec()).unwrap();
    Ok(Got { status: parts.status.as_u16(), headers: parts.headers, text })
}

const ACCEPT: (&str, &str) = ("accept", "application/vnd.heroku+json; version=3");
const BEARER: (&str, &str) = ("authorization", "Bearer test-token");

/// A call as a usual client makes it, with these headers more.
async fn call_with(fake: &FakeHeroku, method: &str, path: &str, headers: &[(&str, &str)], body: Value) -> Got {
    let body = if body.is_null() { String::new() } else { body.to_string() };
    let headers: Vec<_> = [ACCEPT, BEARER].iter().chain(headers).copied().collect();
    read(send(&fake.url(), method, path, &headers, &body).await.unwrap()).await.unwrap()
}

async fn call(fake: &FakeHeroku, method: &str, path: &str, body: Value) -> Got {
    call_with(fake, method, path, &[], body).await
}

async fn get(fake: &FakeHeroku, path: &str) -> Got {
    call(fake, "GET", path, Value::Null).await
}

/// A visit to the app through its router.
async fn visit(fake: &FakeHeroku, path: &str, headers: &[(&str, &str)]) -> Got {
    read(send(&fake.web_url(), "GET", path, headers, "").await.unwrap()).await.unwrap()
}

/// Waits until it holds.
async fn until(what: &str, mut holds: impl FnMut() -> bool) {
    for _ in 0..2000 {
        if holds() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    panic!("never: {what}");
}

fn router_lines(fake: &FakeHeroku) -> Vec<String> {
    let lines = fake.log_lines().into_iter();
    lines.filter_map(|line| line.split_once(" heroku[router]: ").map(|(_, message)| message.to_owned())).collect()
}

/// A router line's fields.
fn fields(line: &str) -> BTreeMap<String, String> {
    let mut fields = BTreeMap::new();
    let mut rest = line;
    while let Some((key, after)) = rest.split_once('=') {
        let (value, next) = match after.strip_prefix('"') {
            Some(quoted) => quoted.split_once('"').unwrap(),
            None => after.split_at(after.find(' ').unwrap_or(after.len())),
        };
        fields.insert(key.trim().to_owned(), value.to_owned());
        rest = next;
    }
    fields
}

/// An app that answers what this function says.
async fn app<F, A>(answer: F) -> String
where
    F: Fn(Request) -> A + Clone + Send + Sync + 'static,
    A: Future<Output = Response> + Send + 'static,
{
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move { axum::serve(listener, Router::new().fallback(answer)).await });
    format!("http://{address}")
}
