//! The names of queues: written out, or as patterns with `*` and `?` that are found anew once in a while.
//!
//! A queue that is written out is always measured, whether it exists or not. A pattern means the queues that exist; where
//! they are looked for again at most once a minute, a new queue is seen a minute late, and a queue that is gone is empty
//! until then. Where a broker has no list of its queues (Redis), its keys are walked in bounded pieces: a measurement
//! walks for a fraction of its time, the next one goes on, and until the first walk is through there is no number,
//! because a part of the queues is no backlog.

use std::{collections::BTreeSet, sync::Arc, time::Duration};

use autoscalebot_core::{moment::Moment, registry::Problem};
use tokio::sync::Mutex;

use crate::{
    broker::redis::{Server, Walk},
    measurement::MeasureError,
};

/// What a settings file says is read by people; longer lists are generated, and a pattern does that better.
const MOST_NAMES: usize = 256;

/// A measurement asks for each queue; beyond this a pattern is a slip, such as `*` where keys are made per user.
const MOST_QUEUES: usize = 1_000;

/// New queues are rare, and looking for them costs the broker more than a measurement.
const LOOK_AGAIN: Duration = Duration::from_secs(60);

/// One measurement asks for no more pieces of the walk than this: at some 1 000 keys each, 100 000 keys, or 20 ms of a
/// Redis that does nothing else.
const PIECES_AT_A_TIME: usize = 100;

/// The part of a measurement's time that a walk may take.
const SHARE_OF_THE_LIMIT: u32 = 3;

/// Names and patterns, as they are written in the settings.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Names {
    literal: Arc<[String]>,
    patterns: Vec<String>,
}

impl Names {
    /// Sorts them into names and patterns.
    #[must_use]
    pub fn new(list: &[String]) -> Self {
        let (patterns, literal): (Vec<_>, Vec<_>) = list.iter().cloned().partition(|name| is_pattern(name));
        Self { literal: literal.into(), patterns }
    }

    /// What is wrong with a list; `path` is the name of its setting.
    #[must_use]
    pub fn problems(path: &str, list: &[String]) -> Vec<Problem> {
        let mut problems = Vec::new();
        if list.is_empty() {
            problems.push(Problem::new(path, "no names", "at least one name"));
        }
        if list.len() > MOST_NAMES {
            let found = format!("{} names", list.len());
            problems.push(Problem::new(path, found, format!("at most {MOST_NAMES}; a name may hold * and ?")));
        }
        let mut seen = BTreeSet::new();
        for (index, name) in list.iter().enumerate() {
            if name.is_empty() {
                problems.push(Problem::new(format!("{path}[{index}]"), "an empty name", "the name of a queue"));
            } else if !seen.insert(name) {
                problems.push(Problem::new(format!("{path}[{index}]"), format!("{name:?} again"), "each name once"));
            }
        }
        problems
    }

    /// The names that are written out.
    #[must_use]
    pub fn literal(&self) -> &[String] {
        &self.literal
    }

    /// The patterns.
    #[must_use]
    pub fn patterns(&self) -> &[String] {
        &self.patterns
    }

    /// Whether this queue is meant.
    #[must_use]
    pub fn mean(&self, name: &str) -> bool {
        self.literal.iter().any(|literal| literal == name) || self.patterns.iter().any(|pattern| matches(pattern, name))
    }

    /// Those that are written out, and after them those of `existing` that a pattern means.
    ///
    /// # Errors
    /// When they are too many.
    pub fn select(&self, existing: impl IntoIterator<Item = String>) -> Result<Arc<[String]>, MeasureError> {
        let found: BTreeSet<String> =
            existing.into_iter().filter(|name| !self.literal.contains(name) && self.mean(name)).collect();
        if found.len() > MOST_QUEUES {
            let message = format!("{} match {}, more than {MOST_QUEUES} queues", self.patterns.join(", "), found.len());
            return Err(MeasureError::unknown("too_many_queues", message));
        }
        Ok(self.literal.iter().cloned().chain(found).collect())
    }

    /// What all patterns have before their first `*` or `?`.
    fn common_beginning(&self) -> &str {
        let mut beginnings = self.patterns.iter().map(|pattern| pattern.split(['*', '?']).next().unwrap_or(""));
        let first = beginnings.next().unwrap_or("");
        beginnings.fold(first, |common, other| {
            let same = common.char_indices().zip(other.chars()).find(|((_, one), other)| one != other);
            let end = same.map_or(common.len().min(other.len()), |((index, _), _)| index);
            &common[..end]
        })
    }
}

