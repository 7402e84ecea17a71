//! `autoscalebot schema`: prints the JSON Schema of the settings, for editors.

use autoscalebot_engine::config::schema;

use crate::command;

use crate::exit::Exit;

/// Prints the schema.
pub fn run() -> Exit {
    command::print(&format!("{:#}\n", schema::schema()))
}
