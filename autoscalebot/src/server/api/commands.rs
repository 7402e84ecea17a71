//! Commands: what a person tells one bot or all of them, and what comes of it.
//!
//! A command is checked here and obeyed elsewhere. The answer waits for the decision that follows, so that whoever asked
//! sees what they did; that may take as long as a measurement does.

use std::{sync::Arc, time::Duration};

use autoscalebot_core::{
    control::{self, Commanded},
    step::Settled,
};
use autoscalebot_engine::{
    board::Glance,
    command::{Answer, CommandError},
    notification::text::one_line,
};
use axum::{
    Json,
    extract::{Path, State},
    http::StatusCode,
};
use futures_util::{StreamExt, stream};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{
    input::{Asked, Nothing, Told, no_process, whole, whole_or_none, within},
    process::{Order, Process, Reason, Scope},
};
use crate::server::{
    failure::{ErrorAnswer, Failure, Problem},
    site::Site,
};

/// No platform runs more, and a slip of the hand must not be believed.
const MOST_PROCESSES: u32 = 100_000;

/// A pause or a hold for longer than a year is one without an end.
const LONGEST_SECONDS: u32 = 31_536_000;

/// A reason is read in a line of a table.
const LONGEST_REASON: usize = 300;

/// So many bots are told at once when all are. Each may ask its platform, which should not see ten thousand at a time.
const TOLD_AT_ONCE: usize = 64;

/// A command. The last one wins; when one with a length is over, what stood before it and lasts longer stands again. The
/// bounds hold for commands too.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(tag = "command", rename_all = "snake_case", deny_unknown_fields)]
pub enum Command {
    /// Gives no orders, or none in one direction, until told otherwise.
    #[schema(title = "Pause")]
    Pause {
        /// Which orders; all of them when it is not said.
        #[serde(default)]
        scope: Scope,
        /// For so long; without it, until somebody resumes.
        #[serde(default, deserialize_with = "whole_or_none")]
        #[schema(minimum = 1, maximum = 31_536_000)]
        for_seconds: Option<u32>,
        /// Why.
        #[schema(
            min_length = 1,
            max_length = 300,
            pattern = r"[^\s\u0000-\u001f\u007f-\u009f\u2028-\u202e\u2066-\u2069]"
        )]
        reason: String,
    },
    /// Ends a pause or a hold.
    #[schema(title = "Resume")]
    Resume {
        /// Why.
        #[schema(
            min_length = 1,
            max_length = 300,
            pattern = r"[^\s\u0000-\u001f\u007f-\u009f\u2028-\u202e\u2066-\u2069]"
        )]
        reason: String,
    },
    /// Keeps a count, whatever is measured.
    #[schema(title = "Hold")]
    Hold {
        /// The count; cut to the bounds.
        #[serde(deserialize_with = "whole")]
        #[schema(minimum = 0, maximum = 100_000)]
        count: u32,
        /// For so long; without it, until somebody resumes.
        #[serde(default, deserialize_with = "whole_or_none")]
        #[schema(minimum = 1, maximum = 31_536_000)]
        for_seconds: Option<u32>,
        /// Why.
        #[schema(
            min_length = 1,
            max_length = 300,
            pattern = r"[^\s\u0000-\u001f\u007f-\u009f\u2028-\u202e\u2066-\u2069]"
        )]
        reason: String,
    },
    /// Goes to a count once, at once.
    #[schema(title = "Scale")]
    Scale {
        /// The count; cut to the bounds.
        #[serde(deserialize_with = "whole")]
        #[schema(minimum = 0, maximum = 100_000)]
        count: u32,
        /// Why.
        #[schema(
            min_length = 1,
            max_length = 300,
            pattern = r"[^\s\u0000-\u001f\u007f-\u009f\u2028-\u202e\u2066-\u2069]"
        )]
        reason: String,
    },
    /// Decides and tells, but does not scale, from now on or no longer.
    #[schema(title = "DryRun")]
    DryRun {
        /// Whether from now on.
        on: bool,
        /// Why.
        #[schema(
            min_length = 1,
            max_length = 300,
            pattern = r"[^\s\u0000-\u001f\u007f-\u009f\u2028-\u202e\u2066-\u2069]"
        )]
        reason: String,
    },
    /// Measures and decides now.
    #[schema(title = "Evaluate")]
    Evaluate {
        /// Why.
        #[schema(
            min_length = 1,
            max_length = 300,
            pattern = r"[^\s\u0000-\u001f\u007f-\u009f\u2028-\u202e\u2066-\u2069]"
        )]
        reason: String,
    },
}

