//! Sidekiq's queues on Redis.
//!
//! A queue is a list of jobs as JSON (`queue:NAME`, the last is next). Jobs whose time has not come, and those to be
//! retried, stand in two sorted sets for all queues (`schedule`, `retry`); the job says which queue it is for, so of each
//! set a bounded piece is read. A job in progress is in no list: only the processes tell, with every heartbeat, what
//! their threads work on (`IDENTITY:work`, before Sidekiq 7 `IDENTITY:workers`), which is up to ten seconds old.
//! `enqueued_at` is a number of seconds before Sidekiq 8, of milliseconds since.
//! Source: Sidekiq 6.4, `client.rb`, `fetch.rb`, `launcher.rb`, `scheduled.rb`; the changelogs of 7 and 8.

use std::collections::BTreeMap;

use async_trait::async_trait;
use autoscalebot_core::{
    busy::Worker,
    registry::{Backend, Problem},
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{
    Context, Measure, MeasureError, Sight,
    queue::{
        Backlog, Common, Look, Oldest, Queue, Seen,
        conversation::{Conversation, Ticket},
        names::Names,
        redis_layout::{self, Layout, Line, Shape, Stamp, age, of_either_unit},
        site::{self, MOST_WORKERS, Site},
    },
};
use crate::broker::redis::Settings as RedisSettings;

/// As many jobs of each sorted set are read, once of those that are due and once of the others.
const PIECE: u32 = 100;

/// A process that was not heard of for so long is dead. Source: the expiry of its key in Sidekiq.
const DEAD_AFTER_MILLISECONDS: f64 = 60_000.0;

/// Settings of `Sidekiq`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Settings {
    /// The queues. A name may hold `*` and `?`.
    pub queue_names: Vec<String>,
    /// The namespace of all keys, where `redis-namespace` is used.
    pub namespace: String,
    #[serde(flatten)]
    redis: RedisSettings,
    #[serde(flatten)]
    common: Common,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            queue_names: vec!["default".to_owned()],
            namespace: String::new(),
            redis: RedisSettings::default(),
            common: Common::default(),
        }
    }
}

/// Queues of Sidekiq.
pub struct Sidekiq {
    site: Site,
    /// The namespace with its colon; empty without one.
    prefix: String,
}

impl Backend for Sidekiq {
    type Stage = dyn Measure;
    type Context = Context;
    type Settings = Settings;
    const NAME: &'static str = "Sidekiq";

    fn validate(settings: &Settings) -> Vec<Problem> {
        let mut problems = Names::problems("queue_names", &settings.queue_names);
        problems.extend(settings.redis.problems());
        problems.extend(settings.common.problems(Sight::Workers));
        problems
    }

    fn build(settings: Settings, context: &Context) -> Result<Box<dyn Measure>, Problem> {
        let prefix = if settings.namespace.is_empty() { String::new() } else { format!("{}:", settings.namespace) };
        let site = Site::new(&settings.queue_names, &settings.redis, &settings.common, context)?;
        Ok(Box::new(Queue::new(Self { site, prefix }, &settings.common)))
    }
}

/// A piece of a sorted set that all queues share.
struct Piece {
    count: Ticket,
    jobs: Ticket,
    due: bool,
}

/// A process that tells what it does.
struct Process {
    record: Ticket,
    works: [Ticket; 2],
}

impl Sidekiq {
    fn layout(&self, queue: &str) -> Layout {
        let line = Line {
            key: format!("{}queue:{queue}", self.prefix),
            shape: Shape::ListFromRight,
            stamp: Stamp::Inside(|job| of_either_unit(&job["enqueued_at"])),
            peek: 1,
        };
        Layout { lines: vec![line], ..Layout::default() }
    }

    fn ask_pieces(&self, now: f64, conversation: &mut Conversation) -> Vec<Piece> {
        let now = format!("{:.6}", now / 1000.0);
        let mut pieces = Vec::new();
        for name in ["schedule", "retry"] {
            let key = format!("{}{name}", self.prefix);
            for (low, high, due) in [("-inf", now.as_str(), true), (&format!("({now}"), "+inf", false)] {
                let count = conversation.ask(&["ZCOUNT", &key, low, high]);
                let limit = PIECE.to_string();
                let words = ["ZRANGEBYSCORE", &key, low, high, "WITHSCORES", "LIMIT", "0", &limit];
                pieces.push(Piece { count, jobs: conversation.ask(&words), due });
            }
        }
        pieces
    }

    fn ask_processes(&self, names: Ticket, conversation: &mut Conversation) -> Result<Vec<Process>, MeasureError> {
        let names: Vec<String> = conversation.take(names)?;
        let ask = |name: String| {
            let key = format!("{}{name}", self.prefix);
            Process {
                record: conversation.ask(&["HMGET", &key, "info", "busy", "beat"]),
                works: ["work", "workers"].map(|kind| conversation.ask(&["HVALS", &format!("{key}:{kind}")])),
            }
        };
        Ok(names.into_iter().map(ask).collect())
    }

