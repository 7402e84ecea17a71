//! The backlog of Celery's queues on RabbitMQ: what waits, what workers run, what is planned, and since when.
//!
//! The number of ready messages says little. Workers fetch more tasks than they can run, and tasks whose time has not come
//! are delivered at once and held by a worker; both are missing there, and so is what runs. What RabbitMQ counts as
//! unacknowledged is all of these in one number (without those that run, unless they are acknowledged late). So the workers
//! are asked, as on Redis, after the books were read: what moves meanwhile is then counted twice rather than lost.
//!
//! One thing can be lost all the same. Workers answer one by one, so a task that ends in one after it has called the next,
//! which begins in another, may be seen nowhere:
//!
//! ```text
//!  books: empty │ worker 2: free │ task of worker 1 sends one to worker 2, and ends │ worker 1: free
//! ```
//!
//! So who sees nothing at all looks again, once, and the second word counts. To miss everything then takes two such moments,
//! one in each look, and these are a second apart; a task that begins in the first and lasts is seen in the second.
//!
//! It refuses to guess: who does not answer is not free, a queue that does not exist is not empty, and a broker that cannot
//! be asked is a failure. See [`super::celery`] for the parts.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use async_trait::async_trait;
use autoscalebot_core::registry::{Backend, Problem};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{
    Context, Measure, MeasureError, Sight,
    celery::{
        control::Control,
        crew::Crew,
        rabbit_backlog::{Memory, backlogs},
        rabbit_post::RabbitPost,
    },
    queue::{Common, Look, Metric, Queue, Seen},
};
use crate::broker::rabbitmq::{
    Settings as RabbitmqSettings,
    queues::{Books, Queues},
};

/// Settings of `CeleryRabbitmqQueueSize`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Settings {
    /// The queue.
    pub queue_name: String,
    /// The queues, when there are several; instead of `QUEUE_NAME`. With MANAGEMENT_URL a name may hold `*` and `?`; it then
    /// means every queue that matches, looked for once a minute, without those that Celery makes for itself.
    pub queue_names: Vec<String>,
    #[serde(flatten)]
    rabbitmq: RabbitmqSettings,
    /// Whether to ask the workers what they run and hold, as `celery inspect` does. Without it, only what is ready is
    /// known. Set it to false if the app has `worker_enable_remote_control = False`.
    pub inspect_workers: bool,
    /// The name of the workers' control channel, as in Celery's `control_exchange`.
    pub control_exchange: String,
    #[serde(flatten)]
    common: Common,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            queue_name: "celery".to_owned(),
            queue_names: Vec::new(),
            rabbitmq: RabbitmqSettings::default(),
            inspect_workers: true,
            control_exchange: "celery".to_owned(),
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

    /// The workers tell everything but since when the oldest task waits.
    fn needs_management(&self) -> bool {
        self.common.metric == Metric::Latency
    }
}

/// The first look of a measurement, or the second, which follows when the first has shown nothing.
#[derive(Clone, Copy)]
enum Nth {
    First,
    Second,
}

/// Celery's queues on a broker.
pub struct CeleryRabbitmqQueueSize {
    queues: Queues,
    crew: Crew,
    memory: Mutex<Memory>,
    sight: Sight,
}

impl Backend for CeleryRabbitmqQueueSize {
    type Stage = dyn Measure;
    type Context = Context;
    type Settings = Settings;
    const NAME: &'static str = "CeleryRabbitmqQueueSize";

    fn validate(settings: &Settings) -> Vec<Problem> {
        let setting = if settings.queue_names.is_empty() { "queue_name" } else { "queue_names" };
        let mut problems = settings.common.problems(settings.sight());
        problems.extend(Queues::problems(setting, &settings.names(), &settings.rabbitmq, settings.needs_management()));
        if settings.control_exchange.is_empty() || settings.control_exchange.len() > MOST_EXCHANGE_BYTES {
            let found = format!("{:?}", settings.control_exchange);
            problems.push(Problem::new("control_exchange", found, "a name, such as celery"));
        }
        problems
    }

    fn build(settings: Settings, context: &Context) -> Result<Box<dyn Measure>, Problem> {
        let (shared, common) = (&context.shared, &settings.common);
        let queues = Queues::of(
            &settings.names(),
            is_celerys_own,
            &settings.rabbitmq,
            common,
            settings.needs_management(),
            shared,
        )?;
        let control = settings.inspect_workers.then(|| {
            let (server, exchange) = (queues.server().clone(), &settings.control_exchange);
            // The control holds the server, so its address names no other one as long as this is in the pool.
            let key = format!("{:p} {exchange}", Arc::as_ptr(&server));
            shared.pool.get_or_make(&key, || {
                let post = RabbitPost::new(server, exchange);
                Control::new(Box::new(post), shared.clock.clone()).asking_for_scheduled()
            })
        });
        let crew = Crew::new(control, context, common.timeout_seconds.duration());
        let look = Self { queues, crew, memory: Mutex::default(), sight: settings.sight() };
        Ok(Box::new(Queue::new(look, common)))
    }
}

/// The broker's limit for a name is 255, and ours have something around it.
const MOST_EXCHANGE_BYTES: usize = 128;

/// Queues that Celery makes for itself: for questions to workers, for events, for delays of its own (5.5).
#[must_use]
pub fn is_celerys_own(name: &str) -> bool {
    name.ends_with(".pidbox") || name.starts_with("celeryev.") || name.starts_with("celery_delayed_")
}

#[async_trait]
impl Look for CeleryRabbitmqQueueSize {
    async fn look(&self) -> Result<Seen, MeasureError> {
        let started = self.queues.now().since_start;
        let first = self.look_once(Nth::First, started).await?;
        if first.shows_nothing() { self.look_once(Nth::Second, started).await } else { Ok(first) }
    }

    fn sight(&self) -> Sight {
        self.sight
    }

    fn items(&self) -> &'static str {
        "tasks"
    }

    fn place(&self) -> &str {
        self.queues.server().shown()
    }
}

impl CeleryRabbitmqQueueSize {
    /// What the books hold, and then what the workers say. The measurement has `started` then.
    async fn look_once(&self, nth: Nth, started: Duration) -> Result<Seen, MeasureError> {
        let names = self.queues.names().await?;
        let Books { books, mut notes } = self.queues.books(&names, &[]).await?;
        let read = self.queues.now().since_start;
        let answer = match nth {
            Nth::First => self.crew.ask(started, read, &mut notes).await,
            Nth::Second => self.crew.ask_again(started, read, &mut notes).await,
        };
        let (answer, is_ours) = (answer.as_deref(), |name: &str| books.contains_key(name));
        let now = self.queues.now();
        let queues = {
            let mut memory = self.memory.lock().unwrap_or_else(PoisonError::into_inner);
            backlogs(&books, answer, &mut memory, &now, &mut notes)
        };
        let workers = answer.map(|answer| self.crew.workers(answer, &is_ours, &mut notes));
        Ok(Seen { queues, workers, told_by_workers: self.crew.is_asked(), notes })
    }
}
