//! Service times from the router's log: the right line for the right request, through streams that come and go.

use std::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use autoscalebot_core::{
    names::ProcessName,
    registry::find,
    sample::{CountsAs, Reading},
};
use autoscalebot_engine::{
    config::BackendSettings,
    measurement::{self, Measure, MeasureError, Measured},
    shared::Shared,
};
use serde_json::{Value, json};
use tokio::sync::broadcast;

use crate::{
    heroku_wire::{platform, shared},
    wire::{Act, Request, Wire, json},
};

const SESSION: &str = "/sessions/0a1b?srv=1700000000&x=%2F+%7E";

/// What the log says for a page that was asked for.
type Log = Arc<dyn Fn(&str) -> String + Send + Sync>;

/// An API, its log, and an app, all on one server.
struct Stage {
    wire: Arc<Mutex<String>>,
    log: broadcast::Sender<String>,
    server: Wire,
    shared: Arc<Shared>,
}

/// How a stage answers; the rest is as it should be.
#[derive(Clone)]
struct Play {
    content_type: &'static str,
    generation: &'static str,
    status: u16,
    /// This many sessions are answered with 404 before one opens.
    forgotten: usize,
    line: Log,
}

impl Default for Play {
    fn default() -> Self {
        Self {
            content_type: "text/plain",
            generation: "cedar",
            status: 200,
            forgotten: 0,
            line: Arc::new(|id| plain(&format!("at=info {}", usual(id, 23)))),
        }
    }
}

fn usual(id: &str, service: u32) -> String {
    format!(
        "method=GET path=\"/m\" request_id={id} fwd=\"192.0.2.7\" dyno=web.1 connect=2ms service={service}ms status=200"
    )
}

fn plain(message: &str) -> String {
    format!("2024-05-06T07:08:09.123456+00:00 heroku[router]: {message}\n")
}

fn event(message: &str) -> String {
    format!(":heartbeat\n\nid: 7\ndata: {}\n", plain(message))
}

impl Stage {
    async fn start(play: Play) -> Self {
        let (log, _) = broadcast::channel(100);
        let url = Arc::new(Mutex::new(String::new()));
        let (own_url, own_log, opened) = (url.clone(), log.clone(), AtomicUsize::new(0));
        let history = Mutex::new(String::new());
        let server = Wire::start(move |request: &Request| {
            let url = own_url.lock().unwrap().clone();
            match (request.method.as_str(), request.path.as_str()) {
                ("GET", "/apps/dancing-forest-1234") => {
                    json(200, json!({"web_url": format!("{url}/"), "generation": {"name": play.generation}}))
                }
                ("POST", "/apps/dancing-forest-1234/log-sessions") => {
                    json(201, json!({"logplex_url": format!("{url}{SESSION}")}))
                }
                ("GET", SESSION) if opened.fetch_add(1, Ordering::Relaxed) < play.forgotten => {
                    Act::Answer(404, "", "Not found".to_owned())
                }
                ("GET", SESSION) => Act::Live(play.content_type, history.lock().unwrap().clone(), own_log.subscribe()),
                ("GET", "/moved") => Act::Answer(301, "Location: /m?x=1\r\n", String::new()),
                ("GET", _) => {
                    let line = (play.line)(request.header("x-request-id").unwrap());
                    history.lock().unwrap().push_str(&line);
                    // Nobody may be listening in the moment of a test that wants just that.
                    if !line.is_empty() {
                        let _ = own_log.send(line);
                    }
                    Act::Answer(play.status, "", "a page".to_owned())
                }
                _ => Act::Close,
            }
        })
        .await;
        url.lock().unwrap().clone_from(&server.url);
        Self { wire: url, log, server, shared: shared() }
    }

    fn measure_with(&self, more: Value) -> Box<dyn Measure> {
        let url = self.wire.lock().unwrap().clone();
        let mut settings = json!({"measurement_url": "/m", "log_line_timeout_seconds": 2, "timeout_seconds": 2});
        settings.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        let scaling = json!({"app_name": "dancing-forest-1234", "api_key": "swordfish", "api_url": url});
        let context = measurement::Context {
            common: measurement::Common::default(),
            process: ProcessName::new("web").unwrap(),
            platform: platform(&self.shared, &url, "web"),
            scaling: BackendSettings { backend: "Heroku", settings: scaling },
            shared: self.shared.clone(),
        };
        let name = "autoscalebot.backends.measurement.HerokuServiceTimeBackend";
        let Ok(entry) = find(measurement::BACKENDS, name) else { panic!("the backend is listed") };
        assert_eq!((entry.check)(&settings), []);
        match (entry.build)(&settings, &context) {
            Ok(measure) => measure,
            Err(problem) => panic!("{problem}"),
        }
    }

