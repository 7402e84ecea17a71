//! A made-up world: policies, load, work, a platform with moods, clocks that jump, people who meddle, settings that change.
//!
//! A [`Story`] is small and shrinks well: a plan, and chapters of some ticks each with one kind of load, one mood of the
//! platform, and a seed. [`play`] spins it out tick by tick through `observe` and `settle`, and returns the log of
//! everything that happened. Nothing here judges; that is for the oracle and the invariants.

use std::{collections::BTreeMap, num::NonZeroUsize, sync::Arc, time::Duration};

use autoscalebot_core::{
    bounds::{Bounds, ByTimeOfDay},
    busy::{Protection, Victims},
    decision::{Common, Decide, Terms, average_threshold, consecutive_threshold},
    event::Event,
    moment::Moment,
    rapid::RapidLimit,
    registry::Backend as _,
    sample::{CountsAs, MeasureFailure, Reading, Sample},
    step::{Outcome, Policy, ScaleFailure, Settled, Signal, State, observe, settle},
    units::Finite,
};
use jiff::{SignedDuration, Timestamp, civil::Time, tz::TimeZone};
use proptest::{collection::vec, prelude::*, sample::select};

use crate::crew::{Crew, Processes, crew, look, protection};

/// Zones with a clock change of an hour, of half an hour, at odd offsets, and with none.
pub const ZONES: [&str; 6] =
    ["UTC", "Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "America/St_Johns", "Asia/Kathmandu"];

/// Shortly before the clock changes of 2026 in those zones, and an ordinary day.
const STARTS: [&str; 8] = [
    "2026-03-28T23:30:00Z",
    "2026-10-24T23:30:00Z",
    "2026-03-08T05:00:00Z",
    "2026-11-01T04:00:00Z",
    "2026-04-04T14:00:00Z",
    "2026-10-03T14:40:00Z",
    "2026-03-08T04:45:00Z",
    "2026-06-15T11:59:00Z",
];

/// The settings of a process, as plain data.
#[derive(Debug, Clone)]
pub struct Plan {
    pub signals: Vec<SignalPlan>,
    pub wait: Duration,
    pub repeat: Duration,
    pub rapid: RapidLimit,
    pub protection: Protection,
}

/// The settings of a signal, as plain data.
#[derive(Debug, Clone)]
pub struct SignalPlan {
    pub backend: BackendPlan,
    pub low: f64,
    pub high: f64,
    pub increment: u32,
    /// Minute of the day and the value from then on; one line at any minute means "always".
    pub min: Vec<(u32, u32)>,
    pub max: Vec<(u32, u32)>,
    pub zone: &'static str,
    pub history_length: usize,
    pub sees_work: bool,
}

#[derive(Debug, Clone, Copy)]
pub enum BackendPlan {
    Consecutive { ups: usize, downs: usize },
    Average { window: usize },
}

/// What a signal measures during a chapter.
#[derive(Debug, Clone, Copy)]
pub enum Load {
    Low,
    AtLow,
    Between,
    AtHigh,
    High,
    /// Any number, a new one each tick.
    Noisy,
    /// Numbers, failures of both kinds, documents, nothing.
    Flaky,
    /// Low, and every third cannot be measured.
    LowIfAny,
    Timeouts,
    Refused,
    Documents,
    Silent,
    /// None to three samples in one tick.
    Bursts,
}

/// How the platform takes orders during a chapter.
#[derive(Debug, Clone, Copy)]
pub enum Mood {
    Obeys,
    Refuses,
    RefusesAndAsksForPatience,
    /// Obeys, and the answer gets lost.
    ObeysInSecret,
    SomeoneWasFaster,
    /// Says so, and it is not true.
    ClaimsAlreadyThere,
    /// We do not ask it at all.
    DryRun,
    /// Does not say how many processes run, most of the time.
    CountFails,
    Moody,
}

#[derive(Debug, Clone)]
pub struct Chapter {
    pub ticks: u32,
    pub seed: u64,
    pub interval: Duration,
    pub irregular: bool,
    pub loads: Vec<Load>,
    pub crew: Crew,
    pub mood: Mood,
    /// How often somebody sets the count by hand.
    pub meddling_percent: u64,
    /// Somebody sets the wall clock at the start.
    pub wall_jump_minutes: i64,
    /// The settings change at the start; whether the signals are measured as before.
    pub new_plan: Option<(Plan, bool)>,
}

#[derive(Debug, Clone)]
pub struct Story {
    pub plan: Plan,
    pub running: u32,
    pub start: &'static str,
    pub chapters: Vec<Chapter>,
}

/// One turn of the loop: all that went in and all that came out.
#[derive(Debug, Clone, PartialEq)]
pub struct Tick {
    /// Index into [`Log::plans`].
    pub plan: usize,
    /// The plan changed just before this tick; whether the signals are measured as before.
    pub changed: Option<bool>,
    pub now: Moment,
    pub samples: Vec<(usize, Sample)>,
    pub count: Result<u32, ScaleFailure>,
    pub outcome: Outcome,
    pub settled: Option<(Moment, Settled)>,
    pub settle_events: Vec<Event>,
    /// What ran in truth when this tick began.
    pub processes: Processes,
    /// What runs in truth after the platform was asked.
    pub truth: u32,
}

#[derive(Debug)]
pub struct Log {
    pub plans: Vec<Plan>,
    pub ticks: Vec<Tick>,
    pub last_state: State,
}

impl Plan {
    pub fn policy(&self) -> Policy {
        Policy {
            signals: self.signals.iter().map(SignalPlan::signal).collect(),
            wait_after_scale: self.wait,
            repeat: self.repeat,
            rapid: self.rapid,
            protection: self.protection,
        }
    }
}

impl SignalPlan {
    pub fn bounds(&self) -> Bounds {
        let zone = TimeZone::get(self.zone).unwrap();
        Bounds::new(by_time_of_day(&self.min), by_time_of_day(&self.max), zone).unwrap()
    }

    pub fn decide(&self) -> Box<dyn Decide> {
        let common = Common { increment: self.increment.try_into().unwrap(), ..Common::default() };
        let terms = Terms { common, unit: "ms".into(), backend: "Test", process: String::new() };
        let (low, high) = (Finite::new(self.low).unwrap(), Finite::new(self.high).unwrap());
        let count = |number| NonZeroUsize::new(number).unwrap();
        let decide = match self.backend {
            BackendPlan::Consecutive { ups, downs } => consecutive_threshold::ConsecutiveThreshold::build(
                consecutive_threshold::Settings {
                    number_of_fails_to_scale_up_after: count(ups),
                    number_of_passes_to_scale_down_after: count(downs),
                    min_measurement_value: low,
                    max_measurement_value: high,
                },
                &terms,
            ),
            BackendPlan::Average { window } => average_threshold::AverageThreshold::build(
                average_threshold::Settings {
                    number_of_measurements_to_average: count(window),
                    min_measurement_value: low,
                    max_measurement_value: high,
                },
                &terms,
            ),
        };
        decide.unwrap()
    }

    fn signal(&self) -> Signal {
        Signal {
            backend: Arc::from("Made-up"),
            decide: self.decide(),
            bounds: self.bounds(),
            history_length: NonZeroUsize::new(self.history_length).unwrap(),
            sees_work: self.sees_work,
        }
    }
}

pub fn by_time_of_day(table: &[(u32, u32)]) -> ByTimeOfDay<u32> {
    if let [(_, value)] = table {
        return ByTimeOfDay::always(*value);
    }
    let time = |minute: u32| Time::constant((minute / 60) as i8, (minute % 60) as i8, 0, 0);
    let table: BTreeMap<Time, u32> = table.iter().map(|(minute, value)| (time(*minute), *value)).collect();
    ByTimeOfDay::from_table(table).unwrap()
}

/// Plays a story through the two doors.
pub fn play(story: &Story) -> Log {
    play_and_store(story, usize::MAX)
}

/// The same; the state goes through JSON before every nth call of a door.
pub fn play_and_store(story: &Story, every: usize) -> Log {
    let mut plans = vec![story.plan.clone()];
    let mut policy = story.plan.policy();
    let mut state = State::new(&policy);
    let mut ticks = Vec::new();
    let mut processes = Processes::new(story.running);
    let start: Timestamp = story.start.parse().unwrap();
    let (mut since_start, mut offset) = (Duration::ZERO, SignedDuration::ZERO);
    let mut calls = 0;
    let mut through_json = |state: State| {
        calls += 1;
        if calls % every > 0 {
            return state;
        }
        serde_json::from_str(&serde_json::to_string(&state).unwrap()).unwrap()
    };
    for chapter in &story.chapters {
        let mut random = Random(chapter.seed);
        let mut changed = None;
        offset += SignedDuration::from_mins(chapter.wall_jump_minutes);
        if let Some((plan, measured_as_before)) = &chapter.new_plan {
            plans.push(plan.clone());
            policy = plan.policy();
            if plan.protection.victims == Victims::Highest {
                processes.renumber();
            }
            state = state.carried_over(&policy, *measured_as_before);
            changed = Some(*measured_as_before);
        }
        for _ in 0..chapter.ticks {
            since_start += if chapter.irregular {
                chapter.interval.mul_f64(random.below(300) as f64 / 100.0)
            } else {
                chapter.interval
            };
            let moment = |since_start| Moment { since_start, civil: within_2026(start + since_start + offset, start) };
            let now = moment(since_start);
            if random.percent(chapter.meddling_percent) {
                processes.become_count(policy.protection.victims, random.below(9) as u32, &[], &mut random);
            }
            processes.work(chapter.crew.busyness, &mut random);
            let before = processes.clone();
            let mut samples = Vec::new();
            for (signal, plan) in plans.last().unwrap().signals.iter().enumerate() {
                let load = chapter.loads[signal % chapter.loads.len()];
                for sample in measure(load, plan, &now, &mut random) {
                    samples.push((signal, look(sample, &chapter.crew, signal, &processes, &mut random)));
                }
            }
            let count = count(chapter.mood, processes.count(), &mut random);
            state = through_json(state);
            let outcome = observe(&policy, &mut state, samples.clone(), count.clone(), &now);
            state = through_json(state);
            let (mut settled, mut settle_events) = (None, Vec::new());
            if let Some(order) = &outcome.order {
                since_start += Duration::from_millis(random.below(3) * 700);
                let (answer, then) = obey(chapter.mood, processes.count(), order.to, &mut random);
                processes.become_count(policy.protection.victims, then, &order.free, &mut random);
                let later = moment(since_start);
                settle_events = settle(&policy, &mut state, order, &answer, &later);
                settled = Some((later, answer));
            }
            let plan = plans.len() - 1;
            ticks.push(Tick {
                plan,
                changed: changed.take(),
                now,
                samples,
                count,
                outcome,
                settled,
                settle_events,
                processes: before,
                truth: processes.count(),
            });
        }
    }
    Log { plans, ticks, last_state: state }
}

/// The oracle knows the clock changes of one year only.
fn within_2026(civil: Timestamp, otherwise: Timestamp) -> Timestamp {
    let edge = |text: &str| text.parse::<Timestamp>().unwrap();
    let year = edge("2026-01-03T00:00:00Z")..edge("2026-12-29T00:00:00Z");
    if year.contains(&civil) { civil } else { otherwise }
}

fn measure(load: Load, plan: &SignalPlan, now: &Moment, random: &mut Random) -> Vec<Sample> {
    let sample = |outcome| vec![Sample { at: *now, outcome, detail: None, work: None }];
    let number = |number: f64| vec![a_number(*now, number)];
    let failure = |key: &'static str, counts_as| {
        sample(Err(MeasureFailure { key: key.into(), message: format!("the app failed: {key}"), counts_as }))
    };
    match load {
        Load::Low => number(plan.low - random.quarters(40)),
        Load::AtLow => number(plan.low),
        Load::Between => number(plan.low.midpoint(plan.high)),
        Load::AtHigh => number(plan.high),
        Load::High => number(plan.high + 0.25 + random.quarters(40)),
        Load::Noisy => number(plan.low - 2.0 + random.quarters(80)),
        Load::Timeouts => failure("timeout", CountsAs::High),
        Load::Refused => failure("refused", CountsAs::Unknown),
        Load::Documents => sample(Ok(Reading::Document(serde_json::json!({"queue": 3.25})))),
        Load::Silent => Vec::new(),
        Load::Flaky => {
            let loads = [
                Load::Low,
                Load::Low,
                Load::High,
                Load::High,
                Load::Timeouts,
                Load::Refused,
                Load::Documents,
                Load::Silent,
                Load::Noisy,
            ];
            measure(random.one_of(&loads), plan, now, random)
        }
        Load::LowIfAny => measure(random.one_of(&[Load::Low, Load::Low, Load::Refused]), plan, now, random),
        Load::Bursts => {
            let load = random.one_of(&[Load::Low, Load::High, Load::Noisy, Load::Flaky]);
            (0..random.below(4)).flat_map(|_| measure(load, plan, now, random)).collect()
        }
    }
}

