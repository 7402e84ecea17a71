//! Running other programs: each with a time limit, each named in its error, its output untouched.

use std::{
    ffi::OsStr,
    io::{BufRead, BufReader, Read},
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Stdio},
    sync::mpsc::{self, Receiver, RecvTimeoutError},
    time::{Duration, Instant},
};

use anyhow::{Context, Result, anyhow, bail};

/// How often a running child is looked at. Short enough that no chore feels slower for it.
const LOOK_EVERY: Duration = Duration::from_millis(50);

/// The folder of the workspace.
pub fn root() -> PathBuf {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    here.parent().unwrap_or(here).to_owned()
}

/// Where cargo puts what it builds.
pub fn target() -> PathBuf {
    root().join(std::env::var_os("CARGO_TARGET_DIR").unwrap_or_else(|| "target".into()))
}

/// The cargo that runs us, so that every step uses the same toolchain.
pub fn cargo() -> Command {
    command(&std::env::var_os("CARGO").map_or_else(|| "cargo".into(), PathBuf::from))
}

/// A program, started in the folder of the workspace.
pub fn command(program: &Path) -> Command {
    let mut command = Command::new(program);
    command.current_dir(root());
    for (name, _) in std::env::vars_os().filter(|(name, _)| is_about_us(name)) {
        command.env_remove(name);
    }
    command
}

/// Whether a variable is what `cargo run` told us about ourselves. Build scripts that look at the variables of their own
/// package would take those for changed, and much would be compiled again in turn, by us and by who calls cargo directly.
fn is_about_us(variable: &OsStr) -> bool {
    let name = variable.to_string_lossy();
    name.starts_with("CARGO_PKG_") || name.starts_with("CARGO_MANIFEST_")
}

/// Runs a program to its end and fails unless it succeeds. Its output goes where ours goes.
pub fn run(command: &mut Command, limit: Duration) -> Result<()> {
    let shown = shown(command);
    let child = command.stdin(Stdio::null()).spawn().with_context(|| format!("cannot start `{shown}`"))?;
    let status = wait(child, limit).with_context(|| format!("`{shown}`"))?;
    if status.success() { Ok(()) } else { bail!("`{shown}` failed ({status})") }
}

/// Runs a program like [`run`], and has each line of its standard output read as it is printed.
pub fn run_reading(command: &mut Command, limit: Duration, mut read: impl FnMut(&str)) -> Result<()> {
    let shown = shown(command);
    let child = command.stdin(Stdio::null()).stdout(Stdio::piped()).spawn();
    let mut child = child.with_context(|| format!("cannot start `{shown}`"))?;
    let lines = lines(child.stdout.take().ok_or_else(|| anyhow!("`{shown}` has no output"))?);
    let mut print = |line: String| {
        println!("{line}");
        read(&line);
    };
    let started = now();
    let status = loop {
        match lines.recv_timeout(LOOK_EVERY) {
            Ok(line) => print(line),
            Err(RecvTimeoutError::Disconnected) => {
                let left = limit.saturating_sub(started.elapsed());
                break wait(child, left).with_context(|| format!("`{shown}`"))?;
            }
            // A process that it left behind may hold its output open for ever: its own end is the end.
            Err(RecvTimeoutError::Timeout) => {
                if let Some(status) = child.try_wait()? {
                    lines.try_iter().for_each(&mut print);
                    break status;
                }
            }
        }
        if started.elapsed() > limit {
            stop(&mut child, limit).with_context(|| format!("`{shown}`"))?;
        }
    };
    if status.success() { Ok(()) } else { bail!("`{shown}` failed ({status})") }
}

/// The lines of a stream, as they come.
fn lines(stream: impl Read + Send + 'static) -> Receiver<String> {
    let (sender, receiver) = mpsc::channel();
    std::thread::spawn(move || {
        for line in BufReader::new(stream).split(b'\n') {
            let Ok(line) = line else { return };
            if sender.send(String::from_utf8_lossy(&line).into_owned()).is_err() {
                return;
            }
        }
    });
    receiver
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
            stop(&mut child, limit)?;
        }
        pause(LOOK_EVERY);
    }
}

/// Ends a child that took too long; always an error.
fn stop(child: &mut Child, limit: Duration) -> Result<()> {
    child.kill()?;
    child.wait()?;
    bail!("was stopped because it took more than {} s", limit.as_secs());
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

#[cfg(test)]
mod tests {
    use super::*;

    const LIMIT: Duration = Duration::from_secs(60);

    fn shell(script: &str) -> Command {
        let mut shell = command(Path::new("sh"));
        shell.args(["-c", script]);
        shell
    }

    #[test]
    fn what_cargo_told_us_about_ourselves_is_not_passed_on() {
        assert!(std::env::vars_os().any(|(name, _)| is_about_us(&name)), "cargo sets these for tests, too");
        assert_eq!(ask(&mut shell("env | grep -c ^CARGO_PKG_ || true")).unwrap(), "0");
    }

    #[test]
    fn every_line_is_read_also_of_a_program_that_fails_and_of_a_line_without_end() {
        let mut lines = Vec::new();
        let result = run_reading(&mut shell("echo one; printf two; exit 3"), LIMIT, |line| lines.push(line.to_owned()));
        assert_eq!(lines, ["one", "two"]);
        assert!(result.unwrap_err().to_string().contains("exit status: 3"));
    }

    #[test]
    fn a_program_that_leaves_another_behind_is_over_when_it_is_over() {
        let started = now();
        run_reading(&mut shell("sleep 30 & echo $!"), LIMIT, |pid| {
            ask(&mut shell(&format!("kill {pid}")));
        })
        .unwrap();
        assert!(started.elapsed() < Duration::from_secs(20));
    }

    #[test]
    fn a_program_is_stopped_at_its_limit() {
        let error = run_reading(&mut shell("exec sleep 30"), Duration::from_millis(100), |_| {}).unwrap_err();
        assert!(format!("{error:#}").contains("was stopped"), "{error:#}");
    }
}
