//! The loop for one process: wait, measure, observe, scale, settle, tell.
//!
//! A bot owns every arrow that waits; what to do next is decided by the core alone. It reads top to bottom in
//! [`Bot::tick`]. A slow measurement delays its own bot and nobody else; ticks missed meanwhile are skipped. A panic in a
//! backend is caught here, told, and followed by a fresh start after a growing pause, so that it touches no other bot.

use std::{any::Any, panic::AssertUnwindSafe, sync::Arc, time::Duration};

use autoscalebot_core::{
    control::{Command, Commanded, Control},
    event::Event,
    moment::Moment,
    names::ProcessName,
    sample::Sample,
    step::{self, Order, Outcome, Policy, ScaleFailure, Settled, State, observe, settle},
    wait::Backoff,
};
use futures_util::{FutureExt, future::join_all};
use tokio_util::sync::CancellationToken;

use crate::{
    command::{Answer, Inbox, Instruction},
    config::ShownSetting,
    measurement::{Measure, MeasureError},
    notification::dispatch::Outlets,
    policy::PolicySpec,
    protection,
    scaling::{Scale, ScaleError, Scaled},
    schedule::Schedule,
    shared::Shared,
    store::{Begins, Recorder, TickRecord, Unsettled},
    telemetry,
};

/// No measurement takes longer, whatever its backend's own time-out says: a backend that forgot to have one must not
/// stop its bot for ever. Ten minutes is beyond any sensible time-out and within a night's patience.
const LAST_RESORT: Duration = Duration::from_secs(600);

/// One process's bot, ready to run.
pub struct Bot {
    /// The process it cares for.
    pub process: ProcessName,
    /// What it decides by, as a value.
    pub spec: Arc<PolicySpec>,
    /// What it decides by.
    pub policy: Policy,
    /// How and when each signal of the policy is measured, in the policy's order.
    pub measuring: Vec<Measuring>,
    /// The platform.
    pub platform: Arc<dyn Scale>,
    /// Whom to tell.
    pub outlets: Outlets,
    /// Its settings as they may be shown, if anybody asked for them.
    pub shown: Option<Arc<[ShownSetting]>>,
    /// Whether its platform only says what it would do.
    pub is_dry_run: bool,
    /// What people should know about its settings before they rely on them.
    pub remarks: Vec<String>,
    /// Who sees everything that happens.
    pub watchers: Vec<Arc<dyn Watch>>,
    /// Writes down what happens, if anybody keeps it.
    pub recorder: Option<Recorder>,
    /// An order that was given before the program ended, and of which it is not known what became of it.
    pub unsettled: Option<Unsettled>,
    /// What all bots share.
    pub shared: Arc<Shared>,
}

/// How and when one signal is measured.
pub struct Measuring {
    /// The backend.
    pub measure: Box<dyn Measure>,
    /// The moments.
    pub schedule: Schedule,
}

/// Sees what bots do, and can do nothing about it: a live view, a dashboard. Must return at once.
pub trait Watch: Send + Sync {
    /// This bot is about to run. One of the same process that ran before has ended.
    fn joined(&self, _bot: &Bot) {}

    /// The bot of this process has ended, and there is no other.
    fn left(&self, _process: &ProcessName) {}

    /// The bot waits for a moment of the monotonic clock.
    fn waits(&self, _process: &ProcessName, _due: Duration) {}

    /// A tick begins that was due at a moment of the monotonic clock.
    fn begins(&self, _process: &ProcessName, _due: Duration, _now: &Moment) {}

    /// The core has decided. If there is an order, it is not carried out yet.
    fn ticked(&self, process: &ProcessName, tick: &Ticked<'_>);

    /// An order was carried out, or not.
    fn settled(&self, _process: &ProcessName, _at: &Moment, _order: &Order, _settled: &Settled) {}

    /// Something happened. Also called for the events inside an outcome.
    fn told(&self, process: &ProcessName, at: &Moment, event: &Event);
}

/// What a tick came to, for those who watch.
pub struct Ticked<'a> {
    /// When.
    pub at: &'a Moment,
    /// The new samples, each with the index of its signal.
    pub samples: &'a [(usize, Sample)],
    /// Why the platform did not say how many run, if it did not.
    pub count_failure: Option<&'a ScaleFailure>,
    /// What the core made of them.
    pub outcome: &'a Outcome,
    /// What people have told the bot, as far as it still holds.
    pub control: &'a Control,
}

