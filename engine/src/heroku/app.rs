//! One Heroku app: its formation, read once for all who ask at once, and changed once for all who order at once.
//!
//! ```text
//!  count() ─┐                                        ┌─ one order ──► PATCH /apps/{app}/formation/{type}
//!  count() ─┼─► one GET /apps/{app}/formation        │
//!  count() ─┘                          scale() ─► wait a moment for the others of the app
//!                                                    │
//!                                                    └─ several ────► PATCH /apps/{app}/formation
//!                                                                     refused? then one each
//! ```
//!
//! Before a change the count is compared with what the decision was based on. After it the answer must show the number
//! that was ordered, found by process type and never by position. A change whose fate is unknown (a time-out, a broken
//! connection, a 5xx) is not repeated before a fresh read shows that it was not made. Sizes are never touched.

use std::{
    collections::BTreeMap,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, AtomicUsize, Ordering},
    },
    time::Duration,
};

use reqwest::Method;
use serde_json::{Value, json};
use tokio::sync::{Mutex as AsyncMutex, oneshot};
use url::Url;

use super::{
    api::{Api, ApiError, Call, Reply},
    budget::Purpose,
    errors::{Subject, explain},
};
use crate::scaling::{ScaleError, Scaled};

/// How long an order waits for others of its app. Bots of one app tick together; what separates their orders is how long
/// their measurements took. A tenth of a second is nothing beside the twenty that a dyno needs to start.
const GATHERING: Duration = Duration::from_millis(100);

/// A formation younger than this, as a bot has when it just asked for the count, is not read again before a change.
const FRESH: Duration = Duration::from_secs(2);

/// How long an app's web address is believed. It changes when the app is renamed.
const INFO_LASTS: Duration = Duration::from_secs(3600);

/// A formation older than this is no memory any more: to read it again is worth one of the last calls.
const FORGOTTEN: Duration = Duration::from_secs(900);

/// Parts of a list that are read. A part holds 200 process types; no app has a thousand.
const MOST_PARTS: usize = 5;

/// One process type of an app.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Process {
    /// How many dynos it is set to; none when Heroku's answer held no such number.
    pub quantity: Option<u32>,
    /// The name of their size: `Standard-1X`; empty when it was not told.
    pub size: String,
}

/// All process types of an app, at a moment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Formation {
    /// When it was read, since the program's start.
    pub at: Duration,
    /// By type.
    pub processes: BTreeMap<String, Process>,
}

/// Which of Heroku's two platforms an app runs on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Generation {
    /// The first.
    Cedar,
    /// The second: Kubernetes underneath, other dyno names, log streams that end every 15 minutes.
    Fir,
}

/// What does not change often about an app.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Info {
    /// Where its web processes answer.
    pub web_url: Option<Url>,
    /// Its platform.
    pub generation: Generation,
    /// Whether Heroku answers in its place.
    pub maintenance: bool,
}

/// One app of one account. All its bots share it.
pub struct App {
    api: Arc<Api>,
    name: String,
    /// Process backends that may order; alone nobody waits for others.
    members: AtomicUsize,
    questions: AtomicU64,
    /// Grows with every change that was tried: a read begun before it does not answer a question asked after it.
    changes: AtomicU64,
    last_read: AsyncMutex<Option<Read>>,
    known: Mutex<Option<Arc<Formation>>>,
    orders: Mutex<Vec<Pending>>,
    info: AsyncMutex<Option<(Duration, Arc<Info>)>>,
    info_known: Mutex<Option<Arc<Info>>>,
}

struct Read {
    answers_questions_below: u64,
    changes: u64,
    result: Result<Arc<Formation>, ApiError>,
}

struct Pending {
    process: String,
    quantity: u32,
    limit: Duration,
    reply: oneshot::Sender<Result<(), ScaleError>>,
}

/// Being one of an app's process backends; ends with the backend.
pub struct Membership {
    app: Arc<App>,
}

impl Membership {
    /// The app.
    #[must_use]
    pub fn app(&self) -> &Arc<App> {
        &self.app
    }
}

impl Drop for Membership {
    fn drop(&mut self) {
        self.app.members.fetch_sub(1, Ordering::Relaxed);
    }
}

impl App {
    /// An app nothing is known of yet. `name` becomes part of paths: it has been checked.
    #[must_use]
    pub fn new(api: Arc<Api>, name: &str) -> Self {
        Self {
            api,
            name: name.to_owned(),
            members: AtomicUsize::new(0),
            questions: AtomicU64::new(0),
            changes: AtomicU64::new(0),
            last_read: AsyncMutex::default(),
            known: Mutex::default(),
            orders: Mutex::default(),
            info: AsyncMutex::default(),
            info_known: Mutex::default(),
        }
    }

