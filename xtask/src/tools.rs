//! `cargo xtask tools`: installs what the tests need beyond Rust, and says what and why.
//!
//! The fake Heroku of the testkit is proven by clients that we did not write, one in Python and one in JavaScript; mail
//! is proven against a real SMTP server; queues are measured on real brokers that real work queues fill; the Python
//! package is tested in real Django projects. Libraries go into `target/tools`, so that `rm -r target` removes every
//! trace; only Debian packages are installed for the whole machine, only those that are missing, and none of their
//! services is started: tests start their own. A stamp beside each part holds the inputs that it was made from: as long
//! as they are the same, there is nothing to do.

use std::{
    fs,
    path::{Path, PathBuf},
    time::Duration,
};

use anyhow::{Context, Result, bail};

use crate::{
    environments,
    run::{self, command, root, run},
};

/// A package manager that takes longer than this has lost its network.
pub const INSTALL_LIMIT: Duration = Duration::from_secs(600);

/// A Debian package, the way to see that it is there already, and why it is needed.
struct Package {
    name: &'static str,
    needed_for: &'static str,
    is_there: fn() -> bool,
    /// Services that it would start, now or with the machine.
    services: &'static [&'static str],
}

const PACKAGES: &[Package] = &[
    Package {
        name: "openssl",
        needed_for: "the certificates of the servers that tests talk to",
        // It has known `--version` only for a few years.
        is_there: || run::ask(command(Path::new("openssl")).arg("version")).is_some(),
        services: &[],
    },
    Package {
        name: "util-linux",
        needed_for: "running servers that refuse to be root as somebody else (setpriv)",
        is_there: || run::is_there("setpriv"),
        services: &[],
    },
    Package {
        name: "redis-server",
        needed_for: "the broker whose queues are measured",
        is_there: || run::is_there("redis-server") && run::is_there("redis-cli"),
        services: &["redis-server.service"],
    },
    Package {
        name: "rabbitmq-server",
        needed_for: "the other broker whose queues are measured",
        is_there: || Path::new("/usr/lib/rabbitmq/bin/rabbitmq-server").exists() && run::program_exists("epmd"),
        services: &["rabbitmq-server.service", "epmd.service", "epmd.socket"],
    },
    Package {
        name: "nats-server",
        needed_for: "the streams whose consumers are measured",
        is_there: || run::is_there("nats-server"),
        services: &["nats-server.service"],
    },
    Package {
        name: "postgresql",
        needed_for: "the database whose job tables are measured",
        is_there: postgresql_is_there,
        services: &["postgresql.service"],
    },
    Package {
        name: "prometheus",
        needed_for: "scraping our metrics, and judging their names, the alerts and the dashboard",
        is_there: || run::is_there("prometheus") && run::is_there("promtool"),
        services: &["prometheus.service"],
    },
    Package {
        name: "ruby-sidekiq",
        needed_for: "the work queue of Ruby that fills what we measure",
        // By its path: another Ruby, first in `PATH`, does not know Debian's libraries.
        is_there: || Path::new("/usr/bin/ruby").exists() && Path::new("/usr/bin/sidekiq").exists(),
        services: &[],
    },
    Package {
        name: "python3",
        needed_for: "the work queues and clients that the tests run",
        is_there: || run::is_there("python3"),
        services: &[],
    },
    Package {
        name: "python3-venv",
        needed_for: "keeping those out of the system's Python",
        is_there: || run::ask(command(Path::new("python3")).args(["-c", "import ensurepip, venv"])).is_some(),
        services: &[],
    },
    Package {
        name: "nodejs",
        needed_for: "the work queue and the client in JavaScript that the tests run",
        is_there: || run::is_there("node"),
        services: &[],
    },
    Package {
        name: "chromium",
        needed_for: "walking through the dashboard as a person would",
        is_there: || run::is_there("chromium"),
        services: &[],
    },
    Package { name: "npm", needed_for: "installing those", is_there: || run::is_there("npm"), services: &[] },
];

/// Installs everything that is missing.
pub fn install() -> Result<()> {
    debian_packages()?;
    node_packages(&root().join("testkit/tools"))?;
    environments::install()
}

