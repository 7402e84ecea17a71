//! `cargo xtask tools`: installs what the tests need beyond Rust, and says what and why.
//!
//! The fake Heroku of the testkit is proven by clients that we did not write, one in Python and one in JavaScript; mail
//! is proven against a real SMTP server. They go into `target/tools`, so that `rm -r target` removes every trace; only
//! Debian packages are installed for the whole machine, and only those that are missing. A stamp beside each part holds
//! the inputs that it was made from: as long as they are the same, there is nothing to do.

use std::{
    fs,
    path::{Path, PathBuf},
    time::Duration,
};

use anyhow::{Context, Result, bail};

use crate::run::{self, command, root, run};

/// A package manager that takes longer than this has lost its network.
const INSTALL_LIMIT: Duration = Duration::from_secs(600);

/// A Debian package, the way to see that it is there already, and why it is needed.
struct Package {
    name: &'static str,
    needed_for: &'static str,
    is_there: fn() -> bool,
}

const PYTHON: &[Package] = &[
    Package { name: "python3", needed_for: "the Python clients of the tests", is_there: || run::is_there("python3") },
    Package {
        name: "python3-venv",
        needed_for: "keeping those clients out of the system's Python",
        is_there: || run::ask(command(Path::new("python3")).args(["-c", "import ensurepip, venv"])).is_some(),
    },
];

const OPENSSL: &[Package] = &[Package {
    name: "openssl",
    needed_for: "the certificates of the servers that tests talk to",
    // It has known `--version` only for a few years.
    is_there: || run::ask(command(Path::new("openssl")).arg("version")).is_some(),
}];

const REDIS: &[Package] = &[Package {
    name: "redis-server",
    needed_for: "the broker whose queues are measured",
    is_there: || run::is_there("redis-server") && run::is_there("redis-cli"),
}];

const NODE: &[Package] = &[
    Package { name: "nodejs", needed_for: "the JavaScript client of the tests", is_there: || run::is_there("node") },
    Package { name: "npm", needed_for: "installing that client", is_there: || run::is_there("npm") },
];

/// Installs everything that is missing.
pub fn install() -> Result<()> {
    let inputs = root().join("testkit/tools");
    debian_packages(OPENSSL)?;
    debian_packages(REDIS)?;
    let python = inputs.join("requirements.txt");
    if python.exists() {
        python_packages(&python)?;
    }
    if inputs.join("package.json").exists() {
        node_packages(&inputs)?;
    }
    Ok(())
}

fn python_packages(requirements: &Path) -> Result<()> {
    let venv = tools().join("venv");
    let python = venv.join("bin/python");
    once(&venv, &[requirements], || {
        debian_packages(PYTHON)?;
        say("a Python environment for the tests, from testkit/tools/requirements.txt");
        if venv.exists() {
            fs::remove_dir_all(&venv)?;
        }
        run(command(Path::new("python3")).args(["-m", "venv"]).arg(&venv), INSTALL_LIMIT)?;
        let mut pip = command(&python);
        pip.args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--timeout", "60", "-r"]);
        run(pip.arg(requirements), INSTALL_LIMIT).context("the tests' Python packages could not be installed")
    })
}

fn node_packages(inputs: &Path) -> Result<()> {
    let folder = tools().join("node");
    let (package, lock) = (inputs.join("package.json"), inputs.join("package-lock.json"));
    once(&folder, &[&package, &lock], || {
        debian_packages(NODE)?;
        say("the JavaScript packages for the tests, from testkit/tools/package.json");
        fs::create_dir_all(&folder)?;
        fs::copy(&package, folder.join("package.json"))?;
        let mut npm = command(Path::new("npm"));
        npm.current_dir(&folder);
        if lock.exists() {
            fs::copy(&lock, folder.join("package-lock.json"))?;
            npm.arg("ci");
        } else {
            npm.arg("install");
        }
        // Packages are clients to be called, not programs to be run while they are installed.
        npm.args(["--no-audit", "--no-fund", "--ignore-scripts", "--loglevel=error"]);
        run(&mut npm, INSTALL_LIMIT).context("the tests' JavaScript packages could not be installed")
    })
}

/// Does `make` unless the stamp of `made` says that it was done with the same inputs.
fn once(made: &Path, inputs: &[&Path], make: impl FnOnce() -> Result<()>) -> Result<()> {
    let stamp = made.with_extension("stamp");
    let mut wanted = String::new();
    for input in inputs {
        // A lock file may be missing; then its absence is part of what was installed.
        wanted += &fs::read_to_string(input).unwrap_or_default();
        wanted.push('\0');
    }
    if made.exists() && fs::read_to_string(&stamp).is_ok_and(|is| is == wanted) {
        return Ok(());
    }
    fs::create_dir_all(tools())?;
    make()?;
    fs::write(&stamp, wanted).with_context(|| format!("cannot write {}", stamp.display()))
}

/// Installs the packages that are missing; only root may.
fn debian_packages(packages: &[Package]) -> Result<()> {
    let missing: Vec<&Package> = packages.iter().filter(|package| !(package.is_there)()).collect();
    if missing.is_empty() {
        return Ok(());
    }
    for package in &missing {
        say(&format!("the Debian package {}, needed for {}", package.name, package.needed_for));
    }
    let names = missing.iter().map(|package| package.name).collect::<Vec<_>>();
    let by_hand = format!("apt-get install --no-install-recommends {}", names.join(" "));
    if !run::is_there("apt-get") {
        bail!("this is no Debian; install what provides: {}", names.join(", "));
    }
    if run::ask(command(Path::new("id")).arg("-u")).as_deref() != Some("0") {
        bail!("only root may install packages; please run: sudo {by_hand}");
    }
    let apt = || {
        let mut apt = command(Path::new("apt-get"));
        apt.env("DEBIAN_FRONTEND", "noninteractive").args(["-qq", "-o", "Acquire::Retries=2"]);
        apt
    };
    run(apt().arg("update"), INSTALL_LIMIT)?;
    run(apt().args(["install", "--yes", "--no-install-recommends"]).args(&names), INSTALL_LIMIT)
        .with_context(|| format!("packages are missing; by hand: {by_hand}"))
}

fn tools() -> PathBuf {
    run::target().join("tools")
}

fn say(what: &str) {
    println!("installing {what}");
}
