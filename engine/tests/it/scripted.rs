//! Backends that do what a test says, and remember what was asked of them.

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex},
    time::Duration,
};

use async_trait::async_trait;
use autoscalebot_core::{
    busy::Protection,
    decision::Common,
    event::Event,
    moment::Moment,
    names::ProcessName,
    rapid::RapidLimit,
    sample::{CountsAs, Reading},
    step::Order,
    units::Finite,
};
use autoscalebot_engine::{
    bot::{Bot, Measuring, Ticked, Watch},
    clock::SystemClock,
    environment::Environment,
    measurement::{Measure, MeasureError, Measured},
    notification::dispatch::Outlets,
    policy::{PolicySpec, SignalSpec},
    scaling::{Scale, ScaleError, Scaled},
    schedule::Schedule,
    shared::Shared,
};

/// What a scripted measurement does next.
#[derive(Debug, Clone)]
pub enum Act {
    /// Returns this number.
    Read(f64),
    /// Fails without telling anything about the load.
    Fail,
    /// Fails because the app was too slow.
    TimeOut,
    /// Takes so long, then returns this number.
    Slow(Duration, f64),
    /// Panics.
    Panic,
}

/// A measurement that follows a script; the last act repeats for ever.
#[derive(Clone)]
pub struct Script {
    acts: Arc<Mutex<VecDeque<Act>>>,
    measured: Arc<Mutex<usize>>,
}

impl Script {
    /// Follows these acts.
    pub fn of(acts: impl IntoIterator<Item = Act>) -> Self {
        Self { acts: Arc::new(Mutex::new(acts.into_iter().collect())), measured: Arc::default() }
    }

    /// How often it was asked.
    pub fn measured(&self) -> usize {
        *self.measured.lock().unwrap()
    }
}

#[async_trait]
impl Measure for Script {
    async fn measure(&self) -> Result<Measured, MeasureError> {
        *self.measured.lock().unwrap() += 1;
        let act = {
            let mut acts = self.acts.lock().unwrap();
            if acts.len() > 1 { acts.pop_front().unwrap() } else { acts[0].clone() }
        };
        match act {
            Act::Read(number) => Ok(Reading::Number(Finite::new(number).unwrap()).into()),
            Act::Fail => Err(MeasureError::unknown("scripted", "the script says so")),
            Act::TimeOut => {
                let message = "no answer in time".to_owned();
                Err(MeasureError { key: "timeout".into(), message, counts_as: CountsAs::High })
            }
            Act::Slow(length, number) => {
                tokio::time::sleep(length).await;
                Ok(Reading::Number(Finite::new(number).unwrap()).into())
            }
            Act::Panic => panic!("the script says so"),
        }
    }
}

/// A platform in memory.
#[derive(Clone, Default)]
pub struct Platform {
    inner: Arc<Mutex<Inner>>,
}

#[derive(Default)]
struct Inner {
    count: u32,
    orders: Vec<(u32, u32)>,
    refuse: usize,
    mute: usize,
}

impl Platform {
    /// Runs `count` processes.
    pub fn running(count: u32) -> Self {
        let platform = Self::default();
        platform.set(count);
        platform
    }

    /// Someone else sets the count.
    pub fn set(&self, count: u32) {
        self.inner.lock().unwrap().count = count;
    }

    /// Refuses the next `times` orders.
    pub fn refuse(&self, times: usize) {
        self.inner.lock().unwrap().refuse = times;
    }

    /// Does not answer the next `times` questions for the count.
    pub fn be_mute(&self, times: usize) {
        self.inner.lock().unwrap().mute = times;
    }

    /// Every order it was given, refused ones too.
    pub fn orders(&self) -> Vec<(u32, u32)> {
        self.inner.lock().unwrap().orders.clone()
    }
}

#[async_trait]
impl Scale for Platform {
    async fn count(&self) -> Result<u32, ScaleError> {
        let mut inner = self.inner.lock().unwrap();
        if inner.mute > 0 {
            inner.mute -= 1;
            return Err(ScaleError::new("scripted", "the platform is mute"));
        }
        Ok(inner.count)
    }

    async fn scale_to(&self, order: &Order) -> Result<Scaled, ScaleError> {
        let mut inner = self.inner.lock().unwrap();
        inner.orders.push((order.from, order.to));
        if inner.refuse > 0 {
            inner.refuse -= 1;
            return Err(ScaleError::new("scripted", "the platform refuses"));
        }
        inner.count = order.to;
        Ok(Scaled::Done)
    }
}

/// Remembers all events.
#[derive(Default)]
pub struct Witness {
    events: Mutex<Vec<Event>>,
}

impl Witness {
    /// Every event so far, but for measurements.
    pub fn events(&self) -> Vec<Event> {
        let measured = |event: &Event| matches!(event, Event::Measured { .. });
        self.events.lock().unwrap().iter().filter(|event| !measured(event)).cloned().collect()
    }
}

impl Watch for Witness {
    fn ticked(&self, _: &ProcessName, _: &Ticked<'_>) {}

    fn told(&self, _: &ProcessName, _: &Moment, event: &Event) {
        self.events.lock().unwrap().push(event.clone());
    }
}

/// A bot with the original's defaults (400, 1200, up after 3, down after 5, wait 5 s), measuring every `interval`.
pub fn bot(script: &Script, platform: &Platform, interval: Duration, witness: &Arc<Witness>) -> Bot {
    let shared = Shared::new(Arc::new(SystemClock::new()), Environment::default());
    let spec = spec(interval);
    Bot {
        process: ProcessName::new("web").unwrap(),
        policy: spec.build("web", &shared.host).unwrap(),
        spec: Arc::new(spec),
        measuring: vec![Measuring {
            measure: Box::new(script.clone()),
            schedule: Schedule::new(interval, Duration::ZERO, 0.0),
        }],
        remarks: Vec::new(),
        platform: Arc::new(platform.clone()),
        outlets: Outlets::default(),
        shown: None,
        is_dry_run: false,
        watchers: vec![witness.clone()],
        recorder: None,
        unsettled: None,
        shared,
    }
}

/// What [`bot`] decides by: of a measurement that exists, as everything that is stored names one.
pub fn spec(interval: Duration) -> PolicySpec {
    PolicySpec {
        signals: vec![SignalSpec {
            measurement: "ResponseTime".to_owned(),
            unit: "ms".to_owned(),
            sees_work: false,
            interval,
            decision: "ConsecutiveThreshold".to_owned(),
            settings: serde_json::json!({}),
            common: Common { time_zone: Some("UTC".to_owned()), ..Common::default() },
        }],
        wait_after_scale: Duration::from_secs(5),
        repeat: Duration::from_secs(3600),
        rapid: RapidLimit { scales: 5, period: Duration::from_secs(60) },
        protection: Protection::default(),
        is_dry_run: false,
    }
}