    async fn measure(&self) -> Result<Measured, MeasureError> {
        self.measure_with(json!({})).measure().await
    }

    fn sessions(&self) -> usize {
        self.server.count("POST")
    }
}

fn number(measured: Result<Measured, MeasureError>) -> f64 {
    match measured.unwrap().reading {
        Reading::Number(number) => number.get(),
        Reading::Document(document) => panic!("{document}"),
    }
}

#[tokio::test]
async fn the_reading_is_the_service_time_of_our_own_request() {
    let stage = Stage::start(Play {
        line: Arc::new(|id| {
            let others = plain("at=info method=GET path=\"/\" request_id=another connect=0ms service=1ms status=200");
            let rails = plain(&format!("method=GET path=/m status=200 request_id={id}"));
            others + &rails + &plain(&format!("at=info {}", usual(id, 350)))
        }),
        ..Play::default()
    })
    .await;
    let measured = stage.measure().await.unwrap();
    let detail = json!({"connect": 2, "service": 350, "dyno": "web.1", "status": 200});
    assert_eq!(measured.detail.as_deref(), Some(&detail));
    assert_eq!(number(Ok(measured)), 350.0);
    assert_eq!(stage.measure_with(json!({})).unit(), "ms");
}

#[tokio::test]
async fn event_streams_in_any_pieces_are_read_as_well() {
    let stage = Stage::start(Play {
        content_type: "text/event-stream; charset=utf-8",
        generation: "fir",
        line: Arc::new(|id| event(&format!("at=info {}", usual(id, 41)))),
        ..Play::default()
    })
    .await;
    assert_eq!(number(stage.measure().await), 41.0);
}

#[tokio::test]
async fn connect_and_the_sum_can_be_the_reading() {
    let stage = Stage::start(Play::default()).await;
    assert_eq!(number(stage.measure_with(json!({"reading": "connect"})).measure().await), 2.0);
    assert_eq!(number(stage.measure_with(json!({"reading": "sum"})).measure().await), 25.0);
}

#[tokio::test]
async fn one_session_serves_all_measurements_and_gets_neither_the_key_nor_another_query() {
    let stage = Stage::start(Play::default()).await;
    let (one, two) = (stage.measure_with(json!({})), stage.measure_with(json!({})));
    for _ in 0..3 {
        let (first, second) = tokio::join!(one.measure(), two.measure());
        assert_eq!((number(first), number(second)), (23.0, 23.0));
    }
    assert_eq!(stage.sessions(), 1);
    let seen = stage.server.seen();
    let created = seen.iter().find(|request| request.method == "POST").unwrap();
    assert_eq!(created.body["source"], "heroku");
    assert_eq!(created.body["dyno"], "router");
    assert_eq!(created.body["tail"], true);
    let session = seen.iter().find(|request| request.path.starts_with("/sessions")).unwrap();
    assert_eq!(session.path, SESSION);
    assert!(session.header("accept").unwrap().starts_with("text/event-stream"));
    for request in seen.iter().filter(|request| !request.path.starts_with("/apps")) {
        assert_eq!(request.header("authorization"), None, "{}", request.path);
    }
}

#[tokio::test]
async fn a_session_that_is_gone_is_replaced_at_the_start_and_after_its_end() {
    let stage = Stage::start(Play { forgotten: 1, ..Play::default() }).await;
    let measure = stage.measure_with(json!({}));
    assert_eq!(number(measure.measure().await), 23.0);
    assert_eq!(stage.sessions(), 2);
    stage.log.send(String::new()).unwrap();
    // Whether the page is asked for before or after the end is noticed: the next session's history holds its line.
    assert_eq!(number(measure.measure().await), 23.0);
    assert_eq!(stage.sessions(), 3);
}

