//! What is read of Celery's queues in Redis, once: little, however much there is.
//!
//! ```text
//!  round trip 1   each list: LLEN, and a piece from its oldest end      unacked: HLEN, and a piece of it
//!  round trip 2   only for what is longer than its piece: the rest, if there is room for it;
//!                 else pieces that lie evenly over the rest
//! ```
//!
//! A message can be a hundred bytes or a megabyte, and Redis does not say before it sends them. So it is remembered how
//! large the messages of each list were, the pieces are cut to that, and the first piece of an unknown list is small. The
//! lists are read before `unacked`: a task that a worker takes meanwhile is seen twice rather than not at all.

use std::{
    collections::BTreeMap,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};

use redis::{FromRedisValue, Pipeline, Value};

use super::{message::Task, share::spread};
use crate::{broker::redis::Server, measurement::MeasureError};

/// So much one measurement moves, unless a single message is larger than its part of this.
const MOST_BYTES: usize = 1024 * 1024;

/// Of [`MOST_BYTES`], for the pieces from the oldest ends, the rest of the lists, and `unacked`.
const PARTS: Parts = Parts { oldest: MOST_BYTES / 4, rest: MOST_BYTES / 2, unacked: MOST_BYTES / 4 };

/// The first piece of a list of which nothing is known.
const FIRST_PIECE: u64 = 4;

/// More elements than this at the oldest end tell nothing new.
const MOST_OLDEST: u64 = 64;

/// More elements than this cost Redis more time than they tell.
const MOST_ELEMENTS: u64 = 1024;

/// Pieces of a long list. Redis walks to each from the nearer end, which takes it up to a millisecond in a list of a million.
const PIECES: u64 = 12;

/// Messages are taken to be at least this large, so that room is left when small ones grow.
const LEAST_MESSAGE_BYTES: usize = 256;

/// What is remembered of a size fades by this each time, so that one large message does not make pieces small for ever.
const FADING: f64 = 0.9;

/// Sizes are remembered of so many lists; more were never asked in one question.
const MOST_REMEMBERED: usize = 100_000;

/// The golden ratio: its multiples fill the space between two pieces evenly.
const PHASE_STEP: f64 = 0.618_033_988_75;

struct Parts {
    oldest: usize,
    rest: usize,
    unacked: usize,
}

/// What the keys are called.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Keys {
    /// `global_keyprefix`
    pub prefix: String,
    /// `sep`
    pub separator: String,
    /// `priority_steps`
    pub steps: Vec<u8>,
    /// `unacked_key`
    pub unacked: String,
    /// `unacked_index_key`
    pub unacked_index: String,
}

impl Keys {
    /// The lists of a queue, one per priority.
    fn lists(&self, queue: &str) -> impl Iterator<Item = String> {
        let Self { prefix, separator, steps, .. } = self;
        steps.iter().map(move |step| match step {
            0 => format!("{prefix}{queue}"),
            step => format!("{prefix}{queue}{separator}{step}"),
        })
    }

    /// The queue that a list belongs to; nothing when it is no list of tasks.
    #[must_use]
    pub fn queue_of(&self, key: &str) -> Option<String> {
        let name = key.strip_prefix(&self.prefix)?;
        let name = name.split_once(&self.separator).map_or(name, |(name, _)| name);
        let is_other = name.ends_with(".pidbox") || name.starts_with("_kombu.") || name == self.unacked;
        (!name.is_empty() && !is_other).then(|| name.to_owned())
    }

    fn unacked(&self) -> String {
        format!("{}{}", self.prefix, self.unacked)
    }

    fn unacked_index(&self) -> String {
        format!("{}{}", self.prefix, self.unacked_index)
    }
}

/// An element of a list; nothing when it is no message of Celery's.
pub type Element = Option<Task>;

/// What was seen of one list.
#[derive(Debug, Default, PartialEq)]
pub struct List {
    /// Its length.
    pub length: u64,
    /// From its oldest end, the oldest first.
    pub oldest: Vec<Element>,
    /// From the rest: all of it as one piece, or pieces that lie evenly over it.
    pub pieces: Vec<Vec<Element>>,
}

impl List {
    /// How many elements are beyond the piece from the oldest end.
    #[must_use]
    pub fn rest(&self) -> u64 {
        self.length.saturating_sub(self.oldest.len() as u64)
    }

    /// Whether all of it was seen.
    #[must_use]
    pub fn is_whole(&self) -> bool {
        self.rest() <= self.pieces.iter().map(|piece| piece.len() as u64).sum()
    }

