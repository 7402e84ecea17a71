//! The router: what it passes on, what it refuses, and the line that it leaves.

use super::*;

#[tokio::test]
async fn the_router_passes_requests_on_and_leaves_exactly_their_line() {
    let upstream = app(|request: Request| async move {
        let headers = request.headers().iter();
        let seen: BTreeMap<String, String> =
            headers.map(|(name, value)| (name.to_string(), value.to_str().unwrap().to_owned())).collect();
        let body = json!({ "path": request.uri().to_string(), "headers": seen }).to_string();
        Response::new(Body::from(body))
    })
    .await;
    let fake = FakeHeroku::start(setup().upstream(upstream)).await;
    let id = "my-own-request-id-0001";
    let got = visit(&fake, "/m?x=1", &[("x-request-id", id), ("x-forwarded-for", "192.0.2.7")]).await;
    assert_eq!((got.status, got.header("via")), (200, Some("1.1 vegur")));
    let seen = got.json();
    assert_eq!(seen["path"], "/m?x=1");
    let headers = &seen["headers"];
    assert_eq!(headers["x-request-id"], id);
    assert_eq!(headers["x-forwarded-for"], "192.0.2.7, 127.0.0.1");
    assert_eq!(headers["x-forwarded-proto"], "http");
    assert!(headers["x-request-start"].as_str().unwrap().parse::<u64>().is_ok_and(|ms| ms > 1_700_000_000_000));

    let line = fields(&router_lines(&fake)[0]);
    assert_eq!((line["at"].as_str(), line["method"].as_str(), line["path"].as_str()), ("info", "GET", "/m?x=1"));
    assert_eq!((line["request_id"].as_str(), line["dyno"].as_str(), line["status"].as_str()), (id, "web.1", "200"));
    assert_eq!(line["fwd"], "192.0.2.7, 127.0.0.1");
    assert_eq!(line["bytes"], got.text.len().to_string());
    assert!(line["service"].ends_with("ms") && line["connect"].ends_with("ms"));

    visit(&fake, "/", &[("x-request-id", "too short")]).await;
    let made = fields(&router_lines(&fake)[1])["request_id"].clone();
    assert_eq!(made.len(), 36, "{made}");
}

#[tokio::test]
async fn service_is_the_time_of_the_app() {
    let upstream = app(|_| async {
        tokio::time::sleep(Duration::from_millis(120)).await;
        Response::new(Body::from("slow"))
    })
    .await;
    let fake = FakeHeroku::start(setup().upstream(upstream).router(RouterGeneration::Two)).await;
    visit(&fake, "/", &[]).await;
    let line = fields(&router_lines(&fake)[0]);
    let service: u64 = line["service"].trim_end_matches("ms").parse().unwrap();
    assert!((120..5000).contains(&service), "{line:?}");
    assert_eq!((line["protocol"].as_str(), line["tls"].as_str()), ("http1.1", "false"));
}

#[tokio::test]
async fn the_router_refuses_with_herokus_codes() {
    let free = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    let hanging = app(|_| std::future::pending()).await;
    let closing = {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                drop(stream);
            }
        });
        format!("http://{address}")
    };
    let timings = Timings {
        request_timeout: Duration::from_millis(80),
        boot_wait: Duration::from_millis(80),
        dyno_start: Duration::from_secs(3600),
        ..Timings::default()
    };
    let fake = FakeHeroku::start(setup().timings(timings)).await;
    let mut codes = Vec::new();
    let mut refused = async |name: &str| {
        let got = visit(&fake, "/", &[]).await;
        let line = fields(router_lines(&fake).last().unwrap());
        assert_eq!((got.status, line["status"].as_str()), (503, "503"), "{name}");
        codes.push((line["code"].clone(), line["at"].clone(), line["desc"].clone()));
        line
    };

    fake.set_upstream(format!("http://{free}"));
    let line = refused("nobody listens").await;
    assert!(line["connect"].ends_with("ms") && line["service"].is_empty(), "{line:?}");
    fake.set_upstream(hanging);
    let line = refused("the app hangs").await;
    assert!(line["service"].trim_end_matches("ms").parse::<u64>().is_ok_and(|service| service >= 80), "{line:?}");
    assert_eq!((line["bytes"].as_str(), line["dyno"].as_str()), ("0", "web.1"));
    fake.set_upstream(closing);
    refused("the app closes").await;
    fake.set_quantity("web", 0);
    let line = refused("no web dyno").await;
    assert!(["dyno", "connect", "service", "bytes"].iter().all(|key| line[*key].is_empty()), "{line:?}");
    fake.set_quantity("web", 1);
    refused("booting for too long").await;
    fake.crash("web");
    refused("crashed").await;
    fake.set_maintenance(true);
    refused("maintenance").await;

    let expected = [
        ("H21", "error", "Backend connection refused"),
        ("H12", "error", "Request timeout"),
        ("H13", "error", "Connection closed without response"),
        ("H14", "error", "No web processes running"),
        ("H20", "error", "App boot timeout"),
        ("H10", "error", "App crashed"),
        ("H80", "info", "Maintenance mode"),
    ];
    let codes: Vec<_> = codes.iter().map(|(code, at, text)| (code.as_str(), at.as_str(), text.as_str())).collect();
    assert_eq!(codes, expected);
}

