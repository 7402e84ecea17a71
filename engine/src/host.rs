//! What the program runs in: a bare machine, or Python, which brings backends and settings of its own.
//!
//! The engine knows no Python. It knows that a *guest* may answer for a backend's name with an entry like those of the
//! four lists, and that *modules* may be run for the names that they assign. Without either, a dotted name that is not
//! the original's is an error that says what could run it, and a settings module is read as data.

use std::{path::Path, sync::Arc, time::Duration};

use async_trait::async_trait;
use autoscalebot_core::{
    decision::{self, Decide, Terms},
    registry::{self, Entry, Problem},
};

use crate::{
    config::{error::Finding, tree::Node},
    environment::Environment,
    measurement::{self, Measure},
    notification::{self, Notify},
    scaling::{self, Scale},
};

/// What the program runs in.
#[derive(Clone, Default)]
pub struct Host {
    /// The environment variables.
    pub environment: Environment,
    /// Backends that are in no list of ours.
    pub guests: Option<Arc<dyn Guests>>,
    /// Runs settings modules.
    pub modules: Option<Arc<dyn Modules>>,
    /// The words of a command that runs this program, for when it is part of another one; empty for the program that runs.
    pub launcher: Vec<String>,
}

impl From<Environment> for Host {
    /// A machine with these variables and nothing else.
    fn from(environment: Environment) -> Self {
        Self { environment, ..Self::default() }
    }
}

/// What a guest knows about a name: its entry, or what is wrong with the name. `None`: it is not the guest's business.
pub type Found<Stage, Context> = Option<Result<&'static Entry<Stage, Context>, Problem>>;

/// Backends that somebody brought. The entry of a name must stay the same as long as the program runs.
#[async_trait]
pub trait Guests: Send + Sync {
    /// A measurement backend.
    fn measurement(&self, name: &str) -> Found<dyn Measure, measurement::Context>;
    /// A decision backend.
    fn decision(&self, name: &str) -> Found<dyn Decide, Terms>;
    /// A scaling backend.
    fn scaling(&self, name: &str) -> Found<dyn Scale, scaling::Context>;
    /// A notification backend.
    fn notification(&self, name: &str) -> Found<dyn Notify, notification::Context>;

    /// The program ends, and no backend is asked any more: returns when theirs have said good-bye, after `limit` at most.
    async fn finish(&self, limit: Duration);
}

/// Runs settings modules, and may have been given settings without any file.
pub trait Modules: Send + Sync {
    /// The settings that the program was given by whoever started it, as the names of a module, and what to call them.
    fn given(&self) -> Option<(String, Result<Node, Finding>)>;

    /// Runs the module in this file; the names that it assigns, as one table.
    ///
    /// # Errors
    /// Why it could not be run.
    fn run(&self, path: &Path) -> Result<Node, Finding>;

    /// The file of a module that stands in none of the usual places, if there is such a module.
    fn find(&self, name: &str) -> Option<std::path::PathBuf>;
}

/// Where the backends of one stage are looked up: first with the guests, then in our list.
pub struct Stage<S: ?Sized + 'static, C: ?Sized + 'static> {
    /// Our list.
    pub entries: &'static [Entry<S, C>],
    guest: fn(&dyn Guests, &str) -> Found<S, C>,
}

/// Measurement backends.
pub const MEASUREMENT: Stage<dyn Measure, measurement::Context> =
    Stage { entries: measurement::BACKENDS, guest: |guests, name| guests.measurement(name) };
/// Decision backends.
pub const DECISION: Stage<dyn Decide, Terms> =
    Stage { entries: decision::BACKENDS, guest: |guests, name| guests.decision(name) };
/// Scaling backends.
pub const SCALING: Stage<dyn Scale, scaling::Context> =
    Stage { entries: scaling::BACKENDS, guest: |guests, name| guests.scaling(name) };
/// Notification backends.
pub const NOTIFICATION: Stage<dyn Notify, notification::Context> =
    Stage { entries: notification::BACKENDS, guest: |guests, name| guests.notification(name) };

impl<S: ?Sized + 'static, C: ?Sized + 'static> Stage<S, C> {
    /// The backend that a name means.
    ///
    /// # Errors
    /// What is wrong with the name, with what there is.
    pub fn find(&self, host: &Host, name: &str) -> Result<&'static Entry<S, C>, Problem> {
        let brought = host.guests.as_deref().and_then(|guests| (self.guest)(guests, name));
        brought.unwrap_or_else(|| registry::find(self.entries, name))
    }
}
