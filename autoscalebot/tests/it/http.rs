//! A client that sends exactly what a test says: any header, any host, any method, and no help from a library.

use std::time::Duration;

use serde_json::Value;
use tokio::{
    io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader},
    net::TcpStream,
    time::timeout,
};

/// Nothing on loopback takes longer.
const LIMIT: Duration = Duration::from_secs(60);

/// A request.
#[derive(Debug, Clone)]
pub struct Wish {
    method: String,
    path: String,
    headers: Vec<(String, String)>,
    body: String,
}

impl Wish {
    pub fn method(method: &str, path: &str) -> Self {
        Self { method: method.to_owned(), path: path.to_owned(), headers: Vec::new(), body: String::new() }
    }

    pub fn get(path: &str) -> Self {
        Self::method("GET", path)
    }

    /// With JSON.
    pub fn post(path: &str, body: &str) -> Self {
        Self { body: body.to_owned(), ..Self::method("POST", path) }.header("content-type", "application/json")
    }

    /// With this header, instead of one of the same name.
    pub fn header(mut self, name: &str, value: &str) -> Self {
        self.headers.retain(|(other, _)| other != name);
        self.headers.push((name.to_owned(), value.to_owned()));
        self
    }

    fn text(&self, address: &str) -> String {
        let mut text = format!("{} {} HTTP/1.1\r\nconnection: close\r\n", self.method, self.path);
        if !self.headers.iter().any(|(name, _)| name == "host") {
            text.push_str(&format!("host: {address}\r\n"));
        }
        for (name, value) in &self.headers {
            text.push_str(&format!("{name}: {value}\r\n"));
        }
        text + &format!("content-length: {}\r\n\r\n{}", self.body.len(), self.body)
    }
}

/// What came back.
#[derive(Debug, Clone, Default)]
pub struct Answer {
    pub status: u16,
    head: String,
    pub body: String,
}

impl Answer {
    pub fn header(&self, name: &str) -> Option<&str> {
        let headers = self.head.lines().skip(1).filter_map(|line| line.split_once(':'));
        headers.filter(|(other, _)| other.eq_ignore_ascii_case(name)).map(|(_, value)| value.trim()).next()
    }

    pub fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }

    /// All of it.
    pub fn text(&self) -> String {
        format!("{}{}", self.head, self.body)
    }
}

/// Sends a request on a connection of its own.
pub async fn ask(address: &str, wish: Wish) -> Answer {
    let asking = async {
        let mut connection = TcpStream::connect(address).await.unwrap();
        // A server that refuses a long body need not read it.
        let _ = connection.write_all(wish.text(address).as_bytes()).await;
        let mut bytes = Vec::new();
        let _ = connection.read_to_end(&mut bytes).await;
        let text = String::from_utf8_lossy(&bytes).into_owned();
        let (head, body) = text.split_once("\r\n\r\n").unwrap_or((&text, ""));
        Answer { status: status(head), head: head.to_owned(), body: body.to_owned() }
    };
    timeout(LIMIT, asking).await.unwrap_or_else(|_| panic!("no answer to {wish:?}"))
}

fn status(head: &str) -> u16 {
    head.split(' ').nth(1).and_then(|status| status.parse().ok()).unwrap_or(0)
}

/// A stream of events.
pub struct Stream {
    pub head: Answer,
    lines: tokio::io::Lines<BufReader<TcpStream>>,
}

impl Stream {
    pub async fn open(address: &str, path: &str) -> Self {
        let mut connection = TcpStream::connect(address).await.unwrap();
        connection.write_all(Wish::get(path).text(address).as_bytes()).await.unwrap();
        let mut lines = BufReader::new(connection).lines();
        let mut head = String::new();
        loop {
            let line = timeout(LIMIT, lines.next_line()).await.unwrap().unwrap().unwrap_or_default();
            if line.is_empty() {
                break;
            }
            head.push_str(&line);
            head.push('\n');
        }
        Self { head: Answer { status: status(&head), head, body: String::new() }, lines }
    }

    /// The next event with its data; nothing when the stream has ended. Sizes of chunks stand on lines of their own, and
    /// are no fields.
    pub async fn next(&mut self) -> Option<(String, Value)> {
        let mut event = String::new();
        loop {
            let line = timeout(LIMIT, self.lines.next_line()).await.expect("an event").ok().flatten()?;
            if let Some(name) = line.strip_prefix("event: ") {
                event = name.to_owned();
            } else if let Some(data) = line.strip_prefix("data: ") {
                return Some((event, serde_json::from_str(data).unwrap()));
            }
        }
    }
}
