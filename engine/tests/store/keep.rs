//! What is kept for how long: ticks for some days, charts and events for longer, and never more than there is room for.

use std::{collections::BTreeSet, ops::RangeInclusive, sync::Arc, time::Duration};

use autoscalebot_core::step::State;
use autoscalebot_engine::{
    clock::Clock as _,
    store::{self, Begins, EventsWish, Keep, SeriesWish, Store},
};
use jiff::{SignedDuration, Timestamp};
use libtest_mimic::Trial;
use testkit::{program::Folder, services::Postgres};
use tokio::time::timeout;

use crate::{
    support::{claim, place, replay, ticks},
    world::{INTERVAL, World, bot as bot_of},
};

/// A look every ten minutes, as the world counts them.
const STRIDE: u64 = 60;

const LOOKS_A_DAY: u64 = 144;

/// So many ticks are written before there is a look at what is to go.
const ROUND: u64 = 24;

/// In ticks of the world, without a stride.
const QUARTER_OF_A_DAY: u64 = 6 * 3600 / 10;

pub fn claims() -> Vec<Trial> {
    vec![
        claim("on_sqlite_ticks_go_after_their_days_and_charts_and_events_stay", async || {
            let folder = Folder::new();
            ticks_go_and_charts_stay(&format!("sqlite:{}", folder.path().join("store.db").display())).await;
        }),
        claim("on_postgresql_ticks_go_after_their_days_and_charts_and_events_stay", async || {
            let postgres = Postgres::start().await;
            postgres.create_database("app").await;
            ticks_go_and_charts_stay(&postgres.url_with_password("app")).await;
        }),
        claim("what_waited_while_the_store_was_away_is_in_the_charts", async || {
            let folder = Folder::new();
            let data = folder.write("data", "in the way");
            let words = format!("sqlite:{}", data.join("store.db").display());
            let (world, store) = (World::in_memory(), store::find(place(&words), Keep::default()).await);
            let store = store.start(Arc::new(world.clone()));
            run(&world, &store, 1, 1..=QUARTER_OF_A_DAY, QUARTER_OF_A_DAY + 1).await;
            assert!(store.health().waiting > 1000, "{:?}", store.health());
            std::fs::remove_file(data).unwrap();
            // Time goes on while it is written.
            run(&world, &store, 1, QUARTER_OF_A_DAY + 1..=2 * QUARTER_OF_A_DAY, 2 * QUARTER_OF_A_DAY + 1).await;
            let written = async {
                while store.health().error.is_some() || store.health().waiting > 0 {
                    store.flush(Duration::from_secs(20)).await;
                }
            };
            timeout(Duration::from_secs(60), written).await.unwrap();
            // What was written last is rolled up when its time is over.
            run(&world, &store, 1, 2 * QUARTER_OF_A_DAY + 1..=2 * QUARTER_OF_A_DAY + 60, 30).await;
            let end = world.now().civil;
            let wish = SeriesWish { from: end - SignedDuration::from_hours(12), to: end, points: 48 };
            let series = store.reader().series("web", 1, &wish).await.unwrap();
            assert!(series.is_rollup && series.at_ms.len() >= 48, "{series:?}");
            let holes = series.signals[0].mean.iter().filter(|mean| mean.is_none()).count();
            assert!(holes <= 1, "{series:?}");
        }),
        claim("what_is_too_large_loses_its_oldest_ticks_first_and_the_rest_still_replays", async || {
            let folder = Folder::new();
            let words = format!("sqlite:{}", folder.path().join("store.db").display());
            let keep = Keep { days: 3660, rollup_days: 3660, most_megabytes: 1 };
            let (store, now) = days(&words, keep, 20).await;
            let kept = ticks(&store.reader()).await;
            assert!((10..20 * LOOKS_A_DAY as usize).contains(&kept.len()), "{} ticks", kept.len());
            let oldest = kept[0].input().unwrap().at.civil;
            assert!(oldest > now - SignedDuration::from_hours(18 * 24), "the oldest have gone: {oldest}");
            let newest = kept.last().unwrap().input().unwrap().at.civil;
            assert!(newest > now - SignedDuration::from_hours(1), "{newest}");
            let (same, unknown) = replay(&store.reader()).await;
            assert!(same > 0 && unknown < 64, "{same} replay, {unknown} are before the first kept state");
        }),
    ]
}

async fn ticks_go_and_charts_stay(words: &str) {
    let keep = Keep { days: 3, rollup_days: 8, most_megabytes: 512 };
    let (store, now) = days(words, keep, 10).await;
    let reader = store.reader();
    let day = |days: i64| SignedDuration::from_hours(24 * days);
    let kept = ticks(&reader).await;
    let oldest = kept[0].input().unwrap().at.civil;
    assert!(oldest >= now - day(3) - SignedDuration::from_hours(5), "ticks of three days: {oldest}, now {now}");
    assert!(oldest <= now - day(2), "and not fewer: {oldest}");

    // Each point is two hours of ten days. Old ones are looked for every hour, and here after every fourth.
    let wish = SeriesWish { from: now - day(10), to: now, points: 120 };
    let series = reader.series("web", 1, &wish).await.unwrap();
    assert!(series.is_rollup);
    let days_shown: BTreeSet<i64> = series.at_ms.iter().map(|at| (now.as_millisecond() - at) / 86_400_000).collect();
    let at_least: BTreeSet<i64> = (0..8).collect();
    assert!(days_shown.is_superset(&at_least) && !days_shown.contains(&9), "charts of eight days: {days_shown:?}");
    assert!(series.signals[0].mean.iter().flatten().count() > 80);
    assert!(series.signals[0].failures.iter().sum::<i64>() > 0 && series.running.iter().flatten().count() > 80);

    let events = EventsWish { limit: 1000, ..EventsWish::default() };
    let events = reader.events(&events).await.unwrap().items;
    let oldest = events.last().unwrap().at;
    assert!(oldest < now - day(6) && oldest >= now - day(8) - SignedDuration::from_hours(5), "{oldest}");
}

/// A store after so many days of a world with a look every ten minutes; and what time it is then.
async fn days(words: &str, keep: Keep, days: u64) -> (Arc<Store>, Timestamp) {
    let world = World::in_memory();
    let store = store::find(place(words), keep).await.start(Arc::new(world.clone()));
    run(&world, &store, STRIDE, 1..=days * LOOKS_A_DAY, ROUND).await;
    // Chores follow a batch; that they are over is known when the next one is written.
    for _ in 0..2 {
        store.flush(Duration::from_secs(20)).await;
    }
    (store, world.now().civil)
}

/// A bot looks so many times, a stride apart, and waits for the store after each round.
async fn run(world: &World, store: &Arc<Store>, stride: u64, looks: RangeInclusive<u64>, round: u64) {
    let mut bot = bot_of(world);
    bot.recorder = Some(store.recorder(&bot, Begins::Start));
    let mut state = State::new(&bot.policy);
    for look in looks {
        world.come_to(look * stride);
        bot.step(&mut state, INTERVAL * u32::try_from(look * stride).unwrap()).await;
        if look % round == 0 {
            store.flush(Duration::from_secs(20)).await;
        }
    }
}
