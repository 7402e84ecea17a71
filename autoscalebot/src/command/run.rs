//! `autoscalebot run`: the job, until stopped.
//!
//! SIGTERM and SIGINT end it within five seconds; SIGHUP or a change of the settings file reloads. A changed file that is
//! not valid is told, and the old settings go on.

use std::{path::Path, sync::Arc, time::Duration};

use autoscalebot_core::{moment::Moment, names::ProcessName};
use autoscalebot_engine::{
    board::{Board, LastScale},
    bot::Watch,
    build::Manner,
    clock::{Clock as _, SystemClock},
    config::{ConfigErrors, load},
    fleet::Fleet,
    host::Host,
    shared::Shared,
    store::{self, Keep, Place, Scale, Store},
    telemetry::metrics::Sources,
};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio_util::sync::CancellationToken;
use tracing::{error, info, warn};

use crate::{
    cli::Surroundings,
    command,
    exit::Exit,
    export::Exporting,
    server::{self, Parts, listen::Listen},
    watch::WatchedFile,
};

/// From the signal to the exit. Five seconds are promised; the rest is for the system to take the program down.
const SHUTDOWN: Duration = Duration::from_millis(4500);

/// When all bots have ended, nothing is left to wait for but answers on their way out.
const LAST_ANSWERS: Duration = Duration::from_millis(200);

/// Signals within this time of the first are the same wish. Nobody presses Ctrl-C twice in half a second by decision.
const TOGETHER: Duration = Duration::from_millis(500);

/// Threads that carry bots. Bots wait nearly all of their time; more threads only cost memory and wake-ups.
const MOST_WORKERS: usize = 2;

/// Reads settings, with or without words for people.
type Load = fn(Option<&str>, &Path, &Host) -> Result<load::Loaded, ConfigErrors>;

/// How to run.
pub struct Wish {
    /// The settings.
    pub settings: Option<String>,
    /// Decide and tell, but never scale.
    pub dry_run: bool,
    /// Where history is kept.
    pub store: Option<String>,
    /// For how long.
    pub keep: Keep,
    /// Where the server listens; there is none without.
    pub listen: Option<String>,
    /// Let everybody who reaches the server do everything.
    pub is_insecure: bool,
}

/// Runs until stopped.
pub fn run(wish: &Wish, around: &Surroundings) -> Exit {
    let place = match command::store_place(wish.store.as_deref(), around) {
        Ok(place) => place,
        Err(code) => return code,
    };
    let listen = wish.listen.as_deref().map(|listen| Listen::find(listen, wish.is_insecure, &around.host.environment));
    let listen = match listen.transpose() {
        Ok(listen) => listen,
        Err(problem) => {
            eprintln!("error: {problem}");
            return Exit::REFUSED;
        }
    };
    // Settings in words take memory, and are made only for those who read them.
    let load: Load = if place.is_some() || listen.is_some() { load::load_with_words } else { load::load };
    let loaded = match load(wish.settings.as_deref(), &around.folder, &around.host) {
        Ok(loaded) => loaded,
        Err(errors) => return command::refuse(&errors, around),
    };
    let runtime = match command::runtime(MOST_WORKERS) {
        Ok(runtime) => runtime,
        Err(code) => return code,
    };
    let code = runtime.block_on(serve(loaded, load, place, listen, wish, around));
    // Whatever still blocks a thread (a name that is being looked up) must not hold up the exit.
    runtime.shutdown_background();
    code
}

