//! The loop of one bot, on scripted backends and paused time.

use std::{sync::Arc, time::Duration};

use autoscalebot_core::{event::Event, step::State};
use autoscalebot_engine::{
    clock::{Clock as _, SystemClock},
    command::Commander,
};
use tokio_util::sync::CancellationToken;

use crate::scripted::{Act, Platform, Script, Witness, bot};

const TEN: Duration = Duration::from_secs(10);

/// Runs a bot for so long on paused time; what it told.
async fn run(script: &Script, platform: &Platform, length: Duration) -> Vec<Event> {
    let witness = Arc::new(Witness::default());
    let bot = bot(script, platform, TEN, &witness);
    let (state, stop) = (State::new(&bot.policy), CancellationToken::new());
    let inbox = Commander::default().open(&bot.process);
    let task = tokio::spawn(bot.run(state, inbox, stop.clone()));
    tokio::time::sleep(length).await;
    stop.cancel();
    task.await.unwrap();
    witness.events()
}

#[tokio::test(start_paused = true)]
async fn a_slow_app_grows_one_by_one_to_its_max_and_each_change_is_one_order() {
    let platform = Platform::running(1);
    let events = run(&Script::of([Act::Read(2000.0)]), &platform, Duration::from_secs(125)).await;
    assert_eq!(platform.orders(), [(1, 2), (2, 3)]);
    assert!(matches!(events[0], Event::ScaledUp { from: 1, to: 2, .. }), "{events:?}");
    assert!(events.iter().any(|event| matches!(event, Event::NeedsExceededMax { wanted: 4, max: 3, .. })));
}

#[tokio::test(start_paused = true)]
async fn a_fast_app_shrinks_to_its_min_and_no_further() {
    let platform = Platform::running(3);
    run(&Script::of([Act::Read(10.0)]), &platform, Duration::from_secs(300)).await;
    assert_eq!(platform.orders(), [(3, 2), (2, 1)]);
}

#[tokio::test(start_paused = true)]
async fn failures_never_shrink_and_are_told_once() {
    let platform = Platform::running(3);
    let events = run(&Script::of([Act::Read(10.0), Act::Fail]), &platform, Duration::from_secs(600)).await;
    assert_eq!(platform.orders(), []);
    assert_eq!(events.len(), 1, "{events:?}");
    assert!(matches!(events[0], Event::MeasurementFailed { .. }));
}

#[tokio::test(start_paused = true)]
async fn an_app_too_slow_to_answer_grows() {
    let platform = Platform::running(1);
    run(&Script::of([Act::TimeOut]), &platform, Duration::from_secs(25)).await;
    assert_eq!(platform.orders(), [(1, 2)]);
}

#[tokio::test(start_paused = true)]
async fn a_refused_order_is_tried_again_with_growing_pauses_until_it_is_taken() {
    let platform = Platform::running(1);
    platform.refuse(3);
    let events = run(&Script::of([Act::Read(2000.0)]), &platform, Duration::from_secs(65)).await;
    assert_eq!(platform.orders()[..4], [(1, 2), (1, 2), (1, 2), (1, 2)]);
    let failures = events.iter().filter(|event| matches!(event, Event::ScaleFailed { .. })).count();
    assert_eq!(failures, 1, "told when it begins, not on every try: {events:?}");
}

#[tokio::test(start_paused = true)]
async fn a_mute_platform_gets_no_order_and_recovery_is_told() {
    let platform = Platform::running(1);
    platform.be_mute(5);
    let events = run(&Script::of([Act::Read(2000.0)]), &platform, Duration::from_secs(55)).await;
    assert_eq!(platform.orders(), [(1, 2)]);
    assert!(matches!(events[0], Event::CountFailed { .. }), "{events:?}");
    assert!(matches!(events[1], Event::CountRecovered { .. }), "{events:?}");
}

#[tokio::test(start_paused = true)]
async fn a_panic_is_told_and_the_bot_starts_again() {
    let platform = Platform::running(1);
    let script = Script::of([Act::Panic, Act::Panic, Act::Read(2000.0)]);
    let events = run(&script, &platform, Duration::from_secs(60)).await;
    let pauses: Vec<_> = events
        .iter()
        .filter_map(|event| match event {
            Event::BotPanicked { message, restart_in } => Some((message.as_str(), restart_in.as_secs())),
            _ => None,
        })
        .collect();
    assert_eq!(pauses, [("the script says so", 2), ("the script says so", 4)]);
    // Measured at 0 and 10 (both in vain), then at 20, 30 and 40.
    assert_eq!(platform.orders(), [(1, 2)]);
}

#[tokio::test(start_paused = true)]
async fn moments_missed_by_a_slow_measurement_are_skipped() {
    let script = Script::of([Act::Slow(Duration::from_secs(35), 800.0), Act::Read(800.0)]);
    run(&script, &Platform::running(1), Duration::from_secs(65)).await;
    // At 0 (until 35), 40, 50 and 60; not four times at 35.
    assert_eq!(script.measured(), 4);
}

#[tokio::test(start_paused = true)]
async fn stopping_does_not_wait_for_a_measurement() {
    let script = Script::of([Act::Slow(Duration::from_secs(3600), 800.0)]);
    let clock = SystemClock::new();
    run(&script, &Platform::running(1), Duration::from_secs(1)).await;
    assert!(clock.now().since_start < Duration::from_secs(2));
}

#[tokio::test(start_paused = true)]
async fn someone_elses_change_is_told_and_respected() {
    let platform = Platform::running(2);
    let witness = Arc::new(Witness::default());
    let bot = bot(&Script::of([Act::Read(800.0)]), &platform, TEN, &witness);
    let (state, stop) = (State::new(&bot.policy), CancellationToken::new());
    let inbox = Commander::default().open(&bot.process);
    let task = tokio::spawn(bot.run(state, inbox, stop.clone()));
    tokio::time::sleep(Duration::from_secs(15)).await;
    platform.set(3);
    tokio::time::sleep(Duration::from_secs(30)).await;
    stop.cancel();
    task.await.unwrap();
    assert_eq!(witness.events(), [Event::CountChangedElsewhere { from: 2, to: 3 }]);
    assert_eq!(platform.orders(), []);
}
