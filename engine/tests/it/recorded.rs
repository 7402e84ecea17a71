//! What was recorded, through the core once more: identical to the last digit, and with other settings.

use std::{sync::Arc, time::Duration};

use autoscalebot_core::{
    control::{Command, Commanded, Scope},
    moment::Moment,
    sample::{CountsAs, MeasureFailure, Reading, Sample},
    step::{self, Policy, ScaleFailure, Settled, State, observe, settle},
    units::Finite,
};
use autoscalebot_engine::{
    clock::{Clock, SystemClock},
    environment::Environment,
    host::Host,
    policy::PolicySpec,
    store::{self, Begins, Keep, Place, Reader, Recorder, Replayer, Step, Store, TickRecord, WhatIf, WhatTick},
};
use jiff::SignedDuration;
use testkit::program::Folder;

use crate::scripted::{self, Platform, Script, Witness};

/// How long a writer may take for what waits; a machine that builds three other things is slow.
const PATIENCE: Duration = Duration::from_secs(60);

/// The queue of a store holds some thousands; whoever writes faster than any bot waits for it.
const MOST_WAITING: usize = 2_000;

fn second() -> Duration {
    Duration::from_secs(1)
}

/// Numbers that look random and are the same each time.
struct Dice(u64);

impl Dice {
    fn below(&mut self, sides: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % sides
    }
}

/// A process whose load wanders, on a platform that fails now and then, with people who meddle.
struct World {
    dice: Dice,
    policy: Policy,
    state: State,
    running: u32,
    load: f64,
    start: Moment,
    tick: u64,
}

impl World {
    fn new(spec: &PolicySpec, ticks: u64) -> Self {
        let policy = spec.build("web", &Host::from(Environment::default())).unwrap();
        let now = SystemClock::new().now();
        let start = now.civil - SignedDuration::from_secs(i64::try_from(ticks).unwrap());
        let start = Moment { since_start: Duration::ZERO, civil: start };
        let state = State::new(&policy);
        Self { dice: Dice(7), policy, state, running: 2, load: 1500.0, start, tick: 0 }
    }

    fn now(&self) -> Moment {
        let since_start = Duration::from_secs(self.tick);
        let civil = self.start.civil + SignedDuration::from_secs(i64::try_from(self.tick).unwrap());
        Moment { since_start, civil }
    }

    /// One tick as a bot does it.
    fn step(&mut self, recorder: &Recorder) {
        let at = self.now();
        self.tick += 1;
        self.load = (self.load + f64::from(u32::try_from(self.dice.below(1_601)).unwrap()) - 800.0).clamp(0.0, 6000.0);
        let per_process = self.load / f64::from(self.running.max(1));
        let outcome = match self.dice.below(50) {
            0 => Err(failure("refused", CountsAs::Unknown)),
            1 => Err(failure("timeout", CountsAs::High)),
            _ => Ok(Reading::Number(Finite::new(per_process / 3.0).unwrap())),
        };
        if self.dice.below(700) == 0 {
            self.running = 1 + u32::try_from(self.dice.below(3)).unwrap();
        }
        let commands: Vec<Commanded> = match self.dice.below(2_000) {
            0 => vec![Command::Pause { scope: Scope::Down, length: Some(Duration::from_secs(60)) }],
            1 => vec![Command::Hold { count: 2, length: Some(Duration::from_secs(30)) }],
            2 => vec![Command::Scale { count: 3 }],
            3 => vec![Command::Resume],
            _ => Vec::new(),
        }
        .into_iter()
        .map(|command| Commanded { command, reason: "to see".to_owned() })
        .collect();
        let running = if self.dice.below(100) == 0 { Err(refusal()) } else { Ok(self.running) };
        let samples = vec![(0, Sample { at, outcome, detail: None, work: None })];
        let state = recorder.wants_state().then(|| self.state.clone());
        let mut record = TickRecord::beginning(at, state, &commands, &samples, &running);
        for commanded in &commands {
            step::command(&mut self.state, commanded, &at);
        }
        let mut outcome = observe(&self.policy, &mut self.state, samples, running, &at);
        let mut events = std::mem::take(&mut outcome.events);
        events.retain(|event| !matches!(event, autoscalebot_core::event::Event::Measured { .. }));
        record.decided(&outcome, events);
        recorder.record(record);
        let Some(order) = &outcome.order else { return };
        let settled = match self.dice.below(20) {
            0 => Settled::Failed(refusal()),
            1 => Settled::AlreadyThere,
            _ => Settled::Scaled,
        };
        if !matches!(settled, Settled::Failed(_)) {
            self.running = order.to;
        }
        let events = settle(&self.policy, &mut self.state, order, &settled, &at);
        recorder.record_result(&settled, &at, &events);
    }
}

