//! What the tests of this stage share: one of every event, a notice, and a log that can be read.

use std::{
    borrow::Cow,
    fmt::Write as _,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use autoscalebot_core::{
    bounds::Limit,
    condition::Phase,
    control::{Command, Commanded, Mode, Scope},
    decision::{Direction, Reason},
    event::Event,
    moment::Moment,
    names::ProcessName,
    sample::{CountsAs, MeasureFailure, Reading, Sample},
    step::ScaleFailure,
    units::Finite,
};
use tracing::{Event as Record, Level, Metadata, Subscriber, field::Visit, span};
use uuid::Uuid;

use super::Notice;
use crate::{clock::SystemClock, environment::Environment, shared::Shared};

/// A program without environment variables.
pub fn shared() -> Arc<Shared> {
    Shared::new(Arc::new(SystemClock::new()), Environment::default())
}

pub fn moment() -> Moment {
    Moment { since_start: Duration::from_secs(60), civil: "2026-03-01T07:30:00Z".parse().unwrap() }
}

pub fn web() -> ProcessName {
    ProcessName::new("web").unwrap()
}

pub fn notice(event: Event) -> Notice {
    Notice { process: web(), at: moment(), event, id: Uuid::from_u128(0x1234), lost_before: 0 }
}

/// Every case of an event, those that last in all their phases.
pub fn every_event() -> Vec<Event> {
    let backend: Arc<str> = "ResponseTime".into();
    let sample = |outcome, detail: Option<serde_json::Value>| Event::Measured {
        backend: "ResponseTime".into(),
        sample: Sample { at: moment(), outcome, detail: detail.map(Box::new), work: None },
    };
    let high = || Reason::new("consecutive_high", "3 readings in a row above 1200 ms (1310, 1405, 1377)");
    let low = || Reason::new("consecutive_low", "5 readings in a row at or below 400 ms (120, 118, 131, 99, 104)");
    let between = || Reason::new("between", "the newest reading, 700 ms, is between 400 and 1200 ms");
    let refused = || ScaleFailure {
        key: "rate_limited".into(),
        message: "Heroku takes no more calls for app dancing-forest-1234 now (429)".to_owned(),
        retry_after: Some(Duration::from_secs(45)),
    };
    let phases =
        [Phase::Began, Phase::Persists(Duration::from_secs(7200)), Phase::Ended(Duration::from_millis(300_500))];
    let failure = |key, message: &str, counts_as| MeasureFailure {
        key: Cow::Borrowed(key),
        message: message.to_owned(),
        counts_as,
    };
    let timeout = || failure("timeout", "no complete answer from https://example.org/ within 10 s", CountsAs::High);
    let dns = || failure("dns", "the host of https://example.org/ has no address", CountsAs::Unknown);

    let mut events = vec![
        sample(Ok(Reading::Number(Finite::from(350))), None),
        sample(Ok(Reading::Document(serde_json::json!({"my_custom_key": "my_val"}))), None),
        sample(
            Ok(Reading::Number(Finite::new(81.25).unwrap())),
            Some(serde_json::json!({"connect": 1, "service": 80.25})),
        ),
        sample(Err(dns()), None),
        Event::MeasurementFailed { backend: backend.clone(), failure: timeout(), in_a_row: 1, phase: phases[0] },
    ];
    let failed = |phase| Event::MeasurementFailed { backend: backend.clone(), failure: dns(), in_a_row: 240, phase };
    events.extend(phases.map(failed));
    events.push(Event::MeasurementRecovered {
        backend: backend.clone(),
        failures: 12,
        lasted: Duration::from_secs(360),
    });
    events.extend(phases.map(|phase| Event::CountFailed { failure: refused(), phase }));
    events.extend([
        Event::CountRecovered { lasted: Duration::from_secs(90) },
        Event::ScaleRecovered { lasted: Duration::from_secs(90) },
        Event::CountChangedElsewhere { from: 2, to: 5 },
        Event::ScaledUp { from: 1, to: 2, reason: high(), limit: None },
        Event::ScaledUp { from: 2, to: 3, reason: high(), limit: Some(Limit::Max) },
        Event::ScaledDown { from: 3, to: 1, reason: low(), limit: Some(Limit::Min) },
        Event::ScaledDown {
            from: 9,
            to: 3,
            reason: Reason::new("outside_bounds", "9 running is above the max of 3"),
            limit: Some(Limit::Max),
        },
        Event::WouldScale { from: 1, to: 2, reason: high() },
    ]);
    events.extend(phases.map(|phase| Event::ScaleFailed {
        from: 1,
        to: 2,
        reason: high(),
        failure: refused(),
        in_a_row: 2,
        retry_in: Duration::from_secs(45),
        phase,
    }));
    let why = |phase, reason| if matches!(phase, Phase::Ended(_)) { between() } else { reason };
    events.extend(phases.map(|phase| Event::NeedsExceededMax { wanted: 4, max: 3, reason: why(phase, high()), phase }));
    events.extend(phases.map(|phase| Event::NeedsBelowMin { wanted: 0, min: 1, reason: why(phase, low()), phase }));
    events.extend(phases.map(|phase| {
        let over = matches!(phase, Phase::Ended(_));
        let (direction, scales) = if over { (Direction::Stay, 0) } else { (Direction::Up, 6) };
        Event::ScalingTooRapid { direction, scales, period: Duration::from_secs(60), phase }
    }));
    events.extend([
        Event::BotPanicked { message: "index out of bounds".to_owned(), restart_in: Duration::from_secs(5) },
        Event::Commanded {
            commanded: Commanded {
                command: Command::Hold { count: 3, length: Some(Duration::from_secs(3600)) },
                reason: "the sale begins at noon".to_owned(),
            },
        },
        Event::ControlExpired {
            mode: Mode::Held { count: 3, until: None, reason: "the sale begins at noon".to_owned() },
            then: Mode::Automatic,
        },
        Event::ControlExpired {
            mode: Mode::Held { count: 3, until: None, reason: "the sale begins at noon".to_owned() },
            then: Mode::Paused { scope: Scope::Up, until: None, reason: "the budget of June".to_owned() },
        },
        Event::SettingsReloaded {
            change: "changed".to_owned(),
            settings: vec!["decision.settings.max_processes: 5 (was 3)".to_owned()],
        },
        Event::SettingsRejected { problems: vec!["web.decision.settings.increment: found 0".to_owned()] },
        Event::SettingsRejected { problems: (1..=22).map(|number| format!("problem {number}")).collect() },
    ]);
    events
}

/// An event that the default settings tell.
pub fn alarm() -> Event {
    Event::BotPanicked { message: "boom".to_owned(), restart_in: Duration::from_secs(1) }
}

/// Log records as text: `WARN message field=value`.
#[derive(Clone, Default)]
pub struct Log(Arc<Mutex<Vec<String>>>);

impl Log {
    pub fn lines(&self) -> Vec<String> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl Subscriber for Log {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.target().starts_with("autoscalebot") && *metadata.level() <= Level::INFO
    }
    fn new_span(&self, _: &span::Attributes<'_>) -> span::Id {
        span::Id::from_u64(1)
    }
    fn record(&self, _: &span::Id, _: &span::Record<'_>) {}
    fn record_follows_from(&self, _: &span::Id, _: &span::Id) {}
    fn event(&self, record: &Record<'_>) {
        let mut line = Line(record.metadata().level().to_string());
        record.record(&mut line);
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push(line.0);
    }
    fn enter(&self, _: &span::Id) {}
    fn exit(&self, _: &span::Id) {}
}

struct Line(String);

impl Visit for Line {
    fn record_debug(&mut self, field: &tracing::field::Field, value: &dyn std::fmt::Debug) {
        let name = if field.name() == "message" { String::new() } else { format!("{}=", field.name()) };
        let _ = write!(self.0, " {name}{value:?}");
    }
}
