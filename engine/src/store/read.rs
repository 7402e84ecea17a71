//! The store for readers: ranges for charts, the journal, settings of any time, ticks to replay.
//!
//! A reader has connections of its own that can only read, few of them, and each question has an end. It knows nothing
//! that is not kept: what is now is on the [`crate::board`].

use std::{
    collections::{BTreeMap, HashMap},
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use autoscalebot_core::{
    event::Event,
    names::ProcessName,
    sample::Sample,
    step::{Outcome, Policy, Settled},
};
use jiff::Timestamp;
use tokio::{sync::Semaphore, time::timeout};

use super::{
    Remembered,
    chores::ROLLUP,
    conditions::Conditions,
    database::{Link, Row, Value},
    error,
    place::Place,
    record::Tick,
    replay::Replayer,
};
use crate::{config::ShownSetting, host::Host, policy::PolicySpec};

/// Connections of readers. Small plans of hosted databases allow twenty in all.
const MOST_CONNECTIONS: usize = 2;

/// A question that takes longer has lost the one who asked.
const QUESTION_LIMIT: Duration = Duration::from_secs(20);

/// Rows that are read at once for a replay: some megabytes.
const TICKS_AT_ONCE: i64 = 1_000;

/// Why something could not be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct ReadError {
    /// Stable word: `unavailable`, `unreadable`, `missing` when nothing was ever kept there.
    pub key: &'static str,
    /// What failed, and what to do; no secret in it.
    pub message: String,
}

/// Reads what was kept. Clones share connections.
#[derive(Clone)]
pub struct Reader {
    place: Place,
    permits: Arc<Semaphore>,
    idle: Arc<Mutex<Vec<Link>>>,
    /// Where it is noted that the store is damaged.
    damage: Option<Arc<Mutex<Option<String>>>>,
}

/// A range for charts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SeriesWish {
    /// Its beginning.
    pub from: Timestamp,
    /// Its end.
    pub to: Timestamp,
    /// How many points at most, about.
    pub points: u32,
}

/// A range of one process, in steps of equal length.
#[derive(Debug, Clone, PartialEq)]
pub struct Series {
    /// The length of a step.
    pub step: Duration,
    /// Whether it was made from rollups rather than from single ticks.
    pub is_rollup: bool,
    /// The beginnings of the steps in which anything happened, in milliseconds since 1970.
    pub at_ms: Vec<i64>,
    /// Most that ran in each step; nothing when it was not known.
    pub running: Vec<Option<i64>>,
    /// Most that were wanted.
    pub wanted: Vec<Option<i64>>,
    /// The least allowed.
    pub min: Vec<Option<i64>>,
    /// The most allowed.
    pub max: Vec<Option<i64>>,
    /// One per signal.
    pub signals: Vec<SignalSeries>,
}

/// What one signal measured, in the same steps.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct SignalSeries {
    /// The mean of the readings.
    pub mean: Vec<Option<f64>>,
    /// The lowest.
    pub lowest: Vec<Option<f64>>,
    /// The highest.
    pub highest: Vec<Option<f64>>,
    /// How many measurements failed.
    pub failures: Vec<i64>,
}

/// Which decisions are wished for.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct DecisionsWish {
    /// Only of this process.
    pub process: Option<String>,
    /// Not before this.
    pub from: Option<Timestamp>,
    /// Before this.
    pub to: Option<Timestamp>,
    /// Only in this direction: `up`, `down`, `stay`.
    pub direction: Option<String>,
    /// Only with this key of the reason.
    pub key: Option<String>,
    /// Only those that led to an order.
    pub only_orders: bool,
    /// At most so many.
    pub limit: u32,
    /// Those that come after the last one of a page before, by its cursor.
    pub before: Option<String>,
}

/// A decision as it was kept.
#[derive(Debug, Clone, PartialEq)]
pub struct DecisionRow {
    /// The process.
    pub process: String,
    /// When.
    pub at: Timestamp,
    /// What was decided.
    pub outcome: Outcome,
    /// What became of the order.
    pub settled: Option<Settled>,
    /// The new samples that it rested on, each with the index of its signal.
    pub samples: Vec<(usize, Sample)>,
    /// The number of the version of the settings that was in force.
    pub version: i64,
}