/// Whether it holds `*` or `?`.
fn is_pattern(name: &str) -> bool {
    name.contains(['*', '?'])
}

/// Whether the whole name matches: `*` is any number of characters, `?` is one.
#[must_use]
pub fn matches(pattern: &str, name: &str) -> bool {
    let (pattern, name): (Vec<char>, Vec<char>) = (pattern.chars().collect(), name.chars().collect());
    let (mut at, mut in_name) = (0, 0);
    // Where to go on when a guess of how much the last `*` covers turns out wrong. Only the last one needs guessing.
    let mut last_star = None;
    while in_name < name.len() {
        match pattern.get(at) {
            Some('*') => {
                last_star = Some((at, in_name));
                at += 1;
            }
            Some(sign) if *sign == '?' || *sign == name[in_name] => {
                at += 1;
                in_name += 1;
            }
            _ => {
                let Some((star, covered)) = last_star else { return false };
                last_star = Some((star, covered + 1));
                at = star + 1;
                in_name = covered + 1;
            }
        }
    }
    pattern[at..].iter().all(|sign| *sign == '*')
}

/// Names and patterns, and the queues that they meant when somebody looked.
pub struct Finder {
    names: Names,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// What was found, and when.
    found: Option<(Duration, Arc<[String]>)>,
    /// A walk that is not through.
    walk: Option<(Walk, BTreeSet<String>)>,
}

impl State {
    fn fresh(&self, now: &Moment) -> Option<Arc<[String]>> {
        let (at, found) = self.found.as_ref()?;
        (now.since_start.saturating_sub(*at) < LOOK_AGAIN).then(|| found.clone())
    }
}

impl Finder {
    /// For these names and patterns.
    #[must_use]
    pub fn new(list: &[String]) -> Self {
        Self { names: Names::new(list), state: Mutex::default() }
    }

    /// The names themselves.
    #[must_use]
    pub fn names(&self) -> &Names {
        &self.names
    }

    /// The queues that are meant now; `list` tells all that exist, and is asked at most once a minute, and never when no
    /// name is a pattern.
    ///
    /// # Errors
    /// Those of `list`, and when too many are meant.
    pub async fn find(
        &self,
        now: &Moment,
        list: impl Future<Output = Result<Vec<String>, MeasureError>>,
    ) -> Result<Arc<[String]>, MeasureError> {
        if self.names.patterns.is_empty() {
            return Ok(self.names.literal.clone());
        }
        let mut state = self.state.lock().await;
        if let Some(found) = state.fresh(now) {
            return Ok(found);
        }
        let found = self.names.select(list.await?)?;
        state.found = Some((now.since_start, found.clone()));
        Ok(found)
    }

    /// The queues that are meant now, where a queue is a key of this `kind` (`list`, `zset`, `stream`, `hash`) whose name
    /// begins with `before`. `queue_of` makes the name of the queue from that of the key; nothing when it is no queue.
    ///
    /// # Errors
    /// When Redis cannot be asked, when too many queues are meant, and as long as the first walk is not through.
    pub async fn find_in_redis(
        &self,
        server: &Server,
        kind: &str,
        before: &str,
        queue_of: impl Fn(&str) -> Option<String>,
        limit: Duration,
    ) -> Result<Arc<[String]>, MeasureError> {
        if self.names.patterns.is_empty() {
            return Ok(self.names.literal.clone());
        }
        let mut state = self.state.lock().await;
        let begun = server.now();
        if let Some(found) = state.fresh(&begun) {
            return Ok(found);
        }
        let pattern = format!("{}*", escaped(&format!("{before}{}", self.names.common_beginning())));
        let (walk, seen) = state.walk.get_or_insert_default();
        for _ in 0..PIECES_AT_A_TIME {
            let keys = server.walk(walk, &pattern, kind, limit).await?;
            seen.extend(keys.iter().filter_map(|key| queue_of(key)).filter(|name| self.names.mean(name)));
            if walk.is_over() || server.now().since(&begun) > limit / SHARE_OF_THE_LIMIT {
                break;
            }
        }
        if walk.is_over() {
            let seen = std::mem::take(seen);
            state.walk = None;
            state.found = Some((begun.since_start, self.names.select(seen)?));
        }
        match &state.found {
            Some((_, found)) => Ok(found.clone()),
            None => {
                let message = format!("{} has many keys; still looking for those that are queues", server.shown());
                Err(MeasureError::unknown("finding_queues", message))
            }
        }
    }
}

