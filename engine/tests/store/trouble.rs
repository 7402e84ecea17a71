//! Stores in trouble: bots decide as if there were none, the trouble is said with the way out, and what could be kept can
//! be replayed.

use std::{process::ExitCode, sync::Arc, time::Duration};

use autoscalebot_core::{
    control::{Command, Commanded, Scope},
    step::{self, Outcome, Settled, State},
};
use autoscalebot_engine::{
    clock::{Clock as _, SystemClock},
    command::Commander,
    shared::Shared,
    store::{self, Begins, Keep, Store},
};
use libtest_mimic::Trial;
use testkit::{
    program::{Folder, Program},
    services::Postgres,
};

use crate::{
    support::{claim, host, place, replay, ticks, web},
    world::{World, bot as bot_of},
};

/// More than may wait for a store that cannot be written.
const MORE_THAN_FITS: u64 = 21_000;

pub fn claims() -> Vec<Trial> {
    vec![
        claim("a_place_that_cannot_be_written_costs_the_bots_nothing_and_is_said", async || {
            let folder = Folder::new();
            let file = folder.write("a-file", "not a folder");
            let store = opened(&format!("sqlite:{}", file.join("store.db").display())).await;
            unaffected(&store, 1..300).await;
            let error = store.health().error.expect("it is said");
            assert!(error.contains("a-file/store.db") && error.contains("--store"), "{error}");
        }),
        claim("a_file_that_is_no_database_is_said_and_left_alone", async || {
            let folder = Folder::new();
            let garbage = "no database, ".repeat(1000);
            let file = folder.write("store.db", &garbage);
            let store = opened(&format!("sqlite:{}", file.display())).await;
            unaffected(&store, 1..300).await;
            let error = store.health().error.expect("it is said");
            assert!(error.contains("move it away"), "{error}");
            assert_eq!(std::fs::read_to_string(file).unwrap(), garbage, "somebody may still want it");
        }),
        claim("a_file_that_is_damaged_while_it_is_used_costs_the_bots_nothing", async || {
            let folder = Folder::new();
            let file = folder.path().join("store.db");
            let words = format!("sqlite:{}", file.display());
            let store = opened(&words).await;
            unaffected(&store, 1..300).await;
            store.flush(Duration::from_secs(20)).await;
            for name in ["store.db", "store.db-wal", "store.db-shm"] {
                std::fs::write(folder.path().join(name), "damaged".repeat(2000)).unwrap();
            }
            unaffected(&store, 1..300).await;
            let again = opened(&words).await;
            unaffected(&again, 1..300).await;
            assert!(again.health().error.is_some());
        }),
        claim("a_disk_that_is_full_costs_the_bots_nothing_and_is_said", async || {
            let folder = Folder::new();
            let script = "trap '' XFSZ; ulimit -f 600; exec \"$0\" \"$@\"";
            let mut command = std::process::Command::new("sh");
            command.args(["-c", script]).arg(std::env::current_exe().unwrap()).arg("__full").arg(folder.path());
            let mut program = Program::start(&mut command);
            let ended = program.end(Duration::from_secs(120)).await;
            assert!(ended.is_some_and(|status| status.success()), "{}", program.output());
        }),
        claim("a_pause_outlives_a_store_that_is_away_at_the_start", async || {
            let folder = Folder::new();
            let (data, away) = (folder.path().join("data"), folder.path().join("away"));
            let words = format!("sqlite:{}", data.join("store.db").display());
            let store = opened(&words).await;
            let (world, mut run) = running(&store);
            run.ticks(&world, 1..5).await;
            let reason = "the migration".to_owned();
            let pause = Commanded { command: Command::Pause { scope: Scope::All, length: None }, reason };
            step::command(&mut run.state, &pause, &world.now());
            run.bot.recorder.as_ref().unwrap().begins(Begins::Settings);
            run.ticks(&world, 5..7).await;
            store.close(Duration::from_secs(20)).await;

            std::fs::rename(&data, &away).unwrap();
            std::fs::write(&data, "no folder").unwrap();
            let store = opened(&words).await;
            assert!(store.remembered(&host()).await.is_none(), "nothing can be known yet");
            let (commander, shared) = (Commander::default(), Shared::new(Arc::new(SystemClock::new()), host()));
            let mut inbox = commander.open(&web());
            tokio::spawn(store.clone().say_again(commander, shared));
            std::fs::remove_file(&data).unwrap();
            std::fs::rename(&away, &data).unwrap();
            let (world, mut run) = running(&store);
            run.ticks(&world, 7..9).await;
            let said = inbox.recv().await.unwrap().commanded;
            assert_eq!(said.command, pause.command);
            assert_eq!(said.reason, "the migration (from before the restart)");
        }),
        claim("a_file_that_is_removed_while_it_is_used_is_begun_anew_and_replays", async || {
            let folder = Folder::new();
            let file = folder.path().join("store.db");
            let store = opened(&format!("sqlite:{}", file.display())).await;
            let (world, mut run) = running(&store);
            run.ticks(&world, 1..50).await;
            store.flush(Duration::from_secs(20)).await;
            std::fs::remove_file(&file).unwrap();
            for numbers in [50..60, 60..100] {
                run.ticks(&world, numbers).await;
                store.flush(Duration::from_secs(20)).await;
            }
            let reader = store.reader();
            let kept = ticks(&reader).await.len();
            assert!((40..=50).contains(&kept), "{kept}");
            let (same, unknown) = replay(&reader).await;
            assert!(same >= 40 && same + unknown == kept, "{same}, {unknown}");
        }),
        claim("an_older_file_that_is_put_back_while_it_is_used_goes_on_and_replays", async || {
            let (folder, away) = (Folder::new(), Folder::new());
            let store = opened(&format!("sqlite:{}", folder.path().join("store.db").display())).await;
            let (world, mut run) = running(&store);
            let moved = |from: &Folder, to: &Folder| {
                for name in ["store.db", "store.db-wal", "store.db-shm"] {
                    let _ = std::fs::rename(from.path().join(name), to.path().join(name));
                }
            };
            run.ticks(&world, 1..30).await;
            store.flush(Duration::from_secs(20)).await;
            moved(&folder, &away);
            run.ticks(&world, 30..70).await;
            store.flush(Duration::from_secs(20)).await;
            moved(&away, &folder);
            run.ticks(&world, 70..200).await;
            store.flush(Duration::from_secs(20)).await;
            let reader = store.reader();
            let kept = ticks(&reader).await.len();
            let (same, unknown) = replay(&reader).await;
            assert!(same >= 90 && same + unknown == kept, "{same} of {kept}, {unknown}");
            assert_eq!(store.health().lost, 0, "every tick is in one of the files");
        }),
        claim("tables_that_are_dropped_while_they_are_used_are_made_anew_and_the_next_run_is_another", async || {
            let postgres = Postgres::start().await;
            postgres.create_database("app").await;
            let url = postgres.url_with_password("app");
            let store = opened(&url).await;
            let (world, mut run) = running(&store);
            run.ticks(&world, 1..50).await;
            store.flush(Duration::from_secs(20)).await;
            let anew = "DROP SCHEMA public CASCADE; CREATE SCHEMA public AUTHORIZATION pg_database_owner";
            postgres.query("app", anew).await;
            run.ticks(&world, 50..150).await;
            store.flush(Duration::from_secs(20)).await;
            store.close(Duration::from_secs(20)).await;

            let store = opened(&url).await;
            let (world, mut run) = running(&store);
            run.ticks(&world, 1..150).await;
            store.flush(Duration::from_secs(20)).await;
            let (health, kept) = (store.health(), ticks(&store.reader()).await);
            assert_eq!((health.error, health.lost, kept.len()), (None, 0, 100 + 149));
            let (same, unknown) = replay(&store.reader()).await;
            assert!(same >= 149 && same + unknown == kept.len(), "{same}, {unknown}");
        }),
        claim("a_damage_that_a_reader_meets_is_said_until_the_file_is_another", async || {
            let folder = Folder::new();
            let file = folder.path().join("store.db");
            let store = opened(&format!("sqlite:{}", file.display())).await;
            let (world, mut run) = running(&store);
            run.ticks(&world, 1..300).await;
            store.flush(Duration::from_secs(20)).await;
            assert_eq!(store.health().error, None);
            // Everything but its first page, and all that waits to be put into it.
            for (name, first) in [("store.db", 1), ("store.db-wal", 0)] {
                let damaged = std::fs::OpenOptions::new().write(true).open(folder.path().join(name)).unwrap();
                for page in first..damaged.metadata().unwrap().len() / 4096 {
                    std::os::unix::fs::FileExt::write_all_at(&damaged, &[0xa5; 4096], page * 4096).unwrap();
                }
            }
            let unreadable = store.reader().processes().await.unwrap_err();
            assert!(unreadable.message.contains("move it away"), "{unreadable}");
            let error = store.health().error.expect("it is said");
            assert!(error.contains("damaged") && error.contains("move it away"), "{error}");
            std::fs::remove_file(&file).unwrap();
            run.ticks(&world, 300..310).await;
            store.flush(Duration::from_secs(20)).await;
            until_fine(&store).await;
            assert!(store.reader().processes().await.is_ok());
        }),
        claim("a_server_that_goes_and_comes_back_leaves_no_hole_that_is_not_marked", async || {
            let mut postgres = Postgres::start().await;
            postgres.create_database("app").await;
            let store = opened(&postgres.url_with_password("app")).await;
            let (world, mut run) = running(&store);
            run.ticks(&world, 1..300).await;
            store.flush(Duration::from_secs(20)).await;
            postgres.stop().await;
            run.ticks(&world, 300..600).await;
            unaffected_so_far(run.came_to.clone(), 600).await;
            // Said by now, because somebody has waited for an order to be kept.
            let error = store.health().error.expect("it is said");
            assert!(error.contains("PostgreSQL at 127.0.0.1") && !error.contains("p@ss"), "{error}");
            postgres.restart().await;
            until_fine(&store).await;
            run.ticks(&world, 600..900).await;
            store.flush(Duration::from_secs(20)).await;
            let reader = store.reader();
            assert_eq!(store.health().lost, 0, "all of it could wait");
            assert_eq!(replay(&reader).await, (899, 0));

            postgres.kill();
            run.ticks(&world, 900..900 + MORE_THAN_FITS).await;
            assert!(store.health().lost > 0);
            unaffected_so_far(run.came_to.clone(), 900 + MORE_THAN_FITS).await;
            postgres.restart().await;
            until_fine(&store).await;
            run.ticks(&world, 900 + MORE_THAN_FITS..1_200 + MORE_THAN_FITS).await;
            store.flush(Duration::from_secs(30)).await;
            let kept = ticks(&reader).await;
            let gaps = kept.iter().filter(|tick| tick.begins.as_deref() == Some("gap")).count();
            assert!(gaps >= 1, "the hole is marked");
            assert_eq!(replay(&reader).await, (kept.len(), 0), "and nothing is replayed across it");
            let holes = reader.holes(Some("web"), None, None).await.unwrap();
            let lost: usize = holes.iter().map(|hole| usize::try_from(hole.length().as_secs() / 10).unwrap() - 1).sum();
            assert_eq!(holes[0].begins, Begins::Gap);
            // Their results and events are lost as well.
            assert_eq!(kept.len() + lost, 1_199 + usize::try_from(MORE_THAN_FITS).unwrap(), "{holes:?}");
            assert_eq!(reader.holes(None, None, None).await.unwrap(), holes);
        }),
    ]
}

