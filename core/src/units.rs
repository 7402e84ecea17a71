//! Quantities that cannot hold nonsense: a finite number, and a span of seconds.

use std::{borrow::Cow, fmt, time::Duration};

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error as _};

/// A number that is neither NaN nor infinite. The only kind of number that a reading can be.
#[derive(Debug, Clone, Copy, PartialEq, PartialOrd)]
pub struct Finite(f64);

impl Finite {
    /// `None` for NaN and the infinities.
    #[must_use]
    pub fn new(number: f64) -> Option<Self> {
        number.is_finite().then_some(Self(number))
    }

    /// The number itself.
    #[must_use]
    pub fn get(self) -> f64 {
        self.0
    }
}

impl From<u32> for Finite {
    fn from(number: u32) -> Self {
        Self(f64::from(number))
    }
}

impl fmt::Display for Finite {
    /// As a person writes it: no `.0`, at most three decimals.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let rounded = (self.0 * 1000.0).round() / 1000.0;
        // Numbers beyond 1e15 have no thousandths; rounding them may overflow.
        let shown = if rounded.is_finite() { rounded } else { self.0 };
        if shown.abs() >= 1e15 {
            // All digits of such a number are noise, and there may be three hundred.
            return write!(formatter, "{shown:e}");
        }
        write!(formatter, "{}", if shown == 0.0 { 0.0 } else { shown })
    }
}

impl Serialize for Finite {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        // Whole numbers are written without `.0`, as the original shows them: `'data': 350`.
        const EXACT: f64 = 9_007_199_254_740_992.0; // 2^53: beyond it an f64 skips whole numbers
        if self.0.fract() == 0.0 && self.0.abs() <= EXACT {
            #[expect(clippy::cast_possible_truncation, reason = "a whole number within ±2^53 fits")]
            serializer.serialize_i64(self.0 as i64)
        } else {
            serializer.serialize_f64(self.0)
        }
    }
}

impl<'de> Deserialize<'de> for Finite {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Self::new(f64::deserialize(deserializer)?)
            .ok_or_else(|| D::Error::custom("NaN or infinite, expected a finite number"))
    }
}

impl JsonSchema for Finite {
    fn schema_name() -> Cow<'static, str> {
        "Finite".into()
    }
    fn inline_schema() -> bool {
        true
    }
    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({"type": "number"})
    }
}

/// A span of time, written in settings as a number of seconds; fractions are fine, negative numbers are not.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub struct Seconds(Duration);

impl Seconds {
    /// The longest span that a setting may hold: 366 days. Longer ones are slips of the keyboard.
    pub const LONGEST: Duration = Duration::from_secs(366 * 24 * 3600);

    /// A whole number of seconds.
    #[must_use]
    pub const fn new(seconds: u64) -> Self {
        Self(Duration::from_secs(seconds))
    }

    /// A number of milliseconds.
    #[must_use]
    pub const fn from_millis(milliseconds: u64) -> Self {
        Self(Duration::from_millis(milliseconds))
    }

    /// As the standard library's type.
    #[must_use]
    pub const fn duration(self) -> Duration {
        self.0
    }
}

impl Serialize for Seconds {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        Finite(self.0.as_secs_f64()).serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Seconds {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let seconds = f64::deserialize(deserializer)?;
        if !(0.0..=Self::LONGEST.as_secs_f64()).contains(&seconds) {
            return Err(D::Error::custom(format!(
                "{seconds} seconds, expected 0 to {} (366 days)",
                Self::LONGEST.as_secs()
            )));
        }
        Ok(Self(Duration::from_secs_f64(seconds)))
    }
}

impl JsonSchema for Seconds {
    fn schema_name() -> Cow<'static, str> {
        "Seconds".into()
    }
    fn inline_schema() -> bool {
        true
    }
    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({"type": "number", "minimum": 0})
    }
}

/// A span in words: `850 ms`, `12 s`, `3 min`, `2 h 5 min`.
#[must_use]
pub fn in_words(span: Duration) -> String {
    let seconds = span.as_secs();
    match seconds {
        0 if span.is_zero() => "0 s".to_owned(),
        0 => format!("{} ms", span.as_millis().max(1)),
        1..=119 => {
            let tenths = (span.subsec_millis() + 50) / 100;
            match (seconds < 10, tenths) {
                (true, 1..=9) => format!("{seconds}.{tenths} s"),
                (true, 10) => format!("{} s", seconds + 1),
                _ => format!("{seconds} s"),
            }
        }
        120..=7199 => format!("{} min", seconds / 60),
        _ if (seconds / 60).is_multiple_of(60) => format!("{} h", seconds / 3600),
        _ => format!("{} h {} min", seconds / 3600, (seconds / 60) % 60),
    }
}

/// Somebody else's words, short enough to stand in a sentence of ours.
#[must_use]
pub fn in_brief(words: &str) -> Cow<'_, str> {
    // Two lines of a terminal; a message that says more than this says it to nobody.
    const LONGEST: usize = 300;
    match words.char_indices().nth(LONGEST) {
        Some((end, _)) => Cow::Owned(format!("{}…", &words[..end])),
        None => Cow::Borrowed(words),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nan_and_the_infinities_are_not_numbers() {
        for number in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY] {
            assert_eq!(Finite::new(number), None);
        }
        assert!(serde_json::from_str::<Finite>("1e999").is_err());
    }

    #[test]
    fn numbers_are_shown_as_a_person_writes_them() {
        let shown = |number| Finite::new(number).unwrap().to_string();
        assert_eq!(shown(350.0), "350");
        assert_eq!(shown(0.1 + 0.2), "0.3");
        assert_eq!(shown(-0.0001), "0");
        assert_eq!([shown(f64::MAX), shown(-2.5e20)], ["1.7976931348623157e308", "-2.5e20"]);
        assert_eq!(serde_json::to_string(&Finite(350.0)).unwrap(), "350");
    }

    #[test]
    fn seconds_refuse_negative_and_absurd_spans() {
        for text in ["-1", "1e12", "\"5\""] {
            assert!(serde_json::from_str::<Seconds>(text).is_err(), "{text}");
        }
        assert_eq!(serde_json::from_str::<Seconds>("0.5").unwrap(), Seconds::from_millis(500));
    }

    #[test]
    fn long_words_are_cut_between_letters() {
        assert_eq!(in_brief(&"ö".repeat(300)), "ö".repeat(300));
        assert_eq!(in_brief(&"ö".repeat(301)), format!("{}…", "ö".repeat(300)));
    }

    #[test]
    fn spans_read_like_speech() {
        let words = |ms| in_words(Duration::from_millis(ms));
        assert_eq!(
            [words(0), words(850), words(1500), words(9960), words(12_000), words(180_000), words(7_500_000)],
            ["0 s", "850 ms", "1.5 s", "10 s", "12 s", "3 min", "2 h 5 min"].map(str::to_owned)
        );
    }
}
