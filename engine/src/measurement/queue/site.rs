//! What every queue library on Redis needs beside its table: the server, the queues, the clock, and whose a worker is.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use autoscalebot_core::{busy::Worker, registry::Problem};
use jiff::Timestamp;

use super::{
    Common, Seen,
    conversation::Conversation,
    redis_layout::{Layout, Measuring},
};
use crate::{
    broker::redis::{Server, Settings},
    measurement::{Context, MeasureError},
    scaling::{Scale, Whose},
    shared::Shared,
};

/// As many workers of one queue are looked at; a process with more is not told apart.
pub const MOST_WORKERS: &str = "1000";

/// As many queues are measured by one backend; more are a slip.
const MOST_QUEUES: usize = 1000;

/// Where a library is used: which queues, on which server, for which platform.
pub struct Site {
    /// The server.
    pub server: Arc<Server>,
    /// The queues.
    pub queues: Vec<String>,
    platform: Arc<dyn Scale>,
    shared: Arc<Shared>,
    limit: Duration,
}

impl Site {
    /// The site of these settings.
    ///
    /// # Errors
    /// When the server's address is none.
    pub fn new(queues: Vec<String>, redis: &Settings, common: &Common, context: &Context) -> Result<Self, Problem> {
        Ok(Self {
            server: Server::of(redis, &context.shared)?,
            queues,
            platform: context.platform.clone(),
            shared: context.shared.clone(),
            limit: common.timeout_seconds.duration(),
        })
    }

    /// A conversation with the server.
    #[must_use]
    pub fn conversation(&self) -> Conversation<'_> {
        Conversation::new(&self.server, self.limit)
    }

    /// Asks something that providers may forbid. Then less is known, and that is no failure.
    pub async fn ask_if_allowed(&self, words: &[&str]) -> Option<String> {
        let mut conversation = self.conversation();
        let answer = conversation.ask(words);
        conversation.hear().await.ok()?;
        conversation.take(answer).ok()
    }

    /// The wall clock.
    #[must_use]
    pub fn now(&self) -> Timestamp {
        self.shared.clock.now().civil
    }

    /// Asks for everything that the table says, of every queue.
    pub fn ask(
        &self,
        layout: impl Fn(&str) -> Layout,
        now: Timestamp,
        conversation: &mut Conversation,
    ) -> Vec<(String, Measuring)> {
        let ask = |queue: &String| (queue.clone(), Measuring::ask(layout(queue), now, conversation));
        self.queues.iter().map(ask).collect()
    }

    /// The worker that goes by these names, the best first; nothing when it runs in another process. A name may end in
    /// the process's after an `@`.
    #[must_use]
    pub fn worker(&self, names: &[&str], busy: bool) -> Option<Worker> {
        let ends = names.iter().flat_map(|name| [Some(*name), name.rsplit_once('@').map(|(_, end)| end)]).flatten();
        for name in ends.filter(|name| !name.is_empty()) {
            match self.platform.whose(name) {
                Whose::Number(number) => return Some(Worker { process: Some(number), busy }),
                Whose::Another => return None,
                Whose::Unknown => {}
            }
        }
        Some(Worker { process: None, busy })
    }
}

/// Asks for the stamps of all queues.
///
/// # Errors
/// When an answer is no answer.
pub fn ask_for_stamps(queues: &mut [(String, Measuring)], conversation: &mut Conversation) -> Result<(), MeasureError> {
    queues.iter_mut().try_for_each(|(_, measuring)| measuring.ask_for_stamps(conversation))
}

/// What is known of all queues; of their workers, nothing.
///
/// # Errors
/// When an answer is no answer.
pub fn seen(queues: Vec<(String, Measuring)>, conversation: &mut Conversation) -> Result<Seen, MeasureError> {
    let mut seen = Seen { queues: BTreeMap::new(), workers: None, told_by_workers: false, notes: Vec::new() };
    for (name, measuring) in queues {
        let (backlog, paused) = measuring.backlog(conversation)?;
        if paused > 0 {
            seen.notes.push(format!("queue {name:?} is paused: {paused} items in it do not wait"));
        }
        seen.queues.insert(name, backlog);
    }
    Ok(seen)
}

/// What is wrong with names of queues.
#[must_use]
pub fn problems_of_names(names: &[String], example: &str) -> Vec<Problem> {
    let allowed = format!("1 to {MOST_QUEUES} names of queues, such as {example}");
    if names.is_empty() || names.len() > MOST_QUEUES {
        return vec![Problem::new("queue_names", format!("{} names", names.len()), allowed)];
    }
    let empty = names.iter().any(|name| name.trim().is_empty());
    empty.then(|| Problem::new("queue_names", "an empty name", allowed)).into_iter().collect()
}
