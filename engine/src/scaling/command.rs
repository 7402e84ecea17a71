//! Any platform that a program can talk to: one program says how many processes run, another makes it so many.
//!
//! The way to puppet, chef, docker compose, anything with a command line. COUNT must print a whole number and nothing
//! else; whatever it prints instead is an error, never a guess, since a wrong count would be scaled from. SCALE must end
//! with status 0 only when the platform took the order. It is told the absolute number, so that calling it twice does no
//! harm. It misleads when COUNT says how many processes answer instead of how many are ordered: then a crash looks like
//! somebody's decision.

use std::collections::BTreeMap;

use async_trait::async_trait;
use autoscalebot_core::{
    names::ProcessName,
    registry::{Backend, Problem},
    step::Order,
    units::Seconds,
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Context, Scale, ScaleError, Scaled};
use crate::{
    program::{CommandLine, Leftovers, Program, ProgramError, Running},
    secret::Secret,
};

/// So much of a wrong count is shown, in characters.
const OUTPUT_SHOWN: usize = 60;

/// Settings of the scaling backend `Command`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Settings {
    /// The program that prints how many processes run, with its words: a text, split as a shell splits it, or a list.
    /// There is no shell; for pipes and variables write `sh -c '…'`. `{process}` becomes the name of the process.
    pub count: Option<CommandLine>,
    /// The program that makes `{to}` processes run, written like COUNT. `{process}`, `{from}` (how many run) and `{to}`
    /// (how many should; also `{count}`) are replaced. Processes that it starts in the background go on running.
    pub scale: Option<CommandLine>,
    /// How long either may take. Then it is stopped, with everything that it started.
    pub timeout_seconds: Seconds,
    /// More variables for their environment, beside ours, which they inherit, and `AUTOSCALEBOT_PROCESS`; SCALE also has
    /// `AUTOSCALEBOT_FROM` and `AUTOSCALEBOT_TO`.
    pub env: BTreeMap<String, Secret>,
    /// The folder they run in; without it, the one that autoscalebot was started in.
    pub directory: Option<String>,
}

impl Default for Settings {
    fn default() -> Self {
        Self { count: None, scale: None, timeout_seconds: Seconds::new(30), env: BTreeMap::new(), directory: None }
    }
}

impl Settings {
    fn running(&self) -> Running<'_> {
        let timeout = self.timeout_seconds.duration();
        Running { timeout, env: &self.env, directory: self.directory.as_deref() }
    }

    fn count_program(&self) -> Result<Program, Problem> {
        let told_too_much = |word: &String| ["{from}", "{to}", "{count}"].iter().any(|fact| word.contains(fact));
        let words = self.count.as_ref().and_then(|count| count.words().ok()).unwrap_or_default();
        if words.iter().any(told_too_much) {
            let found = "it asks for {from}, {to} or {count}, which only SCALE is told";
            return Err(Problem::new("count", found, "a program that prints how many processes run"));
        }
        self.running().program("count", self.count.as_ref(), Leftovers::Kill)
    }

    fn scale_program(&self) -> Result<Program, Problem> {
        self.running().program("scale", self.scale.as_ref(), Leftovers::Leave)
    }
}

/// The backend.
pub struct Command {
    count: Program,
    scale: Program,
    process: ProcessName,
}

impl Backend for Command {
    type Stage = dyn Scale;
    type Context = Context;
    type Settings = Settings;
    const NAME: &'static str = "Command";

    fn validate(settings: &Settings) -> Vec<Problem> {
        let mut problems = settings.running().problems();
        problems.extend(settings.count_program().err());
        problems.extend(settings.scale_program().err());
        problems
    }

    fn build(settings: Settings, context: &Context) -> Result<Box<dyn Scale>, Problem> {
        let (count, scale) = (settings.count_program()?, settings.scale_program()?);
        Ok(Box::new(Self { count, scale, process: context.process.clone() }))
    }
}

#[async_trait]
impl Scale for Command {
    async fn count(&self) -> Result<u32, ScaleError> {
        let output = self.count.run(&[("process", self.process.as_str())]).await;
        let output = output.map_err(|error| self.failed("COUNT", error))?;
        whole_number(&output).ok_or_else(|| {
            let (name, shown) = (self.count.name(), self.count.without_secrets(&output));
            let shown = shown.trim().chars().take(OUTPUT_SHOWN).collect::<String>();
            let text = format!(
                "COUNT of {}: {name:?} printed {shown:?}, where a whole number of processes and nothing else is expected",
                self.process
            );
            ScaleError::new("bad_count", text)
        })
    }

