//! Names as people write them, and the nearest right one when they slip.

use std::{borrow::Borrow, fmt};

use serde::{Deserialize, Deserializer, Serialize, de::Error as _};

/// The name of a process, as the platform knows it: `web`, `celery`.
///
/// 1 to 128 letters, digits, `-` and `_` (the pattern of Heroku's process types; source: Platform API schema).
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(transparent)]
pub struct ProcessName(String);

impl ProcessName {
    /// # Errors
    /// A sentence that says what a name may hold.
    pub fn new(name: impl Into<String>) -> Result<Self, String> {
        let name = name.into();
        let legal = |letter: char| letter.is_ascii_alphanumeric() || matches!(letter, '-' | '_');
        if name.is_empty() || name.len() > 128 || !name.chars().all(legal) {
            return Err(format!("{name:?} is not a process name: 1 to 128 letters, digits, `-` and `_`"));
        }
        Ok(Self(name))
    }

    /// The name itself.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for ProcessName {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

impl Borrow<str> for ProcessName {
    fn borrow(&self) -> &str {
        &self.0
    }
}

impl<'de> Deserialize<'de> for ProcessName {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Self::new(String::deserialize(deserializer)?).map_err(D::Error::custom)
    }
}

/// The candidate that `word` was most likely meant to be, if any is near enough.
#[must_use]
pub fn nearest<'a>(word: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    // Below this likeness suggestions are noise; 0.8 is where clap draws the line too.
    const NEAR_ENOUGH: f64 = 0.8;
    let lower = word.to_lowercase();
    candidates
        .into_iter()
        .map(|candidate| (strsim::jaro_winkler(&lower, &candidate.to_lowercase()), candidate))
        .filter(|(likeness, _)| *likeness >= NEAR_ENOUGH)
        .max_by(|left, right| left.0.total_cmp(&right.0))
        .map(|(_, candidate)| candidate)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_name_is_what_heroku_allows() {
        for good in ["web", "celery-beat", "worker_2"] {
            assert!(ProcessName::new(good).is_ok(), "{good}");
        }
        for bad in ["", "we b", "wörker", "a/b", &"x".repeat(129)] {
            assert!(ProcessName::new(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_slip_finds_its_word_and_nonsense_finds_none() {
        let words = ["min_processes", "max_processes", "increment"];
        assert_eq!(nearest("min_proceses", words), Some("min_processes"));
        assert_eq!(nearest("MAX_PROCESES", words), Some("max_processes"));
        assert_eq!(nearest("colour", words), None);
    }
}
