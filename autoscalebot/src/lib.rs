//! The program as a library, for whoever runs it inside something else: the Python package does.
//!
//! [`cli::main`] is all of it: a command line in, an exit code out. [`openapi`] is for the docs.

pub mod cli;
mod command;
pub mod exit;
mod export;
pub mod logging;
mod server;
mod status;
mod watch;

pub use server::openapi;
