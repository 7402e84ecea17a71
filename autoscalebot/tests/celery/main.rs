//! A Celery app on Redis, its workers as processes of the Local platform, and 500 tasks that take 0.2 to 20 s.
//!
//! The app writes down when each task starts and ends, so that what was lost, and what was started twice, is counted from
//! its own words. Workers get 5 s to stop, less than the longest tasks take: who stops a worker that works, loses tasks.
//! The same day is run with the measurement of this project and with what everybody begins with, the length of the list.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};

use autoscalebot_engine::clock::{Clock, SystemClock};
use testkit::{
    fake_heroku::{FakeHeroku, Setup},
    program::{Folder, Program},
    services::Redis,
    tools,
};

const APP: &str = "dancing-forest-1234";

/// How many tasks, and how many of them are sent first.
const TASKS: usize = 500;
const FIRST_WAVE: usize = 350;

/// The second wave comes when so many tasks have ended: in the middle of the first shrinking.
const SECOND_WAVE_AFTER: usize = 300;

/// The whole day, with time to spare on a busy machine.
const DAY: Duration = Duration::from_secs(240);

/// Longer than the longest task: when nothing has happened for so long, nothing more will.
const QUIET: Duration = Duration::from_secs(25);

/// What `autoscalebot` measures.
enum Measured {
    /// What is waiting and who works.
    Backlog,
    /// `LLEN celery`, and whoever is the highest number goes.
    LengthOfTheList,
}

/// What became of the tasks.
#[derive(Debug)]
struct Figures {
    lost: usize,
    started_twice: usize,
    most_workers: u32,
    workers_at_the_end: u32,
    seconds: f64,
}

