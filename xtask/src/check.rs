//! `cargo xtask check`: everything about the code that can be said without running it, cheapest first.
//!
//! Every check runs, also after one has failed: one round tells all that is to be mended.

use std::time::Duration;

use anyhow::Result;

use crate::{
    docs, python, run,
    run::{ask, cargo},
    test::Steps,
    tidy,
};

/// A cold clippy compiles every dependency; on two slow cores that takes minutes, not a quarter of an hour.
const LIMIT: Duration = Duration::from_secs(20 * 60);

/// Runs all checks and prints how long each took.
pub fn check() -> Result<()> {
    let mut steps = Steps::default();
    all(&mut steps);
    steps.step("docs --check", docs::check);
    steps.finish()
}

/// All checks but that of the docs, which `test` runs as one of the workspace's tests.
pub fn all(steps: &mut Steps) {
    steps.step("fmt", || run::run(cargo().args(["fmt", "--all", "--check"]), LIMIT));
    steps.step("tidy", tidy::tidy);
    steps.step("clippy", || {
        let mut clippy = cargo();
        clippy.args(["clippy", "--workspace", "--all-targets", "--locked", "--", "-D", "warnings"]);
        run::run(&mut clippy, LIMIT)
    });
    if ask(cargo().args(["deny", "--version"])).is_some() {
        // Not `advisories`: they need the network, and a new one must not turn yesterday's green tests red.
        steps.step("deny", || run::run(cargo().args(["deny", "check", "bans", "licenses", "sources"]), LIMIT));
    } else {
        println!("licences and banned dependencies are not checked: cargo-deny is not installed");
    }
    python::lint(steps);
}
