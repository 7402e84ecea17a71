//! A number, or a whole document, that a program of the user's prints.
//!
//! The way to measure anything that has no backend here: a script that asks a database, a queue, a monitoring system. It
//! misleads when the program itself takes an unknown for zero, as in `wc -l` behind a failed pipe; use `set -o pipefail`.
//! Every failure of the program is unknown: whatever status but 0, no output, anything but JSON, too much, too long. A
//! program that takes too long says nothing about the app, so its time-out counts as nothing either.

use std::collections::BTreeMap;

use async_trait::async_trait;
use autoscalebot_core::{
    names::ProcessName,
    registry::{Backend, Problem},
    units::Seconds,
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Context, Measure, MeasureError, Measured, value::Selector};
use crate::{
    program::{CommandLine, Leftovers, Program, ProgramError, Running},
    secret::Secret,
};

/// Settings of the measurement `Command`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Settings {
    /// The program with its words: a text, split as a shell splits it, or a list. There is no shell; for pipes and
    /// variables write `sh -c '…'`. `{process}` becomes the name of the process.
    pub command: Option<CommandLine>,
    /// Where in the printed JSON the number stands: a JSON Pointer (`/queue/size`) or a JSONPath (`$.queue.size`). A text
    /// that is a number is taken for one there. Without it, a lone number or else the whole document is the reading.
    pub value: Option<String>,
    /// How long the program may take. Then it is stopped, with everything that it started.
    pub timeout_seconds: Seconds,
    /// More variables for its environment, beside ours, which it inherits, and `AUTOSCALEBOT_PROCESS`.
    pub env: BTreeMap<String, Secret>,
    /// The folder it runs in; without it, the one that autoscalebot was started in.
    pub directory: Option<String>,
}

impl Default for Settings {
    fn default() -> Self {
        Self { command: None, value: None, timeout_seconds: Seconds::new(30), env: BTreeMap::new(), directory: None }
    }
}

impl Settings {
    fn running(&self) -> Running<'_> {
        let timeout = self.timeout_seconds.duration();
        Running { timeout, env: &self.env, directory: self.directory.as_deref() }
    }

    fn program(&self) -> Result<Program, Problem> {
        self.running().program("command", self.command.as_ref(), Leftovers::Kill)
    }
}

/// The backend.
pub struct Command {
    program: Program,
    selector: Selector,
    process: ProcessName,
}

impl Backend for Command {
    type Stage = dyn Measure;
    type Context = Context;
    type Settings = Settings;
    const NAME: &'static str = "Command";

    fn validate(settings: &Settings) -> Vec<Problem> {
        let mut problems = settings.running().problems();
        problems.extend(settings.program().err());
        problems.extend(Selector::parse(settings.value.as_deref()).err());
        problems
    }

    fn build(settings: Settings, context: &Context) -> Result<Box<dyn Measure>, Problem> {
        let selector = Selector::parse(settings.value.as_deref())?;
        Ok(Box::new(Self { program: settings.program()?, selector, process: context.process.clone() }))
    }
}

#[async_trait]
impl Measure for Command {
    async fn measure(&self) -> Result<Measured, MeasureError> {
        let output = self.program.run(&[("process", self.process.as_str())]).await?;
        let reading = self.selector.read(&output, || format!("what {:?} printed", self.program.name()))?;
        Ok(reading.into())
    }
}

impl From<ProgramError> for MeasureError {
    fn from(error: ProgramError) -> Self {
        Self::unknown(error.key, error.message)
    }
}

#[cfg(test)]
mod tests {
    use autoscalebot_core::{registry::entry, sample::Reading, units::Finite};
    use serde_json::{Value, json};

    use super::*;
    use crate::measurement::url::tests::{Says, context};

    async fn measure(settings: Value) -> Result<Reading, MeasureError> {
        let entry = entry::<Command>();
        assert_eq!((entry.check)(&settings), []);
        let backend = (entry.build)(&settings, &context(Says::this(Ok(None)))).map_err(|_| ()).unwrap();
        backend.measure().await.map(|measured| measured.reading)
    }

    fn number(number: f64) -> Result<Reading, MeasureError> {
        Ok(Reading::Number(Finite::new(number).unwrap()))
    }

    #[tokio::test]
    async fn what_the_program_prints_is_the_reading() {
        assert_eq!(measure(json!({"command": "echo 42"})).await, number(42.0));
        let json = r#"echo '{"queue": {"{process}": 7}}'"#;
        assert_eq!(measure(json!({"command": json, "value": "/queue/web"})).await, number(7.0));
        let words = json!({"command": ["sh", "-c", "echo $LENGTH"], "env": {"LENGTH": "3"}, "directory": "/"});
        assert_eq!(measure(words).await, number(3.0));
        let document = measure(json!({"command": "echo '{\"a\": 1}'"})).await;
        assert_eq!(document, Ok(Reading::Document(json!({"a": 1}))));
    }

    #[tokio::test]
    async fn a_program_that_does_not_give_a_number_is_unknown() {
        for (command, key) in [
            ("true", "empty"),
            ("echo NaN", "bad_json"),
            ("echo 42 tasks", "bad_json"),
            ("sh -c 'echo 42; exit 1'", "exit_status"),
            ("sh -c 'echo 42; kill -9 $$'", "killed"),
            ("/no/such/program", "not_started"),
            ("head -c 1100000 /dev/zero", "too_long"),
        ] {
            let error = measure(json!({"command": command})).await.expect_err(command);
            assert_eq!(error, MeasureError::unknown(key, error.message.clone()), "{command}");
        }
        let error = measure(json!({"command": "sh -c 'echo 42; sleep 60'", "timeout_seconds": 0.2})).await.unwrap_err();
        assert_eq!(error, MeasureError::unknown("timeout", "\"sh\" did not end within 200 ms and was stopped"));
    }

    #[test]
    fn a_command_is_needed_and_must_be_readable() {
        let problems =
            |settings| (entry::<Command>().check)(&settings).iter().map(ToString::to_string).collect::<Vec<_>>();
        let expected = "expected a text such as \"./count web\", or a list of words";
        assert_eq!(problems(json!({})), [format!("command: is missing; {expected}")]);
        assert_eq!(
            problems(json!({"command": "a 'b"})),
            [format!("command: a quote is not closed, or a backslash ends it; {expected}")]
        );
        assert!(problems(json!({"command": 5}))[0].starts_with("command: "));
    }
}
