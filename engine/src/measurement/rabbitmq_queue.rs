//! How many messages wait in a queue of RabbitMQ, whoever wrote them and whatever they mean.
//!
//! Every ready message counts as work that could start now. With the management API it also tells how many messages were
//! delivered and are not acknowledged, and how old the oldest is if its sender stamps messages (AMQP's `timestamp`). It
//! refuses to take a queue that does not exist for an empty one. It misleads for queues whose messages are not work for
//! the process: dead letters, delays.

use std::collections::BTreeMap;

use async_trait::async_trait;
use autoscalebot_core::registry::{Backend, Problem};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{
    Context, Measure, MeasureError, Sight,
    celery_rabbitmq_queue_size::is_celerys_own,
    queue::{Common, Look, Queue, Seen},
};
use crate::broker::rabbitmq::{
    Settings as RabbitmqSettings,
    queues::{Books, Queues, needs_management},
};

/// Settings of `RabbitmqQueue`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Settings {
    /// The queues, which must exist. With MANAGEMENT_URL a name may hold `*` for any text and `?` for any letter; what then
    /// fits is looked up once a minute, without queues that Celery makes for itself (`*.pidbox`, `celeryev.*`).
    pub queue_names: Vec<String>,
    #[serde(flatten)]
    rabbitmq: RabbitmqSettings,
    #[serde(flatten)]
    common: Common,
}

/// Queues of any kind.
pub struct RabbitmqQueue {
    queues: Queues,
}

impl Backend for RabbitmqQueue {
    type Stage = dyn Measure;
    type Context = Context;
    type Settings = Settings;
    const NAME: &'static str = "RabbitmqQueue";

    fn validate(settings: &Settings) -> Vec<Problem> {
        let mut problems = settings.common.problems(Sight::InProgress);
        problems.extend(Queues::problems(
            "queue_names",
            &settings.queue_names,
            &settings.rabbitmq,
            needs_management(&settings.common),
        ));
        problems
    }

    fn build(settings: Settings, context: &Context) -> Result<Box<dyn Measure>, Problem> {
        let Settings { queue_names, rabbitmq, common } = settings;
        let queues =
            Queues::of(&queue_names, is_celerys_own, &rabbitmq, &common, needs_management(&common), &context.shared)?;
        Ok(Box::new(Queue::new(Self { queues }, &common)))
    }
}

#[async_trait]
impl Look for RabbitmqQueue {
    async fn look(&self) -> Result<Seen, MeasureError> {
        let names = self.queues.names().await?;
        let Books { books, notes } = self.queues.books(&names, &[]).await?;
        let mut queues = BTreeMap::new();
        for (name, book) in books {
            let backlog = self.queues.backlog(&name, &book);
            queues.insert(name, backlog);
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
