//! What the claims about queues stand on: a claim, the brokers that claims share, measurements built as a bot builds
//! them, and programs in the languages of the work queues.

pub mod redis_libraries;
pub mod services;

use std::{
    path::{Path, PathBuf},
    process::{Command, Stdio},
    sync::Arc,
    time::Duration,
};

pub use autoscalebot_engine::measurement::{Measure, MeasureError};

use autoscalebot_core::{busy::Work, names::ProcessName, registry::find, sample::Reading};
use autoscalebot_engine::{
    clock::SystemClock,
    config::BackendSettings,
    environment::Environment,
    measurement::{BACKENDS, Context},
    shared::Shared,
};
use libtest_mimic::{Failed, Trial};
use serde_json::{Value, json};
use testkit::{program::Program, tools};
use tokio::{runtime::Builder, time::timeout};

use crate::scripted::Platform;

/// No claim takes longer, not even when four brokers start on two cores.
const CLAIM_LIMIT: Duration = Duration::from_secs(120);

/// How long a program of [`Language::run`] may take.
const PROGRAM_LIMIT: Duration = Duration::from_secs(60);

/// A sentence that can be false, and the way to find out.
pub struct Claim {
    sentence: &'static str,
    test: Box<dyn FnOnce() -> Result<(), Failed> + Send>,
}

/// A claim. The test has a runtime of its own with several threads, and 120 s.
pub fn claim(sentence: &'static str, test: impl AsyncFnOnce() + Send + 'static) -> Claim {
    let run = move || {
        let runtime = Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
        let ended = runtime.block_on(async { timeout(CLAIM_LIMIT, test()).await });
        // What the claim left running has no one to run for.
        runtime.shutdown_timeout(Duration::from_secs(2));
        ended.map_err(|_| format!("`{sentence}` is undecided after {} s", CLAIM_LIMIT.as_secs()).into())
    };
    Claim { sentence, test: Box::new(run) }
}

impl Claim {
    /// What the test program runs, named after its file and its sentence.
    pub fn trial(self, file: &str) -> Trial {
        Trial::test(format!("{file}::{}", self.sentence), self.test)
    }
}

/// A name that nothing else has: claims that share a broker keep apart by it.
pub fn unique(name: &str) -> String {
    format!("{name}-{}", uuid::Uuid::new_v4().simple())
}

/// What bots of one program share: connections, the environment, the clock.
pub fn shared() -> Arc<Shared> {
    Shared::new(Arc::new(SystemClock::new()), Environment::default())
}

/// A measurement as a bot would have it, with a program of its own around it.
pub fn measure(backend: &str, settings: Value) -> Box<dyn Measure> {
    measure_in(&shared(), backend, settings)
}

/// A measurement that shares connections with others.
///
/// # Panics
/// When there is no such backend, or it finds something wrong with the settings.
pub fn measure_in(shared: &Arc<Shared>, backend: &str, settings: Value) -> Box<dyn Measure> {
    let context = Context {
        process: ProcessName::new("worker").unwrap(),
        platform: Arc::new(Platform::running(1)),
        common: autoscalebot_engine::measurement::Common::default(),
        scaling: BackendSettings { backend: "DryRun", settings: json!({}) },
        shared: shared.clone(),
    };
    let entry = find(BACKENDS, backend).map_err(|problem| problem.to_string()).unwrap();
    assert_eq!((entry.check)(&settings), [], "{settings}");
    (entry.build)(&settings, &context).map_err(|problem| problem.to_string()).unwrap()
}

/// The number that is measured now.
pub async fn number(measure: &dyn Measure) -> Result<f64, MeasureError> {
    match measure.measure().await?.reading {
        Reading::Number(number) => Ok(number.get()),
        Reading::Document(document) => panic!("{document}"),
    }
}

