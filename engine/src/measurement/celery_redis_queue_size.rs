//! The backlog of Celery's queues on Redis: what waits, what workers run, what is planned, and since when.
//!
//! The length of the list says little. Celery keeps one list per priority (`celery`, `celery\x06\x163`, …); tasks whose
//! time has not come lie in the same lists; workers take more tasks than they can run, which then lie in the hash `unacked`
//! with those of all other queues; and a task that runs is, unless it is acknowledged late, nowhere in Redis at all. So the
//! lists, `unacked` and the workers are asked, in this order: what moves meanwhile is then counted twice rather than lost.
//!
//! It refuses to guess: who does not answer is not free, what cannot be attributed is not counted, and a broker that
//! cannot be asked is a failure. What it moves is bounded however long the queues are; see [`super::celery`] for the parts.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use async_trait::async_trait;
use autoscalebot_core::{
    registry::{Backend, Problem},
    units::Seconds,
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{
    Context, Measure, MeasureError, Sight,
    celery::{
        answer::Answer,
        control::Control,
        crew::Crew,
        redis_backlog::{ByNobody, Delivered, Fate, backlogs, delivered, judged},
        redis_post::{Names as ChannelNames, RedisPost},
        redis_reading::{Keys, Reader},
    },
    queue::{
        Common, Look, Queue, Seen,
        names::{Finder, Names},
    },
};
use crate::{
    broker::redis::{Server, Settings as RedisSettings},
    clock::Clock,
};

/// Celery's own steps are four; more than this many lists in one question are a slip.
const MOST_STEPS: usize = 64;

/// Settings of `CeleryRedisQueueSize`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Settings {
    /// The queue.
    pub queue_name: String,
    /// The queues, when there are several; instead of `QUEUE_NAME`. A name may hold `*` and `?`; it then means every queue
    /// that has waiting tasks or a worker and matches, looked for once a minute.
    pub queue_names: Vec<String>,
    #[serde(flatten)]
    redis: RedisSettings,
    /// Whether to ask the workers what they run, as `celery inspect active` does. Without it, what is in progress cannot be
    /// seen. Set it to false if the app has `worker_enable_remote_control = False`.
    pub inspect_workers: bool,
    /// The priorities for which Celery keeps lists, as in its `priority_steps`.
    pub priority_steps: Vec<u8>,
    /// Between the name of a queue and the priority, as in Celery's `sep`.
    pub separator: String,
    /// Before every key, as in Celery's `global_keyprefix`.
    pub global_keyprefix: String,
    /// After so many seconds Celery gives a task that was not acknowledged to another worker; as in its
    /// `visibility_timeout`.
    pub visibility_timeout: Seconds,
    /// The hash of tasks that were delivered and not acknowledged, as in Celery's `unacked_key`.
    pub unacked_key: String,
    /// When they were delivered, as in Celery's `unacked_index_key`.
    pub unacked_index_key: String,
    /// The name of the workers' control channel, as in Celery's `control_exchange`.
    pub control_exchange: String,
    /// Before the names of channels, as in Celery's `fanout_prefix`; `{db}` is the number of the database.
    pub fanout_prefix: String,
    #[serde(flatten)]
    common: Common,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            queue_name: "celery".to_owned(),
            queue_names: Vec::new(),
            redis: RedisSettings::default(),
            inspect_workers: true,
            priority_steps: vec![0, 3, 6, 9],
            separator: "\u{6}\u{16}".to_owned(),
            global_keyprefix: String::new(),
            visibility_timeout: Seconds::new(3600),
            unacked_key: "unacked".to_owned(),
            unacked_index_key: "unacked_index".to_owned(),
            control_exchange: "celery".to_owned(),
            fanout_prefix: "/{db}.".to_owned(),
            common: Common::default(),
        }
    }
}

impl Settings {
    fn sight(&self) -> Sight {
        if self.inspect_workers { Sight::Workers } else { Sight::Waiting }
    }

    fn names(&self) -> Vec<String> {
        if self.queue_names.is_empty() { vec![self.queue_name.clone()] } else { self.queue_names.clone() }
    }

    fn keys(&self) -> Keys {
        Keys {
            prefix: self.global_keyprefix.clone(),
            separator: self.separator.clone(),
            steps: self.priority_steps.clone(),
            unacked: self.unacked_key.clone(),
            unacked_index: self.unacked_index_key.clone(),
        }
    }

    fn channel(&self, database: u16) -> ChannelNames {
        ChannelNames {
            key_prefix: self.global_keyprefix.clone(),
            exchange: self.control_exchange.clone(),
            fanout_prefix: self.fanout_prefix.replace("{db}", &database.to_string()),
            separator: self.separator.clone(),
        }
    }
}

/// Celery's queues on a server.
pub struct CeleryRedisQueueSize {
    server: Arc<Server>,
    finder: Finder,
    keys: Keys,
    reader: Reader,
    crew: Crew,
    clock: Arc<dyn Clock>,
    visibility: Duration,
    limit: Duration,
    sight: Sight,
}

impl Backend for CeleryRedisQueueSize {
    type Stage = dyn Measure;
    type Context = Context;
    type Settings = Settings;
    const NAME: &'static str = "CeleryRedisQueueSize";

