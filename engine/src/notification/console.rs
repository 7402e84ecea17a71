//! Prints notices to standard output, one block of lines each.
//!
//! For people who watch a terminal, and for platforms that collect what programs print. Colours only on a terminal, and
//! not when `NO_COLOR` is set. Each notice is written in one piece, so that other output does not fall into its middle.

use std::{
    io::{IsTerminal as _, Stdout, Write},
    sync::{Arc, Mutex, PoisonError},
};

use async_trait::async_trait;
use autoscalebot_core::registry::{Backend, Problem};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{
    Context, Notice, Notify, NotifyError,
    text::{Severity, Text, when},
};
use crate::environment;

/// Settings of `Console`: none of its own.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Settings {}

/// The backend.
pub struct Console<Output = Stdout> {
    output: Arc<Mutex<Output>>,
    coloured: bool,
}

impl Backend for Console {
    type Stage = dyn Notify;
    type Context = Context;
    type Settings = Settings;
    const NAME: &'static str = "Console";

    fn build(_: Settings, context: &Context) -> Result<Box<dyn Notify>, Problem> {
        let plain = context.shared.host.environment.get(environment::NO_COLOR.name).is_some();
        let coloured = !plain && std::io::stdout().is_terminal();
        Ok(Box::new(Self { output: Arc::new(Mutex::new(std::io::stdout())), coloured }))
    }
}

#[async_trait]
impl<Output: Write + Send + 'static> Notify for Console<Output> {
    async fn notify(&self, notice: &Notice) -> Result<(), NotifyError> {
        let (block, output) = (block(notice, self.coloured), self.output.clone());
        // A terminal that is paused, or a pipe that nobody reads, blocks whoever writes; that must not be a worker thread.
        let writing = tokio::task::spawn_blocking(move || {
            let mut output = output.lock().unwrap_or_else(PoisonError::into_inner);
            output.write_all(block.as_bytes())?;
            output.flush()
        });
        let written = writing.await.unwrap_or_else(|error| Err(std::io::Error::other(error)));
        // A closed pipe stays closed.
        written.map_err(|error| NotifyError::lasting(format!("standard output takes no more: {error}")))
    }
}

/// `2026-03-01T07:30:00Z web: scaled up from 1 to 2`, and the facts below it, indented.
fn block(notice: &Notice, coloured: bool) -> String {
    let text = Text::of(notice);
    let (on, off) = match (coloured, text.severity) {
        (false, _) => ("", ""),
        (true, Severity::Info) => ("\u{1b}[1m", "\u{1b}[0m"),
        (true, Severity::Warning) => ("\u{1b}[1;33m", "\u{1b}[0m"),
        (true, Severity::Error) => ("\u{1b}[1;31m", "\u{1b}[0m"),
    };
    let mut block = format!("{} {on}{}{off}\n", when(&notice.at), text.subject);
    for (label, fact) in text.facts.iter().filter(|(label, _)| *label != "When") {
        block.push_str(&format!("    {label}: {fact}\n"));
    }
    block
}

#[cfg(test)]
mod tests {
    use std::io::{PipeWriter, Read as _, pipe};

    use autoscalebot_core::{decision::Reason, event::Event};

    use super::*;
    use crate::notification::testing::{alarm, notice};

    fn console(output: PipeWriter) -> Console<PipeWriter> {
        Console { output: Arc::new(Mutex::new(output)), coloured: false }
    }

    #[tokio::test]
    async fn a_notice_is_printed_at_once_as_a_person_reads_it() {
        let (mut reader, output) = pipe().unwrap();
        let console = console(output);
        let reason = Reason::new("high", "3 readings in a row above 1200 ms (1310, 1405, 1377)");
        console.notify(&notice(Event::ScaledUp { from: 1, to: 2, reason, limit: None })).await.unwrap();
        drop(console);
        let mut printed = String::new();
        reader.read_to_string(&mut printed).unwrap();
        assert_eq!(
            printed,
            "2026-03-01T07:30:00Z web: scaled up from 1 to 2\n    \
             Why: 3 readings in a row above 1200 ms (1310, 1405, 1377)\n"
        );
    }

    #[tokio::test]
    async fn a_closed_output_is_an_error_that_says_so() {
        let (reader, output) = pipe().unwrap();
        drop(reader);
        let error = console(output).notify(&notice(alarm())).await.unwrap_err();
        assert!(error.message.starts_with("standard output takes no more") && !error.retry, "{error:?}");
    }

    #[test]
    fn only_the_subject_is_coloured_and_only_when_asked() {
        assert!(!block(&notice(alarm()), false).contains('\u{1b}'));
        let coloured = block(&notice(alarm()), true);
        let first = coloured.lines().next().unwrap();
        assert_eq!(first, "2026-03-01T07:30:00Z \u{1b}[1;31mweb: its bot crashed and starts again in 1 s\u{1b}[0m");
        assert_eq!(coloured.matches('\u{1b}').count(), 2);
    }
}
