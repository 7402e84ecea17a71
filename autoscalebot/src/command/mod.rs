//! The commands, one file each. A command gets parsed arguments and returns an exit code.

pub mod check;
pub mod demo;
pub mod eval;
pub mod example;
pub mod history;
pub mod journal;
pub mod plot;
pub mod replay;
pub mod run;
pub mod schema;
pub mod status;

use std::{
    io::{ErrorKind, Write},
    time::Duration,
};

use autoscalebot_core::registry::Backend;
use autoscalebot_engine::{
    config::{Config, ConfigErrors},
    environment,
    host::Host,
    scaling::local::Local,
    store::Place,
};
use tokio::runtime::{Builder, Runtime};

use crate::{cli::Surroundings, exit::Exit};

/// How long a farewell may take; that of `run` has as long.
const FAREWELL: Duration = Duration::from_secs(5);

/// Prints every error in the settings; the exit code for it.
pub fn refuse(errors: &ConfigErrors, around: &Surroundings) -> Exit {
    eprintln!("{}", errors.render(around.colour).trim_end());
    Exit::REFUSED
}

/// Prints the answer of a command. Whoever reads only its beginning (`| head`) has had enough, and that is fine.
pub fn print(text: &str) -> Exit {
    let mut output = std::io::stdout().lock();
    match output.write_all(text.as_bytes()).and_then(|()| output.flush()) {
        Err(error) if error.kind() != ErrorKind::BrokenPipe => {
            eprintln!("error: cannot print: {error}");
            Exit::FAILED
        }
        _ => Exit::FINE,
    }
}

/// Standard output belongs to the answer of a command: what the processes of `Local` print goes to standard error.
pub fn keep_output_for_the_answer(config: &mut Config) {
    for process in config.processes.values_mut().filter(|process| process.scaling.backend == Local::NAME) {
        if process.scaling.settings.get("output").is_none_or(|output| output == "stdout") {
            process.scaling.settings["output"] = "stderr".into();
        }
    }
}

/// Backends that somebody brought may have something to end; called when none is asked any more.
pub async fn farewell(host: &Host) {
    if let Some(guests) = &host.guests {
        guests.finish(FAREWELL).await;
    }
}

/// Where the store is, by a wish, the environment, and the current folder.
///
/// # Errors
/// The exit code when the wish cannot be; the reason is printed.
pub fn store_place(wish: Option<&str>, around: &Surroundings) -> Result<Option<Place>, Exit> {
    let environment = &around.host.environment;
    let wish = wish.or_else(|| environment.get(environment::STORE.name));
    Place::find(wish, environment, &around.folder).map_err(|problem| {
        eprintln!("error: {problem}");
        Exit::REFUSED
    })
}

/// The runtime that carries everything that waits.
///
/// # Errors
/// The exit code when the system gives no threads; the reason is printed.
pub fn runtime(most_workers: usize) -> Result<Runtime, Exit> {
    let cores = std::thread::available_parallelism().map_or(1, std::num::NonZeroUsize::get);
    let mut builder = Builder::new_multi_thread();
    builder.worker_threads(cores.min(most_workers)).enable_all().build().map_err(|error| {
        eprintln!("error: the system gives no threads: {error}");
        Exit::FAILED
    })
}
