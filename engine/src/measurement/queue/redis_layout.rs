//! Where a queue library keeps its things on Redis, as a table; and one engine that measures any such table.
//!
//! ```text
//!  Layout (keys of one queue) ─► 1st round trip: counts, the items to be served next
//!                             ─► 2nd round trip: their stamps, where these stand elsewhere ─► Backlog
//! ```
//!
//! Every library has lists or sorted sets of items that wait ([`Line`]), sorted sets of items whose time has not come
//! ([`Schedule`]), and places of items in progress ([`Count`]); they differ in the end that is served next, in where an
//! item says since when it waits, and in the unit of that. Two things are the same for all and easily got wrong. An item
//! in a schedule whose time *has* come waits like any other: usually a worker moves it, so with no worker running nobody
//! would, and a process at 0 would never wake. And an item whose record is gone (a list of ids may dangle) does not wait.
//!
//! Every read is bounded: counts, and the first few items.

use std::time::Duration;

use jiff::Timestamp;
use serde_json::Value;

use super::{
    Backlog, Oldest,
    conversation::{Conversation, Ticket},
};
use crate::measurement::MeasureError;

/// Milliseconds in a second; most libraries stamp in one or the other.
const MILLISECONDS: f64 = 1000.0;

/// A number of seconds since 1970 is below this until the year 5138, one of milliseconds has been above it since 1973.
const LEAST_MILLISECONDS: f64 = 1e11;

/// Where one queue keeps its things.
#[derive(Debug, Clone, Default)]
pub struct Layout {
    /// Where items wait.
    pub lines: Vec<Line>,
    /// Where items wait for their time.
    pub schedules: Vec<Schedule>,
    /// Where items in progress are. Nothing when Redis does not hold them.
    pub in_progress: Option<Vec<Count>>,
    /// What exists as long as the queue is paused. Then nothing of it could start, so nothing of it waits.
    pub paused: Option<Exists>,
}

/// Items that wait, in the order in which they are served.
#[derive(Debug, Clone)]
pub struct Line {
    /// Its key.
    pub key: String,
    /// What kind of thing it is.
    pub shape: Shape,
    /// Where an item says since when it waits.
    pub stamp: Stamp,
    /// As many of the next items are looked at; more than one where some of them may be no items.
    pub peek: u32,
}

/// What a line is made of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shape {
    /// A list whose first item (index 0) is served next.
    ListFromLeft,
    /// A list whose last item (index -1) is served next.
    ListFromRight,
    /// A sorted set whose lowest score is served next.
    SortedSet,
}

/// Where an item says since when it waits.
#[derive(Debug, Clone)]
pub enum Stamp {
    /// Nowhere.
    Nowhere,
    /// The item is JSON that says it.
    Inside(Since),
    /// The item is an id; at this prefix and the id is a text of JSON that says it.
    TextAt(String, Since),
    /// The item is an id; at this prefix and the id is a hash, these fields of which say it.
    FieldsAt(String, &'static [&'static str], Since),
    /// The item is an id, and the field of that name in this hash is JSON that says it.
    FieldOf(String, Since),
}

/// Finds in an item's record when it became due, in milliseconds since 1970: when it was put there, or its planned time,
/// whichever is later. Fields of a hash come as an object of texts.
pub type Since = fn(&Value) -> Option<f64>;

/// A sorted set of items whose score is their time.
#[derive(Debug, Clone)]
pub struct Schedule {
    /// Its key.
    pub key: String,
    /// What a millisecond is in the unit of its scores: 0.001 for seconds.
    pub per_millisecond: f64,
    /// Items with this score or less belong to something else.
    pub above: f64,
}

/// Something whose size is a number of items.
#[derive(Debug, Clone)]
pub enum Count {
    /// The length of a list.
    List(String),
    /// The size of a sorted set, as far as scores are above this number of seconds since 1970; the rest has expired.
    ExpiringSeconds(String),
}

