//! Huey's queues on Redis.
//!
//! A queue is a list of pickled tasks (`huey.redis.NAME`, the last is next), or with `PriorityRedisHuey` a sorted set under
//! the same key. Tasks whose time has not come stand in the sorted set `huey.schedule.NAME`, but only after a consumer has
//! seen them: until then they are in the queue like all others. A task has no stamp, and a task in progress is nowhere in
//! Redis. Source: Huey 3.5, `storage.py`, `api.py`.

use std::collections::BTreeSet;

use async_trait::async_trait;
use autoscalebot_core::registry::{Backend, Problem};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{
    Context, Measure, MeasureError, Sight,
    queue::{
        Common, Look, Queue, Seen,
        names::Names,
        redis_layout::{Layout, Line, Schedule, Shape, Stamp},
        site::{self, Site},
    },
};
use crate::broker::redis::Settings as RedisSettings;

/// Settings of `Huey`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Settings {
    /// The names of the `Huey` objects of the app; each has one queue. As Huey does, letters, digits and `_` are kept.
    pub queue_names: Vec<String>,
    #[serde(flatten)]
    redis: RedisSettings,
    #[serde(flatten)]
    common: Common,
}

impl Default for Settings {
    fn default() -> Self {
        Self { queue_names: vec!["huey".to_owned()], redis: RedisSettings::default(), common: Common::default() }
    }
}

/// Queues of Huey.
pub struct Huey {
    site: Site,
}

impl Backend for Huey {
    type Stage = dyn Measure;
    type Context = Context;
    type Settings = Settings;
    const NAME: &'static str = "Huey";

    fn validate(settings: &Settings) -> Vec<Problem> {
        let mut problems = Names::problems("queue_names", &settings.queue_names);
        if let Some(pattern) = Names::new(&settings.queue_names).patterns().first() {
            let found = format!("the pattern {pattern:?}");
            problems.push(Problem::new("queue_names", found, "names: each Huey object of an app has one queue"));
        }
        problems.extend(settings.redis.problems());
        problems.extend(settings.common.problems(Sight::Waiting));
        problems
    }

    fn build(settings: Settings, context: &Context) -> Result<Box<dyn Measure>, Problem> {
        let site = Site::new(&settings.queue_names, &settings.redis, &settings.common, context)?;
        Ok(Box::new(Queue::new(Self { site }, &settings.common)))
    }
}

/// The key of a queue. Source: `clean_name` of Huey's Redis storage.
fn key(queue: &str) -> String {
    let clean: String = queue.chars().filter(|letter| letter.is_ascii_alphanumeric() || *letter == '_').collect();
    format!("huey.redis.{clean}")
}

fn layout(queue: &str, shape: Shape) -> Layout {
    let line = Line { key: key(queue), shape, stamp: Stamp::Nowhere, peek: 1 };
    let schedule = Schedule {
        key: line.key.replacen("huey.redis.", "huey.schedule.", 1),
        per_millisecond: 0.001,
        above: f64::NEG_INFINITY,
    };
    Layout { lines: vec![line], schedules: vec![schedule], ..Layout::default() }
}

#[async_trait]
impl Look for Huey {
    async fn look(&self) -> Result<Seen, MeasureError> {
        let mut conversation = self.site.conversation();
        let kinds =
            self.site.names().literal().iter().map(|queue| (queue.as_str(), conversation.ask(&["TYPE", &key(queue)])));
        let kinds: Vec<_> = kinds.collect();
        conversation.hear().await?;
        let mut sorted_sets = BTreeSet::new();
        for (queue, kind) in kinds {
            if conversation.take::<String>(kind)? == "zset" {
                sorted_sets.insert(queue.to_owned());
            }
        }
        let layout = |queue: &str| {
            let is_sorted_set = sorted_sets.contains(queue);
            layout(queue, if is_sorted_set { Shape::SortedSet } else { Shape::ListFromRight })
        };
        let mut queues = self.site.ask(self.site.names().literal(), layout, self.site.now(), &mut conversation);
        conversation.hear().await?;
        site::ask_for_stamps(&mut queues, &mut conversation)?;
        site::seen(queues, &mut conversation)
    }

    fn sight(&self) -> Sight {
        Sight::Waiting
    }

    fn items(&self) -> &'static str {
        "tasks"
    }

    fn place(&self) -> &str {
        self.site.server.shown()
    }
}
