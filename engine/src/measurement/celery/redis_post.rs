//! How questions to Celery's workers and their replies travel through Redis.
//!
//! ```text
//!  RPUSH  reply list (a stand-in, with EXPIRE)          the list is there before the first reply, and dies by itself
//!  SADD   _kombu.binding.reply.celery.pidbox            replies with our key go into our list
//!  PUBLISH /0.celery.pidbox   question …                answers how many workers listen
//!  LLEN   reply list, until all have replied
//!  LRANGE, DEL, SREM                                    nothing is left
//! ```
//!
//! Each round has a key of its own, so that a late reply finds no way into a later round: a worker looks up the way of its
//! reply when it sends it, and drops it when there is none. Should this program die in the middle of a round, the list goes
//! after [`LEFT_FOR`]; one word stays in the set, and the next program takes away such words when they are old.
//!
//! It has a connection of its own. What is sent must not be sent twice, as the shared one does when it breaks: every worker
//! would answer twice.
//!
//! Source: kombu's `transport/redis.py` (5.7), with `global_keyprefix` before keys and channels alike.

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use jiff::Timestamp;
use redis::{FromRedisValue, Pipeline, Value};
use tokio::sync::Mutex;
use uuid::Uuid;

use super::pidbox::{Post, Question, Replies, Reply};
use crate::{
    broker::redis::{Private, Server},
    clock::Clock,
    measurement::MeasureError,
};

/// So long a list of replies outlives this program at most.
const LEFT_FOR: Duration = Duration::from_secs(15);

/// Our words in the set of bindings begin so.
const OUR_KEYS: &str = "autoscalebot.";

/// A word of ours that is older belongs to a round that was never tidied up.
const OLD_SECONDS: i64 = 600;

/// So many members of the set of bindings are looked through for old words, once.
const MOST_BINDINGS_LOOKED_AT: u32 = 1000;

/// Between a look at the list of replies and the next. Workers in good health answer within some ms; the pauses grow.
const FIRST_PAUSE: Duration = Duration::from_millis(4);

/// See [`FIRST_PAUSE`].
const LONGEST_PAUSE: Duration = Duration::from_millis(100);

/// Replies are read in pieces of this many, so that their sum can be limited.
const REPLIES_AT_A_TIME: isize = 128;

/// More than this is not read: the workers that replied last count as silent.
const MOST_BYTES: usize = 32 * 1024 * 1024;

/// A Redis server as the way to an app's workers.
pub struct RedisPost {
    server: Arc<Server>,
    clock: Arc<dyn Clock>,
    names: Names,
    line: Mutex<Line>,
}

/// The connection of this way alone, and whether old words were taken away.
#[derive(Default)]
struct Line {
    connection: Option<Private>,
    tidied: bool,
}

/// What the app calls its control channel.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Names {
    /// `global_keyprefix`
    pub key_prefix: String,
    /// `control_exchange`
    pub exchange: String,
    /// `fanout_prefix`, with the number of the database in it: `/0.`
    pub fanout_prefix: String,
    /// `sep`
    pub separator: String,
}

impl Names {
    fn pidbox(&self) -> String {
        format!("{}.pidbox", self.exchange)
    }

    fn reply_exchange(&self) -> String {
        format!("reply.{}.pidbox", self.exchange)
    }

    fn channel(&self) -> String {
        format!("{}{}{}", self.key_prefix, self.fanout_prefix, self.pidbox())
    }

    fn bindings(&self) -> String {
        format!("{}_kombu.binding.{}", self.key_prefix, self.reply_exchange())
    }

    /// The queue of replies to this key, as bindings name it: without the prefix.
    fn queue(&self, key: &str) -> String {
        format!("{key}.{}", self.reply_exchange())
    }

    fn binding(&self, key: &str) -> String {
        let separator = &self.separator;
        format!("{key}{separator}{separator}{}", self.queue(key))
    }
}

impl RedisPost {
    /// The way through this server.
    #[must_use]
    pub fn new(server: Arc<Server>, clock: Arc<dyn Clock>, names: Names) -> Self {
        Self { server, clock, names, line: Mutex::default() }
    }

    async fn round(
        &self,
        connection: &mut Private,
        questions: &[Question],
        limit: Duration,
    ) -> Result<Replies, MeasureError> {
        let start = self.clock.now();
        let until = start.since_start + limit;
        let key = format!("{OUR_KEYS}{}.{}", start.civil.as_second(), Uuid::new_v4());
        let list = format!("{}{}", self.names.key_prefix, self.names.queue(&key));
        let expires = start.civil + limit;
        let mut pipeline = redis::pipe();
        pipeline.cmd("RPUSH").arg(&list).arg("");
        pipeline.cmd("EXPIRE").arg(&list).arg(LEFT_FOR.as_secs());
        pipeline.cmd("SADD").arg(self.names.bindings()).arg(self.names.binding(&key));
        for question in questions {
            let message = question.envelope(&self.names.pidbox(), &self.names.reply_exchange(), &key, expires);
            pipeline.cmd("PUBLISH").arg(self.names.channel()).arg(message.to_string());
        }
        let answers = connection.ask(&pipeline, limit).await?;
        let listeners = answers.iter().skip(3).filter_map(number).min().unwrap_or(0);
        let named = questions.first().and_then(|question| question.to.as_ref()).map(Vec::len);
        let each = named.map_or(listeners, |named| u64::try_from(named).unwrap_or(u64::MAX).min(listeners));
        let expected = each.saturating_mul(u64::try_from(questions.len()).unwrap_or(u64::MAX));
        let waited = self.wait_for(connection, &list, expected, until, limit).await;
        // Also when the waiting failed: what was left must go.
        let replies = if waited.is_ok() { self.read(connection, &list, limit).await } else { Ok(Vec::new()) };
        let mut pipeline = redis::pipe();
        pipeline.cmd("DEL").arg(&list);
        pipeline.cmd("SREM").arg(self.names.bindings()).arg(self.names.binding(&key));
        let tidied = connection.ask(&pipeline, limit).await;
        waited?;
        let replies = replies?;
        tidied?;
        Ok(Replies { listeners: Some(listeners), replies })
    }

