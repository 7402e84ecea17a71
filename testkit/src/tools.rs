//! Where the programs and packages are that tests run and we did not write.
//!
//! `cargo xtask test` installs them below `target/tools`, from the pinned lists in `testkit/tools`. Tests that need one
//! refuse to be skipped: without it they fail and say what to run.

use std::path::{Path, PathBuf};

/// The Python of the virtual environment that holds `testkit/tools/requirements.txt`.
///
/// # Panics
/// When it is not installed.
#[must_use]
pub fn python() -> PathBuf {
    installed("venv/bin/python")
}

/// The Python of the virtual environment that holds `testkit/tools/requirements-arq.txt`.
///
/// # Panics
/// When it is not installed.
#[must_use]
pub fn python_with_arq() -> PathBuf {
    installed("venv-arq/bin/python")
}

/// The `node_modules` that holds `testkit/tools/package.json`.
///
/// # Panics
/// When it is not installed.
#[must_use]
pub fn node_modules() -> PathBuf {
    installed("node/node_modules")
}

fn installed(path: &str) -> PathBuf {
    let workspace = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap_or(Path::new("."));
    let path = workspace.join("target").join("tools").join(path);
    assert!(path.exists(), "{} is missing: run `cargo xtask test`, it installs what the tests need", path.display());
    path
}
