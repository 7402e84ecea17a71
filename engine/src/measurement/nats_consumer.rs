//! How many messages of a NATS JetStream stream wait for a consumer.
//!
//! JetStream itself keeps the books of every consumer: what it has still to deliver, and what was delivered and not
//! acknowledged. They are asked for by one question per consumer (`CONSUMER.INFO`; source: NATS ADR-1 and the server's
//! JSON). For the latency the next message is read as well, with its body, because the server has no smaller question;
//! so that is asked only when the latency is measured. Streams and consumers must exist: a missing one is an error.

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use autoscalebot_core::registry::{Backend, Problem};
use futures_util::future::try_join_all;
use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::{
    Context, Measure, MeasureError, Sight,
    queue::{Backlog, Common, Look, Metric, Oldest, Queue, Seen},
};
use crate::{
    broker::nats::{Server, Settings as NatsSettings, is_token},
    clock::Clock,
};

/// Each consumer is a question of its own; more of them are a slip.
const MOST_CONSUMERS: usize = 64;

/// A consumer with more filters than this has no latency that few questions could find out.
const MOST_FILTERS: usize = 8;

/// How much of a measurement's time a question may take; the rest is for telling which one took too long.
const SHARE_OF_THE_LIMIT: f64 = 0.9;

/// Codes of JetStream's errors. Source: `errors.json` of the NATS server.
const NO_CONSUMER: u64 = 10014;
const NO_STREAM: u64 = 10059;
const NO_MESSAGE: u64 = 10037;

/// Settings of `NatsConsumer`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Settings {
    /// The stream.
    pub stream: String,
    /// The consumers of that stream that the workers share, by their durable names.
    pub consumers: Vec<String>,
    #[serde(flatten)]
    nats: NatsSettings,
    #[serde(flatten)]
    common: Common,
}

/// Consumers of a stream.
pub struct NatsConsumer {
    server: Arc<Server>,
    clock: Arc<dyn Clock>,
    stream: String,
    consumers: Vec<String>,
    wants_latency: bool,
    limit: Duration,
}

impl Backend for NatsConsumer {
    type Stage = dyn Measure;
    type Context = Context;
    type Settings = Settings;
    const NAME: &'static str = "NatsConsumer";

    fn validate(settings: &Settings) -> Vec<Problem> {
        let mut problems = settings.nats.problems();
        problems.extend(settings.common.problems(Sight::InProgress));
        if settings.stream.is_empty() || !is_token(&settings.stream) {
            let found = format!("{:?} is no stream", settings.stream);
            problems.push(Problem::new("stream", found, "the name of a stream, such as JOBS"));
        }
        let count = settings.consumers.len();
        if count == 0 || count > MOST_CONSUMERS {
            let found = format!("{count} consumers");
            problems.push(Problem::new("consumers", found, "1 to 64 names of consumers, such as [\"worker\"]"));
        }
        for name in settings.consumers.iter().filter(|name| name.is_empty() || !is_token(name)) {
            problems.push(Problem::new("consumers", format!("{name:?} is no consumer"), "a durable name"));
        }
        problems
    }

    fn build(settings: Settings, context: &Context) -> Result<Box<dyn Measure>, Problem> {
        let look = Self {
            server: Server::of(&settings.nats, &context.shared)?,
            clock: context.shared.clock.clone(),
            stream: settings.stream,
            consumers: settings.consumers,
            wants_latency: settings.common.metric == Metric::Latency,
            limit: settings.common.timeout_seconds.duration().mul_f64(SHARE_OF_THE_LIMIT),
        };
        Ok(Box::new(Queue::new(look, &settings.common)))
    }
}

#[async_trait]
impl Look for NatsConsumer {
    async fn look(&self) -> Result<Seen, MeasureError> {
        let states = try_join_all(self.consumers.iter().map(|name| self.one(name))).await?;
        let mut seen = Seen { queues: [].into(), workers: None, told_by_workers: false, notes: Vec::new() };
        for (name, (backlog, notes)) in self.consumers.iter().zip(states) {
            seen.queues.insert(name.clone(), backlog);
            seen.notes.extend(notes.into_iter().map(|note| format!("consumer {name}: {note}")));
        }
        Ok(seen)
    }

    fn sight(&self) -> Sight {
        Sight::InProgress
    }

    fn items(&self) -> &'static str {
        "messages"
    }

    fn place(&self) -> &str {
        self.server.shown()
    }
}

impl NatsConsumer {
    async fn one(&self, name: &str) -> Result<(Backlog, Vec<String>), MeasureError> {
        let question = format!("CONSUMER.INFO.{}.{name}", self.stream);
        let answer = self.server.ask(&question, &Value::Null, self.limit).await?;
        if let Some(code) = error_code(&answer) {
            return Err(self.refused(code, name));
        }
        let state = serde_json::from_value::<State>(answer).map_err(|_| {
            let message = format!("{} answers with something that is no state of a consumer", self.place());
            MeasureError::unknown("broker_error", message)
        })?;
        let (mut backlog, notes) = state.backlog();
        if self.wants_latency && backlog.waiting > 0 {
            backlog.oldest = self.oldest(&state).await?;
        }
        Ok((backlog, notes))
    }

