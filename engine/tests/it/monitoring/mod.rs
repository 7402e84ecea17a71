//! Metrics: what they say, on scripted bots and paused time; then all of them on real Prometheus and at a collector.

#[cfg(feature = "otlp")]
mod otlp;
mod prometheus;
mod scene;

use std::{sync::Arc, time::Duration};

use autoscalebot_core::{
    control::{Command, Commanded, Scope},
    step::State,
};
use autoscalebot_engine::{
    board::Board,
    bot::Watch as _,
    clock::SystemClock,
    command::Commander,
    environment::Environment,
    host::Host,
    shared::Shared,
    telemetry::metrics::{Sources, render},
};
use tokio_util::sync::CancellationToken;

use crate::scripted::{Act, Platform, Script, Witness, bot};

const TEN: Duration = Duration::from_secs(10);

/// The page after a bot ran for so long on paused time, and was told these things at its beginning.
async fn page_after(script: &Script, platform: &Platform, length: Duration, commands: &[Command]) -> Page {
    let (board, witness) = (Board::new(Host::default()), Arc::new(Witness::default()));
    let mut bot = bot(script, platform, TEN, &witness);
    bot.watchers.push(board.clone());
    board.joined(&bot);
    let sources = sources(&board);
    let (commander, stop) = (Commander::default(), CancellationToken::new());
    let (state, inbox, process) = (State::new(&bot.policy), commander.open(&bot.process), bot.process.clone());
    let task = tokio::spawn(bot.run(state, inbox, stop.clone()));
    for command in commands {
        let commanded = Commanded { command: command.clone(), reason: "a test".to_owned() };
        commander.tell(&process, commanded).await.unwrap();
    }
    tokio::time::sleep(length).await;
    let page = Page(render(&sources));
    stop.cancel();
    task.await.unwrap();
    page
}

fn sources(board: &Arc<Board>) -> Sources {
    Sources::new(board.clone(), None, Shared::new(Arc::new(SystemClock::new()), Environment::default()))
}

/// A page of metrics, to be asked.
struct Page(String);

impl Page {
    /// The value of the one line that begins so; nothing when there is none.
    fn value(&self, series: &str) -> Option<f64> {
        let series = format!("autoscalebot_{series}");
        let mut values = self.0.lines().filter_map(|line| line.strip_prefix(&series)?.strip_prefix(' '));
        let value = values.next().map(|value| value.parse().unwrap());
        assert_eq!(values.next(), None, "{series} is there twice");
        value
    }
}

#[tokio::test]
async fn before_the_first_tick_nothing_is_known_and_nothing_is_said() {
    let board = Board::new(Host::default());
    let witness = Arc::new(Witness::default());
    board.joined(&bot(&Script::of([Act::Read(800.0)]), &Platform::running(1), TEN, &witness));
    let page = Page(render(&sources(&board)));
    for unknown in
        ["processes_running", "processes_wanted", "processes_min", "processes_max", "decision_timestamp_seconds"]
    {
        assert_eq!(page.value(&format!("{unknown}{{process=\"web\"}}")), None, "{unknown}");
    }
    for unknown in [
        "autoscalebot_reading{",
        "autoscalebot_measurement_up{",
        "autoscalebot_queue_waiting{",
        "autoscalebot_store_up ",
    ] {
        assert!(!page.0.contains(&format!("\n{unknown}")), "{unknown}");
    }
    let signal = "process=\"web\",signal=\"0\",backend=\"ResponseTime\"";
    assert_eq!(page.value(&format!("measurements_total{{{signal}}}")), Some(0.0));
    assert_eq!(page.value(&format!("reading_high_threshold{{{signal},unit=\"ms\"}}")), Some(1200.0));
    assert_eq!(page.value("bots"), Some(1.0));
}

