//! The virtual environments for Python below `target/tools`: which there are, from which list in `testkit/tools` each is
//! made, and with which Python.
//!
//! Most are made with the machine's own `python3`. A newer Django wants a newer Python than some machines have, so it is
//! looked for: under the names that it may have, and where pyenv keeps what it built. Each is asked for its version rather
//! than taken by its name: a name in `PATH` may be pyenv's, which then refuses to run it.

use std::{
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result};

use crate::{
    run::{ask, command, root, run},
    tools::{INSTALL_LIMIT, folder, once, say},
};

/// A virtual environment.
#[derive(Debug)]
pub struct Environment {
    pub name: &'static str,
    list: &'static str,
    /// The oldest Python that will do, as its major and minor version, when the machine's own may be too old.
    at_least: Option<(u32, u32)>,
}

/// The work queues and clients that the tests in Rust run.
const QUEUES: Environment = Environment { name: "venv", list: "requirements.txt", at_least: None };

/// One more of these, which gets along with none of the others.
const ARQ: Environment = Environment { name: "venv-arq", list: "requirements-arq.txt", at_least: None };

/// What asks the API everything that its document allows.
pub const API: Environment = Environment { name: "venv-api", list: "requirements-api.txt", at_least: None };

/// The Python package with the Django of long-term support, and all that builds and checks the package.
pub const DJANGO_5: Environment =
    Environment { name: "venv-django5", list: "requirements-python-django5.txt", at_least: None };

/// The Python package with the newest Django.
pub const DJANGO_6: Environment =
    Environment { name: "venv-django6", list: "requirements-python-django6.txt", at_least: Some((3, 12)) };

/// All. What may not be there on every machine comes last, so that it keeps nothing else from being installed.
const ENVIRONMENTS: &[&Environment] = &[&QUEUES, &ARQ, &API, &DJANGO_5, &DJANGO_6];

/// What a Python may be called, newest first.
const NAMES: &[&str] = &["python3.14", "python3.13", "python3.12", "python3"];

/// Makes all that are missing or out of date.
pub fn install() -> Result<()> {
    ENVIRONMENTS.iter().try_for_each(|environment| environment.install())
}

impl Environment {
    /// Makes it, if it is missing or out of date.
    pub fn install(&self) -> Result<()> {
        let venv = folder().join(self.name);
        if venv.exists() && !self.is_there() {
            // The Python that it was made with has left the machine.
            fs::remove_dir_all(&venv)?;
        }
        once(&venv, &[&self.list()], || {
            let python = self.base()?;
            say(&format!("a Python environment for the tests, from testkit/tools/{}", self.list));
            if venv.exists() {
                fs::remove_dir_all(&venv)?;
            }
            run(command(&python).args(["-m", "venv"]).arg(&venv), INSTALL_LIMIT)?;
            let mut pip = command(&venv.join("bin/python"));
            pip.args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--timeout", "60", "-r"]);
            run(pip.arg(self.list()), INSTALL_LIMIT).context("the tests' Python packages could not be installed")
        })
    }

    /// A program in it.
    pub fn program(&self, name: &str) -> PathBuf {
        folder().join(self.name).join("bin").join(name)
    }

    /// Whether it has been made.
    pub fn is_there(&self) -> bool {
        self.program("python").exists()
    }

    fn list(&self) -> PathBuf {
        root().join("testkit/tools").join(self.list)
    }

    /// The Python that it is made with.
    fn base(&self) -> Result<PathBuf> {
        let Some(at_least) = self.at_least else { return Ok("python3".into()) };
        let names = NAMES.iter().map(PathBuf::from);
        let mut candidates = names.chain(built_by_pyenv());
        let found = candidates.find(|python| version(python).is_some_and(|version| version >= at_least));
        found.with_context(|| {
            let (major, minor) = at_least;
            format!(
                "testkit/tools/{} wants Python {major}.{minor} or newer, with its `venv`, and none is here, neither in PATH \
                 nor from pyenv; install one, such as Debian 13's: apt-get install python3.13 python3.13-venv",
                self.list
            )
        })
    }
}

/// The Pythons that pyenv has built on this machine, newest first.
fn built_by_pyenv() -> Vec<PathBuf> {
    let at_home = || std::env::var_os("HOME").map(|home| Path::new(&home).join(".pyenv"));
    let Some(pyenv) = std::env::var_os("PYENV_ROOT").map(PathBuf::from).or_else(at_home) else { return Vec::new() };
    let versions = fs::read_dir(pyenv.join("versions")).into_iter().flatten().flatten();
    let mut pythons: Vec<PathBuf> = versions.map(|version| version.path().join("bin/python3")).collect();
    pythons.sort_by_cached_key(|python| std::cmp::Reverse(version(python)));
    pythons
}

/// What a Python says that it is; `None` when it cannot be run, or cannot make virtual environments.
fn version(python: &Path) -> Option<(u32, u32)> {
    let program = "import ensurepip, sys, venv; print(*sys.version_info[:2])";
    let version = ask(command(python).args(["-c", program]))?;
    let (major, minor) = version.split_once(' ')?;
    Some((major.parse().ok()?, minor.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_list_of_python_packages_is_there_and_pins_each() {
        for Environment { list, .. } in ENVIRONMENTS {
            let text = fs::read_to_string(root().join("testkit/tools").join(list)).unwrap();
            let packages: Vec<&str> = text.lines().filter(|line| !line.is_empty() && !line.starts_with('#')).collect();
            assert!(!packages.is_empty(), "{list} is empty");
            let loose: Vec<&&str> = packages.iter().filter(|package| !package.contains("==")).collect();
            assert!(loose.is_empty(), "{list}: {loose:?}");
        }
    }

    #[test]
    fn what_is_no_python_has_no_version() {
        assert_eq!(version(Path::new("true")), None);
        assert_eq!(version(Path::new("there-is-no-such-program")), None);
        assert!(version(Path::new("python3")) >= Some((3, 10)));
    }

    #[test]
    fn a_python_that_nobody_has_is_asked_for_in_words() {
        let future = Environment { name: "venv-future", list: "requirements-future.txt", at_least: Some((9, 9)) };
        let error = future.base().unwrap_err().to_string();
        assert!(error.contains("requirements-future.txt wants Python 9.9 or newer"), "{error}");
    }
}