/// Which events are wished for.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct EventsWish {
    /// Only of this process.
    pub process: Option<String>,
    /// Not before this.
    pub from: Option<Timestamp>,
    /// Before this.
    pub to: Option<Timestamp>,
    /// Only of this kind: `scaled_up`.
    pub kind: Option<String>,
    /// Only this severe: `info`, `warning`, `error`.
    pub severity: Option<String>,
    /// At most so many.
    pub limit: u32,
    /// Those that come after the last one of a page before, by its cursor.
    pub before: Option<String>,
}

/// An event as it was kept.
#[derive(Debug, Clone, PartialEq)]
pub struct EventRow {
    /// Its number.
    pub id: i64,
    /// The process.
    pub process: ProcessName,
    /// When.
    pub at: Timestamp,
    /// What happened.
    pub event: Event,
}

/// A page of something, newest first.
#[derive(Debug, Clone, PartialEq)]
pub struct Page<Item> {
    /// What is on it.
    pub items: Vec<Item>,
    /// Where the next page begins; nothing when this is the last.
    pub next: Option<String>,
}

/// Settings that were in force.
#[derive(Debug, Clone, PartialEq)]
pub struct VersionRow {
    /// How ticks name it.
    pub id: i64,
    /// Its number among those of the process.
    pub number: i64,
    /// Since when.
    pub since: Timestamp,
    /// What was decided by.
    pub spec: PolicySpec,
    /// The settings as they may be shown.
    pub settings: Vec<ShownSetting>,
}

impl Reader {
    /// A reader of a place; connects when asked.
    #[must_use]
    pub fn new(place: Place) -> Self {
        Self { place, permits: Arc::new(Semaphore::new(MOST_CONNECTIONS)), idle: Arc::default(), damage: None }
    }

    /// The same; damage that it meets is noted there, and said in the log.
    pub(super) fn telling(self, damage: Arc<Mutex<Option<String>>>) -> Self {
        Self { damage: Some(damage), ..self }
    }

    /// The names of all processes that anything is kept of.
    ///
    /// # Errors
    /// When the store does not answer.
    pub async fn processes(&self) -> Result<Vec<String>, ReadError> {
        let rows = self.ask("SELECT name FROM autoscalebot_processes ORDER BY name", &[]).await?;
        Ok(rows.iter().filter_map(|row| row.text(0)).map(str::to_owned).collect())
    }

