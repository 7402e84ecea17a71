//! All bots of one program: start them, give them new settings, end them.
//!
//! Each bot is a task of its own. A fleet builds every bot before it starts any, so that a mistake in the last one does
//! not leave the others running. Bots of one app on one platform tick together, so that one read of the platform serves
//! them all; apart from that the bots are spread over their interval.

use std::{
    collections::{BTreeMap, BTreeSet},
    hash::{DefaultHasher, Hash, Hasher},
    sync::Arc,
    time::Duration,
};

use autoscalebot_core::{event::Event, moment::Moment, names::ProcessName, step::State};
use tokio::{task::JoinHandle, time::timeout};
use tokio_util::sync::CancellationToken;

use crate::{
    bot::Bot,
    build::{self, BuildError, Manner},
    command::Commander,
    config::{Config, ProcessConfig, ShownSetting, changes::changes},
    notification::dispatch::Outlets,
    scaling::Scale,
    shared::Shared,
    store::Begins,
    telemetry,
};

/// How long a bot whose settings changed may take to finish the order it is carrying out.
const HANDING_OVER: Duration = Duration::from_secs(60);

/// What new settings mean for a process that the program cared for before it was started anew.
const CHANGED_MEANWHILE: &str = "changed since the last run";

/// All bots of one program.
pub struct Fleet {
    shared: Arc<Shared>,
    manner: Manner,
    commander: Commander,
    bots: BTreeMap<ProcessName, Running>,
}

struct Running {
    settings: Fingerprint,
    /// The same for people, if anybody may want to see them.
    shown: Option<Arc<[ShownSetting]>>,
    platform: Arc<dyn Scale>,
    outlets: Outlets,
    remarks: Vec<String>,
    /// How it is protected while it works, in words.
    protection: Option<String>,
    stop: CancellationToken,
    task: JoinHandle<State>,
}

impl Fleet {
    /// Builds every bot, then starts them all, each with what the store knows of it.
    ///
    /// # Errors
    /// Everything that could not be built; nothing runs then.
    pub async fn start(config: Config, shared: Arc<Shared>, manner: Manner) -> Result<Self, Vec<BuildError>> {
        let bots = build_all(&config.processes.iter().collect(), &shared, &manner)?;
        let mut remembered = match &manner.store {
            Some(store) => store.remembered(&shared.host).await,
            None => Some(BTreeMap::new()),
        };
        let mut fleet = Self { shared, manner, commander: Commander::default(), bots: BTreeMap::new() };
        if let (Some(store), None) = (&fleet.manner.store, &remembered) {
            // It ends with the program at the latest.
            tokio::spawn(store.clone().say_again(fleet.commander.clone(), fleet.shared.clone()));
        }
        for ((process, config), mut bot) in config.processes.into_iter().zip(bots) {
            let known = remembered.as_mut().and_then(|remembered| remembered.remove(&process));
            let changed = known.as_ref().map(|remembered| remembered.changes(&bot)).unwrap_or_default();
            let (state, begins) = match known {
                Some(remembered) => (remembered.hand_over(&mut bot), Begins::Resumed),
                None => (State::new(&bot.policy), Begins::Start),
            };
            let running = Running::start(bot, Fingerprint::of(&config), state, begins, &fleet.manner, &fleet.commander);
            if !changed.is_empty() {
                running.tell(&process, &fleet.shared, &fleet.manner, CHANGED_MEANWHILE, changed);
            }
            fleet.bots.insert(process, running);
        }
        Ok(fleet)
    }

    /// Reaches every bot of this fleet, now and after a reload.
    #[must_use]
    pub fn commander(&self) -> Commander {
        self.commander.clone()
    }

    /// Takes over other settings. Processes whose settings are the same are not touched; changed ones go on with what is
    /// known as far as it still means the same; new ones start and removed ones end. Returns the words for each change.
    ///
    /// # Errors
    /// Everything that could not be built; the old settings go on then.
    pub async fn reload(&mut self, config: Config) -> Result<BTreeMap<ProcessName, &'static str>, Vec<BuildError>> {
        let mut processes = config.processes;
        let mut kinds = BTreeMap::new();
        processes.retain(|process, config| {
            let change = match self.bots.get(process) {
                None => "added",
                Some(running) if running.settings != Fingerprint::of(config) => "changed",
                Some(_) => {
                    kinds.insert(process.clone(), "unchanged");
                    return false;
                }
            };
            kinds.insert(process.clone(), change);
            true
        });
        let bots = build_all(&processes.iter().collect(), &self.shared, &self.manner)?;