fn count(mood: Mood, truth: u32, random: &mut Random) -> Result<u32, ScaleFailure> {
    let fails = match mood {
        Mood::CountFails => random.percent(80),
        Mood::Moody => random.percent(10),
        _ => false,
    };
    if fails { Err(refusal(None)) } else { Ok(truth) }
}

/// What the platform answers to an order, and what runs then.
fn obey(mood: Mood, truth: u32, wanted: u32, random: &mut Random) -> (Settled, u32) {
    match mood {
        Mood::Obeys | Mood::CountFails => (Settled::Scaled, wanted),
        Mood::Refuses => (Settled::Failed(refusal(None)), truth),
        Mood::RefusesAndAsksForPatience => {
            let patience = Duration::from_secs(random.one_of(&[0, 1, 30, 300, 4000, u64::MAX]));
            (Settled::Failed(refusal(Some(patience))), truth)
        }
        Mood::ObeysInSecret => (Settled::Failed(refusal(None)), wanted),
        Mood::SomeoneWasFaster => (Settled::AlreadyThere, wanted),
        Mood::ClaimsAlreadyThere => (Settled::AlreadyThere, truth),
        Mood::DryRun => (Settled::DryRun, truth),
        Mood::Moody => {
            let moods = [
                Mood::Obeys,
                Mood::Obeys,
                Mood::Obeys,
                Mood::Refuses,
                Mood::RefusesAndAsksForPatience,
                Mood::ObeysInSecret,
                Mood::SomeoneWasFaster,
                Mood::ClaimsAlreadyThere,
            ];
            obey(random.one_of(&moods), truth, wanted, random)
        }
    }
}

