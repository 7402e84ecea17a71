//! All metrics there are, each with its name, its meaning, and how it is read. The docs are made from this list.
//!
//! Names, labels and the words in labels are what dashboards and alerts of others rely on: they change with a line in the
//! change log, or not at all.

use autoscalebot_core::{
    bounds::Limit,
    busy::InProgress,
    control::{Mode, Scope},
    decision::Direction,
};

use super::{
    Family,
    How::{Observed, Read},
    Kind::{self, Counter, Gauge, Histogram},
    Number, Put, Snapshot,
};
use crate::{
    board::{Glance, LATENESS_BUCKETS_SECONDS, SignalGlance},
    policy::SignalSpec,
};

/// The label that most metrics have.
const PROCESS: &[&str] = &["process"];

/// What tells signals apart: their place in the settings, counted from 0, and what measures them.
const SIGNAL: &[&str] = &["process", "signal", "backend"];

/// The same with the unit of its readings, which is as many as backends may give.
const READING: &[&str] = &["process", "signal", "backend", "unit"];

/// Calls that Heroku still takes.
pub static HEROKU_REQUESTS_REMAINING: Family = observed(
    "autoscalebot_heroku_api_requests_remaining",
    "Calls that Heroku's API still takes from this account (a digest of its key), of usually 4500 that flow back within an hour.",
    Gauge,
    &["account"],
);

/// Notices that wait.
pub static NOTICES_WAITING: Family = observed(
    "autoscalebot_notices_waiting",
    "Notices that wait to be delivered, by notification backend; outlets with different settings are numbered.",
    Gauge,
    NOTICES,
);

/// Notices that got through.
pub static NOTICES_DELIVERED: Family =
    observed("autoscalebot_notices_delivered_total", "Notices that were delivered.", Counter, NOTICES);

/// Notices that did not.
pub static NOTICES_LOST: Family = observed(
    "autoscalebot_notices_lost_total",
    "Notices that were given up: refused too often, or pushed out of a full queue.",
    Counter,
    NOTICES,
);

const NOTICES: &[&str] = &["backend", "outlet"];

