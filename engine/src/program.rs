//! Runs a program of the user's and reads what it prints, within limits: of time, of output, and of what it leaves behind.
//!
//! A program is started from its words, without a shell: nothing in a process name or a number can become a command. It
//! gets a process group of its own, so that whatever it starts ends with it. When its time is over, the group is asked to
//! end (SIGTERM) and then made to (SIGKILL); when nobody waits for it any more (the future is dropped), it is killed at
//! once. Either way nothing stays, no zombie either.
//!
//! It inherits our environment and gets more: its own ENV table and what it is told in this run. What it prints is shown
//! in errors only by its end, and without the values of ENV.

use std::{
    borrow::Cow,
    collections::BTreeMap,
    fmt,
    os::unix::process::ExitStatusExt,
    process::{ExitStatus, Stdio},
    time::Duration,
};

use autoscalebot_core::{registry::Problem, units::in_words};
use futures_util::{
    FutureExt,
    future::{BoxFuture, Fuse, FusedFuture},
};
use rustix::process::{Pid, Signal, kill_process_group};
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};
use tokio::{
    io::{AsyncRead, AsyncReadExt},
    process::{Child, Command},
    time::timeout,
};

use crate::secret::Secret;

/// The most that a program may print, in bytes. It is read into memory, and a measurement is a few hundred.
const LONGEST_OUTPUT: usize = 1 << 20;

/// So much of the end of its error output is remembered, in bytes; the rest is read and forgotten.
const ERROR_OUTPUT_KEPT: usize = 4096;

/// So much of the end of its error output is shown, in characters: about three lines.
const ERROR_OUTPUT_SHOWN: usize = 300;

/// How long a program that was asked to end may take before it is made to; and how long we go on reading the output of
/// one that ended while something it started holds its output open.
const GRACE: Duration = Duration::from_secs(1);

/// A value of ENV shorter than this, in bytes, is no secret; hiding every `1` would hide the sense.
const SHORTEST_SECRET: usize = 4;

/// What an error says a command line should be.
const EXPECTED: &str = "a text such as \"./count web\", or a list of words";

/// A program with its words, as written in settings: a text that is split as a shell would split it, or the words
/// themselves. `Debug` shows the program only, since arguments may hold secrets.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged, expecting = "a text such as \"./count web\", or a list of words")]
pub enum CommandLine {
    /// Split like a shell does: quotes and backslashes work; variables, pipes and patterns do not.
    Text(String),
    /// Taken as they are.
    Words(Vec<String>),
}

impl CommandLine {
    /// Its words: the program, and what it is told. At least one.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn words(&self) -> Result<Vec<String>, &'static str> {
        let words = match self {
            Self::Text(text) => shlex::split(text).ok_or("a quote is not closed, or a backslash ends it")?,
            Self::Words(words) => words.clone(),
        };
        if words.first().is_none_or(String::is_empty) {
            return Err("it names no program");
        }
        if words.iter().any(|word| word.contains('\0')) {
            return Err("it holds a zero byte, which no program can be told");
        }
        Ok(words)
    }
}

impl fmt::Debug for CommandLine {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.words() {
            Ok(words) => write!(formatter, "{:?} with {} more words", words[0], words.len() - 1),
            Err(problem) => formatter.write_str(problem),
        }
    }
}

impl JsonSchema for CommandLine {
    fn schema_name() -> Cow<'static, str> {
        "CommandLine".into()
    }
    fn inline_schema() -> bool {
        true
    }
    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "oneOf": [
                {"type": "string", "minLength": 1},
                {"type": "array", "minItems": 1, "items": {"type": "string"}}
            ]
        })
    }
}

/// The settings of a backend that decide how its programs run.
#[derive(Debug, Clone, Copy)]
pub struct Running<'a> {
    /// TIMEOUT_SECONDS.
    pub timeout: Duration,
    /// ENV.
    pub env: &'a BTreeMap<String, Secret>,
    /// DIRECTORY.
    pub directory: Option<&'a str>,
}