#[tokio::test]
async fn a_visitor_who_leaves_is_h27_and_a_body_that_breaks_is_h18() {
    let hanging = app(|_| std::future::pending()).await;
    let fake = FakeHeroku::start(setup().upstream(hanging)).await;
    let gone = timeout(Duration::from_millis(100), send(&fake.web_url(), "GET", "/", &[], "")).await;
    assert!(gone.is_err());
    until("a line for the visitor who left", || !router_lines(&fake).is_empty()).await;
    assert!(router_lines(&fake)[0].starts_with("sock=client at=warning code=H27 "), "{:?}", router_lines(&fake));

    fake.set_upstream(half_an_answer(Duration::from_millis(50)).await);
    let response = send(&fake.web_url(), "GET", "/", &[], "").await.unwrap();
    assert!(read(response).await.is_err());
    until("a line for the broken answer", || router_lines(&fake).len() == 2).await;
    let line = &router_lines(&fake)[1];
    assert!(line.starts_with("sock=backend at=error code=H18 "), "{line}");
}

/// An app that sends half an answer, waits, and breaks off.
async fn half_an_answer(pause: Duration) -> String {
    app(move |_| async move {
        let pieces = futures_util::stream::unfold(true, move |first| async move {
            if first {
                return Some((Ok(Bytes::from("the first half")), false));
            }
            tokio::time::sleep(pause).await;
            Some((Err(std::io::Error::other("and no second one")), false))
        });
        Response::new(Body::from_stream(pieces))
    })
    .await
}

#[tokio::test]
async fn the_router_gives_up_on_idle_answers_late_connections_and_deep_backlogs() {
    let impatient = Timings { idle_timeout: Duration::from_millis(50), ..Timings::default() };
    let upstream = half_an_answer(Duration::from_secs(60)).await;
    let fake = FakeHeroku::start(setup().timings(impatient).upstream(upstream)).await;
    let response = send(&fake.web_url(), "GET", "/", &[], "").await.unwrap();
    assert!(read(response).await.is_err());
    until("a line for the idle answer", || !router_lines(&fake).is_empty()).await;
    assert_eq!(fields(&router_lines(&fake)[0])["code"], "H15");

    // One web dyno may have 200 requests waiting.
    fake.change(|world, _| world.apps[0].in_flight = 200);
    assert_eq!(visit(&fake, "/", &[]).await.status, 503);
    assert_eq!(fields(&router_lines(&fake)[1])["code"], "H11");

    // An app that accepts nobody: once its queue is full, connecting to it takes for ever.
    let socket = tokio::net::TcpSocket::new_v4().unwrap();
    socket.bind(([127, 0, 0, 1], 0).into()).unwrap();
    let deaf = socket.listen(1).unwrap();
    let address = deaf.local_addr().unwrap();
    let mut queue = Vec::new();
    while let Ok(Ok(stream)) = timeout(Duration::from_millis(100), TcpStream::connect(address)).await {
        queue.push(stream);
    }
    let impatient = Timings { connect_timeout: Duration::from_millis(50), ..Timings::default() };
    let fake = FakeHeroku::start(setup().timings(impatient).upstream(format!("http://{address}"))).await;
    assert_eq!(visit(&fake, "/", &[]).await.status, 503);
    assert_eq!(fields(&router_lines(&fake)[0])["code"], "H19");
}

#[tokio::test]
async fn a_request_waits_for_a_dyno_that_is_booting() {
    let timings = Timings { dyno_start: Duration::from_millis(150), ..Timings::default() };
    let fake = FakeHeroku::start(setup().timings(timings)).await;
    fake.set_quantity("web", 0);
    fake.set_quantity("web", 1);
    assert_eq!(visit(&fake, "/", &[]).await.status, 200);
}

#[tokio::test]
async fn router_lines_can_be_lost_late_and_out_of_order() {
    let fake = FakeHeroku::start(setup()).await;
    let ids = |fake: &FakeHeroku| -> Vec<String> {
        router_lines(fake).iter().map(|line| fields(line)["path"].clone()).collect()
    };
    fake.spoil_router_log(RouterLogFaults { drop_next: 1, ..RouterLogFaults::default() });
    visit(&fake, "/lost", &[]).await;
    visit(&fake, "/kept", &[]).await;
    assert_eq!(ids(&fake), ["/kept"]);

    fake.spoil_router_log(RouterLogFaults { swap_pairs: true, ..RouterLogFaults::default() });
    visit(&fake, "/first", &[]).await;
    visit(&fake, "/second", &[]).await;
    assert_eq!(ids(&fake), ["/kept", "/second", "/first"]);

    let hour = Duration::from_secs(3600);
    fake.spoil_router_log(RouterLogFaults { delay: hour, ..RouterLogFaults::default() });
    visit(&fake, "/late", &[]).await;
    assert_eq!(ids(&fake).len(), 3);
    fake.advance(hour);
    assert_eq!(ids(&fake).last().map(String::as_str), Some("/late"));
}

#[tokio::test]
async fn the_router_obeys_the_maintenance_mode_that_the_api_sets() {
    let fake = FakeHeroku::start(setup()).await;
    let got = call(&fake, "PATCH", APP, json!({ "maintenance": true })).await;
    assert_eq!(got.json()["maintenance"], true);
    assert_eq!(visit(&fake, "/", &[]).await.status, StatusCode::SERVICE_UNAVAILABLE.as_u16());
}
