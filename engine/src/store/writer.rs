//! The one who writes: takes what bots say from a bounded queue, many at a time, and commits it.
//!
//! ```text
//!  bots ─► queue (bounded; what does not fit is lost, and said) ─► batch ─► one transaction ─► database
//! ```
//!
//! No bot ever waits for it, but for the one moment before an order (see [`super::Recorder::record_intent`]). A database
//! that is gone, full or broken is tried again after a growing pause; meanwhile the queue fills, and what it cannot hold
//! is counted. A process that lost ticks is marked: what comes next begins a new row of ticks, so that nothing is replayed
//! across a hole.

use std::{
    borrow::Cow,
    collections::{BTreeMap, HashMap, HashSet},
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use autoscalebot_core::{event::Event, moment::Moment, names::ProcessName, wait::Backoff};
use tokio::{
    sync::{
        mpsc::{self, error::TrySendError},
        oneshot,
    },
    time::timeout,
};
use tracing::{info, warn};

use super::{
    chores::{Chores, Keep},
    database::{Link, Value},
    error,
    place::Place,
    record::{Begins, TickRecord},
};
use crate::{clock::Clock, config::ShownSetting, notification::text, policy::PolicySpec};

/// What may wait to be written. At half a kilobyte each, ten megabytes; ten thousand processes fill it in twenty seconds.
pub const MOST_WAITING: usize = 20_000;

/// Written in one transaction.
const LARGEST_BATCH: usize = 1_000;

/// Rows in one statement. Statements are prepared once per number of rows, so there are few numbers.
const ROWS_IN_A_STATEMENT: [usize; 4] = [100, 25, 5, 1];

/// After the first of a batch, more is waited for: a transaction costs more than a row. A kill loses no more than this.
const GATHERING: Duration = Duration::from_millis(100);

/// A batch that the database has not taken by then has failed.
const BATCH_LIMIT: Duration = Duration::from_secs(30);

/// Between two looks for chores.
const CHORES_EVERY: Duration = Duration::from_secs(60);

/// What is to be written.
pub enum Message {
    /// A tick.
    Tick(Box<TickRow>),
    /// What became of the order of a tick.
    Result(Box<ResultRow>),
    /// Something that happened.
    Event(Box<EventRow>),
    /// Say when all that came before is safe.
    Flush(oneshot::Sender<()>),
    /// The same, and nothing comes after it.
    Close(oneshot::Sender<()>),
}

impl Message {
    /// Whether somebody waits for it, and it holds nothing to be kept.
    fn is_waited_for(&self) -> bool {
        matches!(self, Self::Flush(_) | Self::Close(_))
    }
}

/// A tick with whose it is.
pub struct TickRow {
    pub process: ProcessName,
    pub version: Arc<Version>,
    pub seq: u64,
    pub begins: Option<Begins>,
    pub record: TickRecord,
}

/// What became of an order.
pub struct ResultRow {
    pub process: ProcessName,
    pub seq: u64,
    pub settled: String,
}

/// Something that happened.
pub struct EventRow {
    pub process: ProcessName,
    pub at: Moment,
    pub event: Event,
}

/// What a bot decides by.
pub struct Version {
    pub spec: Arc<PolicySpec>,
    pub shown: Option<Arc<[ShownSetting]>>,
}

/// How the store is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Health {
    /// Why nothing can be written at present, or what is kept cannot be read, in words.
    pub error: Option<String>,
    /// What was lost since the program started.
    pub lost: u64,
    /// What waits to be written.
    pub waiting: usize,
}

/// The end of the queue that bots see.
pub struct Queue {
    sender: mpsc::Sender<Message>,
    /// What was lost.
    losses: AtomicU64,
    /// Grows whenever what comes next may not follow from what is kept, so that whoever may be concerned begins anew.
    pub breaks: AtomicU64,
    pub error: Mutex<Option<String>>,
    /// What a reader met in the file that cannot be right. It stays true until the file is another one, even when what is
    /// written goes elsewhere in it and succeeds.
    pub damage: Arc<Mutex<Option<String>>>,
    /// This run of the program, once it is in the store.
    pub run: Mutex<Option<i64>>,
    /// The number of each process's present version of its settings.
    pub versions: Mutex<HashMap<ProcessName, i64>>,
}