impl Running<'_> {
    /// Everything that is wrong with them.
    #[must_use]
    pub fn problems(&self) -> Vec<Problem> {
        let mut problems = Vec::new();
        if self.timeout.is_zero() {
            problems.push(Problem::new("timeout_seconds", "found 0", "more than 0"));
        }
        for (name, value) in self.env {
            if name.is_empty() || name.contains(['=', '\0']) {
                let found = format!("{name:?} is not the name of a variable");
                problems.push(Problem::new("env", found, "a name without `=`"));
            } else if value.reveal().contains('\0') {
                problems.push(Problem::new(format!("env.{name}"), "its value holds a zero byte", "any other text"));
            }
        }
        if let Some(directory) = self.directory.filter(|directory| directory.is_empty() || directory.contains('\0')) {
            problems.push(Problem::new("directory", format!("found {directory:?}"), "the path of a folder"));
        }
        problems
    }

    /// The program that the setting at `path` names, ready to run.
    ///
    /// # Errors
    /// What is wrong with the setting.
    pub fn program(&self, path: &str, command: Option<&CommandLine>, leftovers: Leftovers) -> Result<Program, Problem> {
        let command = command.ok_or_else(|| Problem::new(path, "is missing", EXPECTED))?;
        let words = command.words().map_err(|found| Problem::new(path, found, EXPECTED))?;
        Ok(Program {
            words,
            env: self.env.iter().map(|(name, value)| (name.clone(), value.clone())).collect(),
            directory: self.directory.map(str::to_owned),
            timeout: self.timeout,
            leftovers,
        })
    }
}

/// What happens to processes that a program started and that still run when it ended by itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Leftovers {
    /// They are killed: the program was only to print something.
    Kill,
    /// They stay: starting them may have been the point.
    Leave,
}

/// A program, ready to be run as often as wanted.
#[derive(Debug, Clone)]
pub struct Program {
    words: Vec<String>,
    env: Vec<(String, Secret)>,
    directory: Option<String>,
    timeout: Duration,
    leftovers: Leftovers,
}

/// Why a program's output is not to be had.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct ProgramError {
    /// Stable word for the kind: `not_started`, `timeout`, `exit_status`, `killed`, `too_long`.
    pub key: &'static str,
    /// Which program, what it did, and the end of what it said about it.
    pub message: String,
}

