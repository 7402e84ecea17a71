//! The commands that look back, at what a real program has written down.

use std::{collections::BTreeMap, time::Duration};

use testkit::program::{Folder, Program};

use crate::autoscalebot;

const PATIENCE: Duration = Duration::from_secs(60);

fn settings(max_processes: u32) -> String {
    format!(
        r#"
[web.measurement]
backend = "Command"
settings = {{ command = "echo 50", measurement_interval_in_seconds = 0.1 }}
[web.decision]
settings = {{ max_processes = {max_processes}, max_measurement_value = 10, min_measurement_value = 1, post_scale_wait_time_seconds = 0.1 }}
[web.scaling]
backend = "DryRun"
"#
    )
}

fn run(folder: &Folder, arguments: &[&str]) -> (i32, String, String) {
    let mut command = autoscalebot();
    let output = command.current_dir(folder.path()).env("TZ", "UTC").args(arguments).output().unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    (output.status.code().unwrap_or(-1), text(output.stdout), text(output.stderr))
}

/// What changes from run to run.
const FILTERS: &[(&str, &str)] = &[
    (r"[A-Z][a-z]+day, \d{4}-\d\d-\d\d", "[day]"),
    (r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", "[moment]"),
    (r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d", "[time]"),
    (r"\d\d:\d\d:\d\d", "[clock]"),
    (r"just now|\d+ s ago", "[ago]"),
    (r" {2,}", "  "),
    (r"\d+ ticks", "[number] ticks"),
    (r"\d+ recorded ticks", "[number] recorded ticks"),
    (r"[\w.]*/tmp[^ \n]*/", "[folder]/"),
    (r"of \d+ readings", "of [number] readings"),
    (r"(process-hours|minutes at max) +[\d.]+ +[\d.]+", "$1  [number]  [number]"),
];

macro_rules! shown {
    ($text:expr) => {
        insta::with_settings!({filters => FILTERS.to_vec()}, { insta::assert_snapshot!($text); });
    };
}

/// A program that went up to its max and was stopped.
async fn history() -> Folder {
    let folder = Folder::new();
    folder.write("autoscale_settings.toml", &settings(3));
    let mut command = autoscalebot();
    let mut program = Program::start(command.current_dir(folder.path()).arg("run"));
    // And some more decisions at its max, which say the same.
    let is_there = |output: &str| {
        output.split_once("needs exceed max").is_some_and(|(_, after)| after.matches("measured").count() > 3)
    };
    assert!(program.until(PATIENCE, is_there).await, "{}", program.output());
    // While it runs, it is asked as well.
    let (code, out, error) = run(&folder, &["status", "--json"]);
    assert_eq!(code, 0, "{error}");
    let status: serde_json::Value = serde_json::from_str(&out).unwrap();
    assert_eq!(status["processes"][0]["name"], "web");
    program.signal("TERM");
    program.end(PATIENCE).await;
    folder
}

/// What is in the store. SQLite keeps two files beside it while somebody reads; what was not checkpointed is in one.
fn contents(folder: &Folder) -> BTreeMap<&'static str, Vec<u8>> {
    let read = |name| std::fs::read(folder.path().join("autoscalebot-data").join(name)).unwrap_or_default();
    ["store.db", "store.db-wal"].map(|name| (name, read(name))).into_iter().collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_command_shows_what_was_written_down_and_changes_nothing() {
    let folder = history().await;
    let before = contents(&folder);

    let (code, out, error) = run(&folder, &["status"]);
    assert_eq!(code, 0, "{error}");
    shown!(out);

    let (code, out, error) = run(&folder, &["journal"]);
    assert_eq!(code, 0, "{error}");
    shown!(out);

    let (code, out, error) = run(&folder, &["journal", "--all", "--json", "--limit", "1000"]);
    assert_eq!(code, 0, "{error}");
    let lines: Vec<serde_json::Value> = out.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let orders: Vec<_> =
        lines.iter().filter(|line| line["order"].is_object()).map(|line| line["order"].to_string()).collect();
    assert_eq!(orders, [r#"{"from":1,"to":2}"#, r#"{"from":2,"to":3}"#]);

    let (code, out, error) = run(&folder, &["journal", "--all", "--limit", "1"]);
    assert_eq!((code, out.contains("more like this")), (0, true), "{out}{error}");
    assert!(error.contains("There is more before this: --limit 4"), "{error}");

    let (code, out, error) = run(&folder, &["replay"]);
    assert_eq!(code, 0, "{error}");
    shown!(out);

    let (code, out, error) = run(&folder, &["replay", "--settings", "autoscale_settings.toml"]);
    assert_eq!(code, 0, "{error}");
    shown!(out);

    folder.write("other.toml", &settings(2));
    let (code, out, error) = run(&folder, &["replay", "--settings", "other.toml", "--json"]);
    assert_eq!(code, 0, "{error}");
    let compared: serde_json::Value = serde_json::from_str(&out).unwrap();
    assert_eq!((&compared[0]["did"]["highest"], &compared[0]["would"]["highest"]), (&3.into(), &2.into()), "{out}");

    let (code, out, error) = run(&folder, &["plot", "--since", "1h"]);
    assert_eq!(code, 0, "{error}");
    assert!(out.contains("Command") && out.contains('│') && !out.contains('\u{1b}'), "{out}");

    for (name, begins) in [("x.svg", b"<svg".as_slice()), ("x.png", b"\x89PNG".as_slice())] {
        let (code, _, error) = run(&folder, &["plot", "--since", "1h", "-o", name]);
        assert_eq!(code, 0, "{error}");
        assert!(std::fs::read(folder.path().join(name)).unwrap().starts_with(begins), "{name}");
    }

    let after = contents(&folder);
    let changed: Vec<&str> = before.keys().copied().filter(|name| before[name] != after[name]).collect();
    assert_eq!(changed, [""; 0], "looking back writes nothing into the store");
}

#[test]
fn a_store_that_is_not_there_is_said_with_the_way_out_and_not_made() {
    let folder = Folder::new();
    for command in ["status", "journal", "plot", "replay"] {
        let (code, _, error) = run(&folder, &[command]);
        assert_eq!(code, 1, "{command}: {error}");
        assert!(error.contains("nothing was ever kept") && error.contains("--store"), "{command}: {error}");
        let (code, _, error) = run(&folder, &[command, "--store", "none"]);
        assert_eq!(code, 2, "{command}: {error}");
    }
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0, "nothing was made");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_cannot_be_meant_is_refused_with_what_can() {
    let folder = history().await;
    for (arguments, words) in [
        (["journal", "--process", "webb"].as_slice(), "did you mean web?"),
        (&["journal", "--since", "soon"], "\"soon\": this is no time"),
        (&["journal", "--since", "1h", "--until", "2h"], "which is not later"),
        (&["journal", "--kind", "scale_up"], "did you mean scaled_up?"),
        (&["journal", "--severity", "bad"], "info, warning or error"),
        (&["journal", "--time-zone", "Europe/Nowhere"], "there is no time zone"),
        (&["plot", "-o", "x.gif"], ".svg or .png"),
        (&["status", "--watch", "0"], "0.1 to 3600"),
    ] {
        let (code, _, error) = run(&folder, arguments);
        assert_eq!(code, 2, "{arguments:?}: {error}");
        assert!(error.contains(words), "{arguments:?}: {error}");
    }
    folder.write("other.toml", &settings(3).replace("Command", "RedisList").replace("command = \"echo 50\", ", ""));
    let (code, _, error) = run(&folder, &["replay", "--settings", "other.toml"]);
    assert_eq!(code, 2, "{error}");
}
