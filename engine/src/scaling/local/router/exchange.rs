//! One request on its way: what is known about it, the answer that passes through, and the line that is left of it.

use std::{
    net::SocketAddr,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    task::{Context, Poll, ready},
    time::Duration,
};

use autoscalebot_core::moment::Moment;
use bytes::Bytes;
use http_body_util::{Either, Full};
use hyper::{
    Request, Response, StatusCode,
    body::{Body, Frame, Incoming, SizeHint},
    header::{self, HeaderMap, HeaderName, HeaderValue},
    upgrade::OnUpgrade,
};
use hyper_util::rt::TokioIo;
use tokio::time::{Sleep, sleep};

use super::{
    super::{
        output::Speaker,
        router_line::{Code, RouterLine},
    },
    Router,
};

/// Once it has begun, something must be sent at least this often (Heroku, H15).
const NEXT_BYTE_WITHIN: Duration = Duration::from_secs(55);

/// What a client gets: our own words, or the app's as they come.
pub type Answer = Either<Full<Bytes>, Relayed>;

/// One request that a process works on, as long as it exists.
pub struct Outstanding(Arc<AtomicUsize>);

impl Outstanding {
    pub fn new(count: Arc<AtomicUsize>) -> Self {
        count.fetch_add(1, Ordering::Relaxed);
        Self(count)
    }
}

impl Drop for Outstanding {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// What is known about a request; becomes its log line when it is over. Dropped early means that the client went away.
pub struct Record {
    router: Arc<Router>,
    /// What the line will say, as far as it is known.
    pub line: RouterLine,
    /// When the request came.
    pub received: Moment,
    /// When a process had accepted it.
    pub connected: Option<Moment>,
    bytes: u64,
    written: bool,
}

impl Record {
    pub fn new(router: Arc<Router>, request: &Request<Incoming>, peer: SocketAddr) -> Self {
        let text = |name: &str| {
            let values = request.headers().get_all(name).iter().filter_map(|value| value.to_str().ok());
            values.collect::<Vec<_>>().join(", ")
        };
        let (earlier, peer) = (text("x-forwarded-for"), peer.ip().to_string());
        let fwd = if earlier.is_empty() { peer } else { format!("{earlier}, {peer}") };
        let given_id = text("x-request-id");
        let request_id = if is_request_id(&given_id) { given_id } else { uuid::Uuid::new_v4().to_string() };
        let host = match text("host") {
            host if host.is_empty() => request.uri().authority().map(ToString::to_string).unwrap_or_default(),
            host => host,
        };
        let line = RouterLine {
            method: request.method().to_string(),
            path: request.uri().path_and_query().map(ToString::to_string).unwrap_or_default(),
            host,
            request_id,
            fwd,
            ..RouterLine::default()
        };
        Self { received: router.clock.now(), router, line, connected: None, bytes: 0, written: false }
    }

    /// We answer in place of the app.
    pub fn fail(mut self, code: Code) -> Response<Answer> {
        self.line.status = Some(code.status());
        let text = format!("{code:?}: {}\n", code.description());
        self.bytes = text.len() as u64;
        self.write(Some(code));
        plain(StatusCode::SERVICE_UNAVAILABLE, text)
    }

    /// The request is none that can be forwarded.
    pub fn refuse(mut self, status: StatusCode, text: &'static str) -> Response<Answer> {
        self.line.status = Some(status.as_u16());
        self.bytes = text.len() as u64;
        self.write(None);
        plain(status, text.to_owned())
    }

    fn write(&mut self, code: Option<Code>) {
        if std::mem::replace(&mut self.written, true) {
            return;
        }
        self.line.code = code;
        self.line.bytes = Some(self.bytes);
        let now = self.router.clock.now();
        self.line.service = self.connected.map(|connected| now.since(&connected));
        self.router.output.line(Speaker::Router, &self.line.to_string());
    }
}

impl Drop for Record {
    fn drop(&mut self) {
        if !self.written {
            self.line.status = Some(Code::H27.status());
            self.write(Some(Code::H27));
        }
    }
}

/// The body of an answer on its way to the client.
pub struct Relayed {
    body: Incoming,
    record: Record,
    _outstanding: Outstanding,
    patience: Pin<Box<Sleep>>,
}

impl Relayed {
    pub fn new(body: Incoming, mut record: Record, outstanding: Outstanding) -> Self {
        if body.is_end_stream() {
            // Nobody will ask for more, so nobody would tell us the end.
            record.write(None);
        }
        Self { body, record, _outstanding: outstanding, patience: Box::pin(sleep(NEXT_BYTE_WITHIN)) }
    }
}

impl Body for Relayed {
    type Data = Bytes;
    type Error = Box<dyn std::error::Error + Send + Sync>;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        let this = &mut *self;
        if let Poll::Ready(frame) = Pin::new(&mut this.body).poll_frame(context) {
            return Poll::Ready(match frame {
                Some(Ok(frame)) => {
                    this.record.bytes += frame.data_ref().map_or(0, |data| data.len() as u64);
                    if this.body.is_end_stream() {
                        this.record.write(None);
                    } else {
                        this.patience.set(sleep(NEXT_BYTE_WITHIN));
                    }
                    Some(Ok(frame))
                }
                Some(Err(error)) => {
                    this.record.write(Some(Code::H18));
                    Some(Err(error.into()))
                }
                None => {
                    this.record.write(None);
                    None
                }
            });
        }
        ready!(this.patience.as_mut().poll(context));
        this.record.write(Some(Code::H15));
        Poll::Ready(Some(Err("nothing was sent for too long".into())))
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

/// A protocol such as WebSocket: from here on bytes go both ways until one side ends.
pub async fn relay_both_ways(client: OnUpgrade, app: OnUpgrade, mut record: Record, outstanding: Outstanding) {
    let (Ok(client), Ok(app)) = (client.await, app.await) else { return };
    let (mut client, mut app) = (TokioIo::new(client), TokioIo::new(app));
    // How it ends says nothing about the app: sides of such a connection close it as they like.
    if let Ok((_, to_client)) = tokio::io::copy_bidirectional(&mut client, &mut app).await {
        record.bytes = to_client;
    }
    record.write(None);
    drop(outstanding);
}

fn plain(status: StatusCode, text: String) -> Response<Answer> {
    let mut response = Response::new(Either::Left(Full::from(text)));
    *response.status_mut() = status;
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
    response
}

/// 20 to 200 letters, digits, `+`, `/`, `=` and `-` (Heroku's rule).
fn is_request_id(text: &str) -> bool {
    let legal = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'/' | b'=' | b'-');
    (20..=200).contains(&text.len()) && text.bytes().all(legal)
}

/// Headers that are about one connection and not about the message (RFC 9110, 7.6.1).
pub fn remove_hop_by_hop(headers: &mut HeaderMap) {
    let named: Vec<HeaderName> = headers
        .get_all(header::CONNECTION)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .filter_map(|name| name.trim().parse().ok())
        .collect();
    let always = [
        header::CONNECTION,
        header::PROXY_AUTHENTICATE,
        header::PROXY_AUTHORIZATION,
        header::TE,
        header::TRAILER,
        header::TRANSFER_ENCODING,
        header::UPGRADE,
        HeaderName::from_static("keep-alive"),
        HeaderName::from_static("proxy-connection"),
    ];
    for name in named.into_iter().chain(always) {
        headers.remove(name);
    }
}
