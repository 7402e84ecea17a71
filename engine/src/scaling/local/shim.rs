//! The shim: what our program is for the instant between being started as a child and becoming the app's process.
//!
//! ```text
//!  program ──spawn──► program __shim ──exec──► sh -c "command"        one process all the way, so one process id
//! ```
//!
//! Three things can only be done from inside the child, before the app's program runs: ask the kernel for SIGKILL when
//! the parent dies, see that the parent has not died already, and put the child's process group on the janitor's list. Doing
//! them between `fork` and `exec` needs code that the compiler cannot check, so the program executes itself, does
//! them in peace, and then executes the shell. Every program that runs a `Local` platform must therefore call
//! [`run_if_asked`] before anything else.

use std::{
    ffi::{OsStr, OsString},
    fs::File,
    io::{self, Write},
    os::unix::process::CommandExt,
    process::Command,
};

use rustix::process::{Pid, getpgrp, getppid};

use super::janitor;

/// The word that makes our program a shim.
pub const WORD: &str = "__shim";

/// Exit code when the shell cannot be executed; the one that shells use for "command not found".
const CANNOT_EXECUTE: u8 = 127;

/// How to start our own program again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Launcher(Vec<OsString>);

impl Launcher {
    /// From the words of a setting; without any, this very program.
    ///
    /// # Errors
    /// When the system does not tell which program this is.
    pub fn new(words: &[String]) -> io::Result<Self> {
        if words.is_empty() {
            return Ok(Self(vec![this_program()?]));
        }
        Ok(Self(words.iter().map(OsString::from).collect()))
    }

    /// A command that starts our program as a janitor or a shim.
    #[must_use]
    pub fn command(&self, word: &str) -> Command {
        let mut words = self.0.iter();
        let mut command = Command::new(words.next().map_or(OsStr::new(""), OsString::as_os_str));
        command.args(words).arg(word);
        command
    }

    /// A command that becomes `sh -c command`, as a child of this process.
    #[must_use]
    pub fn shell(&self, command_line: &str) -> Command {
        let mut command = self.command(WORD);
        command.arg(std::process::id().to_string()).arg(command_line);
        command
    }
}

/// On Linux this name stays right when the file is replaced by a newer version while the program runs.
#[cfg(target_os = "linux")]
fn this_program() -> io::Result<OsString> {
    // The path `/proc/self/exe` would mean the child itself once it is forked, which is the same program, but a process
    // list full of "/proc/self/exe" helps nobody: so the real path, as long as it leads to the same file.
    let path = std::env::current_exe()?;
    Ok(if path.exists() { path.into_os_string() } else { OsString::from("/proc/self/exe") })
}

#[cfg(not(target_os = "linux"))]
fn this_program() -> io::Result<OsString> {
    Ok(std::env::current_exe()?.into_os_string())
}

/// Does the work of a shim or a janitor when the program was started as one. To be called first thing in `main`:
/// `Some` is the exit code to end with, `None` means that this is an ordinary start. The arguments are those after the
/// words of the [`Launcher`].
#[must_use]
pub fn run_if_asked(arguments: &[OsString]) -> Option<u8> {
    // One more than is looked at, so that a longer command line is not mistaken for one of ours.
    let arguments: Vec<&OsStr> = arguments.iter().take(4).map(OsString::as_os_str).collect();
    match arguments[..] {
        [word, parent, command_line] if word == WORD => Some(become_shell(parent, command_line)),
        [word, platform] if word == janitor::WORD => {
            Some(janitor::run(&platform.to_string_lossy(), io::stdin().lock()))
        }
        _ => None,
    }
}

fn become_shell(parent: &OsStr, command_line: &OsStr) -> u8 {
    let error = match prepare(parent) {
        Ok(()) => Command::new("sh").arg("-c").arg(command_line).exec(),
        Err(error) => error,
    };
    eprintln!("cannot start: {error}");
    CANNOT_EXECUTE
}

fn prepare(parent: &OsStr) -> io::Result<()> {
    // Standard input is the janitor's pipe. First the janitor must know, then nothing can be lost any more.
    let mut pipe = File::from(rustix::io::dup(io::stdin())?);
    writeln!(pipe, "+{}", getpgrp().as_raw_nonzero())?;
    drop(pipe);
    // The app must not hold the pipe, or it would stay open when we die.
    rustix::stdio::dup2_stdin(File::open("/dev/null")?)?;
    #[cfg(target_os = "linux")]
    rustix::process::set_parent_process_death_signal(Some(rustix::process::Signal::KILL))?;
    // The signal is only sent for a death from now on. If the parent is gone already, we have another one by now.
    let parent: Option<i32> = parent.to_str().and_then(|parent| parent.parse().ok());
    if getppid().map(Pid::as_raw_nonzero).map(std::num::NonZeroI32::get) != parent {
        return Err(io::Error::other("the program that started this process is gone"));
    }
    Ok(())
}