impl Program {
    /// Its name, for sentences.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.words[0]
    }

    /// Runs it once and returns what it printed. It is told `facts` (name and value) twice: `{name}` in its words is
    /// replaced by the value, and its environment holds `AUTOSCALEBOT_NAME`. A fact is a name or a number of ours, so
    /// that it cannot change the meaning of the words around it.
    ///
    /// # Errors
    /// When it cannot be started, does not end in time, does not end well, or prints too much.
    pub async fn run(&self, facts: &[(&str, &str)]) -> Result<Vec<u8>, ProgramError> {
        let mut child = self.command(facts).spawn().map_err(|error| self.not_started(&error))?;
        // Declared after the child, so that it goes first: its number is ours until the child is reaped.
        let mut group = Group::of(&child);
        let (mut output, mut complaint) = (Vec::new(), Vec::new());
        let (stdout, stderr) = (child.stdout.take(), child.stderr.take());
        let reads = async { tokio::try_join!(read_whole(stdout, &mut output), read_end(stderr, &mut complaint)) };
        let mut reading: Reading<'_> = reads.boxed().fuse();
        let ended = timeout(self.timeout, self.see_through(&mut child, &mut group, &mut reading)).await;
        match &ended {
            Ok(Ok(_)) => {}
            Ok(Err(_)) => group.end(&mut child, Duration::ZERO, &mut reading).await,
            Err(_) => group.end(&mut child, GRACE, &mut reading).await,
        }
        drop(reading);
        let (key, what) = match ended {
            Ok(Ok(status)) => match wrong(status) {
                None => return Ok(output),
                Some(wrong) => wrong,
            },
            Ok(Err(Trouble::TooLong)) => ("too_long", format!("printed more than {LONGEST_OUTPUT} bytes")),
            Ok(Err(Trouble::Io(error))) => ("io", format!("could not be read or waited for: {error}")),
            Err(_) => ("timeout", format!("did not end within {} and was stopped", in_words(self.timeout))),
        };
        Err(self.error(key, &what, &complaint))
    }

    fn command(&self, facts: &[(&str, &str)]) -> Command {
        let told = |word: &String| {
            facts.iter().fold(word.clone(), |word, (name, value)| word.replace(&format!("{{{name}}}"), value))
        };
        let mut command = Command::new(told(&self.words[0]));
        command.args(self.words[1..].iter().map(told));
        command.envs(self.env.iter().map(|(name, value)| (name, value.reveal())));
        command.envs(facts.iter().map(|(name, value)| (format!("AUTOSCALEBOT_{}", name.to_uppercase()), value)));
        if let Some(directory) = &self.directory {
            command.current_dir(directory);
        }
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        command.process_group(0).kill_on_drop(true);
        command
    }

    /// Reads until the program has ended, and then what is left in its pipes.
    async fn see_through(
        &self,
        child: &mut Child,
        group: &mut Group,
        reading: &mut Reading<'_>,
    ) -> Result<ExitStatus, Trouble> {
        let status = tokio::select! {
            read = &mut *reading => { read?; child.wait().await? }
            status = child.wait() => status?,
        };
        match self.leftovers {
            Leftovers::Kill => group.kill(),
            Leftovers::Leave => group.release(),
        }
        // Something that outlives the program may hold its output open; what is read by then is what it printed.
        if !reading.is_terminated()
            && let Ok(read) = timeout(GRACE, reading).await
        {
            read?;
        }
        Ok(status)
    }

    fn not_started(&self, error: &std::io::Error) -> ProgramError {
        let missing = error.kind() == std::io::ErrorKind::NotFound;
        let homeless = self.directory.as_deref().filter(|directory| !std::path::Path::new(directory).is_dir());
        let why = match homeless {
            Some(directory) if missing => format!("there is no folder {directory:?} (DIRECTORY)"),
            _ if missing => "there is no such program".to_owned(),
            _ => error.to_string(),
        };
        self.error("not_started", &format!("cannot be started: {why}"), &[])
    }

    fn error(&self, key: &'static str, what: &str, complaint: &[u8]) -> ProgramError {
        let said = self.end_of(complaint);
        let said = if said.is_empty() { said } else { format!("; it said: {said}") };
        ProgramError { key, message: format!("{:?} {what}{said}", self.name()) }
    }

    /// A text without the values of ENV.
    #[must_use]
    pub fn without_secrets(&self, text: &[u8]) -> String {
        let text = String::from_utf8_lossy(text).into_owned();
        let secrets = self.env.iter().map(|(_, value)| value.reveal()).filter(|value| value.len() >= SHORTEST_SECRET);
        secrets.fold(text, |text, secret| text.replace(secret, Secret::SHOWN))
    }

    /// The end of an output in one line, without secrets and control characters.
    fn end_of(&self, complaint: &[u8]) -> String {
        let text = self.without_secrets(complaint);
        let lines = text.lines().map(str::trim).filter(|line| !line.is_empty()).collect::<Vec<_>>();
        let line = lines.join("; ").replace(char::is_control, " ");
        let surplus = line.chars().count().saturating_sub(ERROR_OUTPUT_SHOWN);
        if surplus == 0 { line } else { std::iter::once('…').chain(line.chars().skip(surplus)).collect() }
    }
}

/// Reads both outputs to their ends; may be polled again afterwards.
type Reading<'a> = Fuse<BoxFuture<'a, Result<((), ()), Trouble>>>;

/// What is wrong with how a program ended, if anything: a key and words.
fn wrong(status: ExitStatus) -> Option<(&'static str, String)> {
    match (status.code(), status.signal()) {
        (Some(0), _) => None,
        (Some(code), _) => Some(("exit_status", format!("ended with status {code}"))),
        (None, signal) => Some(("killed", format!("was killed by signal {}", signal.unwrap_or_default()))),
    }
}

enum Trouble {
    TooLong,
    Io(std::io::Error),
}

impl From<std::io::Error> for Trouble {
    fn from(error: std::io::Error) -> Self {
        Self::Io(error)
    }
}