impl Queue {
    pub fn new() -> (Arc<Self>, mpsc::Receiver<Message>) {
        let (sender, receiver) = mpsc::channel(MOST_WAITING);
        let queue = Self {
            sender,
            losses: AtomicU64::new(0),
            breaks: AtomicU64::new(0),
            error: Mutex::default(),
            damage: Arc::default(),
            run: Mutex::default(),
            versions: Mutex::default(),
        };
        (Arc::new(queue), receiver)
    }

    /// Whether there was room. What there is no room for is lost, and counted.
    pub fn put(&self, message: Message) -> bool {
        match self.sender.try_send(message) {
            Ok(()) => true,
            Err(TrySendError::Full(message) | TrySendError::Closed(message)) if message.is_waited_for() => false,
            Err(_) => {
                self.lost(1);
                false
            }
        }
    }

    fn lost(&self, records: u64) {
        self.losses.fetch_add(records, Ordering::Relaxed);
        self.breaks.fetch_add(1, Ordering::Relaxed);
    }

    pub fn health(&self) -> Health {
        let of = |error: &Mutex<Option<String>>| error.lock().unwrap_or_else(PoisonError::into_inner).clone();
        Health {
            error: of(&self.error).or_else(|| of(&self.damage)),
            lost: self.losses.load(Ordering::Relaxed),
            waiting: MOST_WAITING - self.sender.capacity(),
        }
    }

    pub fn is_fine(&self) -> bool {
        self.error.lock().unwrap_or_else(PoisonError::into_inner).is_none()
    }

    fn set_error(&self, error: Option<String>) -> bool {
        let mut current = self.error.lock().unwrap_or_else(PoisonError::into_inner);
        let changes = current.is_some() != error.is_some();
        *current = error;
        changes
    }
}

/// Writes until the queue's last sender is gone.
pub struct Writer {
    pub place: Place,
    pub queue: std::sync::Weak<Queue>,
    pub messages: mpsc::Receiver<Message>,
    pub clock: Arc<dyn Clock>,
    pub keep: Keep,
    pub link: Option<Opened>,
    /// Who waits for the end.
    pub closing: Option<oneshot::Sender<()>>,
    /// Processes whose next tick does not follow from what is kept: the one before it is lost, or in another file.
    pub broken: HashSet<ProcessName>,
}

/// A database that can be written to.
pub struct Opened {
    pub link: Link,
    pub run: Option<i64>,
    pub processes: HashMap<ProcessName, i64>,
    pub versions: HashMap<ProcessName, (Arc<Version>, i64)>,
    /// When the newest tick was that was written over this connection. What came before it has been written too: the queue
    /// keeps the order.
    pub written: Option<Moment>,
}

impl Opened {
    pub async fn open(place: &Place) -> Result<Self, sqlx::Error> {
        let mut link = Link::open(place).await?;
        let rows = link.fetch("SELECT name, id FROM autoscalebot_processes", &[]).await?;
        let named = |row: &super::database::Row| Some((ProcessName::new(row.text(0)?).ok()?, row.int(1)?));
        let processes = rows.iter().filter_map(named).collect();
        Ok(Self { link, run: None, processes, versions: HashMap::new(), written: None })
    }
}

