//! `cargo xtask docs`: the generated parts of `docs/`. The work is done by `docgen`, which knows every backend.

use std::time::Duration;

use anyhow::Result;

use crate::run::{cargo, run};

/// It builds the engine first.
const LIMIT: Duration = Duration::from_secs(20 * 60);

/// Writes them.
pub fn write() -> Result<()> {
    run(cargo().args(["run", "--quiet", "--locked", "--bin", "docgen"]), LIMIT)
}

/// Fails and shows the difference when they are out of date.
pub fn check() -> Result<()> {
    run(cargo().args(["run", "--quiet", "--locked", "--bin", "docgen", "--", "--check"]), LIMIT)
}