/// Something that exists or not.
#[derive(Debug, Clone)]
pub enum Exists {
    /// A key.
    Key(String),
    /// A field of a hash.
    Field(String, &'static str),
}

/// Milliseconds since 1970.
#[must_use]
pub fn milliseconds(now: Timestamp) -> f64 {
    #[expect(clippy::cast_precision_loss, reason = "milliseconds since 1970 stay far below 2^52")]
    let milliseconds = now.as_millisecond() as f64;
    milliseconds
}

/// How long ago that was; no time at all when it lies in the future.
#[must_use]
pub fn age(since: f64, now: f64) -> Duration {
    Duration::try_from_secs_f64((now - since).max(0.0) / MILLISECONDS).unwrap_or_default()
}

/// The number in a value, be it a number or a text.
#[must_use]
pub fn number(value: &Value) -> Option<f64> {
    let number = value.as_f64().or_else(|| value.as_str()?.trim().parse().ok())?;
    (number.is_finite() && number > 0.0).then_some(number)
}

/// A time that is a number of seconds or of milliseconds, whichever is plausible.
#[must_use]
pub fn of_either_unit(value: &Value) -> Option<f64> {
    let number = number(value)?;
    Some(if number < LEAST_MILLISECONDS { number * MILLISECONDS } else { number })
}

/// A time that is a number of seconds.
#[must_use]
pub fn of_seconds(value: &Value) -> Option<f64> {
    Some(number(value)? * MILLISECONDS)
}

/// A time as ISO 8601 has it: `2026-11-23T21:18:21.597678Z`.
#[must_use]
pub fn of_iso(value: &Value) -> Option<f64> {
    value.as_str()?.trim().parse::<Timestamp>().ok().map(milliseconds)
}

/// The measurement of one layout, between its two round trips.
pub struct Measuring {
    now: f64,
    lines: Vec<MeasuredLine>,
    schedules: Vec<MeasuredSchedule>,
    in_progress: Option<Vec<Ticket>>,
    paused: Option<Ticket>,
}

struct MeasuredLine {
    line: Line,
    length: Ticket,
    next: Ticket,
    /// What is known of it after the first round trip.
    seen: Option<(u64, Vec<Record>)>,
}

/// The record of an item: here, or on its way.
enum Record {
    Here(Option<Value>),
    Fields(Ticket, &'static [&'static str]),
    Json(Ticket),
}

struct MeasuredSchedule {
    per_millisecond: f64,
    due: Ticket,
    scheduled: Ticket,
    first_due: Ticket,
}

impl Measuring {
    /// Asks for counts and for the items to be served next.
    #[must_use]
    pub fn ask(layout: Layout, now: Timestamp, conversation: &mut Conversation) -> Self {
        let now = milliseconds(now);
        let count = |count: &Count, conversation: &mut Conversation| match count {
            Count::List(key) => conversation.ask(&["LLEN", key]),
            Count::ExpiringSeconds(key) => {
                conversation.ask(&["ZCOUNT", key, &format!("{:.3}", now / MILLISECONDS), "+inf"])
            }
        };
        let paused = |exists: &Exists, conversation: &mut Conversation| match exists {
            Exists::Key(key) => conversation.ask(&["EXISTS", key]),
            Exists::Field(key, field) => conversation.ask(&["HEXISTS", key, field]),
        };
        Self {
            now,
            in_progress: layout
                .in_progress
                .map(|places| places.iter().map(|place| count(place, conversation)).collect()),
            paused: layout.paused.map(|exists| paused(&exists, conversation)),
            lines: layout.lines.into_iter().map(|line| MeasuredLine::ask(line, conversation)).collect(),
            schedules: layout
                .schedules
                .iter()
                .map(|schedule| MeasuredSchedule::ask(schedule, now, conversation))
                .collect(),
        }
    }

    /// After the first round trip: asks for the stamps of the next items, where they stand elsewhere.
    ///
    /// # Errors
    /// When an answer is no answer.
    pub fn ask_for_stamps(&mut self, conversation: &mut Conversation) -> Result<(), MeasureError> {
        self.lines.iter_mut().try_for_each(|line| line.ask_for_stamps(conversation))
    }

