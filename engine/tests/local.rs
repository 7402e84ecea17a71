//! `Local` with real processes. This program is its own launcher, its own app and its own victim, so it has a `main`
//! instead of the usual test harness:
//!
//! - `__shim`, `__janitor`: what every program that runs `Local` must understand;
//! - `__app`: a web app that says who it is;
//! - `__program FOLDER`: a program that runs the Procfile in a folder until it is killed.
//!
//! Every test has a variable of its own in the environment of everything it starts, so "nothing is left" can be asked of
//! `/proc` without knowing any process id.

use std::{
    io::{Read, Write},
    net::{SocketAddr, TcpListener, TcpStream},
    path::{Path, PathBuf},
    process::{Child, Command, ExitCode, Stdio},
    sync::Arc,
    time::Duration,
};

use autoscalebot_core::{decision::Reason, names::ProcessName, step::Order};
use autoscalebot_engine::{
    clock::SystemClock,
    environment::Environment,
    scaling::{BACKENDS, Context, Scale, Scaled, Whose, local::shim},
    shared::Shared,
};
use serde_json::{Value, json};

/// The variable that everything a test starts carries.
const MARK: &str = "LOCAL_TEST";

/// Longer than anything here takes, shorter than anybody's patience.
const PATIENCE: Duration = Duration::from_secs(20);

type Test = (&'static str, fn());

const TESTS: &[Test] = &[
    ("processes_have_their_own_name_and_port_and_answer_through_the_router", own_name_and_port),
    ("scaling_down_stops_the_highest_number_first_and_scaling_up_starts_the_next", highest_number_first),
    ("those_that_are_known_to_be_free_go_first_and_the_others_are_left_alone", free_ones_first),
    ("the_first_question_waits_until_the_app_is_up", waits_until_up),
    ("the_order_that_changes_nothing_is_already_there", already_there),
    ("a_crashed_process_is_started_again_and_still_counted", crashed_is_restarted),
    ("a_process_that_ignores_sigterm_is_killed_after_the_time_out", ignores_sigterm),
    ("shutdown_keeps_its_limit_and_takes_daemons_along", shutdown_takes_daemons_along),
    ("a_reload_takes_the_processes_over", reload_takes_over),
    ("dropping_the_backend_stops_its_processes", dropping_stops),
    ("a_router_port_in_use_is_an_error_that_says_what_to_do", port_in_use),
    ("other_entries_run_when_asked_for_and_only_then", also_run),
    ("building_starts_nothing", building_starts_nothing),
    ("a_killed_program_leaves_no_process_behind_whenever_it_is_killed", killed_program),
    ("a_killed_janitor_is_replaced", killed_janitor),
];

fn main() -> ExitCode {
    if let Some(code) = shim::run_if_asked(&std::env::args_os().skip(1).collect::<Vec<_>>()).map(ExitCode::from) {
        return code;
    }
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["__app"] => app(),
        ["__program", folder] => program(Path::new(folder)),
        _ => run_tests(&arguments),
    }
}

fn run_tests(arguments: &[String]) -> ExitCode {
    let filters: Vec<&String> = arguments.iter().filter(|argument| !argument.starts_with('-')).collect();
    let chosen = TESTS.iter().filter(|(name, _)| filters.is_empty() || filters.iter().any(|part| name.contains(*part)));
    if arguments.iter().any(|argument| argument == "--list") {
        chosen.for_each(|(name, _)| println!("{name}: test"));
        return ExitCode::SUCCESS;
    }
    let (mut passed_count, mut failed) = (0, 0);
    for (name, test) in chosen {
        let passed = std::panic::catch_unwind(test).is_ok();
        passed_count += u32::from(passed);
        failed += u32::from(!passed);
        println!("test {name} ... {}", if passed { "ok" } else { "FAILED" });
    }
    // The words of the usual harness, for those who count.
    let verdict = if failed == 0 { "ok" } else { "FAILED" };
    println!("test result: {verdict}. {passed_count} passed; {failed} failed; 0 ignored; 0 measured");
    if failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// Answers every request with `PS PORT process-id GREETING`.
fn app() -> ExitCode {
    let environment = Environment::of_this_program();
    let of = |name: &str| environment.get(name).unwrap_or("?").to_owned();
    let listener = TcpListener::bind(("127.0.0.1", of("PORT").parse().unwrap())).unwrap();
    println!("listening");
    loop {
        let (mut stream, _) = listener.accept().unwrap();
        let mut request = [0; 4096];
        let length = stream.read(&mut request).unwrap_or(0);
        if request[..length].starts_with(b"GET /crash") {
            return ExitCode::FAILURE;
        }
        let body = format!("{} {} {} {}", of("PS"), of("PORT"), std::process::id(), of("GREETING"));
        let answer = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}", body.len());
        // The platform's probe asks nothing and waits for nothing.
        let _ = stream.write_all(answer.as_bytes());
    }
}

