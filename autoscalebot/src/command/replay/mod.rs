//! `autoscalebot replay`: every recorded tick through the core once more, and whether it comes to the same.
//!
//! Each tick is decided by the settings that were in force then, from the version that was kept with it, so today's
//! settings file is not read at all. With `--settings` other settings decide on the same samples instead: see
//! [`compare`].

mod compare;
mod diff;
mod other;
mod ticks;

use std::sync::Arc;

use autoscalebot_core::{step::Policy, units};
use autoscalebot_engine::store::{Difference, Hole, Replayer, Step, Tick};
use jiff::{Timestamp, tz::TimeZone};
use serde_json::{Value, json};

use self::ticks::{Progress, Ticks};
use super::history::{
    self, Ended, History, time,
    words::{self, json_time},
};
use crate::{cli::Surroundings, command, exit::Exit};

/// Fields of a difference that are shown one by one.
const MOST_FIELDS: usize = 12;

/// Holes of a process that are shown one by one.
const MOST_HOLES: usize = 5;

/// What exactly was asked for.
pub struct Wish {
    /// Where history is kept.
    pub store: Option<String>,
    /// Only these processes; all when empty.
    pub processes: Vec<String>,
    /// From then on.
    pub since: Option<String>,
    /// Until then.
    pub until: Option<String>,
    /// The zone of times.
    pub time_zone: Option<String>,
    /// Other settings to try.
    pub settings: Option<String>,
    /// Print JSON.
    pub json: bool,
}

/// The range that is replayed, in the words of whoever asked.
struct Asked {
    processes: Vec<String>,
    from: Timestamp,
    to: Option<Timestamp>,
    zone: TimeZone,
}

/// Replays. Fails (1) when anything comes out otherwise than it was recorded.
pub fn run(wish: &Wish, around: &Surroundings) -> Exit {
    let zone = match history::zone(wish.time_zone.as_deref()) {
        Ok(zone) => zone,
        Err(code) => return code,
    };
    let others = match wish.settings.as_deref().map(|settings| other::Others::load(settings, around)).transpose() {
        Ok(others) => others,
        Err(code) => return code,
    };
    history::with(wish.store.as_deref(), around, async |history| {
        let (from, to) = history::range(wish.since.as_deref(), wish.until.as_deref(), history.now, &zone)?;
        let processes = history.chosen(&wish.processes)?;
        let asked = Asked { processes, from: from.unwrap_or(Timestamp::UNIX_EPOCH), to, zone };
        match others {
            Some(others) => compare::run(&history, &asked, &others, wish, around).await,
            None => prove(&history, &asked, wish, around).await,
        }
    })
}

/// What the replay of one process came to.
#[derive(Default)]
struct Proof {
    ticks: u64,
    same: u64,
    unknown: u64,
    unreadable: u64,
    different: u64,
    versions: std::collections::BTreeSet<i64>,
    first: Option<Timestamp>,
    last: Option<Timestamp>,
    difference: Option<Found>,
    /// Times of which nothing was kept, the oldest first.
    holes: Vec<Hole>,
    /// Why it cannot be replayed here.
    problem: Option<String>,
}

/// The first difference of a process.
struct Found {
    at: Timestamp,
    version: i64,
    difference: Difference,
}

async fn prove(history: &History, asked: &Asked, wish: &Wish, around: &Surroundings) -> Result<Exit, Ended> {
    let mut progress = Progress::new();
    let mut proofs = Vec::new();
    for process in &asked.processes {
        proofs.push((process.as_str(), proof(history, process, asked, around, &mut progress).await?));
    }
    progress.clear();
    let is_fine = proofs.iter().all(|(_, proof)| proof.different == 0 && proof.problem.is_none());
    let text = if wish.json {
        let all: Vec<Value> = proofs.iter().map(|(process, proof)| as_json(process, proof)).collect();
        format!("{}\n", serde_json::to_string_pretty(&all).unwrap_or_default())
    } else {
        in_words(&proofs, asked)
    };
    let printed = command::print(&text);
    Ok(if is_fine { printed } else { Exit::FAILED })
}

async fn proof(
    history: &History,
    process: &str,
    asked: &Asked,
    around: &Surroundings,
    progress: &mut Progress,
) -> Result<Proof, Ended> {
    let mut proof = Proof::default();
    let mut ticks = Ticks::open(history, process, asked.from, asked.to).await?;
    let mut replayer: Option<Replayer> = None;
    while let Some(tick) = ticks.next(progress).await? {
        let policy = match ticks.policy(tick.version, around) {
            Ok(policy) => policy,
            Err(problem) => {
                proof.problem = Some(problem);
                break;
            }
        };
        let number = ticks.number(tick.version);
        let replayer = replayer.get_or_insert_with(|| Replayer::new(policy.clone()));
        replayer.set_policy(policy);
        let step = replayer.step(&tick);
        // Ticks before the range only lead to the state in which it begins.
        let Some(at) = ticks.at(&tick).filter(|at| *at >= asked.from) else { continue };
        proof.count(at, number, step);
    }
    proof.holes = history.reader.holes(Some(process), Some(asked.from), asked.to).await?;
    proof.holes.reverse();
    Ok(proof)
}

impl Proof {
    fn count(&mut self, at: Timestamp, version: i64, step: Result<Step, serde_json::Error>) {
        self.ticks += 1;
        self.versions.insert(version);
        self.first.get_or_insert(at);
        self.last = Some(at);
        match step {
            Ok(Step::Same) => self.same += 1,
            Ok(Step::Unknown) => self.unknown += 1,
            Ok(Step::Different(difference)) => {
                self.different += 1;
                self.difference.get_or_insert(Found { at, version, difference });
            }
            Err(_) => self.unreadable += 1,
        }
    }

