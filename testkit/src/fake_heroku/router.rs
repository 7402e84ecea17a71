//! The router before an app: passes a request to the upstream that a test gives, and leaves a line in the app's log.
//!
//! ```text
//! request ─► maintenance? H80 ─► no web? H14 ─► crashed? H10 ─► booting? wait, H20 ─► too many? H11
//!         ─► connect: H21, H19 ─► first byte: H12, H13 ─► body: H15, H18 ─► line ─► (delay, loss, swap) ─► log
//! ```
//!
//! Whoever the client is, and whatever becomes of it, there is exactly one line for each request: the guard that knows
//! the line writes H27 when it is dropped before the request came to its end.

use std::{sync::Arc, time::Duration};

use axum::{
    body::{Body, Bytes},
    extract::{ConnectInfo, Request, State},
    http::{HeaderMap, HeaderName, HeaderValue, StatusCode, Uri, header},
    response::Response,
};
use futures_util::stream;
use http_body_util::BodyExt as _;
use hyper::body::{Body as _, Incoming};
use hyper_util::rt::TokioIo;
use tokio::{net::TcpStream, time::timeout};

use super::{
    clock::Stopwatch,
    dynos::DynoState,
    identity::{new_id, random_below},
    log::Line,
    router_line::{self as codes, Code, RouterLine},
    server::Connection,
    setup::{RouterGeneration, Timings},
    state::{Due, Shared},
};

/// Requests in the router's hands per web dyno before it refuses more (H11).
const BACKLOG_PER_DYNO: usize = 200;

/// A line that waits to be overtaken waits no longer than this.
const LONGEST_HOLD: Duration = Duration::from_secs(1);

/// Headers that mean one connection and are not passed on.
const HOP_BY_HOP: &[&str] =
    &["connection", "keep-alive", "proxy-connection", "te", "trailer", "transfer-encoding", "upgrade"];

/// The router of one app.
#[derive(Clone)]
pub(crate) struct AppRouter {
    pub(crate) shared: Arc<Shared>,
    pub(crate) app: usize,
}

/// Routes one request.
pub(crate) async fn serve(
    State(router): State<AppRouter>,
    ConnectInfo(connection): ConnectInfo<Connection>,
    request: Request,
) -> Response {
    let arrived = Stopwatch::start();
    let request_start = router.shared.clock.moment().civil.as_millisecond();
    let headers = request.headers();
    let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let client = connection.peer.ip().to_string();
    let forwarded = Some(text("x-forwarded-for")).filter(|list| !list.is_empty());
    let path = request.uri().path_and_query().map_or("/", |path| path.as_str()).to_owned();
    let line = RouterLine {
        code: None,
        method: request.method().to_string(),
        path,
        host: text("host").to_owned(),
        request_id: Some(text("x-request-id")).filter(|id| valid_id(id)).map_or_else(new_id, str::to_owned),
        fwd: forwarded.map_or_else(|| client.clone(), |list| format!("{list}, {client}")),
        dyno: String::new(),
        connect: None,
        service: None,
        status: 0,
        bytes: None,
    };
    let timings = router.shared.look(|world, _| {
        world.apps[router.app].in_flight += 1;
        world.timings.clone()
    });
    let mut guard = Guard { router: router.clone(), line, connected: None, finished: false };
    let dyno = match choose_dyno(&router, &timings).await {
        Ok(dyno) => dyno,
        Err(code) => return guard.refuse(code),
    };
    guard.line.dyno = dyno;
    let upstream = router.shared.look(|world, _| {
        let app = &world.apps[router.app];
        (app.upstream.clone(), app.service_time)
    });
    match upstream {
        (None, service_time) => {
            guard.line.connect = Some(Duration::ZERO);
            guard.connected = Some(Stopwatch::start());
            if timeout(timings.request_timeout, tokio::time::sleep(service_time)).await.is_err() {
                return guard.refuse(codes::H12);
            }
            let page = "It works.\n";
            guard.finish(None, 200, Some(page.len() as u64));
            Response::new(Body::from(page))
        }
        (Some(upstream), _) => pass_on(guard, request, &upstream, &timings, request_start, arrived).await,
    }
}

/// A client's own id is honoured when it has 20-200 characters of this set.
fn valid_id(id: &str) -> bool {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"+/=-".contains(&byte);
    (20..=200).contains(&id.len()) && id.bytes().all(allowed)
}

