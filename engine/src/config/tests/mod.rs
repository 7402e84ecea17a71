//! Whole settings files, from text to configuration or to every error at its place.

mod accepted;
mod beside;
mod hostile;
mod python;
mod refused;
mod secrets;

use super::{
    Config,
    load::{self, Explained},
};
use crate::environment::Environment;

/// No environment variable is set.
fn nothing() -> Environment {
    Environment::default()
}

/// A file of `testkit/fixtures/settings`.
fn fixture(name: &str) -> String {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../testkit/fixtures/settings");
    std::fs::read_to_string(format!("{folder}/{name}")).unwrap()
}

fn explained(name: &str, text: &str, environment: &Environment) -> Explained {
    load::from_text(name, text, environment).unwrap_or_else(|errors| panic!("{}", errors.render(false)))
}

fn accepted(name: &str, text: &str) -> Config {
    explained(name, text, &nothing()).loaded.config
}

/// The errors as people see them at a terminal.
fn refused(name: &str, text: &str) -> String {
    refused_with(name, text, &nothing())
}

fn refused_with(name: &str, text: &str, environment: &Environment) -> String {
    match load::from_text(name, text, environment) {
        Ok(explained) => panic!("these settings were accepted: {:?}", explained.loaded.config),
        Err(errors) => errors.render(false),
    }
}

/// The errors as plain lines.
fn lines(name: &str, text: &str) -> Vec<String> {
    match load::from_text(name, text, &nothing()) {
        Ok(_) => Vec::new(),
        Err(errors) => errors.lines(),
    }
}

/// A process that is right, in TOML, but for the lines that a test adds below it: they belong to `[web.decision.settings]`.
const WEB: &str = "[web.scaling]\nbackend = \"DryRun\"\n[web.measurement.settings]\nmeasurement_url = \"http://127.0.0.1:9/\"\n\
                   [web.decision.settings]\n";
