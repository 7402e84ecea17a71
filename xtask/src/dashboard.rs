//! `cargo xtask dashboard`: a browser walks through the dashboard of a running demo as a person would.
//!
//! A real program, real processes, a real browser: every page and every button, in light and dark, on a desk and on a
//! phone, with a critic (axe) that looks for what keeps people out. The pictures that it takes are left in
//! `target/dashboard`, to be looked at.

use std::{
    fs::{self, File},
    path::{Path, PathBuf},
    process::{Child, Stdio},
    time::Duration,
};

use anyhow::{Context, Result, bail, ensure};

use crate::{
    counts::Counts,
    run::{self, cargo, command, root, run, run_reading, target},
    tools,
};

/// It builds the program first.
const BUILD_LIMIT: Duration = Duration::from_secs(20 * 60);

/// The walk takes four minutes on two cores.
const WALK_LIMIT: Duration = Duration::from_secs(15 * 60);

/// A demo that does not serve by then does not serve.
const START_LIMIT: Duration = Duration::from_secs(30);

/// Builds the program, starts its demo, and walks.
pub fn walk(counts: &mut Counts) -> Result<()> {
    run(cargo().args(["build", "--locked", "--bin", "autoscalebot"]), BUILD_LIMIT)?;
    let folder = target().join("dashboard");
    if folder.exists() {
        fs::remove_dir_all(&folder)?;
    }
    fs::create_dir_all(&folder)?;
    let demo = Demo::start(&folder)?;
    let mut walk = command(Path::new("node"));
    walk.arg(root().join("autoscalebot/tests/dashboard/walk.mjs")).arg(&demo.url).arg(&folder);
    walk.env("DASHBOARD_NODE_MODULES", tools::folder().join("node/node_modules"));
    run_reading(&mut walk, WALK_LIMIT, |line| counts.add_plain(line))
}

/// A demo that rises and falls for longer than anybody walks; it ends when dropped.
struct Demo {
    child: Child,
    url: String,
}

impl Demo {
    fn start(folder: &Path) -> Result<Self> {
        let log: PathBuf = folder.join("demo.log");
        let output = File::create(&log)?;
        let mut program = command(&target().join("debug/autoscalebot"));
        program.args(["demo", "--plain", "--seconds", "3600"]);
        program.stdin(Stdio::null()).stdout(output.try_clone()?).stderr(output);
        let child = program.spawn().context("the demo does not start")?;
        let mut demo = Self { child, url: String::new() };
        let started = run::now();
        loop {
            let said = fs::read_to_string(&log)?;
            let address = said.lines().find_map(|line| line.strip_prefix("The dashboard is at "));
            if let Some(address) = address {
                demo.url = address.trim().to_owned();
                return Ok(demo);
            }
            ensure!(demo.child.try_wait()?.is_none(), "the demo ended:\n{said}");
            if started.elapsed() > START_LIMIT {
                bail!("the demo does not serve:\n{said}");
            }
            run::pause(Duration::from_millis(50));
        }
    }
}

impl Drop for Demo {
    fn drop(&mut self) {
        // It has processes of its own to end, so it is asked first; both fail only when it has ended already.
        let _ = run(command(Path::new("kill")).arg(self.child.id().to_string()), START_LIMIT);
        let started = run::now();
        while started.elapsed() < START_LIMIT && matches!(self.child.try_wait(), Ok(None)) {
            run::pause(Duration::from_millis(50));
        }
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