async fn read_whole(pipe: Option<impl AsyncRead + Unpin>, output: &mut Vec<u8>) -> Result<(), Trouble> {
    let Some(pipe) = pipe else { return Ok(()) };
    pipe.take(LONGEST_OUTPUT as u64 + 1).read_to_end(output).await?;
    if output.len() > LONGEST_OUTPUT { Err(Trouble::TooLong) } else { Ok(()) }
}

/// Keeps between one and two times [`ERROR_OUTPUT_KEPT`] of the end.
async fn read_end(pipe: Option<impl AsyncRead + Unpin>, end: &mut Vec<u8>) -> Result<(), Trouble> {
    let Some(mut pipe) = pipe else { return Ok(()) };
    let mut piece = [0; 1024];
    loop {
        let length = pipe.read(&mut piece).await?;
        if length == 0 {
            return Ok(());
        }
        end.extend_from_slice(&piece[..length]);
        if end.len() > 2 * ERROR_OUTPUT_KEPT {
            end.drain(..end.len() - ERROR_OUTPUT_KEPT);
        }
    }
}

/// The process group of a program; killed when dropped, unless it was released.
///
/// Its number is that of the program. The system gives it to nobody else as long as the program is not reaped or
/// anything in the group lives. Between reaping and [`Group::kill`] no time passes in which all other numbers could have
/// been used up, so the number never means a stranger.
struct Group(Option<Pid>);

impl Group {
    fn of(child: &Child) -> Self {
        let number = child.id().and_then(|id| i32::try_from(id).ok());
        Self(number.and_then(Pid::from_raw))
    }

    /// Kills what is in it; afterwards it is nobody's.
    fn kill(&mut self) {
        if let Some(group) = self.0.take() {
            // An error means that nothing is left of it.
            let _ = kill_process_group(group, Signal::KILL);
        }
    }

    /// Lets it live.
    fn release(&mut self) {
        self.0 = None;
    }