        let removed: Vec<_> = self.bots.keys().filter(|process| !kinds.contains_key(*process)).cloned().collect();
        for process in removed {
            if let Some(running) = self.bots.remove(&process) {
                running.tell(&process, &self.shared, &self.manner, "removed", Vec::new());
                running.end().await;
                self.commander.close(&process);
                self.manner.watchers.iter().for_each(|watcher| watcher.left(&process));
            }
            kinds.insert(process, "removed");
        }
        for ((process, config), bot) in processes.into_iter().zip(bots) {
            let mut changed = Vec::new();
            let (state, begins) = match self.bots.remove(&process) {
                None => (State::new(&bot.policy), Begins::Start),
                Some(running) => {
                    if let (Some(before), Some(now)) = (&running.shown, &bot.shown) {
                        changed = changes(before, now);
                    }
                    let as_before = running.settings.measured == Fingerprint::of(&config).measured;
                    let state = match running.end().await {
                        Some(state) => state.carried_over(&bot.policy, as_before),
                        None => State::new(&bot.policy),
                    };
                    (state, Begins::Settings)
                }
            };
            let running = Running::start(bot, Fingerprint::of(&config), state, begins, &self.manner, &self.commander);
            running.tell(&process, &self.shared, &self.manner, kinds[&process], changed);
            self.bots.insert(process, running);
        }
        kinds.retain(|_, change| *change != "unchanged");
        Ok(kinds)
    }

    /// Tells everyone that changed settings were not valid.
    pub fn reject(&self, problems: &[String]) {
        let event = Event::SettingsRejected { problems: problems.to_vec() };
        // One line in the log, however many processes there are; and every outlet hears of it.
        if let Some((process, _)) = self.bots.first_key_value() {
            telemetry::happened(process, &event);
            see(process, &self.shared.clock.now(), &event, &self.manner);
        }
        let outlets = self.bots.iter().map(|(process, running)| (process, &running.outlets));
        Outlets::tell_each_once(outlets, self.shared.clock.now(), &event);
    }

    /// What people should know about their settings and platforms, once each.
    #[must_use]
    pub fn remarks(&self) -> Vec<String> {
        let mut said = BTreeSet::new();
        let all = self.bots.iter().flat_map(|(process, running)| {
            let of_others = running.platform.remarks().into_iter().chain(running.outlets.remarks());
            let remarks = running.remarks.iter().cloned().chain(of_others);
            remarks.map(move |remark| (process, remark))
        });
        // Ten processes of one app would say the same thing ten times.
        let new = all.filter(|(_, remark)| said.insert(remark.clone()));
        new.map(|(process, remark)| format!("{process}: {remark}")).collect()
    }

    /// How processes are protected while they work; those that are protected alike together.
    #[must_use]
    pub fn protections(&self) -> Vec<String> {
        let mut alike: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
        for (process, running) in &self.bots {
            if let Some(protection) = &running.protection {
                alike.entry(protection).or_default().push(process.as_str());
            }
        }
        let sentence = |(protection, processes): (&str, Vec<&str>)| {
            let more = if processes.len() > 1 { format!(" and {} more", processes.len() - 1) } else { String::new() };
            format!("{}{more}: {protection}", processes[0])
        };
        alike.into_iter().map(sentence).collect()
    }

    /// Ends everything within `limit`: bots first, then what people have yet to be told, then what only lives with us, and
    /// at last whoever brought backends.
    pub async fn shutdown(self, limit: Duration) {
        let started = self.shared.clock.now();
        for running in self.bots.values() {
            running.stop.cancel();
        }
        let (mut outlets, mut platforms, mut tasks) = (Vec::new(), Vec::new(), Vec::new());
        for running in self.bots.into_values() {
            outlets.push(running.outlets);
            platforms.push(running.platform);
            tasks.push(running.task);
        }
        // Half of the time for calls in flight; what is not over by then is abandoned.
        let aborts: Vec<_> = tasks.iter().map(JoinHandle::abort_handle).collect();
        let _ = timeout(limit / 2, futures_util::future::join_all(tasks)).await;
        for abort in aborts {
            abort.abort();
        }
        let flush = futures_util::future::join_all(outlets.iter().map(|outlets| outlets.flush(limit / 4)));
        let stop = futures_util::future::join_all(platforms.iter().map(|platform| platform.shutdown(limit / 2)));
        let keep = async {
            if let Some(store) = &self.manner.store {
                store.close(limit / 4).await;
            }
        };
        futures_util::future::join3(flush, stop, keep).await;
        drop((outlets, platforms));
        if let Some(guests) = &self.shared.host.guests {
            guests.finish(limit.saturating_sub(self.shared.clock.now().since(&started))).await;
        }
    }
}

