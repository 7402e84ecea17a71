//! Redis servers: one connection for all bots that use one, whether it stands alone, behind Sentinels, or is a Cluster.
//!
//! Redis answers commands of one connection in the order they came, and any number of questions may be under way; so one
//! connection carries the pipelines of all bots. Only questions are asked that change nothing and may be asked twice:
//! when a connection turns out to be broken, the question is asked once more on a new one, so that a restarted server
//! costs no measurement. Nothing here blocks (`BRPOP`), because that would hold up everyone; who must block, or write,
//! takes a [`Private`] connection.
//!
//! A server that does not answer may have forgotten the connection without a word, and the kernel would go on sending
//! into the void for a quarter of an hour. So a connection over which *nothing* came while a question waited for all of
//! its time is left, and the next question makes a new one. An answer cannot be taken for another's: who gives up leaves
//! the place in the line to its answer.

mod address;
mod connect;
mod error;
mod settings;
mod walk;

use std::{
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use autoscalebot_core::{moment::Moment, registry::Problem};
use redis::{Arg, Cmd, FromRedisValue, Pipeline, RedisError, ServerError, Value};
use tokio::{sync::Mutex as AsyncMutex, time::timeout};

use self::{
    connect::Connection,
    error::Told,
    settings::{To, Way},
};
pub use self::{settings::Settings, walk::Walk};
use super::pause::{self, Pause};
use crate::{clock::Clock, http, measurement::MeasureError, shared::Shared};

/// A Redis server, shared by all bots that use it.
pub struct Server {
    way: Way,
    told: Told,
    clock: Arc<dyn Clock>,
    /// Held while connecting, so that one bot tries and the others wait for it.
    connecting: AsyncMutex<()>,
    link: Mutex<Link>,
}

#[derive(Default)]
struct Link {
    open: Option<Open>,
    pause: Pause,
    /// How many connections there were, so that each has a number.
    count: u64,
}

/// The connection that is used now.
#[derive(Clone)]
struct Open {
    connection: Connection,
    /// Which one it is, so that only who saw it break takes it away.
    number: u64,
    /// How many pipelines were answered over it.
    answers: Arc<AtomicU64>,
}

impl Server {
    /// The server that these settings reach; the same one for the same settings. Connects to nothing yet.
    ///
    /// # Errors
    /// When the settings contradict each other; [`Settings::problems`] tells all of it.
    pub fn of(settings: &Settings, shared: &Shared) -> Result<Arc<Self>, Problem> {
        let way = settings.way().map_err(|mut problems| problems.swap_remove(0))?;
        if way.tls.is_some() {
            http::install_tls();
        }
        shared.pool.get_or_try_make(&way.key(), || {
            let (told, clock) = (Told::new(&way), shared.clock.clone());
            Ok(Self { way, told, clock, connecting: AsyncMutex::default(), link: Mutex::default() })
        })
    }

    /// `Redis at localhost:6379`
    #[must_use]
    pub fn shown(&self) -> &str {
        &self.told.shown
    }

    /// The number of the database, as the settings have it.
    #[must_use]
    pub fn database(&self) -> u16 {
        self.way.database
    }

    /// Asks everything in one round trip; an answer per command. On a Cluster, each command goes to the node that has its
    /// key, all at the same time; one without a key goes to any.
    ///
    /// # Errors
    /// When the server cannot be reached or does not answer within `limit`, or refuses a single one of the commands.
    pub async fn ask(&self, pipeline: &Pipeline, limit: Duration) -> Result<Vec<Value>, MeasureError> {
        let answers = self.ask_each(pipeline, limit).await?;
        self.told.all(pipeline, answers)
    }

    /// The same, where a refused command is no failure: its answer is then [`Value::ServerError`], in its place, and
    /// [`Server::refusal`] says what it means.
    ///
    /// # Errors
    /// When the server cannot be reached or does not answer within `limit`.
    pub async fn ask_each(&self, pipeline: &Pipeline, limit: Duration) -> Result<Vec<Value>, MeasureError> {
        if pipeline.is_empty() {
            return Ok(Vec::new());
        }
        self.ask_at(None, pipeline, limit).await
    }

    /// The time, as the bots that use it see it.
    #[must_use]
    pub fn now(&self) -> Moment {
        self.clock.now()
    }

    /// What the refusal of a command means.
    #[must_use]
    pub fn refusal(&self, command: &Cmd, error: &ServerError) -> MeasureError {
        self.told.refusal(command, error)
    }

    /// One of the answers of [`Server::ask_each`], unless it is a refusal.
    ///
    /// # Errors
    /// The refusal; or there is no answer.
    pub fn granted(&self, pipeline: &Pipeline, answer: Option<(usize, Value)>) -> Result<Value, MeasureError> {
        match answer {
            Some((index, Value::ServerError(error))) => {
                Err(pipeline.cmd_iter().nth(index).map_or_else(|| self.babbles(), |asked| self.refusal(asked, &error)))
            }
            Some((_, answer)) => Ok(answer),
            None => Err(self.babbles()),
        }
    }

    /// An answer as what it must be.
    ///
    /// # Errors
    /// When it is something else.
    pub fn typed<T: FromRedisValue>(&self, answer: Value) -> Result<T, MeasureError> {
        T::from_redis_value(answer).map_err(|_| self.babbles())
    }

    /// For an answer that is not what the question asks for.
    #[must_use]
    pub fn babbles(&self) -> MeasureError {
        let message = format!("{} answers with something that is no answer to the question", self.shown());
        MeasureError::unknown("broker_error", message)
    }

    /// A connection for the caller alone, on which it may block and write. It closes when it is dropped.
    ///
    /// # Errors
    /// When there is none within `limit`, or it is too early to try again.
    pub async fn private_connection(self: &Arc<Self>, limit: Duration) -> Result<Private, MeasureError> {
        self.link().pause.check(&self.clock.now())?;
        let opened = timeout(limit, Connection::open(&self.way)).await.map_err(|_| self.told.timed_out())?;
        let connection = opened.map_err(|why| self.told.unconnected(&why))?;
        Ok(Private { connection, server: self.clone() })
    }

    /// Asks the master of a slot, in a Cluster, or each command where its key is.
    async fn ask_at(
        &self,
        slot: Option<u16>,
        pipeline: &Pipeline,
        limit: Duration,
    ) -> Result<Vec<Value>, MeasureError> {
        timeout(limit, self.ask_twice(slot, pipeline, limit)).await.unwrap_or_else(|_| Err(self.timed_out()))
    }

    fn timed_out(&self) -> MeasureError {
        let was_reached = self.link().count > 0;
        if was_reached { self.told.timed_out() } else { self.told.never_answered() }
    }

    fn is_cluster(&self) -> bool {
        matches!(self.way.to, To::Cluster(_))
    }

    async fn ask_twice(
        &self,
        slot: Option<u16>,
        pipeline: &Pipeline,
        limit: Duration,
    ) -> Result<Vec<Value>, MeasureError> {
        let (open, is_new) = self.open(limit).await?;
        match self.ask_over(&open, slot, pipeline).await {
            Err(error) if is_broken(&error) && !is_new => {
                let (open, _) = self.open(limit).await?;
                self.ask_over(&open, slot, pipeline).await
            }
            asked => asked,
        }
        .map_err(|error| self.told.failed(&error))
    }

    async fn ask_over(&self, open: &Open, slot: Option<u16>, pipeline: &Pipeline) -> Result<Vec<Value>, RedisError> {
        let mut question = Question { server: self, open, before: open.answers.load(Ordering::Relaxed), over: false };
        let mut connection = open.connection.clone();
        let asked = match slot {
            Some(slot) => connection.ask_master(slot, pipeline).await,
            None => connection.ask(pipeline).await,
        };
        question.over = true;
        match &asked {
            Err(error) if is_broken(error) => self.leave(open.number),
            _ => _ = open.answers.fetch_add(1, Ordering::Relaxed),
        }
        asked
    }

    /// The connection, and whether it was made just now.
    async fn open(&self, limit: Duration) -> Result<(Open, bool), MeasureError> {
        if let Some(open) = self.link().open.clone() {
            return Ok((open, false));
        }
        let _connecting = self.connecting.lock().await;
        if let Some(open) = self.link().open.clone() {
            return Ok((open, false));
        }
        self.link().pause.check(&self.clock.now())?;
        // Who is dropped before says nothing about the server; the next one tries.
        let opened = match timeout(pause::patience(limit), Connection::open(&self.way)).await {
            Ok(opened) => opened.map_err(|why| self.told.unconnected(&why)),
            Err(_) => Err(self.timed_out()),
        };
        let mut link = self.link();
        match opened {
            Ok(connection) => {
                link.pause.succeeded();
                link.count += 1;
                let open = Open { connection, number: link.count, answers: Arc::default() };
                link.open = Some(open.clone());
                Ok((open, true))
            }
            Err(error) => {
                link.pause.failed(&error, &self.clock.now());
                Err(error)
            }
        }
    }

    /// Uses this connection no more. Questions that are under way keep it until they are over.
    fn leave(&self, number: u64) {
        let mut link = self.link();
        if link.open.as_ref().is_some_and(|open| open.number == number) {
            link.open = None;
        }
    }

    fn link(&self) -> MutexGuard<'_, Link> {
        self.link.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A question under way. When it is given up, it judges the connection.
struct Question<'a> {
    server: &'a Server,
    open: &'a Open,
    before: u64,
    over: bool,
}

impl Drop for Question<'_> {
    fn drop(&mut self) {
        // A lone server answers in order: whatever came since says that it is alive. Of a Cluster's nodes, the one that was
        // asked may be gone while the others answer.
        let nothing_came = self.open.answers.load(Ordering::Relaxed) == self.before;
        if !self.over && (nothing_came || self.server.is_cluster()) {
            self.server.leave(self.open.number);
        }
    }
}