    /// Joins its process backends.
    #[must_use]
    pub fn join(self: Arc<Self>) -> Membership {
        self.members.fetch_add(1, Ordering::Relaxed);
        Membership { app: self }
    }

    /// Its name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Its account.
    #[must_use]
    pub fn api(&self) -> &Arc<Api> {
        &self.api
    }

    /// The newest formation known, without asking.
    #[must_use]
    pub fn known(&self) -> Option<Arc<Formation>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The newest facts known, without asking.
    #[must_use]
    pub fn known_info(&self) -> Option<Arc<Info>> {
        self.info_known.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The formation: read now, or from memory when the account's calls run low.
    ///
    /// # Errors
    /// Why it is not known.
    pub async fn formation(&self, limit: Duration) -> Result<Arc<Formation>, ApiError> {
        let oldest = self.api.oldest_allowed();
        let known = self.known();
        if let Some(known) = known.as_ref().filter(|known| !oldest.is_zero() && self.age(known) <= oldest) {
            return Ok(known.clone());
        }
        let is_remembered = known.is_some_and(|known| self.age(&known) <= FORGOTTEN);
        self.read(if is_remembered { Purpose::Optional } else { Purpose::Needed }, limit).await
    }

    /// The formation, read now. Those who ask while a read is under way share its answer, good or bad.
    ///
    /// # Errors
    /// Why it is not known.
    pub async fn read(&self, purpose: Purpose, limit: Duration) -> Result<Arc<Formation>, ApiError> {
        let question = self.questions.fetch_add(1, Ordering::SeqCst);
        let changes = self.changes.load(Ordering::SeqCst);
        let mut last = self.last_read.lock().await;
        if let Some(read) = &*last
            && read.answers_questions_below > question
            && read.changes >= changes
        {
            return read.result.clone();
        }
        let changes = self.changes.load(Ordering::SeqCst);
        let result = self.get_formation(purpose, limit).await;
        if let Ok(formation) = &result
            && self.changes.load(Ordering::SeqCst) == changes
        {
            self.know(Some(formation.clone()));
        }
        let answers_questions_below = self.questions.load(Ordering::SeqCst);
        *last = Some(Read { answers_questions_below, changes, result: result.clone() });
        result
    }

    /// How many dynos a process type is set to.
    ///
    /// # Errors
    /// When nobody knows, or there is no such type.
    pub async fn count(&self, process: &str, limit: Duration) -> Result<u32, ScaleError> {
        let subject = self.subject(process, "read the formation");
        let formation = self.formation(limit).await.map_err(|error| explain(&error, &subject))?;
        quantity_of(&formation, &subject)
    }

    /// Sets a process type to `to`, if it still is at `from`.
    ///
    /// # Errors
    /// Why Heroku did not take it, or that it no longer is at `from`.
    pub async fn scale(
        self: &Arc<Self>,
        process: &str,
        from: u32,
        to: u32,
        limit: Duration,
    ) -> Result<Scaled, ScaleError> {
        let subject = self.subject(process, "set the quantity");
        let fresh = self.known().filter(|known| self.age(known) <= FRESH);
        let believed = fresh.and_then(|known| known.processes.get(process).and_then(|process| process.quantity));
        if believed != Some(from) {
            let formation = self.read(Purpose::Needed, limit).await.map_err(|error| explain(&error, &subject))?;
            let now = quantity_of(&formation, &subject)?;
            if now == to {
                return Ok(Scaled::AlreadyThere);
            }
            if now != from {
                let what = format!(
                    "it was changed meanwhile, from {from} to {now}, by somebody else; nothing was sent, and the bot decides \
                     anew"
                );
                return Err(ScaleError::new("changed_meanwhile", subject.sentence(&what)));
            }
        }
        let (reply, answer) = oneshot::channel();
        let is_first = {
            let mut orders = self.orders.lock().unwrap_or_else(PoisonError::into_inner);
            orders.push(Pending { process: process.to_owned(), quantity: to, limit, reply });
            orders.len() == 1
        };
        if is_first {
            // A task of its own: when the first bot gives up waiting, the others' orders still go out.
            tokio::spawn(self.clone().deliver());
        }
        match answer.await {
            Ok(result) => result.map(|()| Scaled::Done),
            Err(_) => Err(ScaleError::new("internal", subject.sentence("the order was lost; the bot decides anew"))),
        }
    }

    /// The facts about the app, at most [`INFO_LASTS`] old; older ones when Heroku does not answer.
    ///
    /// # Errors
    /// When they are not known at all.
    pub async fn info(&self, limit: Duration) -> Result<Arc<Info>, ScaleError> {
        let mut info = self.info.lock().await;
        if let Some((at, known)) = &*info
            && self.api.now().saturating_sub(*at) <= INFO_LASTS
        {
            return Ok(known.clone());
        }
        match self.api.call(&Call::get(format!("/apps/{}", self.name)), limit).await {
            Ok(reply) => {
                let read = Arc::new(read_info(&reply.body));
                *info = Some((self.api.now(), read.clone()));
                *self.info_known.lock().unwrap_or_else(PoisonError::into_inner) = Some(read.clone());
                Ok(read)
            }
            Err(error) => match &*info {
                Some((_, known)) => Ok(known.clone()),
                None => {
                    let subject = Subject { app: &self.name, process: None, tried: "read the web address" };
                    Err(explain(&error, &subject))
                }
            },
        }
    }

    fn subject<'a>(&'a self, process: &'a str, tried: &'a str) -> Subject<'a> {
        Subject { app: &self.name, process: Some(process), tried }
    }

    fn age(&self, formation: &Formation) -> Duration {
        self.api.now().saturating_sub(formation.at)
    }

    fn know(&self, formation: Option<Arc<Formation>>) {
        *self.known.lock().unwrap_or_else(PoisonError::into_inner) = formation;
    }

    async fn get_formation(&self, purpose: Purpose, limit: Duration) -> Result<Arc<Formation>, ApiError> {
        let mut call = Call::get(format!("/apps/{}/formation", self.name)).purpose(purpose);
        let mut processes = BTreeMap::new();
        // The moment before asking: what is read is at least as young as this.
        let at = self.api.now();
        let parts = async {
            for _ in 0..MOST_PARTS {
                let reply = self.api.call(&call, limit).await?;
                processes.extend(read_processes(&reply)?);
                match reply.next_range {
                    None => break,
                    range => call.range = range,
                }
            }
            Ok(())
        };
        parts.await?;
        Ok(Arc::new(Formation { at, processes }))
    }

    /// Sends the orders that came within the window.
    async fn deliver(self: Arc<Self>) {
        if self.members.load(Ordering::Relaxed) > 1 {
            tokio::time::sleep(GATHERING).await;
        }
        let mut orders = std::mem::take(&mut *self.orders.lock().unwrap_or_else(PoisonError::into_inner));
        // Nobody waits for it any more: the bot was stopped, or will decide anew.
        orders.retain(|order| !order.reply.is_closed());
        let mut batch = BTreeMap::<String, Vec<Pending>>::new();
        for order in orders {
            batch.entry(order.process.clone()).or_default().push(order);
        }
        // Two bots for one process type are a slip in the settings. The first order counts; the others were decided
        // without knowing of it.
        for twins in batch.values_mut() {
            for twin in twins.split_off(1) {
                let result = if twin.quantity == twins[0].quantity {
                    Err(self.twin_error(&twin.process, "the same number; it is sent once"))
                } else {
                    Err(self.twin_error(&twin.process, "another number, and that one is sent"))
                };
                let _ = twin.reply.send(result);
            }
        }
        let orders: Vec<Pending> = batch.into_values().flatten().collect();
        let Some(limit) = orders.iter().map(|order| order.limit).max() else { return };
        let wanted: BTreeMap<String, u32> =
            orders.iter().map(|order| (order.process.clone(), order.quantity)).collect();
        match self.set_all(&wanted, limit).await {
            Err(error) if orders.len() > 1 && one_may_have_spoilt_it(&error) => {
                for order in orders {
                    let one = BTreeMap::from([(order.process.clone(), order.quantity)]);
                    let result = self.set_all(&one, order.limit).await;
                    self.answer(order, result);
                }
            }
            result => {
                for order in orders {
                    self.answer(order, result.clone());
                }
            }
        }
    }

    fn twin_error(&self, process: &str, what: &str) -> ScaleError {
        let what = format!("two bots scale this process type, and the other one asked in the same moment for {what}");
        ScaleError::new("changed_meanwhile", self.subject(process, "set the quantity").sentence(&what))
    }

    /// Tells the bot that ordered what became of it.
    fn answer(&self, order: Pending, result: Result<BTreeMap<String, Process>, ApiError>) {
        let subject = self.subject(&order.process, "set the quantity");
        let result = match result {
            Err(error) => Err(explain(&error, &subject)),
            Ok(processes) => match processes.get(&order.process).and_then(|process| process.quantity) {
                Some(quantity) if quantity == order.quantity => Ok(()),
                other => {
                    let answered = other.map_or_else(|| "no number at all".to_owned(), |number| number.to_string());
                    let what = format!("Heroku took {} and answered {answered}; the bot decides anew", order.quantity);
                    Err(ScaleError::new("not_taken", subject.sentence(&what)))
                }
            },
        };
        // The bot may have given up; then nobody needs to know.
        let _ = order.reply.send(result);
    }

    /// Sets quantities by one call, tried again as long as that is safe; returns what Heroku then says of them.
    async fn set_all(
        &self,
        wanted: &BTreeMap<String, u32>,
        limit: Duration,
    ) -> Result<BTreeMap<String, Process>, ApiError> {
        let mut last = None;
        let attempts = async {
            let mut tries = 0;
            loop {
                let error = match self.patch(wanted, limit).await {
                    Ok(processes) => return Ok(processes),
                    Err(error) => error,
                };
                tries += 1;
                let Some(pause) = error.pause(tries) else { return Err(error) };
                let look_first = error.may_have_been_obeyed();
                last = Some(error.clone());
                tokio::time::sleep(pause).await;
                if look_first {
                    // When not even looking works, repeating would be blind.
                    let Ok(formation) = self.read(Purpose::Needed, limit).await else { return Err(error) };
                    if is_there(&formation.processes, wanted) {
                        return Ok(formation.processes.clone());
                    }
                }
            }
        };
        match tokio::time::timeout(limit, attempts).await {
            Ok(result) => result,
            Err(_) => Err(last.unwrap_or_else(|| {
                let url = self.api.shown_url();
                ApiError::NoAnswer(crate::http::FetchError::Timeout { url, after: limit })
            })),
        }
    }

    /// One PATCH.
    async fn patch(
        &self,
        wanted: &BTreeMap<String, u32>,
        limit: Duration,
    ) -> Result<BTreeMap<String, Process>, ApiError> {
        let call = match wanted.iter().next() {
            Some((process, quantity)) if wanted.len() == 1 => {
                Call::patch(format!("/apps/{}/formation/{process}", self.name), json!({"quantity": quantity}))
            }
            _ => {
                let updates: Vec<Value> =
                    wanted.iter().map(|(process, quantity)| json!({"type": process, "quantity": quantity})).collect();
                Call::patch(format!("/apps/{}/formation", self.name), json!({"updates": updates}))
            }
        };
        debug_assert_eq!((&call.method, call.purpose), (&Method::PATCH, Purpose::Needed));
        // Until the answer is here nobody knows the formation; also not when this future is dropped in the middle.
        let before = self.known();
        self.changes.fetch_add(1, Ordering::SeqCst);
        self.know(None);
        let result = self.api.call(&call, limit).await.and_then(|reply| read_processes(&reply));
        self.changes.fetch_add(1, Ordering::SeqCst);
        let answered = result?;
        if let Some(before) = before {
            let mut processes = before.processes.clone();
            processes.extend(answered.clone());
            self.know(Some(Arc::new(Formation { at: before.at, processes })));
        }
        Ok(answered)
    }
}