    /// How many of its elements were looked at.
    #[must_use]
    pub fn looked_at(&self) -> u64 {
        self.oldest.len() as u64 + self.pieces.iter().map(|piece| piece.len() as u64).sum::<u64>()
    }
}

/// What was seen of the tasks that were delivered and not acknowledged, of all queues together.
#[derive(Debug, Default, PartialEq)]
pub struct Unacked {
    /// How many there are.
    pub length: u64,
    /// Those that were looked at, by their tags.
    pub tasks: BTreeMap<String, Element>,
    /// Whether these are all.
    pub is_whole: bool,
}

/// What one reading has shown.
#[derive(Debug, Default, PartialEq)]
pub struct Reading {
    /// The lists of each queue.
    pub queues: BTreeMap<String, Vec<List>>,
    /// See [`Unacked`].
    pub unacked: Unacked,
}

/// Reads, and remembers how large messages are.
pub struct Reader {
    server: Arc<Server>,
    keys: Keys,
    sizes: Mutex<BTreeMap<String, f64>>,
    readings: AtomicU32,
}

impl Reader {
    /// Reads from this server.
    #[must_use]
    pub fn new(server: Arc<Server>, keys: Keys) -> Self {
        Self { server, keys, sizes: Mutex::default(), readings: AtomicU32::new(0) }
    }

    /// Reads these queues, and all of `unacked`.
    ///
    /// # Errors
    /// When the server cannot be asked, or a key holds something else.
    pub async fn read(&self, queues: &[String], limit: Duration) -> Result<Reading, MeasureError> {
        let names: Vec<(&String, String)> =
            queues.iter().flat_map(|queue| self.keys.lists(queue).map(move |list| (queue, list))).collect();
        let (mut lists, mut unacked, cursor) = self.first(&names, limit).await?;
        self.more(&names, &mut lists, &mut unacked, &cursor, limit).await?;
        let mut reading = Reading { unacked, ..Reading::default() };
        for ((queue, _), list) in names.into_iter().zip(lists) {
            reading.queues.entry(queue.clone()).or_default().push(list);
        }
        Ok(reading)
    }

    /// When tasks were delivered, in seconds since 1970 by the workers' clocks; in the order of the tags.
    ///
    /// # Errors
    /// When the server cannot be asked.
    pub async fn delivered(&self, tags: &[&str], limit: Duration) -> Result<Vec<Option<f64>>, MeasureError> {
        let mut pipeline = Pipeline::new();
        for tag in tags {
            pipeline.cmd("ZSCORE").arg(self.keys.unacked_index()).arg(tag);
        }
        let answers = self.server.ask(&pipeline, limit).await?;
        Ok(answers.into_iter().map(|answer| f64::from_redis_value(answer).ok()).collect())
    }

    async fn first(
        &self,
        names: &[(&String, String)],
        limit: Duration,
    ) -> Result<(Vec<List>, Unacked, String), MeasureError> {
        let each = PARTS.oldest / names.len().max(1);
        let mut pipeline = Pipeline::new();
        for (_, key) in names {
            let piece = self.room(key, each).map_or(FIRST_PIECE, |room| room.min(MOST_OLDEST));
            pipeline.cmd("LLEN").arg(key);
            pipeline.cmd("LRANGE").arg(key).arg(format!("-{piece}")).arg(-1);
        }
        let unacked = self.keys.unacked();
        let piece = self.room(&unacked, PARTS.unacked).map_or(FIRST_PIECE, |room| room.min(MOST_ELEMENTS));
        pipeline.cmd("HLEN").arg(&unacked);
        pipeline.cmd("HSCAN").arg(&unacked).arg(0).arg("COUNT").arg(piece);
        let mut answers = self.server.ask(&pipeline, limit).await?.into_iter();
        let mut lists = Vec::new();
        for (_, key) in names {
            let length = self.length(answers.next())?;
            let mut oldest = self.elements(key, answers.next())?;
            oldest.reverse();
            // Between the two commands something may have been sent.
            lists.push(List { length: length.max(oldest.len() as u64), oldest, pieces: Vec::new() });
        }
        let length = self.length(answers.next())?;
        let (cursor, tasks) = self.scanned(&unacked, answers.next())?;
        Ok((lists, Unacked { length, tasks, is_whole: cursor == "0" }, cursor))
    }

