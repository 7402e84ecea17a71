//! Keeps notices in a list in memory: for tests, and for programs that embed the engine.
//!
//! The original's `TestBackend`. All processes of one program share one list, which lives as long as any of them, or
//! anyone who asked for it, does. Nothing is sent anywhere, and a restart forgets everything.

use std::{
    collections::VecDeque,
    num::NonZeroUsize,
    sync::{Arc, Mutex, PoisonError},
};

use async_trait::async_trait;
use autoscalebot_core::registry::{Backend, Problem};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Context, Notice, Notify, NotifyError};
use crate::shared::Shared;

/// Settings of `Memory`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Settings {
    /// So many notices are kept; the oldest go first.
    #[schemars(range(min = 1))]
    pub notices_to_keep: NonZeroUsize,
}

impl Default for Settings {
    fn default() -> Self {
        Self { notices_to_keep: NonZeroUsize::MIN.saturating_add(999) }
    }
}

/// The backend.
pub struct Memory {
    kept: Arc<Kept>,
    notices_to_keep: NonZeroUsize,
}

/// The list of one program.
#[derive(Default)]
pub struct Kept(Mutex<VecDeque<Notice>>);

impl Kept {
    /// The list of this program. Whoever holds it keeps it from being forgotten.
    #[must_use]
    pub fn of(shared: &Shared) -> Arc<Self> {
        shared.pool.get_or_make("", Self::default)
    }

    /// What is in it now, the oldest first.
    #[must_use]
    pub fn notices(&self) -> Vec<Notice> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).iter().cloned().collect()
    }
}

impl Memory {
    /// What is kept in this program now, the oldest first. Notices still on their way are not in it: see
    /// [`super::dispatch::Outlets::flush`].
    #[must_use]
    pub fn notices(shared: &Shared) -> Vec<Notice> {
        Kept::of(shared).notices()
    }
}

impl Backend for Memory {
    type Stage = dyn Notify;
    type Context = Context;
    type Settings = Settings;
    const NAME: &'static str = "Memory";
    const ORIGINAL_NAMES: &'static [&'static str] = &["TestBackend", "Test"];

    fn build(settings: Settings, context: &Context) -> Result<Box<dyn Notify>, Problem> {
        Ok(Box::new(Self { kept: Kept::of(&context.shared), notices_to_keep: settings.notices_to_keep }))
    }
}

#[async_trait]
impl Notify for Memory {
    async fn notify(&self, notice: &Notice) -> Result<(), NotifyError> {
        let mut kept = self.kept.0.lock().unwrap_or_else(PoisonError::into_inner);
        while kept.len() >= self.notices_to_keep.get() {
            kept.pop_front();
        }
        kept.push_back(notice.clone());
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use autoscalebot_core::{event::Event, registry::find};

    use super::*;
    use crate::notification::{
        BACKENDS,
        testing::{notice, shared},
    };

    #[tokio::test]
    async fn the_newest_notices_are_kept_and_the_oldest_go() {
        let shared = shared();
        let settings = Settings { notices_to_keep: NonZeroUsize::MIN.saturating_add(1) };
        let memory = Memory::build(settings, &Context { shared: shared.clone() }).ok().unwrap();
        for to in [1, 2, 3] {
            memory.notify(&notice(Event::CountChangedElsewhere { from: 0, to })).await.unwrap();
        }
        let kept = Memory::notices(&shared).into_iter().map(|notice| notice.event);
        let expected = [2, 3].map(|to| Event::CountChangedElsewhere { from: 0, to });
        assert_eq!(kept.collect::<Vec<_>>(), expected);
    }

    #[test]
    fn the_originals_name_for_it_is_known() {
        for name in ["TestBackend", "autoscalebot.backends.notification.TestBackend", "Test", "Memory"] {
            assert_eq!(find(BACKENDS, name).map(|entry| entry.name).ok(), Some("Memory"), "{name}");
        }
    }
}