/// Whether one order among several may be to blame, so that each gets its own call. Not when the account or the app as a
/// whole is refused.
fn one_may_have_spoilt_it(error: &ApiError) -> bool {
    match error {
        ApiError::Refused(refusal) => match refusal.status {
            404 => refusal.resource != "app" && !refusal.message.contains("find that app"),
            400 | 409 | 412 | 422 => true,
            _ => false,
        },
        _ => false,
    }
}

fn is_there(processes: &BTreeMap<String, Process>, wanted: &BTreeMap<String, u32>) -> bool {
    wanted
        .iter()
        .all(|(process, quantity)| processes.get(process).is_some_and(|process| process.quantity == Some(*quantity)))
}

fn quantity_of(formation: &Formation, subject: &Subject<'_>) -> Result<u32, ScaleError> {
    let process = subject.process.unwrap_or_default();
    match formation.processes.get(process) {
        Some(Process { quantity: Some(quantity), .. }) => Ok(*quantity),
        Some(_) => {
            let what = "Heroku's answer holds no whole number for its quantity";
            Err(ScaleError::new("bad_answer", subject.sentence(what)))
        }
        None => {
            let there: Vec<&str> = formation.processes.keys().map(String::as_str).collect();
            let there = if there.is_empty() {
                "the app has no process types at all: has it been released yet?".to_owned()
            } else {
                format!("its process types are {}; set PROCESS if the bot's name is another", there.join(", "))
            };
            let what = format!("there is no process type {process:?}: {there}");
            Err(ScaleError::new("no_such_process", subject.sentence(&what)))
        }
    }
}