    async fn more(
        &self,
        names: &[(&String, String)],
        lists: &mut [List],
        unacked: &mut Unacked,
        cursor: &str,
        limit: Duration,
    ) -> Result<(), MeasureError> {
        let long = lists.iter().filter(|list| !list.is_whole()).count();
        let each = PARTS.rest / long.max(1);
        let phase = f64::from(self.readings.fetch_add(1, Ordering::Relaxed)) * PHASE_STEP;
        let mut pipeline = Pipeline::new();
        let mut asked = Vec::new();
        for (index, ((_, key), list)) in names.iter().zip(lists.iter()).enumerate() {
            if list.is_whole() {
                continue;
            }
            let room = self.room(key, each).unwrap_or(1).min(MOST_ELEMENTS);
            // The rest begins with the newest, at place 0.
            let (starts, size) = if list.rest() <= room {
                (vec![0], list.rest())
            } else {
                let pieces = PIECES.min(room);
                let size = room / pieces;
                (spread(list.rest(), pieces, size, phase), size)
            };
            for start in starts {
                pipeline.cmd("LRANGE").arg(key).arg(start).arg(start + size - 1);
                asked.push(index);
            }
        }
        let key = self.keys.unacked();
        if !unacked.is_whole {
            let there = unacked.tasks.len() as u64;
            let room = self.room(&key, PARTS.unacked).unwrap_or(FIRST_PIECE).min(MOST_ELEMENTS).saturating_sub(there);
            if room > 0 {
                pipeline.cmd("HSCAN").arg(&key).arg(cursor).arg("COUNT").arg(room);
            }
        }
        let mut answers = self.server.ask(&pipeline, limit).await?.into_iter();
        for index in asked {
            let piece = self.elements(&names[index].1, answers.next())?;
            lists[index].pieces.push(piece);
        }
        if let Some(answer) = answers.next() {
            let (cursor, tasks) = self.scanned(&key, Some(answer))?;
            unacked.tasks.extend(tasks);
            unacked.is_whole = cursor == "0";
        }
        Ok(())
    }

    /// How many messages of this key fit into so many bytes, at least one. Nothing when nothing is known of them.
    fn room(&self, key: &str, bytes: usize) -> Option<u64> {
        let sizes = self.sizes.lock().unwrap_or_else(PoisonError::into_inner);
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a size in bytes")]
        let size = (sizes.get(key)?.ceil() as usize).max(LEAST_MESSAGE_BYTES);
        Some((bytes / size).max(1) as u64)
    }

    #[expect(clippy::cast_precision_loss, reason = "a size in bytes")]
    fn remember(&self, key: &str, bytes: usize, count: usize) {
        if count > 0 {
            let mean = bytes as f64 / count as f64;
            let mut sizes = self.sizes.lock().unwrap_or_else(PoisonError::into_inner);
            if sizes.len() >= MOST_REMEMBERED {
                // Queues that patterns meant once. Those that are still there are learned anew.
                sizes.clear();
            }
            let known = sizes.entry(key.to_owned()).or_insert(mean);
            *known = mean.max(*known * FADING);
        }
    }

    fn length(&self, answer: Option<Value>) -> Result<u64, MeasureError> {
        answer.and_then(|answer| u64::from_redis_value(answer).ok()).ok_or_else(|| self.odd())
    }

    fn elements(&self, key: &str, answer: Option<Value>) -> Result<Vec<Element>, MeasureError> {
        let Some(Value::Array(elements)) = answer else { return Err(self.odd()) };
        let bytes = elements.iter().map(|element| bytes(element).len()).sum();
        self.remember(key, bytes, elements.len());
        Ok(elements.iter().map(|element| Task::of_envelope(self::bytes(element))).collect())
    }

    fn scanned(&self, key: &str, answer: Option<Value>) -> Result<(String, BTreeMap<String, Element>), MeasureError> {
        let Some(Value::Array(parts)) = answer else { return Err(self.odd()) };
        let [cursor, Value::Array(pairs)] = parts.as_slice() else { return Err(self.odd()) };
        let size = pairs.iter().map(|part| bytes(part).len()).sum();
        self.remember(key, size, pairs.len() / 2);
        let tasks = pairs
            .chunks_exact(2)
            .map(|pair| (String::from_utf8_lossy(bytes(&pair[0])).into_owned(), Task::of_unacked(bytes(&pair[1]))));
        Ok((String::from_utf8_lossy(bytes(cursor)).into_owned(), tasks.collect()))
    }

    fn odd(&self) -> MeasureError {
        let message = format!("{} answers with something else than what was asked for", self.server.shown());
        MeasureError::unknown("broker_error", message)
    }
}

fn bytes(value: &Value) -> &[u8] {
    match value {
        Value::BulkString(bytes) => bytes,
        Value::SimpleString(text) => text.as_bytes(),
        _ => &[],
    }
}