    /// Asks it to end, gives the program so long, then kills what is left, and reaps the program.
    ///
    /// Its output is read meanwhile: a program whose words nobody hears is killed by the system (SIGPIPE) before it has
    /// tidied up.
    async fn end(&mut self, child: &mut Child, patience: Duration, reading: &mut Reading<'_>) {
        if let Some(group) = self.0.filter(|_| !patience.is_zero()) {
            let _ = kill_process_group(group, Signal::TERM);
            let ending = async {
                tokio::select! {
                    _ = &mut *reading => { let _ = child.wait().await; }
                    _ = child.wait() => {}
                }
            };
            let _ = timeout(patience, ending).await;
        }
        self.kill();
        // Nothing resists SIGKILL but a broken disk; then the runtime reaps it whenever it ends.
        let _ = timeout(GRACE, child.wait()).await;
        if !reading.is_terminated() {
            let _ = timeout(GRACE, reading).await;
        }
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        self.kill();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Enough for a shell to start on a busy machine, and still a time-out that a test can wait for.
    const AMPLE_MS: u64 = 1500;

    fn program(words: &[&str], timeout_ms: u64, env: &[(&str, &str)], leftovers: Leftovers) -> Program {
        let env = env.iter().map(|(name, value)| ((*name).to_owned(), Secret::new(*value))).collect();
        let running = Running { timeout: Duration::from_millis(timeout_ms), env: &env, directory: None };
        let words = CommandLine::Words(words.iter().map(|word| (*word).to_owned()).collect());
        running.program("command", Some(&words), leftovers).unwrap()
    }

    fn shell(script: &str) -> Program {
        program(&["sh", "-c", script], 10_000, &[], Leftovers::Kill)
    }

    /// A number of seconds to sleep that no other process sleeps, so that the sleeper can be found.
    fn unheard_of() -> String {
        format!("3600.{}", uuid::Uuid::new_v4().as_u128())
    }

    /// The process that has this word in its command line, if one runs.
    fn process_with(word: &str) -> Option<Pid> {
        let mut processes = std::fs::read_dir("/proc").unwrap().flatten();
        let has_word = |path: std::path::PathBuf| {
            let words = std::fs::read(path.join("cmdline")).unwrap_or_default();
            words.split(|byte| *byte == 0).any(|found| found == word.as_bytes())
        };
        let process = processes.find(|process| has_word(process.path()))?;
        process.file_name().to_str()?.parse().ok().and_then(Pid::from_raw)
    }

    fn runs(word: &str) -> bool {
        process_with(word).is_some()
    }

    /// Zombies whose parent is this test program.
    fn zombies() -> Vec<String> {
        let own = std::process::id().to_string();
        let stats = std::fs::read_dir("/proc").unwrap().flatten();
        let stats = stats.filter_map(|process| std::fs::read_to_string(process.path().join("stat")).ok());
        let is_ours = |stat: &String| {
            let mut fields = stat.rsplit(") ").next().unwrap_or_default().split(' ');
            fields.next() == Some("Z") && fields.next() == Some(&own)
        };
        stats.filter(is_ours).collect()
    }

    /// Waits for something that the system does in its own time.
    async fn soon(what: &str, mut is_so: impl FnMut() -> bool) {
        for _ in 0..500 {
            if is_so() {
                return;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        panic!("never: {what}");
    }

    #[tokio::test]
    async fn what_a_program_prints_is_its_output() {
        assert_eq!(shell("echo 42; echo no >&2").run(&[]).await, Ok(b"42\n".to_vec()));
    }

    #[tokio::test]
    async fn a_program_is_told_facts_in_its_words_and_in_its_environment() {
        let script = "echo {process} $1 $AUTOSCALEBOT_PROCESS $AUTOSCALEBOT_TO $GREETING {other}";
        let program = program(&["sh", "-c", script, "-", "{to}"], 10_000, &[("GREETING", "hello")], Leftovers::Kill);
        let output = program.run(&[("process", "web"), ("to", "3")]).await.unwrap();
        assert_eq!(String::from_utf8(output).unwrap(), "web 3 web 3 hello {other}\n");
    }

    #[tokio::test]
    async fn a_program_that_fails_is_an_error_with_the_end_of_what_it_said() {
        let error =
            shell("echo 42; seq 1 3000 >&2; printf 'disk \\033[31mfull\\n' >&2; exit 3").run(&[]).await.unwrap_err();
        assert_eq!(error.key, "exit_status");
        assert!(error.message.starts_with("\"sh\" ended with status 3; it said: …"), "{error}");
        assert!(error.message.ends_with("2999; 3000; disk  [31mfull"), "{error}");
        assert!(error.message.chars().count() < 400, "{error}");
        let error = shell("kill -9 $$").run(&[]).await.unwrap_err();
        assert_eq!((error.key, error.message.as_str()), ("killed", "\"sh\" was killed by signal 9"));
    }

    #[tokio::test]
    async fn a_program_that_cannot_be_started_says_why() {
        let error = program(&["/no/such/program"], 1000, &[], Leftovers::Kill).run(&[]).await.unwrap_err();
        assert_eq!(error.message, "\"/no/such/program\" cannot be started: there is no such program");
        assert_eq!(error.key, "not_started");
        let error = program(&["/etc/passwd"], 1000, &[], Leftovers::Kill).run(&[]).await.unwrap_err();
        assert!(error.message.contains("cannot be started: Permission denied"), "{error}");
        let homeless = Program { directory: Some("/no/such/folder".to_owned()), ..shell("true") };
        let error = homeless.run(&[]).await.unwrap_err();
        assert_eq!(error.message, "\"sh\" cannot be started: there is no folder \"/no/such/folder\" (DIRECTORY)");
    }

    #[tokio::test]
    async fn a_time_out_ends_the_program_and_all_that_it_started() {
        let (first, second) = (unheard_of(), unheard_of());
        // The first ignores the polite request, and its child would too.
        let script = format!("trap '' TERM; echo begun >&2; sleep {first} & sleep {second}");
        let program = program(&["sh", "-c", &script], AMPLE_MS, &[], Leftovers::Kill);
        let error = program.run(&[]).await.unwrap_err();
        assert_eq!(error.message, "\"sh\" did not end within 1.5 s and was stopped; it said: begun");
        assert_eq!(error.key, "timeout");
        soon("both are gone", || !runs(&first) && !runs(&second)).await;
        soon("no zombie stays", || zombies().is_empty()).await;
    }

    #[tokio::test]
    async fn a_program_may_end_by_itself_when_asked() {
        let tidied = std::env::temp_dir().join(unheard_of());
        let script = format!(
            "trap 'echo tidied >{}; echo good bye >&2; exit' TERM; while :; do sleep 0.05; done",
            tidied.display()
        );
        let error = program(&["sh", "-c", &script], AMPLE_MS, &[], Leftovers::Kill).run(&[]).await.unwrap_err();
        assert_eq!(error.key, "timeout");
        assert!(error.message.ends_with("good bye"), "{error}");
        assert_eq!(std::fs::read_to_string(&tidied).unwrap(), "tidied\n");
        std::fs::remove_file(tidied).unwrap();
    }

    #[tokio::test]
    async fn a_program_that_nobody_waits_for_any_more_is_killed() {
        let (first, second) = (unheard_of(), unheard_of());
        let program = shell(&format!("sleep {first} & sleep {second}"));
        let run = tokio::spawn(async move { program.run(&[]).await.map(|_| ()) });
        soon("both run", || runs(&first) && runs(&second)).await;
        run.abort();
        soon("both are gone", || !runs(&first) && !runs(&second)).await;
        soon("no zombie stays", || zombies().is_empty()).await;
    }

    #[tokio::test]
    async fn what_a_program_leaves_running_is_killed_or_left_as_asked() {
        let left = unheard_of();
        let script = format!("sleep {left} & echo 42");
        assert_eq!(shell(&script).run(&[]).await, Ok(b"42\n".to_vec()));
        soon("it is gone", || !runs(&left)).await;

        let leaving = program(&["sh", "-c", &script], 10_000, &[], Leftovers::Leave);
        assert_eq!(leaving.run(&[]).await, Ok(b"42\n".to_vec()));
        rustix::process::kill_process(process_with(&left).unwrap(), Signal::KILL).unwrap();
    }

    #[tokio::test]
    async fn endless_output_is_too_long_and_ends_the_program() {
        let mark = unheard_of();
        let script = format!("while :; do echo {mark}; done");
        let error = program(&["sh", "-c", &script], 10_000, &[], Leftovers::Kill).run(&[]).await.unwrap_err();
        assert_eq!((error.key, error.message.as_str()), ("too_long", "\"sh\" printed more than 1048576 bytes"));
        soon("it is gone", || zombies().is_empty()).await;
        // Endless error output is only forgotten.
        let quiet = shell("head -c 3000000 /dev/zero >&2; echo 42");
        assert_eq!(quiet.run(&[]).await, Ok(b"42\n".to_vec()));
    }

    #[tokio::test]
    async fn values_of_env_are_in_no_error_and_in_no_debug() {
        let program = program(
            &["sh", "-c", "echo the key is $KEY >&2; exit 1", "hunter3"],
            10_000,
            &[("KEY", "hunter2")],
            Leftovers::Kill,
        );
        let error = program.run(&[]).await.unwrap_err();
        assert_eq!(error.message, "\"sh\" ended with status 1; it said: the key is (secret)");
        let line = CommandLine::Text("curl -H 'Key: hunter3' http://localhost".to_owned());
        assert_eq!(format!("{line:?}"), "\"curl\" with 3 more words");
    }

    #[test]
    fn a_text_is_split_as_a_shell_would_and_nothing_more() {
        let words = |text: &str| CommandLine::Text(text.to_owned()).words();
        assert_eq!(words("a 'b c' d\\ e \"$F\" | *").unwrap(), ["a", "b c", "d e", "$F", "|", "*"]);
        for wrong in ["", "  ", "a 'b", "''", "a \0"] {
            assert!(words(wrong).is_err(), "{wrong:?}");
        }
        assert!(CommandLine::Words(vec![]).words().is_err());
    }

    #[test]
    fn limits_that_cannot_work_are_problems() {
        let env = BTreeMap::from([("A=B".to_owned(), Secret::new("x")), ("C".to_owned(), Secret::new("\0"))]);
        let running = Running { timeout: Duration::ZERO, env: &env, directory: Some("") };
        let paths: Vec<String> = running.problems().into_iter().map(|problem| problem.path).collect();
        assert_eq!(paths, ["timeout_seconds", "env", "env.C", "directory"]);
    }
}
