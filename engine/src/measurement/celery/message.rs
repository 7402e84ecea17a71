//! What the message of a Celery task says about the task.
//!
//! Only four things matter here: its id, when it may run at the earliest (`eta`; `countdown` and retries become one), since
//! when it waits, and by which key it was sent. The arguments are never read. Celery itself writes no time of sending into
//! a message, so that comes from a signal handler of the user's, or of another autoscaler's adapter; all are understood.
//!
//! A message that is no message of Celery's is [`None`]: whoever reads a queue says what that means.

use std::{borrow::Cow, time::Duration};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use jiff::{Timestamp, civil::DateTime, tz::TimeZone};
use serde::Deserialize;
use serde_json::Value;

/// Celery's first protocol keeps its facts in the body. A larger body is not worth decoding for them.
const LARGEST_OLD_BODY_BYTES: usize = 64 * 1024;

/// A number above this is not seconds since 1970 (it would be the year 5138) but milliseconds.
const NO_SECONDS: f64 = 1e11;

/// What is known about a task from its message.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Task {
    /// Its id.
    pub id: Option<String>,
    /// It may not run before this.
    pub eta: Option<Timestamp>,
    /// When it was sent, if it says so.
    pub sent: Option<Timestamp>,
    /// The exchange it was sent to; empty for the one that leads straight to queues.
    pub exchange: String,
    /// The key it was sent with; mostly the name of the queue.
    pub routing_key: String,
}

impl Task {
    /// Reads an element of a list in Redis: a message as all of kombu's own transports write it.
    #[must_use]
    pub fn of_envelope(json: &[u8]) -> Option<Self> {
        serde_json::from_slice::<Envelope>(json).ok().map(Self::from)
    }

    /// Reads a value of the hash `unacked` in Redis: `[message, exchange, routing_key]`.
    #[must_use]
    pub fn of_unacked(json: &[u8]) -> Option<Self> {
        let (envelope, exchange, routing_key): (Envelope, Option<String>, Option<String>) =
            serde_json::from_slice(json).ok()?;
        let task = Self::from(envelope);
        Some(Self {
            exchange: exchange.unwrap_or(task.exchange),
            routing_key: routing_key.unwrap_or(task.routing_key),
            ..task
        })
    }

    /// Reads the headers and properties of a message that came in another way: by AMQP, with its table of headers as JSON,
    /// and `timestamp`, `correlation_id` and `delivery_info` among the properties as far as they are known.
    #[must_use]
    pub fn of_parts(headers: &Value, properties: &Value) -> Self {
        let headers = Headers::deserialize(headers).unwrap_or_default();
        let properties = Properties::deserialize(properties).unwrap_or_default();
        Self::from(Envelope { headers: Some(headers), properties: Some(properties), body: None })
    }

    /// Whether its time has not come.
    #[must_use]
    pub fn is_scheduled(&self, now: Timestamp) -> bool {
        self.eta.is_some_and(|eta| eta > now)
    }

    /// How long ago it became due: sent, or its time came, whichever is later. Nothing when it does not say. A stamp from
    /// the future (the clocks of two machines differ) is age 0.
    #[must_use]
    pub fn age(&self, now: Timestamp) -> Option<Duration> {
        let since = self.sent.max(self.eta)?;
        Some(Duration::try_from(now.duration_since(since)).unwrap_or_default())
    }
}

/// A message as kombu's virtual transports write it. Everything else in it is skipped.
#[derive(Deserialize)]
struct Envelope<'a> {
    #[serde(default)]
    headers: Option<Headers>,
    #[serde(default)]
    properties: Option<Properties>,
    #[serde(default, borrow)]
    body: Option<Cow<'a, str>>,
}