/// Debian keeps the server's programs out of `PATH`, one folder for each major version.
fn postgresql_is_there() -> bool {
    let Ok(versions) = fs::read_dir("/usr/lib/postgresql") else { return false };
    versions.flatten().any(|version| version.path().join("bin/postgres").exists())
}

fn node_packages(inputs: &Path) -> Result<()> {
    let folder = folder().join("node");
    let (package, lock) = (inputs.join("package.json"), inputs.join("package-lock.json"));
    once(&folder, &[&package, &lock], || {
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
pub fn once(made: &Path, inputs: &[&Path], make: impl FnOnce() -> Result<()>) -> Result<()> {
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
    fs::create_dir_all(folder())?;
    make()?;
    fs::write(&stamp, wanted).with_context(|| format!("cannot write {}", stamp.display()))
}

/// Installs the packages that are missing; only root may.
fn debian_packages() -> Result<()> {
    let missing: Vec<&Package> = PACKAGES.iter().filter(|package| !(package.is_there)()).collect();
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
        // A machine may be bringing itself up to date just now; that is over within minutes.
        apt.args(["-o", "DPkg::Lock::Timeout=300"]);
        apt
    };
    let guard = NoServices::begin(Path::new("/usr/sbin/policy-rc.d"))?;
    run(apt().arg("update"), INSTALL_LIMIT)?;
    run(apt().args(["install", "--yes", "--no-install-recommends"]).args(&names), INSTALL_LIMIT)
        .with_context(|| format!("packages are missing; by hand: {by_hand}"))?;
    drop(guard);
    // What we brought must not start with the machine either. What was there before is its owner's business.
    let services: Vec<&str> = missing.iter().flat_map(|package| package.services).copied().collect();
    if !services.is_empty() {
        // Without systemd there is nothing to disable.
        let _ = run::ask(command(Path::new("systemctl")).args(["--quiet", "disable"]).args(&services));
    }
    Ok(())
}

/// Debian asks a program, if it is there, whether packages may start the services that they bring. While this lives, its
/// answer is no. Someone else's program is left alone; ours goes away also when the installation fails, and one that was
/// left behind by a killed installation is taken for ours.
struct NoServices<'a>(Option<&'a Path>);

impl<'a> NoServices<'a> {
    /// 101 means "forbidden" to those who ask.
    const ANSWER: &'static str =
        "#!/bin/sh\n# While cargo xtask tools installs packages of autoscalebot's tests.\nexit 101\n";

    fn begin(program: &'a Path) -> Result<Self> {
        use std::os::unix::fs::PermissionsExt;
        if fs::read_to_string(program).is_ok_and(|there| there != Self::ANSWER) {
            return Ok(Self(None));
        }
        let guard = Self(Some(program));
        fs::write(program, Self::ANSWER).with_context(|| format!("cannot write {}", program.display()))?;
        fs::set_permissions(program, fs::Permissions::from_mode(0o755))?;
        Ok(guard)
    }
}

impl Drop for NoServices<'_> {
    fn drop(&mut self) {
        if let Some(program) = self.0 {
            // It may be gone already, by the hand of somebody who saw it.
            let _ = fs::remove_file(program);
        }
    }
}

/// Where everything is but Debian's packages.
pub fn folder() -> PathBuf {
    run::target().join("tools")
}

/// Tells that something is being installed.
pub fn say(what: &str) {
    println!("installing {what}");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn services_are_forbidden_only_while_packages_are_installed_and_a_foreign_rule_stays() {
        let program = std::env::temp_dir().join(format!("autoscalebot-policy-{}", std::process::id()));
        let guard = NoServices::begin(&program).unwrap();
        let status = std::process::Command::new(&program).status().unwrap();
        assert_eq!(status.code(), Some(101));
        drop(guard);
        assert!(!program.exists());

        // An installation was killed.
        fs::write(&program, NoServices::ANSWER).unwrap();
        drop(NoServices::begin(&program).unwrap());
        assert!(!program.exists());

        fs::write(&program, "#!/bin/sh\nexit 0\n").unwrap();
        drop(NoServices::begin(&program).unwrap());
        assert_eq!(fs::read_to_string(&program).unwrap(), "#!/bin/sh\nexit 0\n");
        fs::remove_file(&program).unwrap();
    }
}
