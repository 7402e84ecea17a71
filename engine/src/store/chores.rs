//! What keeps the store from growing for ever: rollups, and an end for everything.
//!
//! Ticks are kept for some days. Before they go, what charts show of them is rolled up to five minutes, which is kept for
//! longer, as are events. When all of it is larger than it may be, the oldest ticks go earlier. Every chore is done in
//! small pieces between two batches, so that it never holds up what is to be written for long.

use autoscalebot_core::moment::Moment;

use super::{
    database::{Link, Row, Value},
    place::Place,
    writer::{Opened, microseconds},
};

/// The length of a rollup, in microseconds.
pub const ROLLUP: i64 = 5 * 60 * 1_000_000;

/// Rollups are made when their time is over for so long: a measurement may be older than the tick that has it.
const ROLLUP_DELAY: i64 = 60 * 1_000_000;

/// No more than this is rolled up at once: a day after a long pause.
const LONGEST_ROLLUP: i64 = 288 * ROLLUP;

/// Ticks that are deleted at once.
const DELETED_AT_ONCE: i64 = 2_000;

/// So often ticks are deleted in one go of chores at most.
const MOST_DELETIONS: usize = 50;

/// What is only deleted seldom: there is little of it, and finding it means to look through all of it.
const SELDOM: i64 = 3600 * 1_000_000;

/// A run that has written within this time goes on. Shorter than the time to the first look, so that the run before a
/// restart is not taken for one.
const STILL_RUNS: i64 = 45 * 1_000_000;

const DAY: i64 = 24 * 3600 * 1_000_000;

/// For how long things are kept, and how large all of it may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Keep {
    /// Ticks, in days.
    pub days: u32,
    /// Rollups and events, in days.
    pub rollup_days: u32,
    /// Everything, in megabytes.
    pub most_megabytes: u32,
}

impl Default for Keep {
    fn default() -> Self {
        // Half a gigabyte fits the smallest databases that are for hire.
        Self { days: 7, rollup_days: 90, most_megabytes: 512 }
    }
}

/// The chores, and how far they have come.
pub struct Chores {
    keep: Keep,
    /// Another run that was told of.
    told_of: Option<i64>,
}

impl Chores {
    pub fn new(keep: Keep) -> Self {
        Self { keep, told_of: None }
    }

    /// Does what is due.
    pub async fn run(&mut self, opened: &mut Opened, place: &Place, now: &Moment) -> Result<(), sqlx::Error> {
        let now = microseconds(now);
        let Opened { link, run, written, .. } = opened;
        if let Some(run) = *run {
            self.look_for_others(link, run, now).await?;
        }
        let rolled_up = roll_up(link, written.as_ref().map(microseconds)).await?;
        let cutoff = self.cutoff(link, place, now).await?;
        if let Some(rolled_up) = rolled_up {
            delete_ticks(link, cutoff.min(rolled_up)).await?;
        }
        if reached(link, "old rollups").await?.unwrap_or(0) <= now - SELDOM {
            let before = now - i64::from(self.keep.rollup_days) * DAY;
            for table in ["decision_rollups", "sample_rollups", "events"] {
                link.execute(&format!("DELETE FROM autoscalebot_{table} WHERE at < $1"), &[before.into()]).await?;
            }
            reach(link, "old rollups", now).await?;
        }
        Ok(())
    }

    /// Two programs on one store scale the same processes, and neither knows what the other was told.
    async fn look_for_others(&mut self, link: &mut Link, run: i64, now: i64) -> Result<(), sqlx::Error> {
        let others = link.fetch(OTHER_RUNS, &[run.into(), (now - STILL_RUNS).into()]).await?;
        let other = others.first().and_then(|row| row.int(0));
        if other.is_some() && other != self.told_of {
            tracing::warn!(
                "another autoscalebot writes to this store at the same time; two of them scale the same processes \
                 against each other: end one, or give it a store of its own with --store"
            );
        }
        self.told_of = other;
        Ok(())
    }

    /// Ticks before this go. It moves on by a tenth of what is kept for as long as everything is too large.
    async fn cutoff(&self, link: &mut Link, place: &Place, now: i64) -> Result<i64, sqlx::Error> {
        let by_age = now - i64::from(self.keep.days) * DAY;
        let so_far = reached(link, "cutoff").await?.unwrap_or(by_age).min(now);
        let mut cutoff = by_age.max(so_far);
        if megabytes(link, place).await? > u64::from(self.keep.most_megabytes) {
            let oldest = link.fetch("SELECT min(at) FROM autoscalebot_decisions", &[]).await?;
            let oldest = oldest.first().and_then(|row| row.int(0)).unwrap_or(now).max(cutoff);
            cutoff = oldest + (now - oldest) / 10;
        }
        reach(link, "cutoff", cutoff).await?;
        Ok(cutoff)
    }
}

const OTHER_RUNS: &str = "SELECT id FROM autoscalebot_runs WHERE id <> $1 AND last_at > $2 ORDER BY id LIMIT 1";

