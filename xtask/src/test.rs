//! `cargo xtask test`: all that stands between a change and the main branch, and its sum in the last line.
//!
//! Tools, then checks, then every test of the workspace, then the API by its document and the dashboard in a browser, then
//! the Python package. There is one target folder, one profile and one set of features throughout, so no crate is compiled twice but for clippy, which needs metadata and
//! no machine code; build scripts and macros are shared even there. The docs are checked by a test of `docgen`, because
//! building that alone would choose other features for shared dependencies and compile them again.

use std::time::{Duration, Instant};

use anyhow::{Result, bail};

use crate::{
    api, check,
    counts::Counts,
    dashboard, python,
    run::{self, cargo, run_reading},
    tools,
};

/// A cold build and every test take a quarter of an hour on two slow cores; one that takes four is stuck.
const LIMIT: Duration = Duration::from_secs(60 * 60);

/// Runs everything and returns whether all is well. The last line of the output is `N passed, N failed`.
pub fn test() -> bool {
    let mut steps = Steps::default();
    steps.step("tools", tools::install);
    check::all(&mut steps);
    steps.tests("tests", workspace_tests);
    steps.step("api", api::api);
    steps.tests("dashboard", dashboard::walk);
    python::tests(&mut steps);
    steps.print();

    // A check that failed, or tests that did not even compile, must not hide behind a sum of the tests that ran.
    let silent = steps.failed_silently();
    if !silent.is_empty() {
        println!("counted as failed, each as one: {}", silent.join(", "));
    }
    let mut counts = steps.counts();
    counts.failed += silent.len() as u64;
    println!("{} passed, {} failed", counts.passed, counts.failed);
    counts.failed == 0
}

fn workspace_tests(counts: &mut Counts) -> Result<()> {
    let mut command = cargo();
    command.args(["test", "--workspace", "--locked", "--no-fail-fast"]);
    run_reading(&mut command, LIMIT, |line| counts.add_cargo(line))
}

/// Steps of a chore: each is told when it begins, timed, and remembered when it fails.
#[derive(Debug, Default)]
pub struct Steps {
    done: Vec<Done>,
}

#[derive(Debug)]
struct Done {
    name: &'static str,
    took: Duration,
    well: bool,
    /// What it says of tests that it ran, if it ran some.
    counts: Counts,
}

impl Steps {
    /// Runs a step. A failure is printed and does not keep later steps from running.
    pub fn step(&mut self, name: &'static str, step: impl FnOnce() -> Result<()>) {
        self.tests(name, |_| step());
    }

    /// Runs a step that runs tests and counts them.
    pub fn tests(&mut self, name: &'static str, step: impl FnOnce(&mut Counts) -> Result<()>) {
        println!("── {name}");
        let started: Instant = run::now();
        let mut counts = Counts::default();
        let result = step(&mut counts);
        if let Err(error) = &result {
            println!("{name} failed: {error:#}");
        }
        self.done.push(Done { name, took: started.elapsed(), well: result.is_ok(), counts });
    }

    /// Prints how long each step took.
    pub fn print(&self) {
        println!("\n{:<14} {:>8}", "step", "time");
        for Done { name, took, well, .. } in &self.done {
            println!("{name:<14} {:>6.1} s{}", took.as_secs_f64(), if *well { "" } else { "   failed" });
        }
        let total: Duration = self.done.iter().map(|done| done.took).sum();
        println!("{:<14} {:>6.1} s\n", "all", total.as_secs_f64());
    }

    /// Names of the steps that failed.
    fn failed(&self) -> Vec<&'static str> {
        self.done.iter().filter(|done| !done.well).map(|done| done.name).collect()
    }

    /// Names of the steps that failed without a failed test that would tell.
    fn failed_silently(&self) -> Vec<&'static str> {
        self.done.iter().filter(|done| !done.well && done.counts.failed == 0).map(|done| done.name).collect()
    }

    /// The tests of all steps.
    fn counts(&self) -> Counts {
        let mut sum = Counts::default();
        self.done.iter().for_each(|done| sum.add(done.counts));
        sum
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

    #[test]
    fn tests_of_all_steps_are_added_up_and_what_failed_without_one_is_named() {
        let mut steps = Steps::default();
        steps.step("tidy", || bail!("untidy"));
        for (name, failed) in [("rust", 2), ("crashed", 0)] {
            steps.tests(name, |counts| {
                counts.add(Counts { passed: 10, failed });
                bail!("not all passed")
            });
        }
        assert_eq!(steps.counts(), Counts { passed: 20, failed: 2 });
        assert_eq!(steps.failed_silently(), ["tidy", "crashed"]);
    }
}
