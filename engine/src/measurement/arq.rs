//! arq's queues on Redis.
//!
//! A queue is one sorted set whose scores are when jobs are due, in milliseconds. Jobs in progress *stay* in it, and so do
//! those whose time has not come; that a job is in progress is known only by the key `arq:in-progress:ID`. Workers take
//! the lowest scores first, so the jobs in progress are found by looking at a bounded piece of the lowest. (A count of all
//! such keys would be wrong: arq keeps those of periodic jobs for a minute after they ended.) Nothing in Redis says which
//! worker has a job. Source: arq 0.28, `constants.py`, `worker.py`, `connections.py`.

use async_trait::async_trait;
use autoscalebot_core::registry::{Backend, Problem};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{
    Context, Measure, MeasureError, Sight,
    queue::{
        Backlog, Common, Look, Oldest, Queue, Seen,
        conversation::{Conversation, Ticket},
        names::Names,
        redis_layout::{age, milliseconds},
        site::{self, Site},
    },
};
use crate::broker::redis::Settings as RedisSettings;

/// So many of the lowest jobs are looked at: fifty workers with arq's ten jobs at a time.
const PIECE: usize = 500;

/// A sorted set of arq's that is no queue.
const ABORTED: &str = "arq:abort";

/// Settings of `Arq`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Settings {
    /// The queues: `queue_name` of the workers. A name may hold `*` and `?`.
    pub queue_names: Vec<String>,
    #[serde(flatten)]
    redis: RedisSettings,
    #[serde(flatten)]
    common: Common,
}

impl Default for Settings {
    fn default() -> Self {
        Self { queue_names: vec!["arq:queue".to_owned()], redis: RedisSettings::default(), common: Common::default() }
    }
}

/// Queues of arq.
pub struct Arq {
    site: Site,
}

impl Backend for Arq {
    type Stage = dyn Measure;
    type Context = Context;
    type Settings = Settings;
    const NAME: &'static str = "Arq";

    fn validate(settings: &Settings) -> Vec<Problem> {
        let mut problems = Names::problems("queue_names", &settings.queue_names);
        problems.extend(settings.redis.problems());
        problems.extend(settings.common.problems(Sight::InProgress));
        problems
    }

    fn build(settings: Settings, context: &Context) -> Result<Box<dyn Measure>, Problem> {
        let site = Site::new(&settings.queue_names, &settings.redis, &settings.common, context)?;
        Ok(Box::new(Queue::new(Self { site }, &settings.common)))
    }
}

struct Asked {
    due: Ticket,
    scheduled: Ticket,
    lowest: Ticket,
}

impl Asked {
    fn ask(key: &str, now: &str, conversation: &mut Conversation) -> Self {
        let limit = PIECE.to_string();
        Self {
            due: conversation.ask(&["ZCOUNT", key, "-inf", now]),
            scheduled: conversation.ask(&["ZCOUNT", key, &format!("({now}"), "+inf"]),
            lowest: conversation.ask(&["ZRANGEBYSCORE", key, "-inf", now, "WITHSCORES", "LIMIT", "0", &limit]),
        }
    }

    /// Asks of each of the lowest whether it is in progress.
    fn ask_for_progress(&self, conversation: &mut Conversation) -> Result<Vec<(f64, Ticket)>, MeasureError> {
        let lowest: Vec<(String, f64)> = conversation.take(self.lowest)?;
        let ask = |(id, score): (String, f64)| (score, conversation.ask(&["EXISTS", &format!("arq:in-progress:{id}")]));
        Ok(lowest.into_iter().map(ask).collect())
    }

    fn backlog(
        &self,
        lowest: Vec<(f64, Ticket)>,
        now: f64,
        conversation: &mut Conversation,
    ) -> Result<Backlog, MeasureError> {
        let (mut in_progress, mut oldest, looked_at) = (0_usize, None, lowest.len());
        for (score, exists) in lowest {
            if conversation.take(exists)? {
                in_progress += 1;
            } else {
                oldest.get_or_insert(Oldest::Since(age(score, now)));
            }
        }
        let due: u64 = conversation.take(self.due)?;
        let waiting = due.saturating_sub(in_progress as u64);
        let more = due > looked_at as u64 && looked_at > 0;
        let full = more && in_progress == looked_at;
        Ok(Backlog {
            waiting,
            in_progress: Some(in_progress as u64),
            scheduled: Some(conversation.take(self.scheduled)?),
            oldest: oldest.unwrap_or(if waiting == 0 { Oldest::Nothing } else { Oldest::NoStamp }),
            estimate: full.then(|| format!("the {looked_at} oldest jobs are all in progress; more of the rest may be")),
        })
    }
}

#[async_trait]
impl Look for Arq {
    async fn look(&self) -> Result<Seen, MeasureError> {
        let queues = self.site.found("zset", "", |key| (key != ABORTED).then_some(key)).await?;
        let mut conversation = self.site.conversation();
        let now = milliseconds(self.site.now());
        let shown = format!("{now:.0}");
        let asked: Vec<Asked> = queues.iter().map(|key| Asked::ask(key, &shown, &mut conversation)).collect();
        conversation.hear().await?;
        let ask = |asked: &Asked| asked.ask_for_progress(&mut conversation);
        let lowest: Vec<_> = asked.iter().map(ask).collect::<Result<_, _>>()?;
        conversation.hear().await?;
        let mut seen = site::seen(Vec::new(), &mut conversation)?;
        for ((queue, asked), lowest) in queues.iter().zip(asked).zip(lowest) {
            seen.queues.insert(queue.clone(), asked.backlog(lowest, now, &mut conversation)?);
        }
        Ok(seen)
    }

    fn sight(&self) -> Sight {
        Sight::InProgress
    }

    fn items(&self) -> &'static str {
        "jobs"
    }

    fn place(&self) -> &str {
        self.site.server.shown()
    }
}