/// A connection for one user alone; see [`Server::private_connection`].
pub struct Private {
    connection: Connection,
    server: Arc<Server>,
}

impl Private {
    /// Asks everything in one round trip; an answer per command. Who blocks gives Redis less time than `limit`: what Redis
    /// took out of a list for a question that was given up is lost.
    ///
    /// # Errors
    /// When there is no answer within `limit`, or a command is refused. After a failure that is no refusal, take another
    /// connection.
    pub async fn ask(&mut self, pipeline: &Pipeline, limit: Duration) -> Result<Vec<Value>, MeasureError> {
        if pipeline.is_empty() {
            return Ok(Vec::new());
        }
        let told = &self.server.told;
        let asked = timeout(limit, self.connection.ask(pipeline)).await.map_err(|_| told.timed_out())?;
        told.all(pipeline, asked.map_err(|error| told.failed(&error))?)
    }
}

impl Told {
    /// The answers, if none of them is a refusal.
    fn all(&self, pipeline: &Pipeline, answers: Vec<Value>) -> Result<Vec<Value>, MeasureError> {
        let refused = pipeline.cmd_iter().zip(&answers).find_map(|(command, answer)| match answer {
            Value::ServerError(error) => Some(self.refusal(command, error)),
            _ => None,
        });
        refused.map_or(Ok(answers), Err)
    }

    fn refusal(&self, command: &Cmd, error: &ServerError) -> MeasureError {
        let mut words = command.args_iter().map(|word| match word {
            Arg::Simple(word) => String::from_utf8_lossy(word).into_owned(),
            _ => String::new(),
        });
        let mut name = words.next().unwrap_or_default();
        // These have their key one word later.
        if ["XINFO", "OBJECT", "MEMORY", "CLIENT", "SENTINEL", "CLUSTER"].contains(&name.as_str()) {
            name = format!("{name} {}", words.next().unwrap_or_default());
        }
        self.refused(error, Some((&name, &words.next().unwrap_or_default())))
    }
}

/// Whether nothing more can come over this connection.
fn is_broken(error: &RedisError) -> bool {
    error.is_io_error() || error.is_connection_dropped() || error.is_timeout() || error.is_unrecoverable_error()
}

impl std::fmt::Debug for Server {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Server").field("at", &self.shown()).finish_non_exhaustive()
    }
}

impl std::fmt::Debug for Private {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Private").field("at", &self.server.shown()).finish_non_exhaustive()
    }
}