    /// A range of one process. Steps of five minutes and more are made from rollups, and of what is not rolled up yet.
    ///
    /// # Errors
    /// When the store does not answer.
    pub async fn series(&self, process: &str, signals: usize, wish: &SeriesWish) -> Result<Series, ReadError> {
        let (from, to) = (wish.from.as_microsecond(), wish.to.as_microsecond().max(wish.from.as_microsecond() + 1));
        let fine = ((to - from) / i64::from(wish.points.max(1))).max(1_000_000);
        let is_rollup = fine >= ROLLUP;
        // A step that is a whole number of rollups cuts none of them.
        let step = if is_rollup { (fine + ROLLUP - 1) / ROLLUP * ROLLUP } else { fine };
        let rolled = if is_rollup { self.rolled_up_to().await?.clamp(from, to) } else { from };
        let mut steps = Steps::new(step, signals);
        let Some(id) = self.process_id(process).await? else { return Ok(steps.series(is_rollup)) };
        let values = |from: i64, to: i64| -> [Value<'static>; 4] { [id.into(), from.into(), to.into(), step.into()] };
        if is_rollup {
            let begin = from.div_euclid(ROLLUP) * ROLLUP;
            for row in self.ask(&decisions_in_steps("decision_rollups"), &values(begin, rolled)).await? {
                steps.decision(&row);
            }
            for row in self.ask(ROLLED_SAMPLES, &values(begin, rolled)).await? {
                steps.samples(&row);
            }
        }
        for row in self.ask(&decisions_in_steps("decisions"), &values(rolled, to)).await? {
            steps.decision(&row);
        }
        for row in self.ask(SAMPLES, &values(rolled, to)).await? {
            steps.samples(&row);
        }
        Ok(steps.series(is_rollup))
    }

    /// Decisions, newest first.
    ///
    /// # Errors
    /// When the store does not answer, or the cursor is none.
    pub async fn decisions(&self, wish: &DecisionsWish) -> Result<Page<DecisionRow>, ReadError> {
        let mut question = Conditions::new(DECISIONS);
        if let Some(process) = &wish.process {
            question.and("p.name =", process.as_str());
        }
        question.between("d.at", wish.from, wish.to);
        if let Some(direction) = &wish.direction {
            question.and("d.direction =", direction.as_str());
        }
        if let Some(key) = &wish.key {
            question.and("d.reason_key =", key.as_str());
        }
        if wish.only_orders {
            // Written out, so that the index of orders is used.
            question.text.push_str(" AND d.ordered = 1");
        }
        if let Some(cursor) = &wish.before {
            let (at, run, seq) = decision_cursor(cursor)?;
            question.and("d.at <=", at);
            question.text.push_str(" AND (d.at, d.run_id, d.seq) < ");
            question.list([at, run, seq]);
        }
        let limit = i64::from(wish.limit.max(1));
        question.text.push_str(" ORDER BY d.at DESC, d.run_id DESC, d.seq DESC LIMIT ");
        question.value(limit + 1);
        let rows = self.ask(&question.text, &question.values).await?;
        let cursor = |row: &Row| format!("{}.{}.{}", whole(row, 1), whole(row, 2), whole(row, 3));
        page(&rows, limit, cursor, decision_row)
    }

    /// Events, newest first.
    ///
    /// # Errors
    /// When the store does not answer, or the cursor is none.
    pub async fn events(&self, wish: &EventsWish) -> Result<Page<EventRow>, ReadError> {
        let mut question = Conditions::new(EVENTS);
        if let Some(process) = &wish.process {
            question.and("p.name =", process.as_str());
        }
        question.between("e.at", wish.from, wish.to);
        if let Some(kind) = &wish.kind {
            question.and("e.kind =", kind.as_str());
        }
        if let Some(severity) = &wish.severity {
            question.and("e.severity =", severity.as_str());
        }
        if let Some(cursor) = &wish.before {
            let (at, id) = cursor
                .split_once('.')
                .and_then(|(at, id)| Some((at.parse().ok()?, id.parse().ok()?)))
                .ok_or_else(no_cursor)?;
            question.text.push_str(" AND (e.at, e.id) < ");
            question.list([at, id]);
        }
        let limit = i64::from(wish.limit.max(1));
        question.text.push_str(" ORDER BY e.at DESC, e.id DESC LIMIT ");
        question.value(limit + 1);
        let rows = self.ask(&question.text, &question.values).await?;
        page(&rows, limit, |row| format!("{}.{}", whole(row, 2), whole(row, 0)), event_row)
    }

    /// All versions of a process's settings, oldest first.
    ///
    /// # Errors
    /// When the store does not answer, or holds what cannot be read.
    pub async fn versions(&self, process: &str) -> Result<Vec<VersionRow>, ReadError> {
        let rows = self.ask(VERSIONS, &[process.into()]).await?;
        rows.iter().map(|row| version_row(row).ok_or_else(|| self.unreadable("a version of settings"))).collect()
    }

    /// Ticks of one process in their order, after the one of this run and number.
    ///
    /// # Errors
    /// When the store does not answer.
    pub async fn ticks_after(&self, process: &str, (run, seq): (i64, i64)) -> Result<Vec<Tick>, ReadError> {
        let Some(id) = self.process_id(process).await? else { return Ok(Vec::new()) };
        let values = [id.into(), run.into(), seq.into(), TICKS_AT_ONCE.into()];
        Ok(self.ask(TICKS_AFTER, &values).await?.iter().filter_map(tick).collect())
    }

    /// Where to begin reading [`Self::ticks_after`], so that every tick since this moment comes, and the newest kept state
    /// before it.
    ///
    /// # Errors
    /// When the store does not answer.
    pub async fn position_before(&self, process: &str, from: Timestamp) -> Result<(i64, i64), ReadError> {
        let Some(id) = self.process_id(process).await? else { return Ok((0, -1)) };
        let values = [id.into(), from.as_microsecond().into()];
        let first = self.ask(FIRST_SINCE, &values).await?;
        let Some((run, seq)) = first.first().and_then(|row| Some((row.int(0)?, row.int(1)?))) else {
            // Nothing since then: past everything.
            return Ok((i64::MAX, i64::MAX));
        };
        let kept = self.ask(KEPT_BEFORE, &[id.into(), run.into(), seq.into()]).await?;
        Ok(match kept.first().and_then(|row| Some((row.int(0)?, row.int(1)?))) {
            Some((run, seq)) => (run, seq - 1),
            None => (run, seq - 1),
        })
    }

    /// What is known of every process from its newest ticks; with `before`, from those of runs before this one.
    ///
    /// # Errors
    /// When the store does not answer.
    pub async fn remembered(
        &self,
        host: &Host,
        before: Option<i64>,
    ) -> Result<BTreeMap<ProcessName, Remembered>, ReadError> {
        let mut all = BTreeMap::new();
        let names = self.ask("SELECT id, name FROM autoscalebot_processes", &[]).await?;
        for row in &names {
            let (Some(id), Some(Ok(name))) = (row.int(0), row.text(1).map(ProcessName::new)) else { continue };
            match self.remembered_of(id, &name, before, host).await {
                Ok(Some(remembered)) => {
                    all.insert(name, remembered);
                }
                Ok(None) => {}
                Err(error) if error.key == "unreadable" => tracing::warn!(process = %name, %error, "begins anew"),
                Err(error) => return Err(error),
            }
        }
        Ok(all)
    }

    async fn remembered_of(
        &self,
        id: i64,
        name: &ProcessName,
        before: Option<i64>,
        host: &Host,
    ) -> Result<Option<Remembered>, ReadError> {
        let before = before.unwrap_or(i64::MAX);
        let kept = self.ask(NEWEST_KEPT, &[id.into(), before.into()]).await?;
        let Some((run, seq)) = kept.first().and_then(|row| Some((row.int(0)?, row.int(1)?))) else { return Ok(None) };
        let values = [id.into(), run.into(), (seq - 1).into(), i64::MAX.into()];
        let rows = self.ask(TICKS_AFTER, &values).await?;
        let ticks: Vec<Tick> = rows.iter().filter_map(tick).filter(|tick| tick.run < before).collect();
        let versions = self.versions(name.as_str()).await?;
        let mut policies: HashMap<i64, Arc<Policy>> = HashMap::new();
        let mut replayer: Option<Replayer> = None;
        let mut version = None;
        for tick in &ticks {
            let Some(row) = versions.iter().find(|row| row.id == tick.version) else {
                return Err(self.unreadable("settings that are not kept"));
            };
            let policy = match policies.get(&row.id) {
                Some(policy) => policy.clone(),
                None => {
                    let Ok(policy) = row.spec.build(name.as_str(), host) else { return Ok(None) };
                    let policy = Arc::new(policy);
                    policies.insert(row.id, policy.clone());
                    policy
                }
            };
            version = Some(row);
            let replayer = replayer.get_or_insert_with(|| Replayer::new(policy.clone()));
            replayer.set_policy(policy);
            replayer.step(tick).map_err(|_| self.unreadable("a tick"))?;
        }
        let Some((replayer, version)) = replayer.zip(version) else { return Ok(None) };
        let (state, unsettled) = replayer.finish();
        let Some(at) = ticks.last().and_then(|tick| tick.input().ok()).map(|input| input.at) else { return Ok(None) };
        Ok(state.map(|state| Remembered {
            at,
            state,
            unsettled,
            spec: version.spec.clone(),
            settings: version.settings.clone(),
        }))
    }

    async fn process_id(&self, process: &str) -> Result<Option<i64>, ReadError> {
        let rows = self.ask("SELECT id FROM autoscalebot_processes WHERE name = $1", &[process.into()]).await?;
        Ok(rows.first().and_then(|row| row.int(0)))
    }

    async fn rolled_up_to(&self) -> Result<i64, ReadError> {
        let rows = self.ask("SELECT at FROM autoscalebot_chores WHERE name = 'rollups'", &[]).await?;
        Ok(rows.first().and_then(|row| row.int(0)).unwrap_or(0))
    }

    /// Asks, within the limit; connecting is part of it.
    pub(super) async fn ask(&self, question: &str, values: &[Value<'_>]) -> Result<Vec<Row>, ReadError> {
        let asking = async {
            // The semaphore is never closed.
            let _permit = self.permits.acquire().await.ok();
            let idle = self.idle().pop().filter(Link::is_current);
            let mut link = match idle {
                Some(link) => link,
                None => Link::open_for_reading(&self.place).await?,
            };
            let mut answer = link.fetch(question, values).await;
            if answer.as_ref().is_err_and(error::is_about_the_connection) {
                // The server was restarted, or dropped whom it had not heard of for long.
                self.idle().clear();
                link = Link::open_for_reading(&self.place).await?;
                answer = link.fetch(question, values).await;
            }
            if answer.is_ok() {
                self.idle().push(link);
            }
            answer
        };
        let answer = timeout(QUESTION_LIMIT, asking).await.unwrap_or(Err(sqlx::Error::PoolTimedOut));
        answer.map_err(|error| {
            let message = error::in_words(&self.place, &error);
            if error::is_damage(&self.place, &error) {
                self.note_damage(&message);
            }
            ReadError { key: error::key(&error), message }
        })
    }

    fn note_damage(&self, message: &str) {
        let Some(damage) = &self.damage else { return };
        let mut noted = damage.lock().unwrap_or_else(PoisonError::into_inner);
        if noted.is_none() {
            tracing::warn!(error = message, "the store is damaged; bots go on, and what was kept may be lost");
            *noted = Some(message.to_owned());
        }
    }

    fn idle(&self) -> std::sync::MutexGuard<'_, Vec<Link>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn unreadable(&self, what: &str) -> ReadError {
        let message = format!("{}: {what} in it cannot be read by this version of autoscalebot", self.place.shown());
        ReadError { key: "unreadable", message }
    }
}

fn decisions_in_steps(table: &str) -> String {
    format!(
        "SELECT at / $4 * $4, max(running), max(wanted), min(least), max(most) FROM autoscalebot_{table} \
         WHERE process_id = $1 AND at >= $2 AND at < $3 GROUP BY at / $4 * $4 ORDER BY 1"
    )
}

const SAMPLES: &str = "SELECT at / $4 * $4, signal, sum(reading), count(reading), min(reading), max(reading), \
     count(failure) FROM autoscalebot_samples WHERE process_id = $1 AND at >= $2 AND at < $3 \
     GROUP BY at / $4 * $4, signal ORDER BY 1";
const ROLLED_SAMPLES: &str = "SELECT at / $4 * $4, signal, sum(total), CAST(sum(readings) AS BIGINT), min(lowest), \
     max(highest), CAST(sum(failures) AS BIGINT) FROM autoscalebot_sample_rollups \
     WHERE process_id = $1 AND at >= $2 AND at < $3 GROUP BY at / $4 * $4, signal ORDER BY 1";
const DECISIONS: &str = "SELECT p.name, d.at, d.run_id, d.seq, t.input, t.outcome, t.settled, v.number \
     FROM autoscalebot_decisions d JOIN autoscalebot_processes p ON p.id = d.process_id \
     JOIN autoscalebot_ticks t ON t.process_id = d.process_id AND t.run_id = d.run_id AND t.seq = d.seq \
     JOIN autoscalebot_versions v ON v.id = t.version_id WHERE 1 = 1";
const EVENTS: &str = "SELECT e.id, p.name, e.at, e.body FROM autoscalebot_events e \
     JOIN autoscalebot_processes p ON p.id = e.process_id WHERE 1 = 1";
const VERSIONS: &str = "SELECT v.id, v.number, v.at, v.spec, v.settings FROM autoscalebot_versions v \
     JOIN autoscalebot_processes p ON p.id = v.process_id WHERE p.name = $1 ORDER BY v.number";
const TICKS_AFTER: &str = "SELECT run_id, seq, version_id, begins, state, input, outcome, settled \
     FROM autoscalebot_ticks WHERE process_id = $1 AND (run_id, seq) > ($2, $3) ORDER BY run_id, seq LIMIT $4";
const FIRST_SINCE: &str = "SELECT run_id, seq FROM autoscalebot_decisions WHERE process_id = $1 AND at >= $2 \
     ORDER BY run_id, seq LIMIT 1";
const KEPT_BEFORE: &str = "SELECT run_id, seq FROM autoscalebot_ticks WHERE process_id = $1 \
     AND (run_id, seq) <= ($2, $3) AND state IS NOT NULL ORDER BY run_id DESC, seq DESC LIMIT 1";
const NEWEST_KEPT: &str = "SELECT run_id, seq FROM autoscalebot_ticks WHERE process_id = $1 AND run_id < $2 \
     AND state IS NOT NULL \
     ORDER BY run_id DESC, seq DESC LIMIT 1";

fn no_cursor() -> ReadError {
    ReadError { key: "bad_cursor", message: "this is no cursor; use `next` of the page before".to_owned() }
}

fn decision_cursor(cursor: &str) -> Result<(i64, i64, i64), ReadError> {
    let mut parts = cursor.split('.').map(str::parse::<i64>);
    match (parts.next(), parts.next(), parts.next(), parts.next()) {
        (Some(Ok(at)), Some(Ok(run)), Some(Ok(seq)), None) => Ok((at, run, seq)),
        _ => Err(no_cursor()),
    }
}

/// One row more than the limit was asked for, to know whether there are more.
fn page<Item>(
    rows: &[Row],
    limit: i64,
    cursor: impl Fn(&Row) -> String,
    item: impl Fn(&Row) -> Option<Item>,
) -> Result<Page<Item>, ReadError> {
    let limit = usize::try_from(limit).unwrap_or(usize::MAX);
    let next = (rows.len() > limit).then(|| cursor(&rows[limit - 1]));
    // What another version has written and this one cannot read is left out.
    Ok(Page { items: rows.iter().take(limit).filter_map(item).collect(), next })
}

fn whole(row: &Row, index: usize) -> i64 {
    row.int(index).unwrap_or_default()
}

pub(super) fn time(row: &Row, index: usize) -> Option<Timestamp> {
    Timestamp::from_microsecond(row.int(index)?).ok()
}

/// A decision in the columns of [`DECISIONS`].
pub(super) fn decision_row(row: &Row) -> Option<DecisionRow> {
    let tick = Tick {
        run: row.int(2)?,
        seq: row.int(3)?,
        version: row.int(7)?,
        begins: None,
        state: None,
        input: row.text(4)?.to_owned(),
        outcome: row.text(5)?.to_owned(),
        settled: row.text(6).map(str::to_owned),
    };
    let (process, at, version) = (row.text(0)?.to_owned(), time(row, 1)?, tick.version);
    let settled = tick.result().ok()?.map(|result| result.settled.into_owned());
    let samples = tick.input().ok()?.samples.into_owned();
    Some(DecisionRow { process, at, outcome: tick.outcome().ok()?, settled, samples, version })
}

fn event_row(row: &Row) -> Option<EventRow> {
    let event = serde_json::from_str(row.text(3)?).ok()?;
    Some(EventRow { id: row.int(0)?, process: ProcessName::new(row.text(1)?).ok()?, at: time(row, 2)?, event })
}

fn version_row(row: &Row) -> Option<VersionRow> {
    Some(VersionRow {
        id: row.int(0)?,
        number: row.int(1)?,
        since: time(row, 2)?,
        spec: serde_json::from_str(row.text(3)?).ok()?,
        settings: serde_json::from_str(row.text(4)?).ok()?,
    })
}

fn tick(row: &Row) -> Option<Tick> {
    Some(Tick {
        run: row.int(0)?,
        seq: row.int(1)?,
        version: row.int(2)?,
        begins: row.text(3).map(str::to_owned),
        state: row.text(4).map(str::to_owned),
        input: row.text(5)?.to_owned(),
        outcome: row.text(6)?.to_owned(),
        settled: row.text(7).map(str::to_owned),
    })
}

/// Rows of several questions, put together by the beginnings of their steps.
struct Steps {
    step: i64,
    signals: usize,
    steps: BTreeMap<i64, StepRow>,
}

#[derive(Default, Clone)]
struct StepRow {
    running: Option<i64>,
    wanted: Option<i64>,
    min: Option<i64>,
    max: Option<i64>,
    signals: Vec<SignalStep>,
}

#[derive(Default, Clone)]
struct SignalStep {
    total: f64,
    readings: i64,
    lowest: Option<f64>,
    highest: Option<f64>,
    failures: i64,
}

impl Steps {
    fn new(step: i64, signals: usize) -> Self {
        Self { step, signals, steps: BTreeMap::new() }
    }

