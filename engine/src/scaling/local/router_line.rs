//! One line per request, in the format of Heroku's router, so that tools for its logs can read ours.
//!
//! Source: Heroku Dev Center, "HTTP Routing" and "Error Codes". Values that hold what a client sent are cut and cleaned:
//! a request must not be able to write a log line of its own.

use std::{fmt, time::Duration};

/// A path longer than this is cut in the line. Long enough for any query that a person wants to read.
const LONGEST_VALUE: usize = 2000;

/// What went wrong, by Heroku's codes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Code {
    /// All processes have crashed.
    H10,
    /// Too many requests are waiting.
    H11,
    /// No answer begun in time.
    H12,
    /// The process closed the connection without an answer.
    H13,
    /// None should run.
    H14,
    /// Nothing was sent for too long.
    H15,
    /// The process broke off in the middle of its answer.
    H18,
    /// The process did not accept the connection in time.
    H19,
    /// No process came up in time.
    H20,
    /// The process refused the connection.
    H21,
    /// The client went away.
    H27,
}

impl Code {
    /// The `desc` of the line.
    #[must_use]
    pub fn description(self) -> &'static str {
        match self {
            Self::H10 => "App crashed",
            Self::H11 => "Backlog too deep",
            Self::H12 => "Request timeout",
            Self::H13 => "Connection closed without response",
            Self::H14 => "No web processes running",
            Self::H15 => "Idle connection",
            Self::H18 => "Server Request Interrupted",
            Self::H19 => "Backend connection timeout",
            Self::H20 => "App boot timeout",
            Self::H21 => "Backend connection refused",
            Self::H27 => "Client Request Interrupted",
        }
    }

    /// The status that the client gets, or would have got.
    #[must_use]
    pub fn status(self) -> u16 {
        if self == Self::H27 { 499 } else { 503 }
    }
}

/// Everything that a line says.
#[derive(Debug, Clone, Default)]
pub struct RouterLine {
    /// What went wrong, if anything.
    pub code: Option<Code>,
    /// `GET`
    pub method: String,
    /// With the query.
    pub path: String,
    /// As the client wrote it.
    pub host: String,
    /// The client's or ours.
    pub request_id: String,
    /// Every address that it was forwarded for.
    pub fwd: String,
    /// `web.1`, once one has it.
    pub dyno: String,
    /// How long connecting took.
    pub connect: Option<Duration>,
    /// From then to the end of the answer.
    pub service: Option<Duration>,
    /// What the client got.
    pub status: Option<u16>,
    /// Of the answer's body.
    pub bytes: Option<u64>,
}

impl fmt::Display for RouterLine {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.code {
            None => write!(formatter, "at=info")?,
            Some(code) => {
                match code {
                    Code::H27 => write!(formatter, "sock=client at=warning")?,
                    Code::H18 => write!(formatter, "sock=backend at=error")?,
                    _ => write!(formatter, "at=error")?,
                }
                write!(formatter, " code={code:?} desc=\"{}\"", code.description())?;
            }
        }
        write!(formatter, " method={} path=\"{}\"", bare(&self.method), quoted(&self.path))?;
        write!(formatter, " host={} request_id={}", bare(&self.host), bare(&self.request_id))?;
        write!(formatter, " fwd=\"{}\" dyno={}", quoted(&self.fwd), self.dyno)?;
        write!(formatter, " connect={} service={}", ms(self.connect), ms(self.service))?;
        let status = self.status.map(|status| status.to_string()).unwrap_or_default();
        let bytes = self.bytes.map(|bytes| bytes.to_string()).unwrap_or_default();
        write!(formatter, " status={status} bytes={bytes} protocol=http")
    }
}

fn ms(span: Option<Duration>) -> String {
    span.map(|span| format!("{}ms", span.as_millis())).unwrap_or_default()
}

fn quoted(text: &str) -> String {
    let clean = |letter: char| if letter == '"' || letter.is_control() { '_' } else { letter };
    text.chars().take(LONGEST_VALUE).map(clean).collect()
}

fn bare(text: &str) -> String {
    quoted(text).replace(char::is_whitespace, "_")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line() -> RouterLine {
        RouterLine {
            code: None,
            method: "GET".to_owned(),
            path: "/m?x=1".to_owned(),
            host: "demo.example.com".to_owned(),
            request_id: "7d1f".to_owned(),
            fwd: "192.0.2.7".to_owned(),
            dyno: "web.1".to_owned(),
            connect: Some(Duration::from_micros(1200)),
            service: Some(Duration::from_millis(23)),
            status: Some(200),
            bytes: Some(512),
        }
    }

    #[test]
    fn a_line_reads_as_herokus_router_writes_it() {
        assert_eq!(
            line().to_string(),
            "at=info method=GET path=\"/m?x=1\" host=demo.example.com request_id=7d1f fwd=\"192.0.2.7\" dyno=web.1 \
             connect=1ms service=23ms status=200 bytes=512 protocol=http"
        );
        let no_process = RouterLine {
            code: Some(Code::H14),
            dyno: String::new(),
            connect: None,
            service: None,
            status: Some(503),
            bytes: Some(0),
            ..line()
        };
        assert_eq!(
            no_process.to_string(),
            "at=error code=H14 desc=\"No web processes running\" method=GET path=\"/m?x=1\" host=demo.example.com \
             request_id=7d1f fwd=\"192.0.2.7\" dyno= connect= service= status=503 bytes=0 protocol=http"
        );
        let gone = RouterLine { code: Some(Code::H27), status: Some(499), ..line() };
        assert!(gone.to_string().starts_with("sock=client at=warning code=H27 desc=\"Client Request Interrupted\""));
    }

    #[test]
    fn a_client_cannot_write_a_line_of_its_own() {
        let shown = RouterLine { host: "a b\nat=info".to_owned(), path: "/\"x\" y".to_owned(), ..line() }.to_string();
        assert!(shown.contains("host=a_b_at=info ") && shown.contains("path=\"/_x_ y\""), "{shown}");
        let long = RouterLine { path: "/".repeat(1_000_000), ..line() }.to_string();
        assert!(long.len() < LONGEST_VALUE + 300);
    }
}