/// A reading, at its moment.
pub fn a_number(at: Moment, number: f64) -> Sample {
    Sample { at, outcome: Ok(Reading::Number(Finite::new(number).unwrap())), detail: None, work: None }
}

pub fn at_zero() -> Moment {
    Moment { since_start: Duration::ZERO, civil: Timestamp::UNIX_EPOCH }
}

fn refusal(retry_after: Option<Duration>) -> ScaleFailure {
    ScaleFailure { key: "refused".into(), message: "the platform said no".to_owned(), retry_after }
}

/// splitmix64: enough randomness for a story, and the same on every machine.
pub struct Random(pub u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ (mixed >> 31)
    }

    pub fn below(&mut self, end: u64) -> u64 {
        self.next() % end
    }

    fn percent(&mut self, percent: u64) -> bool {
        self.below(100) < percent
    }

    /// Quarters are exact in floats, so that the oracle may reckon with them without rounding.
    fn quarters(&mut self, end: u64) -> f64 {
        self.below(end) as f64 / 4.0
    }

    pub fn one_of<T: Copy>(&mut self, all: &[T]) -> T {
        all[self.below(all.len() as u64) as usize]
    }
}

fn table(values: std::ops::RangeInclusive<u32>) -> impl Strategy<Value = Vec<(u32, u32)>> {
    let always = values.clone().prop_map(|value| vec![(0, value)]);
    let lines =
        proptest::collection::btree_map(0..1440_u32, values, 2..6).prop_map(|lines| lines.into_iter().collect());
    prop_oneof![always, lines]
}

