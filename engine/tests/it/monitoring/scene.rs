//! A program in which everything happens at once, so that no metric is without a number: bots that work, queues, failures
//! of every kind, people's hands, a store, an account at Heroku, outlets that deliver and one that cannot.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use async_trait::async_trait;
use autoscalebot_core::{
    busy::{InProgress, Work, Worker},
    control::{Command, Commanded, Scope},
    names::ProcessName,
    sample::Reading,
    step::State,
    units::Finite,
};
use autoscalebot_engine::{
    board::Board,
    bot::{Bot, Watch as _},
    clock::SystemClock,
    command::Commander,
    config::{BackendSettings, NotificationConfig},
    environment::Environment,
    measurement::{Measure, MeasureError, Measured},
    notification::{Common, dispatch::Outlets},
    scaling::Scale,
    shared::Shared,
    store::{self, Keep, Place},
    telemetry::metrics::Sources,
};
use serde_json::{Value, json};
use testkit::{
    fake_heroku::{FakeHeroku, Setup},
    program::Folder,
};
use tokio_util::sync::CancellationToken;

use crate::{
    heroku_wire::{APP, KEY, platform},
    scripted::{Act, Platform, Script, Witness, bot},
};

/// What must be seen nowhere: keys and addresses that settings hold.
pub const SECRETS: [&str; 2] = [KEY, "hush-0123456789"];

/// So often bots measure, so that a test need not wait long.
const INTERVAL: Duration = Duration::from_millis(200);

/// A little longer than the wait after a scale.
const LOOKS_OF_A_WAVE: u64 = 30;

/// A running scene. It ends with its test.
pub struct Scene {
    pub sources: Sources,
    stop: CancellationToken,
    _heroku: (FakeHeroku, Arc<dyn Scale>),
    _folder: Folder,
}

impl Scene {
    /// Starts it, with these environment variables.
    pub async fn start(environment: Environment) -> Self {
        let clock = Arc::new(SystemClock::new());
        let shared = Shared::new(clock.clone(), environment);
        let (board, commander, stop) =
            (Board::new(shared.host.clone()), Commander::default(), CancellationToken::new());
        let folder = Folder::new();
        let place = Place::Sqlite(folder.path().join("store.db"));
        let store = store::find(place, Keep::default()).await.start(clock);
        let heroku = FakeHeroku::start(Setup::app(APP).process("web", 1, "Standard-1X").token(KEY)).await;
        let at_heroku = platform(&shared, &heroku.url(), "web");
        at_heroku.count().await.unwrap();

        let scene = Running { shared: &shared, board: &board, commander: &commander, stop: &stop };
        let high = Script::of([Act::Read(2000.0)]);
        // Nobody listens at port 1.
        let webhook = json!({"url": format!("http://127.0.0.1:1/{}", SECRETS[1])});
        let outlets = outlets(&shared, [("Memory", json!({})), ("Webhook", webhook)]);
        scene.run("web", &high, &Platform::running(1), |bot| bot.outlets = outlets);
        scene.run("celery", &high, &Platform::running(2), |bot| bot.measuring[0].measure = Box::new(Queue));
        scene.run("waves", &high, &Platform::running(1), |bot| bot.measuring[0].measure = Box::<Waves>::default());
        scene.run("broken", &Script::of([Act::Fail]), &Platform::running(1), |_| {});
        let (mute, refusing) = (Platform::running(1), Platform::running(1));
        mute.be_mute(usize::MAX);
        refusing.refuse(usize::MAX);
        scene.run("mute", &high, &mute, |_| {});
        scene.run("refused", &high, &refusing, |_| {});
        scene.run("panicking", &Script::of([Act::Panic, Act::Read(800.0)]), &Platform::running(1), |_| {});
        let calm = Script::of([Act::Read(800.0)]);
        scene.run("paused", &calm, &Platform::running(1), |_| {});
        scene.run("held", &calm, &Platform::running(1), |_| {});
        scene.tell("paused", Command::Pause { scope: Scope::All, length: None }).await;
        scene.tell("held", Command::Hold { count: 2, length: None }).await;
        let sources = Sources::new(board, Some(store), shared);
        Self { sources, stop, _heroku: (heroku, at_heroku), _folder: folder }
    }
}

impl Drop for Scene {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

struct Running<'a> {
    shared: &'a Arc<Shared>,
    board: &'a Arc<Board>,
    commander: &'a Commander,
    stop: &'a CancellationToken,
}

impl Running<'_> {
    fn run(&self, process: &str, script: &Script, platform: &Platform, change: impl FnOnce(&mut Bot)) {
        let mut bot = bot(script, platform, INTERVAL, &Arc::new(Witness::default()));
        bot.process = ProcessName::new(process).unwrap();
        bot.shared = self.shared.clone();
        bot.watchers.push(self.board.clone());
        change(&mut bot);
        self.board.joined(&bot);
        let (state, inbox) = (State::new(&bot.policy), self.commander.open(&bot.process));
        tokio::spawn(bot.run(state, inbox, self.stop.clone()));
    }

    async fn tell(&self, process: &str, command: Command) {
        let commanded = Commanded { command, reason: "a test".to_owned() };
        self.commander.tell(&ProcessName::new(process).unwrap(), commanded).await.unwrap();
    }
}

fn outlets(shared: &Arc<Shared>, backends: [(&'static str, Value); 2]) -> Outlets {
    let backends = backends.map(|(backend, settings)| BackendSettings { backend, settings }).into();
    Outlets::build(&NotificationConfig { backends, common: Common::default() }, shared).unwrap()
}

/// High for some looks, low for as many, for ever: whoever looks late still sees a scale soon.
#[derive(Default)]
struct Waves(AtomicU64);

#[async_trait]
impl Measure for Waves {
    async fn measure(&self) -> Result<Measured, MeasureError> {
        let is_high = (self.0.fetch_add(1, Ordering::Relaxed) / LOOKS_OF_A_WAVE).is_multiple_of(2);
        Ok(Reading::Number(Finite::from(if is_high { 2000 } else { 10 })).into())
    }
}

/// A queue with three workers that has too much to do.
struct Queue;

#[async_trait]
impl Measure for Queue {
    async fn measure(&self) -> Result<Measured, MeasureError> {
        let workers = [(1, true), (2, true), (3, false)];
        let workers = workers.map(|(process, busy)| Worker { process: Some(process), busy });
        let work = Work { waiting: 1500, in_progress: InProgress::Items(2), workers: Some(workers.into()) };
        let reading = Reading::Number(Finite::from(1500));
        Ok(Measured { reading, detail: None, work: Some(Box::new(work)) })
    }
}