    /// The first message after the last that was delivered.
    async fn oldest(&self, state: &State) -> Result<Oldest, MeasureError> {
        let filters = state.config.filters();
        if filters.len() > MOST_FILTERS {
            return Ok(Oldest::NoStamp);
        }
        let question = format!("STREAM.MSG.GET.{}", self.stream);
        let next = async |filter: &str| {
            let wanted = json!({"seq": state.delivered.stream_seq + 1, "next_by_subj": filter});
            let answer = self.server.ask(&question, &wanted, self.limit).await?;
            match error_code(&answer) {
                None => Ok(answer["message"]["time"].as_str().and_then(|time| time.parse::<Timestamp>().ok())),
                Some(NO_MESSAGE) => Ok(None),
                Some(code) => Err(self.refused(code, &state.name)),
            }
        };
        let times = try_join_all(filters.into_iter().map(next)).await?;
        let now = state.ts.unwrap_or_else(|| self.clock.now().civil);
        // A stamp in the future is age 0; clocks differ.
        let age = |time: Timestamp| Duration::try_from(now.duration_since(time)).unwrap_or_default();
        Ok(times.into_iter().flatten().min().map_or(Oldest::NoStamp, |time| Oldest::Since(age(time))))
    }

    fn refused(&self, code: u64, consumer: &str) -> MeasureError {
        let (place, stream) = (self.place(), &self.stream);
        let (key, message) = match code {
            NO_STREAM => ("missing", format!("{place} has no stream {stream:?}; check STREAM and DOMAIN")),
            NO_CONSUMER => {
                ("missing", format!("{place} has no consumer {consumer:?} of stream {stream:?}; check CONSUMERS"))
            }
            code => ("broker_error", format!("{place} refuses to speak of stream {stream:?} (code {code})")),
        };
        MeasureError::unknown(key, message)
    }
}

fn error_code(answer: &Value) -> Option<u64> {
    let error = answer.get("error")?;
    Some(error["err_code"].as_u64().or_else(|| error["code"].as_u64()).unwrap_or_default())
}

/// What JetStream says of a consumer. Numbers without which nothing is known must be there.
#[derive(Deserialize)]
struct State {
    name: String,
    config: Config,
    delivered: Delivered,
    num_pending: u64,
    num_ack_pending: u64,
    #[serde(default)]
    num_redelivered: u64,
    /// Servers from 2.11 on can pause a consumer until a time.
    #[serde(default)]
    paused: bool,
    /// The server's clock, from 2.10 on.
    ts: Option<Timestamp>,
}

#[derive(Deserialize)]
struct Config {
    ack_policy: String,
    /// -1 is no limit.
    #[serde(default)]
    max_ack_pending: i64,
    #[serde(default)]
    filter_subject: String,
    /// Servers from 2.10 on.
    #[serde(default)]
    filter_subjects: Vec<String>,
}

#[derive(Deserialize)]
struct Delivered {
    stream_seq: u64,
}

impl Config {
    fn filters(&self) -> Vec<&str> {
        match (self.filter_subject.as_str(), self.filter_subjects.as_slice()) {
            ("", []) => vec![">"],
            ("", many) => many.iter().map(String::as_str).collect(),
            (one, _) => vec![one],
        }
    }
}

impl State {
    fn backlog(&self) -> (Backlog, Vec<String>) {
        let mut notes = Vec::new();
        // Delivered is done, for a consumer that wants no acknowledgement.
        let in_progress = (self.config.ack_policy != "none").then_some(self.num_ack_pending);
        let (waiting, scheduled) = if self.paused { (0, self.num_pending) } else { (self.num_pending, 0) };
        if self.paused {
            notes.push(format!("paused; {scheduled} messages wait for its end"));
        }
        if self.num_redelivered > 0 {
            notes.push(format!("{} messages in progress were delivered more than once", self.num_redelivered));
        }
        let most = u64::try_from(self.config.max_ack_pending).unwrap_or(0);
        if most > 0 && self.num_ack_pending >= most && waiting > 0 {
            notes.push(format!(
                "no more than {most} messages may be in progress (max_ack_pending); more workers do not help"
            ));
        }
        let backlog = Backlog { in_progress, scheduled: Some(scheduled), ..Backlog::of_waiting(waiting) };
        (backlog, notes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn state(changes: &Value) -> State {
        let mut state = json!({
            "name": "worker", "num_pending": 5, "num_ack_pending": 2, "num_redelivered": 0,
            "delivered": {"consumer_seq": 2, "stream_seq": 2},
            "config": {"ack_policy": "explicit", "max_ack_pending": 1000},
        });
        for (name, value) in changes.as_object().unwrap() {
            state[name] = value.clone();
        }
        serde_json::from_value(state).unwrap()
    }

    #[test]
    fn messages_of_a_paused_consumer_wait_for_nobody() {
        let (backlog, notes) = state(&json!({"paused": true})).backlog();
        assert_eq!((backlog.waiting, backlog.in_progress, backlog.scheduled), (0, Some(2), Some(5)));
        assert_eq!(notes.len(), 1, "{notes:?}");
    }

    #[test]
    fn a_consumer_that_wants_no_acknowledgement_does_not_tell_what_is_in_progress() {
        let (backlog, _) = state(&json!({"config": {"ack_policy": "none"}, "num_ack_pending": 0})).backlog();
        assert_eq!((backlog.waiting, backlog.in_progress), (5, None));
    }

    #[test]
    fn every_filter_is_asked_for_its_next_message() {
        let filters = |config: Value| {
            let config: Config = serde_json::from_value(config).unwrap();
            config.filters().into_iter().map(str::to_owned).collect::<Vec<_>>()
        };
        assert_eq!(filters(json!({"ack_policy": "all"})), [">"]);
        assert_eq!(filters(json!({"ack_policy": "all", "filter_subject": "a.>"})), ["a.>"]);
        assert_eq!(filters(json!({"ack_policy": "all", "filter_subjects": ["a", "b"]})), ["a", "b"]);
    }
}