/// What came of a command.
#[derive(Debug, Serialize, ToSchema)]
pub struct CommandAnswer {
    /// The process, after it.
    process: Process,
    /// The decision that followed at once; null when it has not followed yet.
    decision: Option<Decided>,
}

/// A decision that followed a command.
#[derive(Debug, Serialize, ToSchema)]
struct Decided {
    /// How many are wanted, within the bounds.
    wanted: u32,
    /// Why.
    reason: Reason,
    /// What was ordered.
    order: Option<Order>,
    /// Why the platform did not take the order, if it did not; it is asked again later.
    failure: Option<Problem>,
}

/// What came of a command for all processes.
#[derive(Debug, Serialize, ToSchema)]
pub struct AllAnswer {
    /// How many obeyed.
    processes: usize,
    /// Those that did not.
    failed: Vec<NotObeyed>,
}

/// A process that did not obey.
#[derive(Debug, Serialize, ToSchema)]
struct NotObeyed {
    /// The process.
    process: String,
    /// Why.
    error: Problem,
}

/// Tell one process's bot what to do
#[utoipa::path(
    post, path = "/api/v1/processes/{name}/commands", tag = "commands",
    params(("name" = String, Path, description = "The process", pattern = "^[A-Za-z0-9_-]{1,128}$")),
    request_body = Command,
    responses(
        (status = 200, body = CommandAnswer),
        (status = 202, body = CommandAnswer, description = "It was told, and has not decided yet"),
        (status = 409, body = ErrorAnswer, description = "It cannot be done as things are, or its bot ended meanwhile"),
    ),
)]
pub async fn one(
    State(site): State<Arc<Site>>,
    Path(name): Path<String>,
    _: Asked<Nothing>,
    Told(command): Told<Command>,
) -> Result<(StatusCode, Json<CommandAnswer>), Failure> {
    let glance = site.parts.board.glance(&name).ok_or_else(|| no_process(&name, &site.parts.board))?;
    let commanded = command.checked()?;
    possible(&glance, &commanded)?;
    let (status, decision) = match site.parts.commander.tell(&glance.process, commanded).await {
        Ok(answer) => (StatusCode::OK, Some(Decided::of(&answer))),
        Err(CommandError::NoAnswerYet) => (StatusCode::ACCEPTED, None),
        Err(error) => return Err(error.into()),
    };
    let process = site.process(&name).ok_or_else(|| no_process(&name, &site.parts.board))?;
    Ok((status, Json(CommandAnswer { process, decision })))
}

/// Tell all bots what to do
#[utoipa::path(
    post, path = "/api/v1/commands", tag = "commands", request_body = Command,
    responses((status = 200, body = AllAnswer)),
)]
pub async fn all(
    State(site): State<Arc<Site>>,
    _: Asked<Nothing>,
    Told(command): Told<Command>,
) -> Result<Json<AllAnswer>, Failure> {
    let commanded = command.checked()?;
    let tell = async |glance: Glance| {
        let process = glance.process.clone();
        if let Err(failure) = possible(&glance, &commanded).and_then(|()| untouched(&glance, &commanded)) {
            return (process, Some(failure));
        }
        let told = site.parts.commander.tell(&process, commanded.clone()).await;
        (process, told.err().map(Failure::from))
    };
    let told = stream::iter(site.parts.board.glances()).map(tell).buffered(TOLD_AT_ONCE).collect::<Vec<_>>().await;
    let processes = told.iter().filter(|(_, error)| error.is_none()).count();
    let failed = told
        .into_iter()
        .filter_map(|(process, error)| Some(NotObeyed { process: process.to_string(), error: error?.problem() }));
    Ok(Json(AllAnswer { processes, failed: failed.collect() }))
}

/// What would change nothing, or not for long, is refused with the way out.
fn possible(glance: &Glance, commanded: &Commanded) -> Result<(), Failure> {
    let conflict = |key, message| Err(Failure::new(StatusCode::CONFLICT, key, message));
    match (&commanded.command, &glance.control.mode) {
        (control::Command::Scale { .. }, control::Mode::Held { count, .. }) => conflict(
            "held",
            format!("it is held at {count} and would go back; resume it first, or hold it at the new count"),
        ),
        (control::Command::DryRun { on: false }, _) if glance.is_dry_run => {
            let message = "the program was started with --dry-run; start it without, and it scales";
            conflict("started_dry", message.to_owned())
        }
        _ => Ok(()),
    }
}

/// What somebody said to one process stands when all are paused or held: the end of that would be its end as well.
fn untouched(glance: &Glance, commanded: &Commanded) -> Result<(), Failure> {
    let replaces = matches!(commanded.command, control::Command::Pause { .. } | control::Command::Hold { .. });
    match &glance.control.mode {
        control::Mode::Paused { reason, .. } | control::Mode::Held { reason, .. } if replaces => {
            let message = format!("it is paused or held already, for: {reason}; that stands until somebody resumes it");
            Err(Failure::new(StatusCode::CONFLICT, "told_already", message))
        }
        _ => Ok(()),
    }
}