impl Figures {
    fn print(&self, policy: &str) {
        let Self { lost, started_twice, most_workers, seconds, .. } = self;
        println!(
            "{policy}: {lost} of {TASKS} lost, {started_twice} started twice, at most {most_workers} workers, {seconds:.0} s"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_backlog_drains_the_workers_return_to_the_minimum_and_no_task_is_lost_or_started_twice() {
    let (figures, output) = day(Measured::Backlog).await;
    figures.print("CeleryRedisQueueSize");
    assert_eq!((figures.lost, figures.started_twice), (0, 0), "{figures:?}\n{output}");
    assert_eq!(figures.workers_at_the_end, 1, "{figures:?}\n{output}");
    assert_eq!(figures.most_workers, 8, "{figures:?}\n{output}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_length_of_the_list_alone_stops_workers_in_the_middle_of_tasks() {
    let (figures, output) = day(Measured::LengthOfTheList).await;
    figures.print("the length of the list");
    assert!(figures.lost > 0, "{figures:?}\n{output}");
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_runs_while_nothing_waits_and_the_first_task_wakes_a_worker_at_once() {
    let stand = Stand::new(&Measured::Backlog, 0, 0).await;
    let program = stand.start();
    let measured = |output: &str| output.matches("CeleryRedisQueueSize").count() > 0;
    assert!(program.until(Duration::from_secs(20), measured).await, "{}", program.output());
    assert_eq!(program.output().matches("worker.1").count(), 0, "{}", program.output());
    // Ten readings above 4 would be needed by the thresholds; one task waits.
    stand.send(1, 2).await;
    let clock = SystemClock::new();
    let wakes = |output: &str| output.contains("scaled up from 0 to 1");
    assert!(program.until(Duration::from_secs(15), wakes).await, "{}", program.output());
    println!("awake after {:.1} s", clock.now().since_start.as_secs_f64());
    let sleeps = |output: &str| output.contains("scaled down from 1 to 0");
    assert!(program.until(Duration::from_secs(60), sleeps).await, "{}", program.output());
    let log = std::fs::read_to_string(&stand.log).unwrap();
    assert_eq!(log.lines().filter(|line| line.starts_with("end 1 ")).count(), 1, "{log}");
}

#[tokio::test(flavor = "multi_thread")]
async fn on_heroku_a_busy_worker_in_the_highest_dyno_keeps_all_dynos_until_its_task_is_done() {
    let fake = FakeHeroku::start(Setup::app(APP).process("worker", 3, "Standard-1X").token("test-token")).await;
    let scaling = format!(
        "backend = \"Heroku\"\nsettings = {{ app_name = \"{APP}\", api_key = \"test-token\", api_url = \"{}\" }}",
        fake.url()
    );
    let stand = Stand::with(&Measured::Backlog, 1, scaling).await;
    // Alone, so that it is the one that gets the task; task 10 takes 15 s.
    let highest = stand.worker("worker.3");
    stand.send(10, 11).await;
    let begun = |_: &str| stand.log().contains("start 10 worker.3");
    assert!(highest.until(Duration::from_secs(30), begun).await, "{}", highest.output());
    let others = [stand.worker("worker.1"), stand.worker("worker.2")];
    let program = stand.start();
    let held = |output: &str| output.contains("number 3 is busy, and the platform stops the highest number first");
    assert!(program.until(Duration::from_secs(30), held).await, "{}", program.output());
    assert_eq!(fake.quantity("worker"), 3);
    let shrunk = |_: &str| fake.quantity("worker") == 1;
    assert!(program.until(Duration::from_secs(60), shrunk).await, "{}", program.output());
    assert!(stand.log().contains("end 10 "), "the task was not done: {}", program.output());
    drop(others);
}

/// Runs a day; what became of the tasks, and the words of the program.
async fn day(measured: Measured) -> (Figures, String) {
    let stand = Stand::new(&measured, 1, 1).await;
    let mut program = stand.start();
    stand.send(0, FIRST_WAVE).await;
    let clock = SystemClock::new();
    until_ended_or_quiet(&program, &stand.log, SECOND_WAVE_AFTER, DAY / 2).await;
    stand.send(FIRST_WAVE, TASKS).await;
    until_ended_or_quiet(&program, &stand.log, TASKS, DAY / 2).await;
    let seconds = clock.now().since_start.as_secs_f64();
    program.until(Duration::from_secs(60), |output| counts(output).last().is_none_or(|count| *count == 1)).await;
    program.signal("TERM");
    program.end(Duration::from_secs(20)).await;
    (figures(&stand.log, &program.output(), seconds), program.output())
}

/// A broker, an app, and the settings of its workers.
struct Stand {
    redis: Redis,
    folder: Folder,
    log: PathBuf,
}

impl Stand {
    /// With workers of the Local platform.
    async fn new(measured: &Measured, min_processes: u32, processes: u32) -> Self {
        let stand = Self::with(measured, min_processes, String::new()).await;
        let python = tools::python();
        let worker =
            format!("exec '{}' -m celery -A day_tasks worker -n worker@$DYNO -c 4 -l warning", python.display());
        stand.folder.write("Procfile", &format!("worker: cd '{}' && {worker}\n", here().display()));
        let env = format!("BROKER_URL = \"{}\", TASK_LOG = \"{}\"", stand.redis.url(), stand.log.display());
        let local = format!(
            "backend = \"Local\"\nsettings = {{ stop_timeout_seconds = 5, processes = {processes}, env = {{ {env} }} }}"
        );
        stand.folder.write("autoscale_settings.toml", &settings(measured, &stand.redis, min_processes, &local));
        stand
    }

    async fn with(measured: &Measured, min_processes: u32, scaling: String) -> Self {
        let (redis, folder) = (Redis::start(&[]).await, Folder::new());
        let log = folder.path().join("tasks.log");
        std::fs::write(&log, "").unwrap();
        folder.write("autoscale_settings.toml", &settings(measured, &redis, min_processes, &scaling));
        Self { redis, folder, log }
    }

    /// A worker that nobody scales, in a process with this name.
    fn worker(&self, name: &str) -> Program {
        let mut command = Command::new(tools::python());
        command.current_dir(here()).args(["-m", "celery", "-A", "day_tasks", "worker", "-c", "1", "-l", "warning"]);
        command.args(["-n", &format!("worker@{name}")]).env("DYNO", name).env("TASK_LOG", &self.log);
        Program::start_group(command.env("BROKER_URL", self.redis.url()))
    }

    fn log(&self) -> String {
        std::fs::read_to_string(&self.log).unwrap()
    }

    fn start(&self) -> Program {
        let mut command = Command::new(env!("CARGO_BIN_EXE_autoscalebot"));
        command.current_dir(self.folder.path()).env_clear().env("PATH", "/usr/bin:/bin").env("LANG", "C.UTF-8");
        Program::start_group(command.env("AUTOSCALEBOT_LOG", "debug,hyper=info,reqwest=info"))
    }

    /// Sends the tasks with these numbers.
    async fn send(&self, first: usize, last: usize) {
        let mut producer = tokio::process::Command::new(tools::python());
        producer.current_dir(here()).arg("day_tasks.py").args([first.to_string(), last.to_string()]);
        let sent = producer.env("BROKER_URL", self.redis.url()).env("TASK_LOG", &self.log).output().await.unwrap();
        assert!(sent.status.success(), "{sent:?}");
    }
}

fn here() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/celery")
}

/// Until so many tasks have ended, or nothing has happened to any for longer than a task can take.
async fn until_ended_or_quiet(program: &Program, log: &Path, count: usize, within: Duration) {
    let clock = SystemClock::new();
    let (mut length, mut since) = (0, clock.now());
    let enough = |_: &str| {
        let text = std::fs::read_to_string(log).unwrap();
        if text.len() != length {
            (length, since) = (text.len(), clock.now());
        }
        text.lines().filter(|line| line.starts_with("end ")).count() >= count || clock.now().since(&since) > QUIET
    };
    program.until(within, enough).await;
}

fn settings(measured: &Measured, redis: &Redis, min_processes: u32, scaling: &str) -> String {
    let ups = if min_processes == 0 { 10 } else { 1 };
    let (port, url) = (redis.port(), redis.url());
    let measurement = match measured {
        Measured::Backlog => format!("backend = \"CeleryRedisQueueSize\"\nsettings.url = \"{url}\""),
        Measured::LengthOfTheList => {
            format!("backend = \"Command\"\nsettings.command = \"redis-cli -p {port} LLEN celery\"")
        }
    };
    format!(
        r#"
[worker.measurement]
{measurement}
settings.measurement_interval_in_seconds = 1

[worker.decision]
backend = "ConsecutiveThreshold"
[worker.decision.settings]
min_measurement_value = 0
max_measurement_value = 4
number_of_fails_to_scale_up_after = {ups}
number_of_passes_to_scale_down_after = 2
increment = 4
min_processes = {min_processes}
max_processes = 8
post_scale_wait_time_seconds = 2

[worker.scaling]
{scaling}

[worker.notification]
backends = ["Console"]
settings = {{ notify_on_every_scale = true }}
"#
    )
}

/// The counts of workers, by the words of the notifications.
fn counts(output: &str) -> Vec<u32> {
    let scaled =
        output.lines().filter_map(|line| line.split_once("scaled up from ").or(line.split_once("scaled down from ")));
    let to = |rest: &str| {
        let digits = rest.split_once(" to ")?.1;
        digits.split(|letter: char| !letter.is_ascii_digit()).next()?.parse().ok()
    };
    scaled.filter_map(|(_, rest)| to(rest)).collect()
}

fn figures(log: &Path, output: &str, seconds: f64) -> Figures {
    let (mut starts, mut ends) = (BTreeMap::<String, usize>::new(), BTreeMap::<String, usize>::new());
    for line in std::fs::read_to_string(log).unwrap().lines() {
        let mut words = line.split(' ').map(str::to_owned);
        let (what, number) = (words.next().unwrap(), words.next().unwrap());
        *if what == "start" { &mut starts } else { &mut ends }.entry(number).or_default() += 1;
    }
    let counts = counts(output);
    Figures {
        lost: TASKS - ends.len(),
        started_twice: starts.values().filter(|count| **count > 1).count(),
        most_workers: counts.iter().copied().max().unwrap_or(1),
        workers_at_the_end: counts.last().copied().unwrap_or(1),
        seconds,
    }
}
