//! A program as a child of a test: its output is collected, and it ends with the test.

use std::{
    io::{BufRead, BufReader, Read},
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Stdio},
    sync::{Arc, Mutex, PoisonError},
    thread,
    time::Duration,
};

/// A folder that goes with the test.
pub struct Folder(PathBuf);

impl Folder {
    /// A new, empty one.
    ///
    /// # Panics
    /// When the system gives none.
    #[must_use]
    pub fn new() -> Self {
        let path = std::env::temp_dir().join(format!("autoscalebot-test-{}", uuid::Uuid::new_v4()));
        std::fs::create_dir_all(&path).expect("a temporary folder");
        Self(path)
    }

    /// Its path.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.0
    }

    /// Writes a file in it, in one step as editors do; its path.
    ///
    /// # Panics
    /// When the disk is full.
    pub fn write(&self, name: &str, contents: &str) -> PathBuf {
        let (path, beside) = (self.0.join(name), self.0.join(format!(".{name}.new")));
        std::fs::write(&beside, contents).expect("writing a test file");
        std::fs::rename(&beside, &path).expect("replacing a test file");
        path
    }
}

impl Default for Folder {
    fn default() -> Self {
        Self::new()
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// A running program.
pub struct Program {
    child: Child,
    output: Arc<Mutex<String>>,
}

impl Program {
    /// Starts it; standard output and standard error are collected together.
    ///
    /// # Panics
    /// When it cannot be started.
    #[must_use]
    pub fn start(command: &mut Command) -> Self {
        let command = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap_or_else(|error| panic!("{command:?} does not start: {error}"));
        let output = Arc::new(Mutex::new(String::new()));
        collect(child.stdout.take(), output.clone());
        collect(child.stderr.take(), output.clone());
        Self { child, output }
    }

    /// Its process id.
    #[must_use]
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Everything it has printed so far.
    #[must_use]
    pub fn output(&self) -> String {
        self.output.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Waits until `seen` holds, looking every 20 ms, for at most `limit`; whether it came to hold.
    pub async fn until(&self, limit: Duration, mut seen: impl FnMut(&str) -> bool) -> bool {
        const LOOK: Duration = Duration::from_millis(20);
        for _ in 0..=limit.as_millis() / LOOK.as_millis() {
            if seen(&self.output()) {
                return true;
            }
            tokio::time::sleep(LOOK).await;
        }
        false
    }

    /// Sends it a signal by its name: `TERM`.
    ///
    /// # Panics
    /// When there is no `kill` on the machine.
    pub fn signal(&self, name: &str) {
        let id = self.child.id().to_string();
        let status = Command::new("kill").args(["-s", name, &id]).status().expect("the kill command");
        assert!(status.success(), "kill -s {name} {id} failed");
    }

    /// Waits for its end, for at most `limit`; `None` when it still runs.
    pub async fn end(&mut self, limit: Duration) -> Option<ExitStatus> {
        const LOOK: Duration = Duration::from_millis(20);
        for _ in 0..=limit.as_millis() / LOOK.as_millis() {
            if let Ok(Some(status)) = self.child.try_wait() {
                return Some(status);
            }
            tokio::time::sleep(LOOK).await;
        }
        None
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        // Fails only when it has ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn collect(pipe: Option<impl Read + Send + 'static>, output: Arc<Mutex<String>>) {
    let Some(pipe) = pipe else { return };
    thread::spawn(move || {
        for line in BufReader::new(pipe).lines().map_while(Result::ok) {
            let mut output = output.lock().unwrap_or_else(PoisonError::into_inner);
            output.push_str(&line);
            output.push('\n');
        }
    });
}