/// For Redis, whose patterns have more signs than ours.
fn escaped(text: &str) -> String {
    let escape = |letter| if "*?[]\\^".contains(letter) { vec!['\\', letter] } else { vec![letter] };
    text.chars().flat_map(escape).collect()
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;

    use super::*;

    fn list(names: &[&str]) -> Vec<String> {
        names.iter().map(|name| (*name).to_owned()).collect()
    }

    #[test]
    fn a_star_is_anything_and_a_question_mark_is_one_character() {
        for (pattern, name, expected) in [
            ("*", "", true),
            ("*", "mail", true),
            ("mail", "mail", true),
            ("mail", "mails", false),
            ("mail*", "mail", true),
            ("mail*", "email", false),
            ("*mail", "email", true),
            ("m?il", "mäil", true),
            ("m?il", "mil", false),
            ("?", "", false),
            ("*a*b", "aab", true),
            ("*a*b", "aba", false),
            ("a*b*c", "a-b-b-c", true),
            ("a**c", "abc", true),
            ("[ab]", "a", false),
            ("[ab]", "[ab]", true),
        ] {
            assert_eq!(matches(pattern, name), expected, "{pattern} {name}");
        }
    }

    #[test]
    fn names_are_always_there_and_patterns_mean_what_exists() {
        let names = Names::new(&list(&["celery", "mail-*", "gone"]));
        let found = names.select(list(&["mail-b", "mail-a", "celery", "other", "mail-b"])).unwrap();
        assert_eq!(&*found, list(&["celery", "gone", "mail-a", "mail-b"]));
        let all = Names::new(&list(&["*"]));
        let error = all.select((0..=MOST_QUEUES).map(|number| number.to_string())).unwrap_err();
        assert_eq!(error.key, "too_many_queues");
    }

    #[test]
    fn what_patterns_have_in_common_is_all_that_redis_must_look_at() {
        for (patterns, expected) in [
            (&["mail-*"][..], "mail-"),
            (&["mail-*", "mail?"], "mail"),
            (&["mäx*", "mäy*"], "mä"),
            (&["other", "mail-*"], "mail-"),
            (&["*", "a*"], ""),
        ] {
            assert_eq!(Names::new(&list(patterns)).common_beginning(), expected, "{patterns:?}");
        }
        assert_eq!(escaped("a[b]*?\\"), "a\\[b\\]\\*\\?\\\\");
    }

    #[test]
    fn every_slip_in_a_list_is_told() {
        let problems = Names::problems("queue_names", &list(&["a", "", "a"]));
        let paths: Vec<&str> = problems.iter().map(|problem| problem.path.as_str()).collect();
        assert_eq!(paths, ["queue_names[1]", "queue_names[2]"]);
        assert_eq!(Names::problems("queue_names", &[]).len(), 1);
        assert_eq!(Names::problems("queue_names", &list(&["a", "b*"])), []);
    }

    #[tokio::test]
    async fn what_exists_is_asked_once_a_minute_and_never_without_a_pattern() {
        let at = |seconds| Moment { since_start: Duration::from_secs(seconds), civil: Timestamp::UNIX_EPOCH };
        let finder = Finder::new(&list(&["a*"]));
        let one = async || Ok(list(&["a1"]));
        assert_eq!(&*finder.find(&at(0), one()).await.unwrap(), ["a1"]);
        let two = async || Ok(list(&["a1", "a2"]));
        assert_eq!(&*finder.find(&at(59), two()).await.unwrap(), ["a1"]);
        assert_eq!(&*finder.find(&at(60), two()).await.unwrap(), ["a1", "a2"]);
        let down = async || Err(MeasureError::unknown("refused", "nobody listens"));
        assert_eq!(finder.find(&at(120), down()).await.unwrap_err().key, "refused");
        let literal = Finder::new(&list(&["b"]));
        assert_eq!(&*literal.find(&at(0), async { unreachable!() }).await.unwrap(), ["b"]);
    }
}