fn failure(key: &'static str, counts_as: CountsAs) -> MeasureFailure {
    MeasureFailure { key: key.into(), message: format!("the dice say {key}"), counts_as }
}

fn refusal() -> ScaleFailure {
    ScaleFailure { key: "scripted".into(), message: "the dice say no".to_owned(), retry_after: None }
}

async fn record(folder: &Folder, ticks: u64) -> (Arc<Store>, Reader) {
    let place = Place::Sqlite(folder.path().join("store.db"));
    let store = store::find(place, Keep::default()).await.start(Arc::new(SystemClock::new()));
    let (script, platform) = (Script::of([]), Platform::running(1));
    let bot = scripted::bot(&script, &platform, second(), &Arc::new(Witness::default()));
    let recorder = store.recorder(&bot, Begins::Start);
    let mut world = World::new(&bot.spec, ticks);
    for tick in 1..=ticks {
        world.step(&recorder);
        if store.health().waiting > MOST_WAITING || tick == ticks {
            store.flush(PATIENCE).await;
        }
    }
    let reader = store.reader();
    (store, reader)
}

/// Every tick of the process, a page at a time.
async fn every_tick(reader: &Reader, mut each: impl FnMut(&store::Tick)) -> u64 {
    let (mut position, mut ticks) = ((0, -1), 0);
    loop {
        let page = reader.ticks_after("web", position).await.unwrap();
        let Some(last) = page.last() else { return ticks };
        position = (last.run, last.seq);
        page.iter().for_each(&mut each);
        ticks += page.len() as u64;
    }
}

fn policy(spec: &PolicySpec) -> Arc<Policy> {
    Arc::new(spec.build("web", &Host::from(Environment::default())).unwrap())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_hundred_thousand_recorded_ticks_replay_to_the_very_same() {
    const TICKS: u64 = 100_000;
    let folder = Folder::new();
    let (store, reader) = record(&folder, TICKS).await;
    assert_eq!(store.health().lost, 0);
    let version = reader.versions("web").await.unwrap().pop().unwrap();
    let mut replayer = Replayer::new(policy(&version.spec));
    let mut orders = 0;
    let ticks = every_tick(&reader, |tick| {
        assert_eq!(replayer.step(tick).unwrap(), Step::Same, "{tick:?}");
        orders += u64::from(tick.settled.is_some());
    })
    .await;
    assert_eq!(ticks, TICKS);
    assert!(orders > 1_000, "{orders} orders in a load that wanders");
}

async fn what_would_have_been(reader: &Reader, spec: &PolicySpec) -> Vec<WhatTick> {
    let mut what_if = WhatIf::new(policy(spec));
    let mut ticks = Vec::new();
    every_tick(reader, |tick| ticks.extend(what_if.step(tick).unwrap())).await;
    ticks
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_settings_that_were_in_force_come_to_what_was() {
    let folder = Folder::new();
    let (_store, reader) = record(&folder, 4_000).await;
    let ticks = what_would_have_been(&reader, &scripted::spec(second())).await;
    assert_eq!(ticks.len(), 4_000);
    for tick in &ticks {
        assert_eq!(tick.running, tick.recorded.running, "{tick:?}");
        assert_eq!((&tick.outcome.decision, &tick.outcome.order), (&tick.recorded.decision, &tick.recorded.order));
        assert_eq!(tick.settled, tick.recorded_settled);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn other_settings_are_followed_by_a_count_of_their_own() {
    let folder = Folder::new();
    let (_store, reader) = record(&folder, 4_000).await;
    let mut spec = scripted::spec(second());
    spec.signals[0].common.max_processes = autoscalebot_core::bounds::ByTimeOfDay::always(9);
    spec.signals[0].settings = serde_json::json!({"max_measurement_value": 450.0, "min_measurement_value": 50.0});
    let ticks = what_would_have_been(&reader, &spec).await;
    let highest = ticks.iter().filter_map(|tick| tick.running).max();
    assert!(highest > Some(3), "it may have more, and goes there: {highest:?}");
    // Whatever the platform refused, or somebody set elsewhere, happens here too; else the count is that of the orders.
    let mut expected = None;
    for tick in &ticks {
        let Some(running) = tick.running else { continue };
        let elsewhere = expected.is_some_and(|expected| running != expected);
        assert!(!elsewhere || Some(running) == tick.recorded.running, "{tick:?}");
        let obeyed = matches!(tick.settled, Some(Settled::Scaled | Settled::AlreadyThere));
        expected = tick.outcome.order.as_ref().filter(|_| obeyed).map(|order| order.to).or(Some(running));
    }
}
