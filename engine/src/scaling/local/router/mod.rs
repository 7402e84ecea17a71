//! The router: takes HTTP requests on one port and hands each to one of the web processes that are up.
//!
//! It is built to Heroku's rules, so that what is learned against it holds there: the headers that it adds, 503 with an
//! error code when it has no answer to give, 30 seconds for the first byte, and one log line per request. By default a
//! request goes to the process that works on the fewest (ties go round); `random` chooses blindly, as Heroku does. When
//! a process does not accept the connection the next one is tried. A request is held, never queued, while no process is
//! up but one is starting.
//!
//! Bodies are streamed both ways and never kept. Towards clients connections are kept alive; towards the processes each
//! request has a connection of its own, because an idle one would occupy a process that can serve only one at a time.
//! No TLS, no HTTP/2: something else does that in front, or nothing does on a desk.

mod choice;
mod exchange;

use std::{
    collections::HashSet,
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use http_body_util::{Either, Full};
use hyper::{
    Method, Request, Response, StatusCode, Uri, Version,
    body::Incoming,
    client::conn::http1 as client,
    header::{self, HeaderName, HeaderValue},
    server::conn::http1 as server,
    service::service_fn,
};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::Semaphore,
    time::{sleep, timeout},
};
use tokio_util::sync::CancellationToken;

pub use self::choice::Balance;
use self::{
    choice::{Choice, choose},
    exchange::{Answer, Outstanding, Record, Relayed, relay_both_ways, remove_hop_by_hop},
};
use super::{
    board::{Board, Members},
    output::Output,
    router_line::Code,
};
use crate::clock::Clock;

/// An answer must begin within this (Heroku, H12). Also how long a request is held while processes start.
pub const FIRST_BYTE_WITHIN: Duration = Duration::from_secs(30);

/// A process must accept a connection within this (Heroku, H19).
const CONNECT_WITHIN: Duration = Duration::from_secs(5);

/// So many processes are tried (Heroku).
const MOST_TRIES: usize = 10;

/// So many clients at a time; more wait in the system's queue. Each costs two file descriptors, and 1024 is a common
/// limit for those, but a higher one is common too.
const MOST_CLIENTS: usize = 4096;

/// A client must send the head of its request within this.
const HEAD_WITHIN: Duration = Duration::from_secs(30);

/// How the router names itself in `Via`.
const VIA: HeaderValue = HeaderValue::from_static("1.1 autoscalebot");

/// After the system refused to accept a connection (no file descriptors, mostly).
const ACCEPT_AGAIN_AFTER: Duration = Duration::from_millis(100);

/// The router of one platform.
pub struct Router {
    board: tokio::sync::watch::Receiver<Members>,
    output: Output,
    clock: Arc<dyn Clock>,
    balance: Balance,
    port: u16,
    turn: AtomicUsize,
}

impl Router {
    /// A router for the processes on a board, told on which port it listens.
    #[must_use]
    pub fn new(web: &Board, output: Output, clock: Arc<dyn Clock>, balance: Balance, port: u16) -> Self {
        Self { board: web.subscribe(), output, clock, balance, port, turn: AtomicUsize::new(0) }
    }

    /// Serves until `stop`; requests that have begun by then are served to their end.
    pub async fn serve(self, listener: TcpListener, stop: CancellationToken) {
        let router = Arc::new(self);
        let clients = Arc::new(Semaphore::new(MOST_CLIENTS));
        loop {
            let Ok(permit) = clients.clone().acquire_owned().await else { return };
            let accepted = tokio::select! {
                accepted = listener.accept() => accepted,
                () = stop.cancelled() => return,
            };
            let Ok((stream, peer)) = accepted else {
                sleep(ACCEPT_AGAIN_AFTER).await;
                continue;
            };
            // Small answers must not wait for larger ones to fill a packet. Failing to say so costs only speed.
            let _ = stream.set_nodelay(true);
            let (router, stop) = (router.clone(), stop.clone());
            tokio::spawn(async move {
                router.serve_client(stream, peer, stop).await;
                drop(permit);
            });
        }
    }