/// All metrics, in the order in which they are shown.
pub static FAMILIES: &[&Family] = &[
    &family("autoscalebot_info", "The running program; always 1.", Gauge, &["version"], |_, put| {
        put(&[env!("CARGO_PKG_VERSION")], Number::Gauge(1.0));
    }),
    &family(
        "autoscalebot_start_time_seconds",
        "When the program started, as Unix time; counters count from there.",
        Gauge,
        &[],
        |snapshot, put| put(&[], Number::Gauge(snapshot.started.civil.as_duration().as_secs_f64())),
    ),
    &family("autoscalebot_bots", "Processes that have a bot.", Gauge, &[], |snapshot, put| {
        put(&[], Number::of(snapshot.glances.len()));
    }),
    &family(
        "autoscalebot_bots_stalled",
        "Bots whose tick should long be over and is not; more than 0 is a fault of the program.",
        Gauge,
        &[],
        |snapshot, put| {
            let stalled = snapshot.glances.iter().filter(|glance| glance.has_stalled(&snapshot.now)).count();
            put(&[], Number::of(stalled));
        },
    ),
    &family("autoscalebot_bot_stalled", "1 while this bot has stalled, else 0.", Gauge, PROCESS, |snapshot, put| {
        of_each(snapshot, put, |glance| Some(flag(glance.has_stalled(&snapshot.now))));
    }),
    &family(
        "autoscalebot_bot_crashes_total",
        "How often this bot crashed and started again; more than 0 is a fault of a backend or of the program.",
        Counter,
        PROCESS,
        |snapshot, put| of_each(snapshot, put, |glance| Some(Number::Count(glance.counts.crashes))),
    ),
    &family(
        "autoscalebot_evaluation_lateness_seconds",
        "How late ticks began, after the moment at which they were due; all bots together.",
        Histogram,
        &[],
        |snapshot, put| {
            let (ends, counts) = (&LATENESS_BUCKETS_SECONDS, &snapshot.lateness.buckets);
            put(&[], Number::Histogram { ends, counts, sum: snapshot.lateness.sum_seconds });
        },
    ),
    &family(
        "autoscalebot_processes_running",
        "Processes that run, by the platform's word; absent while that is unknown.",
        Gauge,
        PROCESS,
        |snapshot, put| of_each(snapshot, put, |glance| glance.running.map(|count| Number::Gauge(f64::from(count)))),
    ),
    &family(
        "autoscalebot_processes_wanted",
        "Processes that should run by the newest decision, within the bounds; absent while it is unknown how many run.",
        Gauge,
        PROCESS,
        |snapshot, put| {
            of_each(snapshot, put, |glance| {
                let outcome = glance.outcome.as_ref().filter(|outcome| outcome.running.is_some())?;
                Some(Number::Gauge(f64::from(outcome.decision.wanted)))
            });
        },
    ),
    &family(
        "autoscalebot_processes_min",
        "The least processes allowed at this time of day.",
        Gauge,
        PROCESS,
        |snapshot, put| {
            of_each(snapshot, put, |glance| Some(Number::Gauge(f64::from(glance.outcome.as_ref()?.range.min))));
        },
    ),
    &family(
        "autoscalebot_processes_max",
        "The most processes allowed at this time of day.",
        Gauge,
        PROCESS,
        |snapshot, put| {
            of_each(snapshot, put, |glance| Some(Number::Gauge(f64::from(glance.outcome.as_ref()?.range.max))));
        },
    ),
    &family(
        "autoscalebot_limited",
        "1 while the newest decision would go beyond this bound (max, min) and may not, else 0.",
        Gauge,
        &["process", "bound"],
        |snapshot, put| {
            for glance in &snapshot.glances {
                let Some(outcome) = &glance.outcome else { continue };
                for (bound, limit) in [("max", Limit::Max), ("min", Limit::Min)] {
                    put(&[glance.process.as_str(), bound], flag(outcome.limit == Some(limit)));
                }
            }
        },
    ),
    &family(
        "autoscalebot_decision_timestamp_seconds",
        "When it was last decided, as Unix time.",
        Gauge,
        PROCESS,
        |snapshot, put| of_each(snapshot, put, |glance| Some(unix_time(glance.decided_at.as_ref()?))),
    ),
    &family(
        "autoscalebot_decisions_total",
        "Decisions, by direction (up, down, stay) and the key of their reason.",
        Counter,
        &["process", "direction", "reason"],
        |snapshot, put| {
            for glance in &snapshot.glances {
                for ((direction, reason), count) in &glance.counts.decisions {
                    put(&[glance.process.as_str(), word(*direction), reason], Number::Count(*count));
                }
            }
        },
    ),
    &family(
        "autoscalebot_scales_total",
        "Orders that the platform took, by direction (up, down).",
        Counter,
        &["process", "direction"],
        |snapshot, put| {
            for glance in &snapshot.glances {
                for direction in [Direction::Up, Direction::Down] {
                    let count = glance.counts.scales.get(&direction).copied().unwrap_or_default();
                    put(&[glance.process.as_str(), word(direction)], Number::Count(count));
                }
            }
        },
    ),
    &family(
        "autoscalebot_scale_timestamp_seconds",
        "When the bot last changed the count, as Unix time; absent when it never did.",
        Gauge,
        PROCESS,
        |snapshot, put| of_each(snapshot, put, |glance| Some(unix_time(&glance.last_scale.as_ref()?.at))),
    ),
    &family(
        "autoscalebot_scale_failing",
        "1 while the platform has refused the newest order, else 0.",
        Gauge,
        PROCESS,
        |snapshot, put| of_each(snapshot, put, |glance| Some(flag(glance.counts.scale_failures_in_a_row > 0))),
    ),
    &family(
        "autoscalebot_scale_failures_total",
        "Orders that the platform did not take, by the key of the failure.",
        Counter,
        &["process", "key"],
        |snapshot, put| {
            for glance in &snapshot.glances {
                for (key, count) in &glance.counts.scale_failures {
                    put(&[glance.process.as_str(), key], Number::Count(*count));
                }
            }
        },
    ),
    &family(
        "autoscalebot_count_failures_total",
        "Times that the platform did not say how many run, by the key of the failure.",
        Counter,
        &["process", "key"],
        |snapshot, put| {
            for glance in &snapshot.glances {
                for (key, count) in &glance.counts.count_failures {
                    put(&[glance.process.as_str(), key], Number::Count(*count));
                }
            }
        },
    ),
    &family(
        "autoscalebot_reading",
        "The newest reading, in the unit of its backend (label unit); absent when the newest measurement failed.",
        Gauge,
        READING,
        |snapshot, put| of_each_signal(snapshot, put, |signal| signal.newest.as_ref()?.number().map(|it| it.get())),
    ),
    &family(
        "autoscalebot_reading_low_threshold",
        "Readings at or below this are low, and may shrink the process; absent for decisions without such a threshold.",
        Gauge,
        READING,
        |snapshot, put| of_each_signal(snapshot, put, |signal| signal.low),
    ),
    &family(
        "autoscalebot_reading_high_threshold",
        "Readings above this are high, and may grow the process; absent for decisions without such a threshold.",
        Gauge,
        READING,
        |snapshot, put| of_each_signal(snapshot, put, |signal| signal.high),
    ),
    &family(
        "autoscalebot_reading_timestamp_seconds",
        "When the newest reading was got, as Unix time; absent when the newest measurement failed.",
        Gauge,
        SIGNAL,
        |snapshot, put| {
            signals(snapshot, |labels, signal, _| {
                if let Some(sample) = signal.newest.as_ref().filter(|sample| sample.outcome.is_ok()) {
                    put(labels, unix_time(&sample.at));
                }
            });
        },
    ),
    &family(
        "autoscalebot_measurement_up",
        "1 while the newest measurement gave a reading, 0 while it failed; absent before the first.",
        Gauge,
        SIGNAL,
        |snapshot, put| {
            signals(snapshot, |labels, signal, _| {
                if let Some(sample) = &signal.newest {
                    put(labels, flag(sample.outcome.is_ok()));
                }
            });
        },
    ),
    &family(
        "autoscalebot_measurements_total",
        "Measurements that gave a reading.",
        Counter,
        SIGNAL,
        |snapshot, put| {
            signals(snapshot, |labels, _, (glance, index)| {
                put(labels, Number::Count(glance.counts.measurements.get(&index).copied().unwrap_or_default()));
            });
        },
    ),
    &family(
        "autoscalebot_measurement_failures_total",
        "Measurements that failed, by the key of the failure.",
        Counter,
        &["process", "signal", "backend", "key"],
        |snapshot, put| {
            signals(snapshot, |labels, _, (glance, index)| {
                let [process, signal, backend] = *labels;
                for ((of, key), count) in &glance.counts.measurement_failures {
                    if *of == index {
                        put(&[process, signal, backend, key], Number::Count(*count));
                    }
                }
            });
        },
    ),
    &family(
        "autoscalebot_queue_waiting",
        "Items that wait in a queue, by the newest measurement of it; absent when it failed, and for what is no queue.",
        Gauge,
        SIGNAL,
        |snapshot, put| {
            signals(snapshot, |labels, signal, _| {
                if let Some(work) = signal.newest.as_ref().and_then(|sample| sample.work.as_deref()) {
                    put(labels, Number::of(work.waiting));
                }
            });
        },
    ),
    &family(
        "autoscalebot_queue_in_progress",
        "Items that workers have taken and not finished; absent where that cannot be seen.",
        Gauge,
        SIGNAL,
        |snapshot, put| {
            signals(snapshot, |labels, signal, _| {
                let work = signal.newest.as_ref().and_then(|sample| sample.work.as_deref());
                match work.map(|work| work.in_progress) {
                    Some(InProgress::Items(items) | InProgress::ByWorkers(items)) => put(labels, Number::of(items)),
                    Some(InProgress::Unseen) | None => {}
                }
            });
        },
    ),
    &family(
        "autoscalebot_queue_workers",
        "Workers of a queue that were seen, by state (busy, free); absent where workers cannot be seen.",
        Gauge,
        &["process", "signal", "backend", "state"],
        |snapshot, put| {
            signals(snapshot, |labels, signal, _| {
                let [process, index, backend] = *labels;
                let work = signal.newest.as_ref().and_then(|sample| sample.work.as_deref());
                let Some(workers) = work.and_then(|work| work.workers.as_ref()) else { return };
                let busy = workers.iter().filter(|worker| worker.busy).count();
                put(&[process, index, backend, "busy"], Number::of(busy));
                put(&[process, index, backend, "free"], Number::of(workers.len() - busy));
            });
        },
    ),
    &family(
        "autoscalebot_paused",
        "1 while people have paused growing (scope up) or shrinking (scope down), else 0; a pause of all sets both.",
        Gauge,
        &["process", "scope"],
        |snapshot, put| {
            for glance in &snapshot.glances {
                for direction in [Direction::Up, Direction::Down] {
                    let is_paused = match glance.control.mode {
                        Mode::Paused { scope, .. } => Scope::covers(scope, direction),
                        Mode::Automatic | Mode::Held { .. } => false,
                    };
                    put(&[glance.process.as_str(), word(direction)], flag(is_paused));
                }
            }
        },
    ),
    &family(
        "autoscalebot_held",
        "1 while people hold the count of this process, else 0.",
        Gauge,
        PROCESS,
        |snapshot, put| of_each(snapshot, put, |glance| Some(flag(matches!(glance.control.mode, Mode::Held { .. })))),
    ),
    &family(
        "autoscalebot_dry_run",
        "1 while orders are only told and not carried out, by the command line or by people, else 0.",
        Gauge,
        PROCESS,
        |snapshot, put| of_each(snapshot, put, |glance| Some(flag(glance.is_dry_run || glance.control.dry_run))),
    ),
    &family(
        "autoscalebot_store_up",
        "1 while history can be written, 0 while it cannot; absent when none is kept.",
        Gauge,
        &[],
        |snapshot, put| of_store(snapshot, put, |health| flag(health.error.is_none())),
    ),
    &family(
        "autoscalebot_store_lost_records_total",
        "Records of history that were lost because they could not be written in time.",
        Counter,
        &[],
        |snapshot, put| of_store(snapshot, put, |health| Number::Count(health.lost)),
    ),
    &family(
        "autoscalebot_store_waiting_records",
        "Records of history that wait to be written.",
        Gauge,
        &[],
        |snapshot, put| of_store(snapshot, put, |health| Number::of(health.waiting)),
    ),
    &HEROKU_REQUESTS_REMAINING,
    &NOTICES_WAITING,
    &NOTICES_DELIVERED,
    &NOTICES_LOST,
];