async fn serve(
    loaded: load::Loaded,
    load: Load,
    place: Option<Place>,
    listen: Option<Listen>,
    wish: &Wish,
    around: &Surroundings,
) -> Exit {
    let signals = (signal(SignalKind::terminate()), signal(SignalKind::interrupt()), signal(SignalKind::hangup()));
    let (Ok(mut terminate), Ok(mut interrupt), Ok(mut hangup)) = signals else {
        eprintln!("error: the system does not let us receive signals");
        return Exit::FAILED;
    };
    let load::Loaded { config, warnings, path, name } = loaded;
    let processes: Vec<_> = config.processes.keys().map(ToString::to_string).collect();
    let (settings, dry_run) = (wish.settings.as_deref(), wish.dry_run);
    let (clock, store) = open_store(place, wish.keep).await;
    let started = clock.now();
    let shared = Shared::new(clock.clone(), around.host.clone());
    let board = Board::new(around.host.clone());
    let metrics = Sources::new(board.clone(), store.clone(), shared.clone());
    let is_watched = listen.is_some() || Exporting::is_wanted(&around.host.environment);
    let watchers = if is_watched { vec![board.clone() as Arc<dyn Watch>] } else { Vec::new() };
    let manner = Manner { dry_run, watchers, store: store.clone() };
    // Before any bot runs: whoever cannot have the address wants to know it now.
    let listening = match &listen {
        Some(listen) => match server::bind(listen).await {
            Ok(listening) => Some(listening),
            Err(problem) => {
                eprintln!("error: {problem}");
                return Exit::FAILED;
            }
        },
        None => None,
    };
    let mut fleet = match Fleet::start(config, shared, manner).await {
        Ok(fleet) => fleet,
        Err(errors) => {
            for error in &errors {
                eprintln!("error: {name}: {error}");
            }
            return Exit::REFUSED;
        }
    };
    if let (Some(store), true) = (&store, is_watched) {
        tokio::spawn(last_scales(store.clone(), board.clone()));
    }
    let stop = CancellationToken::new();
    let exporting = Exporting::start(&metrics);
    let serving = listening.map(|listening| {
        let parts = Parts { board, commander: fleet.commander(), store, clock, started, metrics };
        listening.serve(parts, stop.clone())
    });
    info!(settings = name, processes = in_short(&processes), dry_run, version = env!("CARGO_PKG_VERSION"), "started");
    if let Some(serving) = &serving {
        info!(address = serving.url(), "the dashboard is at this address");
    }
    for warning in warnings.iter().chain(&fleet.remarks()) {
        warn!("{warning}");
    }
    for protection in fleet.protections() {
        info!("{protection}");
    }
    let mut file = WatchedFile::new(path.as_deref());
    loop {
        tokio::select! {
            name = first(&mut terminate, &mut interrupt) => {
                info!(signal = name, "stopping");
                break;
            }
            _ = hangup.recv() => reload(&mut fleet, load, settings, around).await,
            () = file.changed() => reload(&mut fleet, load, settings, around).await,
        }
    }
    stop.cancel();
    let ended = async {
        tokio::join!(fleet.shutdown(SHUTDOWN), exporting.finish());
        if let Some(serving) = serving {
            serving.ended(LAST_ANSWERS).await;
        }
    };
    tokio::select! {
        () = ended => info!("stopped"),
        () = once_more(&mut terminate, &mut interrupt) => warn!("stopped at once, without waiting for calls in flight"),
    }
    Exit::FINE
}

/// The newest changes of counts from before this start are shown too.
async fn last_scales(store: Arc<Store>, board: Arc<Board>) {
    // A store that does not answer has been told of, and this is the least that is missing then.
    let Ok(all) = store.reader().overview().await else { return };
    for row in all {
        if let (Ok(process), Some(Scale { at, from, to, reason })) = (ProcessName::new(row.process), row.last_scale) {
            let at = Moment { since_start: Duration::ZERO, civil: at };
            board.set_last_scale(&process, LastScale { at, from, to, reason });
        }
    }
}

/// The clock goes on where that of the run before stopped, so that what was known then still means the same.
async fn open_store(place: Option<Place>, keep: Keep) -> (Arc<SystemClock>, Option<Arc<Store>>) {
    let Some(place) = place else { return (Arc::new(SystemClock::new()), None) };
    let shown = place.shown();
    let found = store::find(place, keep).await;
    match found.error() {
        None => info!(store = shown, "history is kept"),
        Some(error) => warn!(error, "the store cannot be opened; bots run, and history is kept once it can be"),
    }
    let clock = Arc::new(found.reached.as_ref().map_or_else(SystemClock::new, SystemClock::after));
    let store = found.start(clock.clone());
    (clock, Some(store))
}

async fn first(terminate: &mut Signal, interrupt: &mut Signal) -> &'static str {
    tokio::select! {
        _ = terminate.recv() => "SIGTERM",
        _ = interrupt.recv() => "SIGINT",
    }
}

/// A second signal means "now". One that comes together with the first does not: `timeout` sends its signal to the
/// program and to its group, and platforms may send SIGTERM more than once.
async fn once_more(terminate: &mut Signal, interrupt: &mut Signal) {
    let together = tokio::time::sleep(TOGETHER);
    tokio::pin!(together);
    loop {
        tokio::select! {
            _ = first(terminate, interrupt) => {}
            () = &mut together => break,
        }
    }
    first(terminate, interrupt).await;
}

async fn reload(fleet: &mut Fleet, load: Load, settings: Option<&str>, around: &Surroundings) {
    let problems = match load(settings, &around.folder, &around.host) {
        Err(errors) => problems(&errors),
        Ok(loaded) => {
            for warning in &loaded.warnings {
                warn!("{warning}");
            }
            match fleet.reload(loaded.config).await {
                Ok(changes) if changes.is_empty() => {
                    info!("settings read again, nothing changed");
                    return;
                }
                Ok(_) => return,
                Err(errors) => errors.iter().map(ToString::to_string).collect(),
            }
        }
    };
    for problem in &problems {
        error!("{problem}");
    }
    fleet.reject(&problems);
}

fn problems(errors: &ConfigErrors) -> Vec<String> {
    errors.lines()
}

/// A list of names that stays readable with ten thousand of them.
fn in_short(names: &[String]) -> String {
    const SHOWN: usize = 8;
    match names.len() {
        0..=SHOWN => names.join(", "),
        more => format!("{}, … ({more} in all)", names[..SHOWN].join(", ")),
    }
}