/// The program on the disk that is full: exits 0 when its bot came to the same as without a store, and the trouble is
/// said.
pub fn on_full_disk(folder: &str) -> ExitCode {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    runtime.block_on(async {
        let store = opened(&format!("sqlite:{folder}/store.db")).await;
        assert_eq!(store.health().error, None, "there is some room");
        unaffected(&store, 1..5_000).await;
        for _ in 0..600 {
            if let Some(error) = store.health().error {
                assert!(error.contains("store.db") && error.contains("; "), "{error}");
                return println!("{error}");
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        panic!("nobody said that the disk is full");
    });
    ExitCode::SUCCESS
}

async fn opened(words: &str) -> Arc<Store> {
    store::find(place(words), Keep::default()).await.start(Arc::new(SystemClock::new()))
}

/// A bot, and what it came to so far.
struct Run {
    bot: autoscalebot_engine::bot::Bot,
    state: State,
    came_to: Vec<(Outcome, Option<Settled>)>,
}

impl Run {
    async fn ticks(&mut self, world: &World, numbers: std::ops::Range<u64>) {
        for tick in numbers {
            world.come_to(tick);
            let tick = self.bot.step(&mut self.state, world.now().since_start).await;
            self.came_to.push((tick.outcome, tick.settled));
        }
    }
}

fn running(store: &Arc<Store>) -> (World, Run) {
    let world = World::in_memory();
    let mut bot = bot_of(&world);
    bot.recorder = Some(store.recorder(&bot, Begins::Start));
    let state = State::new(&bot.policy);
    (world, Run { bot, state, came_to: Vec::new() })
}

/// A new bot with this store comes to the same as one without any.
async fn unaffected(store: &Arc<Store>, numbers: std::ops::Range<u64>) {
    let (world, mut run) = running(store);
    run.ticks(&world, numbers.clone()).await;
    unaffected_so_far(run.came_to, numbers.end).await;
}

async fn unaffected_so_far(came_to: Vec<(Outcome, Option<Settled>)>, end: u64) {
    let world = World::in_memory();
    let bot = bot_of(&world);
    let mut alone = Run { state: State::new(&bot.policy), bot, came_to: Vec::new() };
    alone.ticks(&world, 1..end).await;
    assert!(came_to == alone.came_to, "with a store in trouble, and without one");
    assert!(came_to.iter().any(|(_, settled)| *settled == Some(Settled::Scaled)), "something happened");
}

/// The store writes again: after the longest of its pauses at the latest.
async fn until_fine(store: &Store) {
    for _ in 0..3_000 {
        let health = store.health();
        if health.error.is_none() && health.waiting == 0 {
            return;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    panic!("{:?}", store.health());
}
