//! How a process is protected while it works, in words: what can be seen, and what follows.
//!
//! Busy protection that silently cannot see anything would be worse than none: people would rely on it. So `check` and the
//! start of the program say what each measurement of a queue sees, whom the platform stops, and what that means.

use autoscalebot_core::{
    busy::{Protection, ScaleDownWhen, Victims},
    units::in_words,
};

use crate::measurement::Sight;

/// What people should know about the protection of a process whose measurements see this much; nothing when none of them
/// sees work.
#[must_use]
pub fn explained(protection: &Protection, sights: impl IntoIterator<Item = Sight>) -> Option<String> {
    let least = sights.into_iter().filter(|sight| *sight != Sight::NoWork).min_by_key(|sight| rank(*sight))?;
    if protection.scale_down_when == ScaleDownWhen::Always || protection.max_busy_wait.is_zero() {
        return Some("shrinks also while its workers are busy, as SCALE_DOWN_WHEN or MAX_BUSY_WAIT says".to_owned());
    }
    let longest = in_words(protection.max_busy_wait);
    let only = match (protection.scale_down_when, least, protection.victims) {
        (_, Sight::Waiting | Sight::NoWork, _) => {
            return Some(format!(
                "what is in progress cannot be seen, so it shrinks only after {longest} (MAX_BUSY_WAIT) of wanting to; \
                 SCALE_DOWN_WHEN: always turns this off"
            ));
        }
        (ScaleDownWhen::Drained | ScaleDownWhen::Always, ..) => {
            "shrinks only when nothing waits and nothing is in progress".to_owned()
        }
        (ScaleDownWhen::Idle, _, Victims::Unknown) => {
            "it is not known which process the platform stops, so it shrinks \
             only when nothing waits and nothing is in progress"
                .to_owned()
        }
        (ScaleDownWhen::Idle, Sight::InProgress, _) => {
            "it can be seen how much is in progress, but not always in which \
             process; while that is not known, it shrinks only when nothing waits and nothing is in progress"
                .to_owned()
        }
        (ScaleDownWhen::Idle, Sight::Workers, victims) => {
            let who = match victims {
                Victims::Highest => {
                    "by as many of the highest numbers as have free workers, since the platform stops these"
                }
                Victims::Chosen | Victims::Unknown => "by processes whose workers are free",
            };
            format!(
                "shrinks only {who}; workers are known by names that end in that of their process, such as \
                 worker@$DYNO, and without these it shrinks only when nothing waits and nothing is in progress"
            )
        }
    };
    Some(format!("{only}; a shrink is held for {longest} at most (MAX_BUSY_WAIT)"))
}

/// From the least that is seen to the most.
fn rank(sight: Sight) -> u8 {
    match sight {
        Sight::NoWork => 0,
        Sight::Waiting => 1,
        Sight::InProgress => 2,
        Sight::Workers => 3,
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn words(scale_down_when: ScaleDownWhen, victims: Victims, sights: &[Sight]) -> String {
        let protection = Protection { scale_down_when, max_busy_wait: Duration::from_secs(3600), victims };
        explained(&protection, sights.iter().copied()).unwrap_or_default()
    }

    #[test]
    fn what_is_said_follows_from_what_is_seen_and_from_who_goes() {
        use ScaleDownWhen::{Always, Drained, Idle};
        for (name, when, victims, sights, expected) in [
            ("no queue", Idle, Victims::Highest, &[Sight::NoWork][..], ""),
            ("Celery on Heroku", Idle, Victims::Highest, &[Sight::Workers], "as many of the highest numbers"),
            ("Celery on Local", Idle, Victims::Chosen, &[Sight::Workers], "by processes whose workers are free"),
            ("Celery on a command", Idle, Victims::Unknown, &[Sight::Workers], "which process the platform stops"),
            ("Dramatiq", Idle, Victims::Highest, &[Sight::InProgress], "how much is in progress"),
            ("Huey", Idle, Victims::Highest, &[Sight::Waiting], "cannot be seen"),
            ("the least counts", Idle, Victims::Highest, &[Sight::Workers, Sight::Waiting], "cannot be seen"),
            ("a web process beside", Idle, Victims::Chosen, &[Sight::NoWork, Sight::Workers], "are free"),
            ("drained", Drained, Victims::Chosen, &[Sight::Workers], "shrinks only when nothing waits"),
            ("always", Always, Victims::Chosen, &[Sight::Workers], "also while its workers are busy"),
        ] {
            let said = words(when, victims, sights);
            assert!(if expected.is_empty() { said.is_empty() } else { said.contains(expected) }, "{name}: {said}");
        }
    }
}
