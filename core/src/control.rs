//! What people tell a bot: to pause, to hold a count, to scale now, to only say what it would do.
//!
//! A command changes the [`Control`] that is part of the state, through a door of its own
//! ([`crate::step::command`]); what it means for the next decision is worked out where all decisions are. So a command is
//! stored, shown and replayed like everything else that a decision rests on. A bot is in one [`Mode`] at a time, and the
//! last command wins. One that is over by itself gives way to what stood before it, if that was to last longer: a freeze
//! must not end because somebody held a count for a minute. Bounds hold for commands too.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::{decision::Direction, moment::Moment, units::in_words};

/// Commands with a length within each other; nobody remembers more.
const MOST_BEFORE: usize = 8;

/// A command, in whatever way it came.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "command", rename_all = "snake_case")]
pub enum Command {
    /// Give no orders, or none in one direction, until told otherwise.
    Pause {
        /// Which orders.
        scope: Scope,
        /// For so long; without it, until somebody resumes.
        length: Option<Duration>,
    },
    /// Do as the decisions say again. Ends a count that was asked for and not reached, too.
    Resume,
    /// Keep this count, whatever is measured.
    Hold {
        /// The count; cut to the bounds.
        count: u32,
        /// For so long; without it, until somebody resumes.
        length: Option<Duration>,
    },
    /// Go to this count once, at once. Tried again while the platform refuses.
    Scale {
        /// The count; cut to the bounds.
        count: u32,
    },
    /// Decide and tell, but do not scale.
    DryRun {
        /// Whether from now on, or no longer.
        on: bool,
    },
    /// Measure and decide now.
    Evaluate,
}

impl Command {
    /// In words, to follow a name: `paused for 10 min`.
    #[must_use]
    pub fn in_words(&self) -> String {
        let length = |length: &Option<Duration>| match length {
            Some(length) => format!(" for {}", in_words(*length)),
            None => String::new(),
        };
        match self {
            Self::Pause { scope: Scope::All, length: time } => format!("paused{}", length(time)),
            Self::Pause { scope: Scope::Up, length: time } => format!("growing paused{}", length(time)),
            Self::Pause { scope: Scope::Down, length: time } => format!("shrinking paused{}", length(time)),
            Self::Resume => "resumed".to_owned(),
            Self::Hold { count, length: time } => format!("held at {count}{}", length(time)),
            Self::Scale { count } => format!("asked to go to {count}"),
            Self::DryRun { on: true } => "dry run turned on".to_owned(),
            Self::DryRun { on: false } => "dry run turned off".to_owned(),
            Self::Evaluate => "asked to evaluate now".to_owned(),
        }
    }
}

/// A command with what its author gave as the reason.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Commanded {
    /// What to do.
    #[serde(flatten)]
    pub command: Command,
    /// Why, in their words.
    pub reason: String,
}

/// Which orders a pause is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Scope {
    /// All of them.
    All,
    /// Those for more processes.
    Up,
    /// Those for fewer.
    Down,
}

impl Scope {
    /// Whether an order in this direction is meant.
    #[must_use]
    pub fn covers(self, direction: Direction) -> bool {
        match self {
            Self::All => direction != Direction::Stay,
            Self::Up => direction == Direction::Up,
            Self::Down => direction == Direction::Down,
        }
    }
}

/// Who has the say.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Mode {
    /// The decisions.
    #[default]
    Automatic,
    /// The decisions are made and shown, and some or all of them are not carried out.
    Paused {
        /// Which ones.
        scope: Scope,
        /// When it ends by itself, on the monotonic clock.
        until: Option<Duration>,
        /// What its author gave as the reason.
        reason: String,
    },
    /// A person.
    Held {
        /// The count that they want.
        count: u32,
        /// When it ends by itself, on the monotonic clock.
        until: Option<Duration>,
        /// What its author gave as the reason.
        reason: String,
    },
}

impl Mode {
    /// Whether the decisions have the say.
    #[must_use]
    pub fn is_automatic(&self) -> bool {
        *self == Self::Automatic
    }

    /// Whether it goes on after this moment.
    fn outlasts(&self, moment: Duration) -> bool {
        !self.is_automatic() && self.until().is_none_or(|until| until > moment)
    }