/// Runs `web` three times until it is killed.
fn program(folder: &Path) -> ExitCode {
    runtime().block_on(async {
        let local = build(folder, json!({"processes": 3, "output": "none"}), &shared()).unwrap();
        println!("running");
        local.count().await.unwrap();
        std::future::pending::<ExitCode>().await
    })
}

// ---- what the tests stand on ----

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap()
}

fn shared() -> Arc<Shared> {
    Shared::new(Arc::new(SystemClock::new()), Environment::default())
}

/// A folder with a Procfile, and a mark of its own; both gone at the end.
struct Folder {
    path: PathBuf,
    mark: String,
}

impl Folder {
    fn new(procfile: &str) -> Self {
        let mark = uuid::Uuid::new_v4().simple().to_string();
        let path = std::env::temp_dir().join(format!("autoscalebot-local-{mark}"));
        std::fs::create_dir(&path).unwrap();
        let app = format!("exec '{}' __app", std::env::current_exe().unwrap().display());
        std::fs::write(path.join("Procfile"), procfile.replace("APP", &app)).unwrap();
        Self { path, mark }
    }

    fn local(&self, settings: Value, shared: &Arc<Shared>) -> Box<dyn Scale> {
        let mut settings = settings;
        settings["output"] = json!("none");
        settings["env"] = json!({MARK: self.mark, "GREETING": "hello"});
        build(&self.path, settings, shared).unwrap()
    }

    /// Process ids of everything that carries the mark and runs.
    fn running(&self) -> Vec<u32> {
        let variable = format!("{MARK}={}", self.mark);
        let carries = |pid: &u32| {
            let environment = std::fs::read(format!("/proc/{pid}/environ")).unwrap_or_default();
            environment.split(|byte| *byte == 0).any(|found| found == variable.as_bytes())
        };
        pids().filter(carries).filter(|pid| runs(*pid)).collect()
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.path);
    }
}

fn pids() -> impl Iterator<Item = u32> {
    std::fs::read_dir("/proc").unwrap().filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok())
}

/// Whether a process is there and no zombie, whose parent merely has not looked yet.
fn runs(pid: u32) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    stat.rsplit(')').next().and_then(|rest| rest.split_whitespace().next()).is_some_and(|state| state != "Z")
}

fn build(folder: &Path, mut settings: Value, shared: &Arc<Shared>) -> Result<Box<dyn Scale>, String> {
    settings["procfile"] = json!(folder.join("Procfile"));
    if settings.get("router_port").is_none() {
        settings["router_port"] = json!(0);
    }
    let context = Context { process: ProcessName::new("web").unwrap(), shared: shared.clone() };
    let entry = BACKENDS.iter().find(|entry| entry.name == "Local").unwrap();
    assert_eq!((entry.check)(&settings), []);
    (entry.build)(&settings, &context).map_err(|problem| problem.to_string())
}

async fn scale(local: &dyn Scale, to: u32) -> Scaled {
    scale_knowing(local, to, &[]).await
}

async fn scale_knowing(local: &dyn Scale, to: u32, free: &[u32]) -> Scaled {
    let from = local.count().await.unwrap();
    let reason = Reason::new("test", "because the test says so");
    // An order always changes something, so the one that does not is made by hand.
    let order = Order { from, to, reason, limit: None, free: free.to_vec() };
    local.scale_to(&order).await.unwrap()
}

async fn address(local: &dyn Scale) -> SocketAddr {
    let url = local.web_url().await.unwrap().unwrap();
    url.socket_addrs(|| None).unwrap()[0]
}