#[tokio::test(start_paused = true)]
async fn a_bot_at_work_is_seen_with_its_reading_counts_bounds_decisions_and_scales() {
    let page = page_after(&Script::of([Act::Read(2000.0)]), &Platform::running(1), Duration::from_secs(125), &[]).await;
    let signal = "process=\"web\",signal=\"0\",backend=\"ResponseTime\"";
    assert_eq!(page.value(&format!("reading{{{signal},unit=\"ms\"}}")), Some(2000.0));
    assert_eq!(page.value(&format!("measurement_up{{{signal}}}")), Some(1.0));
    assert_eq!(page.value(&format!("measurements_total{{{signal}}}")), Some(13.0));
    let of_web = |name: &str| page.value(&format!("{name}{{process=\"web\"}}"));
    assert_eq!(
        ["running", "wanted", "min", "max"].map(|name| of_web(&format!("processes_{name}"))),
        [3.0, 3.0, 1.0, 3.0].map(Some)
    );
    assert_eq!(page.value("limited{process=\"web\",bound=\"max\"}"), Some(1.0));
    assert_eq!(page.value("limited{process=\"web\",bound=\"min\"}"), Some(0.0));
    assert_eq!(page.value("scales_total{process=\"web\",direction=\"up\"}"), Some(2.0));
    assert_eq!(page.value("scales_total{process=\"web\",direction=\"down\"}"), Some(0.0));
    let high = page.value("decisions_total{process=\"web\",direction=\"up\",reason=\"consecutive_high\"}");
    assert!(high.is_some_and(|high| high >= 2.0), "{}", page.0);
    assert_eq!(page.value("evaluation_lateness_seconds_count"), Some(13.0));
    assert_eq!(of_web("bot_stalled"), Some(0.0));
    assert!(of_web("scale_timestamp_seconds").is_some());
}

#[tokio::test(start_paused = true)]
async fn a_failed_measurement_has_no_reading_and_is_counted_by_its_key() {
    let script = Script::of([Act::Read(800.0), Act::Fail]);
    let page = page_after(&script, &Platform::running(2), Duration::from_secs(35), &[]).await;
    let signal = "process=\"web\",signal=\"0\",backend=\"ResponseTime\"";
    assert_eq!(page.value(&format!("reading{{{signal},unit=\"ms\"}}")), None);
    assert_eq!(page.value(&format!("reading_timestamp_seconds{{{signal}}}")), None);
    assert_eq!(page.value(&format!("measurement_up{{{signal}}}")), Some(0.0));
    assert_eq!(page.value(&format!("measurement_failures_total{{{signal},key=\"scripted\"}}")), Some(3.0));
}

#[tokio::test(start_paused = true)]
async fn a_mute_platform_leaves_no_count_and_what_is_wanted_of_an_unknown_count_is_unknown_too() {
    let platform = Platform::running(2);
    platform.be_mute(100);
    let page = page_after(&Script::of([Act::Read(800.0)]), &platform, Duration::from_secs(35), &[]).await;
    assert_eq!(page.value("processes_running{process=\"web\"}"), None);
    assert_eq!(page.value("processes_wanted{process=\"web\"}"), None);
    assert_eq!(page.value("processes_max{process=\"web\"}"), Some(3.0));
    assert_eq!(page.value("count_failures_total{process=\"web\",key=\"scripted\"}"), Some(4.0));
}

#[tokio::test(start_paused = true)]
async fn refused_orders_show_until_one_is_taken_and_stay_counted() {
    let platform = Platform::running(1);
    platform.refuse(2);
    let script = Script::of([Act::Read(2000.0)]);
    let page = page_after(&script, &platform, Duration::from_secs(25), &[]).await;
    assert_eq!(page.value("scale_failing{process=\"web\"}"), Some(1.0));
    platform.set(1);
    platform.refuse(2);
    let page = page_after(&script, &platform, Duration::from_secs(65), &[]).await;
    assert_eq!(page.value("scale_failing{process=\"web\"}"), Some(0.0));
    assert_eq!(page.value("scale_failures_total{process=\"web\",key=\"scripted\"}"), Some(2.0));
}

#[tokio::test(start_paused = true)]
async fn what_people_told_a_bot_is_seen() {
    let script = Script::of([Act::Read(800.0)]);
    let commands = [Command::Pause { scope: Scope::Up, length: None }, Command::DryRun { on: true }];
    let page = page_after(&script, &Platform::running(1), Duration::from_secs(15), &commands).await;
    assert_eq!(page.value("paused{process=\"web\",scope=\"up\"}"), Some(1.0));
    assert_eq!(page.value("paused{process=\"web\",scope=\"down\"}"), Some(0.0));
    assert_eq!(page.value("held{process=\"web\"}"), Some(0.0));
    assert_eq!(page.value("dry_run{process=\"web\"}"), Some(1.0));
    let hold = [Command::Hold { count: 2, length: None }];
    let page = page_after(&script, &Platform::running(1), Duration::from_secs(15), &hold).await;
    assert_eq!(page.value("held{process=\"web\"}"), Some(1.0));
    assert_eq!(page.value("paused{process=\"web\",scope=\"up\"}"), Some(0.0));
}