    fn validate(settings: &Settings) -> Vec<Problem> {
        let mut problems = settings.redis.problems();
        problems.extend(settings.common.problems(settings.sight()));
        if settings.queue_names.is_empty() {
            if settings.queue_name.is_empty() {
                problems.push(Problem::new("queue_name", "an empty name", "the name of a queue, such as celery"));
            }
        } else {
            problems.extend(Names::problems("queue_names", &settings.queue_names));
        }
        if settings.priority_steps.is_empty() || settings.priority_steps.len() > MOST_STEPS {
            let found = format!("{} steps", settings.priority_steps.len());
            problems.push(Problem::new("priority_steps", found, "1 to 64 priorities, such as [0, 3, 6, 9]"));
        }
        for (path, value, allowed) in [
            ("separator", &settings.separator, "what stands between name and priority; leave it out for Celery's own"),
            ("unacked_key", &settings.unacked_key, "the name of a key, such as unacked"),
            ("unacked_index_key", &settings.unacked_index_key, "the name of a key, such as unacked_index"),
            ("control_exchange", &settings.control_exchange, "a name, such as celery"),
        ] {
            if value.is_empty() {
                problems.push(Problem::new(path, "an empty text", allowed));
            }
        }
        if settings.redis.cluster {
            problems.push(Problem::new("cluster", "true", "false: Celery cannot use a Redis Cluster"));
        }
        problems
    }

    fn build(settings: Settings, context: &Context) -> Result<Box<dyn Measure>, Problem> {
        let shared = &context.shared;
        let server = Server::of(&settings.redis, shared)?;
        let control = settings.inspect_workers.then(|| {
            let channel = settings.channel(server.database());
            // The control holds the server, so its address names no other one as long as this is in the pool.
            let key = format!("{:p} {channel:?}", Arc::as_ptr(&server));
            shared.pool.get_or_make(&key, || {
                let post = RedisPost::new(server.clone(), shared.clock.clone(), channel);
                Control::new(Box::new(post), shared.clock.clone())
            })
        });
        let limit = settings.common.timeout_seconds.duration();
        let look = Self {
            finder: Finder::new(&settings.names()),
            keys: settings.keys(),
            reader: Reader::new(server.clone(), settings.keys()),
            server,
            crew: Crew::new(control, context, limit),
            clock: shared.clock.clone(),
            visibility: settings.visibility_timeout.duration(),
            limit,
            sight: settings.sight(),
        };
        Ok(Box::new(Queue::new(look, &settings.common)))
    }
}

#[async_trait]
impl Look for CeleryRedisQueueSize {
    async fn look(&self) -> Result<Seen, MeasureError> {
        let started = self.clock.now().since_start;
        let queue_of = |key: &str| self.keys.queue_of(key);
        let names = self.finder.find_in_redis(&self.server, "list", &self.keys.prefix, queue_of, self.limit).await?;
        let reading = self.reader.read(&names, self.limit).await?;
        let read = self.clock.now();
        let mut notes = Vec::new();
        let answer = self.crew.ask(started, read.since_start, &mut notes).await;
        let answer = answer.as_deref();
        let is_ours = |name: &str| self.finder.names().mean(name);
        let mut delivered = delivered(&reading.unacked, answer, &is_ours, read.civil);
        self.judge(&mut delivered, answer, &mut notes).await?;
        let patterns = self.finder.names().patterns().join(", ");
        let queues = backlogs(&reading, &delivered, answer, &is_ours, read.civil, &patterns);
        let workers = answer.map(|answer| self.crew.workers(answer, &is_ours, &mut notes));
        Ok(Seen { queues, workers, told_by_workers: self.crew.is_asked(), notes })
    }

    fn sight(&self) -> Sight {
        self.sight
    }

    fn items(&self) -> &'static str {
        "tasks"
    }

    fn place(&self) -> &str {
        self.server.shown()
    }
}

impl CeleryRedisQueueSize {
    /// Finds out what becomes of tasks that were delivered to nobody who is there.
    async fn judge(
        &self,
        delivered: &mut Delivered<'_>,
        answer: Option<&Answer>,
        notes: &mut Vec<String>,
    ) -> Result<(), MeasureError> {
        let is_suspected = |fate| fate == Fate::Held(ByNobody::Suspected);
        let Some(answer) = answer else { return Ok(()) };
        let tags: Vec<&str> = delivered.iter().filter(|(.., fate)| is_suspected(*fate)).map(|(tag, ..)| *tag).collect();
        if tags.is_empty() {
            return Ok(());
        }
        let moments = self.reader.delivered(&tags, self.limit).await?;
        let now = self.clock.now().civil;
        let fates: BTreeMap<&str, Option<Fate>> = tags
            .into_iter()
            .zip(moments)
            .map(|(tag, moment)| (tag, judged(moment, answer.asked_at, now, self.visibility)))
            .collect();
        // Those without a fate were finished meanwhile.
        delivered.retain_mut(|(tag, .., fate)| match fates.get(tag) {
            Some(Some(judged)) => {
                *fate = *judged;
                true
            }
            Some(None) => false,
            None => true,
        });
        let later = delivered.iter().filter(|(.., fate)| *fate == Fate::Held(ByNobody::Later)).count();
        if later > 0 {
            let seconds = self.visibility.as_secs();
            notes.push(format!(
                "tasks of workers that are gone (or rate-limited in one): {later}; \
                 Celery gives them to others {seconds} s after their delivery, until then they count as scheduled"
            ));
        }
        Ok(())
    }
}