/// Values of any kind are accepted everywhere, so that one odd field does not hide the others.
#[derive(Default, Deserialize)]
#[serde(default)]
struct Headers {
    id: Value,
    task: Value,
    eta: Value,
    published_at: Value,
    run_at: Value,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Properties {
    correlation_id: Value,
    published_at: Value,
    timestamp: Value,
    delivery_info: Value,
}

/// What the body of Celery's first protocol says beside the arguments.
#[derive(Default, Deserialize)]
#[serde(default)]
struct OldBody {
    id: Value,
    eta: Value,
}

impl From<Envelope<'_>> for Task {
    fn from(envelope: Envelope<'_>) -> Self {
        let headers = envelope.headers.unwrap_or_default();
        let properties = envelope.properties.unwrap_or_default();
        let old = if headers.task.is_null() { old_body(envelope.body.as_deref()) } else { OldBody::default() };
        let id = [&headers.id, &old.id, &properties.correlation_id].into_iter().find_map(Value::as_str);
        let delivery = |name: &str| properties.delivery_info[name].as_str().unwrap_or_default().to_owned();
        // Ours first, then what the adapters of Judoscale and HireFire write, then what AMQP has a field for.
        let stamps = [&headers.published_at, &properties.published_at, &headers.run_at, &properties.timestamp];
        Self {
            id: id.map(str::to_owned),
            eta: moment(&headers.eta).or_else(|| moment(&old.eta)),
            sent: stamps.into_iter().find_map(moment),
            exchange: delivery("exchange"),
            routing_key: delivery("routing_key"),
        }
    }
}

fn old_body(body: Option<&str>) -> OldBody {
    let body = body.filter(|body| body.len() <= LARGEST_OLD_BODY_BYTES);
    let decoded = body.and_then(|body| STANDARD.decode(body).ok());
    decoded.and_then(|json| serde_json::from_slice(&json).ok()).unwrap_or_default()
}

/// A moment as people write it into messages: seconds since 1970, as a number or text; milliseconds; or ISO 8601, in UTC
/// when it names no zone, as Celery takes it.
#[must_use]
pub fn moment(value: &Value) -> Option<Timestamp> {
    match value {
        Value::Number(number) => since_1970(number.as_f64()?),
        Value::String(text) => match text.trim().parse::<f64>() {
            Ok(number) => since_1970(number),
            Err(_) => iso(text.trim()),
        },
        _ => None,
    }
}

fn since_1970(number: f64) -> Option<Timestamp> {
    let seconds = if number.abs() > NO_SECONDS { number / 1000.0 } else { number };
    // 0 is what a field holds that nobody filled.
    if !seconds.is_finite() || seconds <= 0.0 {
        return None;
    }
    Timestamp::UNIX_EPOCH.checked_add(Duration::try_from_secs_f64(seconds).ok()?).ok()
}