/// The process types in an answer: one object, or a list of them. Found by type; their order means nothing.
fn read_processes(reply: &Reply) -> Result<BTreeMap<String, Process>, ApiError> {
    let entries: &[Value] = match &reply.body {
        Value::Array(entries) => entries,
        object @ Value::Object(_) => std::slice::from_ref(object),
        _ => {
            let what = "a formation was expected".to_owned();
            return Err(ApiError::Strange { what, request_id: reply.request_id.clone() });
        }
    };
    let mut processes = BTreeMap::new();
    for entry in entries {
        let Some(name) = entry.get("type").and_then(Value::as_str) else {
            let what = "a formation without process types".to_owned();
            return Err(ApiError::Strange { what, request_id: reply.request_id.clone() });
        };
        let quantity = entry.get("quantity").and_then(Value::as_u64).and_then(|number| u32::try_from(number).ok());
        // `size` is on its way out, `dyno_size` is not everywhere yet.
        let new_size = entry.get("dyno_size").and_then(|size| size.get("name"));
        let size = new_size.or_else(|| entry.get("size")).and_then(Value::as_str).unwrap_or_default();
        processes.insert(name.to_owned(), Process { quantity, size: size.to_owned() });
    }
    Ok(processes)
}

fn read_info(body: &Value) -> Info {
    let web_url = body.get("web_url").and_then(Value::as_str).and_then(|text| Url::parse(text).ok());
    let generation = body.get("generation").and_then(|generation| generation.get("name")).and_then(Value::as_str);
    Info {
        web_url,
        generation: if generation == Some("fir") { Generation::Fir } else { Generation::Cedar },
        maintenance: body.get("maintenance").and_then(Value::as_bool).unwrap_or(false),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reply(body: Value) -> Reply {
        Reply { body, next_range: None, request_id: "r".to_owned() }
    }

    fn formation(body: Value) -> Formation {
        Formation { at: Duration::ZERO, processes: read_processes(&reply(body)).unwrap() }
    }

    const SUBJECT: Subject<'static> = Subject { app: "a", process: Some("web"), tried: "read the formation" };

    #[test]
    fn a_process_is_found_by_its_type_wherever_it_stands() {
        let formation = formation(json!([
            {"type": "worker", "quantity": 7, "size": "Eco"},
            {"type": "web", "quantity": 2, "size": "old", "dyno_size": {"name": "Standard-1X"}},
        ]));
        assert_eq!(quantity_of(&formation, &SUBJECT), Ok(2));
        assert_eq!(formation.processes["web"].size, "Standard-1X");
        assert_eq!(formation.processes["worker"].size, "Eco");
    }

    #[test]
    fn what_is_not_a_whole_number_is_an_error_and_never_a_count() {
        for quantity in [json!(null), json!(-1), json!(1.5), json!("2"), json!(4_294_967_296_u64)] {
            let formation = formation(json!([{"type": "web", "quantity": quantity}]));
            assert_eq!(quantity_of(&formation, &SUBJECT).unwrap_err().key, "bad_answer", "{quantity}");
        }
        for body in [json!(3), json!("web"), json!([{}]), json!([3])] {
            assert!(read_processes(&reply(body.clone())).is_err(), "{body}");
        }
    }

    #[test]
    fn a_type_that_is_not_there_is_told_with_those_that_are() {
        let other = formation(json!([{"type": "worker", "quantity": 1}, {"type": "clock", "quantity": 1}]));
        let error = quantity_of(&other, &SUBJECT).unwrap_err();
        assert_eq!(error.key, "no_such_process");
        assert!(error.message.contains("clock, worker"), "{error}");
        assert!(quantity_of(&formation(json!([])), &SUBJECT).unwrap_err().message.contains("released"));
    }

    #[test]
    fn the_facts_of_an_app_are_read_where_they_are_there() {
        let info = read_info(&json!({
            "web_url": "https://x.herokuapp.com/", "generation": {"name": "fir"}, "maintenance": true
        }));
        assert_eq!(info.web_url.unwrap().as_str(), "https://x.herokuapp.com/");
        assert_eq!((info.generation, info.maintenance), (Generation::Fir, true));
        let bare = read_info(&json!({"web_url": null}));
        assert_eq!((bare.web_url, bare.generation, bare.maintenance), (None, Generation::Cedar, false));
    }
}
