//! The janitor: a process of our own that outlives us by a moment, to clear up.
//!
//! ```text
//!  program ──"+4711"/"-4711"──► pipe ──► janitor        the program ends, however: the pipe closes, and the janitor
//!  shim (before exec) ──"+4711"──┘                      kills every group still on its list, then itself ends
//! ```
//!
//! A program that is killed with SIGKILL cannot clear up. The kernel still closes its pipes, and that is what the
//! janitor waits for. It is the second net: the first is the parent-death signal (see [`super::shim`]), which reaches
//! only the processes that we started ourselves, not what those started in turn. The janitor is in a process group of
//! its own, so Ctrl-C in a terminal does not reach it, and nobody but us writes to its pipe.

use std::{
    collections::BTreeSet,
    io::{self, BufRead, PipeWriter, Write},
    sync::{Mutex, PoisonError},
    time::Duration,
};

use rustix::process::Pid;

use super::{shim::Launcher, strays};

/// The word that makes our program a janitor.
pub const WORD: &str = "__janitor";

/// A process may start another in the moment we look; after so many rounds with nobody left, nobody is.
const ROUNDS: u32 = 50;

/// Between two rounds. A killed process needs a moment to be gone.
const ROUND: Duration = Duration::from_millis(20);

/// Our end of the pipe, and what the janitor should know.
pub struct Janitor {
    state: Mutex<State>,
    launcher: Launcher,
    platform: String,
}

struct State {
    pipe: PipeWriter,
    child: tokio::process::Child,
    groups: BTreeSet<i32>,
}

impl Janitor {
    /// Starts a janitor for a platform. Must be called inside a tokio runtime.
    ///
    /// # Errors
    /// What the system said.
    pub fn start(launcher: Launcher, platform: String) -> io::Result<Self> {
        let (pipe, child) = hire(&launcher, &platform)?;
        Ok(Self { state: Mutex::new(State { pipe, child, groups: BTreeSet::new() }), launcher, platform })
    }

    /// An end of the pipe for a shim, which announces itself before it becomes the app's process. If the janitor is no
    /// longer there, somebody killed it; then a new one is started and told everything.
    ///
    /// # Errors
    /// What the system said.
    pub fn pipe(&self) -> io::Result<PipeWriter> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        if !matches!(state.child.try_wait(), Ok(None)) {
            (state.pipe, state.child) = hire(&self.launcher, &self.platform)?;
            let known: String = state.groups.iter().map(|group| format!("+{group}\n")).collect();
            state.pipe.write_all(known.as_bytes())?;
        }
        state.pipe.try_clone()
    }

    /// A group was started. The shim has told the janitor already; this is for a later janitor.
    pub fn started(&self, group: Pid) {
        self.state.lock().unwrap_or_else(PoisonError::into_inner).groups.insert(group.as_raw_nonzero().get());
    }

    /// A group is gone, and its number may soon belong to somebody else.
    pub fn ended(&self, group: Pid) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let group = group.as_raw_nonzero().get();
        state.groups.remove(&group);
        // A janitor that is gone needs no telling; the next one is told only what still runs.
        let _ = state.pipe.write_all(format!("-{group}\n").as_bytes());
    }
}

fn hire(launcher: &Launcher, platform: &str) -> io::Result<(PipeWriter, tokio::process::Child)> {
    let (reader, writer) = io::pipe()?;
    let mut command = launcher.command(WORD);
    command.arg(platform).stdin(reader).stdout(std::process::Stdio::null()).stderr(std::process::Stdio::null());
    let mut command = tokio::process::Command::from(command);
    Ok((writer, command.process_group(0).spawn()?))
}

/// The life of the janitor: reads from `input` until it ends, then kills what is left.
pub fn run(platform: &str, input: impl BufRead) -> u8 {
    let mut groups = BTreeSet::new();
    for line in input.lines() {
        let Ok(line) = line else { break };
        learn(&line, &mut groups);
    }
    let mark = strays::mark(platform);
    let groups: Vec<Pid> = groups.into_iter().filter_map(Pid::from_raw).collect();
    for _ in 0..ROUNDS {
        groups.iter().for_each(|group| strays::kill_group(*group));
        let left = strays::kill_marked(&mark, "");
        if left == 0 && !groups.iter().any(|group| strays::group_runs(*group)) {
            break;
        }
        #[expect(clippy::disallowed_methods, reason = "a process of its own with nothing else to do")]
        std::thread::sleep(ROUND);
    }
    0
}

/// `+4711` puts a group on the list, `-4711` takes it off. Group 1 and numbers below mean "everybody" to the kernel.
fn learn(line: &str, groups: &mut BTreeSet<i32>) {
    let Some((sign, number)) = line.split_at_checked(1) else { return };
    let Some(group) = number.parse().ok().filter(|group| *group > 1) else { return };
    match sign {
        "+" => groups.insert(group),
        "-" => groups.remove(&group),
        _ => false,
    };
}

#[cfg(test)]
mod tests {
    use std::os::unix::process::CommandExt;

    use super::*;

    #[test]
    fn only_groups_that_were_started_and_not_ended_stay_on_the_list() {
        let mut groups = BTreeSet::new();
        for line in ["+10", "+11", "-10", "+1", "+0", "+-1", "-99", "+x", "", "é"] {
            learn(line, &mut groups);
        }
        assert_eq!(groups, BTreeSet::from([11]));
    }

    #[test]
    fn when_the_pipe_closes_the_whole_group_is_killed() {
        let mut shell = std::process::Command::new("sh");
        let mut shell = shell.args(["-c", "sleep 60 & sleep 60"]).process_group(0).spawn().unwrap();
        let told = format!("+{}\n", shell.id());
        run("nobody-carries-this", told.as_bytes());
        assert!(!strays::group_runs(Pid::from_raw(shell.id().cast_signed()).unwrap()));
        assert!(!shell.wait().unwrap().success());
    }
}
