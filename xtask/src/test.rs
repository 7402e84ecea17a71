//! `cargo xtask test`: all that stands between a change and the main branch, and its sum in the last line.
//!
//! Tools, then checks, then every test of the workspace. There is one target folder, one profile and one set of features
//! throughout, so no crate is compiled twice but for clippy, which needs metadata and no machine code; build scripts and
//! macros are shared even there. The docs are checked by a test of `docgen`, because building that alone would choose
//! other features for shared dependencies and compile them again.

use std::{
    io::{BufRead, BufReader},
    process::Stdio,
    time::{Duration, Instant},
};

use anyhow::{Result, anyhow, bail};

use crate::{
    check,
    run::{self, cargo},
    tools,
};

/// Runs everything and returns whether all is well. The last line of the output is `N passed, N failed`.
pub fn test() -> bool {
    let mut steps = Steps::default();
    steps.step("tools", tools::install);
    check::all(&mut steps);
    let mut counts = Counts::default();
    steps.step("tests", || workspace_tests(&mut counts));
    steps.print();

    // A check that failed, or tests that did not even compile, must not hide behind a sum of the tests that ran.
    let failed_elsewhere: Vec<_> =
        steps.failed().into_iter().filter(|name| *name != "tests" || counts.failed == 0).collect();
    if !failed_elsewhere.is_empty() {
        println!("counted as failed, each as one: {}", failed_elsewhere.join(", "));
    }
    counts.failed += failed_elsewhere.len() as u64;
    println!("{} passed, {} failed", counts.passed, counts.failed);
    counts.failed == 0
}

fn workspace_tests(counts: &mut Counts) -> Result<()> {
    let mut command = cargo();
    command.args(["test", "--workspace", "--locked", "--no-fail-fast"]).stdin(Stdio::null()).stdout(Stdio::piped());
    let mut child = command.spawn()?;
    let output = child.stdout.take().ok_or_else(|| anyhow!("cargo test has no output"))?;
    for line in BufReader::new(output).split(b'\n') {
        let line = String::from_utf8_lossy(&line?).into_owned();
        println!("{line}");
        counts.add(&line);
    }
    let status = child.wait()?;
    if status.success() { Ok(()) } else { bail!("`{}` failed ({status})", run::shown(&command)) }
}

/// Tests that ran.
#[derive(Debug, Default, PartialEq, Eq)]
struct Counts {
    passed: u64,
    failed: u64,
}

impl Counts {
    /// Adds what a line of cargo's output says: `test result: ok. 5 passed; 0 failed; …`.
    fn add(&mut self, line: &str) {
        let Some((_, result)) = line.split_once("test result: ") else { return };
        let number = |word: &str| {
            let before = result.split([';', '.']).find_map(|part| part.trim().strip_suffix(word))?;
            before.trim().parse::<u64>().ok()
        };
        self.passed += number("passed").unwrap_or(0);
        self.failed += number("failed").unwrap_or(0);
    }
}

/// Steps of a chore: each is told when it begins, timed, and remembered when it fails.
#[derive(Debug, Default)]
pub struct Steps {
    done: Vec<(&'static str, Duration, bool)>,
}

impl Steps {
    /// Runs a step. A failure is printed and does not keep later steps from running.
    pub fn step(&mut self, name: &'static str, step: impl FnOnce() -> Result<()>) {
        println!("── {name}");
        let started: Instant = run::now();
        let result = step();
        if let Err(error) = &result {
            println!("{name} failed: {error:#}");
        }
        self.done.push((name, started.elapsed(), result.is_ok()));
    }

    /// Prints how long each step took.
    pub fn print(&self) {
        println!("\n{:<14} {:>8}", "step", "time");
        for (name, took, well) in &self.done {
            println!("{name:<14} {:>6.1} s{}", took.as_secs_f64(), if *well { "" } else { "   failed" });
        }
        let total: Duration = self.done.iter().map(|(_, took, _)| *took).sum();
        println!("{:<14} {:>6.1} s\n", "all", total.as_secs_f64());
    }

    /// Names of the steps that failed.
    pub fn failed(&self) -> Vec<&'static str> {
        self.done.iter().filter(|(_, _, well)| !well).map(|(name, ..)| *name).collect()
    }

    /// Prints the table; fails when a step has.
    pub fn finish(self) -> Result<()> {
        self.print();
        let failed = self.failed();
        if failed.is_empty() { Ok(()) } else { bail!("not all is well: {}", failed.join(", ")) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn results_of_all_test_programs_are_added_up() {
        let mut counts = Counts::default();
        for line in [
            "running 5 tests",
            "test result: ok. 5 passed; 0 failed; 0 ignored; 0 measured; 0 filtered out; finished in 0.01s",
            "test result: FAILED. 10 passed; 2 failed; 0 ignored; 0 measured; 0 filtered out; finished in 1.50s",
            "test says_3_passed ... ok",
        ] {
            counts.add(line);
        }
        assert_eq!(counts, Counts { passed: 15, failed: 2 });
    }

    #[test]
    fn a_failed_step_does_not_keep_the_next_from_running() {
        let mut steps = Steps::default();
        let mut ran = false;
        steps.step("first", || bail!("no"));
        steps.step("second", || {
            ran = true;
            Ok(())
        });
        assert!(ran);
        assert_eq!(steps.failed(), ["first"]);
        assert!(steps.finish().is_err());
    }
}
