//! The binary `autoscalebot`: the program on a bare machine. Everything is in the library.
use std::process::ExitCode;

use autoscalebot::cli;
use autoscalebot_engine::{environment::Environment, host::Host};

fn main() -> ExitCode {
    let arguments = std::env::args_os().skip(1).collect();
    ExitCode::from(cli::main(arguments, Host::from(Environment::of_this_program()), None).0)
}
