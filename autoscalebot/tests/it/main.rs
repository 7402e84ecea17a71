//! The binary as its users run it: real process, real files, real HTTP, and a fake Heroku.
mod api;
mod http;
mod job;
mod looking_back;
mod metrics;
mod reload;
mod restart;
mod words;

use std::process::Command;

/// The binary, in a clean environment: nothing of the developer's own may decide a test.
pub fn autoscalebot() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_autoscalebot"));
    command.env_clear().env("AUTOSCALEBOT_LOG", "debug,hyper=info,reqwest=info");
    command
}
