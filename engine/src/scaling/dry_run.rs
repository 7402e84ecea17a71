//! Trying a policy without consequences: an imaginary platform, and a real one that is only looked at.
//!
//! The backend [`DryRun`] has as many processes as it was told last, all imaginary, so that a policy can be watched going
//! up and down before there is a platform at all. [`never_scaling`] is for `run --dry-run`: how many processes run comes
//! from the real platform, and no order ever reaches it, not even one that would bring the count back inside its bounds.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};

use async_trait::async_trait;
use autoscalebot_core::{
    busy::Victims,
    registry::{Backend, Problem},
    step::Order,
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use url::Url;

use super::{Context, Scale, ScaleError, Scaled, Whose};

/// Settings of `DryRun`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Settings {
    /// How many imaginary processes there are in the beginning.
    pub processes: u32,
}

impl Default for Settings {
    fn default() -> Self {
        Self { processes: 1 }
    }
}

/// The backend.
#[derive(Debug, Clone)]
pub struct DryRun {
    processes: Arc<AtomicU32>,
}

impl Backend for DryRun {
    type Stage = dyn Scale;
    type Context = Context;
    type Settings = Settings;
    const NAME: &'static str = "DryRun";

    fn build(settings: Settings, context: &Context) -> Result<Box<dyn Scale>, Problem> {
        // Kept in the pool, so that a reload of other settings does not forget what was imagined so far.
        let key = format!("{} from {}", context.process, settings.processes);
        let processes = context.shared.pool.get_or_make(&key, || AtomicU32::new(settings.processes));
        Ok(Box::new(Self { processes }))
    }
}

#[async_trait]
impl Scale for DryRun {
    async fn count(&self) -> Result<u32, ScaleError> {
        Ok(self.processes.load(Ordering::Relaxed))
    }

    async fn scale_to(&self, order: &Order) -> Result<Scaled, ScaleError> {
        // Taken as a real platform would take it: the policy is to go on from the new count.
        let before = self.processes.swap(order.to, Ordering::Relaxed);
        Ok(if before == order.to { Scaled::AlreadyThere } else { Scaled::Done })
    }

    fn remarks(&self) -> Vec<String> {
        vec!["DryRun: these processes are imaginary; nothing is scaled".to_owned()]
    }
}

/// The same platform, never scaled: orders end here.
#[must_use]
pub fn never_scaling(platform: Arc<dyn Scale>) -> Arc<dyn Scale> {
    Arc::new(NeverScaling { platform })
}

struct NeverScaling {
    platform: Arc<dyn Scale>,
}

#[async_trait]
impl Scale for NeverScaling {
    async fn count(&self) -> Result<u32, ScaleError> {
        self.platform.count().await
    }

    async fn scale_to(&self, _: &Order) -> Result<Scaled, ScaleError> {
        Ok(Scaled::DryRun)
    }

    async fn web_url(&self) -> Result<Option<Url>, ScaleError> {
        self.platform.web_url().await
    }

    fn group(&self) -> Option<String> {
        self.platform.group()
    }

    fn victims(&self) -> Victims {
        self.platform.victims()
    }

    fn whose(&self, name: &str) -> Whose {
        self.platform.whose(name)
    }

    fn remarks(&self) -> Vec<String> {
        let mut remarks = self.platform.remarks();
        remarks.push("dry run: decisions are made and told, and the platform is never scaled".to_owned());
        remarks
    }

    async fn shutdown(&self, limit: Duration) {
        self.platform.shutdown(limit).await;
    }
}

#[cfg(test)]
mod tests {
    use std::{num::NonZeroUsize, sync::Mutex};

    use autoscalebot_core::{
        bounds::{Bounds, ByTimeOfDay},
        busy::Protection,
        decision::{BACKENDS, Common, Reason, Terms},
        event::Event,
        moment::Moment,
        names::ProcessName,
        rapid::RapidLimit,
        registry::{entry, find},
        sample::{Reading, Sample},
        step::{Policy, Settled, Signal, State, observe, settle},
        units::Finite,
    };
    use serde_json::json;

    use super::*;
    use crate::{clock::SystemClock, environment::Environment, shared::Shared};

    fn context(shared: &Arc<Shared>) -> Context {
        Context { process: ProcessName::new("web").unwrap(), shared: shared.clone() }
    }

    fn order(from: u32, to: u32) -> Order {
        Order::new(from, to, Reason::new("test", "a test says so"), None).unwrap()
    }

