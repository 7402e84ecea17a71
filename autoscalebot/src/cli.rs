//! The command line: what can be asked, and which command answers.
//!
//! `autoscalebot --settings X` is short for `autoscalebot run --settings X`, as the original had it. Exit codes: 0 fine,
//! 1 ran and failed, 2 wrong usage or settings.

mod history;

use std::{ffi::OsString, io::IsTerminal, path::PathBuf, time::Duration};

use autoscalebot_engine::{environment, host::Host, scaling::local::shim, store::Keep};
use clap::{Args, Parser, Subcommand, ValueEnum};

use crate::{command, exit::Exit, logging};

/// Makes scaling the processes of an app something you can stop worrying about.
///
/// Watches how loaded each process of an app is, decides how many of them should run, makes the platform run that many,
/// and tells people: measure → decide → scale → notify.
#[derive(Debug, Parser)]
#[command(name = "autoscalebot", version, args_conflicts_with_subcommands = true, after_help = AFTER_HELP)]
struct Cli {
    #[command(subcommand)]
    command: Option<Command>,

    #[command(flatten)]
    run: RunArguments,
}

const AFTER_HELP: &str = "\
First steps:
  autoscalebot demo                                 watch it work, with nothing to install
  autoscalebot example > autoscale_settings.toml    begin a settings file
  autoscalebot check --settings autoscale_settings  see what it means, or everything that is wrong with it
  autoscalebot eval --settings autoscale_settings   measure and decide once, change nothing
  autoscalebot --settings autoscale_settings        the job

Afterwards:
  autoscalebot status                               what runs, and why
  autoscalebot journal --around 03:00               why did it scale at 3 a.m.?";

#[derive(Debug, Subcommand)]
enum Command {
    /// Do the job: measure, decide, scale, notify, until stopped
    Run(RunArguments),
    /// Read the settings; print every error, or every effective setting and where it came from
    Check(CheckArguments),
    /// Measure and decide once, print the decision and its reason; change nothing
    Eval(EvalArguments),
    /// Watch the whole job on this machine alone: no account, no settings, nothing to install
    Demo(DemoArguments),
    /// All processes: what runs, what is wanted, and why
    Status(history::StatusArguments),
    /// What was decided and what happened, with the reason of each
    Journal(history::JournalArguments),
    /// A picture of one process: readings, thresholds, and how many ran
    Plot(history::PlotArguments),
    /// Prove every recorded decision, or see what other settings would have done
    Replay(history::ReplayArguments),
    /// Print an annotated settings file to begin with
    Example(ExampleArguments),
    /// Print the JSON Schema of the settings, for editors
    Schema,
    /// The app that the demo runs, for the demo alone
    #[command(name = "__demo-app", hide = true)]
    DemoApp(DemoAppArguments),
}

#[derive(Debug, Args)]
struct SettingsArguments {
    /// The settings: a file (.toml, .yaml, .json, .py), or a module name such as `autoscale_settings`
    ///
    /// Without it: the variable AUTOSCALEBOT_SETTINGS, else autoscale_settings.* or autoscalebot.* in this folder.
    #[arg(long, short, value_name = "FILE")]
    settings: Option<String>,
}

#[derive(Debug, Args)]
struct RunArguments {
    #[command(flatten)]
    settings: SettingsArguments,
    /// Decide and tell, but never scale
    #[arg(long)]
    dry_run: bool,
    #[command(flatten)]
    store: StoreArguments,
    #[command(flatten)]
    keep: KeepArguments,
}

#[derive(Debug, Args)]
struct StoreArguments {
    /// Where history is kept: sqlite:FILE, postgres://…, or none
    ///
    /// Without it: the variable AUTOSCALEBOT_STORE, else the PostgreSQL database of DATABASE_URL, else the file
    /// autoscalebot-data/store.db in this folder.
    #[arg(long, value_name = "PLACE")]
    store: Option<String>,
}

#[derive(Debug, Args)]
struct KeepArguments {
    /// For how many days every single decision is kept
    #[arg(long, value_name = "DAYS", default_value_t = Keep::default().days, value_parser = clap::value_parser!(u32).range(1..=3660))]
    keep_days: u32,
    /// For how many days events, and charts in steps of five minutes, are kept
    #[arg(long, value_name = "DAYS", default_value_t = Keep::default().rollup_days, value_parser = clap::value_parser!(u32).range(1..=3660))]
    keep_rollup_days: u32,
    /// How large all of it may be, in megabytes; beyond that the oldest decisions go earlier
    #[arg(long, value_name = "MB", default_value_t = Keep::default().most_megabytes, value_parser = clap::value_parser!(u32).range(8..))]
    store_max_mb: u32,
}

impl KeepArguments {
    fn keep(&self) -> Keep {
        Keep { days: self.keep_days, rollup_days: self.keep_rollup_days, most_megabytes: self.store_max_mb }
    }
}

