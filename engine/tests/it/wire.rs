//! A server that answers each request as a test's closure says, down to the last byte, and remembers what it was sent.
//!
//! For what a well-behaved server cannot do: hang, break off, answer nonsense, or speak in pieces.

use std::sync::{Arc, Mutex};

use serde_json::Value;
use tokio::{
    io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader},
    net::{TcpListener, TcpStream},
    sync::broadcast,
    task::JoinHandle,
};

/// A request as it came.
#[derive(Debug, Clone)]
pub struct Request {
    pub method: String,
    pub path: String,
    pub headers: Vec<(String, String)>,
    pub body: Value,
}

impl Request {
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }
}

/// What the server does.
pub enum Act {
    /// Answers with a status, more header lines, and a body.
    Answer(u16, &'static str, String),
    /// Sends these bytes and closes.
    Raw(String),
    /// Sends a first piece and then what comes in, as it comes, until the sender is gone or sends an empty piece.
    Live(&'static str, String, broadcast::Receiver<String>),
    /// Says nothing and keeps the connection open.
    Hang,
    /// Closes without a word.
    Close,
}

/// JSON with a status.
pub fn json(status: u16, body: Value) -> Act {
    Act::Answer(status, "Content-Type: application/json\r\n", body.to_string())
}

/// The server; ends with the value.
pub struct Wire {
    pub url: String,
    seen: Arc<Mutex<Vec<Request>>>,
    task: JoinHandle<()>,
}

impl Wire {
    pub async fn start(script: impl Fn(&Request) -> Act + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let seen = Arc::new(Mutex::new(Vec::new()));
        let (script, log) = (Arc::new(script), seen.clone());
        let task = tokio::spawn(async move {
            let mut connections = tokio::task::JoinSet::new();
            while let Ok((stream, _)) = listener.accept().await {
                let (script, log) = (script.clone(), log.clone());
                connections.spawn(async move { serve(stream, &*script, &log).await });
            }
        });
        Self { url, seen, task }
    }

    /// Everything that was asked, in order.
    pub fn seen(&self) -> Vec<Request> {
        self.seen.lock().unwrap().clone()
    }

    /// How often this method was used.
    pub fn count(&self, method: &str) -> usize {
        self.seen().iter().filter(|request| request.method == method).count()
    }
}

impl Drop for Wire {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Waits forever with the connection open.
async fn hold(stream: TcpStream) {
    let _stream = stream;
    std::future::pending::<()>().await;
}

/// One request and its answer; then the connection ends.
async fn serve(stream: TcpStream, script: &(dyn Fn(&Request) -> Act + Send + Sync), log: &Mutex<Vec<Request>>) {
    let mut stream = BufReader::new(stream);
    let Some(request) = read(&mut stream).await else { return };
    log.lock().unwrap().push(request.clone());
    let act = script(&request);
    let mut stream = stream.into_inner();
    match act {
        Act::Answer(status, headers, body) => {
            let length = body.len();
            let head = format!("HTTP/1.1 {status} X\r\n{headers}Content-Length: {length}\r\nConnection: close\r\n\r\n");
            let _ = stream.write_all((head + &body).as_bytes()).await;
        }
        Act::Raw(bytes) => {
            let _ = stream.write_all(bytes.as_bytes()).await;
        }
        Act::Live(content_type, first, mut pieces) => {
            let head = format!("HTTP/1.1 200 OK\r\nContent-Type: {content_type}\r\nConnection: close\r\n\r\n");
            let _ = stream.write_all((head + &first).as_bytes()).await;
            while let Ok(piece) = pieces.recv().await {
                if piece.is_empty() || stream.write_all(piece.as_bytes()).await.is_err() {
                    return;
                }
            }
        }
        Act::Hang => hold(stream).await,
        Act::Close => {}
    }
}

async fn read(stream: &mut BufReader<TcpStream>) -> Option<Request> {
    let mut line = String::new();
    stream.read_line(&mut line).await.ok()?;
    let mut words = line.split_whitespace();
    let (method, path) = (words.next()?.to_owned(), words.next()?.to_owned());
    let mut headers = Vec::new();
    loop {
        let mut line = String::new();
        stream.read_line(&mut line).await.ok()?;
        let Some((name, value)) = line.trim_end().split_once(':') else { break };
        headers.push((name.to_lowercase(), value.trim().to_owned()));
    }
    let length = headers.iter().find(|(name, _)| name == "content-length").and_then(|(_, value)| value.parse().ok());
    let mut body = vec![0; length.unwrap_or(0)];
    stream.read_exact(&mut body).await.ok()?;
    Some(Request { method, path, headers, body: serde_json::from_slice(&body).unwrap_or(Value::Null) })
}