    #[tokio::test]
    async fn imaginary_processes_are_as_many_as_was_said_last() {
        let shared = Shared::new(Arc::new(SystemClock::new()), Environment::default());
        let build = || (entry::<DryRun>().build)(&json!({"processes": 2}), &context(&shared)).map_err(|_| ()).unwrap();
        let platform = build();
        assert_eq!(platform.count().await, Ok(2));
        assert_eq!(platform.scale_to(&order(2, 5)).await, Ok(Scaled::Done));
        assert_eq!(platform.scale_to(&order(2, 5)).await, Ok(Scaled::AlreadyThere));
        assert_eq!([platform.count().await, platform.count().await], [Ok(5), Ok(5)]);
        assert_eq!(build().count().await, Ok(5), "a reload goes on from what was imagined");
    }

    /// A platform that remembers every order.
    struct Real {
        count: u32,
        orders: Mutex<Vec<Order>>,
        shut_down: Mutex<bool>,
    }

    #[async_trait]
    impl Scale for Real {
        async fn count(&self) -> Result<u32, ScaleError> {
            Ok(self.count)
        }
        async fn scale_to(&self, order: &Order) -> Result<Scaled, ScaleError> {
            self.orders.lock().unwrap().push(order.clone());
            Ok(Scaled::Done)
        }
        async fn web_url(&self) -> Result<Option<Url>, ScaleError> {
            Ok(Some("http://app.example/".parse().unwrap()))
        }
        fn group(&self) -> Option<String> {
            Some("app".to_owned())
        }
        async fn shutdown(&self, _: Duration) {
            *self.shut_down.lock().unwrap() = true;
        }
    }

    fn real(count: u32) -> Arc<Real> {
        Arc::new(Real { count, orders: Mutex::default(), shut_down: Mutex::new(false) })
    }

    fn policy(min: u32, max: u32) -> Policy {
        let terms = Terms { common: Common::default(), unit: "ms".into(), backend: "Test", process: String::new() };
        let decide = find(BACKENDS, "ConsecutiveThreshold").map(|entry| (entry.build)(&json!({}), &terms));
        let always = ByTimeOfDay::always;
        let signal = Signal {
            backend: "Test".into(),
            decide: decide.unwrap().unwrap(),
            bounds: Bounds::new(always(min), always(max), jiff::tz::TimeZone::UTC).unwrap(),
            history_length: NonZeroUsize::new(10).unwrap(),
            sees_work: false,
        };
        Policy {
            signals: vec![signal],
            wait_after_scale: Duration::ZERO,
            repeat: Duration::from_secs(3600),
            rapid: RapidLimit { scales: 5, period: Duration::from_secs(60) },
            protection: Protection::default(),
        }
    }

    /// Twenty ticks with this reading; how often the policy would have scaled.
    async fn would_scale(real: &Arc<Real>, policy: &Policy, reading: u32) -> usize {
        let platform = never_scaling(real.clone());
        let (mut state, mut times) = (State::new(policy), 0);
        for second in 0..20 {
            let now = Moment { since_start: Duration::from_secs(second), civil: jiff::Timestamp::UNIX_EPOCH };
            let outcome = Ok(Reading::Number(Finite::from(reading)));
            let sample = Sample { at: now, outcome, detail: None, work: None };
            let count = platform.count().await.map_err(Into::into);
            let Some(order) = observe(policy, &mut state, [(0, sample)], count, &now).order else { continue };
            assert_eq!(platform.scale_to(&order).await, Ok(Scaled::DryRun));
            let events = settle(policy, &mut state, &order, &Settled::DryRun, &now);
            times += events.iter().filter(|event| matches!(event, Event::WouldScale { .. })).count();
        }
        times
    }

    #[tokio::test]
    async fn a_dry_run_never_changes_a_count_not_even_to_bring_it_inside_its_bounds() {
        for (name, running, bounds, reading) in [
            ("high readings", 2, (1, 3), 5000),
            ("low readings", 2, (1, 3), 1),
            ("below min", 0, (1, 3), 800),
            ("above max", 9, (1, 3), 800),
        ] {
            let real = real(running);
            assert!(would_scale(&real, &policy(bounds.0, bounds.1), reading).await > 0, "{name}");
            assert_eq!(*real.orders.lock().unwrap(), [], "{name}");
        }
    }

    #[tokio::test]
    async fn everything_but_an_order_passes_through() {
        let real = real(2);
        let dry = never_scaling(real.clone());
        assert_eq!(dry.web_url().await, real.web_url().await);
        assert_eq!(dry.group(), Some("app".to_owned()));
        assert!(dry.remarks().last().unwrap().starts_with("dry run"));
        dry.shutdown(Duration::ZERO).await;
        assert!(*real.shut_down.lock().unwrap());
    }
}
