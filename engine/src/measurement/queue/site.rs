//! What every queue library on Redis needs beside its table: the server, the queues, the clock, and whose a worker is.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use autoscalebot_core::{busy::Worker, registry::Problem};
use jiff::Timestamp;

use super::{
    Common, Seen,
    conversation::Conversation,
    names::{Finder, Names},
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

/// As many names are taken from a library's own list of its queues.
const MOST_LISTED: &str = "10000";

/// Where a library is used: which queues, on which server, for which platform.
pub struct Site {
    /// The server.
    pub server: Arc<Server>,
    finder: Finder,
    platform: Arc<dyn Scale>,
    shared: Arc<Shared>,
    limit: Duration,
}

impl Site {
    /// The site of these settings.
    ///
    /// # Errors
    /// When the server's address is none.
    pub fn new(queues: &[String], redis: &Settings, common: &Common, context: &Context) -> Result<Self, Problem> {
        Ok(Self {
            server: Server::of(redis, &context.shared)?,
            finder: Finder::new(queues),
            platform: context.platform.clone(),
            shared: context.shared.clone(),
            limit: common.timeout_seconds.duration(),
        })
    }

    /// The names and patterns of the settings.
    #[must_use]
    pub fn names(&self) -> &Names {
        self.finder.names()
    }

    /// The queues, where the library lists them in a set, each with `before` before its name.
    ///
    /// # Errors
    /// When Redis does not answer, or a pattern means too many.
    pub async fn listed(&self, set: &str, before: &str) -> Result<Arc<[String]>, MeasureError> {
        let list = async {
            let mut conversation = self.conversation();
            let names = conversation.ask(&["SRANDMEMBER", set, MOST_LISTED]);
            conversation.hear().await?;
            let names: Vec<String> = conversation.take(names)?;
            Ok(names.iter().filter_map(|name| name.strip_prefix(before)).map(str::to_owned).collect())
        };
        self.finder.find(&self.shared.clock.now(), list).await
    }

    /// The queues, where each that has an item has a key of this kind, with `before` before its name; `rest` makes the
    /// name from what follows.
    ///
    /// # Errors
    /// When Redis does not answer, or a pattern means too many.
    pub async fn found(
        &self,
        kind: &str,
        before: &str,
        rest: fn(&str) -> Option<&str>,
    ) -> Result<Arc<[String]>, MeasureError> {
        let queue = |key: &str| rest(key.strip_prefix(before)?).map(str::to_owned);
        self.finder.find_in_redis(&self.server, kind, before, queue, self.limit).await
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
        queues: &[String],
        layout: impl Fn(&str) -> Layout,
        now: Timestamp,
        conversation: &mut Conversation,
    ) -> Vec<(String, Measuring)> {
        let ask = |queue: &String| (queue.clone(), Measuring::ask(layout(queue), now, conversation));
        queues.iter().map(ask).collect()
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
