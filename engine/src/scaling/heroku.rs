//! Scales a process type of a Heroku app, by the Platform API.
//!
//! The count is Heroku's formation: what the app is set to run, not what has started yet, so a dyno that boots is not
//! ordered twice. Only quantities are changed, never sizes. It refuses to guess: whatever Heroku does not answer clearly
//! is an error with Heroku's own words, its Request-Id, and what to do.

use std::time::Duration;

use async_trait::async_trait;
use autoscalebot_core::{
    busy::Victims,
    names::ProcessName,
    registry::{Backend, Problem},
    step::Order,
    units::Seconds,
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use url::Url;

use super::{Context, Scale, ScaleError, Scaled, Whose};
use crate::{
    heroku::{
        account::{account, address, app, app_name_problem},
        app::{Generation, Membership},
    },
    secret::Secret,
};

/// Settings of `Heroku`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Settings {
    /// The app, by its name (`dancing-forest-1234`) or UUID. Without it the environment variable `HEROKU_APP_NAME` is used.
    pub app_name: String,
    /// The API key, as `heroku authorizations:create` makes it. Without it the environment variable `HEROKU_API_KEY` is
    /// used.
    pub api_key: Secret,
    /// The address of Heroku's Platform API. Without it the environment variable `HEROKU_API_URL` is used, else
    /// `https://api.heroku.com`. Unencrypted `http` is taken for addresses of this machine only.
    pub api_url: String,
    /// The process type on Heroku, as in the Procfile. Without it, the name of the process in these settings.
    pub process: String,
    /// How long one question or order may take, with all its retries.
    #[schemars(range(min = 1, max = 120))]
    pub timeout_seconds: Seconds,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            app_name: String::new(),
            api_key: Secret::default(),
            api_url: String::new(),
            process: String::new(),
            // Heroku's API answers within a second; the rest is for two more tries when it does not.
            timeout_seconds: Seconds::new(20),
        }
    }
}

/// The backend.
pub struct Heroku {
    membership: Membership,
    process: String,
    limit: Duration,
}

impl Backend for Heroku {
    type Stage = dyn Scale;
    type Context = Context;
    type Settings = Settings;
    const NAME: &'static str = "Heroku";
    const ORIGINAL_NAMES: &'static [&'static str] = &["HerokuScaleBackend", "HerokuScale"];

    fn validate(settings: &Settings) -> Vec<Problem> {
        let mut problems: Vec<Problem> = app_name_problem(&settings.app_name).into_iter().collect();
        if !settings.api_url.is_empty() {
            problems.extend(address("api_url", &settings.api_url).err());
        }
        if !settings.process.is_empty()
            && let Err(sentence) = ProcessName::new(settings.process.as_str())
        {
            problems.push(Problem::new("process", sentence, "a process type of the Procfile, such as web"));
        }
        problems.extend(timeout_problem("timeout_seconds", settings.timeout_seconds));
        problems
    }

    fn build(settings: Settings, context: &Context) -> Result<Box<dyn Scale>, Problem> {
        let account = account(&context.shared, &settings.api_key, &settings.api_url)?;
        let membership = app(&context.shared, &account, &settings.app_name).join();
        let own_name = context.process.as_str();
        let process = if settings.process.is_empty() { own_name.to_owned() } else { settings.process };
        Ok(Box::new(Self { membership, process, limit: settings.timeout_seconds.duration() }))
    }
}

/// What is wrong with a time-out; a bot that waits for minutes is deaf, one that waits no time is blind.
pub(crate) fn timeout_problem(path: &'static str, timeout: Seconds) -> Option<Problem> {
    let range = Duration::from_secs(1)..=Duration::from_secs(120);
    let found = format!("found {}", timeout.duration().as_secs_f64());
    (!range.contains(&timeout.duration())).then(|| Problem::new(path, found, "1 to 120 seconds"))
}

#[async_trait]
impl Scale for Heroku {
    async fn count(&self) -> Result<u32, ScaleError> {
        self.membership.app().count(&self.process, self.limit).await
    }