    fn versions(&self) -> String {
        let numbers: Vec<String> = self.versions.iter().map(ToString::to_string).collect();
        match numbers.len() {
            1 => format!("settings version {}", numbers[0]),
            2..=6 => format!("settings versions {}", numbers.join(", ")),
            more => format!("{more} versions of the settings"),
        }
    }
}

fn in_words(proofs: &[(&str, Proof)], asked: &Asked) -> String {
    let mut text = String::new();
    let shown = |at: Option<Timestamp>| at.map(|at| time::with_date(at, &asked.zone)).unwrap_or_default();
    for (process, proof) in proofs {
        if let Some(problem) = &proof.problem {
            text.push_str(&format!("{process}: cannot be replayed here: {problem}\n"));
        }
        if proof.ticks == 0 {
            text.push_str(&format!("{process}: no ticks are kept of this time\n"));
            continue;
        }
        let verdict = match proof.different {
            0 if proof.same == proof.ticks => "all identical".to_owned(),
            0 => format!("{} identical", grouped(proof.same)),
            different => format!("{} identical, {} DIFFERENT", grouped(proof.same), grouped(different)),
        };
        text.push_str(&format!("{process}: {} ticks replayed, {verdict}\n", grouped(proof.ticks)));
        text.push_str(&format!("  {} to {}, {}\n", shown(proof.first), shown(proof.last), proof.versions()));
        if proof.unknown > 0 {
            let unknown = grouped(proof.unknown);
            text.push_str(&format!("  {unknown} cannot be said: no state was kept before them\n"));
        }
        if proof.unreadable > 0 {
            let unreadable = grouped(proof.unreadable);
            text.push_str(&format!("  {unreadable} cannot be read: another version of autoscalebot wrote them\n"));
        }
        for hole in proof.holes.iter().take(MOST_HOLES) {
            let (from, length) = (time::with_date(hole.from, &asked.zone), units::in_words(hole.length()));
            text.push_str(&format!("  nothing is known of {length} from {from}: {}\n", hole.why()));
        }
        if proof.holes.len() > MOST_HOLES {
            text.push_str(&format!("  … and {} more such times (--json shows all)\n", proof.holes.len() - MOST_HOLES));
        }
        if let Some(found) = &proof.difference {
            text.push_str(&difference(found, asked));
        }
    }
    if proofs.len() > 1 {
        let sum = |count: fn(&Proof) -> u64| grouped(proofs.iter().map(|(_, proof)| count(proof)).sum());
        let (ticks, same) = (sum(|proof| proof.ticks), sum(|proof| proof.same));
        let different = sum(|proof| proof.different);
        let processes = proofs.len();
        text.push_str(&format!("\n{processes} processes: {ticks} ticks, {same} identical, {different} different\n"));
    }
    text
}

fn difference(found: &Found, asked: &Asked) -> String {
    let Difference { what, recorded, replayed } = &found.difference;
    let at = time::with_date(found.at, &asked.zone);
    let mut text =
        format!("\n  The first difference is at {at} (settings version {}), in the {what}:\n", found.version);
    let parsed = |text: &str| serde_json::from_str(text).unwrap_or(Value::String(text.to_owned()));
    let fields = diff::fields(&parsed(recorded), &parsed(replayed));
    let width = fields.iter().map(|field| field.path.len()).max().unwrap_or_default();
    for diff::Field { path, recorded, replayed } in fields.iter().take(MOST_FIELDS) {
        text.push_str(&format!("    {path:<width$}  recorded  {recorded}\n    {:<width$}  replayed  {replayed}\n", ""));
    }
    if fields.len() > MOST_FIELDS {
        text.push_str(&format!("    … and {} more fields (--json shows all)\n", fields.len() - MOST_FIELDS));
    }
    text
}

fn as_json(process: &str, proof: &Proof) -> Value {
    let difference = proof.difference.as_ref().map(|found| {
        let parsed = |text: &str| serde_json::from_str(text).unwrap_or(Value::String(text.to_owned()));
        let (recorded, replayed) = (parsed(&found.difference.recorded), parsed(&found.difference.replayed));
        let fields: Vec<Value> = diff::fields(&recorded, &replayed)
            .into_iter()
            .map(|field| json!({"path": field.path, "recorded": field.recorded, "replayed": field.replayed}))
            .collect();
        json!({
            "at": json_time(found.at), "settings_version": found.version, "what": found.difference.what,
            "fields": fields, "recorded": recorded, "replayed": replayed,
        })
    });
    json!({
        "process": process, "ticks": proof.ticks, "identical": proof.same, "different": proof.different,
        "unknown": proof.unknown, "unreadable": proof.unreadable, "settings_versions": proof.versions,
        "from": proof.first.map(words::json_time), "to": proof.last.map(words::json_time),
        "holes": proof.holes.iter().map(words::hole_json).collect::<Vec<_>>(), "problem": proof.problem,
        "first_difference": difference,
    })
}

/// `100,000`, so that people can count the digits.
fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut grouped = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            grouped.push(',');
        }
        grouped.push(digit);
    }
    grouped
}

/// A policy that was made once.
type Made = Result<Arc<Policy>, String>;

/// The moment of a tick, without reading all of it.
fn moment_of(tick: &Tick) -> Option<Timestamp> {
    #[derive(serde::Deserialize)]
    struct OnlyAt {
        at: autoscalebot_core::moment::Moment,
    }
    serde_json::from_str::<OnlyAt>(&tick.input).ok().map(|input| input.at.civil)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_numbers_are_grouped() {
        for (number, words) in [(7, "7"), (1_000, "1,000"), (123_456_789, "123,456,789")] {
            assert_eq!(grouped(number), words);
        }
    }
}
