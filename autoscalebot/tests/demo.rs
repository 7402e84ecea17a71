//! The demo, as a person runs it, only shorter: it goes up, comes down, and leaves nothing behind.

use std::{
    collections::BTreeSet,
    io::{Read, Write},
    process::{Child, Command, Stdio},
    time::Duration,
};

/// Every process of a test carries this variable, so that those it leaves can be found.
const MARK: &str = "DEMO_TEST";

fn start(mark: &str, arguments: &[&str]) -> Child {
    let mut command = Command::new(env!("CARGO_BIN_EXE_autoscalebot"));
    command.arg("demo").args(arguments).env(MARK, mark).stdin(Stdio::null());
    command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
}

/// Process ids of everything that carries the mark and is no zombie.
fn left(mark: &str) -> BTreeSet<u32> {
    let variable = format!("{MARK}={mark}");
    let runs = |pid: &u32| {
        let environment = std::fs::read(format!("/proc/{pid}/environ")).unwrap_or_default();
        let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
        let state = stat.rsplit(')').next().and_then(|rest| rest.split_whitespace().next());
        environment.split(|byte| *byte == 0).any(|found| found == variable.as_bytes()) && state != Some("Z")
    };
    let pids = std::fs::read_dir("/proc").unwrap();
    pids.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok()).filter(runs).collect()
}

/// Waits, not for ever, until nothing carries the mark any more.
fn nothing_is_left(mark: &str) {
    let (_never, wait) = std::sync::mpsc::channel::<()>();
    for _ in 0..500 {
        if left(mark).is_empty() {
            return;
        }
        let _ = wait.recv_timeout(Duration::from_millis(20));
    }
    panic!("these processes are left: {:?}", left(mark));
}

fn mark(name: &str) -> String {
    format!("{name}-{}", std::process::id())
}

#[test]
fn the_demo_goes_up_and_comes_down_again_and_leaves_nothing_behind() {
    let mark = mark("whole");
    let output = start(&mark, &["--seconds", "20"]).wait_with_output().unwrap();
    let (told, complained) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{told}\n{complained}");
    assert_eq!(complained, "");
    let happened = told.split_once("What happened:").expect("a summary").1;
    assert!(happened.contains("▲ web 1 → 2: 3 readings in a row above 167 ms ("), "{told}");
    assert!(happened.contains("▼ web 2 → 1: 6 readings in a row at or below 80 ms ("), "{told}");
    assert!(happened.contains("1 at the end"), "{told}");
    assert_eq!(left(&mark), BTreeSet::new());
}

#[test]
fn a_signal_ends_the_demo_early_with_a_summary_and_nothing_left() {
    let mark = mark("term");
    let mut demo = start(&mark, &[]);
    let mut first = [0; 200];
    demo.stdout.as_mut().unwrap().read_exact(&mut first).unwrap();
    let kill = Command::new("kill").arg(demo.id().to_string()).status().unwrap();
    assert!(kill.success());
    let output = demo.wait_with_output().unwrap();
    let told = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{told}");
    assert!(told.contains("Stopped before the end."), "{told}");
    assert_eq!(left(&mark), BTreeSet::new());
}

#[test]
fn a_browser_can_watch_the_demo() {
    let mark = mark("browser");
    let mut demo = start(&mark, &[]);
    let mut first = [0; 400];
    demo.stdout.as_mut().unwrap().read_exact(&mut first).unwrap();
    let first = String::from_utf8_lossy(&first).into_owned();
    let address = first.split_once("The dashboard is at http://").and_then(|(_, rest)| rest.split_once('/')).unwrap().0;
    for (path, words) in [("/", "<title>autoscalebot</title>"), ("/api/v1/processes", r#""name":"web""#)] {
        let mut connection = std::net::TcpStream::connect(address).unwrap();
        write!(connection, "GET {path} HTTP/1.1\r\nhost: {address}\r\nconnection: close\r\n\r\n").unwrap();
        let mut answer = String::new();
        connection.read_to_string(&mut answer).unwrap();
        assert!(answer.starts_with("HTTP/1.1 200") && answer.contains(words), "{path}: {answer}");
    }
    assert!(Command::new("kill").arg(demo.id().to_string()).status().unwrap().success());
    assert!(demo.wait_with_output().unwrap().status.success());
    nothing_is_left(&mark);
}

#[test]
fn a_killed_demo_leaves_no_process_behind() {
    let mark = mark("kill");
    let mut demo = start(&mark, &[]);
    let mut first = [0; 200];
    demo.stdout.as_mut().unwrap().read_exact(&mut first).unwrap();
    assert!(left(&mark).len() >= 3, "program, janitor and app should run");
    demo.kill().unwrap();
    demo.wait().unwrap();
    nothing_is_left(&mark);
}
