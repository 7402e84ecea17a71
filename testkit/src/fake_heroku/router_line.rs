//! The line that the router leaves for each request, in either router's order.

use std::{fmt::Write as _, time::Duration};

use super::setup::RouterGeneration;

/// An H code with its text, and how the line begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Code {
    pub(crate) code: &'static str,
    pub(crate) text: &'static str,
    pub(crate) at: &'static str,
    /// Who broke off, for H18 and H27.
    pub(crate) sock: Option<&'static str>,
    pub(crate) status: u16,
}

const fn error(code: &'static str, text: &'static str) -> Code {
    Code { code, text, at: "error", sock: None, status: 503 }
}

pub(crate) const H10: Code = error("H10", "App crashed");
pub(crate) const H11: Code = error("H11", "Backlog too deep");
pub(crate) const H12: Code = error("H12", "Request timeout");
pub(crate) const H13: Code = error("H13", "Connection closed without response");
pub(crate) const H14: Code = error("H14", "No web processes running");
pub(crate) const H15: Code = error("H15", "Idle connection");
pub(crate) const H18: Code = Code { sock: Some("backend"), ..error("H18", "Server Request Interrupted") };
pub(crate) const H19: Code = error("H19", "Backend connection timeout");
pub(crate) const H20: Code = error("H20", "App boot timeout");
pub(crate) const H21: Code = error("H21", "Backend connection refused");
pub(crate) const H27: Code =
    Code { at: "warning", sock: Some("client"), status: 499, ..error("H27", "Client Request Interrupted") };
pub(crate) const H80: Code = Code { at: "info", ..error("H80", "Maintenance mode") };

/// What is known of a request when its line is written; what is not known stays empty in the line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct RouterLine {
    pub(crate) code: Option<Code>,
    pub(crate) method: String,
    /// With the query.
    pub(crate) path: String,
    pub(crate) host: String,
    pub(crate) request_id: String,
    pub(crate) fwd: String,
    pub(crate) dyno: String,
    pub(crate) connect: Option<Duration>,
    pub(crate) service: Option<Duration>,
    pub(crate) status: u16,
    pub(crate) bytes: Option<u64>,
}

impl RouterLine {
    /// The line, without timestamp and source.
    pub(crate) fn text(&self, router: RouterGeneration) -> String {
        let mut text = String::new();
        if let Some(sock) = self.code.and_then(|code| code.sock) {
            let _ = write!(text, "sock={sock} ");
        }
        match self.code {
            None => text.push_str("at=info"),
            Some(code) => {
                let _ = write!(text, "at={} code={} desc=\"{}\"", code.at, code.code, code.text);
            }
        }
        let bytes = self.bytes.map(|bytes| bytes.to_string()).unwrap_or_default();
        let protocol = match router {
            RouterGeneration::Legacy => "protocol=http",
            RouterGeneration::Two => "protocol=http1.1 tls=false",
        };
        // Writing to a text cannot fail.
        let _ = write!(
            text,
            " method={} path=\"{}\" host={} request_id={} fwd=\"{}\" dyno={} connect={} service={} status={} bytes={bytes} \
             {protocol}",
            self.method,
            self.path.replace('"', "%22"),
            self.host,
            self.request_id,
            self.fwd,
            self.dyno,
            milliseconds(self.connect),
            milliseconds(self.service),
            self.status,
        );
        text
    }
}

fn milliseconds(time: Option<Duration>) -> String {
    time.map(|time| format!("{}ms", time.as_millis())).unwrap_or_default()
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
            connect: Some(Duration::from_micros(1400)),
            service: Some(Duration::from_millis(23)),
            status: 200,
            bytes: Some(512),
        }
    }

    #[test]
    fn lines_are_written_as_each_router_writes_them() {
        let timeout = RouterLine {
            code: Some(H12),
            service: Some(Duration::from_secs(30)),
            status: 503,
            bytes: Some(0),
            ..line()
        };
        let gone = RouterLine { code: Some(H27), status: 499, bytes: Some(0), ..line() };
        let none = RouterLine {
            code: Some(H14),
            dyno: String::new(),
            connect: None,
            service: None,
            status: 503,
            bytes: None,
            ..line()
        };
        let common = r#"method=GET path="/m?x=1" host=demo.example.com request_id=7d1f fwd="192.0.2.7""#;
        let table = [
            (
                "fine",
                line(),
                RouterGeneration::Legacy,
                format!("at=info {common} dyno=web.1 connect=1ms service=23ms status=200 bytes=512 protocol=http"),
            ),
            (
                "fine, router 2.0",
                line(),
                RouterGeneration::Two,
                format!(
                    "at=info {common} dyno=web.1 connect=1ms service=23ms status=200 bytes=512 protocol=http1.1 tls=false"
                ),
            ),
            (
                "timed out",
                timeout,
                RouterGeneration::Legacy,
                format!(
                    "at=error code=H12 desc=\"Request timeout\" {common} dyno=web.1 connect=1ms service=30000ms status=503 \
                     bytes=0 protocol=http"
                ),
            ),
            (
                "client gone",
                gone,
                RouterGeneration::Legacy,
                format!(
                    "sock=client at=warning code=H27 desc=\"Client Request Interrupted\" {common} dyno=web.1 connect=1ms \
                     service=23ms status=499 bytes=0 protocol=http"
                ),
            ),
            (
                "nobody there",
                none,
                RouterGeneration::Legacy,
                format!(
                    "at=error code=H14 desc=\"No web processes running\" {common} dyno= connect= service= status=503 bytes= \
                     protocol=http"
                ),
            ),
        ];
        for (name, line, router, expected) in table {
            assert_eq!(line.text(router), expected, "{name}");
        }
    }
}
