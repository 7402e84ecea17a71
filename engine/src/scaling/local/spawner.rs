//! The thread that starts processes.
//!
//! Linux sends the parent-death signal when the *thread* that forked ends, not the program. So every process is started
//! by this one thread, which lives as long as the platform does, and never by a worker of the runtime, which may go when
//! it has nothing to do.

use std::{
    io::{self, PipeWriter},
    path::PathBuf,
    process::Stdio,
    sync::mpsc,
};

use tokio::{process::Child, runtime::Handle, sync::oneshot};

use super::shim::Launcher;

/// Everything that is needed to start one process.
pub struct Launch {
    /// The line from the Procfile.
    pub command_line: String,
    /// Where it runs.
    pub folder: PathBuf,
    /// Variables on top of our own environment.
    pub environment: Vec<(String, String)>,
    /// The end of the janitor's pipe that the shim writes to.
    pub janitor: PipeWriter,
}

/// Hands work to the thread. The thread ends when this is dropped.
pub struct Spawner {
    sender: mpsc::Sender<(Launch, oneshot::Sender<io::Result<Child>>)>,
}

impl Spawner {
    /// Starts the thread.
    ///
    /// # Errors
    /// When the system gives no thread.
    pub fn start(launcher: Launcher, runtime: Handle) -> io::Result<Self> {
        let (sender, receiver) = mpsc::channel::<(Launch, oneshot::Sender<io::Result<Child>>)>();
        std::thread::Builder::new().name("local spawner".to_owned()).spawn(move || {
            let _inside = runtime.enter();
            for (launch, answer) in receiver {
                // Whoever asked may have stopped waiting; the child is killed when it is dropped unseen.
                let _ = answer.send(spawn(&launcher, launch));
            }
        })?;
        Ok(Self { sender })
    }

    /// Starts a process as the leader of a group of its own, its output in pipes.
    ///
    /// # Errors
    /// What the system said.
    pub async fn spawn(&self, launch: Launch) -> io::Result<Child> {
        let (answer, result) = oneshot::channel();
        let gone = |_| io::Error::other("the thread that starts processes has ended");
        self.sender.send((launch, answer)).map_err(|_| gone(()))?;
        result.await.map_err(|_| gone(()))?
    }
}

fn spawn(launcher: &Launcher, launch: Launch) -> io::Result<Child> {
    let mut command = launcher.shell(&launch.command_line);
    command
        .current_dir(&launch.folder)
        .envs(launch.environment)
        .stdin(launch.janitor)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    tokio::process::Command::from(command).process_group(0).kill_on_drop(true).spawn()
}
