//! Other settings that are tried on what was recorded: read, and made into policies, with nothing connected to.

use std::{collections::BTreeMap, sync::Arc};

use autoscalebot_core::{names::ProcessName, step::Policy};
use autoscalebot_engine::{
    build::{self, Manner},
    clock::SystemClock,
    config::load,
    policy::PolicySpec,
    shared::Shared,
    store::VersionRow,
};

use crate::{cli::Surroundings, command, command::history, exit::Exit};

/// The policies of a settings file.
pub struct Others {
    /// Its name, for headlines.
    pub name: String,
    processes: BTreeMap<String, Made>,
}

/// What decides for a process, as a value and as code; or why it cannot be made here.
type Made = Result<(Arc<PolicySpec>, Arc<Policy>), String>;

impl Others {
    /// Reads the settings and makes the policies of them, as `check` does.
    ///
    /// # Errors
    /// The exit code when they are wrong; every error is printed.
    pub fn load(settings: &str, around: &Surroundings) -> Result<Self, Exit> {
        let loaded = load::load(Some(settings), &around.folder, &around.host)
            .map_err(|errors| command::refuse(&errors, around))?;
        let shared = Shared::new(Arc::new(SystemClock::new()), around.host.clone());
        let manner = Manner { dry_run: true, ..Manner::default() };
        let runtime = command::runtime(1)?;
        let entered = runtime.enter();
        let mut processes = BTreeMap::new();
        for (process, config) in &loaded.config.processes {
            let bot = build::platform(process, config, &shared, &manner)
                .and_then(|platform| build::bot(process, config, platform, 0.0, &shared, &manner));
            let made = match bot {
                Ok(bot) => Ok((bot.spec.clone(), Arc::new(bot.policy))),
                Err(error) => Err(error.to_string()),
            };
            processes.insert(ProcessName::to_string(process), made);
        }
        drop(entered);
        runtime.block_on(command::farewell(&around.host));
        runtime.shutdown_background();
        Ok(Self { name: loaded.name, processes })
    }

    /// What decides for a process.
    ///
    /// # Errors
    /// The exit code when there is nothing for it; the reason is printed.
    pub fn of(&self, process: &str) -> Result<(&PolicySpec, Arc<Policy>), Exit> {
        match self.processes.get(process) {
            Some(Ok((spec, policy))) => Ok((spec, policy.clone())),
            Some(Err(problem)) => Err(history::failed(&format!("{}: {problem}", self.name))),
            None => {
                let all: Vec<&str> = self.processes.keys().map(String::as_str).collect();
                let problem = format!("{}: there is no process {process:?} in it", self.name);
                Err(history::refused(&problem, &format!("one of: {}; or --process for another one", all.join(", "))))
            }
        }
    }

    /// Whether anything is said about a process.
    pub fn knows(&self, process: &str) -> bool {
        self.processes.contains_key(process)
    }
}

/// What keeps recorded samples from being decided on by other settings: that they measure something else.
pub fn measured_otherwise(recorded: &VersionRow, other: &PolicySpec) -> Option<String> {
    let measured = |spec: &PolicySpec| -> Vec<(String, String)> {
        spec.signals.iter().map(|signal| (signal.measurement.clone(), signal.unit.clone())).collect()
    };
    let (was, is) = (measured(&recorded.spec), measured(other));
    let names = |all: &[(String, String)]| {
        let names =
            all.iter().map(|(name, unit)| if unit.is_empty() { name.clone() } else { format!("{name} ({unit})") });
        names.collect::<Vec<_>>().join(", ")
    };
    (was != is).then(|| {
        format!(
            "settings version {} measured {}, and the other settings measure {}",
            recorded.number,
            names(&was),
            names(&is)
        )
    })
}
