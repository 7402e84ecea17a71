//! A claim with a runtime, and what a store has kept.

use std::time::Duration;

use autoscalebot_core::names::ProcessName;
use autoscalebot_engine::{
    environment::Environment,
    host::Host,
    store::{Place, Reader, Replayer, Step, Tick},
};
use libtest_mimic::Trial;
use tokio::{runtime::Builder, time::timeout};

/// No claim takes longer, not even beside other work on two cores.
const CLAIM_LIMIT: Duration = Duration::from_secs(240);

/// A sentence that can be false, and the way to find out.
pub fn claim(sentence: &str, test: impl AsyncFnOnce() + Send + 'static) -> Trial {
    Trial::test(sentence, move || {
        let runtime = Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
        let ended = runtime.block_on(async { timeout(CLAIM_LIMIT, test()).await });
        // What the claim left running has no one to run for.
        runtime.shutdown_timeout(Duration::from_secs(2));
        ended.map_err(|_| format!("undecided after {} s", CLAIM_LIMIT.as_secs()).into())
    })
}

pub fn place(words: &str) -> Place {
    Place::find(Some(words), &Environment::default(), std::path::Path::new("/")).unwrap().unwrap()
}

pub fn host() -> Host {
    Host::from(Environment::default())
}

pub fn web() -> ProcessName {
    ProcessName::new("web").unwrap()
}

/// All ticks of `web`, in their order.
pub async fn ticks(reader: &Reader) -> Vec<Tick> {
    let mut all: Vec<Tick> = Vec::new();
    loop {
        let position = all.last().map_or((0, -1), |tick| (tick.run, tick.seq));
        let page = reader.ticks_after("web", position).await.unwrap();
        if page.is_empty() {
            return all;
        }
        all.extend(page);
    }
}

/// How many ticks come to the same in a replay, and how many cannot be said.
///
/// # Panics
/// When one comes to something else.
pub async fn replay(reader: &Reader) -> (usize, usize) {
    let versions = reader.versions("web").await.unwrap();
    let (mut same, mut unknown) = (0, 0);
    let mut replayer: Option<Replayer> = None;
    for tick in ticks(reader).await {
        let version = versions.iter().find(|version| version.id == tick.version).unwrap();
        let policy = std::sync::Arc::new(version.spec.build("web", &host()).unwrap());
        let replayer = replayer.get_or_insert_with(|| Replayer::new(policy.clone()));
        replayer.set_policy(policy);
        match replayer.step(&tick).unwrap() {
            Step::Same => same += 1,
            Step::Unknown => unknown += 1,
            Step::Different(difference) => panic!("{tick:?}: {difference:?}"),
        }
    }
    (same, unknown)
}
