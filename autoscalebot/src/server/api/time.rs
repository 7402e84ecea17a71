//! Moments as the API says them: RFC 3339 in UTC with milliseconds, and the monotonic clock made into them.

use std::{borrow::Cow, time::Duration};

use autoscalebot_core::moment::Moment;
use jiff::{SignedDuration, Timestamp};
use serde::{Serialize, Serializer};
use utoipa::{
    PartialSchema, ToSchema,
    openapi::{ObjectBuilder, RefOr, Schema, SchemaFormat, Type, schema::KnownFormat},
};

/// A moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Time(pub Timestamp);

impl Serialize for Time {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&self.0.strftime("%Y-%m-%dT%H:%M:%S.%3fZ"))
    }
}

impl PartialSchema for Time {
    fn schema() -> RefOr<Schema> {
        let time = ObjectBuilder::new().schema_type(Type::String);
        let time = time.format(Some(SchemaFormat::KnownFormat(KnownFormat::DateTime)));
        time.description(Some("RFC 3339, in UTC, with milliseconds.")).into()
    }
}

impl ToSchema for Time {
    fn name() -> Cow<'static, str> {
        "Time".into()
    }
}

impl From<Moment> for Time {
    fn from(moment: Moment) -> Self {
        Self(moment.civil)
    }
}

/// When the monotonic clock shows or showed this; nothing when that is beyond all calendars.
#[must_use]
pub fn civil(since_start: Duration, now: &Moment) -> Option<Time> {
    let ahead = SignedDuration::try_from(since_start).ok()?.checked_sub(now.since_start.try_into().ok()?)?;
    now.civil.checked_add(ahead).ok().map(Time)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_moment_is_told_in_milliseconds_and_the_monotonic_clock_is_translated() {
        let now = Moment { since_start: Duration::from_secs(100), civil: "2026-03-01T12:00:00.1239Z".parse().unwrap() };
        let told = |seconds| serde_json::to_string(&civil(Duration::from_secs(seconds), &now)).unwrap();
        assert_eq!(told(100), r#""2026-03-01T12:00:00.123Z""#);
        assert_eq!(told(160), r#""2026-03-01T12:01:00.123Z""#);
        assert_eq!(told(40), r#""2026-03-01T11:59:00.123Z""#);
        assert_eq!(civil(Duration::MAX, &now), None);
    }
}
