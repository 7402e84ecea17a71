//! Log sessions: what they show, and how they end.

use super::*;

async fn open_session(fake: &FakeHeroku, body: Value) -> String {
    let got = call(fake, "POST", &format!("{APP}/log-sessions"), body).await;
    assert_eq!(got.status, 201);
    let url = got.json()["logplex_url"].as_str().unwrap().to_owned();
    url.strip_prefix(&fake.url()).unwrap().to_owned()
}

/// Reads until the text holds this.
async fn read_until(body: &mut Incoming, wanted: &str) -> String {
    let mut text = String::new();
    while !text.contains(wanted) {
        let frame = timeout(PATIENCE, body.frame()).await.unwrap_or_else(|_| panic!("no {wanted} in {text}"));
        let piece = frame.unwrap_or_else(|| panic!("the end came before {wanted}: {text}")).unwrap();
        text.push_str(std::str::from_utf8(&piece.into_data().unwrap()).unwrap());
    }
    text
}

#[tokio::test]
async fn a_tailing_session_shows_lines_as_they_come_until_the_server_ends_it() {
    let fake = FakeHeroku::start(setup()).await;
    fake.push_log_line("heroku", "router", "before");
    let path = open_session(&fake, json!({ "tail": true, "dyno": "router", "source": "heroku", "lines": 10 })).await;
    let events = [("accept", "text/event-stream")];
    let response = send(&fake.url(), "GET", &path, &events, "").await.unwrap();
    assert_eq!(response.headers()["content-type"], "text/event-stream");
    let mut body = response.into_body();
    assert!(read_until(&mut body, "before\n\n").await.starts_with("id: 1\ndata: "));
    fake.push_log_line("app", "web.1", "not for us");
    fake.push_log_line("heroku", "router", "after");
    let text = read_until(&mut body, "after\n\n").await;
    assert!(text.starts_with("id: 2\ndata: ") && !text.contains("not for us"), "{text}");
    fake.close_log_sessions();
    assert!(timeout(PATIENCE, body.frame()).await.unwrap().is_none(), "the end of the stream");
    assert_eq!(read(send(&fake.url(), "GET", &path, &events, "").await.unwrap()).await.unwrap().status, 404);
}

#[tokio::test]
async fn a_session_without_tail_is_history_and_an_end() {
    let fake = FakeHeroku::start(setup()).await;
    for n in 0..5 {
        fake.push_log_line("app", "web.1", &n.to_string());
    }
    let path = open_session(&fake, json!({ "lines": 2, "dyno": "web" })).await;
    let got = read(send(&fake.url(), "GET", &path, &[], "").await.unwrap()).await.unwrap();
    assert_eq!(got.header("content-type"), Some("text/plain"));
    let messages: Vec<&str> = got.text.lines().map(|line| line.split_once("app[web.1]: ").unwrap().1).collect();
    assert_eq!(messages, ["3", "4"]);
}

#[tokio::test]
async fn a_session_expires_and_an_open_one_ends_after_its_lifetime() {
    let timings = Timings { log_session_lifetime: Some(Duration::from_secs(900)), ..Timings::default() };
    let fake = FakeHeroku::start(setup().timings(timings)).await;
    let path = open_session(&fake, json!({ "tail": true })).await;
    let mut body = send(&fake.url(), "GET", &path, &[], "").await.unwrap().into_body();
    fake.push_log_line("app", "web.1", "hello");
    read_until(&mut body, "hello\n").await;
    fake.advance(Duration::from_secs(361));
    assert_eq!(read(send(&fake.url(), "GET", &path, &[], "").await.unwrap()).await.unwrap().status, 404);
    fake.push_log_line("app", "web.1", "still here");
    read_until(&mut body, "still here\n").await;
    fake.advance(Duration::from_secs(540));
    assert!(timeout(PATIENCE, body.frame()).await.unwrap().is_none());
}

#[tokio::test]
async fn fir_always_tails_and_puts_nothing_between_plain_records() {
    let fake = FakeHeroku::start(setup().generation(Generation::Fir).process("clock", 1, "dyno-1c-0.5gb")).await;
    fake.push_log_line("heroku", "router", "history that nobody gets");
    let path = open_session(&fake, json!({ "tail": false, "lines": 50, "dyno": "router" })).await;
    let mut body = send(&fake.url(), "GET", &path, &[], "").await.unwrap().into_body();
    fake.push_log_line("heroku", "router", "one");
    fake.push_log_line("heroku", "router", "two");
    let text = read_until(&mut body, "two").await;
    assert!(!text.contains('\n') && !text.contains("history"), "{text}");
    let dynos = fake.dynos("clock");
    assert!(dynos[0].0.starts_with("clock-") && !dynos[0].0.contains('.'), "{dynos:?}");
}

#[tokio::test]
async fn cedar_may_answer_events_with_text() {
    let fake = FakeHeroku::start(setup()).await;
    fake.set_open_questions(OpenQuestions { cedar_log_sessions_answer_events: false, ..OpenQuestions::default() });
    let path = open_session(&fake, json!({})).await;
    let got = send(&fake.url(), "GET", &path, &[("accept", "text/event-stream")], "").await.unwrap();
    assert_eq!(got.headers()["content-type"], "text/plain");
}

#[tokio::test]
async fn dropping_the_fake_closes_its_ports_and_connections() {
    let fake = FakeHeroku::start(setup()).await;
    let path = open_session(&fake, json!({ "tail": true })).await;
    let mut body = send(&fake.url(), "GET", &path, &[], "").await.unwrap().into_body();
    let (api, web) = (fake.api, fake.routers[0]);
    drop(fake);
    assert!(TcpStream::connect(api).await.is_err());
    assert!(TcpStream::connect(web).await.is_err());
    let rest = timeout(PATIENCE, body.frame()).await.expect("the connection ends");
    assert!(rest.is_none_or(|frame| frame.is_err()));
}
