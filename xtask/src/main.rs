//! Every chore around the code, behind one door: `cargo xtask <chore>`.
//!
//! It is small on purpose (one dependency, arguments read by hand): it is the first thing that a fresh machine builds.
//! A chore is a file here. What a chore runs prints to the terminal as it goes; nothing is kept back, so that a failure
//! can be read where it happened.

mod api;
mod bench;
mod check;
mod counts;
mod dashboard;
mod docs;
mod environments;
mod python;
mod run;
mod test;
mod tidy;
mod tools;
mod wheel;

use std::process::ExitCode;

use anyhow::{Result, bail};

const HELP: &str = "\
Chores around the code of autoscalebot.

Usage: cargo xtask <chore>

  test              installs what the tests need, checks the code, runs every test, sums up
  check             formatting, clippy, tidy, docs --check, licences (if cargo-deny is installed), and ruff and mypy on
                    the Python package (if `tools` has installed them)
  tidy              the rules of STYLE.md that a program can see
  docs [--check]    writes the generated parts of docs/; with --check, says what is out of date
  tools             installs what the tests need, saying what and why
  api               asks the API of a running program everything that its document allows, and much that it does not
  dashboard         walks through the dashboard of a running demo with a browser; pictures go to target/dashboard
  python            builds the Python package, checks it, tests it with each Django in an environment of its own
  python ARG...     only its tests, with one Django and these arguments of pytest
  wheel             builds the Python package for publishing: wheel and source distribution, in target/wheels
  bench fleet       what an evaluation costs, with 100, 1 000 and 10 000 processes
  bench store       what keeping history costs, with 10 000 processes, and how fast a week of it is read
  bench queues      what a measurement of a queue costs, with 1 000 queues on one Redis
  bench idle        what the program costs that does nothing: memory, size, time to start
      [--write]     also writes the result into docs/benchmarks.md
      [--counts N,N] [--seconds S]   (fleet, store, queues) other sizes, another length of each run
";

fn main() -> ExitCode {
    match chore() {
        Ok(code) => code,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn chore() -> Result<ExitCode> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match words.as_slice() {
        [] | ["help" | "--help" | "-h"] => print!("{HELP}"),
        // It ends with its own last line, also when it fails.
        ["test"] => return Ok(if test::test() { ExitCode::SUCCESS } else { ExitCode::FAILURE }),
        ["check"] => check::check()?,
        ["tidy"] => tidy::tidy()?,
        ["docs"] => docs::write()?,
        ["docs", "--check"] => docs::check()?,
        ["tools"] => tools::install()?,
        ["api"] => api::api()?,
        ["dashboard"] => dashboard::walk(&mut counts::Counts::default())?,
        ["python", arguments @ ..] => python::python(arguments)?,
        ["wheel"] => wheel::publishable()?,
        ["bench", "fleet", options @ ..] => bench::fleet(options)?,
        ["bench", "store", options @ ..] => bench::store(options)?,
        ["bench", "queues", options @ ..] => bench::queues(options)?,
        ["bench", "idle", options @ ..] => bench::idle(options)?,
        other => bail!("there is no chore {:?}; `cargo xtask help` lists them", other.join(" ")),
    }
    Ok(ExitCode::SUCCESS)
}