    async fn serve_client(self: Arc<Self>, stream: TcpStream, peer: SocketAddr, stop: CancellationToken) {
        let service = service_fn(|request| {
            let router = self.clone();
            async move { Ok::<_, std::convert::Infallible>(router.answer(request, peer).await) }
        });
        let mut builder = server::Builder::new();
        builder.timer(TokioTimer::new()).header_read_timeout(HEAD_WITHIN);
        let connection = builder.serve_connection(TokioIo::new(stream), service).with_upgrades();
        tokio::pin!(connection);
        // An error is the client's doing (it left, or does not speak HTTP) and was logged if it was a request.
        tokio::select! {
            _ = connection.as_mut() => return,
            () = stop.cancelled() => connection.as_mut().graceful_shutdown(),
        }
        let _ = connection.await;
    }

    async fn answer(self: Arc<Self>, mut request: Request<Incoming>, peer: SocketAddr) -> Response<Answer> {
        let mut record = Record::new(self.clone(), &request, peer);
        if request.method() == Method::CONNECT || request.uri().path().is_empty() {
            return record
                .refuse(StatusCode::BAD_REQUEST, "This router forwards requests to the app; it is no proxy.\n");
        }
        let connected = match self.connect().await {
            Ok(connected) => connected,
            Err(code) => return record.fail(code),
        };
        record.line.dyno = connected.name.to_string();
        record.line.connect = Some(connected.took);
        record.connected = Some(self.clock.now());

        let upgrade = request.headers().get(header::UPGRADE).cloned();
        let client_side = upgrade.is_some().then(|| hyper::upgrade::on(&mut request));
        let forwarded = self.forwarded(request, upgrade, &record);
        let (mut sender, connection) = match client::handshake(TokioIo::new(connected.stream)).await {
            Ok(pair) => pair,
            Err(_) => return record.fail(Code::H13),
        };
        // It ends with the request; what goes wrong in it shows in the answer.
        tokio::spawn(connection.with_upgrades());
        let mut response = match timeout(FIRST_BYTE_WITHIN, sender.send_request(forwarded)).await {
            Err(_) => return record.fail(Code::H12),
            Ok(Err(_)) => return record.fail(Code::H13),
            Ok(Ok(response)) => response,
        };
        let upgraded = response.status() == StatusCode::SWITCHING_PROTOCOLS;
        let protocol = response.headers().get(header::UPGRADE).cloned();
        remove_hop_by_hop(response.headers_mut());
        response.headers_mut().append(header::VIA, VIA);
        *response.version_mut() = Version::HTTP_11;
        record.line.status = Some(response.status().as_u16());
        if upgraded {
            let app_side = hyper::upgrade::on(&mut response);
            if let (Some(client_side), Some(protocol)) = (client_side, protocol) {
                response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("upgrade"));
                response.headers_mut().insert(header::UPGRADE, protocol);
                tokio::spawn(relay_both_ways(client_side, app_side, record, connected.outstanding));
                return response.map(|_| Either::Left(Full::default()));
            }
            return record.fail(Code::H13);
        }
        response.map(|body| Either::Right(Relayed::new(body, record, connected.outstanding)))
    }

    /// A connection to one of the processes, or why there is none.
    async fn connect(&self) -> Result<Connected, Code> {
        let mut board = self.board.clone();
        let mut tried = HashSet::new();
        let mut last = None;
        let patience = sleep(FIRST_BYTE_WITHIN);
        tokio::pin!(patience);
        loop {
            let choice = choose(&board.borrow_and_update(), &tried, self.balance, || self.next_turn());
            match choice {
                Choice::Process(run, member, address) => {
                    let outstanding = Outstanding::new(member.outstanding.clone());
                    let started = self.clock.now();
                    match timeout(CONNECT_WITHIN, TcpStream::connect(address)).await {
                        Ok(Ok(stream)) => {
                            let _ = stream.set_nodelay(true);
                            let took = self.clock.now().since(&started);
                            return Ok(Connected { stream, name: member.name, took, outstanding });
                        }
                        Ok(Err(_)) => last = Some(Code::H21),
                        Err(_) => last = Some(Code::H19),
                    }
                    tried.insert(run);
                    if let (Some(code), true) = (last, tried.len() >= MOST_TRIES) {
                        return Err(code);
                    }
                }
                Choice::Starting => {
                    if let Some(code) = last {
                        return Err(code);
                    }
                    tokio::select! {
                        changed = board.changed() => if changed.is_err() { return Err(Code::H14) },
                        () = &mut patience => return Err(Code::H20),
                    }
                }
                Choice::None(code) => return Err(last.unwrap_or(code)),
            }
        }
    }

    fn next_turn(&self) -> usize {
        match self.balance {
            Balance::LeastBusy => self.turn.fetch_add(1, Ordering::Relaxed),
            // A random UUID is a handy source of chance that is here already.
            Balance::Random => usize::try_from(uuid::Uuid::new_v4().as_u64_pair().0 >> 33).unwrap_or(0),
        }
    }

    /// The request as the process gets it.
    fn forwarded(
        &self,
        request: Request<Incoming>,
        upgrade: Option<HeaderValue>,
        record: &Record,
    ) -> Request<Incoming> {
        let (mut parts, body) = request.into_parts();
        if let (Some(authority), false) = (parts.uri.authority(), parts.headers.contains_key(header::HOST))
            && let Ok(host) = HeaderValue::from_str(authority.as_str())
        {
            parts.headers.insert(header::HOST, host);
        }
        // Processes get the path alone; a client that thinks us a proxy sends the whole address.
        let path = parts.uri.path_and_query().cloned();
        parts.uri = path.map_or_else(|| Uri::from_static("/"), Uri::from);
        parts.version = Version::HTTP_11;
        let headers = &mut parts.headers;
        remove_hop_by_hop(headers);
        // The go-ahead comes from here as soon as the body is asked for.
        headers.remove(header::EXPECT);
        if let Some(protocol) = upgrade {
            headers.insert(header::CONNECTION, HeaderValue::from_static("upgrade"));
            headers.insert(header::UPGRADE, protocol);
        } else {
            headers.insert(header::CONNECTION, HeaderValue::from_static("close"));
        }
        let mut set = |name: &'static str, value: &str| {
            if let Ok(value) = HeaderValue::from_str(value) {
                headers.insert(HeaderName::from_static(name), value);
            }
        };
        set("x-request-id", &record.line.request_id);
        set("x-request-start", &record.received.civil.as_millisecond().to_string());
        set("x-forwarded-for", &record.line.fwd);
        set("x-forwarded-proto", "http");
        set("x-forwarded-port", &self.port.to_string());
        headers.append(header::VIA, VIA);
        Request::from_parts(parts, body)
    }
}

