//! Scaling: how many processes run, and make it that many.
//!
//! `count` asks the platform, every time; nothing is remembered in its place. `scale_to` sets an absolute number, so that
//! a repeated call does no harm. What a platform refuses is a [`ScaleError`] that says what to do about it.

pub mod command;
pub mod dry_run;
pub mod heroku;
pub mod local;

use std::{borrow::Cow, sync::Arc, time::Duration};

use async_trait::async_trait;
use autoscalebot_core::{
    busy::Victims,
    names::ProcessName,
    registry::{Entry, entry},
    step::{Order, ScaleFailure},
};
use url::Url;

use crate::shared::Shared;

/// Every scaling backend, in the order of the docs.
pub const BACKENDS: &[Entry<dyn Scale, Context>] =
    &[entry::<heroku::Heroku>(), entry::<local::Local>(), entry::<command::Command>(), entry::<dry_run::DryRun>()];

/// A scaling backend: the platform, as far as one process is concerned.
#[async_trait]
pub trait Scale: Send + Sync {
    /// How many processes the platform is set to run now. Changes nothing.
    ///
    /// # Errors
    /// Why nobody knows. Never a guess.
    async fn count(&self) -> Result<u32, ScaleError>;

    /// Makes `order.to` processes run; `order.from` is what the decision was based on.
    ///
    /// # Errors
    /// Why the platform did not take it.
    async fn scale_to(&self, order: &Order) -> Result<Scaled, ScaleError>;

    /// Where the app's web processes answer, if the platform knows; relative measurement URLs are resolved against it.
    ///
    /// # Errors
    /// Why the platform did not say.
    async fn web_url(&self) -> Result<Option<Url>, ScaleError> {
        Ok(None)
    }

    /// Processes with the same group are told the same thing by one call of the platform (the same app, say). Their bots
    /// tick in the same moment, so that one read serves all and their orders can travel together.
    fn group(&self) -> Option<String> {
        None
    }

    /// Which processes it stops when there should be fewer.
    fn victims(&self) -> Victims {
        Victims::Unknown
    }

    /// Which process a name means that a worker got from the platform, such as the value of `DYNO`: `celery.3`.
    fn whose(&self, _name: &str) -> Whose {
        Whose::Unknown
    }

    /// What people should know about this platform before they rely on it; shown at start and by `check --online`.
    fn remarks(&self) -> Vec<String> {
        Vec::new()
    }

    /// The program ends: stop what only lives with it, within `limit`.
    async fn shutdown(&self, _limit: Duration) {}
}

/// Which process a worker runs in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Whose {
    /// The one with this number, of the process that is scaled.
    Number(u32),
    /// One of another process, or one that is being stopped: it is not ours to count.
    Another,
    /// The name does not say.
    Unknown,
}

impl Whose {
    /// By a name such as `celery.3`, as Heroku and others that follow it give to processes in the variable `DYNO`.
    #[must_use]
    pub fn numbered(name: &str, process: &str) -> Self {
        let Some((of, number)) = name.rsplit_once('.') else { return Self::Unknown };
        // A host name with dots is no process: its first part would have to be followed by nothing but a number.
        match number.parse() {
            Ok(1..) if of.is_empty() || of.contains('.') => Self::Unknown,
            Ok(number @ 1..) if of == process => Self::Number(number),
            Ok(1..) => Self::Another,
            _ => Self::Unknown,
        }
    }
}

/// What a platform did with an order that it did not refuse.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scaled {
    /// It took it.
    Done,
    /// It was there already.
    AlreadyThere,
    /// It was not asked, on purpose.
    DryRun,
}

/// Why a platform did not answer or obey.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct ScaleError {
    /// Stable word for the kind: `unauthorized`, `rate_limited`, `timeout`.
    pub key: Cow<'static, str>,
    /// What failed, for which app and process, and what to do; no secret in it.
    pub message: String,
    /// The platform asked not to be asked again before this.
    pub retry_after: Option<Duration>,
}

impl ScaleError {
    /// An error without a wish of the platform's.
    pub fn new(key: &'static str, message: impl Into<String>) -> Self {
        Self { key: Cow::Borrowed(key), message: message.into(), retry_after: None }
    }
}

impl From<ScaleError> for ScaleFailure {
    fn from(error: ScaleError) -> Self {
        Self { key: error.key, message: error.message, retry_after: error.retry_after }
    }
}

/// What a scaling backend is told when it is built, beside its own settings.
pub struct Context {
    /// The process it scales.
    pub process: ProcessName,
    /// What all bots share.
    pub shared: Arc<Shared>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_workers_name_says_which_process_it_is_in_or_nothing() {
        for (name, expected) in [
            ("celery.3", Whose::Number(3)),
            ("celery.12", Whose::Number(12)),
            ("web.1", Whose::Another),
            ("celery", Whose::Unknown),
            ("celery.0", Whose::Unknown),
            ("celery.-1", Whose::Unknown),
            ("celery.x", Whose::Unknown),
            (".3", Whose::Unknown),
            ("10.0.0.3", Whose::Unknown),
            ("host.example.com", Whose::Unknown),
            ("", Whose::Unknown),
        ] {
            assert_eq!(Whose::numbered(name, "celery"), expected, "{name:?}");
        }
    }
}
