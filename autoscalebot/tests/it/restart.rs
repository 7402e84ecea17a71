//! A real program that is killed and started again goes on where it was.

use std::time::Duration;

use serde_json::Value;
use testkit::program::{Folder, Program};

use crate::autoscalebot;

const PATIENCE: Duration = Duration::from_secs(60);

/// High at every look, and a wait of an hour after a scale.
const SETTINGS: &str = r#"
[web.measurement]
backend = "Command"
settings = { command = "echo 50", measurement_interval_in_seconds = 0.1 }
[web.decision]
settings = { max_processes = 9, max_measurement_value = 10, min_measurement_value = 1, post_scale_wait_time_seconds = 3600 }
[web.scaling]
backend = "DryRun"
settings = { processes = 1 }
"#;

fn started(folder: &Folder) -> Program {
    let mut command = autoscalebot();
    Program::start(command.current_dir(folder.path()).env("AUTOSCALEBOT_LOG", "debug").arg("run"))
}

/// Every decision so far, the newest last, and what the command returned.
fn journal(folder: &Folder) -> Vec<Value> {
    let mut command = autoscalebot();
    let command = command.current_dir(folder.path()).args(["journal", "--all", "--json", "--limit", "5000"]);
    let output = command.output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap().lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_killed_program_still_waits_after_the_scale_before_and_all_of_it_replays() {
    let folder = Folder::new();
    folder.write("autoscale_settings.toml", SETTINGS);
    let mut program = started(&folder);
    let waits = |output: &str| output.contains("held, the wait after the last scale takes");
    assert!(program.until(PATIENCE, waits).await, "{}", program.output());
    program.kill();
    // Ten looks are missed.
    tokio::time::sleep(Duration::from_secs(1)).await;

    let mut program = started(&folder);
    let decides = |output: &str| output.matches("measured").count() > 6;
    assert!(program.until(PATIENCE, decides).await, "{}", program.output());
    assert!(waits(&program.output()), "it has not forgotten: {}", program.output());
    assert!(!program.output().contains("scaled up"), "{}", program.output());
    program.signal("TERM");
    program.end(PATIENCE).await;
    assert!(!folder.path().join("autoscalebot-data/store.db-wal").exists(), "one file holds all of it");

    let holes: Vec<Value> = journal(&folder).into_iter().filter(|line| line["type"] == "hole").collect();
    assert_eq!(holes.len(), 1, "between the kill and the next start: {holes:?}");
    assert_eq!(holes[0]["begins"], "resumed", "{holes:?}");
    let orders = journal(&folder).iter().filter(|line| line["order"].is_object()).count();
    assert_eq!(orders, 1);
    let output = autoscalebot().current_dir(folder.path()).arg("replay").output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success() && said.contains("all identical"), "{said}");
    assert!(said.contains("nothing is known of") && said.contains("did not run"), "{said}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn settings_that_changed_are_told_one_by_one_whether_the_program_ran_or_not() {
    let folder = Folder::new();
    let with = |max: &str, secret: &str| {
        let settings = SETTINGS.replace("max_processes = 9", &format!("max_processes = {max}"));
        settings.replace("\"echo 50\"", &format!("\"echo 50\", env = {{ KEY = \"{secret}\" }}"))
    };
    folder.write("autoscale_settings.toml", &with("9", "hunter2"));
    let mut program = started(&folder);
    assert!(program.until(PATIENCE, |output| output.contains("measured")).await, "{}", program.output());
    folder.write("autoscale_settings.toml", &with("7", "hunter2"));
    assert!(program.until(PATIENCE, |output| output.contains("settings reloaded")).await, "{}", program.output());
    program.signal("TERM");
    program.end(PATIENCE).await;

    folder.write("autoscale_settings.toml", &with("5", "hunter3"));
    let mut program = started(&folder);
    assert!(program.until(PATIENCE, |output| output.contains("measured")).await, "{}", program.output());
    program.signal("TERM");
    program.end(PATIENCE).await;

    let told: Vec<String> = journal(&folder)
        .iter()
        .filter(|line| line["kind"] == "settings_reloaded")
        .map(|line| format!("{} {}", line["subject"], line["facts"]))
        .collect();
    assert_eq!(told.len(), 2, "{told:?}");
    assert!(told[0].contains("(changed)") && told[0].contains("max_processes: 7 (was 9)"), "{told:?}");
    assert!(told[1].contains("changed since the last run") && told[1].contains("max_processes: 5 (was 7)"), "{told:?}");
    assert!(!told.concat().contains("hunter") && !told.concat().contains("min_"), "{told:?}");
}