pub fn signal_plan() -> impl Strategy<Value = SignalPlan> {
    let consecutive = (1..6_usize, 1..8_usize).prop_map(|(ups, downs)| BackendPlan::Consecutive { ups, downs });
    let average = (1..6_usize).prop_map(|window| BackendPlan::Average { window });
    let backend = prop_oneof![consecutive, average];
    let thresholds = (-8..40_i32, 0..40_i32);
    let bounds = (0..5_u32).prop_flat_map(|middle| (table(0..=middle), table(middle..=middle + 4)));
    (
        backend,
        thresholds,
        prop_oneof![3 => Just(1), 1 => 2..5_u32],
        bounds,
        select(&ZONES[..]),
        (0..6_usize, any::<bool>()),
    )
        .prop_map(|(backend, (low, width), increment, (min, max), zone, (spare, sees_work))| {
            let needed = match backend {
                BackendPlan::Consecutive { ups, downs } => ups.max(downs),
                BackendPlan::Average { window } => window,
            };
            let low = f64::from(low) / 4.0;
            let high = low + f64::from(width) / 4.0;
            SignalPlan { backend, low, high, increment, min, max, zone, history_length: needed + spare, sees_work }
        })
}

pub fn plan() -> impl Strategy<Value = Plan> {
    let wait = prop_oneof![Just(0), Just(5_000), 0..120_000_u64].prop_map(Duration::from_millis);
    let repeat = prop_oneof![Just(3600), 0..7200_u64].prop_map(Duration::from_secs);
    (vec(signal_plan(), 1..4), wait, repeat, 0..6_u32, protection()).prop_map(
        |(signals, wait, repeat, scales, protection)| Plan {
            signals,
            wait,
            repeat,
            // One period for all plans of a story: what was forgotten under a short one does not come back under a long one.
            rapid: RapidLimit { scales, period: Duration::from_secs(180) },
            protection,
        },
    )
}