/// What a measurement knows of the work behind its number.
///
/// # Panics
/// When there is no measurement, or it knows nothing.
pub async fn work(measure: &dyn Measure) -> Work {
    *measure.measure().await.unwrap().work.expect("a measurement of a queue sees work")
}

/// What a measurement tells beside its number; null when it tells nothing.
///
/// # Panics
/// When there is no measurement.
pub async fn detail(measure: &dyn Measure) -> Value {
    measure.measure().await.unwrap().detail.map_or(Value::Null, |detail| *detail)
}

/// Waits until `condition` holds, asking every 50 ms.
///
/// # Panics
/// When it does not hold within `limit`; `what` says what was waited for.
pub async fn until(what: &str, limit: Duration, mut condition: impl AsyncFnMut() -> bool) {
    let waiting = async {
        while !condition().await {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    let came = timeout(limit, waiting).await;
    assert!(came.is_ok(), "not within {} s: {what}", limit.as_secs());
}

/// A language that work queues are written in. Its programs are in `apps`, beside this file.
pub trait Language {
    /// Its interpreter, without a program.
    fn interpreter() -> Command;

    /// Starts the interpreter in the folder `apps`: `Python::start(&["-m", "celery", "-A", "celery_app", "worker"], &[])`.
    /// What is started ends when the test drops it, with all that it started itself.
    fn start(arguments: &[&str], environment: &[(&str, &str)]) -> Program {
        let mut command = Self::interpreter();
        Program::start_group(command.current_dir(apps()).args(arguments).envs(environment.iter().copied()))
    }

    /// Starts the program `apps/NAME`, like [`Language::start`].
    fn script(name: &str, arguments: &[&str], environment: &[(&str, &str)]) -> Program {
        Self::start(&[&[name], arguments].concat(), environment)
    }

    /// Runs the program `apps/NAME` to its end; the JSON that it printed to standard output.
    ///
    /// # Panics
    /// When it fails, takes too long, or prints anything else.
    async fn run(name: &str, arguments: &[&str], environment: &[(&str, &str)]) -> Value {
        let mut command = Self::interpreter();
        command.current_dir(apps()).arg(name).args(arguments).envs(environment.iter().copied()).stdin(Stdio::null());
        let running = tokio::process::Command::from(command).kill_on_drop(true).output();
        let output = timeout(PROGRAM_LIMIT, running).await.unwrap_or_else(|_| panic!("{name} does not end")).unwrap();
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        assert!(output.status.success(), "{name}: {}{}", text(&output.stdout), text(&output.stderr));
        serde_json::from_slice(&output.stdout)
            .unwrap_or_else(|error| panic!("{name}: {error}: {}{}", text(&output.stdout), text(&output.stderr)))
    }
}

/// Python with everything in `testkit/tools/requirements.txt`.
pub struct Python;

/// Python with arq, which wants an older client of Redis than the others.
pub struct ArqPython;

/// JavaScript with everything in `testkit/tools/package.json`; `require` finds it.
pub struct Node;

/// Debian's Ruby, with Sidekiq.
pub struct Ruby;

impl Language for Python {
    fn interpreter() -> Command {
        python(&tools::python())
    }
}

impl Language for ArqPython {
    fn interpreter() -> Command {
        python(&tools::python_with_arq())
    }
}

impl Language for Node {
    fn interpreter() -> Command {
        let mut command = Command::new("node");
        command.env("NODE_PATH", tools::node_modules());
        command
    }
}

impl Language for Ruby {
    fn interpreter() -> Command {
        // By its path: a machine may have another Ruby first, which does not know Debian's libraries.
        Command::new("/usr/bin/ruby")
    }
}

fn python(program: &Path) -> Command {
    let mut command = Command::new(program);
    // Lines come as they are printed, and no compiled files are left among the sources.
    command.env("PYTHONUNBUFFERED", "1").env("PYTHONDONTWRITEBYTECODE", "1").env("PYTHONPATH", apps());
    command
}

fn apps() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/queues/apps")
}
