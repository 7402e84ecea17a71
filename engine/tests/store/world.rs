//! A world that goes by the number of the tick: what is measured, what the platform does, and what somebody else does to
//! it all follow from that number. So two runs can be held against each other, however often one of them was killed.
//!
//! What the platform runs is outside the program, in a file that changes in one step.

use std::{
    path::{Path, PathBuf},
    sync::{Arc, Mutex},
    time::Duration,
};

use async_trait::async_trait;
use autoscalebot_core::{
    bounds::ByTimeOfDay,
    busy::Protection,
    decision::Common,
    moment::Moment,
    rapid::RapidLimit,
    sample::{CountsAs, Reading},
    step::Order,
    units::Finite,
};
use autoscalebot_engine::{
    bot::{Bot, Measuring},
    clock::Clock,
    measurement::{Measure, MeasureError, Measured},
    notification::dispatch::Outlets,
    policy::{PolicySpec, SignalSpec},
    scaling::{Scale, ScaleError, Scaled},
    schedule::Schedule,
    shared::Shared,
};
use serde::{Deserialize, Serialize};

use crate::support::{host, web};

pub const INTERVAL: Duration = Duration::from_secs(10);

/// What is outside the program.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Outside {
    /// The tick that is next, if the program has kept all that were before.
    pub tick: u64,
    /// What runs.
    count: u32,
    /// The newest tick before which somebody else may have changed the count.
    visited: u64,
}

/// The world at a tick.
#[derive(Clone)]
pub struct World {
    file: Option<PathBuf>,
    outside: Arc<Mutex<Outside>>,
    now: Arc<Mutex<u64>>,
}

impl World {
    /// One that ends with the test.
    pub fn in_memory() -> Self {
        let outside = Outside { tick: 1, count: 1, visited: 0 };
        Self { file: None, outside: Arc::new(Mutex::new(outside)), now: Arc::new(Mutex::new(0)) }
    }

    /// One that outlives the program, in a file of this folder.
    pub fn in_folder(folder: &Path) -> Self {
        let file = folder.join("world.json");
        let mut world = Self::in_memory();
        if let Ok(text) = std::fs::read_to_string(&file) {
            world.outside = Arc::new(Mutex::new(serde_json::from_str(&text).unwrap()));
        }
        world.file = Some(file);
        world
    }

    pub fn outside(&self) -> Outside {
        *self.outside.lock().unwrap()
    }

    /// Time comes to a tick; somebody else may do something first, but not twice.
    pub fn come_to(&self, tick: u64) {
        *self.now.lock().unwrap() = tick;
        let outside = self.outside();
        if outside.visited < tick {
            let count = if noise(tick, 1).is_multiple_of(89) { small(noise(tick, 2) % 9) } else { outside.count };
            self.set(Outside { visited: tick, count, ..outside });
        }
    }

    /// Whether as many run as were ordered.
    pub fn is_obeyed(&self, count: u32) -> bool {
        self.outside().count == count
    }

    /// The tick is over and kept.
    pub fn is_over(&self, tick: u64) {
        self.set(Outside { tick: tick + 1, ..self.outside() });
    }

    fn set(&self, outside: Outside) {
        *self.outside.lock().unwrap() = outside;
        if let Some(file) = &self.file {
            let beside = file.with_extension("new");
            std::fs::write(&beside, serde_json::to_string(&outside).unwrap()).unwrap();
            std::fs::rename(beside, file).unwrap();
        }
    }

    fn tick(&self) -> u64 {
        *self.now.lock().unwrap()
    }
}

/// A number that follows from a tick and looks like chance.
fn noise(tick: u64, what: u64) -> u64 {
    let mut number = tick.wrapping_mul(0x9e37_79b9_7f4a_7c15).wrapping_add(what.wrapping_mul(0xbf58_476d_1ce4_e5b9));
    number = (number ^ (number >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    number = (number ^ (number >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    number ^ (number >> 31)
}

fn small(number: u64) -> u32 {
    u32::try_from(number).unwrap()
}

#[async_trait]
impl Clock for World {
    fn now(&self) -> Moment {
        let since_start = INTERVAL * small(self.tick());
        let begin: jiff::Timestamp = "2026-06-15T00:00:00Z".parse().unwrap();
        Moment { since_start, civil: begin + since_start }
    }

    async fn sleep_until(&self, _: Duration) {}
}

#[async_trait]
impl Measure for World {
    async fn measure(&self) -> Result<Measured, MeasureError> {
        let tick = self.tick();
        match noise(tick, 3) % 40 {
            0 => Err(MeasureError::unknown("refused", format!("refused at {tick}"))),
            1 => {
                let message = format!("too slow at {tick}");
                Err(MeasureError { key: "timeout".into(), message, counts_as: CountsAs::High })
            }
            _ => {
                // Waves, and a little of everything else.
                let wave = f64::from(small(tick % 120)) / 120.0 * std::f64::consts::TAU;
                let reading = 800.0 + 700.0 * wave.sin() + f64::from(small(noise(tick, 4) % 1000)) / 7.0;
                Ok(Reading::Number(Finite::new(reading).unwrap()).into())
            }
        }
    }
}

#[async_trait]
impl Scale for World {
    async fn count(&self) -> Result<u32, ScaleError> {
        if noise(self.tick(), 5).is_multiple_of(41) {
            return Err(ScaleError::new("unavailable", "the platform does not say"));
        }
        Ok(self.outside().count)
    }

    async fn scale_to(&self, order: &Order) -> Result<Scaled, ScaleError> {
        if noise(self.tick(), 6).is_multiple_of(5) {
            return Err(ScaleError::new("unavailable", "the platform does not want to"));
        }
        self.set(Outside { count: order.to, ..self.outside() });
        Ok(Scaled::Done)
    }
}

/// The bot of this world, without a store.
pub fn bot(world: &World) -> Bot {
    let spec = PolicySpec {
        signals: vec![SignalSpec {
            measurement: "ResponseTime".to_owned(),
            unit: "ms".to_owned(),
            sees_work: false,
            interval: INTERVAL,
            decision: "ConsecutiveThreshold".to_owned(),
            settings: serde_json::json!({"min_measurement_value": 400, "max_measurement_value": 1200}),
            common: Common {
                time_zone: Some("UTC".to_owned()),
                max_processes: ByTimeOfDay::always(6),
                ..Common::default()
            },
        }],
        wait_after_scale: Duration::from_secs(35),
        repeat: Duration::from_secs(600),
        rapid: RapidLimit { scales: 2, period: Duration::from_secs(120) },
        protection: Protection::default(),
        is_dry_run: false,
    };
    Bot {
        process: web(),
        policy: spec.build("web", &host()).unwrap(),
        spec: Arc::new(spec),
        measuring: vec![Measuring {
            measure: Box::new(world.clone()),
            schedule: Schedule::new(INTERVAL, Duration::ZERO, 0.0),
        }],
        platform: Arc::new(world.clone()),
        outlets: Outlets::default(),
        shown: None,
        is_dry_run: false,
        remarks: Vec::new(),
        watchers: Vec::new(),
        recorder: None,
        unsettled: None,
        shared: Shared::new(Arc::new(world.clone()), host()),
    }
}