/// What the app says through the router: name, port, process id, greeting.
async fn ask(address: SocketAddr, path: &'static str) -> Vec<String> {
    let exchange = tokio::task::spawn_blocking(move || {
        let mut stream = TcpStream::connect(address).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream.write_all(format!("GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").as_bytes()).unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        answer
    });
    let answer = exchange.await.unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    if !head.starts_with("HTTP/1.1 200") {
        return vec![head.lines().next().unwrap().to_owned()];
    }
    body.split(' ').map(str::to_owned).collect()
}

/// Asks until it is so, or fails.
async fn until(what: &str, mut is_so: impl AsyncFnMut() -> bool) {
    let wait = async {
        while !is_so().await {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    assert!(tokio::time::timeout(PATIENCE, wait).await.is_ok(), "in vain waited until {what}");
}

/// The names of the processes that answer, each with its process id.
async fn names(address: SocketAddr) -> std::collections::BTreeMap<String, String> {
    let mut names = std::collections::BTreeMap::new();
    for _ in 0..12 {
        let said = ask(address, "/").await;
        names.insert(said[0].clone(), said.get(2).cloned().unwrap_or_default());
    }
    names
}

// ---- the tests ----

fn own_name_and_port() {
    let folder = Folder::new("web: APP\n");
    runtime().block_on(async {
        let local = folder.local(json!({"processes": 2}), &shared());
        let address = address(&*local).await;
        until("both answer", async || names(address).await.len() == 2).await;
        let said = ask(address, "/").await;
        assert!(said[0] == "web.1" || said[0] == "web.2", "{said:?}");
        assert_ne!(said[1], address.port().to_string());
        assert_eq!(said[3], "hello");
        let mut ports = std::collections::BTreeSet::new();
        for _ in 0..4 {
            ports.insert(ask(address, "/").await[1].clone());
        }
        assert_eq!(ports.len(), 2);
        local.shutdown(Duration::from_secs(4)).await;
    });
}

fn highest_number_first() {
    let folder = Folder::new("web: APP\n");
    runtime().block_on(async {
        let local = folder.local(json!({}), &shared());
        let address = address(&*local).await;
        assert_eq!(local.count().await, Ok(1));
        assert_eq!(scale(&*local, 3).await, Scaled::Done);
        assert_eq!(local.count().await, Ok(3));
        until("three answer", async || names(address).await.len() == 3).await;
        let before = names(address).await;
        assert_eq!(scale(&*local, 1).await, Scaled::Done);
        until("one is left", async || names(address).await.len() == 1).await;
        assert_eq!(names(address).await["web.1"], before["web.1"], "web.1 was not left alone");
        until("the others are gone", async || folder.running().len() == 1).await;
        assert_eq!(scale(&*local, 2).await, Scaled::Done);
        until("two answer", async || names(address).await.len() == 2).await;
        let after = names(address).await;
        assert_eq!(after["web.1"], before["web.1"]);
        assert_ne!(after["web.2"], before["web.2"]);
        assert_eq!(scale(&*local, 0).await, Scaled::Done);
        until("none answers", async || ask(address, "/").await[0].starts_with("HTTP/1.1 503")).await;
        local.shutdown(Duration::from_secs(4)).await;
    });
}

fn free_ones_first() {
    let folder = Folder::new("web: APP\n");
    runtime().block_on(async {
        let local = folder.local(json!({"processes": 3}), &shared());
        let address = address(&*local).await;
        until("three answer", async || names(address).await.len() == 3).await;
        let before = names(address).await;
        assert_eq!([local.whose("web.1"), local.whose("web.3")], [Whose::Number(1), Whose::Number(3)]);
        assert_eq!(scale_knowing(&*local, 2, &[1]).await, Scaled::Done);
        until("two are left", async || names(address).await.len() == 2).await;
        let after = names(address).await;
        assert_eq!((after.get("web.2"), after.get("web.3")), (before.get("web.2"), before.get("web.3")));
        assert_eq!(local.count().await, Ok(2));
        assert_eq!(
            [local.whose("web.1"), local.whose("web.3")],
            [Whose::Another, Whose::Number(3)],
            "web.1 is leaving"
        );
        assert_eq!(scale(&*local, 3).await, Scaled::Done);
        until("web.1 is back", async || names(address).await.contains_key("web.1")).await;
        local.shutdown(Duration::from_secs(4)).await;
    });
}

fn waits_until_up() {
    let folder = Folder::new("web: sleep 0.3; APP\n");
    runtime().block_on(async {
        let local = folder.local(json!({}), &shared());
        local.count().await.unwrap();
        // Not by the router, which would wait too.
        assert!(folder.running().iter().any(|pid| listens(*pid)), "nobody listens yet");
        local.shutdown(Duration::from_secs(4)).await;
    });
}

/// Whether a process has the app's name and so is past its sleep.
fn listens(pid: u32) -> bool {
    std::fs::read_to_string(format!("/proc/{pid}/cmdline")).unwrap_or_default().ends_with("__app\0")
}

fn already_there() {
    let folder = Folder::new("web: APP\n");
    runtime().block_on(async {
        let local = folder.local(json!({"processes": 2}), &shared());
        assert_eq!(scale(&*local, 2).await, Scaled::AlreadyThere);
        local.shutdown(Duration::from_secs(4)).await;
    });
}

fn crashed_is_restarted() {
    let folder = Folder::new("web: APP\n");
    runtime().block_on(async {
        let local = folder.local(json!({}), &shared());
        let address = address(&*local).await;
        let before = ask(address, "/").await;
        assert!(ask(address, "/crash").await[0].starts_with("HTTP/1.1 503"));
        assert_eq!(local.count().await, Ok(1));
        until("it is back", async || ask(address, "/").await.len() == 4).await;
        let after = ask(address, "/").await;
        assert_eq!(after[0], "web.1");
        assert_ne!(after[2], before[2], "it is the same process");
        local.shutdown(Duration::from_secs(4)).await;
    });
}

fn ignores_sigterm() {
    let folder = Folder::new("worker: trap '' TERM; while true; do sleep 1000; done\n");
    runtime().block_on(async {
        let local = folder.local(json!({"process": "worker", "stop_timeout_seconds": 0.3}), &shared());
        local.count().await.unwrap();
        until("it runs", async || folder.running().len() == 2).await;
        scale(&*local, 0).await;
        until("it is gone", async || folder.running().is_empty()).await;
        local.shutdown(Duration::from_secs(4)).await;
    });
}

fn shutdown_takes_daemons_along() {
    let folder = Folder::new("web: trap '' TERM; sleep 1000 & setsid sleep 1000 & APP\n");
    runtime().block_on(async {
        let local = folder.local(json!({"processes": 2}), &shared());
        let address = address(&*local).await;
        until("all run", async || names(address).await.len() == 2 && folder.running().len() == 6).await;
        let limit = Duration::from_secs(2);
        assert!(tokio::time::timeout(limit + Duration::from_secs(1), local.shutdown(limit)).await.is_ok());
        assert_eq!(folder.running(), Vec::<u32>::new());
    });
}

fn reload_takes_over() {
    let folder = Folder::new("web: APP\n");
    runtime().block_on(async {
        let shared = shared();
        let old = folder.local(json!({}), &shared);
        let address_before = address(&*old).await;
        scale(&*old, 2).await;
        until("two answer", async || names(address_before).await.len() == 2).await;
        let before = names(address_before).await;
        let new = folder.local(json!({"stop_timeout_seconds": 5}), &shared);
        drop(old);
        assert_eq!(new.count().await, Ok(2));
        assert_eq!(address(&*new).await, address_before);
        assert_eq!(names(address_before).await, before);
        new.shutdown(Duration::from_secs(4)).await;
    });
}

fn dropping_stops() {
    let folder = Folder::new("web: APP\n");
    runtime().block_on(async {
        let shared = shared();
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let local = folder.local(json!({"router_port": port, "processes": 2}), &shared);
        local.count().await.unwrap();
        until("both run", async || folder.running().len() == 2).await;
        drop(local);
        // The port is free for the next one at once.
        let next = folder.local(json!({"router_port": port, "processes": 1}), &shared);
        next.count().await.unwrap();
        until("one is left", async || folder.running().len() == 1).await;
        drop(next);
        until("none is left", async || folder.running().is_empty()).await;
    });
}

fn port_in_use() {
    let folder = Folder::new("web: APP\n");
    runtime().block_on(async {
        let taken = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = taken.local_addr().unwrap().port();
        let local = folder.local(json!({"router_port": port}), &shared());
        let error = local.count().await.unwrap_err();
        assert_eq!(error.key, "router_cannot_listen");
        assert!(error.message.contains(&port.to_string()) && error.message.contains("ROUTER_PORT"), "{error}");
        assert_eq!(folder.running(), Vec::<u32>::new());
        drop(taken);
        assert_eq!(local.count().await, Ok(1));
        local.shutdown(Duration::from_secs(4)).await;
    });
}

fn also_run() {
    let folder = Folder::new("web: APP\nclock: sleep 1001\nother: sleep 1002\n");
    runtime().block_on(async {
        let local = folder.local(json!({"also_run": {"clock": 2}}), &shared());
        local.count().await.unwrap();
        let lines = || {
            let line = |pid: u32| std::fs::read_to_string(format!("/proc/{pid}/cmdline")).unwrap_or_default();
            folder.running().into_iter().map(line).collect::<Vec<_>>()
        };
        until("all run", async || lines().iter().filter(|line| line.contains("1001")).count() >= 2).await;
        assert!(!lines().iter().any(|line| line.contains("1002")), "{:?}", lines());
        local.shutdown(Duration::from_secs(4)).await;
        assert_eq!(lines(), Vec::<String>::new());
        let wrong = build(&folder.path, json!({"also_run": {"clok": 2}}), &shared()).map(|_| ()).unwrap_err();
        assert!(wrong.contains("did you mean clock?"), "{wrong}");
    });
}

fn building_starts_nothing() {
    let folder = Folder::new("web: APP\n");
    runtime().block_on(async {
        let local = folder.local(json!({"processes": 3}), &shared());
        tokio::time::sleep(Duration::from_millis(200)).await;
        assert_eq!(folder.running(), Vec::<u32>::new());
        drop(local);
    });
}

/// The program in a process of its own, with the folder's mark.
fn start_program(folder: &Folder) -> Child {
    let mut command = Command::new(std::env::current_exe().unwrap());
    let command = command.arg("__program").arg(&folder.path).env(MARK, &folder.mark);
    command.stdout(Stdio::piped()).stdin(Stdio::null()).spawn().unwrap()
}

fn killed_program() {
    let folder = Folder::new("web: trap '' TERM; sleep 1000 & setsid sleep 1000 & (sleep 1000 & sleep 1000) & APP\n");
    runtime().block_on(async {
        // From before the first process is started to when all have long been up.
        for delay_ms in [0, 1, 2, 3, 4, 5, 6, 7, 8, 10, 12, 15, 20, 30, 50, 400] {
            let mut program = start_program(&folder);
            let mut word = [0; 7];
            program.stdout.take().unwrap().read_exact(&mut word).unwrap();
            tokio::time::sleep(Duration::from_millis(delay_ms)).await;
            program.kill().unwrap();
            program.wait().unwrap();
            until(&format!("nothing is left {delay_ms} ms after the start"), async || folder.running().is_empty())
                .await;
        }
    });
}

fn killed_janitor() {
    let folder = Folder::new("web: setsid sleep 1000 & sleep 1000\n");
    runtime().block_on(async {
        let mut program = start_program(&folder);
        let janitors = || {
            let line = |pid: &u32| std::fs::read_to_string(format!("/proc/{pid}/cmdline")).unwrap_or_default();
            folder.running().into_iter().filter(|pid| line(pid).contains("__janitor")).collect::<Vec<_>>()
        };
        // Program, janitor, three shells with two sleepers each.
        until("all run", async || folder.running().len() == 11).await;
        let old = janitors();
        let kill = |pid: u32| Command::new("kill").args(["-9", &pid.to_string()]).status().unwrap();
        assert!(kill(old[0]).success());
        until("it is gone", async || !runs(old[0])).await;
        // The next start of a process finds out.
        let pid = folder.running().into_iter().find(|pid| {
            std::fs::read_to_string(format!("/proc/{pid}/cmdline")).unwrap_or_default().starts_with("sh\0")
        });
        assert!(kill(pid.unwrap()).success());
        until("there is a new one", async || janitors().first().is_some_and(|pid| *pid != old[0])).await;
        program.kill().unwrap();
        program.wait().unwrap();
        until("nothing is left", async || folder.running().is_empty()).await;
    });
}
