//! Each small part of the core against the slow and obvious way to say the same.

use std::{num::NonZeroUsize, time::Duration};

use autoscalebot_core::{
    condition::Condition,
    decision::{Direction, View},
    history::History,
    moment::Moment,
    rapid::{RapidLimit, RapidWindow},
    sample::{CountsAs, MeasureFailure, Reading, Sample},
    units::Finite,
    wait::{Backoff, Wait},
};
use jiff::{Timestamp, civil::Time};
use proptest::{collection::vec, prelude::*, sample::select};

use crate::{
    oracle::{Diary, value_at, wish},
    world::{BackendPlan, SignalPlan, by_time_of_day, signal_plan, stories},
};

fn at(since_start: Duration) -> Moment {
    Moment { since_start, civil: Timestamp::UNIX_EPOCH }
}

fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

fn sample(number: f64) -> Sample {
    Sample {
        at: at(Duration::ZERO),
        outcome: Ok(Reading::Number(Finite::new(number).unwrap())),
        detail: None,
        work: None,
    }
}

/// Samples of every kind around the thresholds of a signal.
fn samples_around(plan: &SignalPlan) -> impl Strategy<Value = Vec<Sample>> + use<> {
    let (low, high) = (plan.low, plan.high);
    let failure = |counts_as| {
        let outcome = Err(MeasureFailure { key: "failed".into(), message: "it failed".to_owned(), counts_as });
        Sample { at: at(Duration::ZERO), outcome, detail: None, work: None }
    };
    let document = Sample { outcome: Ok(Reading::Document(serde_json::json!({}))), ..sample(0.0) };
    let numbers = [low - 1.0, low, low + 0.25, high, high + 0.25, high + 9.0].map(sample);
    let all = [&numbers[..], &[failure(CountsAs::High), failure(CountsAs::Unknown), document]].concat();
    // Two kinds at a time, so that runs come about.
    (select(all.clone()), select(all))
        .prop_flat_map(|(one, other)| vec(prop_oneof![4 => Just(one), 1 => Just(other)], 0..16))
}

#[derive(Debug, Clone)]
enum Change {
    Push(f64),
    Clear,
    Resize(usize),
}

fn change() -> impl Strategy<Value = Change> {
    prop_oneof![
        9 => (0..1000_u32).prop_map(|number| Change::Push(f64::from(number))),
        1 => Just(Change::Clear),
        1 => (1..12_usize).prop_map(Change::Resize),
    ]
}