    /// After the second: what is known, and how many items a pause keeps from waiting.
    ///
    /// # Errors
    /// When an answer is no answer.
    pub fn backlog(self, conversation: &mut Conversation) -> Result<(Backlog, u64), MeasureError> {
        let mut backlog = Backlog { scheduled: Some(0), ..Backlog::of_waiting(0) };
        for line in self.lines {
            let (waiting, oldest) = line.finish(self.now, conversation)?;
            backlog.waiting = backlog.waiting.saturating_add(waiting);
            backlog.oldest = backlog.oldest.older(oldest);
        }
        for schedule in self.schedules {
            let (due, oldest, scheduled) = schedule.finish(self.now, conversation)?;
            backlog.waiting = backlog.waiting.saturating_add(due);
            backlog.oldest = backlog.oldest.older(oldest);
            backlog.scheduled = backlog.scheduled.map(|sum| sum.saturating_add(scheduled));
        }
        if let Some(places) = self.in_progress {
            let mut sum = 0_u64;
            for place in places {
                sum = sum.saturating_add(conversation.take(place)?);
            }
            backlog.in_progress = Some(sum);
        }
        let is_paused = self.paused.map_or(Ok(false), |ticket| conversation.take(ticket))?;
        if !is_paused {
            return Ok((backlog, 0));
        }
        let paused = std::mem::take(&mut backlog.waiting);
        Ok((Backlog { oldest: Oldest::Nothing, ..backlog }, paused))
    }
}

impl MeasuredLine {
    fn ask(line: Line, conversation: &mut Conversation) -> Self {
        let (key, last) = (line.key.as_str(), (line.peek - 1).to_string());
        let (length, next) = match line.shape {
            Shape::ListFromLeft => (conversation.ask(&["LLEN", key]), conversation.ask(&["LRANGE", key, "0", &last])),
            Shape::ListFromRight => {
                let first = format!("-{}", line.peek);
                (conversation.ask(&["LLEN", key]), conversation.ask(&["LRANGE", key, &first, "-1"]))
            }
            Shape::SortedSet => (conversation.ask(&["ZCARD", key]), conversation.ask(&["ZRANGE", key, "0", &last])),
        };
        Self { line, length, next, seen: None }
    }

    fn ask_for_stamps(&mut self, conversation: &mut Conversation) -> Result<(), MeasureError> {
        let length = conversation.take(self.length)?;
        let mut next: Vec<Vec<u8>> = conversation.take(self.next)?;
        if self.line.shape == Shape::ListFromRight {
            next.reverse();
        }
        let mut record = |item: Vec<u8>| {
            let id = String::from_utf8_lossy(&item).into_owned();
            match &self.line.stamp {
                Stamp::Nowhere => Record::Here(Some(Value::Null)),
                Stamp::Inside(_) => Record::Here(Some(serde_json::from_slice(&item).unwrap_or_default())),
                Stamp::TextAt(prefix, _) => Record::Json(conversation.ask(&["GET", &format!("{prefix}{id}")])),
                Stamp::FieldOf(hash, _) => Record::Json(conversation.ask(&["HGET", hash, &id])),
                Stamp::FieldsAt(prefix, fields, _) => {
                    let key = format!("{prefix}{id}");
                    let words: Vec<&str> = ["HMGET", &key].into_iter().chain(fields.iter().copied()).collect();
                    Record::Fields(conversation.ask(&words), fields)
                }
            }
        };
        self.seen = Some((length, next.into_iter().map(&mut record).collect()));
        Ok(())
    }

    fn finish(self, now: f64, conversation: &mut Conversation) -> Result<(u64, Oldest), MeasureError> {
        let (length, records) = self.seen.unwrap_or_default();
        let since = match self.line.stamp {
            Stamp::Nowhere => None,
            Stamp::Inside(since)
            | Stamp::TextAt(_, since)
            | Stamp::FieldsAt(_, _, since)
            | Stamp::FieldOf(_, since) => Some(since),
        };
        let (mut gone, mut oldest) = (0_u64, None);
        for record in records {
            match record.read(conversation)? {
                None => gone += 1,
                Some(record) => {
                    let stamp = since.and_then(|since| since(&record));
                    let known = || stamp.map_or(Oldest::NoStamp, |since| Oldest::Since(age(since, now)));
                    oldest = oldest.or_else(|| Some(known()));
                }
            }
        }
        let waiting = length.saturating_sub(gone);
        let unknown = if waiting == 0 { Oldest::Nothing } else { Oldest::NoStamp };
        Ok((waiting, oldest.filter(|_| waiting > 0).unwrap_or(unknown)))
    }
}

