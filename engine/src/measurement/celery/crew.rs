//! The workers of one backend's queues: who is asked for them, and which process each is.

use std::{sync::Arc, time::Duration};

use autoscalebot_core::busy::Worker;

use super::{
    answer::{Answer, Known},
    control::Control,
};
use crate::{
    measurement::{Context, MeasureError},
    scaling::{Scale, Whose},
};

/// Of a measurement's time, so many tenths may go by until the workers have answered; the rest is for the broker.
const TENTHS_FOR_WORKERS: u32 = 7;

/// More silent workers are not listed by name.
const MOST_NAMED: usize = 5;

/// Those who serve a backend's queues.
pub struct Crew {
    /// Nothing when workers are not asked.
    control: Option<Arc<Control>>,
    platform: Arc<dyn Scale>,
    limit: Duration,
}

impl Crew {
    /// Asks through `control`; without one it asks nobody. `limit` is how long a measurement may take.
    #[must_use]
    pub fn new(control: Option<Arc<Control>>, context: &Context, limit: Duration) -> Self {
        Self { control, platform: context.platform.clone(), limit }
    }

    /// Whether workers are asked at all.
    #[must_use]
    pub fn is_asked(&self) -> bool {
        self.control.is_some()
    }

    /// What the workers said after the queues had been read. When they cannot be asked, what waits is known all the same.
    pub async fn ask(&self, started: Duration, read: Duration, notes: &mut Vec<String>) -> Option<Arc<Answer>> {
        let control = self.control.as_ref()?;
        self.within_limit(started, read, control.answer(read), notes).await
    }

    /// The same for a second look: see [`Control::answer_again`].
    pub async fn ask_again(&self, started: Duration, read: Duration, notes: &mut Vec<String>) -> Option<Arc<Answer>> {
        let control = self.control.as_ref()?;
        self.within_limit(started, read, control.answer_again(read), notes).await
    }

    async fn within_limit(
        &self,
        started: Duration,
        read: Duration,
        answer: impl Future<Output = Result<Option<Arc<Answer>>, MeasureError>>,
        notes: &mut Vec<String>,
    ) -> Option<Arc<Answer>> {
        let left = (self.limit * TENTHS_FOR_WORKERS / 10).saturating_sub(read.saturating_sub(started));
        match tokio::time::timeout(left, answer).await {
            Ok(Ok(Some(answer))) => return Some(answer),
            Ok(Ok(None)) => notes.push("the workers are asked less often because one of them is silent".to_owned()),
            Ok(Err(error)) => notes.push(format!("the workers could not be asked: {error}")),
            Err(_) => notes.push("the workers' answer came too late; raise TIMEOUT_SECONDS".to_owned()),
        }
        None
    }

    /// The workers that serve our queues, and which process each is, as far as its name says.
    pub fn workers(&self, answer: &Answer, is_ours: &impl Fn(&str) -> bool, notes: &mut Vec<String>) -> Vec<Worker> {
        let process = |name: &str| {
            let process = name.rsplit_once('@').map_or(name, |(_, process)| process);
            match self.platform.whose(process) {
                Whose::Number(number) => Some(Some(number)),
                Whose::Unknown => Some(None),
                Whose::Another => None,
            }
        };
        let mut workers: Vec<Worker> = answer
            .serving(is_ours)
            .filter_map(|(name, worker)| Some(Worker { process: process(name)?, busy: worker.is_busy() }))
            .collect();
        if answer.listeners == Some(0) {
            notes.push("no worker listens: none runs, or the app has worker_enable_remote_control = False".to_owned());
        }
        if answer.silent > 0 {
            let listeners = answer.listeners.unwrap_or_default();
            let mut note = format!("{} of {listeners} workers did not answer", answer.silent);
            let known = answer.known(is_ours);
            if let Known::But { workers: names, .. } = &known {
                let named = names.iter().take(MOST_NAMED).map(String::as_str).collect::<Vec<_>>().join(", ");
                note = format!("{note}, {named} perhaps; one with --pool solo cannot while it works");
                if answer.missed_are_silent() {
                    let silent = names.iter().filter_map(|name| process(name));
                    workers.extend(silent.map(|process| Worker { process, busy: true }));
                }
            }
            if known != Known::All {
                notes.push(note);
            }
        }
        workers
    }
}
