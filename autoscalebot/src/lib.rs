//! The program as a library, for whoever runs it inside something else: the Python package does.
//!
//! [`cli::main`] is all of it: a command line in, an exit code out.

pub mod cli;
mod command;
pub mod exit;
pub mod logging;
mod watch;