/// What stands in the way of a request before it can go to a dyno, or the dyno.
async fn choose_dyno(router: &AppRouter, timings: &Timings) -> Result<String, Code> {
    let began = Stopwatch::start();
    let mut changes = router.shared.watch();
    loop {
        changes.borrow_and_update();
        let choice = router.shared.look(|world, _| {
            let app = &world.apps[router.app];
            if app.maintenance {
                return Err(Some(codes::H80));
            }
            let web: Vec<_> = app.dynos.iter().filter(|dyno| dyno.process == "web").collect();
            let up: Vec<_> = web.iter().filter(|dyno| dyno.state == DynoState::Up).collect();
            if web.is_empty() {
                Err(Some(codes::H14))
            } else if app.in_flight > BACKLOG_PER_DYNO * web.len() {
                Err(Some(codes::H11))
            } else if !up.is_empty() {
                Ok(up[random_below(up.len())].name.clone())
            } else if web.iter().all(|dyno| dyno.state == DynoState::Crashed) {
                Err(Some(codes::H10))
            } else {
                Err(None)
            }
        });
        match choice {
            Ok(dyno) => return Ok(dyno),
            Err(Some(code)) => return Err(code),
            Err(None) => {
                let left = timings.boot_wait.saturating_sub(began.elapsed());
                if timeout(left, changes.changed()).await.is_err() {
                    return Err(codes::H20);
                }
            }
        }
    }
}

async fn pass_on(
    mut guard: Guard,
    request: Request,
    upstream: &str,
    timings: &Timings,
    request_start: i64,
    arrived: Stopwatch,
) -> Response {
    let connecting = Stopwatch::start();
    let (address, prefix) = upstream_address(upstream);
    let stream = match timeout(timings.connect_timeout, TcpStream::connect(address)).await {
        Ok(Ok(stream)) => stream,
        failed => {
            guard.line.connect = Some(connecting.elapsed());
            return guard.refuse(if failed.is_err() { codes::H19 } else { codes::H21 });
        }
    };
    // See the listener: small answers must not wait for each other.
    let _ = stream.set_nodelay(true);
    let connect = connecting.elapsed();
    guard.line.connect = Some(connect);
    guard.connected = Some(Stopwatch::start());
    let Ok((mut sender, connection)) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await else {
        return guard.refuse(codes::H13);
    };
    // It ends with the exchange; what went wrong with it the exchange says.
    tokio::spawn(connection);
    let request = to_dyno(request, &guard.line, prefix, request_start, connect, arrived.elapsed(), guard.generation());
    let response = match timeout(timings.request_timeout, sender.send_request(request)).await {
        Err(_) => return guard.refuse(codes::H12),
        Ok(Err(_)) => return guard.refuse(codes::H13),
        Ok(Ok(response)) => response,
    };
    let (mut parts, body) = response.into_parts();
    remove_hop_by_hop(&mut parts.headers);
    parts.headers.append(header::VIA, HeaderValue::from_static(via(guard.generation())));
    let status = parts.status.as_u16();
    let relay = Relay { guard: Some(guard), body, status, bytes: 0, idle_timeout: timings.idle_timeout };
    Response::from_parts(parts, relay.into_body())
}

/// `host:port` and the path that comes before every path.
fn upstream_address(upstream: &str) -> (String, String) {
    let uri: Uri = upstream.parse().unwrap_or_default();
    let host = uri.host().unwrap_or("127.0.0.1").to_owned();
    (format!("{host}:{}", uri.port_u16().unwrap_or(80)), uri.path().trim_end_matches('/').to_owned())
}

fn to_dyno(
    request: Request,
    line: &RouterLine,
    prefix: String,
    request_start: i64,
    connect: Duration,
    routed: Duration,
    generation: RouterGeneration,
) -> hyper::Request<Body> {
    let (mut parts, body) = request.into_parts();
    // A path is a part of a valid address; joined to another path it is one again.
    parts.uri = format!("{prefix}{}", line.path).parse().unwrap_or_else(|_| Uri::from_static("/"));
    parts.version = hyper::Version::HTTP_11;
    // They hold the client's connection, which must be able to end before the dyno's.
    parts.extensions.clear();
    remove_hop_by_hop(&mut parts.headers);
    let mut set = |name: &'static str, value: String| {
        if let Ok(value) = HeaderValue::from_str(&value) {
            parts.headers.insert(HeaderName::from_static(name), value);
        }
    };
    set("x-request-id", line.request_id.clone());
    set("x-request-start", request_start.to_string());
    set("x-forwarded-for", line.fwd.clone());
    set("x-forwarded-proto", "http".to_owned());
    set("x-forwarded-port", line.host.rsplit_once(':').map_or("80", |(_, port)| port).to_owned());
    set("via", via(generation).to_owned());
    if generation == RouterGeneration::Legacy {
        set("connect-time", connect.as_millis().to_string());
        set("total-route-time", routed.as_millis().to_string());
    }
    hyper::Request::from_parts(parts, body)
}

/// The legacy router's name is known, that of Router 2.0 is a guess.
fn via(generation: RouterGeneration) -> &'static str {
    match generation {
        RouterGeneration::Legacy => "1.1 vegur",
        RouterGeneration::Two => "1.1 heroku-router",
    }
}

fn remove_hop_by_hop(headers: &mut HeaderMap) {
    for name in HOP_BY_HOP {
        headers.remove(*name);
    }
}

/// Owes the log one line.
struct Guard {
    router: AppRouter,
    line: RouterLine,
    connected: Option<Stopwatch>,
    finished: bool,
}