impl Record {
    /// Nothing when there is none, so that the item is none either.
    fn read(self, conversation: &mut Conversation) -> Result<Option<Value>, MeasureError> {
        match self {
            Self::Here(record) => Ok(record),
            Self::Json(ticket) => {
                let text: Option<Vec<u8>> = conversation.take(ticket)?;
                Ok(text.map(|text| serde_json::from_slice(&text).unwrap_or_default()))
            }
            Self::Fields(ticket, names) => {
                let values: Vec<Option<Vec<u8>>> = conversation.take(ticket)?;
                if values.iter().all(Option::is_none) {
                    return Ok(None);
                }
                let text = |value: Vec<u8>| Value::from(String::from_utf8_lossy(&value).into_owned());
                let fields = names.iter().zip(values).map(|(name, value)| ((*name).to_owned(), value.map(text).into()));
                Ok(Some(Value::Object(fields.collect())))
            }
        }
    }
}

impl MeasuredSchedule {
    fn ask(schedule: &Schedule, now: f64, conversation: &mut Conversation) -> Self {
        let Schedule { key, per_millisecond, above } = schedule;
        let above = if above.is_finite() { format!("({above}") } else { "-inf".to_owned() };
        // The whole millisecond that is now has come.
        let now = format!("{:.3}", (now + 1.0) * per_millisecond);
        Self {
            per_millisecond: *per_millisecond,
            due: conversation.ask(&["ZCOUNT", key, &above, &format!("({now}")]),
            scheduled: conversation.ask(&["ZCOUNT", key, &now, "+inf"]),
            first_due: conversation.ask(&[
                "ZRANGEBYSCORE",
                key,
                &above,
                &format!("({now}"),
                "WITHSCORES",
                "LIMIT",
                "0",
                "1",
            ]),
        }
    }

    fn finish(self, now: f64, conversation: &mut Conversation) -> Result<(u64, Oldest, u64), MeasureError> {
        let first: Vec<(Vec<u8>, f64)> = conversation.take(self.first_due)?;
        let since = |(_, score): &(Vec<u8>, f64)| Oldest::Since(age(score / self.per_millisecond, now));
        let oldest = first.first().map_or(Oldest::Nothing, since);
        Ok((conversation.take(self.due)?, oldest, conversation.take(self.scheduled)?))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn stamps_of_every_kind_are_the_same_moment() {
        for (name, found) in [
            ("whole seconds", of_either_unit(&json!(1_795_468_247))),
            ("broken seconds", of_either_unit(&json!(1_795_468_247.0))),
            ("milliseconds", of_either_unit(&json!(1_795_468_247_000_u64))),
            ("text", of_either_unit(&json!("1795468247000"))),
            ("seconds", of_seconds(&json!("1795468247"))),
            ("ISO", of_iso(&json!("2026-11-23T21:10:47.000000Z"))),
            ("ISO with an offset", of_iso(&json!("2026-11-23T22:10:47+01:00"))),
        ] {
            assert_eq!(found, Some(1_795_468_247_000.0), "{name}");
        }
    }

    #[test]
    fn what_is_no_stamp_is_none() {
        for value in [json!(null), json!(""), json!("soon"), json!(0), json!(-3), json!("NaN"), json!("inf"), json!([])]
        {
            assert_eq!((of_either_unit(&value), of_seconds(&value), of_iso(&value)), (None, None, None), "{value}");
        }
    }

    #[test]
    fn a_stamp_in_the_future_is_no_age() {
        assert_eq!(age(2000.0, 1000.0), Duration::ZERO);
        assert_eq!(age(1000.0, 2500.0), Duration::from_millis(1500));
    }
}