impl Command {
    /// The command as bots take it, when it can be.
    fn checked(self) -> Result<Commanded, Failure> {
        let length = |seconds: Option<u32>| {
            let checked = seconds.map(|seconds| within("for_seconds", seconds, 1..=LONGEST_SECONDS)).transpose();
            checked.map(|seconds| seconds.map(|seconds| Duration::from_secs(seconds.into())))
        };
        let count = |count| within("count", count, 0..=MOST_PROCESSES);
        let command = match &self {
            Self::Pause { scope, for_seconds, .. } => {
                length(*for_seconds).map(|length| control::Command::Pause { scope: (*scope).into(), length })
            }
            Self::Resume { .. } => Ok(control::Command::Resume),
            Self::Hold { count: number, for_seconds, .. } => {
                count(*number).and_then(|count| Ok(control::Command::Hold { count, length: length(*for_seconds)? }))
            }
            Self::Scale { count: number, .. } => count(*number).map(|count| control::Command::Scale { count }),
            Self::DryRun { on, .. } => Ok(control::Command::DryRun { on: *on }),
            Self::Evaluate { .. } => Ok(control::Command::Evaluate),
        };
        let (Self::Pause { reason, .. }
        | Self::Resume { reason }
        | Self::Hold { reason, .. }
        | Self::Scale { reason, .. }
        | Self::DryRun { reason, .. }
        | Self::Evaluate { reason }) = self;
        let is_long = reason.chars().count() > LONGEST_REASON;
        let reason = one_line(&reason);
        if is_long || reason.is_empty() {
            return Err(Failure::body(format!("reason must be 1 to {LONGEST_REASON} letters that can be read")));
        }
        Ok(Commanded { command: command.map_err(Failure::body)?, reason })
    }
}

impl Decided {
    fn of(answer: &Answer) -> Self {
        let outcome = &answer.outcome;
        Self {
            wanted: outcome.decision.wanted,
            reason: Reason::of(&outcome.decision.reason),
            order: outcome.order.as_ref().map(Order::from),
            failure: match &answer.settled {
                Some(Settled::Failed(failure)) => {
                    Some(Problem { key: failure.key.clone().into_owned(), message: failure.message.clone() })
                }
                _ => None,
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Commanded, String> {
        let command: Command = serde_json::from_str(text).map_err(|error| error.to_string())?;
        command.checked().map_err(|failure| failure.message)
    }

    #[test]
    fn a_command_is_read_strictly() {
        let pause = read(r#"{"command": "pause", "scope": "down", "for_seconds": 60, "reason": " deploy\n"}"#).unwrap();
        let length = Some(Duration::from_secs(60));
        let command = control::Command::Pause { scope: control::Scope::Down, length };
        assert_eq!(pause, Commanded { command, reason: "deploy".to_owned() });
        for (text, words) in [
            (r#"{"command": "scale", "count": 100001, "reason": "x"}"#, "count is 100001"),
            (r#"{"command": "scale", "count": -1, "reason": "x"}"#, "-1"),
            (r#"{"command": "scale", "reason": "x"}"#, "count"),
            (r#"{"command": "scale", "count": 2.5, "reason": "x"}"#, "2.5 is no whole number"),
            (r#"{"command": "scale", "count": "3", "reason": "x"}"#, "string"),
            (r#"{"command": "hold", "count": 1, "for_seconds": 0, "reason": "x"}"#, "for_seconds is 0"),
            (r#"{"command": "pause", "scope": "all", "for_seconds": 31536001, "reason": "x"}"#, "for_seconds"),
            (r#"{"command": "resume", "reason": " "}"#, "reason"),
            (r#"{"command": "resume"}"#, "reason"),
            (r#"{"command": "resume", "reason": "x", "cuont": 1}"#, "cuont"),
            (r#"{"command": "explode", "reason": "x"}"#, "explode"),
        ] {
            let error = read(text).unwrap_err();
            assert!(error.contains(words), "{text}: {error}");
        }
        let whole = read(r#"{"command": "scale", "count": 3.0, "reason": "x"}"#).unwrap();
        assert_eq!(whole.command, control::Command::Scale { count: 3 });
        assert!(read(&format!(r#"{{"command": "resume", "reason": "{}"}}"#, "ü".repeat(300))).is_ok());
        assert!(read(&format!(r#"{{"command": "resume", "reason": "{}"}}"#, "ü".repeat(301))).is_err());
    }
}
