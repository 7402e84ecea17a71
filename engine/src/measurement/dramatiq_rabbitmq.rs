//! How many Dramatiq messages wait in a queue on RabbitMQ.
//!
//! Dramatiq makes three queues of each (source: its RabbitMQ broker): `NAME` for what may start now, `NAME.DQ` for what
//! was sent with a delay, and `NAME.XQ` for what failed for good. Delayed messages are `scheduled`, wherever they are: a
//! worker takes them out of `NAME.DQ` at once and holds them, unacknowledged, until they are due. Dead ones are not counted.
//! Dramatiq writes its own stamp into the body of a message, which cannot be read without taking the message away, so
//! `latency` needs AMQP's stamp, which somebody else must set.

use std::collections::BTreeMap;

use async_trait::async_trait;
use autoscalebot_core::registry::{Backend, Problem};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{
    Context, Measure, MeasureError, Sight,
    queue::{Backlog, Common, Look, Queue, Seen},
};
use crate::broker::rabbitmq::{
    Settings as RabbitmqSettings,
    queues::{Book, Books, Queues, needs_management},
};

/// What Dramatiq adds to a queue's name for messages with a delay.
const DELAYED: &str = ".DQ";

/// What Dramatiq adds to a queue's name for messages that failed for good.
const DEAD: &str = ".XQ";

/// Settings of `DramatiqRabbitmq`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Settings {
    /// The queues, as actors name them. With MANAGEMENT_URL a name may hold `*` for any text and `?` for any letter; what
    /// then fits is looked up once a minute.
    pub queue_names: Vec<String>,
    #[serde(flatten)]
    rabbitmq: RabbitmqSettings,
    #[serde(flatten)]
    common: Common,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            queue_names: vec!["default".to_owned()],
            rabbitmq: RabbitmqSettings::default(),
            common: Common::default(),
        }
    }
}

/// Dramatiq's queues on a broker.
pub struct DramatiqRabbitmq {
    queues: Queues,
}

impl Backend for DramatiqRabbitmq {
    type Stage = dyn Measure;
    type Context = Context;
    type Settings = Settings;
    const NAME: &'static str = "DramatiqRabbitmq";

    fn validate(settings: &Settings) -> Vec<Problem> {
        let mut problems = settings.common.problems(Sight::InProgress);
        problems.extend(Queues::problems(
            "queue_names",
            &settings.queue_names,
            &settings.rabbitmq,
            needs_management(&settings.common),
        ));
        for name in settings.queue_names.iter().filter(|name| is_beside(name)) {
            let found = format!("{name:?} is one that Dramatiq makes beside another");
            problems.push(Problem::new("queue_names", found, "the name of a queue, without .DQ or .XQ"));
        }
        problems
    }

    fn build(settings: Settings, context: &Context) -> Result<Box<dyn Measure>, Problem> {
        let Settings { queue_names, rabbitmq, common } = settings;
        let queues =
            Queues::of(&queue_names, is_beside, &rabbitmq, &common, needs_management(&common), &context.shared)?;
        Ok(Box::new(Queue::new(Self { queues }, &common)))
    }
}

fn is_beside(name: &str) -> bool {
    name.ends_with(DELAYED) || name.ends_with(DEAD)
}

#[async_trait]
impl Look for DramatiqRabbitmq {
    async fn look(&self) -> Result<Seen, MeasureError> {
        let names = self.queues.names().await?;
        let delayed: Vec<String> = names.iter().map(|name| format!("{name}{DELAYED}")).collect();
        let Books { mut books, notes } = self.queues.books(&names, &delayed).await?;
        let mut queues = BTreeMap::new();
        for (name, delayed) in names.iter().zip(delayed) {
            let Some(book) = books.remove(name) else { continue };
            let delayed = books.remove(&delayed);
            let scheduled = self.scheduled(delayed.as_ref());
            queues.insert(name.clone(), Backlog { scheduled, ..self.queues.backlog(name, &book) });
        }
        Ok(Seen { queues, workers: None, told_by_workers: false, notes })
    }

    fn sight(&self) -> Sight {
        self.queues.sight()
    }

    fn items(&self) -> &'static str {
        "messages"
    }

    fn place(&self) -> &str {
        self.queues.server().shown()
    }
}

impl DramatiqRabbitmq {
    /// How many messages are not due: those that no worker took, and those that workers hold until then. Dramatiq makes the
    /// queue for them together with the other, so a missing one has none.
    fn scheduled(&self, delayed: Option<&Book>) -> Option<u64> {
        match delayed {
            None => Some(0),
            Some(book) => Some(book.ready.saturating_add(book.counts?.unacknowledged)),
        }
    }
}