struct Connected {
    stream: TcpStream,
    name: Arc<str>,
    took: Duration,
    outstanding: Outstanding,
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    use super::{
        super::board::{Member, Phase, RunNumber},
        *,
    };
    use crate::clock::SystemClock;

    /// A router on a free port, its board, and the lines it writes.
    struct Stand {
        address: SocketAddr,
        board: Board,
        lines: Box<dyn Iterator<Item = String>>,
        _stop: tokio_util::sync::DropGuard,
    }

    impl Stand {
        async fn new() -> Self {
            let clock = Arc::new(SystemClock::new());
            let (output, lines) = Output::captured(clock.clone());
            let (board, stop) = (Board::default(), CancellationToken::new());
            let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
            let address = listener.local_addr().unwrap();
            let router = Router::new(&board, output, clock, Balance::LeastBusy, address.port());
            tokio::spawn(router.serve(listener, stop.clone()));
            Self { address, board, lines: Box::new(lines), _stop: stop.drop_guard() }
        }

        fn up(&self, number: u64, address: SocketAddr) {
            self.board.want(u32::try_from(number).unwrap(), &[]);
            let name = format!("web.{number}").into();
            self.board.join(RunNumber(number), Member::new(name, Phase::Up, Some(address)));
        }

        /// Sends a text as it is and reads until the router closes.
        async fn talk(&self, request: &str) -> String {
            let mut stream = TcpStream::connect(self.address).await.unwrap();
            stream.write_all(request.as_bytes()).await.unwrap();
            let mut answer = Vec::new();
            stream.read_to_end(&mut answer).await.unwrap();
            String::from_utf8_lossy(&answer).into_owned()
        }