impl Running {
    fn start(
        mut bot: Bot,
        settings: Fingerprint,
        state: State,
        begins: Begins,
        manner: &Manner,
        commander: &Commander,
    ) -> Self {
        let stop = CancellationToken::new();
        bot.recorder = manner.store.as_ref().map(|store| store.recorder(&bot, begins));
        bot.watchers.iter().for_each(|watcher| watcher.joined(&bot));
        let inbox = commander.open(&bot.process);
        let (platform, outlets, protection) = (bot.platform.clone(), bot.outlets.clone(), bot.protection());
        let (remarks, shown) = (bot.remarks.clone(), bot.shown.clone());
        let task = tokio::spawn(bot.run(state, inbox, stop.clone()));
        Self { settings, shown, platform, outlets, remarks, protection, stop, task }
    }

    /// Ends the bot; gives back what it knew, unless it would not end.
    async fn end(self) -> Option<State> {
        self.stop.cancel();
        let mut task = self.task;
        match timeout(HANDING_OVER, &mut task).await {
            Ok(state) => state.ok(),
            Err(_) => {
                task.abort();
                None
            }
        }
    }

    fn tell(&self, process: &ProcessName, shared: &Shared, manner: &Manner, change: &str, settings: Vec<String>) {
        let (event, now) = (Event::SettingsReloaded { change: change.to_owned(), settings }, shared.clock.now());
        telemetry::happened(process, &event);
        see(process, &now, &event, manner);
        self.outlets.tell(process, now, &event);
    }
}

/// Shows an event that is not a bot's own to those who see everything.
fn see(process: &ProcessName, now: &Moment, event: &Event, manner: &Manner) {
    manner.watchers.iter().for_each(|watcher| watcher.told(process, now, event));
    if let Some(store) = &manner.store {
        store.event(process, now, event);
    }
}

/// Tells whether settings are the same without keeping them: ten thousand copies of settings would be most of the
/// program's memory, and would hold secrets for longer than needed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Fingerprint {
    /// Of everything.
    whole: u64,
    /// Of what is measured where: as long as this is the same, old samples keep their meaning.
    measured: u64,
}

impl Fingerprint {
    fn of(config: &ProcessConfig) -> Self {
        let ProcessConfig { signals, scaling, notification, own, shown: _ } = config;
        let mut measured = DefaultHasher::new();
        (scaling.backend, scaling.settings.to_string()).hash(&mut measured);
        for signal in signals {
            (signal.measurement.backend, signal.measurement.settings.to_string()).hash(&mut measured);
        }
        let mut whole = measured.clone();
        for signal in signals {
            (signal.decision.backend, signal.decision.settings.to_string()).hash(&mut whole);
            // `Debug` of these shows every field, and they hold no secrets.
            format!("{:?} {:?}", signal.measurement_common, signal.decision_common).hash(&mut whole);
        }
        for backend in &notification.backends {
            (backend.backend, backend.settings.to_string()).hash(&mut whole);
        }
        format!("{:?} {own:?}", notification.common).hash(&mut whole);
        Self { whole: whole.finish(), measured: measured.finish() }
    }
}

/// Every bot, in the order of the processes.
fn build_all(
    processes: &Vec<(&ProcessName, &ProcessConfig)>,
    shared: &Arc<Shared>,
    manner: &Manner,
) -> Result<Vec<Bot>, Vec<BuildError>> {
    let mut errors = Vec::new();
    let mut platforms = Vec::new();
    let mut groups = BTreeMap::new();
    for (process, config) in processes {
        match build::platform(process, config, shared, manner) {
            Ok(platform) => {
                let group = platform.group().unwrap_or_else(|| format!("process:{process}"));
                let next = groups.len();
                let place = *groups.entry(group).or_insert(next);
                platforms.push((platform, place));
            }
            Err(error) => errors.push(error),
        }
    }
    if !errors.is_empty() {
        return Err(errors);
    }
    let mut bots = Vec::new();
    for ((process, config), (platform, place)) in processes.iter().zip(platforms) {
        #[expect(clippy::cast_precision_loss, reason = "fleets are far below 2^52 groups")]
        let share = place as f64 / groups.len() as f64;
        match build::bot(process, config, platform, share, shared, manner) {
            Ok(bot) => bots.push(bot),
            Err(error) => errors.push(error),
        }
    }
    if errors.is_empty() { Ok(bots) } else { Err(errors) }
}