proptest! {
    #![proptest_config(stories(512))]

    #[test]
    fn the_ring_is_the_end_of_a_list(capacity in 1..12_usize, changes in vec(change(), 0..200)) {
        let mut history = History::new(NonZeroUsize::new(capacity).unwrap());
        let (mut list, mut capacity) = (Vec::new(), capacity);
        for change in changes {
            match change {
                Change::Push(number) => {
                    history.push(sample(number));
                    list.push(number);
                }
                Change::Clear => {
                    history.clear();
                    list.clear();
                }
                Change::Resize(to) => {
                    history.resize(NonZeroUsize::new(to).unwrap());
                    capacity = to;
                }
            }
            list.drain(..list.len().saturating_sub(capacity));
            let kept: Vec<f64> = history.newest_first().filter_map(Sample::number).map(Finite::get).collect();
            prop_assert_eq!(&kept, &list.iter().rev().copied().collect::<Vec<_>>());
            prop_assert_eq!((history.len(), history.is_empty()), (list.len(), list.is_empty()));
            prop_assert_eq!(history.newest().and_then(Sample::number).map(Finite::get), list.last().copied());
        }
    }

    #[test]
    fn a_time_table_is_a_walk_back_through_the_minutes(plan in signal_plan()) {
        for table in [&plan.min, &plan.max] {
            let fast = by_time_of_day(table);
            // Every line to the second, and the day in odd steps.
            let edges = table.iter().flat_map(|(from, _)| [*from, (from + 1439) % 1440]);
            for minute in (0..1440).step_by(7).chain(edges) {
                for second in [0, 59] {
                    let local = Time::constant((minute / 60) as i8, (minute % 60) as i8, second, 0);
                    prop_assert_eq!(fast.at(local), value_at(table, minute), "{}", local);
                }
            }
        }
    }

    #[test]
    fn the_rapid_window_is_a_count_over_all_scales(
        allowed in 0..5_u32, period in 1..100_u64, scales in vec((0..30_u64, any::<Option<bool>>()), 0..150),
    ) {
        let limit = RapidLimit { scales: allowed, period: seconds(period) };
        let (mut window, mut all, mut now) = (RapidWindow::default(), Vec::new(), 0);
        for (pause, scale) in scales {
            now += pause;
            if let Some(up) = scale {
                window.push(if up { Direction::Up } else { Direction::Down }, &at(seconds(now)));
                all.push((now, up));
            }
            let count = |wanted| all.iter().filter(|(then, up)| *up == wanted && now - then < period).count() as u32;
            let expected = match (count(true), count(false)) {
                (ups, _) if ups > allowed => Some((Direction::Up, ups)),
                (_, downs) if downs > allowed => Some((Direction::Down, downs)),
                _ => None,
            };
            prop_assert_eq!(window.exceeded(&limit, &at(seconds(now))), expected);
        }
    }

    #[test]
    fn a_condition_tells_what_its_whole_diary_tells(
        repeat in 0..1000_u64, updates in vec((0..200_u64, prop::bool::weighted(0.6)), 0..200),
    ) {
        let (mut condition, mut diary, mut now) = (Condition::default(), Diary::default(), Duration::ZERO);
        for (pause, holds) in updates {
            now += seconds(pause);
            let told = condition.update(holds, seconds(repeat), &at(now));
            prop_assert_eq!(told, diary.write(("it", 0, 0), holds, seconds(repeat), now));
            prop_assert_eq!(condition.holds(), holds);
        }
    }

    #[test]
    fn a_wait_is_over_when_the_last_one_begun_is_over(steps in vec((0..50_u64, any::<Option<u8>>()), 0..100)) {
        let (mut wait, mut begun, mut now) = (Wait::default(), Vec::new(), 0);
        for (pause, begin) in steps {
            now += pause;
            if let Some(length) = begin.map(u64::from) {
                wait.begin(seconds(length), &at(seconds(now)));
                begun.push(now + length);
            }
            let end = begun.last().copied().unwrap_or(0);
            prop_assert_eq!(wait.left(&at(seconds(now))), (end > now).then(|| seconds(end - now)));
        }
    }

    #[test]
    fn a_backoff_is_what_all_failures_since_the_last_success_make_of_it(
        steps in vec((0..3000_u64, prop_oneof![1 => Just(None), 6 => any::<Option<u16>>().prop_map(Some)]), 0..60),
    ) {
        let (mut backoff, mut row, mut now) = (Backoff::default(), Vec::<u64>::new(), 0);
        for (pause, failure) in steps {
            now += pause;
            match failure {
                Some(asked) => {
                    let asked = asked.map(u64::from);
                    let length = backoff.failed(asked.map(seconds), &at(seconds(now))).as_secs();
                    if row.last().is_some_and(|end| now >= end + 3600) {
                        row.clear();
                    }
                    let own = (0..row.len()).fold(2, |own: u64, _| (own * 2).min(60));
                    prop_assert_eq!(length, own.max(asked.unwrap_or(0).min(3600)));
                    row.push(now + length);
                }
                None => {
                    backoff.succeeded();
                    row.clear();
                }
            }
            let end = row.last().copied().unwrap_or(0);
            prop_assert_eq!(backoff.left(&at(seconds(now))), (end > now).then(|| seconds(end - now)));
            prop_assert_eq!(backoff.failures() as usize, row.len());
        }
    }

    #[test]
    fn a_policy_decides_what_a_look_at_all_samples_decides(
        (plan, samples) in signal_plan().prop_flat_map(|plan| { let samples = samples_around(&plan); (Just(plan), samples) }),
        running in prop_oneof![0..10_u32, Just(u32::MAX)],
        increment in prop_oneof![1..4_u32, Just(u32::MAX)],
    ) {
        let plan = SignalPlan { increment, ..plan };
        let mut history = History::new(NonZeroUsize::new(plan.history_length).unwrap());
        samples.iter().for_each(|sample| history.push(sample.clone()));
        let newest_first: Vec<&Sample> = samples.iter().rev().take(plan.history_length).collect();
        let decide = plan.decide();
        let decision = decide.decide(&View { history: &history, running, now: &at(Duration::ZERO) });
        let (direction, key) = wish(&plan, &newest_first);
        prop_assert_eq!((decision.direction, &*decision.reason.key), (direction, key));
        let wanted = match direction {
            Direction::Up => u64::from(running) + u64::from(increment),
            Direction::Down => u64::from(running.saturating_sub(increment)),
            Direction::Stay => u64::from(running),
        };
        prop_assert_eq!(u64::from(decision.wanted), wanted.min(u64::from(u32::MAX)));
        // What decided stands in the sentence.
        if matches!(key, "consecutive_high" | "consecutive_low" | "average_high" | "average_low") {
            let needed = match (plan.backend, direction) {
                (BackendPlan::Consecutive { ups, .. }, Direction::Up) => ups,
                (BackendPlan::Consecutive { downs, .. }, _) => downs,
                (BackendPlan::Average { window }, _) => window,
            };
            for number in newest_first[..needed].iter().filter_map(|sample| sample.number()) {
                prop_assert!(decision.reason.sentence.contains(&number.to_string()), "{}", decision.reason.sentence);
            }
        }
    }

    #[test]
    fn a_mean_crosses_no_threshold_that_none_of_its_readings_crossed(
        numbers in prop_oneof![
            any::<[f64; 2]>().prop_filter("finite", |numbers| numbers.iter().all(|number| number.is_finite())),
            // The short decimals that people measure are those that floats round.
            [0..9999_u32, 0..9999_u32].prop_map(|numbers| numbers.map(|number| f64::from(number) / 1000.0)),
        ],
        which in vec(prop::bool::weighted(0.1), 1..8),
    ) {
        let readings: Vec<f64> = which.into_iter().map(|other| numbers[usize::from(other)]).collect();
        let most = readings.iter().copied().fold(f64::MIN, f64::max);
        let least = readings.iter().copied().fold(f64::MAX, f64::min);
        let window = BackendPlan::Average { window: readings.len() };
        let plan = |low, high| SignalPlan {
            backend: window, low, high, increment: 1, min: vec![(0, 0)], max: vec![(0, 9)], zone: "UTC", history_length: 8,
            sees_work: false,
        };
        let direction = |plan: SignalPlan| {
            let mut history = History::new(NonZeroUsize::new(8).unwrap());
            readings.iter().for_each(|number| history.push(sample(*number)));
            plan.decide().decide(&View { history: &history, running: 5, now: &at(Duration::ZERO) }).direction
        };
        prop_assert_ne!(direction(plan(f64::MIN, most)), Direction::Up);
        let below = least.next_down();
        prop_assume!(below.is_finite());
        prop_assert_ne!(direction(plan(below, f64::MAX)), Direction::Down);
    }

    #[test]
    fn a_reading_survives_json_bit_for_bit(number in any::<f64>().prop_filter("finite", |number| number.is_finite())) {
        let json = serde_json::to_string(&sample(number)).unwrap();
        let back: Sample = serde_json::from_str(&json).unwrap();
        let back = back.number().unwrap().get();
        // Only the sign of zero is lost, and no decision asks for it.
        prop_assert!(back == number && (number == 0.0 || back.to_bits() == number.to_bits()), "{number:e} {back:e} {json}");
    }
}
