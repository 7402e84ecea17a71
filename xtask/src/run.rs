//! Running other programs: each with a time limit, each named in its error, its output untouched.

use std::{
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Stdio},
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail};

/// How often a running child is looked at. Short enough that no chore feels slower for it.
const LOOK_EVERY: Duration = Duration::from_millis(50);

/// The folder of the workspace.
pub fn root() -> PathBuf {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    here.parent().unwrap_or(here).to_owned()
}

/// Where cargo puts what it builds.
pub fn target() -> PathBuf {
    std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| root().join("target"), PathBuf::from)
}

/// The cargo that runs us, so that every step uses the same toolchain.
pub fn cargo() -> Command {
    command(&std::env::var_os("CARGO").map_or_else(|| "cargo".into(), PathBuf::from))
}

/// A program, started in the folder of the workspace.
pub fn command(program: &Path) -> Command {
    let mut command = Command::new(program);
    command.current_dir(root());
    command
}

/// Runs a program to its end and fails unless it succeeds. Its output goes where ours goes.
pub fn run(command: &mut Command, limit: Duration) -> Result<()> {
    let shown = shown(command);
    let child = command.stdin(Stdio::null()).spawn().with_context(|| format!("cannot start `{shown}`"))?;
    let status = wait(child, limit).with_context(|| format!("`{shown}`"))?;
    if status.success() { Ok(()) } else { bail!("`{shown}` failed ({status})") }
}

/// Runs a program and returns what it printed to standard output; `None` when it cannot be started or fails.
pub fn ask(command: &mut Command) -> Option<String> {
    let output = command.stdin(Stdio::null()).stderr(Stdio::null()).output().ok()?;
    output.status.success().then(|| String::from_utf8_lossy(&output.stdout).trim().to_owned())
}

/// Whether a program answers to `--version`.
pub fn is_there(program: &str) -> bool {
    ask(command(Path::new(program)).arg("--version")).is_some()
}

/// Whether a program is in one of the folders of `PATH`; for those that are slow to say their version, or never do.
pub fn program_exists(program: &str) -> bool {
    let folders = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&folders).any(|folder| folder.join(program).is_file())
}

/// Waits for a child, but not longer than `limit`.
pub fn wait(mut child: Child, limit: Duration) -> Result<ExitStatus> {
    let started = now();
    loop {
        if let Some(status) = child.try_wait()? {
            return Ok(status);
        }
        if started.elapsed() > limit {
            child.kill()?;
            child.wait()?;
            bail!("was stopped because it took more than {} s", limit.as_secs());
        }
        pause(LOOK_EVERY);
    }
}

/// The time, for chores: they measure real builds and real programs.
#[expect(clippy::disallowed_methods, reason = "chores time real programs; nothing here decides about an app")]
pub fn now() -> Instant {
    Instant::now()
}

/// Does nothing for a while.
#[expect(clippy::disallowed_methods, reason = "a chore has nothing else to do meanwhile, and Ctrl-C ends it anyway")]
pub fn pause(length: Duration) {
    std::thread::sleep(length);
}

/// A command as one would type it.
pub fn shown(command: &Command) -> String {
    let program = Path::new(command.get_program()).file_name().unwrap_or(command.get_program());
    let words = std::iter::once(program).chain(command.get_args());
    words.map(|word| word.to_string_lossy()).collect::<Vec<_>>().join(" ")
}
