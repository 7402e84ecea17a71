//! Least and most processes, by time of day, and the clamp that says which of the two it hit.
//!
//! A table such as `{"8:00": 3, "18:00": 1}` is read on the wall clock of a time zone: the last key at or before the
//! local time holds; before the first key, yesterday's last value does. Nothing else is needed for days with 23 or 25
//! hours: whatever the local clock shows, its line in the table holds.

use std::{borrow::Cow, collections::BTreeMap, fmt};

use jiff::{civil::Time, tz::TimeZone};
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use crate::moment::Moment;

/// A value that may change with the time of day.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ByTimeOfDay<T>(Table<T>);

#[derive(Debug, Clone, PartialEq, Eq)]
enum Table<T> {
    Always(T),
    /// Sorted by time, never empty.
    From(Vec<(Time, T)>),
}

impl<T: Copy> ByTimeOfDay<T> {
    /// The same value all day.
    #[must_use]
    pub const fn always(value: T) -> Self {
        Self(Table::Always(value))
    }

    /// A table of times from which a value holds; `None` when it is empty.
    #[must_use]
    pub fn from_table(table: BTreeMap<Time, T>) -> Option<Self> {
        (!table.is_empty()).then(|| Self(Table::From(table.into_iter().collect())))
    }

    /// The value that holds at a local time.
    #[must_use]
    pub fn at(&self, local: Time) -> T {
        match &self.0 {
            Table::Always(value) => *value,
            Table::From(table) => {
                let begun = table.partition_point(|(from, _)| *from <= local);
                // Before the first key, the last one of yesterday still holds.
                let line = begun.checked_sub(1).unwrap_or(table.len() - 1);
                table[line].1
            }
        }
    }

    /// The times at which it may change; empty when it never does.
    pub fn changes(&self) -> impl Iterator<Item = Time> + '_ {
        let table = match &self.0 {
            Table::Always(_) => &[][..],
            Table::From(table) => table,
        };
        table.iter().map(|(from, _)| *from)
    }
}

/// `8:00`, `08:00` or `18:30`.
fn parse_time(text: &str) -> Result<Time, String> {
    let wrong = || format!("{text:?} is not a time of day, expected \"0:00\" to \"23:59\"");
    let (hour, minute) = text.split_once(':').ok_or_else(wrong)?;
    let digits = |part: &str, longest: usize| {
        (!part.is_empty() && part.len() <= longest && part.bytes().all(|byte| byte.is_ascii_digit()))
            .then(|| part.parse::<i8>().ok())
            .flatten()
    };
    let hour = digits(hour, 2).ok_or_else(wrong)?;
    let minute = digits(minute, 2).filter(|_| minute.len() == 2).ok_or_else(wrong)?;
    Time::new(hour, minute, 0, 0).map_err(|_| wrong())
}

fn show_time(time: Time) -> String {
    format!("{}:{:02}", time.hour(), time.minute())
}

impl<T: Serialize> Serialize for ByTimeOfDay<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match &self.0 {
            Table::Always(value) => value.serialize(serializer),
            Table::From(table) => serializer.collect_map(table.iter().map(|(from, value)| (show_time(*from), value))),
        }
    }
}

impl<'de> Deserialize<'de> for ByTimeOfDay<u32> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Visitor;
        impl<'de> de::Visitor<'de> for Visitor {
            type Value = ByTimeOfDay<u32>;

            fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str("a whole number, or a table such as {\"8:00\": 3, \"18:00\": 1}")
            }

            fn visit_u64<E: de::Error>(self, value: u64) -> Result<Self::Value, E> {
                u32::try_from(value)
                    .map(ByTimeOfDay::always)
                    .map_err(|_| E::invalid_value(de::Unexpected::Unsigned(value), &self))
            }

            fn visit_i64<E: de::Error>(self, value: i64) -> Result<Self::Value, E> {
                u32::try_from(value)
                    .map(ByTimeOfDay::always)
                    .map_err(|_| E::invalid_value(de::Unexpected::Signed(value), &self))
            }

            fn visit_map<A: de::MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut table = BTreeMap::new();
                while let Some((key, value)) = map.next_entry::<String, u32>()? {
                    let time = parse_time(&key).map_err(de::Error::custom)?;
                    if table.insert(time, value).is_some() {
                        return Err(de::Error::custom(format!("{} stands twice in the table", show_time(time))));
                    }
                }
                ByTimeOfDay::from_table(table).ok_or_else(|| de::Error::custom("a table needs at least one time"))
            }
        }
        deserializer.deserialize_any(Visitor)
    }
}

impl JsonSchema for ByTimeOfDay<u32> {
    fn schema_name() -> Cow<'static, str> {
        "CountByTimeOfDay".into()
    }
    fn inline_schema() -> bool {
        true
    }
    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "oneOf": [
                {"type": "integer", "minimum": 0, "maximum": u32::MAX},
                {
                    "type": "object", "minProperties": 1, "additionalProperties": false,
                    "patternProperties": {
                        "^([01]?[0-9]|2[0-3]):[0-5][0-9]$": {"type": "integer", "minimum": 0, "maximum": u32::MAX}
                    }
                }
            ]
        })
    }
}

/// One of the two bounds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Limit {
    /// The least.
    Min,
    /// The most.
    Max,
}

impl fmt::Display for Limit {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Min => "min",
            Self::Max => "max",
        })
    }
}

/// The bounds at one moment. Both are inclusive.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Range {
    /// The least number of processes.
    pub min: u32,
    /// The most.
    pub max: u32,
}