    fn at(&mut self, row: &Row) -> &mut StepRow {
        let empty = || StepRow { signals: vec![SignalStep::default(); self.signals], ..StepRow::default() };
        self.steps.entry(whole(row, 0)).or_insert_with(empty)
    }

    fn decision(&mut self, row: &Row) {
        let step = self.at(row);
        step.running = step.running.max(row.int(1));
        step.wanted = step.wanted.max(row.int(2));
        step.min = [step.min, row.int(3)].into_iter().flatten().min();
        step.max = step.max.max(row.int(4));
    }

    fn samples(&mut self, row: &Row) {
        let index = usize::try_from(whole(row, 1)).unwrap_or(usize::MAX);
        let Some(signal) = self.at(row).signals.get_mut(index) else { return };
        signal.total += row.real(2).unwrap_or_default();
        signal.readings += whole(row, 3);
        signal.lowest = [signal.lowest, row.real(4)].into_iter().flatten().reduce(f64::min);
        signal.highest = [signal.highest, row.real(5)].into_iter().flatten().reduce(f64::max);
        signal.failures += whole(row, 6);
    }

    fn series(self, is_rollup: bool) -> Series {
        let rows: Vec<(i64, StepRow)> = self.steps.into_iter().collect();
        let of = |pick: fn(&StepRow) -> Option<i64>| rows.iter().map(|(_, row)| pick(row)).collect();
        #[expect(clippy::cast_precision_loss, reason = "nobody measures 2^52 times in a step")]
        let mean = |step: &SignalStep| (step.readings > 0).then(|| step.total / step.readings as f64);
        let signal = |index: usize| {
            let steps = || rows.iter().map(move |(_, row)| &row.signals[index]);
            SignalSeries {
                mean: steps().map(mean).collect(),
                lowest: steps().map(|step| step.lowest).collect(),
                highest: steps().map(|step| step.highest).collect(),
                failures: steps().map(|step| step.failures).collect(),
            }
        };
        Series {
            step: Duration::from_micros(self.step.unsigned_abs()),
            is_rollup,
            at_ms: rows.iter().map(|(at, _)| at / 1000).collect(),
            running: of(|row| row.running),
            wanted: of(|row| row.wanted),
            min: of(|row| row.min),
            max: of(|row| row.max),
            signals: (0..self.signals).map(signal).collect(),
        }
    }
}