/// Rolls up what is over, as far as everything of that time was written: after a time without a database, much of it may
/// still wait. How far all rollups go by now; nothing when there is nothing to roll up.
async fn roll_up(link: &mut Link, written: Option<i64>) -> Result<Option<i64>, sqlx::Error> {
    let begin = match reached(link, "rollups").await? {
        Some(begin) => begin,
        None => {
            let first = link.fetch("SELECT min(at) FROM autoscalebot_decisions", &[]).await?;
            let Some(first) = first.first().and_then(|row| row.int(0)) else { return Ok(None) };
            first.div_euclid(ROLLUP) * ROLLUP
        }
    };
    let over = written.map_or(begin, |written| (written - ROLLUP_DELAY).div_euclid(ROLLUP) * ROLLUP);
    let end = over.min(begin + LONGEST_ROLLUP);
    if end <= begin {
        return Ok(Some(begin));
    }
    let values: [Value<'_>; 3] = [begin.into(), end.into(), ROLLUP.into()];
    link.execute("BEGIN", &[]).await?;
    link.execute(ROLL_UP_DECISIONS, &values).await?;
    link.execute(ROLL_UP_SAMPLES, &values).await?;
    reach(link, "rollups", end).await?;
    link.execute("COMMIT", &[]).await?;
    Ok(Some(end))
}

const ROLL_UP_DECISIONS: &str = "INSERT INTO autoscalebot_decision_rollups \
     (process_id, at, running, wanted, least, most) \
     SELECT process_id, at / $3 * $3, max(running), max(wanted), min(least), max(most) \
     FROM autoscalebot_decisions WHERE at >= $1 AND at < $2 GROUP BY process_id, at / $3 * $3 \
     ON CONFLICT (process_id, at) DO NOTHING";
const ROLL_UP_SAMPLES: &str = "INSERT INTO autoscalebot_sample_rollups \
     (process_id, signal, at, total, readings, lowest, highest, failures) \
     SELECT process_id, signal, at / $3 * $3, sum(reading), count(reading), min(reading), max(reading), count(failure) \
     FROM autoscalebot_samples WHERE at >= $1 AND at < $2 GROUP BY process_id, signal, at / $3 * $3 \
     ON CONFLICT (process_id, signal, at) DO NOTHING";

async fn delete_ticks(link: &mut Link, cutoff: i64) -> Result<(), sqlx::Error> {
    let processes = link.fetch("SELECT id FROM autoscalebot_processes ORDER BY id", &[]).await?;
    let mut deletions = 0;
    for process in processes.iter().filter_map(|row| row.int(0)) {
        loop {
            let values: [Value<'_>; 3] = [process.into(), cutoff.into(), DELETED_AT_ONCE.into()];
            let rows = link.fetch(OLDEST_BEFORE, &values).await?;
            let Some(last) = rows.first().and_then(|row: &Row| row.int(0)) else { break };
            let values: [Value<'_>; 2] = [process.into(), last.into()];
            link.execute("BEGIN", &[]).await?;
            link.execute(DELETE_TICKS, &values).await?;
            link.execute(DELETE_SAMPLES, &values).await?;
            link.execute(DELETE_DECISIONS, &values).await?;
            link.execute("COMMIT", &[]).await?;
            deletions += 1;
            if deletions >= MOST_DELETIONS {
                return Ok(());
            }
        }
    }
    Ok(())
}

const OLDEST_BEFORE: &str = "SELECT max(at) FROM (SELECT at FROM autoscalebot_decisions \
     WHERE process_id = $1 AND at < $2 ORDER BY at LIMIT $3) AS oldest";
const DELETE_TICKS: &str = "DELETE FROM autoscalebot_ticks WHERE process_id = $1 AND (run_id, seq) IN \
     (SELECT run_id, seq FROM autoscalebot_decisions WHERE process_id = $1 AND at <= $2)";
const DELETE_SAMPLES: &str = "DELETE FROM autoscalebot_samples WHERE process_id = $1 AND at <= $2";
const DELETE_DECISIONS: &str = "DELETE FROM autoscalebot_decisions WHERE process_id = $1 AND at <= $2";

async fn reached(link: &mut Link, chore: &str) -> Result<Option<i64>, sqlx::Error> {
    let rows = link.fetch("SELECT at FROM autoscalebot_chores WHERE name = $1", &[chore.into()]).await?;
    Ok(rows.first().and_then(|row| row.int(0)))
}

async fn reach(link: &mut Link, chore: &str, at: i64) -> Result<(), sqlx::Error> {
    let statement = "INSERT INTO autoscalebot_chores (name, at) VALUES ($1, $2) \
                     ON CONFLICT (name) DO UPDATE SET at = excluded.at";
    link.execute(statement, &[chore.into(), at.into()]).await.map(drop)
}

/// How much room the store takes, without what is free for reuse.
async fn megabytes(link: &mut Link, place: &Place) -> Result<u64, sqlx::Error> {
    let bytes = match place {
        Place::Sqlite(_) => {
            let mut pragma = async |name: &str| {
                let rows = link.fetch(&format!("PRAGMA {name}"), &[]).await?;
                Ok::<_, sqlx::Error>(rows.first().and_then(|row| row.int(0)).unwrap_or(0))
            };
            let (pages, free) = (pragma("page_count").await?, pragma("freelist_count").await?);
            (pages - free) * pragma("page_size").await?
        }
        Place::Postgres(_) => {
            let rows = link.fetch(POSTGRES_BYTES, &[]).await?;
            rows.first().and_then(|row| row.int(0)).unwrap_or(0)
        }
    };
    Ok(u64::try_from(bytes).unwrap_or(0) / 1_000_000)
}

const POSTGRES_BYTES: &str = "SELECT CAST(sum(pg_total_relation_size(oid)) AS BIGINT) FROM pg_class \
     WHERE relkind = 'r' AND relname LIKE 'autoscalebot\\_%' AND relnamespace = CAST(current_schema() AS regnamespace)";