#[derive(Debug, Args)]
struct CheckArguments {
    #[command(flatten)]
    settings: SettingsArguments,
    /// Also try each backend once: measure, and ask the platform for the count; nothing is scaled or sent
    #[arg(long)]
    online: bool,
}

#[derive(Debug, Args)]
struct EvalArguments {
    #[command(flatten)]
    settings: SettingsArguments,
    /// How often to measure before deciding, at the settings' interval
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..=1000))]
    samples: u16,
    /// Print JSON
    #[arg(long)]
    json: bool,
    /// Only this process; may be given several times
    #[arg(long, value_name = "NAME")]
    process: Vec<String>,
}

#[derive(Debug, Args)]
struct DemoArguments {
    /// How long the load rises and falls
    #[arg(long, default_value_t = 120, value_parser = clap::value_parser!(u32).range(10..=3600))]
    seconds: u32,
    /// Plain lines instead of the live view, as when the output is not a terminal
    #[arg(long)]
    plain: bool,
}

#[derive(Debug, Args)]
struct DemoAppArguments {
    /// How long one request takes when it is alone
    #[arg(long, value_parser = clap::value_parser!(u64).range(1..=10_000))]
    work_ms: u64,
}

#[derive(Debug, Args)]
struct ExampleArguments {
    /// The file's format
    #[arg(value_enum, default_value_t = ExampleFormat::Toml)]
    format: ExampleFormat,
}

/// Formats of the example.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum ExampleFormat {
    /// TOML
    Toml,
    /// YAML
    Yaml,
    /// JSON (which has no comments)
    Json,
    /// The original's Python module
    Python,
    /// A part of Django's settings.py
    Django,
}

/// What every command is handed.
pub struct Surroundings {
    /// What the program runs in, with its environment variables.
    pub host: Host,
    /// The current folder.
    pub folder: PathBuf,
    /// Whether output may be coloured.
    pub colour: bool,
}

/// Runs the command that these arguments (without the program's name) ask for. The log goes to `log`, a line at a time;
/// to standard error when there is none.
#[must_use]
pub fn main(arguments: Vec<OsString>, host: Host, log: Option<logging::Lines>) -> Exit {
    if let Some(code) = shim::run_if_asked(&arguments) {
        return Exit(code);
    }
    let cli = match Cli::try_parse_from(std::iter::once(OsString::from("autoscalebot")).chain(arguments)) {
        Ok(cli) => cli,
        Err(answer) => {
            // `--help` and `--version` come this way too, and are no errors. A reader who went away needs no answer.
            let _ = answer.print();
            return if answer.use_stderr() { Exit::REFUSED } else { Exit::FINE };
        }
    };
    let environment = &host.environment;
    let colour = environment.get(environment::NO_COLOR.name).is_none() && std::io::stderr().is_terminal();
    let folder = std::env::current_dir().unwrap_or_else(|_| PathBuf::from("."));
    let surroundings = Surroundings { host, folder, colour };
    let command = cli.command.unwrap_or(Command::Run(cli.run));
    // The demo shows by itself what happens, and a log would be written across its picture; whoever asks gets one.
    let shows_itself =
        matches!(command, Command::Demo(_)) && surroundings.host.environment.get(environment::LOG.name).is_none();
    let log = if shows_itself { Ok(None) } else { logging::start(&surroundings, log).map(Some) };
    let _log = match log {
        Ok(guard) => guard,
        Err(problem) => {
            eprintln!("error: {problem}");
            return Exit::REFUSED;
        }
    };
    let around = &surroundings;
    match command {
        Command::Run(arguments) => {
            let wish = command::run::Wish {
                settings: arguments.settings.settings,
                dry_run: arguments.dry_run,
                store: arguments.store.store,
                keep: arguments.keep.keep(),
            };
            command::run::run(&wish, around)
        }
        Command::Check(arguments) => {
            command::check::run(arguments.settings.settings.as_deref(), arguments.online, around)
        }
        Command::Eval(arguments) => {
            let settings = arguments.settings.settings.as_deref();
            let wish = command::eval::Wish {
                samples: arguments.samples.into(),
                json: arguments.json,
                processes: arguments.process,
            };
            command::eval::run(settings, &wish, around)
        }
        Command::Demo(arguments) => command::demo::run(arguments.seconds, arguments.plain, around),
        Command::Status(arguments) => command::status::run(&arguments.wish(), around),
        Command::Journal(arguments) => command::journal::run(&arguments.wish(), around),
        Command::Plot(arguments) => command::plot::run(&arguments.wish(), around),
        Command::Replay(arguments) => command::replay::run(&arguments.wish(), around),
        Command::Example(arguments) => command::example::run(arguments.format),
        Command::Schema => command::schema::run(),
        Command::DemoApp(arguments) => {
            command::demo::app::run(Duration::from_millis(arguments.work_ms), &around.host.environment)
        }
    }
}
