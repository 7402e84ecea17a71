//! A program as a child of a test: its output is collected, and it ends with the test.
//!
//! A program that starts others is the head of a process group, and a watcher beside it reads a pipe that we hold. The
//! pipe ends when the test drops the program, and also when the test itself is killed; then the watcher kills the group.

use std::{
    io::{BufRead, BufReader, Read},
    os::unix::process::CommandExt,
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Stdio},
    sync::{Arc, Mutex, PoisonError},
    thread,
    time::Duration,
};

/// How often a program is looked at while something is waited for.
const LOOK: Duration = Duration::from_millis(20);

/// Killed processes are gone within milliseconds, unless they hang in the kernel.
const GONE_LIMIT: Duration = Duration::from_secs(5);

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
    /// Kills the program's group when the pipe to its standard input ends.
    watcher: Option<Child>,
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
        Self { child, output, watcher: None }
    }

    /// Starts it as the head of a process group. What it starts ends with it, and all of it ends with us, however we end.
    ///
    /// # Panics
    /// When it cannot be started.
    #[must_use]
    pub fn start_group(command: &mut Command) -> Self {
        let mut program = Self::start(command.process_group(0));
        let watcher = Command::new("sh")
            .args(["-c", "read -r never; kill -s KILL -- \"-$1\"", "sh", &program.child.id().to_string()])
            .process_group(0)
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn();
        program.watcher = Some(watcher.expect("a shell"));
        program
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

    /// Waits until `seen` holds, looking again and again, for at most `limit`; whether it came to hold.
    pub async fn until(&self, limit: Duration, mut seen: impl FnMut(&str) -> bool) -> bool {
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

    /// Sends a signal to it and to everything that it started and that still belongs to it, also in other groups.
    ///
    /// # Panics
    /// When there is no `kill` on the machine.
    pub fn signal_all(&self, name: &str) {
        // One that has ended meanwhile is none of our business.
        let ids = self.family().into_iter().map(|id| id.to_string());
        let _ = Command::new("kill").args(["-s", name]).args(ids).output().expect("the kill command");
    }

    /// Whether it and everything that it started obeys a SIGSTOP.
    #[must_use]
    pub fn is_stopped(&self) -> bool {
        let state = |id: &u32| {
            let stat = std::fs::read_to_string(format!("/proc/{id}/stat")).unwrap_or_default();
            stat.rsplit(')').next().and_then(|rest| rest.split_whitespace().next().map(str::to_owned))
        };
        self.everyone().iter().all(|id| matches!(state(id).as_deref(), Some("T" | "Z") | None))
    }

    /// It and the processes that it started and that still belong to it.
    fn everyone(&self) -> Vec<u32> {
        let mut found = vec![self.child.id()];
        let mut next = 0;
        while let Some(id) = found.get(next) {
            found.extend(children_of(*id));
            next += 1;
        }
        found
    }

    /// Ends it at once, with all of its group, and waits until all that it started has ended.
    pub fn kill(&mut self) {
        if let Some(mut watcher) = self.watcher.take() {
            let family = self.family();
            drop(watcher.stdin.take());
            let _ = watcher.wait();
            // Nobody tells us of the end of those whose parent is gone. What cannot be killed is not waited for.
            for _ in 0..GONE_LIMIT.as_millis() / LOOK.as_millis() {
                if !family.iter().any(|id| holds_anything(*id)) {
                    break;
                }
                pause(LOOK);
            }
        }
        // Fails only when it has ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }

    /// Sends it a signal and waits for its end, for at most `limit`, without a runtime: for what is being dropped.
    pub fn end_now(&mut self, signal: &str, limit: Duration) {
        if matches!(self.child.try_wait(), Ok(None)) {
            self.signal(signal);
        }
        for _ in 0..limit.as_millis() / LOOK.as_millis() {
            if !matches!(self.child.try_wait(), Ok(None)) {
                return;
            }
            pause(LOOK);
        }
    }

    /// It and all that it started and that still belongs to it.
    fn family(&self) -> Vec<u32> {
        let mut found = vec![self.child.id()];
        let mut next = 0;
        while let Some(id) = found.get(next) {
            found.extend(children_of(*id));
            next += 1;
        }
        found
    }

    /// Waits for its end, for at most `limit`; `None` when it still runs.
    pub async fn end(&mut self, limit: Duration) -> Option<ExitStatus> {
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
        self.kill();
    }
}

/// Whether a process may still hold ports and files: it runs, or has ended but for some of its threads.
fn holds_anything(id: u32) -> bool {
    let Ok(stat) = std::fs::read_to_string(format!("/proc/{id}/stat")) else { return false };
    let has_ended = stat.rsplit_once(") ").is_some_and(|(_, rest)| rest.starts_with(['Z', 'X']));
    let threads = std::fs::read_dir(format!("/proc/{id}/task")).map_or(0, Iterator::count);
    !has_ended || threads > 1
}

#[expect(clippy::disallowed_methods, reason = "what is dropped cannot await, and the pause is short")]
fn pause(length: Duration) {
    thread::sleep(length);
}

/// The processes that a process has started and that have not been given to another parent.
fn children_of(id: u32) -> Vec<u32> {
    let Ok(threads) = std::fs::read_dir(format!("/proc/{id}/task")) else { return Vec::new() };
    let lists = threads.flatten().filter_map(|thread| std::fs::read_to_string(thread.path().join("children")).ok());
    lists.flat_map(|list| list.split_whitespace().filter_map(|id| id.parse().ok()).collect::<Vec<_>>()).collect()
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

#[cfg(test)]
mod tests {
    use super::*;

    const LIMIT: Duration = Duration::from_secs(10);

    fn shell(script: &str) -> Program {
        Program::start_group(Command::new("sh").args(["-c", script]))
    }

    fn has_ended(id: &str) -> bool {
        !holds_anything(id.parse().unwrap())
    }

    fn state(id: &str) -> Option<char> {
        let stat = std::fs::read_to_string(format!("/proc/{id}/stat")).ok()?;
        stat.rsplit_once(") ")?.1.chars().next()
    }

    async fn comes_to_end(id: &str) -> bool {
        for _ in 0..LIMIT.as_millis() / LOOK.as_millis() {
            if has_ended(id) {
                return true;
            }
            tokio::time::sleep(LOOK).await;
        }
        false
    }

    #[tokio::test]
    async fn what_a_program_started_ends_with_it() {
        let program = shell("sleep 1000 & echo $!; wait");
        assert!(program.until(LIMIT, |output| output.contains('\n')).await, "{}", program.output());
        let grandchild = program.output().trim().to_owned();
        assert!(!has_ended(&grandchild));
        drop(program);
        assert!(has_ended(&grandchild));
    }

    #[tokio::test]
    async fn what_a_program_started_ends_also_when_its_test_is_killed() {
        let mut program = shell("sleep 1000 & echo $!; wait");
        assert!(program.until(LIMIT, |output| output.contains('\n')).await, "{}", program.output());
        let grandchild = program.output().trim().to_owned();
        // The end of the pipe is all that is left of a killed test.
        drop(program.watcher.as_mut().unwrap().stdin.take());
        assert!(comes_to_end(&grandchild).await);
        assert!(program.end(LIMIT).await.is_some());
    }

    #[tokio::test]
    async fn a_signal_to_all_reaches_those_in_a_session_of_their_own() {
        let program = shell("setsid sleep 1000 & echo $!; wait");
        assert!(program.until(LIMIT, |output| output.contains('\n')).await, "{}", program.output());
        let sleeper = program.output().trim().to_owned();
        let is_sleep = || std::fs::read_to_string(format!("/proc/{sleeper}/comm")).is_ok_and(|name| name == "sleep\n");
        assert!(program.until(LIMIT, |_| is_sleep()).await);
        program.signal_all("STOP");
        assert!(program.until(LIMIT, |_| state(&sleeper) == Some('T')).await);
        program.signal_all("KILL");
        assert!(comes_to_end(&sleeper).await);
    }
}