        /// The next line, without its time; lines are written just after the last byte, so it may take a moment.
        async fn line(&mut self) -> String {
            for _ in 0..1000 {
                if let Some(line) = self.lines.next() {
                    return line.split_once(' ').unwrap().1.trim_end().to_owned();
                }
                tokio::task::yield_now().await;
                sleep(Duration::from_millis(1)).await;
            }
            panic!("no line was written");
        }
    }

    /// An app that answers every connection's first request with what `answer` makes of it.
    async fn app(answer: impl Fn(&str) -> String + Send + Sync + 'static) -> SocketAddr {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let answer = Arc::new(answer);
        tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                let answer = answer.clone();
                tokio::spawn(async move {
                    let request = read_head(&mut stream).await;
                    stream.write_all(answer(&request).as_bytes()).await.unwrap();
                });
            }
        });
        address
    }

    async fn read_head(stream: &mut TcpStream) -> String {
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            match stream.read_u8().await {
                Ok(byte) => head.push(byte),
                Err(_) => break,
            }
        }
        String::from_utf8(head).unwrap()
    }

    fn ok(body: &str) -> String {
        format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{body}", body.len())
    }

    fn get(path: &str) -> String {
        format!("GET {path} HTTP/1.1\r\nHost: demo.example.com\r\nConnection: close\r\n\r\n")
    }

    /// An address where nobody listens, as long as it is held: a port that is given back may be another test's at once.
    fn nobody() -> (tokio::net::TcpSocket, SocketAddr) {
        let socket = tokio::net::TcpSocket::new_v4().unwrap();
        socket.bind(SocketAddr::from(([127, 0, 0, 1], 0))).unwrap();
        let address = socket.local_addr().unwrap();
        (socket, address)
    }

    #[tokio::test]
    async fn the_process_is_told_who_asks_when_and_under_which_id() {
        let mut stand = Stand::new().await;
        stand.up(1, app(ok).await);
        let before = SystemClock::new().now().civil.as_millisecond();
        let answer = stand
            .talk(
                "GET /a?b=c HTTP/1.1\r\nHost: demo.example.com\r\nX-Forwarded-For: 192.0.2.7\r\nX-Request-Start: 5\r\n\
                 Keep-Alive: 5\r\nConnection: close, x-secret\r\nX-Secret: 1\r\nX-Request-Id: bad id\r\n\r\n",
            )
            .await;
        let told = answer.split_once("\r\n\r\n").unwrap().1.to_lowercase();
        let value = |name: &str| {
            let values: Vec<&str> = told.lines().filter_map(|line| line.strip_prefix(&format!("{name}: "))).collect();
            assert_eq!(values.len(), 1, "{name} in {told}");
            values[0].to_owned()
        };
        assert!(told.starts_with("get /a?b=c http/1.1\r\n"), "{told}");
        assert_eq!(value("host"), "demo.example.com");
        assert_eq!(value("x-forwarded-for"), "192.0.2.7, 127.0.0.1");
        assert_eq!(value("x-forwarded-proto"), "http");
        assert_eq!(value("x-forwarded-port"), stand.address.port().to_string());
        assert_eq!(value("via"), "1.1 autoscalebot");
        assert!(uuid::Uuid::parse_str(&value("x-request-id")).is_ok());
        let start: i64 = value("x-request-start").parse().unwrap();
        assert!((before..before + 60_000).contains(&start), "{start} is not now in milliseconds");
        assert!(!told.contains("x-secret") && !told.contains("keep-alive"), "{told}");

        let line = stand.line().await;
        assert!(
            line.starts_with("heroku[router]: at=info method=GET path=\"/a?b=c\" host=demo.example.com "),
            "{line}"
        );
        assert!(
            line.contains(&format!("request_id={} fwd=\"192.0.2.7, 127.0.0.1\" dyno=web.1 ", value("x-request-id")))
        );
        assert!(line.ends_with(&format!("status=200 bytes={} protocol=http", told.len())), "{line}");
    }

    #[tokio::test]
    async fn a_valid_request_id_of_the_client_is_kept() {
        let stand = Stand::new().await;
        stand.up(1, app(ok).await);
        let id = "f9ed4675f1c53513c61a3b3b4e25b4c0";
        let request = format!("GET / HTTP/1.1\r\nHost: x\r\nX-Request-ID: {id}\r\nConnection: close\r\n\r\n");
        assert!(stand.talk(&request).await.contains(&format!("x-request-id: {id}")));
    }

    #[tokio::test]
    async fn without_processes_the_answer_is_503_and_the_line_says_h14() {
        let mut stand = Stand::new().await;
        let answer = stand.talk(&get("/")).await;
        assert!(answer.starts_with("HTTP/1.1 503 "), "{answer}");
        let line = stand.line().await;
        assert!(line.contains("at=error code=H14 desc=\"No web processes running\" method=GET"), "{line}");
        assert!(line.contains("dyno= connect= service= status=503"), "{line}");
    }

    #[tokio::test]
    async fn a_process_that_refuses_is_passed_over() {
        let mut stand = Stand::new().await;
        let (_held, address) = nobody();
        stand.up(1, address);
        stand.up(2, app(|_| ok("hello")).await);
        for _ in 0..4 {
            assert!(stand.talk(&get("/")).await.ends_with("hello"));
            assert!(stand.line().await.contains("dyno=web.2"));
        }
    }

    #[tokio::test]
    async fn when_all_refuse_the_line_says_h21() {
        let mut stand = Stand::new().await;
        let held = [nobody(), nobody()];
        stand.up(1, held[0].1);
        stand.up(2, held[1].1);
        assert!(stand.talk(&get("/")).await.starts_with("HTTP/1.1 503 "));
        assert!(stand.line().await.contains("code=H21 desc=\"Backend connection refused\""));
    }

    #[tokio::test]
    async fn a_request_waits_for_a_process_that_starts() {
        let mut stand = Stand::new().await;
        stand.board.want(1, &[]);
        stand.board.join(RunNumber(1), Member::new("web.1".into(), Phase::Starting, None));
        let mut stream = TcpStream::connect(stand.address).await.unwrap();
        stream.write_all(get("/").as_bytes()).await.unwrap();
        assert!(timeout(Duration::from_millis(50), stream.read_u8()).await.is_err(), "it was not held");
        stand.up(1, app(|_| ok("hello")).await);
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        assert!(answer.ends_with("hello"), "{answer}");
        assert!(stand.line().await.contains("status=200"));
    }

    #[tokio::test]
    async fn when_all_have_crashed_the_line_says_h10() {
        let mut stand = Stand::new().await;
        stand.board.want(1, &[]);
        stand.board.join(RunNumber(1), Member::new("web.1".into(), Phase::Crashed, None));
        assert!(stand.talk(&get("/")).await.starts_with("HTTP/1.1 503 "));
        assert!(stand.line().await.contains("code=H10"));
    }

    #[tokio::test]
    async fn a_process_that_closes_without_an_answer_gives_h13() {
        let mut stand = Stand::new().await;
        stand.up(1, app(|_| String::new()).await);
        assert!(stand.talk(&get("/")).await.starts_with("HTTP/1.1 503 "));
        assert!(stand.line().await.contains("code=H13"));
    }

    #[tokio::test]
    async fn no_answer_within_30_seconds_is_503_and_h12() {
        let mut stand = Stand::new().await;
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        stand.up(1, listener.local_addr().unwrap());
        let mut client = TcpStream::connect(stand.address).await.unwrap();
        client.write_all(get("/slow").as_bytes()).await.unwrap();
        let (mut held, _) = listener.accept().await.unwrap();
        read_head(&mut held).await;
        // From here on nothing happens by itself, so the clock may jump to the next thing that is waited for.
        tokio::time::pause();
        let mut answer = String::new();
        client.read_to_string(&mut answer).await.unwrap();
        assert!(answer.starts_with("HTTP/1.1 503 "), "{answer}");
        let line = stand.line().await;
        assert!(line.contains("code=H12 desc=\"Request timeout\"") && line.contains("service=3000"), "{line}");
    }

    #[tokio::test]
    async fn a_client_that_leaves_gives_h27_and_frees_the_process() {
        let mut stand = Stand::new().await;
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        stand.up(1, listener.local_addr().unwrap());
        let mut client = TcpStream::connect(stand.address).await.unwrap();
        client.write_all(get("/").as_bytes()).await.unwrap();
        let (mut held, _) = listener.accept().await.unwrap();
        read_head(&mut held).await;
        drop(client);
        let line = stand.line().await;
        assert!(line.contains("sock=client at=warning code=H27") && line.contains("status=499"), "{line}");
        assert_eq!(stand.board.subscribe().borrow().present[&RunNumber(1)].load(), 0);
    }

    #[tokio::test]
    async fn bodies_are_streamed_both_ways() {
        let mut stand = Stand::new().await;
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        stand.up(1, listener.local_addr().unwrap());
        let mut client = TcpStream::connect(stand.address).await.unwrap();
        client
            .write_all(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 6\r\nConnection: close\r\n\r\none")
            .await
            .unwrap();
        let (mut process, _) = listener.accept().await.unwrap();
        read_head(&mut process).await;
        let mut three = [0; 3];
        // Half of each body is there before the other half is sent.
        process.read_exact(&mut three).await.unwrap();
        assert_eq!(&three, b"one");
        process.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nabc").await.unwrap();
        assert!(read_head(&mut client).await.starts_with("HTTP/1.1 200"));
        client.read_exact(&mut three).await.unwrap();
        assert_eq!(&three, b"abc");
        client.write_all(b"two").await.unwrap();
        process.read_exact(&mut three).await.unwrap();
        assert_eq!(&three, b"two");
        process.write_all(b"def").await.unwrap();
        client.read_exact(&mut three).await.unwrap();
        assert_eq!(&three, b"def");
        assert!(stand.line().await.contains("status=200 bytes=6"));
    }

    #[tokio::test]
    async fn another_protocol_passes_through_after_an_upgrade() {
        let mut stand = Stand::new().await;
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        stand.up(1, listener.local_addr().unwrap());
        let mut client = TcpStream::connect(stand.address).await.unwrap();
        client
            .write_all(b"GET /chat HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n")
            .await
            .unwrap();
        let (mut process, _) = listener.accept().await.unwrap();
        assert!(read_head(&mut process).await.to_lowercase().contains("upgrade: websocket"));
        process
            .write_all(b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n")
            .await
            .unwrap();
        let head = read_head(&mut client).await.to_lowercase();
        assert!(head.starts_with("http/1.1 101 ") && head.contains("upgrade: websocket"), "{head}");
        let mut four = [0; 4];
        client.write_all(b"ping").await.unwrap();
        process.read_exact(&mut four).await.unwrap();
        process.write_all(b"pong").await.unwrap();
        client.read_exact(&mut four).await.unwrap();
        assert_eq!(&four, b"pong");
        drop((client, process));
        assert!(stand.line().await.contains("status=101 bytes=4"));
    }

    #[tokio::test]
    async fn a_client_keeps_its_connection_for_the_next_request() {
        let stand = Stand::new().await;
        stand.up(1, app(|_| ok("x")).await);
        let mut client = TcpStream::connect(stand.address).await.unwrap();
        for _ in 0..3 {
            client.write_all(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n").await.unwrap();
            assert!(read_head(&mut client).await.starts_with("HTTP/1.1 200"));
            assert_eq!(client.read_u8().await.unwrap(), b'x');
        }
    }
}
