//! Celery's control channel on the wire: a broadcast to all workers, and the replies.
//!
//! A question is a message to the fanout exchange `celery.pidbox` (`control_exchange` of the app, and `.pidbox`). It names
//! an exchange and a key for the replies, and carries a ticket that each reply repeats. How messages travel is the broker's
//! matter: [`Post`].
//!
//! Sources: kombu's `pidbox.py`, Celery's `app/control.py` (5.7).

use std::time::Duration;

use async_trait::async_trait;
use base64::{Engine as _, engine::general_purpose::STANDARD};
use jiff::Timestamp;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::measurement::MeasureError;

/// A broker's way to all workers.
#[async_trait]
pub trait Post: Send + Sync + 'static {
    /// Sends the questions to all workers (or those they name), and collects replies until everyone has answered
    /// everything or `limit` is over. It leaves nothing behind at the broker. It runs to its end even if nobody waits for
    /// it any more.
    ///
    /// # Errors
    /// When the broker cannot be asked. Silent workers are no error.
    async fn ask(&self, questions: &[Question], limit: Duration) -> Result<Replies, MeasureError>;
}

/// What a [`Post`] brought back.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Replies {
    /// How many workers got the questions, if the broker tells.
    pub listeners: Option<u64>,
    /// The replies, in any order.
    pub replies: Vec<Reply>,
}

/// One worker's reply to one question.
#[derive(Debug, Clone, PartialEq)]
pub struct Reply {
    /// Which question.
    pub ticket: String,
    /// `{worker: what it says}`
    pub body: Value,
    /// How much was moved for it.
    pub bytes: usize,
}

impl Reply {
    /// Reads a reply as kombu's virtual transports carry it (all but AMQP). Nothing when it is none, or not in JSON: a
    /// worker with `task_serializer = 'pickle'` answers so, and that is not read.
    #[must_use]
    pub fn of_envelope(json: &[u8]) -> Option<Self> {
        let message: Value = serde_json::from_slice(json).ok()?;
        let ticket = message["headers"]["ticket"].as_str()?.to_owned();
        let body = message["body"].as_str()?;
        let body = if message["properties"]["body_encoding"] == "base64" {
            serde_json::from_slice(&STANDARD.decode(body).ok()?).ok()?
        } else {
            serde_json::from_str(body).ok()?
        };
        Some(Self { ticket, body, bytes: json.len() })
    }
}

/// What workers are asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Ask {
    /// Which tasks run.
    Active,
    /// Which tasks are held for a free place in the pool.
    Reserved,
    /// Which tasks are held until their time comes.
    Scheduled,
    /// Which queues are served.
    ActiveQueues,
}

/// A question with a ticket of its own, by which its replies are known.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Question {
    /// What is asked.
    pub ask: Ask,
    /// Comes back with each reply.
    pub ticket: String,
    /// Only these workers shall answer; nothing means all.
    pub to: Option<Vec<String>>,
}

impl Question {
    /// A question to all.
    #[must_use]
    pub fn to_all(ask: Ask) -> Self {
        Self { ask, ticket: Uuid::new_v4().to_string(), to: None }
    }

    /// The body of the broadcast: replies shall go to the exchange `reply_exchange` with the key `reply_key`.
    #[must_use]
    pub fn body(&self, reply_exchange: &str, reply_key: &str) -> Value {
        let (method, arguments) = match self.ask {
            // `safe`: arguments as shortened text. Without it a task's arguments travel as they are.
            Ask::Active => ("active", json!({"safe": true})),
            Ask::Reserved => ("reserved", json!({})),
            Ask::Scheduled => ("scheduled", json!({})),
            Ask::ActiveQueues => ("active_queues", json!({})),
        };
        json!({
            "method": method, "arguments": arguments, "destination": self.to, "pattern": null, "matcher": null,
            "ticket": self.ticket, "reply_to": {"exchange": reply_exchange, "routing_key": reply_key},
        })
    }

    /// The broadcast as kombu's virtual transports carry it (all but AMQP), to the fanout exchange `exchange`.
    #[must_use]
    pub fn envelope(&self, exchange: &str, reply_exchange: &str, reply_key: &str, expires: Timestamp) -> Value {
        let body = STANDARD.encode(self.body(reply_exchange, reply_key).to_string());
        json!({
            "body": body, "content-encoding": "utf-8", "content-type": "application/json",
            "headers": {"clock": 0, "expires": expires.as_millisecond() / 1000},
            "properties": {
                "delivery_mode": 1, "delivery_info": {"exchange": exchange, "routing_key": ""}, "priority": 0,
                "body_encoding": "base64", "delivery_tag": self.ticket,
            },
        })
    }
}

/// The replies, by what was asked and who says it.
pub(super) fn told<'a>(
    questions: &'a [Question],
    replies: &'a [Reply],
) -> impl Iterator<Item = (Ask, &'a String, &'a Value, usize)> {
    replies.iter().filter_map(|reply| {
        let question = questions.iter().find(|question| question.ticket == reply.ticket)?;
        let (name, says) = reply.body.as_object()?.iter().next()?;
        Some((question.ask, name, says, reply.bytes))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reply_is_read_from_kombus_envelope_and_anything_else_is_none() {
        let body = STANDARD.encode(r#"{"worker@a": []}"#);
        let mut envelope = json!({"body": body, "headers": {"ticket": "t"}, "properties": {"body_encoding": "base64"}});
        let reply = Reply::of_envelope(envelope.to_string().as_bytes()).unwrap();
        assert_eq!((reply.ticket.as_str(), reply.body), ("t", json!({"worker@a": []})));
        envelope["body"] = "gASVAAAA".into();
        assert_eq!(Reply::of_envelope(envelope.to_string().as_bytes()), None);
        assert_eq!(Reply::of_envelope(b""), None);
    }
}