/// What one tick led to, for those who asked for a single one.
pub struct Tick {
    /// The samples, each with the index of its signal.
    pub samples: Vec<(usize, Sample)>,
    /// What the core made of them.
    pub outcome: Outcome,
    /// What became of the order, if there was one and it was carried out.
    pub settled: Option<Settled>,
}

impl Bot {
    /// How the process is protected while it works, in words; nothing when nobody sees its work.
    #[must_use]
    pub fn protection(&self) -> Option<String> {
        protection::explained(&self.policy.protection, self.measuring.iter().map(|measuring| measuring.measure.sight()))
    }

    /// Runs until `stop`; gives back what it knows, for a successor with other settings.
    pub async fn run(mut self, mut state: State, mut inbox: Inbox, stop: CancellationToken) -> State {
        self.find_out(&mut state).await;
        let (mut crashes, mut from) = (Backoff::default(), Duration::ZERO);
        loop {
            let laps = AssertUnwindSafe(self.laps(from, &mut state, &mut crashes, &mut inbox, &stop)).catch_unwind();
            let Err(panic) = laps.await else { return state };
            // Half a tick may be in the state. What was measured before a crash is not worth the risk.
            state = state.begun_anew(&self.policy);
            if let Some(recorder) = &self.recorder {
                recorder.begins(Begins::Crash);
            }
            let now = self.shared.clock.now();
            let restart_in = crashes.failed(None, &now);
            let event = [Event::BotPanicked { message: panic_message(&*panic), restart_in }];
            // Telling may be what crashed. Then nobody can be told, and the bot starts again all the same.
            let _ = std::panic::catch_unwind(AssertUnwindSafe(|| self.tell(&now, &event)));
            tokio::select! {
                () = self.shared.clock.sleep(restart_in) => {}
                () = stop.cancelled() => return state,
            }
            from = self.shared.clock.now().since_start;
        }
    }

    /// The program ended between an order and what became of it. If as many run as were ordered, it was obeyed, and what
    /// follows from that holds; else it is forgotten, and the next tick decides.
    pub async fn find_out(&mut self, state: &mut State) {
        let Some(unsettled) = self.unsettled.take() else { return };
        if self.platform.count().await.ok() != Some(unsettled.order.to) {
            return;
        }
        let at = unsettled.at;
        let order = unsettled.order.clone();
        let (settled, events) = unsettled.obeyed(&self.policy);
        *state = settled;
        self.watchers.iter().for_each(|watcher| watcher.settled(&self.process, &at, &order, &Settled::Scaled));
        self.tell(&at, &events);
    }

    /// Ticks at every moment of the schedules from `from` on.
    async fn laps(
        &self,
        mut from: Duration,
        state: &mut State,
        crashes: &mut Backoff,
        inbox: &mut Inbox,
        stop: &CancellationToken,
    ) {
        loop {
            let due = self.next_due(from);
            self.watchers.iter().for_each(|watcher| watcher.waits(&self.process, due));
            let instruction = tokio::select! {
                biased;
                () = stop.cancelled() => return,
                Some(instruction) = inbox.recv() => Some(instruction),
                () = self.shared.clock.sleep_until(due) => None,
            };
            // An instruction comes between two ticks, and the next one is due as before.
            let is_due = instruction.is_none();
            let signals: Vec<usize> = match &instruction {
                Some(instruction) if instruction.commanded.command == Command::Evaluate => {
                    (0..self.measuring.len()).collect()
                }
                Some(_) => Vec::new(),
                None => self.due_at(due, from).collect(),
            };
            let now = self.shared.clock.now();
            let begun = if is_due { due } else { now.since_start };
            self.watchers.iter().for_each(|watcher| watcher.begins(&self.process, begun, &now));
            // Measuring may be dropped half-way; an order to the platform is seen through.
            let samples = tokio::select! {
                biased;
                () = stop.cancelled() => return,
                samples = self.measure(signals.into_iter()) => samples,
            };
            let more = std::iter::from_fn(|| inbox.try_recv().ok());
            let instructions = instruction.into_iter().chain(more).collect();
            self.obeying_tick(state, instructions, samples).await;
            crashes.succeeded();
            if !is_due {
                continue;
            }
            // Strictly after the moment just served; whatever was missed meanwhile is skipped.
            from = self.shared.clock.now().since_start.max(due + Duration::from_nanos(1));
        }
    }