#[tokio::test]
async fn a_line_that_does_not_come_is_unknown_and_the_stream_is_opened_anew() {
    let is_silent = Arc::new(AtomicUsize::new(1));
    let silent = is_silent.clone();
    let line: Log = Arc::new(move |id| {
        let is_silent = silent.swap(0, Ordering::Relaxed) > 0;
        if is_silent { String::new() } else { plain(&format!("at=info {}", usual(id, 23))) }
    });
    let stage = Stage::start(Play { line, ..Play::default() }).await;
    let measure = stage.measure_with(json!({}));
    let error = measure.measure().await.unwrap_err();
    assert_eq!((error.key.as_ref(), error.counts_as), ("no_router_line", CountsAs::Unknown));
    while stage.sessions() < 2 {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    assert_eq!(number(measure.measure().await), 23.0);
}

#[tokio::test]
async fn the_stream_ends_with_its_last_user() {
    let stage = Stage::start(Play::default()).await;
    let measure = stage.measure_with(json!({}));
    assert_eq!(number(measure.measure().await), 23.0);
    assert_eq!(stage.log.receiver_count(), 1);
    drop(measure);
    while stage.log.receiver_count() > 0 {
        // The server notices when it next has something to say.
        let _ = stage.log.send(":\n".to_owned());
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    assert_eq!(stage.sessions(), 1);
}

#[tokio::test]
async fn a_redirect_is_followed_and_the_last_page_counts() {
    let stage = Stage::start(Play::default()).await;
    assert_eq!(number(stage.measure_with(json!({"measurement_url": "/moved"})).measure().await), 23.0);
}

#[tokio::test]
async fn what_the_router_says_is_taken_for_what_it_means() {
    let rows = [
        (
            "H12",
            503,
            "at=error code=H12 desc=\"Request timeout\" request_id=ID service=30000ms status=503",
            "timeout",
            true,
        ),
        ("H11", 503, "at=error code=H11 desc=\"Backlog too deep\" request_id=ID status=503", "router_error", true),
        ("H10", 503, "at=error code=H10 desc=\"App crashed\" request_id=ID dyno= status=503", "router_error", false),
        ("H14", 503, "at=error code=H14 desc=\"No web\" request_id=ID status=503", "router_error", false),
        (
            "H80",
            503,
            "at=info code=H80 desc=\"Maintenance mode\" request_id=ID service=0ms status=503",
            "router_error",
            false,
        ),
        ("H99", 503, "at=error code=H99 desc=\"Platform error\" request_id=ID status=503", "router_error", false),
        ("new code", 503, "at=error code=H77 desc=\"Something\" request_id=ID status=503", "router_error", false),
        ("own 500", 500, "at=info request_id=ID connect=1ms service=3ms status=500", "server_error", true),
        ("own 404", 404, "at=info request_id=ID connect=1ms service=3ms status=404", "client_error", false),
        ("no time", 200, "at=info request_id=ID connect= service= status=200", "bad_router_line", false),
        ("no status", 200, "at=error request_id=ID connect=1ms service=5ms status=", "bad_router_line", false),
    ];
    for (name, status, line, key, is_high) in rows {
        let line: Log = Arc::new(move |id| plain(&line.replace("ID", id)));
        let stage = Stage::start(Play { status, line, ..Play::default() }).await;
        let error = stage.measure().await.unwrap_err();
        assert_eq!(error.key, key, "{name}: {error}");
        assert_eq!(error.counts_as == CountsAs::High, is_high, "{name}: {error}");
        let held = stage.measure_with(json!({"on_timeout": "hold"})).measure().await.unwrap_err();
        assert_eq!(held.counts_as, CountsAs::Unknown, "{name}");
    }
}

#[tokio::test]
async fn an_app_whose_log_is_too_busy_is_explained() {
    let stage = Stage::start(Play {
        line: Arc::new(|_| {
            "2024-05-06T07:08:09+00:00 heroku[logplex]: Error L20 (Tail sessions forbidden)\n".to_owned()
        }),
        ..Play::default()
    })
    .await;
    let measure = stage.measure_with(json!({}));
    assert_eq!(measure.measure().await.unwrap_err().key, "no_router_line");
}

#[tokio::test]
async fn without_a_log_session_nothing_is_known_and_the_page_is_left_alone() {
    let server = Wire::start(|request: &Request| match request.method.as_str() {
        "POST" => json(403, json!({"id": "forbidden", "message": "no"})),
        _ => json(200, json!({"web_url": "http://127.0.0.1:9/"})),
    })
    .await;
    let wire = Arc::new(Mutex::new(server.url.clone()));
    let (log, _) = broadcast::channel(1);
    let stage = Stage { wire, log, server, shared: shared() };
    let error = stage.measure().await.unwrap_err();
    assert_eq!((error.key.as_ref(), error.counts_as), ("no_log_session", CountsAs::Unknown));
    assert!(error.message.contains("collaborator") && !error.message.contains("swordfish"), "{error}");
    assert!(stage.server.seen().iter().all(|request| request.path.starts_with("/apps/")));
}

#[test]
fn addresses_in_settings_are_complained_about_without_their_secrets() {
    let settings = json!({"measurement_url": "ftp://user:hunter2@x/m?token=hunter2", "base_url": "x?token=hunter2"});
    let Ok(entry) = find(measurement::BACKENDS, "HerokuServiceTime") else { panic!("the backend is listed") };
    let problems = (entry.check)(&settings);
    let paths: Vec<&str> = problems.iter().map(|problem| problem.path.as_str()).collect();
    assert_eq!(paths, ["base_url", "measurement_url"]);
    assert!(!format!("{problems:?}").contains("hunter2"), "{problems:?}");
}