pub fn chapter() -> impl Strategy<Value = Chapter> {
    use Load::{
        AtHigh, AtLow, Between, Bursts, Documents, Flaky, High, Low, LowIfAny, Noisy, Refused, Silent, Timeouts,
    };
    let loads = [
        Low, AtLow, Between, AtHigh, High, High, Low, Noisy, Flaky, Timeouts, Refused, Documents, Silent, Bursts,
        LowIfAny, LowIfAny,
    ];
    let moods = vec![
        (6, Mood::Obeys),
        (2, Mood::Moody),
        (1, Mood::Refuses),
        (1, Mood::RefusesAndAsksForPatience),
        (1, Mood::ObeysInSecret),
        (1, Mood::SomeoneWasFaster),
        (1, Mood::ClaimsAlreadyThere),
        (1, Mood::DryRun),
        (1, Mood::CountFails),
    ];
    let mood =
        proptest::strategy::Union::new_weighted(moods.into_iter().map(|(weight, mood)| (weight, Just(mood))).collect());
    let interval = select(vec![100_u64, 1000, 5000, 30_000, 30_000, 60_000, 600_000]).prop_map(Duration::from_millis);
    let new_plan = prop_oneof![5 => Just(None), 1 => (plan(), any::<bool>()).prop_map(Some)];
    let jump = prop_oneof![3 => Just(0), 1 => -3000..3000_i64];
    let meddling = prop_oneof![2 => Just(0), 1 => 0..30_u64];
    let time = (20..160_u32, any::<u64>(), interval, any::<bool>());
    (time, (vec(select(loads.to_vec()), 3), crew()), mood, meddling, jump, new_plan).prop_map(
        |((ticks, seed, interval, irregular), (loads, crew), mood, meddling_percent, wall_jump_minutes, new_plan)| {
            Chapter {
                ticks,
                seed,
                interval,
                irregular,
                loads,
                crew,
                mood,
                meddling_percent,
                wall_jump_minutes,
                new_plan,
            }
        },
    )
}

/// A run of about two thousand ticks.
pub fn story() -> impl Strategy<Value = Story> {
    (plan(), 0..9_u32, select(&STARTS[..]), vec(chapter(), 5..40)).prop_map(|(plan, running, start, chapters)| Story {
        plan,
        running,
        start,
        chapters,
    })
}

/// A few ticks of several signals that decide at once, each with steps and bounds of its own.
pub fn crowd() -> impl Strategy<Value = Story> {
    let signal = (signal_plan(), 1..7_u32, 0..3_u32, 0..8_u32).prop_map(|(plan, increment, min, more)| SignalPlan {
        backend: BackendPlan::Consecutive { ups: 1, downs: 1 },
        increment,
        min: vec![(0, min)],
        max: vec![(0, min + more)],
        ..plan
    });
    let loads = vec(select(vec![Load::Low, Load::Low, Load::Between, Load::High, Load::Refused]), 4);
    (vec(signal, 2..5), plan(), chapter(), loads, 0..9_u32).prop_map(|(signals, plan, chapter, loads, running)| Story {
        plan: Plan { signals, ..plan },
        running,
        start: STARTS[0],
        chapters: vec![Chapter { ticks: 3, loads, new_plan: None, ..chapter }],
    })
}

/// How many stories each property is told. A story is thousands of ticks, so a few dozen are many.
pub fn stories(cases: u32) -> ProptestConfig {
    ProptestConfig { cases, ..ProptestConfig::default() }
}
