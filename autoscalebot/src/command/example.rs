//! `autoscalebot example`: prints a settings file to begin with.

use autoscalebot_engine::config::example::{self, Format};

use crate::{cli::ExampleFormat, command, exit::Exit};

/// Prints the example.
pub fn run(format: ExampleFormat) -> Exit {
    command::print(&example::text(match format {
        ExampleFormat::Toml => Format::Toml,
        ExampleFormat::Yaml => Format::Yaml,
        ExampleFormat::Json => Format::Json,
        ExampleFormat::Python => Format::Python,
        ExampleFormat::Django => Format::Django,
    }))
}