    async fn scale_to(&self, order: &Order) -> Result<Scaled, ScaleError> {
        self.membership.app().scale(&self.process, order.from, order.to, self.limit).await
    }

    async fn web_url(&self) -> Result<Option<Url>, ScaleError> {
        Ok(self.membership.app().info(self.limit).await?.web_url.clone())
    }

    fn group(&self) -> Option<String> {
        let app = self.membership.app();
        Some(format!("heroku:{}:{}", app.api().shown_url(), app.name()))
    }

    /// Source: Heroku Dev Center, "Scaling": the dynos with the highest numbers are stopped.
    fn victims(&self) -> Victims {
        Victims::Highest
    }

    fn whose(&self, name: &str) -> Whose {
        Whose::numbered(name, &self.process)
    }

    fn remarks(&self) -> Vec<String> {
        let app = self.membership.app();
        let formation = app.known();
        let size = formation.as_ref().and_then(|formation| formation.processes.get(&self.process));
        let size = size.map(|process| process.size.as_str()).unwrap_or_default();
        let mut remarks = Vec::new();
        if size.eq_ignore_ascii_case("eco") || size.eq_ignore_ascii_case("basic") {
            remarks.push(format!(
                "process {} of Heroku app {} has {size} dynos: Heroku allows one per process type, so this bot can only \
                 switch between 0 and 1; with Standard or Performance dynos (`heroku ps:type`) it can do more",
                self.process,
                app.name()
            ));
        }
        if let Some(info) = app.known_info() {
            if info.maintenance {
                remarks.push(format!(
                    "Heroku app {} is in maintenance mode: Heroku answers in its place, so measurements say nothing about \
                     its load",
                    app.name()
                ));
            }
            if info.generation == Generation::Fir {
                remarks.push(format!("Heroku app {} runs on the Fir generation", app.name()));
            }
        }
        remarks
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use autoscalebot_core::registry::{Entry, entry};
    use serde_json::json;

    use super::*;
    use crate::{clock::SystemClock, environment::Environment, shared::Shared};

    const ENTRY: Entry<dyn Scale, Context> = entry::<Heroku>();

    fn context() -> Context {
        let shared = Shared::new(Arc::new(SystemClock::new()), Environment::default());
        Context { process: ProcessName::new("web").unwrap(), shared }
    }

    #[test]
    fn both_names_of_the_original_and_ours_mean_this_backend() {
        for name in [
            "Heroku",
            "HerokuBackend",
            "HerokuScaleBackend",
            "HerokuScale",
            "autoscalebot.backends.scaling.HerokuBackend",
            "autoscalebot.backends.scaling.HerokuScaleBackend",
        ] {
            assert!(ENTRY.is_named(name), "{name}");
        }
    }

    #[test]
    fn all_problems_are_told_at_once() {
        let settings = json!({
            "api_url": "http://api.heroku.com", "process": "w e b", "timeout_seconds": 0, "api_key": "k"
        });
        let paths: Vec<String> = (ENTRY.check)(&settings).into_iter().map(|problem| problem.path).collect();
        assert_eq!(paths, ["app_name", "api_url", "process", "timeout_seconds"]);
    }

    #[test]
    fn the_settings_of_the_original_build_and_share_a_group() {
        let settings = json!({"app_name": "dancing-forest-1234", "api_key": "abcdef1234567890abcdef12"});
        assert_eq!((ENTRY.check)(&settings), []);
        let context = context();
        let web = (ENTRY.build)(&settings, &context).map_err(|problem| problem.to_string()).unwrap();
        assert_eq!(web.group().as_deref(), Some("heroku:https://api.heroku.com/:dancing-forest-1234"));
        assert_eq!(web.remarks(), Vec::<String>::new());
    }

    #[test]
    fn without_a_key_anywhere_the_problem_says_where_one_may_be() {
        let problem = (ENTRY.build)(&json!({"app_name": "a-b"}), &context()).map(|_| ()).unwrap_err();
        assert_eq!(problem.path, "api_key");
        assert!(problem.found.contains("HEROKU_API_KEY"), "{problem}");
    }
}
