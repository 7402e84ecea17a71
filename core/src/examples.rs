//! Short words for the unit tests of this crate: moments, samples, signals and policies.
//!
//! A test should read like the rule that it checks. These are the words; they hold no behaviour of their own.

use std::{num::NonZeroUsize, sync::Arc, time::Duration};

use jiff::{Timestamp, tz::TimeZone};
use serde_json::{Value, json};

use crate::{
    bounds::Bounds,
    decision::{BACKENDS, Common, Decide, Decision, Terms, View},
    history::History,
    moment::Moment,
    rapid::RapidLimit,
    registry::find,
    sample::{CountsAs, MeasureFailure, Reading, Sample},
    step::{Policy, ScaleFailure, Signal},
    units::Finite,
};

/// A moment so many seconds after the start, on a day without surprises.
pub fn at(seconds: u64) -> Moment {
    at_millis(seconds * 1000)
}

pub fn at_millis(milliseconds: u64) -> Moment {
    let noon: Timestamp = "2026-06-15T12:00:00Z".parse().unwrap();
    let since_start = Duration::from_millis(milliseconds);
    Moment { since_start, civil: noon + since_start }
}

pub fn number(number: f64) -> Sample {
    sample(Ok(Reading::Number(Finite::new(number).unwrap())))
}

pub fn document() -> Sample {
    sample(Ok(Reading::Document(json!({"queue": 5}))))
}

/// The app was too slow to answer.
pub fn timeout() -> Sample {
    failed("timeout", "https://example.org/ did not answer within 30 s", CountsAs::High)
}

/// Nobody knows how the app is.
pub fn refused() -> Sample {
    failed("refused", "https://example.org/ refused the connection", CountsAs::Unknown)
}

pub fn failed(key: &'static str, message: &str, counts_as: CountsAs) -> Sample {
    sample(Err(MeasureFailure { key: key.into(), message: message.to_owned(), counts_as }))
}

fn sample(outcome: Result<Reading, MeasureFailure>) -> Sample {
    Sample { at: at(0), outcome, detail: None, work: None }
}

/// Samples from words, oldest first: `"1310 timeout refused document"`.
pub fn samples(words: &str) -> Vec<Sample> {
    let one = |word: &str| match word {
        "timeout" => timeout(),
        "refused" => refused(),
        "document" => document(),
        other => number(other.parse().unwrap()),
    };
    words.split_whitespace().map(one).collect()
}

/// What a backend with these settings decides after these samples with 5 running, in steps of `increment`.
pub fn decide(backend: &str, settings: Value, increment: u32, words: &str) -> Decision {
    let decide = build(backend, settings, increment, "ms");
    let samples = samples(words);
    let mut history = History::new(NonZeroUsize::new(samples.len().max(1)).unwrap());
    samples.into_iter().for_each(|sample| history.push(sample));
    decide.decide(&View { history: &history, running: 5, now: &at(0) })
}

pub fn build(backend: &str, settings: Value, increment: u32, unit: &'static str) -> Box<dyn Decide> {
    let common = Common { increment: increment.try_into().unwrap(), ..Common::default() };
    let terms = Terms { common, unit: unit.into(), backend: "Test", process: String::new() };
    (find(BACKENDS, backend).map_err(|problem| problem.to_string()).unwrap().build)(&settings, &terms).unwrap()
}

/// Bounds from two settings and a zone.
pub fn bounds(min: Value, max: Value, zone: &str) -> Bounds {
    let table = |value| serde_json::from_value(value).unwrap();
    Bounds::new(table(min), table(max), TimeZone::get(zone).unwrap()).unwrap()
}

/// `ConsecutiveThreshold` with the original's defaults: 3 above 1200 ms go up, 5 at or below 400 ms go down, 1 to 3.
pub fn response_time() -> Signal {
    Signal {
        backend: Arc::from("ResponseTime"),
        decide: build("ConsecutiveThreshold", json!({}), 1, "ms"),
        bounds: bounds(json!(1), json!(3), "UTC"),
        history_length: NonZeroUsize::new(10).unwrap(),
        sees_work: false,
    }
}

/// Low at or below 0 and high above 10 tasks, one reading is enough.
pub fn queue() -> Signal {
    let settings = json!({
        "min_measurement_value": 0, "max_measurement_value": 10,
        "number_of_fails_to_scale_up_after": 1, "number_of_passes_to_scale_down_after": 1,
    });
    Signal {
        backend: Arc::from("QueueSize"),
        decide: build("ConsecutiveThreshold", settings, 1, "tasks"),
        bounds: bounds(json!(1), json!(3), "UTC"),
        history_length: NonZeroUsize::new(10).unwrap(),
        sees_work: false,
    }
}

/// The original's defaults: wait 5 s, told hourly, 5 scales a minute are fine.
pub fn policy(signals: impl Into<Vec<Signal>>) -> Policy {
    Policy {
        signals: signals.into(),
        wait_after_scale: Duration::from_secs(5),
        repeat: Duration::from_secs(3600),
        rapid: RapidLimit { scales: 5, period: Duration::from_secs(60) },
        protection: crate::busy::Protection::default(),
    }
}

pub fn scale_failure(retry_after: Option<u64>) -> ScaleFailure {
    ScaleFailure {
        key: "unavailable".into(),
        message: "the platform answered 503".to_owned(),
        retry_after: retry_after.map(Duration::from_secs),
    }
}