    /// Waits until the list has so many replies, beside the stand-in, or the time is over.
    async fn wait_for(
        &self,
        connection: &mut Private,
        list: &str,
        expected: u64,
        until: Duration,
        limit: Duration,
    ) -> Result<(), MeasureError> {
        let mut pause = FIRST_PAUSE;
        let mut length = Pipeline::new();
        length.cmd("LLEN").arg(list);
        let mut there = 0;
        while there < expected {
            let left = until.saturating_sub(self.clock.now().since_start);
            if left.is_zero() {
                break;
            }
            self.clock.sleep(pause.min(left)).await;
            pause = (pause * 2).min(LONGEST_PAUSE);
            there = connection.ask(&length, limit).await?.iter().find_map(number).unwrap_or(0).saturating_sub(1);
        }
        Ok(())
    }

    async fn read(&self, connection: &mut Private, list: &str, limit: Duration) -> Result<Vec<Reply>, MeasureError> {
        let (mut replies, mut bytes) = (Vec::new(), 0);
        for start in (0_isize..).step_by(REPLIES_AT_A_TIME.unsigned_abs()) {
            let mut pipeline = Pipeline::new();
            pipeline.cmd("LRANGE").arg(list).arg(start).arg(start + REPLIES_AT_A_TIME - 1);
            let answers = connection.ask(&pipeline, limit).await?;
            let Some(Value::Array(piece)) = answers.into_iter().next() else { break };
            let is_last = piece.len() < REPLIES_AT_A_TIME.unsigned_abs();
            for element in piece {
                if let Value::BulkString(json) = element {
                    bytes += json.len();
                    replies.extend(Reply::of_envelope(&json));
                }
            }
            if is_last || bytes > MOST_BYTES {
                break;
            }
        }
        Ok(replies)
    }

    /// Takes away what rounds left that were never tidied up.
    async fn tidy(&self, connection: &mut Private, limit: Duration) -> Result<(), MeasureError> {
        let mut pipeline = Pipeline::new();
        let scan = pipeline.cmd("SSCAN").arg(self.names.bindings()).arg(0).arg("MATCH").arg(format!("{OUR_KEYS}*"));
        scan.arg("COUNT").arg(MOST_BINDINGS_LOOKED_AT);
        let answers = connection.ask(&pipeline, limit).await?;
        let found = answers.into_iter().next().map(<(String, Vec<String>)>::from_redis_value);
        let Some(Ok((_, members))) = found else { return Ok(()) };
        let now = self.clock.now().civil;
        let old: Vec<&String> = members.iter().filter(|member| is_old(member, now)).collect();
        if !old.is_empty() {
            let mut pipeline = Pipeline::new();
            pipeline.cmd("SREM").arg(self.names.bindings()).arg(old);
            connection.ask(&pipeline, limit).await?;
        }
        Ok(())
    }
}

#[async_trait]
impl Post for RedisPost {
    async fn ask(&self, questions: &[Question], limit: Duration) -> Result<Replies, MeasureError> {
        let mut line = self.line.lock().await;
        let is_old = line.connection.is_some();
        // A connection that fails is not used again, whatever was under way on it.
        let mut connection = match line.connection.take() {
            Some(connection) => connection,
            None => self.server.private_connection(limit).await?,
        };
        if !line.tidied {
            line.tidied = true;
            self.tidy(&mut connection, limit).await?;
        }
        let mut asked = self.round(&mut connection, questions, limit).await;
        if asked.is_err() && is_old {
            // The server may have been started anew since the last round.
            connection = self.server.private_connection(limit).await?;
            asked = self.round(&mut connection, questions, limit).await;
        }
        if asked.is_ok() {
            line.connection = Some(connection);
        }
        asked
    }
}

fn number(value: &Value) -> Option<u64> {
    u64::from_redis_value_ref(value).ok()
}

/// Whether a member of the set is of a round long ago: it says itself when it was made.
fn is_old(member: &str, now: Timestamp) -> bool {
    let made = member.strip_prefix(OUR_KEYS).and_then(|rest| rest.split('.').next()?.parse::<i64>().ok());
    made.is_some_and(|made| now.as_second() - made > OLD_SECONDS)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_those_of_kombu() {
        let names = Names {
            key_prefix: "app:".to_owned(),
            exchange: "celery".to_owned(),
            fanout_prefix: "/3.".to_owned(),
            separator: "\u{6}\u{16}".to_owned(),
        };
        assert_eq!(names.channel(), "app:/3.celery.pidbox");
        assert_eq!(names.bindings(), "app:_kombu.binding.reply.celery.pidbox");
        assert_eq!(names.binding("k"), "k\u{6}\u{16}\u{6}\u{16}k.reply.celery.pidbox");
    }

    #[test]
    fn only_our_own_old_words_are_taken_away() {
        let now = "2026-11-23T21:08:35Z".parse().unwrap();
        let made = Timestamp::as_second(now);
        for (member, expected) in [
            (format!("{OUR_KEYS}{}.uuid\u{6}\u{16}", made - 700), true),
            (format!("{OUR_KEYS}{}.uuid\u{6}\u{16}", made - 5), false),
            (format!("{OUR_KEYS}x"), false),
            ("f2a5e63c-1\u{6}\u{16}".to_owned(), false),
        ] {
            assert_eq!(is_old(&member, now), expected, "{member}");
        }
    }
}