impl Writer {
    pub async fn run(mut self) {
        let mut batch = Vec::new();
        let mut pause = Backoff::default();
        let mut run = self.link.as_ref().and_then(|opened| opened.run);
        let mut chores = Chores::new(self.keep);
        let mut next_chores = self.clock.now().since_start.saturating_add(CHORES_EVERY);
        loop {
            if batch.is_empty() {
                let next = timeout(CHORES_EVERY, self.messages.recv()).await;
                match next {
                    Ok(None) => break,
                    Ok(Some(message)) => batch.push(message),
                    Err(_) => {}
                }
                self.gather(&mut batch).await;
            }
            if !batch.is_empty() {
                match self.write(&mut batch, &mut run).await {
                    Ok(()) => {
                        pause.succeeded();
                        self.say(None);
                    }
                    Err(error) => {
                        let is_poison = error::is_about_the_rows(&error);
                        self.say(Some(error::in_words(&self.place, &error)));
                        self.link = None;
                        if is_poison {
                            self.drop_batch(&mut batch);
                        }
                        // Whoever waits for this to be safe need not wait for a pause.
                        batch.retain(|message| !message.is_waited_for());
                        let now = self.clock.now();
                        let pause = pause.failed(None, &now);
                        if self.rest(pause).await {
                            break;
                        }
                    }
                }
            }
            if self.closing.is_some() {
                break;
            }
            let now = self.clock.now();
            if now.since_start >= next_chores {
                next_chores = now.since_start.saturating_add(CHORES_EVERY);
                if let Some(opened) = &mut self.link
                    && let Err(error) = chores.run(opened, &self.place, &now).await
                {
                    self.say(Some(error::in_words(&self.place, &error)));
                    self.link = None;
                }
            }
        }
        if let Some(opened) = self.link {
            opened.link.close().await;
        }
        if let Some(done) = self.closing {
            let _ = done.send(());
        }
    }

    /// More messages, as far as they come soon. Whoever waits for a message to be safe ends the waiting.
    async fn gather(&mut self, batch: &mut Vec<Message>) {
        let soon = tokio::time::sleep(GATHERING);
        tokio::pin!(soon);
        while !batch.is_empty() && batch.len() < LARGEST_BATCH && !batch.last().is_some_and(Message::is_waited_for) {
            let room = LARGEST_BATCH - batch.len();
            tokio::select! {
                biased;
                received = self.messages.recv_many(batch, room) => {
                    if received == 0 || batch.iter().any(Message::is_waited_for) {
                        return;
                    }
                }
                () = &mut soon => return,
            }
        }
    }

    /// Waits while nothing can be written; whether the program ended meanwhile. What waits stays in the queue.
    async fn rest(&mut self, pause: Duration) -> bool {
        tokio::select! {
            () = self.clock.sleep(pause) => false,
            () = self.abandoned() => true,
        }
    }

    /// Returns when nobody can put anything into the queue any more.
    async fn abandoned(&self) {
        while self.queue.strong_count() > 0 {
            tokio::time::sleep(GATHERING).await;
        }
    }

    fn say(&self, error: Option<String>) {
        let Some(queue) = self.queue.upgrade() else { return };
        let shown = error.clone();
        if queue.set_error(error) {
            match shown {
                Some(error) => warn!(error, "the store cannot be written; bots go on, and what happens is not kept"),
                None => match queue.losses.load(Ordering::Relaxed) {
                    0 => info!("the store is written again, and nothing was lost"),
                    lost => warn!(lost, "the store is written again; what did not fit into the queue was lost"),
                },
            }
        }
    }

    /// What is in the batch is given up.
    fn drop_batch(&mut self, batch: &mut Vec<Message>) {
        let lost = batch.drain(..).filter(|message| match message {
            Message::Tick(row) => {
                self.broken.insert(row.process.clone());
                true
            }
            Message::Result(_) | Message::Event(_) => true,
            Message::Flush(_) | Message::Close(_) => false,
        });
        let lost = lost.count() as u64;
        if let Some(queue) = self.queue.upgrade() {
            queue.lost(lost);
        }
    }