    async fn scale_to(&self, order: &Order) -> Result<Scaled, ScaleError> {
        let (from, to) = (order.from.to_string(), order.to.to_string());
        let facts = [("process", self.process.as_str()), ("from", &from), ("to", &to), ("count", &to)];
        self.scale.run(&facts).await.map_err(|error| self.failed("SCALE", error))?;
        Ok(Scaled::Done)
    }
}

impl Command {
    fn failed(&self, setting: &str, error: ProgramError) -> ScaleError {
        ScaleError::new(error.key, format!("{setting} of {}: {error}", self.process))
    }
}

/// Digits with blank space around them.
fn whole_number(output: &[u8]) -> Option<u32> {
    let digits = std::str::from_utf8(output).ok()?.trim();
    // `parse` alone would take "+3".
    digits.bytes().all(|byte| byte.is_ascii_digit()).then(|| digits.parse().ok()).flatten()
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use autoscalebot_core::{decision::Reason, registry::entry};
    use serde_json::{Value, json};

    use super::*;
    use crate::{clock::SystemClock, environment::Environment, shared::Shared};

    fn backend(settings: &Value) -> Box<dyn Scale> {
        let shared = Shared::new(Arc::new(SystemClock::new()), Environment::default());
        let context = Context { process: ProcessName::new("web").unwrap(), shared };
        assert_eq!((entry::<Command>().check)(settings), []);
        (entry::<Command>().build)(settings, &context).map_err(|_| ()).unwrap()
    }

    fn order(from: u32, to: u32) -> Order {
        Order::new(from, to, Reason::new("test", "a test says so"), None).unwrap()
    }

    #[tokio::test]
    async fn what_scale_was_told_is_what_count_says() {
        let file = std::env::temp_dir().join(uuid::Uuid::new_v4().to_string());
        std::fs::write(&file, "1").unwrap();
        let backend = backend(&json!({
            "count": ["cat", file],
            "scale": ["sh", "-c", "echo $AUTOSCALEBOT_TO >$FILE; echo {process} {from} {to} {count} >>$FILE.log"],
            "env": {"FILE": file},
        }));
        assert_eq!(backend.count().await, Ok(1));
        assert_eq!(backend.scale_to(&order(1, 3)).await, Ok(Scaled::Done));
        assert_eq!([backend.count().await, backend.count().await], [Ok(3), Ok(3)]);
        let log = format!("{}.log", file.display());
        assert_eq!(std::fs::read_to_string(&log).unwrap(), "web 1 3 3\n");
        std::fs::remove_file(file).unwrap();
        std::fs::remove_file(log).unwrap();
    }

    #[tokio::test]
    async fn anything_but_a_whole_number_is_an_error_and_no_guess() {
        for output in ["", "three", "-1", "+3", "3.0", "3 processes", "1\n2", "4294967296", "0x3", "NaN"] {
            let count = backend(&json!({"count": ["printf", "%s", output], "scale": "true"})).count().await;
            let error = count.expect_err(output);
            assert_eq!(error.key, "bad_count", "{output:?}");
            assert!(error.message.starts_with("COUNT of web: \"printf\" printed "), "{error}");
        }
        for (output, number) in [("0", 0), (" 7\n", 7), ("4294967295", u32::MAX)] {
            let count = backend(&json!({"count": ["printf", "%s", output], "scale": "true"})).count().await;
            assert_eq!(count, Ok(number), "{output:?}");
        }
        let error = backend(&json!({"count": "sh -c 'echo 3; exit 1'", "scale": "true"})).count().await.unwrap_err();
        assert_eq!(error.message, "COUNT of web: \"sh\" ended with status 1");
    }

    #[tokio::test]
    async fn an_order_that_the_program_does_not_take_is_an_error_with_its_words() {
        let refusing = backend(&json!({"count": "echo 1", "scale": "sh -c 'echo quota >&2; exit 9'"}));
        let error = refusing.scale_to(&order(1, 2)).await.unwrap_err();
        assert_eq!(error, ScaleError::new("exit_status", "SCALE of web: \"sh\" ended with status 9; it said: quota"));
        let hanging = backend(&json!({"count": "echo 1", "scale": "sleep 60", "timeout_seconds": 0.2}));
        assert_eq!(hanging.scale_to(&order(1, 2)).await.unwrap_err().key, "timeout");
    }

    #[test]
    fn both_programs_are_needed_and_count_is_told_no_numbers() {
        let paths = |settings: Value| {
            let problems = (entry::<Command>().check)(&settings);
            problems.into_iter().map(|problem| problem.path).collect::<Vec<_>>()
        };
        assert_eq!(paths(json!({})), ["count", "scale"]);
        assert_eq!(paths(json!({"count": "./count {to}", "scale": "./scale {to}"})), ["count"]);
        assert_eq!(paths(json!({"count": "./count {process}", "scale": "./scale {to}"})), Vec::<String>::new());
    }
}