const fn family(
    name: &'static str,
    help: &'static str,
    kind: Kind,
    labels: &'static [&'static str],
    read: fn(&Snapshot, &mut Put<'_>),
) -> Family {
    Family { name, help, kind, labels, reading: Read(read) }
}

const fn observed(name: &'static str, help: &'static str, kind: Kind, labels: &'static [&'static str]) -> Family {
    Family { name, help, kind, labels, reading: Observed }
}

/// One number for each process of which it is known.
fn of_each<'s>(snapshot: &'s Snapshot, put: &mut Put<'_>, number: impl Fn(&'s Glance) -> Option<Number<'static>>) {
    for glance in &snapshot.glances {
        if let Some(number) = number(glance) {
            put(&[glance.process.as_str()], number);
        }
    }
}

/// Walks over all signals, with the values of the labels [`SIGNAL`].
fn signals<'s>(snapshot: &'s Snapshot, mut visit: impl FnMut(&[&str; 3], &'s SignalGlance, (&'s Glance, usize))) {
    each_signal(snapshot, |glance, index, signal, spec| {
        let place = index.to_string();
        visit(&[glance.process.as_str(), &place, &spec.measurement], signal, (glance, index));
    });
}

/// One number for each signal of which it is known, with the labels [`READING`].
fn of_each_signal(snapshot: &Snapshot, put: &mut Put<'_>, number: impl Fn(&SignalGlance) -> Option<f64>) {
    each_signal(snapshot, |glance, index, signal, spec| {
        if let Some(number) = number(signal) {
            let place = index.to_string();
            put(&[glance.process.as_str(), &place, &spec.measurement, &spec.unit], Number::Gauge(number));
        }
    });
}

fn each_signal<'s>(snapshot: &'s Snapshot, mut visit: impl FnMut(&'s Glance, usize, &'s SignalGlance, &'s SignalSpec)) {
    for glance in &snapshot.glances {
        for (index, (signal, spec)) in glance.signals.iter().zip(&glance.spec.signals).enumerate() {
            visit(glance, index, signal, spec);
        }
    }
}

fn of_store(snapshot: &Snapshot, put: &mut Put<'_>, number: impl Fn(&crate::store::Health) -> Number<'static>) {
    if let Some(health) = &snapshot.store {
        put(&[], number(health));
    }
}

fn word(direction: Direction) -> &'static str {
    match direction {
        Direction::Up => "up",
        Direction::Down => "down",
        Direction::Stay => "stay",
    }
}

fn flag(holds: bool) -> Number<'static> {
    Number::Gauge(f64::from(u8::from(holds)))
}

fn unix_time(moment: &autoscalebot_core::moment::Moment) -> Number<'static> {
    Number::Gauge(moment.civil.as_duration().as_secs_f64())
}