    /// Writes all of the batch, or nothing of it.
    async fn write(&mut self, batch: &mut Vec<Message>, run: &mut Option<i64>) -> Result<(), sqlx::Error> {
        let now = self.clock.now();
        if let Some(left) = self.link.take_if(|opened| !opened.link.is_current()) {
            warn!(
                store = self.place.shown(),
                "the store was removed or replaced while it was used; a new one is begun"
            );
            *run = None;
            self.broken.extend(left.processes.into_keys());
            if let Some(queue) = self.queue.upgrade() {
                // So that ticks to come bring their state.
                queue.breaks.fetch_add(1, Ordering::Relaxed);
                *queue.damage.lock().unwrap_or_else(PoisonError::into_inner) = None;
            }
        }
        if !self.broken.is_empty() {
            self.mark_breaks(batch);
        }
        let is_old = self.link.is_some();
        let mut written = self.transaction(batch, *run, &now).await;
        if is_old && written.as_ref().is_err_and(|error| !error::is_about_the_rows(error)) {
            // A server was restarted, or dropped whom it had not heard of for long: nothing to speak of.
            self.link = None;
            written = self.transaction(batch, *run, &now).await;
        }
        let versions = written?;
        *run = self.link.as_ref().and_then(|opened| opened.run);
        if let Some(queue) = self.queue.upgrade() {
            *queue.run.lock().unwrap_or_else(PoisonError::into_inner) = *run;
            queue.versions.lock().unwrap_or_else(PoisonError::into_inner).extend(versions);
        }
        for message in batch.drain(..) {
            match message {
                // Whoever asked may have lost patience.
                Message::Flush(done) => drop(done.send(())),
                Message::Close(done) => self.closing = Some(done),
                Message::Tick(_) | Message::Result(_) | Message::Event(_) => {}
            }
        }
        Ok(())
    }

    /// Nothing is replayed across a break. A tick that does not bring its state is kept all the same, for charts and for the
    /// journal.
    fn mark_breaks(&mut self, batch: &mut [Message]) {
        for message in batch {
            if let Message::Tick(row) = message
                && self.broken.remove(&row.process)
            {
                row.begins.get_or_insert(Begins::Gap);
            }
        }
    }

    /// One transaction, within its limit; connects if need be. The numbers of new versions of settings.
    async fn transaction(
        &mut self,
        batch: &[Message],
        run: Option<i64>,
        now: &Moment,
    ) -> Result<BTreeMap<ProcessName, i64>, sqlx::Error> {
        let writing = async {
            let opened = match &mut self.link {
                Some(opened) => opened,
                None => {
                    let mut opened = Opened::open(&self.place).await?;
                    opened.go_on_with(run).await?;
                    self.link.insert(opened)
                }
            };
            opened.link.execute("BEGIN", &[]).await?;
            let versions = opened.insert(batch, now).await?;
            opened.link.execute("COMMIT", &[]).await?;
            Ok(versions)
        };
        timeout(BATCH_LIMIT, writing).await.unwrap_or(Err(sqlx::Error::PoolTimedOut))
    }
}

impl Opened {
    /// Writes; the numbers of new versions of settings.
    async fn insert(&mut self, batch: &[Message], now: &Moment) -> Result<BTreeMap<ProcessName, i64>, sqlx::Error> {
        let run = self.run(now).await?;
        let mut new_versions = BTreeMap::new();
        let (mut ticks, mut decisions, mut samples, mut events) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
        for message in batch {
            match message {
                Message::Tick(row) => {
                    let process = self.process(&row.process).await?;
                    let version = self.version(process, row, now, &mut new_versions).await?;
                    let TickRecord { at, input, outcome, short, samples: in_short, state } = &row.record;
                    self.written = self.written.filter(|newest| newest.since_start > at.since_start).or(Some(*at));
                    let (seq, at) = (row.seq.cast_signed(), microseconds(at));
                    let state = state.as_ref().map(|state| Cow::Owned(super::record::text(state)));
                    ticks.push([
                        process.into(),
                        run.into(),
                        seq.into(),
                        at.into(),
                        version.into(),
                        row.begins.map(Begins::key).into(),
                        Value::Text(state),
                        input.as_str().into(),
                        outcome.as_str().into(),
                    ]);
                    decisions.push([
                        process.into(),
                        at.into(),
                        run.into(),
                        seq.into(),
                        short.running.map(i64::from).into(),
                        short.wanted.map(i64::from).into(),
                        i64::from(short.least).into(),
                        i64::from(short.most).into(),
                        direction(short.direction).into(),
                        Value::from(&*short.key),
                        i64::from(short.is_ordered).into(),
                    ]);
                    for sample in in_short {
                        samples.push([
                            process.into(),
                            i64::try_from(sample.signal).unwrap_or(i64::MAX).into(),
                            microseconds(&sample.at).into(),
                            sample.reading.into(),
                            sample.failure.as_deref().into(),
                        ]);
                    }
                }
                Message::Event(row) => {
                    let process = self.process(&row.process).await?;
                    events.push([
                        process.into(),
                        microseconds(&row.at).into(),
                        text::key(&row.event).into(),
                        text::severity(&row.event).key().into(),
                        Value::Text(Some(Cow::Owned(super::record::text(&row.event)))),
                    ]);
                }
                Message::Result(_) | Message::Flush(_) | Message::Close(_) => {}
            }
        }
        insert_rows(&mut self.link, TICKS, &ticks).await?;
        insert_rows(&mut self.link, DECISIONS, &decisions).await?;
        insert_rows(&mut self.link, SAMPLES, &samples).await?;
        insert_rows(&mut self.link, EVENTS, &events).await?;
        for message in batch {
            if let Message::Result(row) = message {
                let process = self.process(&row.process).await?;
                let values = [row.settled.as_str().into(), process.into(), run.into(), row.seq.cast_signed().into()];
                self.link.execute(SETTLE, &values).await?;
            }
        }
        if let Some(last) = self.written {
            let values = [microseconds(&last).into(), nanoseconds(last.since_start).into(), run.into()];
            self.link.execute(REACHED, &values).await?;
        }
        Ok(new_versions)
    }