fn iso(text: &str) -> Option<Timestamp> {
    let with_zone = text.parse::<Timestamp>().ok();
    with_zone.or_else(|| TimeZone::UTC.to_timestamp(text.parse::<DateTime>().ok()?).ok())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    fn envelope(headers: Value, properties: Value) -> Task {
        let message = json!({"body": "W10=", "headers": headers, "properties": properties});
        Task::of_envelope(message.to_string().as_bytes()).unwrap()
    }

    #[test]
    fn a_task_tells_its_id_its_time_and_its_key() {
        let headers =
            json!({"id": "a1", "task": "app.work", "eta": "2026-11-23T21:18:21.5+00:00", "published_at": null});
        let properties = json!({"delivery_info": {"exchange": "", "routing_key": "mail"}, "correlation_id": "other"});
        let task = envelope(headers, properties);
        assert_eq!(task.id.as_deref(), Some("a1"));
        assert_eq!(task.eta, Some(at("2026-11-23T21:18:21.5Z")));
        assert_eq!((task.sent, task.routing_key.as_str()), (None, "mail"));
        assert!(task.is_scheduled(at("2026-11-23T21:18:21Z")));
        assert!(!task.is_scheduled(at("2026-11-23T21:18:22Z")));
    }

    #[test]
    fn every_dialect_of_stamps_is_understood() {
        let seconds = json!(1_795_468_115.5);
        let expected = Some(at("2026-11-23T21:08:35.5Z"));
        for (name, headers, properties) in [
            ("ours", json!({"published_at": seconds}), json!({})),
            ("Judoscale's", json!({}), json!({"published_at": seconds})),
            ("HireFire's", json!({"run_at": seconds}), json!({})),
            ("as text", json!({"run_at": "1795468115.5"}), json!({})),
            ("as ISO 8601", json!({"run_at": "2026-11-23T22:08:35.5+01:00"}), json!({})),
            ("without a zone", json!({"run_at": "2026-11-23T21:08:35.500000"}), json!({})),
            ("AMQP's, in milliseconds", json!({}), json!({"timestamp": 1_795_468_115_500_u64})),
            ("ours first", json!({"published_at": seconds}), json!({"published_at": 5, "timestamp": 7})),
        ] {
            assert_eq!(envelope(headers, properties).sent, expected, "{name}");
        }
        for odd in [json!(null), json!(0), json!(-3), json!("soon"), json!([1]), json!(1e300)] {
            assert_eq!(envelope(json!({"published_at": odd}), json!({})).sent, None, "{odd}");
        }
    }

    #[test]
    fn the_age_counts_from_the_later_of_sent_and_eta() {
        let task =
            |sent: Option<&str>, eta: Option<&str>| Task { sent: sent.map(at), eta: eta.map(at), ..Task::default() };
        let (early, late, now) = ("2026-01-01T00:00:00Z", "2026-01-01T00:01:00Z", at("2026-01-01T00:01:30Z"));
        let seconds = |seconds| Some(Duration::from_secs(seconds));
        assert_eq!(task(Some(early), Some(late)).age(now), seconds(30));
        assert_eq!(task(Some(late), Some(early)).age(now), seconds(30));
        assert_eq!(task(Some(early), None).age(now), seconds(90));
        assert_eq!(task(None, Some(early)).age(now), seconds(90));
        assert_eq!(task(None, None).age(now), None);
        assert_eq!(task(Some("2026-01-01T00:02:00Z"), None).age(now), seconds(0));
    }

    #[test]
    fn the_first_protocol_keeps_its_facts_in_the_body() {
        let body = STANDARD.encode(json!({"task": "app.work", "id": "a1", "eta": "2026-11-23T21:18:21"}).to_string());
        let message = json!({"body": body, "headers": {}, "properties": {"correlation_id": "a1"}});
        let task = Task::of_envelope(message.to_string().as_bytes()).unwrap();
        assert_eq!((task.id.as_deref(), task.eta), (Some("a1"), Some(at("2026-11-23T21:18:21Z"))));
    }

    #[test]
    fn an_unacknowledged_message_is_told_by_the_key_beside_it() {
        let properties = json!({"delivery_info": {"exchange": "one", "routing_key": "one"}});
        let message = json!({"headers": {"id": "a1"}, "properties": properties});
        let task = Task::of_unacked(json!([message, "two", "three"]).to_string().as_bytes()).unwrap();
        assert_eq!((task.exchange.as_str(), task.routing_key.as_str()), ("two", "three"));
    }

    #[test]
    fn what_is_no_message_is_none_and_odd_fields_hide_nothing() {
        for odd in ["", "17", "[]", "{", "\"text\"", "\u{fffd}", "[{}, 1]"] {
            assert_eq!(Task::of_unacked(odd.as_bytes()), None, "{odd}");
        }
        assert_eq!(Task::of_envelope(b"garbage"), None);
        let odd = json!({"id": 7, "eta": {"a": 1}, "published_at": "2026-01-01T00:00:00Z"});
        let task = envelope(odd, json!({"delivery_info": "none"}));
        assert_eq!((task.id, task.eta, task.sent), (None, None, Some(at("2026-01-01T00:00:00Z"))));
    }

    #[test]
    fn headers_of_amqp_are_read_alike() {
        let task = Task::of_parts(&json!({"id": "a1", "task": "x"}), &json!({"timestamp": 1_795_468_115}));
        assert_eq!((task.id.as_deref(), task.sent), (Some("a1"), Some(at("2026-11-23T21:08:35Z"))));
    }
}
