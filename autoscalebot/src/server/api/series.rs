//! History for charts: what ran, what was wanted and what was measured, in steps of equal length.

use std::{sync::Arc, time::Duration};

use autoscalebot_engine::store::{self, SeriesWish};
use axum::{
    Json,
    extract::{Path, State},
};
use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::{
    input::{Asked, no_process, range, within},
    time::Time,
};
use crate::server::{failure::Failure, site::Site};

/// What is shown when nobody says from when: the last hour.
const USUAL_LENGTH: Duration = Duration::from_secs(3600);

/// As many points as a wide screen has room for.
const USUAL_POINTS: u32 = 600;

/// More points than this no screen can show, and they would be megabytes.
const MOST_POINTS: u32 = 5000;

/// Which range.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub struct SeriesQuery {
    /// Its beginning; an hour before its end when not given.
    #[param(value_type = Option<String>, format = DateTime)]
    from: Option<Timestamp>,
    /// Its end; now when not given.
    #[param(value_type = Option<String>, format = DateTime)]
    to: Option<Timestamp>,
    /// About how many points at most.
    #[param(minimum = 1, maximum = 5000, default = 600)]
    points: Option<u32>,
}

/// A range of the history of one process. All lists are as long as `at_ms`; steps in which nothing happened are left out.
#[derive(Debug, Serialize, ToSchema)]
pub struct Series {
    /// The process.
    process: String,
    /// The beginning of the range.
    from: Time,
    /// Its end.
    to: Time,
    /// The length of a step.
    step_seconds: f64,
    /// What it was made from.
    source: Source,
    /// What was measured; one per list of readings.
    signals: Vec<SeriesSignal>,
    /// The beginnings of the steps, in Unix milliseconds.
    at_ms: Vec<i64>,
    /// Most that ran in each step.
    running: Vec<Option<i64>>,
    /// Most that were wanted.
    wanted: Vec<Option<i64>>,
    /// The least allowed.
    min: Vec<Option<i64>>,
    /// The most allowed.
    max: Vec<Option<i64>>,
    /// What each signal measured.
    readings: Vec<Readings>,
}

/// What a series was made from.
#[derive(Debug, Clone, Copy, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
enum Source {
    /// Single decisions.
    Raw,
    /// What is kept for longer, in steps of five minutes.
    Rollup,
}

/// What a signal is, as of now.
#[derive(Debug, Serialize, ToSchema)]
struct SeriesSignal {
    /// Its number, in the order of the settings.
    index: usize,
    /// The name of its backend.
    backend: String,
    /// The unit of its readings; empty when there is none.
    unit: String,
    /// A reading at or below this is low.
    low: Option<f64>,
    /// A reading above this is high.
    high: Option<f64>,
}

/// What one signal measured in each step.
#[derive(Debug, Serialize, ToSchema)]
struct Readings {
    /// The mean.
    mean: Vec<Option<f64>>,
    /// The lowest.
    lowest: Vec<Option<f64>>,
    /// The highest.
    highest: Vec<Option<f64>>,
    /// How many measurements failed.
    failures: Vec<i64>,
}

/// The history of one process, for charts
#[utoipa::path(
    get, path = "/api/v1/processes/{name}/series", tag = "history",
    params(("name" = String, Path, description = "The process", pattern = "^[A-Za-z0-9_-]{1,128}$"), SeriesQuery),
    responses((status = 200, body = Series)),
)]
pub async fn series(
    State(site): State<Arc<Site>>,
    Path(name): Path<String>,
    Asked(query): Asked<SeriesQuery>,
) -> Result<Json<Series>, Failure> {
    let glance = site.parts.board.glance(&name).ok_or_else(|| no_process(&name, &site.parts.board))?;
    let points = within("points", query.points.unwrap_or(USUAL_POINTS), 1..=MOST_POINTS).map_err(Failure::query)?;
    let to = query.to.unwrap_or_else(|| site.parts.clock.now().civil);
    let length = SignedDuration::try_from(USUAL_LENGTH).unwrap_or_default();
    let from = query.from.unwrap_or_else(|| to.checked_sub(length).unwrap_or(Timestamp::MIN));
    range(Some(from), Some(to))?;
    let wish = SeriesWish { from, to, points };
    let found = site.read(async |reader| reader.series(&name, glance.signals.len(), &wish).await).await?;
    let signal = |(index, (spec, signal)): (usize, (&autoscalebot_engine::policy::SignalSpec, _))| {
        let signal: &autoscalebot_engine::board::SignalGlance = signal;
        let (backend, unit) = (spec.measurement.clone(), spec.unit.clone());
        SeriesSignal { index, backend, unit, low: signal.low, high: signal.high }
    };
    Ok(Json(Series {
        process: name,
        from: Time(from),
        to: Time(to),
        step_seconds: found.step.as_secs_f64(),
        source: if found.is_rollup { Source::Rollup } else { Source::Raw },
        signals: glance.spec.signals.iter().zip(&glance.signals).enumerate().map(signal).collect(),
        at_ms: found.at_ms,
        running: found.running,
        wanted: found.wanted,
        min: found.min,
        max: found.max,
        readings: found.signals.into_iter().map(Readings::from).collect(),
    }))
}

impl From<store::SignalSeries> for Readings {
    fn from(series: store::SignalSeries) -> Self {
        let store::SignalSeries { mean, lowest, highest, failures } = series;
        Self { mean, lowest, highest, failures }
    }
}