    /// Goes on with a run, if it is here: what is there may be another database than before, and its next run must not
    /// have the number of this one.
    async fn go_on_with(&mut self, run: Option<i64>) -> Result<(), sqlx::Error> {
        let Some(run) = run else { return Ok(()) };
        let rows = self.link.fetch("SELECT id FROM autoscalebot_runs WHERE id = $1", &[run.into()]).await?;
        self.run = rows.first().map(|_| run);
        Ok(())
    }

    /// This run of the program; noted with its first batch.
    async fn run(&mut self, now: &Moment) -> Result<i64, sqlx::Error> {
        if let Some(run) = self.run {
            return Ok(run);
        }
        let (at, since_start) = (microseconds(now), nanoseconds(now.since_start));
        let values = [at.into(), env!("CARGO_PKG_VERSION").into(), at.into(), since_start.into()];
        let rows = self.link.fetch(NEW_RUN, &values).await?;
        let run = rows.first().and_then(|row| row.int(0)).ok_or(sqlx::Error::RowNotFound)?;
        self.run = Some(run);
        Ok(run)
    }

    async fn process(&mut self, name: &ProcessName) -> Result<i64, sqlx::Error> {
        if let Some(id) = self.processes.get(name) {
            return Ok(*id);
        }
        let rows = self.link.fetch(NEW_PROCESS, &[name.as_str().into()]).await?;
        let id = rows.first().and_then(|row| row.int(0)).ok_or(sqlx::Error::RowNotFound)?;
        self.processes.insert(name.clone(), id);
        Ok(id)
    }

    /// The version of the settings that a tick was decided by.
    async fn version(
        &mut self,
        process: i64,
        row: &TickRow,
        now: &Moment,
        new_versions: &mut BTreeMap<ProcessName, i64>,
    ) -> Result<i64, sqlx::Error> {
        if let Some((known, id)) = self.versions.get(&row.process)
            && Arc::ptr_eq(known, &row.version)
        {
            return Ok(*id);
        }
        let spec = super::record::text(&row.version.spec.storable());
        let settings = super::record::text(&row.version.shown.as_deref().unwrap_or_default());
        let newest = self.link.fetch(NEWEST_VERSION, &[process.into()]).await?;
        let newest = newest.first();
        let as_before = newest.filter(|row| row.text(2) == Some(&spec) && row.text(3) == Some(&settings));
        let (id, number) = match as_before {
            Some(row) => (row.int(0), row.int(1)),
            None => {
                let number = newest.and_then(|row| row.int(1)).unwrap_or(0) + 1;
                let values = [
                    process.into(),
                    number.into(),
                    microseconds(now).into(),
                    spec.as_str().into(),
                    settings.as_str().into(),
                ];
                (self.link.fetch(NEW_VERSION, &values).await?.first().and_then(|row| row.int(0)), Some(number))
            }
        };
        let (id, number) = id.zip(number).ok_or(sqlx::Error::RowNotFound)?;
        self.versions.insert(row.process.clone(), (row.version.clone(), id));
        new_versions.insert(row.process.clone(), number);
        Ok(id)
    }
}

