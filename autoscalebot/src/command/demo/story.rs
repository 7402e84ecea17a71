//! What has happened in the demo so far: what the bot did, as its watcher saw it, for the view and for the summary.

use std::{
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use autoscalebot_core::{bounds::Range, event::Event, moment::Moment, names::ProcessName, sample::CountsAs};
use autoscalebot_engine::bot::{Ticked, Watch};
use tokio::sync::mpsc;

/// Readings that are kept: more than the longest demo makes.
const MOST_READINGS: usize = 10_000;

/// One measurement.
#[derive(Debug, Clone, PartialEq)]
pub struct Reading {
    /// Since the demo began.
    pub at: Duration,
    /// In milliseconds, or why there is none and whether that counts as high.
    pub outcome: Result<f64, (String, bool)>,
    /// Processes at that time, if known.
    pub running: Option<u32>,
    /// What the bot made of it.
    pub thought: String,
}

/// A change of the count, or another thing that people are told.
#[derive(Debug, Clone, PartialEq)]
pub struct Happening {
    /// Since the demo began.
    pub at: Duration,
    /// From and to, when it is a change of the count.
    pub change: Option<(u32, u32)>,
    /// Why, or what.
    pub why: String,
}

/// News for those who print as it happens.
#[derive(Debug, Clone, PartialEq)]
pub enum News {
    /// A measurement.
    Reading(Reading),
    /// A change.
    Happening(Happening),
}

/// Everything so far.
#[derive(Debug, Clone, Default)]
pub struct Story {
    /// Oldest first.
    pub readings: Vec<Reading>,
    /// Oldest first.
    pub happenings: Vec<Happening>,
    /// Processes now.
    pub running: u32,
    /// The bounds.
    pub range: Option<Range>,
}

impl Story {
    /// Most processes there were.
    #[must_use]
    pub fn most(&self) -> u32 {
        self.happenings.iter().filter_map(|happening| happening.change).map(|(_, to)| to).max().unwrap_or(self.running)
    }

    /// The slowest answer, in milliseconds.
    #[must_use]
    pub fn slowest(&self) -> Option<f64> {
        self.readings.iter().filter_map(|reading| reading.outcome.as_ref().ok().copied()).reduce(f64::max)
    }

    /// The newest answer, in milliseconds.
    #[must_use]
    pub fn newest(&self) -> Option<&Reading> {
        self.readings.last()
    }

    /// Whether it went up and is down at the least again.
    #[must_use]
    pub fn is_told(&self) -> bool {
        let least = self.range.map_or(1, |range| range.min);
        self.most() > least && self.running <= least
    }
}

/// Watches the bot and keeps the story.
pub struct Narrator {
    start: Moment,
    story: Mutex<Story>,
    news: mpsc::UnboundedSender<News>,
}

impl Narrator {
    /// The news come as they happen; there are as many as there are measurements and scales.
    #[must_use]
    pub fn new(start: Moment) -> (Self, mpsc::UnboundedReceiver<News>) {
        let (news, receiver) = mpsc::unbounded_channel();
        (Self { start, story: Mutex::default(), news }, receiver)
    }

    /// The story so far.
    pub fn story(&self) -> MutexGuard<'_, Story> {
        self.story.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn happened(&self, at: &Moment, change: Option<(u32, u32)>, why: String) {
        let happening = Happening { at: at.since(&self.start), change, why };
        let mut story = self.story();
        if let Some((_, to)) = change {
            story.running = to;
        }
        story.happenings.push(happening.clone());
        // Nobody listens in the live view, which looks at the story.
        let _ = self.news.send(News::Happening(happening));
    }
}

impl Watch for Narrator {
    fn ticked(&self, _: &ProcessName, tick: &Ticked<'_>) {
        let Ticked { at, samples, outcome, .. } = tick;
        let Some((_, sample)) = samples.first() else { return };
        let outcome_of = match &sample.outcome {
            Ok(reading) => Ok(reading.number().map_or(f64::NAN, |number| number.get())),
            Err(failure) => Err((failure.message.clone(), failure.counts_as == CountsAs::High)),
        };
        let reading = Reading {
            at: at.since(&self.start),
            outcome: outcome_of,
            running: outcome.running,
            thought: outcome.decision.reason.sentence.clone(),
        };
        let mut story = self.story();
        story.range = Some(outcome.range);
        story.running = outcome.running.unwrap_or(story.running);
        if story.readings.len() < MOST_READINGS {
            story.readings.push(reading.clone());
        }
        let _ = self.news.send(News::Reading(reading));
    }

    fn told(&self, _: &ProcessName, at: &Moment, event: &Event) {
        match event {
            Event::ScaledUp { from, to, reason, .. } | Event::ScaledDown { from, to, reason, .. } => {
                self.happened(at, Some((*from, *to)), reason.sentence.clone());
            }
            Event::ScaleFailed { failure, .. } => self.happened(at, None, failure.message.clone()),
            Event::CountFailed { failure, .. } => self.happened(at, None, failure.message.clone()),
            Event::BotPanicked { message, .. } => self.happened(at, None, format!("the bot crashed: {message}")),
            _ => {}
        }
    }
}