impl Range {
    /// The nearest count inside, and which bound it hit, if any.
    #[must_use]
    pub fn clamp(&self, wanted: u32) -> (u32, Option<Limit>) {
        if wanted < self.min {
            (self.min, Some(Limit::Min))
        } else if wanted > self.max {
            (self.max, Some(Limit::Max))
        } else {
            (wanted, None)
        }
    }
}

/// Least and most processes of one signal over the day.
#[derive(Debug, Clone)]
pub struct Bounds {
    min: ByTimeOfDay<u32>,
    max: ByTimeOfDay<u32>,
    zone: TimeZone,
}

impl Bounds {
    /// # Errors
    /// A sentence naming the first time of day at which the least exceeds the most.
    pub fn new(min: ByTimeOfDay<u32>, max: ByTimeOfDay<u32>, zone: TimeZone) -> Result<Self, String> {
        let crossing = std::iter::once(Time::midnight())
            .chain(min.changes())
            .chain(max.changes())
            .find(|time| min.at(*time) > max.at(*time));
        if let Some(time) = crossing {
            let tables = min.changes().chain(max.changes()).next().is_some();
            let when = if tables { format!(" at {}", show_time(time)) } else { String::new() };
            return Err(format!("min_processes {} exceeds max_processes {}{when}", min.at(time), max.at(time)));
        }
        Ok(Self { min, max, zone })
    }

    /// The bounds that hold at a moment.
    #[must_use]
    pub fn at(&self, now: &Moment) -> Range {
        if let (Table::Always(min), Table::Always(max)) = (&self.min.0, &self.max.0) {
            return Range { min: *min, max: *max };
        }
        let local = now.civil.to_zoned_datetime(self.zone.clone()).time();
        Range { min: self.min.at(local), max: self.max.at(local) }
    }

    /// The local wall-clock time at a moment, `8:05`, for sentences.
    #[must_use]
    pub fn local_time(&self, now: &Moment) -> String {
        show_time(now.civil.to_zoned_datetime(self.zone.clone()).time())
    }

    /// Whether the bounds change over the day.
    #[must_use]
    pub fn vary(&self) -> bool {
        self.min.changes().chain(self.max.changes()).next().is_some()
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn table(json: &str) -> ByTimeOfDay<u32> {
        serde_json::from_str(json).unwrap()
    }

    fn at(bounds: &Bounds, utc: &str) -> Range {
        bounds.at(&Moment { since_start: Duration::ZERO, civil: utc.parse().unwrap() })
    }

    #[test]
    fn before_the_first_key_yesterdays_last_value_holds() {
        let min = table(r#"{"8:00": 3, "18:00": 1}"#);
        let local = |hour, minute| min.at(Time::constant(hour, minute, 0, 0));
        assert_eq!([local(0, 0), local(7, 59), local(8, 0), local(17, 59), local(18, 0)], [1, 1, 3, 3, 1]);
    }

    #[test]
    fn keys_sort_by_time_and_not_by_text() {
        let max = table(r#"{"9:00": 5, "17:00": 2, "0:00": 2}"#);
        assert_eq!(max.at(Time::constant(9, 30, 0, 0)), 5);
        assert_eq!(max.at(Time::constant(17, 0, 0, 0)), 2);
    }

    #[test]
    fn wrong_tables_are_refused() {
        for json in [
            "{}",
            r#"{"24:00": 1}"#,
            r#"{"8": 1}"#,
            r#"{"8:0": 1}"#,
            r#"{"8:00": -1}"#,
            "-1",
            "1.5",
            r#"{"8:00": 1, "08:00": 2}"#,
            r#"{"+8:00": 1}"#,
            "4294967296",
        ] {
            assert!(serde_json::from_str::<ByTimeOfDay<u32>>(json).is_err(), "{json}");
        }
    }

    #[test]
    fn bounds_follow_the_local_clock_over_daylight_saving() {
        // In Berlin, 8:00 is 7:00 UTC in winter and 6:00 UTC in summer.
        let zone = TimeZone::get("Europe/Berlin").unwrap();
        let bounds = Bounds::new(table(r#"{"0:00": 1, "8:00": 3}"#), ByTimeOfDay::always(5), zone).unwrap();
        assert_eq!(at(&bounds, "2026-01-15T06:59:00Z").min, 1);
        assert_eq!(at(&bounds, "2026-01-15T07:00:00Z").min, 3);
        assert_eq!(at(&bounds, "2026-07-15T05:59:00Z").min, 1);
        assert_eq!(at(&bounds, "2026-07-15T06:00:00Z").min, 3);
        // The night the clock skips from 2:00 to 3:00: a key inside the gap holds from 3:00 on.
        let zone = TimeZone::get("Europe/Berlin").unwrap();
        let bounds = Bounds::new(table(r#"{"0:00": 1, "2:30": 2}"#), ByTimeOfDay::always(5), zone).unwrap();
        assert_eq!(at(&bounds, "2026-03-29T00:59:00Z").min, 1);
        assert_eq!(at(&bounds, "2026-03-29T01:00:00Z").min, 2);
    }

    #[test]
    fn crossed_bounds_are_refused_and_say_when() {
        let error = Bounds::new(table(r#"{"0:00": 1, "8:00": 4}"#), ByTimeOfDay::always(3), TimeZone::UTC).unwrap_err();
        assert_eq!(error, "min_processes 4 exceeds max_processes 3 at 8:00");
        let error = Bounds::new(ByTimeOfDay::always(4), ByTimeOfDay::always(3), TimeZone::UTC).unwrap_err();
        assert_eq!(error, "min_processes 4 exceeds max_processes 3");
    }

    #[test]
    fn a_table_survives_a_round_trip() {
        let min = table(r#"{"18:00": 1, "08:00": 3}"#);
        assert_eq!(serde_json::to_string(&min).unwrap(), r#"{"8:00":3,"18:00":1}"#);
    }
}