/// The beginning and the end of a statement that inserts.
type Insert = (&'static str, &'static str);

const TICKS: Insert = (
    "INSERT INTO autoscalebot_ticks \
     (process_id, run_id, seq, at, version_id, begins, state, input, outcome) VALUES ",
    "",
);
const DECISIONS: Insert = (
    "INSERT INTO autoscalebot_decisions \
     (process_id, at, run_id, seq, running, wanted, least, most, direction, reason_key, ordered) VALUES ",
    "",
);
// The wall clock may be set back, and then a moment can come twice. The tick itself has both.
const SAMPLES: Insert =
    ("INSERT INTO autoscalebot_samples (process_id, signal, at, reading, failure) VALUES ", " ON CONFLICT DO NOTHING");
const EVENTS: Insert = ("INSERT INTO autoscalebot_events (process_id, at, kind, severity, body) VALUES ", "");
const SETTLE: &str = "UPDATE autoscalebot_ticks SET settled = $1 WHERE process_id = $2 AND run_id = $3 AND seq = $4";
const REACHED: &str = "UPDATE autoscalebot_runs SET last_at = $1, last_since_start = $2 WHERE id = $3";
const NEW_RUN: &str = "INSERT INTO autoscalebot_runs (started_at, program, last_at, last_since_start) \
                       VALUES ($1, $2, $3, $4) RETURNING id";
// The other writer of the same name, if there is one, was first; then its row is the one.
const NEW_PROCESS: &str = "INSERT INTO autoscalebot_processes (name) VALUES ($1) \
                           ON CONFLICT (name) DO UPDATE SET name = excluded.name RETURNING id";
const NEWEST_VERSION: &str = "SELECT id, number, spec, settings FROM autoscalebot_versions \
                              WHERE process_id = $1 ORDER BY number DESC LIMIT 1";
const NEW_VERSION: &str = "INSERT INTO autoscalebot_versions (process_id, number, at, spec, settings) \
                           VALUES ($1, $2, $3, $4, $5) RETURNING id";

async fn insert_rows<const COLUMNS: usize>(
    link: &mut Link,
    (begin, end): Insert,
    rows: &[[Value<'_>; COLUMNS]],
) -> Result<(), sqlx::Error> {
    let mut rest = rows;
    for size in ROWS_IN_A_STATEMENT {
        while rest.len() >= size {
            let (now, later) = rest.split_at(size);
            let values: Vec<Value<'_>> = now.iter().flatten().cloned().collect();
            link.execute(&format!("{begin}{}{end}", placeholders(size, COLUMNS)), &values).await?;
            rest = later;
        }
    }
    Ok(())
}

/// `($1, $2), ($3, $4)`
fn placeholders(rows: usize, columns: usize) -> String {
    let row = |row: usize| {
        let cells: Vec<String> = (1..=columns).map(|column| format!("${}", row * columns + column)).collect();
        format!("({})", cells.join(", "))
    };
    (0..rows).map(row).collect::<Vec<_>>().join(", ")
}

fn direction(direction: autoscalebot_core::decision::Direction) -> &'static str {
    use autoscalebot_core::decision::Direction;
    match direction {
        Direction::Up => "up",
        Direction::Down => "down",
        Direction::Stay => "stay",
    }
}

/// A moment as it is kept.
pub fn microseconds(moment: &Moment) -> i64 {
    moment.civil.as_microsecond()
}

/// A span of the monotonic clock as it is kept: three hundred years fit.
pub fn nanoseconds(span: Duration) -> i64 {
    i64::try_from(span.as_nanos()).unwrap_or(i64::MAX)
}
