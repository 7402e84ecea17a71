//! Killed at any moment, a bot goes on as if it had never stopped.
//!
//! The program runs ticks as fast as it can keep them, and is killed two hundred times. What its last run of each tick
//! came to is held against a run that nobody disturbed: decision, order, result and events of every tick are the same to
//! the last letter.

use std::{
    collections::BTreeMap,
    io::{BufRead, BufReader},
    path::Path,
    process::{Command, ExitCode, Stdio},
    sync::Arc,
    time::Duration,
};

use autoscalebot_core::step::{Outcome, Settled, State};
use autoscalebot_engine::{
    bot::Bot,
    clock::{Clock as _, SystemClock},
    store::{self, Begins, Keep, Store},
};
use libtest_mimic::Trial;
use testkit::{program::Folder, services::Postgres};

use crate::{
    support::{claim, host, place, replay, ticks, web},
    world::{INTERVAL, World, bot as bot_of},
};

const KILLS: u64 = 200;

/// After the last kill so many ticks follow undisturbed.
const LAST_TICKS: u64 = 50;

pub fn claims() -> Vec<Trial> {
    vec![
        claim("killed_200_times_on_sqlite_every_decision_is_as_if_it_had_not_been", async || {
            let folder = Folder::new();
            let file = format!("sqlite:{}", folder.path().join("store.db").display());
            killed_again_and_again(&file, folder.path()).await;
        }),
        claim("killed_200_times_on_postgresql_every_decision_is_as_if_it_had_not_been", async || {
            let (folder, postgres) = (Folder::new(), Postgres::start().await);
            postgres.create_database("app").await;
            killed_again_and_again(&postgres.url_with_password("app"), folder.path()).await;
        }),
    ]
}

/// The program that is killed: ticks until the file `last` in its folder names one.
pub fn bot(words: &str, folder: &str) -> ExitCode {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    runtime.block_on(run(words, Path::new(folder)));
    ExitCode::SUCCESS
}

async fn run(words: &str, folder: &Path) {
    let world = World::in_folder(folder);
    let found = store::find(place(words), Keep::default()).await;
    assert_eq!(found.error(), None);
    let store = found.start(Arc::new(SystemClock::new()));
    let (mut bot, mut state, next) = resumed(&world, &store).await;
    println!("running");
    for tick in next.. {
        if std::fs::read_to_string(folder.join("last")).is_ok_and(|last| last.parse() == Ok(tick)) {
            return;
        }
        one(&mut bot, &mut state, &world, tick).await;
        store.flush(Duration::from_secs(20)).await;
        world.is_over(tick);
    }
}

/// The bot with what is known of it, and the tick that is next.
async fn resumed(world: &World, store: &Arc<Store>) -> (Bot, State, u64) {
    let mut bot = bot_of(world);
    let Some(remembered) = store.remembered(&host()).await.unwrap().remove(&web()) else {
        bot.recorder = Some(store.recorder(&bot, Begins::Start));
        let state = State::new(&bot.policy);
        return (bot, state, 1);
    };
    // A tick that was kept is over, whether or not the world has heard of it; one whose order nobody obeyed is not.
    let tick_at = |since_start: Duration| since_start.as_secs() / INTERVAL.as_secs();
    let newest = newest_whole(store).await;
    let mut state = remembered.hand_over(&mut bot);
    let unsettled = bot.unsettled.as_ref().map(|unsettled| (tick_at(unsettled.at.since_start), unsettled.order.to));
    bot.recorder = Some(store.recorder(&bot, Begins::Resumed));
    let next = match unsettled {
        Some((tick, to)) => {
            world.come_to(tick);
            let is_obeyed = world.is_obeyed(to);
            bot.find_out(&mut state).await;
            if is_obeyed { tick + 1 } else { tick }
        }
        None => newest + 1,
    };
    (bot, state, next.max(1))
}

/// The newest tick that was kept to its end.
async fn newest_whole(store: &Store) -> u64 {
    let kept = ticks(&store.reader()).await;
    let tick = |tick: &store::Tick| tick.input().unwrap().at.since_start.as_secs() / INTERVAL.as_secs();
    kept.last().map_or(0, tick)
}

async fn one(bot: &mut Bot, state: &mut State, world: &World, tick: u64) -> (Outcome, Option<Settled>) {
    world.come_to(tick);
    let tick = bot.step(state, world.now().since_start).await;
    (tick.outcome, tick.settled)
}

async fn killed_again_and_again(words: &str, folder: &Path) {
    let mut delays = chance(0x5eed);
    for _ in 0..KILLS {
        let mut program = start(words, folder);
        let mut lines = BufReader::new(program.stdout.take().unwrap()).lines();
        assert_eq!(lines.next().unwrap().unwrap(), "running");
        tokio::time::sleep(Duration::from_micros(delays() % 30_000)).await;
        program.kill().unwrap();
        program.wait().unwrap();
    }
    let last = World::in_folder(folder).outside().tick + LAST_TICKS;
    std::fs::write(folder.join("last"), last.to_string()).unwrap();
    let status = start(words, folder).wait().unwrap();
    assert!(status.success());

    let reader = store::Reader::new(place(words));
    let kept = ticks(&reader).await;
    let mut by_tick = BTreeMap::new();
    for tick in &kept {
        let number = tick.input().unwrap().at.since_start.as_secs() / INTERVAL.as_secs();
        // An order whose end was not seen may have been obeyed: then its tick was not run again.
        by_tick.insert(number, (tick.outcome.clone(), tick.settled.clone()));
    }
    assert_eq!(by_tick.keys().copied().collect::<Vec<_>>(), (1..last).collect::<Vec<_>>(), "no tick is missing");
    let expected = undisturbed(last).await;
    let mut found_out = 0;
    for (tick, (outcome, settled)) in &by_tick {
        let (expected_outcome, expected_settled) = &expected[tick];
        assert_eq!(outcome, expected_outcome, "tick {tick}");
        match settled {
            None if expected_settled.is_some() => found_out += 1,
            settled => assert_eq!(settled, expected_settled, "tick {tick}"),
        }
    }
    let (same, unknown) = replay(&reader).await;
    assert_eq!((same, unknown), (kept.len(), 0));
    println!("{} ticks, {} rows, {found_out} orders were found out about after a kill", by_tick.len(), kept.len());
}

/// The same in one go, into a store that nobody disturbs.
async fn undisturbed(last: u64) -> BTreeMap<u64, (String, Option<String>)> {
    let folder = Folder::new();
    let file = format!("sqlite:{}", folder.path().join("store.db").display());
    let (world, store) = (World::in_memory(), store::find(place(&file), Keep::default()).await);
    let store = store.start(Arc::new(SystemClock::new()));
    let mut bot = bot_of(&world);
    bot.recorder = Some(store.recorder(&bot, Begins::Start));
    let mut state = State::new(&bot.policy);
    for tick in 1..last {
        one(&mut bot, &mut state, &world, tick).await;
    }
    store.flush(Duration::from_secs(20)).await;
    let kept = ticks(&store.reader()).await;
    let number = |tick: &store::Tick| tick.input().unwrap().at.since_start.as_secs() / INTERVAL.as_secs();
    kept.into_iter().map(|tick| (number(&tick), (tick.outcome, tick.settled))).collect()
}

fn start(words: &str, folder: &Path) -> std::process::Child {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["__bot", words]).arg(folder).stdin(Stdio::null()).stdout(Stdio::piped());
    command.spawn().unwrap()
}

/// Numbers that look like chance, from a seed.
fn chance(seed: u64) -> impl FnMut() -> u64 {
    let mut state = seed;
    move || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state
    }
}