impl Guard {
    fn generation(&self) -> RouterGeneration {
        self.router.shared.look(|world, _| world.router)
    }

    /// Writes the line and shows the client the router's own page.
    fn refuse(mut self, code: Code) -> Response {
        let bytes = self.connected.map(|_| 0);
        self.finish(Some(code), code.status, bytes);
        let heading = if code.code == "H80" { "Offline for Maintenance" } else { "Application error" };
        let page =
            format!("<!DOCTYPE html>\n<html><head><title>{heading}</title></head><body>{heading}</body></html>\n");
        let mut response = Response::new(Body::from(page));
        *response.status_mut() = StatusCode::from_u16(code.status).unwrap_or(StatusCode::SERVICE_UNAVAILABLE);
        response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("text/html; charset=utf-8"));
        response.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("no-cache, no-store"));
        response
    }

    fn finish(&mut self, code: Option<Code>, status: u16, bytes: Option<u64>) {
        if std::mem::replace(&mut self.finished, true) {
            return;
        }
        self.line.code = code;
        self.line.status = status;
        self.line.bytes = bytes;
        self.line.service = self.connected.map(Stopwatch::elapsed);
        let app = self.router.app;
        self.router.shared.with(|world, now| {
            world.apps[app].in_flight = world.apps[app].in_flight.saturating_sub(1);
            let line = Line::new(now.civil, "heroku", "router", self.line.text(world.router));
            let faults = &mut world.apps[app].router_log_faults;
            if faults.drop_next > 0 {
                faults.drop_next -= 1;
                return;
            }
            let (delay, swap) = (faults.delay, faults.swap_pairs);
            let mut lines = vec![line];
            if swap {
                match world.apps[app].held_line.take() {
                    Some(earlier) => lines.push(earlier),
                    None => {
                        world.apps[app].held_line = lines.pop();
                        world.agenda.add(now.since_start + delay + LONGEST_HOLD, Due::HeldLine { app });
                    }
                }
            }
            for line in lines {
                if delay.is_zero() {
                    world.apps[app].log.push(line);
                } else {
                    world.agenda.add(now.since_start + delay, Due::Line { app, line });
                }
            }
        });
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        let bytes = self.line.bytes;
        self.finish(Some(codes::H27), codes::H27.status, bytes.or(Some(0)));
    }
}

/// An answer on its way from the dyno to the client.
struct Relay {
    /// Taken when the answer is whole, or broken.
    guard: Option<Guard>,
    body: Incoming,
    status: u16,
    bytes: u64,
    idle_timeout: Duration,
}

impl Relay {
    fn into_body(mut self) -> Body {
        if self.body.is_end_stream() {
            self.finish(None);
            return Body::empty();
        }
        Body::from_stream(stream::unfold(self, Self::next))
    }

    async fn next(mut self) -> Option<(Result<Bytes, std::io::Error>, Self)> {
        self.guard.as_ref()?;
        loop {
            let broken = match timeout(self.idle_timeout, self.body.frame()).await {
                Err(_) => codes::H15,
                Ok(None) => {
                    self.finish(None);
                    return None;
                }
                Ok(Some(Err(_))) => codes::H18,
                Ok(Some(Ok(frame))) => {
                    let Ok(piece) = frame.into_data() else { continue };
                    self.bytes += piece.len() as u64;
                    if let Some(guard) = &mut self.guard {
                        guard.line.bytes = Some(self.bytes);
                    }
                    // A body of known length is not asked again after its last byte.
                    if self.body.is_end_stream() {
                        self.finish(None);
                    }
                    return Some((Ok(piece), self));
                }
            };
            self.finish(Some(broken));
            return Some((Err(std::io::Error::other(broken.text)), self));
        }
    }

    fn finish(&mut self, code: Option<Code>) {
        if let Some(mut guard) = self.guard.take() {
            let status = code.map_or(self.status, |code| code.status);
            guard.finish(code, status, Some(self.bytes));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_ids_that_heroku_would_honour_are_honoured() {
        let table = [
            ("a uuid", "7d1f4c6e-0000-4000-8000-000000000001".to_owned(), true),
            ("19 characters", "a".repeat(19), false),
            ("20 characters", "a".repeat(20), true),
            ("200 characters", "a".repeat(200), true),
            ("201 characters", "a".repeat(201), false),
            ("all kinds", "abcXYZ0123456789+/=-".to_owned(), true),
            ("an underscore", "abc_def_ghi_jkl_mno_pqr".to_owned(), false),
        ];
        for (name, id, honoured) in table {
            assert_eq!(valid_id(&id), honoured, "{name}");
        }
    }

    #[test]
    fn an_upstream_may_have_a_path_and_no_port() {
        assert_eq!(upstream_address("http://127.0.0.1:8000"), ("127.0.0.1:8000".to_owned(), String::new()));
        assert_eq!(upstream_address("http://localhost/app/"), ("localhost:80".to_owned(), "/app".to_owned()));
    }
}
