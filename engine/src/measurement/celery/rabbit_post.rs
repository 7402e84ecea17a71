//! How questions to Celery's workers and their replies travel through RabbitMQ.
//!
//! A question is sent to the fanout exchange `celery.pidbox`, to which each worker has bound a mailbox of its own
//! (`celery@host.celery.pidbox`). It asks for replies by the default exchange, straight into a queue that belongs to our
//! connection alone and goes with the channel, so that nothing has to be bound and nothing is left. A question expires with
//! the round: those that a silent worker did not read do not pile up before it.
//!
//! How many workers got the question the management API tells: as many as mailboxes are bound. Without it, those that
//! answered before are awaited; of one that is silent, its mailbox says whether it is there or gone. A worker that was
//! silent from its first day is then not missed.
//!
//! Source: kombu's `pidbox.py` (5.7).

use std::{
    collections::{BTreeMap, BTreeSet},
    pin::pin,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use async_trait::async_trait;
use futures_util::StreamExt;
use lapin::{
    BasicProperties, Channel, Consumer, ExchangeKind,
    message::Delivery,
    options::{BasicConsumeOptions, BasicPublishOptions, ExchangeDeclareOptions, QueueDeclareOptions},
    types::{AMQPValue, FieldTable, LongString},
};
use uuid::Uuid;

use super::pidbox::{Post, Question, Replies, Reply};
use crate::{
    broker::rabbitmq::{Server, is_missing},
    measurement::MeasureError,
};

/// When all that are known have answered, so long others may take that are not.
const QUIET: Duration = Duration::from_millis(100);

/// A queue of replies that was left behind all the same goes after this.
const LEFT_FOR_MILLISECONDS: u32 = 15_000;

/// More than this is not read: the workers that replied last count as silent.
const MOST_BYTES: usize = 32 * 1024 * 1024;

/// A RabbitMQ broker as the way to an app's workers.
pub struct RabbitPost {
    server: Arc<Server>,
    /// The fanout exchange.
    pidbox: String,
    /// The workers that answered and are not gone.
    heard: Mutex<BTreeSet<String>>,
}

impl RabbitPost {
    /// The way through this broker; `exchange` is the app's `control_exchange`.
    #[must_use]
    pub fn new(server: Arc<Server>, exchange: &str) -> Self {
        Self { server, pidbox: format!("{exchange}.pidbox"), heard: Mutex::default() }
    }

    /// Opens a queue for replies. Nothing when there is nobody to ask: no worker has ever made the exchange.
    async fn open(&self, channel: &Channel, queue: &str) -> Result<Option<Consumer>, lapin::Error> {
        let passive = ExchangeDeclareOptions { passive: true, ..ExchangeDeclareOptions::default() };
        let exchange = self.pidbox.as_str().into();
        match channel.exchange_declare(exchange, ExchangeKind::Fanout, passive, FieldTable::default()).await {
            Err(error) if is_missing(&error) => return Ok(None),
            other => other?,
        }
        let mut arguments = FieldTable::default();
        arguments.insert("x-expires".into(), AMQPValue::LongUInt(LEFT_FOR_MILLISECONDS));
        let options = QueueDeclareOptions { exclusive: true, auto_delete: true, ..QueueDeclareOptions::default() };
        channel.queue_declare(queue.into(), options, arguments).await?;
        let options = BasicConsumeOptions { no_ack: true, ..BasicConsumeOptions::default() };
        channel.basic_consume(queue.into(), "".into(), options, FieldTable::default()).await.map(Some)
    }

    async fn send(
        &self,
        channel: &Channel,
        queue: &str,
        questions: &[Question],
        limit: Duration,
    ) -> Result<(), lapin::Error> {
        for question in questions {
            let mut headers = FieldTable::default();
            headers.insert("clock".into(), AMQPValue::LongLongInt(0));
            let properties = BasicProperties::default()
                .with_content_type("application/json".into())
                .with_content_encoding("utf-8".into())
                .with_delivery_mode(1)
                .with_expiration(limit.as_millis().to_string().into())
                .with_headers(headers);
            let body = question.body("", queue).to_string();
            let (exchange, options) = (self.pidbox.as_str().into(), BasicPublishOptions::default());
            // Confirmations are not asked for, so there is none to wait for.
            drop(channel.basic_publish(exchange, "".into(), options, body.as_bytes(), properties).await?);
        }
        Ok(())
    }

    /// How many mailboxes are bound, if the management API tells.
    async fn listeners(&self, limit: Duration) -> Option<u64> {
        let bound = self.server.management()?.bound_to(&self.pidbox, limit).await;
        u64::try_from(bound.ok().flatten()?).ok()
    }

    async fn collect(
        &self,
        consumer: &mut Consumer,
        questions: &[Question],
        listeners: Option<u64>,
        limit: Duration,
    ) -> Result<Vec<Reply>, lapin::Error> {
        let mut over = pin!(tokio::time::sleep(limit));
        let (mut replies, mut bytes, mut answers) = (Vec::new(), 0, BTreeMap::<String, usize>::new());
        let to = questions.first().and_then(|question| question.to.as_ref());
        let expected = match to {
            Some(to) => u64::try_from(to.len() * questions.len()).ok(),
            None => listeners.map(|count| count.saturating_mul(u64::try_from(questions.len()).unwrap_or(u64::MAX))),
        };
        let known = self.heard().clone();
        loop {
            if expected.is_some_and(|expected| u64::try_from(replies.len()).unwrap_or(u64::MAX) >= expected) {
                break;
            }
            let has_answered = |name| answers.get(name).is_some_and(|count| *count >= questions.len());
            let all_known = expected.is_none() && !known.is_empty() && known.iter().all(has_answered);
            let delivery = tokio::select! {
                () = &mut over => break,
                () = tokio::time::sleep(QUIET), if all_known => break,
                delivery = consumer.next() => delivery,
            };
            let Some(delivery) = delivery else { break };
            let Some(reply) = read(&delivery?) else { continue };
            bytes += reply.bytes;
            if bytes > MOST_BYTES {
                break;
            }
            if let Some(name) = reply.body.as_object().and_then(|body| body.keys().next()) {
                *answers.entry(name.clone()).or_default() += 1;
            }
            replies.push(reply);
        }
        if to.is_none() {
            self.heard().extend(answers.into_keys());
        }
        Ok(replies)
    }

    /// How many workers there are, without the management API: those that answered, and those that answered before and
    /// whose mailboxes are still there.
    async fn known(&self, replies: &[Reply], limit: Duration) -> u64 {
        let answered: BTreeSet<&String> =
            replies.iter().filter_map(|reply| reply.body.as_object()?.keys().next()).collect();
        let silent: Vec<String> = self.heard().iter().filter(|name| !answered.contains(name)).cloned().collect();
        let mut known = answered.len();
        for name in silent {
            let mailbox = format!("{name}.{}", self.pidbox);
            // Only a clear no is one: a mailbox that belongs to its worker alone is an error, and there.
            if self.server.ready(&[&mailbox], limit).await == Ok(vec![None]) {
                self.heard().remove(&name);
            } else {
                known += 1;
            }
        }
        u64::try_from(known).unwrap_or(u64::MAX)
    }

    fn heard(&self) -> MutexGuard<'_, BTreeSet<String>> {
        self.heard.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[async_trait]
impl Post for RabbitPost {
    async fn ask(&self, questions: &[Question], limit: Duration) -> Result<Replies, MeasureError> {
        let failed = |error: lapin::Error| self.server.failed(&error);
        let channel = self.server.channel(limit).await?;
        let queue = format!("{}.reply.{}", Uuid::new_v4(), self.pidbox);
        let opened = tokio::time::timeout(limit, self.open(&channel, &queue)).await;
        let opened = opened.map_err(|_| MeasureError::unknown("timeout", "RabbitMQ took too long to open a queue"))?;
        let Some(mut consumer) = opened.map_err(failed)? else {
            return Ok(Replies { listeners: Some(0), replies: Vec::new() });
        };
        let (sent, listeners) = tokio::join!(self.send(&channel, &queue, questions, limit), self.listeners(limit));
        sent.map_err(failed)?;
        let replies = self.collect(&mut consumer, questions, listeners, limit).await.map_err(failed)?;
        let listeners = match listeners {
            Some(listeners) => listeners,
            None => self.known(&replies, limit).await,
        };
        Ok(Replies { listeners: Some(listeners), replies })
    }
}

/// A reply. Nothing when it is none, or not in JSON: a worker with `task_serializer = 'pickle'` answers so.
fn read(delivery: &Delivery) -> Option<Reply> {
    let headers = delivery.properties.headers().as_ref()?;
    let ticket = match headers.inner().get("ticket")? {
        AMQPValue::LongString(ticket) => LongString::to_string(ticket),
        AMQPValue::ShortString(ticket) => ticket.to_string(),
        _ => return None,
    };
    let body = serde_json::from_slice(&delivery.data).ok()?;
    Some(Reply { ticket, body, bytes: delivery.data.len() })
}
