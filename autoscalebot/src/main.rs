//! The binary `autoscalebot`. Everything is in [`cli`]; hidden helper processes branch off before it.
mod cli;
mod command;
mod logging;
mod watch;

use std::process::ExitCode;

fn main() -> ExitCode {
    autoscalebot_engine::scaling::local::shim::run_if_asked().unwrap_or_else(cli::main)
}