    /// The next moment, at or after `from`, at which a signal is measured.
    #[must_use]
    pub fn next_due(&self, from: Duration) -> Duration {
        self.measuring.iter().map(|measuring| measuring.schedule.next(from)).min().unwrap_or(Duration::MAX)
    }

    /// The signals whose next moment at or after `from` is `due`.
    fn due_at(&self, due: Duration, from: Duration) -> impl Iterator<Item = usize> {
        let signals = self.measuring.iter().enumerate();
        signals.filter(move |(_, measuring)| measuring.schedule.next(from) == due).map(|(index, _)| index)
    }

    /// One tick by hand: what [`Bot::run`] does at the next moment at or after `from`, done now. For programs that step
    /// through time by themselves.
    pub async fn step(&self, state: &mut State, from: Duration) -> Tick {
        let samples = self.measure(self.due_at(self.next_due(from), from)).await;
        let (outcome, settled) = self.tick(state, Vec::new(), samples.clone()).await;
        Tick { samples, outcome, settled }
    }

    /// A tick that goes by what people have just said, and answers them.
    async fn obeying_tick(&self, state: &mut State, instructions: Vec<Instruction>, samples: Vec<(usize, Sample)>) {
        let commands = instructions.iter().map(|instruction| instruction.commanded.clone()).collect();
        let (outcome, settled) = self.tick(state, commands, samples).await;
        for instruction in instructions {
            let answer = Answer { outcome: outcome.clone(), settled: settled.clone(), control: state.control.clone() };
            // Whoever asked may have left.
            let _ = instruction.answer.send(answer);
        }
    }

    /// One walk from left to right with samples in hand. The events of the outcome have been told.
    async fn tick(
        &self,
        state: &mut State,
        commands: Vec<Commanded>,
        samples: Vec<(usize, Sample)>,
    ) -> (Outcome, Option<Settled>) {
        let running = self.platform.count().await.map_err(ScaleFailure::from);
        let now = self.shared.clock.now();
        let mut record = self.recorder.as_ref().map(|recorder| {
            TickRecord::beginning(now, recorder.wants_state().then(|| state.clone()), &commands, &samples, &running)
        });
        for commanded in &commands {
            self.tell(&now, &step::command(state, commanded, &now));
        }
        let count_failure = running.as_ref().err().cloned();
        let seen = if self.watchers.is_empty() { Vec::new() } else { samples.clone() };
        let mut outcome = observe(&self.policy, state, samples, running, &now);
        telemetry::decided(&self.process, &outcome);
        let ticked = Ticked {
            at: &now,
            samples: &seen,
            count_failure: count_failure.as_ref(),
            outcome: &outcome,
            control: &state.control,
        };
        self.watchers.iter().for_each(|watcher| watcher.ticked(&self.process, &ticked));
        let mut events = std::mem::take(&mut outcome.events);
        self.tell(&now, &events);
        if let Some(record) = &mut record {
            events.retain(|event| !matches!(event, Event::Measured { .. }));
            record.decided(&outcome, events);
        }
        let Some(order) = &outcome.order else {
            if let Some((recorder, record)) = self.recorder.as_ref().zip(record) {
                recorder.record(record);
            }
            return (outcome, None);
        };
        if let Some((recorder, record)) = self.recorder.as_ref().zip(record) {
            // An order is the one thing that a restart must not do twice, or forget that it did.
            recorder.record_intent(record).await;
        }
        let settled = if state.control.dry_run { Settled::DryRun } else { self.carry_out(order).await };
        let now = self.shared.clock.now();
        let events = settle(&self.policy, state, order, &settled, &now);
        if let Some(recorder) = &self.recorder {
            recorder.record_result(&settled, &now, &events);
        }
        self.watchers.iter().for_each(|watcher| watcher.settled(&self.process, &now, order, &settled));
        self.tell(&now, &events);
        (outcome, Some(settled))
    }

