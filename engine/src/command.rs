//! How people reach a bot: an instruction goes through a channel of its own, and the bot answers with what came of it.
//!
//! Whoever shows what bots do only reads; this is the one way in. A bot takes instructions while it waits for its next
//! tick, and those that came while it measured before it decides; so an instruction waits for one measurement at most,
//! and none is overtaken by a decision that it was meant to stop.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, PoisonError, RwLock},
    time::Duration,
};

use autoscalebot_core::{
    control::{Commanded, Control},
    names::ProcessName,
    step::{Outcome, Settled},
};
use tokio::{
    sync::{mpsc, oneshot},
    time::timeout,
};

/// Instructions that may wait for one bot. People are slower than bots.
const MOST_WAITING: usize = 16;

/// An answer comes within this time or not at all for whoever asked; the instruction holds all the same. Longer than most
/// measurements with their time-outs, shorter than browsers wait.
pub const LONGEST_ANSWER: Duration = Duration::from_secs(45);

/// What somebody tells a bot.
#[derive(Debug)]
pub struct Instruction {
    /// What to do, and why.
    pub commanded: Commanded,
    /// Where the answer goes.
    pub answer: oneshot::Sender<Answer>,
}

/// What came of an instruction.
#[derive(Debug, Clone)]
pub struct Answer {
    /// The decision that followed at once, with the order if there was one.
    pub outcome: Outcome,
    /// What became of the order.
    pub settled: Option<Settled>,
    /// What holds now of all that the bot was told.
    pub control: Control,
}

/// Why there is no answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum CommandError {
    /// No bot cares for it.
    #[error("there is no such process")]
    NoSuchProcess,
    /// The bot has not taken what it was told before.
    #[error("its bot has {MOST_WAITING} instructions waiting; try again in a moment")]
    Busy,
    /// It was told, and has not answered yet.
    #[error("its bot was told and has not answered yet; a measurement or the platform takes long")]
    NoAnswerYet,
    /// It ended meanwhile.
    #[error("its bot ended or was given new settings meanwhile; try again")]
    Ended,
}

/// Where instructions for one bot come in.
pub type Inbox = mpsc::Receiver<Instruction>;

/// Reaches every bot of a fleet. Clones reach the same.
#[derive(Clone, Default)]
pub struct Commander {
    inboxes: Arc<RwLock<BTreeMap<ProcessName, mpsc::Sender<Instruction>>>>,
    told: Arc<RwLock<BTreeSet<ProcessName>>>,
}

impl Commander {
    /// The way to a bot that starts; the way to one of the same name that was before is closed.
    #[must_use]
    pub fn open(&self, process: &ProcessName) -> Inbox {
        let (sender, inbox) = mpsc::channel(MOST_WAITING);
        self.inboxes.write().unwrap_or_else(PoisonError::into_inner).insert(process.clone(), sender);
        inbox
    }

    /// There is no bot for this process any more.
    pub fn close(&self, process: &ProcessName) {
        self.inboxes.write().unwrap_or_else(PoisonError::into_inner).remove(process);
    }

    /// Whether this bot has been told anything since the program started.
    #[must_use]
    pub fn was_told(&self, process: &ProcessName) -> bool {
        self.told.read().unwrap_or_else(PoisonError::into_inner).contains(process)
    }

    /// Tells a bot, and waits for what comes of it.
    ///
    /// # Errors
    /// Why there is no answer.
    pub async fn tell(&self, process: &ProcessName, commanded: Commanded) -> Result<Answer, CommandError> {
        let inbox = self.inboxes.read().unwrap_or_else(PoisonError::into_inner).get(process).cloned();
        let inbox = inbox.ok_or(CommandError::NoSuchProcess)?;
        self.told.write().unwrap_or_else(PoisonError::into_inner).insert(process.clone());
        let (answer, answered) = oneshot::channel();
        inbox.try_send(Instruction { commanded, answer }).map_err(|error| match error {
            mpsc::error::TrySendError::Full(_) => CommandError::Busy,
            mpsc::error::TrySendError::Closed(_) => CommandError::Ended,
        })?;
        match timeout(LONGEST_ANSWER, answered).await {
            Ok(answer) => answer.map_err(|_| CommandError::Ended),
            Err(_) => Err(CommandError::NoAnswerYet),
        }
    }
}
