//! Writes notices to the program's own log, with their process and kind as fields.
//!
//! The original's `LoggerBackend` used Python's logger; this is ours, so `AUTOSCALEBOT_LOG` decides where and how it shows. What
//! does not work is an error, what somebody should look at a warning, and everything else, being asked for, an info.

use async_trait::async_trait;
use autoscalebot_core::registry::{Backend, Problem};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{
    Context, Notice, Notify, NotifyError,
    text::{Severity, Text, key},
};

/// Settings of `Logger`: none of its own.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Settings {}

/// The backend.
pub struct Logger;

impl Backend for Logger {
    type Stage = dyn Notify;
    type Context = Context;
    type Settings = Settings;
    const NAME: &'static str = "Logger";

    fn build(_: Settings, _: &Context) -> Result<Box<dyn Notify>, Problem> {
        Ok(Box::new(Self))
    }
}

#[async_trait]
impl Notify for Logger {
    async fn notify(&self, notice: &Notice) -> Result<(), NotifyError> {
        let text = Text::of(notice);
        let (process, event, message) = (notice.process.as_str(), key(&notice.event), text.one_line());
        match text.severity {
            Severity::Info => tracing::info!(target: "autoscalebot::notice", process, event, "{message}"),
            Severity::Warning => tracing::warn!(target: "autoscalebot::notice", process, event, "{message}"),
            Severity::Error => tracing::error!(target: "autoscalebot::notice", process, event, "{message}"),
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use autoscalebot_core::{condition::Phase, decision::Reason, event::Event};

    use super::*;
    use crate::notification::testing::{Log, alarm, notice};

    #[tokio::test]
    async fn the_level_follows_the_kind_and_process_and_kind_are_fields() {
        let log = Log::default();
        let _guard = tracing::subscriber::set_default(log.clone());
        let reason = || Reason::new("high", "3 readings in a row above 1200 ms");
        for event in [
            Event::ScaledUp { from: 1, to: 2, reason: reason(), limit: None },
            Event::NeedsExceededMax { wanted: 4, max: 3, reason: reason(), phase: Phase::Began },
            alarm(),
        ] {
            Logger.notify(&notice(event)).await.unwrap();
        }
        let lines = log.lines();
        assert_eq!(
            lines[0],
            "INFO web: scaled up from 1 to 2 (why: 3 readings in a row above 1200 ms) \
             process=\"web\" event=\"scaled_up\""
        );
        assert!(lines[1].starts_with("WARN web: needs more than its max of 3 "), "{}", lines[1]);
        assert!(lines[2].starts_with("ERROR web: its bot crashed "), "{}", lines[2]);
    }
}
