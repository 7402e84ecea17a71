//! Changed settings: taken over when valid, told and left alone when not.

use std::time::Duration;

use testkit::{
    app::{Answers, App},
    program::{Folder, Program},
};

use crate::autoscalebot;

const PATIENCE: Duration = Duration::from_secs(30);

fn settings(app: &App, max_of_web: &str) -> String {
    let process = |name: &str, max: &str| {
        format!(
            r#"
[{name}.measurement]
backend = "AppDecision"
settings = {{ measurement_url = "{}/{name}", measurement_interval_in_seconds = 0.1 }}
[{name}.decision]
backend = "ConsecutiveThreshold"
settings = {{ max_processes = {max}, max_measurement_value = 10, min_measurement_value = 1, post_scale_wait_time_seconds = 0.1 }}
[{name}.scaling]
backend = "DryRun"
[{name}.notification]
backends = ["Logger"]
"#,
            app.url()
        )
    };
    process("web", max_of_web) + &process("worker", "2")
}

async fn app() -> App {
    App::start(Answers::After(Duration::ZERO, "50".to_owned())).await
}

fn start(folder: &Folder) -> Program {
    let mut command = autoscalebot();
    Program::start(command.current_dir(folder.path()).args(["--settings", "autoscale_settings.toml"]))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_valid_change_is_taken_over_for_its_process_alone() {
    let (app, folder) = (app().await, Folder::new());
    folder.write("autoscale_settings.toml", &settings(&app, "2"));
    let program = start(&folder);
    let at_max = |output: &str| output.matches("needs exceed max").count() >= 2;
    assert!(program.until(PATIENCE, at_max).await, "{}", program.output());
    folder.write("autoscale_settings.toml", &settings(&app, "5"));
    let reloaded = |output: &str| output.contains("settings reloaded");
    assert!(program.until(PATIENCE, reloaded).await, "{}", program.output());
    let output = program.output();
    let lines: Vec<_> = output.lines().filter(|line| line.contains("settings reloaded")).collect();
    assert!(lines.iter().all(|line| line.contains("process=web")), "{lines:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_invalid_change_is_told_and_the_old_settings_go_on() {
    let (app, folder) = (app().await, Folder::new());
    folder.write("autoscale_settings.toml", &settings(&app, "2"));
    let program = start(&folder);
    assert!(program.until(PATIENCE, |output| output.contains("scaled up")).await, "{}", program.output());
    folder.write("autoscale_settings.toml", &settings(&app, "\"many\""));
    let told = |output: &str| output.contains("web.decision.settings.max_processes") && output.contains("\"many\"");
    assert!(program.until(PATIENCE, told).await, "{}", program.output());
    let asked = app.requests();
    assert!(program.until(PATIENCE, |_| app.requests() > asked + 10).await, "it goes on: {}", program.output());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sighup_reads_the_settings_again() {
    let (app, folder) = (app().await, Folder::new());
    folder.write("autoscale_settings.toml", &settings(&app, "2"));
    let program = start(&folder);
    assert!(program.until(PATIENCE, |output| output.contains("started")).await, "{}", program.output());
    program.signal("HUP");
    assert!(program.until(PATIENCE, |output| output.contains("nothing changed")).await, "{}", program.output());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_folder_that_is_never_quiet_does_not_hide_a_change() {
    let (app, folder) = (app().await, Folder::new());
    folder.write("autoscale_settings.toml", &settings(&app, "2"));
    let program = start(&folder);
    let at_max = |output: &str| output.matches("needs exceed max").count() >= 2;
    assert!(program.until(PATIENCE, at_max).await, "{}", program.output());
    let noise = folder.path().join("log");
    let writer = tokio::spawn(async move {
        let mut interval = tokio::time::interval(Duration::from_millis(50));
        loop {
            interval.tick().await;
            std::fs::write(&noise, "a line\n").unwrap();
        }
    });
    folder.write("autoscale_settings.toml", &settings(&app, "5"));
    let reloaded = |output: &str| output.contains("settings reloaded");
    assert!(program.until(PATIENCE, reloaded).await, "{}", program.output());
    writer.abort();
}