    /// Adds what a process tells: its jobs to their queues, and itself to the workers unless it is another process's.
    fn add_process(
        &self,
        process: &Process,
        now: f64,
        seen: &mut Seen,
        conversation: &mut Conversation,
    ) -> Result<Option<Worker>, MeasureError> {
        let [info, busy, beat]: [Option<String>; 3] = conversation.take(process.record)?;
        let beat = beat.and_then(|beat| of_either_unit(&beat.into()));
        let (Some(info), Some(beat)) = (info, beat) else { return Ok(None) };
        if now - beat > DEAD_AFTER_MILLISECONDS {
            return Ok(None);
        }
        let mut works = 0_u64;
        for ticket in process.works {
            for work in conversation.take::<Vec<Vec<u8>>>(ticket)? {
                works += 1;
                let work: Value = serde_json::from_slice(&work).unwrap_or_default();
                let queue = work["queue"].as_str().unwrap_or_default();
                if let Some(queue) = seen.queues.get_mut(queue.strip_prefix("queue:").unwrap_or(queue)) {
                    queue.in_progress = queue.in_progress.map(|count| count.saturating_add(1));
                }
            }
        }
        let info: Value = serde_json::from_str(&info).unwrap_or_default();
        let busy = works > 0 || busy.as_deref() != Some("0");
        let worker = self.site.worker(&[info["hostname"].as_str().unwrap_or_default()], busy);
        let queues = info["queues"].as_array();
        let serves_us = queues
            .is_none_or(|queues| queues.iter().filter_map(Value::as_str).any(|queue| self.site.names().mean(queue)));
        Ok(worker.filter(|worker| worker.process.is_some() || serves_us))
    }
}

/// Adds the jobs of a shared sorted set to their queues: exactly when all could be read, else by their share.
fn add_piece(
    piece: &Piece,
    now: f64,
    queues: &mut BTreeMap<String, Backlog>,
    conversation: &mut Conversation,
) -> Result<(), MeasureError> {
    let count: u64 = conversation.take(piece.count)?;
    let jobs: Vec<(Vec<u8>, f64)> = conversation.take(piece.jobs)?;
    let read = (jobs.len() as u64).max(1);
    let mut of_queue: BTreeMap<String, (u64, f64)> = BTreeMap::new();
    for (job, score) in jobs {
        let job: Value = serde_json::from_slice(&job).unwrap_or_default();
        let queue = job["queue"].as_str().unwrap_or_default().to_owned();
        // They come in the order of their time, so the first of a queue is its oldest.
        of_queue.entry(queue).or_insert((0, score * 1000.0)).0 += 1;
    }
    for (name, queue) in queues {
        let (own, since) = of_queue.get(name).copied().unwrap_or_default();
        let jobs = if count > read { count.saturating_mul(own) / read } else { own };
        if count > read {
            let kind = if piece.due { "waiting" } else { "scheduled" };
            queue.estimate = Some(format!("{kind} holds an estimate from {read} of {count} scheduled or retried jobs"));
        }
        if piece.due {
            queue.waiting = queue.waiting.saturating_add(jobs);
            let oldest = if own > 0 { Oldest::Since(age(since, now)) } else { Oldest::Nothing };
            queue.oldest = queue.oldest.older(oldest);
        } else {
            queue.scheduled = queue.scheduled.map(|sum| sum.saturating_add(jobs));
        }
    }
    Ok(())
}

#[async_trait]
impl Look for Sidekiq {
    async fn look(&self) -> Result<Seen, MeasureError> {
        let queues = self.site.listed(&format!("{}queues", self.prefix), "").await?;
        let mut conversation = self.site.conversation();
        let moment = self.site.now();
        let now = redis_layout::milliseconds(moment);
        let mut asked_queues = self.site.ask(&queues, |queue| self.layout(queue), moment, &mut conversation);
        let pieces = self.ask_pieces(now, &mut conversation);
        let names = conversation.ask(&["SRANDMEMBER", &format!("{}processes", self.prefix), MOST_WORKERS]);
        conversation.hear().await?;
        site::ask_for_stamps(&mut asked_queues, &mut conversation)?;
        let processes = self.ask_processes(names, &mut conversation)?;
        conversation.hear().await?;
        let mut seen = site::seen(asked_queues, &mut conversation)?;
        for piece in &pieces {
            add_piece(piece, now, &mut seen.queues, &mut conversation)?;
        }
        seen.queues.values_mut().for_each(|queue| queue.in_progress = Some(0));
        seen.told_by_workers = true;
        let mut workers = Vec::new();
        for process in &processes {
            workers.extend(self.add_process(process, now, &mut seen, &mut conversation)?);
        }
        seen.workers = Some(workers);
        Ok(seen)
    }

    fn sight(&self) -> Sight {
        Sight::Workers
    }

    fn items(&self) -> &'static str {
        "jobs"
    }

    fn place(&self) -> &str {
        self.site.server.shown()
    }
}