    /// In words, to follow "over by itself": `the hold at 3`.
    #[must_use]
    pub fn in_words(&self) -> String {
        match self {
            Self::Automatic => "nothing".to_owned(),
            Self::Paused { scope: Scope::All, .. } => "the pause".to_owned(),
            Self::Paused { scope: Scope::Up, .. } => "the pause of growing".to_owned(),
            Self::Paused { scope: Scope::Down, .. } => "the pause of shrinking".to_owned(),
            Self::Held { count, .. } => format!("the hold at {count}"),
        }
    }

    /// What its author gave as the reason.
    #[must_use]
    pub fn reason(&self) -> Option<&str> {
        match self {
            Self::Automatic => None,
            Self::Paused { reason, .. } | Self::Held { reason, .. } => Some(reason),
        }
    }

    /// When it ends by itself, on the monotonic clock.
    #[must_use]
    pub fn until(&self) -> Option<Duration> {
        match self {
            Self::Automatic => None,
            Self::Paused { until, .. } | Self::Held { until, .. } => *until,
        }
    }
}

/// A count that somebody wants once.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Once {
    /// The count.
    pub count: u32,
    /// What its author gave as the reason.
    pub reason: String,
}

/// What people have told a bot, as far as it still holds.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Control {
    /// Who has the say.
    pub mode: Mode,
    /// What stands again when the mode is over by itself, the last one first to come; each lasts longer than the next.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub before: Vec<Mode>,
    /// Whether orders are only told. Whoever carries orders out must look here.
    pub dry_run: bool,
    /// A count to go to as soon as the platform can be asked.
    pub once: Option<Once>,
}

impl Control {
    /// Learns a command.
    pub fn learn(&mut self, commanded: &Commanded, now: &Moment) {
        let until = |length: Option<Duration>| length.map(|length| now.since_start.saturating_add(length));
        let reason = || commanded.reason.clone();
        match commanded.command {
            Command::Pause { scope, length } => {
                self.enter(Mode::Paused { scope, until: until(length), reason: reason() });
            }
            Command::Hold { count, length } => {
                self.enter(Mode::Held { count, until: until(length), reason: reason() });
            }
            Command::Resume => (self.mode, self.before, self.once) = (Mode::Automatic, Vec::new(), None),
            Command::Scale { count } => self.once = Some(Once { count, reason: reason() }),
            Command::DryRun { on } => self.dry_run = on,
            Command::Evaluate => {}
        }
    }

    fn enter(&mut self, mode: Mode) {
        self.before.push(std::mem::replace(&mut self.mode, mode));
        match self.mode.until() {
            Some(until) => self.before.retain(|before| before.outlasts(until)),
            None => self.before.clear(),
        }
        // Those that would be over first.
        self.before.truncate(MOST_BEFORE);
    }

    /// Ends a mode whose time is over, and gives it back; what stood before it stands again.
    pub fn expire(&mut self, now: &Moment) -> Option<Mode> {
        let is_over = self.mode.until().is_some_and(|until| until <= now.since_start);
        is_over.then(|| {
            // Much time may have passed since the last look.
            self.before.retain(|before| before.outlasts(now.since_start));
            std::mem::replace(&mut self.mode, self.before.pop().unwrap_or_default())
        })
    }

    /// The count that a person wants, and in what words.
    #[must_use]
    pub fn wish(&self) -> Option<Wish> {
        if let Some(Once { count, reason }) = &self.once {
            let sentence = format!("somebody asked for {count}: {reason}");
            return Some(Wish { count: *count, key: "asked_for", sentence });
        }
        match &self.mode {
            Mode::Held { count, reason, .. } => {
                let sentence = format!("somebody holds it at {count}: {reason}");
                Some(Wish { count: *count, key: "held_at", sentence })
            }
            Mode::Automatic | Mode::Paused { .. } => None,
        }
    }

    /// The pause that keeps an order in this direction from being given.
    #[must_use]
    pub fn pause(&self, direction: Direction) -> Option<Scope> {
        match self.mode {
            Mode::Paused { scope, .. } if self.once.is_none() && scope.covers(direction) => Some(scope),
            _ => None,
        }
    }
}

/// A count that a person wants.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wish {
    /// The count.
    pub count: u32,
    /// Stable word of the reason.
    pub key: &'static str,
    /// The reason in words.
    pub sentence: String,
}
