//! One tick as a value: everything that went into it, and everything that came out.
//!
//! It is text from the moment it is made: the very text is kept, and a replay that comes to the same must come to the same
//! text, to the last digit.

use std::borrow::Cow;

use autoscalebot_core::{
    control::Commanded,
    decision::Direction,
    event::Event,
    moment::Moment,
    sample::Sample,
    step::{Order, Outcome, ScaleFailure, Settled, State},
};
use serde::{Deserialize, Serialize};

/// Why a row of ticks begins that does not follow from what was before.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Begins {
    /// The bot is new.
    Start,
    /// The program was started again and goes on with what it knew.
    Resumed,
    /// The settings are others.
    Settings,
    /// The bot crashed and began anew.
    Crash,
    /// Ticks before it could not be kept.
    Gap,
}

impl Begins {
    /// Stable word for it.
    #[must_use]
    pub fn key(self) -> &'static str {
        match self {
            Self::Start => "start",
            Self::Resumed => "resumed",
            Self::Settings => "settings",
            Self::Crash => "crash",
            Self::Gap => "gap",
        }
    }
}

/// What went into a tick.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Input<'a> {
    /// When it was decided.
    pub at: Moment,
    /// What people said before it.
    #[serde(default, skip_serializing_if = "<[_]>::is_empty")]
    pub commands: Cow<'a, [Commanded]>,
    /// The new samples, each with the index of its signal.
    pub samples: Cow<'a, [(usize, Sample)]>,
    /// How many run, by the platform's word.
    pub running: Cow<'a, Result<u32, ScaleFailure>>,
}

/// What became of an order.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct OrderResult<'a> {
    /// What became of it.
    pub settled: Cow<'a, Settled>,
    /// When that was known.
    pub at: Moment,
    /// What came of it.
    pub events: Cow<'a, [Event]>,
}

/// One tick.
#[derive(Debug, Clone)]
pub struct TickRecord {
    pub(super) at: Moment,
    pub(super) state: Option<Box<State>>,
    pub(super) input: String,
    pub(super) outcome: String,
    pub(super) short: Short,
    pub(super) samples: Vec<ShortSample>,
}

/// A decision in short.
#[derive(Debug, Clone)]
pub(super) struct Short {
    pub running: Option<u32>,
    pub wanted: Option<u32>,
    pub least: u32,
    pub most: u32,
    pub direction: Direction,
    pub key: Cow<'static, str>,
    pub is_ordered: bool,
}

/// A sample in short.
#[derive(Debug, Clone)]
pub(super) struct ShortSample {
    pub signal: usize,
    pub at: Moment,
    pub reading: Option<f64>,
    pub failure: Option<String>,
}

impl TickRecord {
    /// What is about to go into a tick, and the state before it if that is to be kept too.
    #[must_use]
    pub fn beginning(
        at: Moment,
        state: Option<State>,
        commands: &[Commanded],
        samples: &[(usize, Sample)],
        running: &Result<u32, ScaleFailure>,
    ) -> Self {
        let in_short = |(signal, sample): &(usize, Sample)| ShortSample {
            signal: *signal,
            at: sample.at,
            reading: sample.number().map(|number| number.get()),
            failure: sample.outcome.as_ref().err().map(|failure| failure.key.clone().into_owned()),
        };
        let short = samples.iter().map(in_short).collect();
        let input = Input { at, commands: commands.into(), samples: samples.into(), running: Cow::Borrowed(running) };
        Self {
            at,
            state: state.map(Box::new),
            input: text(&input),
            outcome: String::new(),
            short: Short {
                running: running.as_ref().ok().copied(),
                wanted: None,
                least: 0,
                most: 0,
                direction: Direction::Stay,
                key: Cow::Borrowed(""),
                is_ordered: false,
            },
            samples: short,
        }
    }

    /// What the core made of it. `events` are those of the outcome, without the measurements, which went in.
    pub fn decided(&mut self, outcome: &Outcome, events: Vec<Event>) {
        self.short.wanted = outcome.running.map(|_| outcome.decision.wanted);
        (self.short.least, self.short.most) = (outcome.range.min, outcome.range.max);
        self.short.direction = outcome.decision.direction;
        self.short.key = outcome.decision.reason.key.clone();
        self.short.is_ordered = outcome.order.is_some();
        self.outcome = outcome_text(outcome, events);
    }
}

/// An outcome as it is kept.
pub(super) fn outcome_text(outcome: &Outcome, events: Vec<Event>) -> String {
    text(&Outcome { events, ..outcome.clone() })
}

/// What became of an order, as it is kept.
pub(super) fn result_text(settled: &Settled, at: &Moment, events: &[Event]) -> String {
    text(&OrderResult { settled: Cow::Borrowed(settled), at: *at, events: events.into() })
}

/// Whether an event is kept with the outcome: measurements are not, they went in.
pub(super) fn is_kept(event: &Event) -> bool {
    !matches!(event, Event::Measured { .. })
}

/// A tick as it was kept.
#[derive(Debug, Clone)]
pub struct Tick {
    /// The run of the program.
    pub run: i64,
    /// Its number within the run.
    pub seq: i64,
    /// Which settings it was decided by.
    pub version: i64,
    /// Why it does not follow from the one before.
    pub begins: Option<String>,
    /// The state before it, as far as it was kept.
    pub state: Option<String>,
    /// See [`Input`].
    pub input: String,
    /// See [`Outcome`].
    pub outcome: String,
    /// See [`OrderResult`]; nothing when there was no order, or when its end was not seen.
    pub settled: Option<String>,
}

impl Tick {
    /// What went into it.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn input(&self) -> Result<Input<'static>, serde_json::Error> {
        serde_json::from_str(&self.input)
    }

    /// What came out of it.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn outcome(&self) -> Result<Outcome, serde_json::Error> {
        serde_json::from_str(&self.outcome)
    }

    /// The order that was given.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn order(&self) -> Result<Option<Order>, serde_json::Error> {
        Ok(self.outcome()?.order)
    }

    /// What became of the order.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn result(&self) -> Result<Option<OrderResult<'static>>, serde_json::Error> {
        self.settled.as_deref().map(serde_json::from_str).transpose()
    }
}

pub(super) fn text(value: &impl Serialize) -> String {
    // Keys are texts and numbers are finite: nothing of this can fail.
    serde_json::to_string(value).unwrap_or_default()
}
