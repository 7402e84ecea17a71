//! `autoscalebot schema`: prints the JSON Schema of the settings, for editors.

use std::process::ExitCode;

use autoscalebot_engine::config::schema;

use crate::command;

/// Prints the schema.
pub fn run() -> ExitCode {
    command::print(&format!("{:#}\n", schema::schema()))
}