    /// Measures these signals, all at once.
    async fn measure(&self, signals: impl Iterator<Item = usize>) -> Vec<(usize, Sample)> {
        let one = async |index: usize| {
            let measured = tokio::time::timeout(LAST_RESORT, self.measuring[index].measure.measure()).await;
            let measured = measured.unwrap_or_else(|_| {
                let limit = LAST_RESORT.as_secs();
                Err(MeasureError::unknown("timeout", format!("the measurement was not over after {limit} s")))
            });
            let at = self.shared.clock.now();
            let sample = match measured {
                Ok(measured) => {
                    let (detail, work) = (measured.detail, measured.work);
                    Sample { at, outcome: Ok(measured.reading), detail, work }
                }
                Err(error) => Sample { at, outcome: Err(error.into()), detail: None, work: None },
            };
            (index, sample)
        };
        let mut signals = signals;
        match (signals.next(), signals.next()) {
            (None, _) => Vec::new(),
            (Some(only), None) => vec![one(only).await],
            (Some(first), Some(second)) => {
                let all = [first, second].into_iter().chain(signals);
                join_all(all.map(one)).await
            }
        }
    }

    async fn carry_out(&self, order: &Order) -> Settled {
        match self.platform.scale_to(order).await {
            Ok(Scaled::Done) => Settled::Scaled,
            Ok(Scaled::AlreadyThere) => Settled::AlreadyThere,
            Ok(Scaled::DryRun) => Settled::DryRun,
            Err(error) => Settled::Failed(error.into()),
        }
    }

    /// Measures every signal `samples` times, decides, and changes nothing.
    ///
    /// # Errors
    /// When the platform does not say how many processes run, the outcome says so; nothing else fails.
    pub async fn evaluate(&self, samples: usize) -> Tick {
        let mut state = State::new(&self.policy);
        let mut newest = Vec::new();
        for lap in 0..samples.max(1) {
            if lap > 0 {
                let interval = self.measuring.iter().map(|measuring| measuring.schedule.interval).min();
                self.shared.clock.sleep(interval.unwrap_or_default()).await;
            }
            newest = self.measure(0..self.measuring.len()).await;
            let now = self.shared.clock.now();
            if lap + 1 < samples {
                let unasked = ScaleError::new("not_asked", "the platform is asked with the last sample");
                observe(&self.policy, &mut state, newest.clone(), Err(unasked.into()), &now);
            }
        }
        let running = self.platform.count().await.map_err(ScaleFailure::from);
        let now = self.shared.clock.now();
        let outcome = observe(&self.policy, &mut state, newest.clone(), running, &now);
        Tick { samples: newest, outcome, settled: None }
    }

    fn tell(&self, now: &Moment, events: &[Event]) {
        for event in events {
            telemetry::happened(&self.process, event);
            if let Some(recorder) = &self.recorder {
                recorder.event(now, event);
            }
            self.watchers.iter().for_each(|watcher| watcher.told(&self.process, now, event));
            self.outlets.tell(&self.process, *now, event);
        }
    }
}

fn panic_message(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().copied().or_else(|| panic.downcast_ref::<String>().map(String::as_str));
    text.unwrap_or("no message").to_owned()
}
