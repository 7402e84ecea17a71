//! What was decided and what happened, newest first, a page at a time.

use std::sync::Arc;

use autoscalebot_core::{
    bounds::Limit as CoreLimit,
    decision::Direction as CoreDirection,
    event::Event as CoreEvent,
    moment::Moment,
    names::ProcessName,
    step::{self, Held as CoreHeld},
};
use autoscalebot_engine::{
    notification::text::{self, Text},
    store::{DecisionRow, DecisionsWish, EventRow, EventsWish},
};
use axum::{Json, extract::State};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::{
    input::{Asked, process, range, within, word},
    process::{Order, Reason},
    time::Time,
};
use crate::server::{failure::Failure, site::Site};

/// A page that fits a screen or two.
const USUAL_LIMIT: u32 = 100;

/// A page of this many is some hundred kilobytes.
const MOST_ON_A_PAGE: u32 = 1000;

/// Which decisions.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub struct DecisionsQuery {
    /// Only of this process, which need not exist any more.
    #[param(pattern = "^[A-Za-z0-9_-]{1,128}$")]
    process: Option<String>,
    /// Not before this.
    #[param(value_type = Option<String>, format = DateTime)]
    from: Option<Timestamp>,
    /// Before this.
    #[param(value_type = Option<String>, format = DateTime)]
    to: Option<Timestamp>,
    /// Only those that point this way.
    #[param(inline)]
    direction: Option<Direction>,
    /// Only those with this key of the reason.
    #[param(min_length = 1, max_length = 100, pattern = r"^[^\u0000-\u001f\u007f-\u009f]+$")]
    key: Option<String>,
    /// `true`: only those with an order.
    changed: Option<bool>,
    /// How many at most.
    #[param(minimum = 1, maximum = 1000, default = 100)]
    limit: Option<u32>,
    /// Those after a page, by its `next`.
    #[param(pattern = r"^[0-9]{1,18}\.[0-9]{1,18}\.[0-9]{1,18}$")]
    before: Option<String>,
}

/// Decisions, newest first.
#[derive(Debug, Serialize, ToSchema)]
pub struct Decisions {
    /// What is on this page.
    decisions: Vec<Decision>,
    /// Where the next page begins; null when this is the last.
    next: Option<String>,
}

/// A decision.
#[derive(Debug, Serialize, ToSchema)]
struct Decision {
    /// The process.
    process: String,
    /// When.
    at: Time,
    /// How many ran; null when nobody knew.
    running: Option<u32>,
    /// How many were wanted, within the bounds.
    wanted: u32,
    /// The least allowed then.
    min: u32,
    /// The most allowed then.
    max: u32,
    /// Which way it points.
    direction: Direction,
    /// What was ordered.
    order: Option<Order>,
    /// What became of the order.
    settled: Option<Settled>,
    /// The bound that the wish hit.
    limit: Option<Limit>,
    /// Why there was no order.
    held: Option<Held>,
    /// Why.
    reason: Reason,
    /// The new readings, by the number of the signal; null where there was none.
    readings: Vec<Option<f64>>,
    /// The version of the settings that was in force.
    settings_version: i64,
}

/// Which way a decision points.
#[derive(Debug, Clone, Copy, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
enum Direction {
    /// More.
    Up,
    /// Fewer.
    Down,
    /// As many.
    Stay,
}

/// What became of an order.
#[derive(Debug, Clone, Copy, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
enum Settled {
    /// The platform took it.
    Scaled,
    /// Nothing had to change any more.
    AlreadyThere,
    /// It was only told.
    DryRun,
    /// The platform did not take it.
    Failed,
}

/// One of the two bounds.
#[derive(Debug, Clone, Copy, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
enum Limit {
    /// The most.
    Max,
    /// The least.
    Min,
}

/// Why an order was not given.
#[derive(Debug, Clone, Copy, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
enum Held {
    /// The wait after the last scale.
    Waiting,
    /// The platform refused the last order.
    BackingOff,
    /// Somebody worked who would have been stopped.
    Busy,
    /// A person had paused it.
    Paused,
}

/// Every decision that was kept
#[utoipa::path(
    get, path = "/api/v1/decisions", tag = "history", params(DecisionsQuery),
    responses((status = 200, body = Decisions)),
)]
pub async fn decisions(
    State(site): State<Arc<Site>>,
    Asked(query): Asked<DecisionsQuery>,
) -> Result<Json<Decisions>, Failure> {
    range(query.from, query.to)?;
    let direction = query.direction.map(|direction| match direction {
        Direction::Up => "up",
        Direction::Down => "down",
        Direction::Stay => "stay",
    });
    let wish = DecisionsWish {
        process: process(query.process)?,
        from: query.from,
        to: query.to,
        direction: direction.map(str::to_owned),
        key: word("key", query.key)?,
        only_orders: query.changed.unwrap_or(false),
        limit: limit(query.limit)?,
        before: word("before", query.before)?,
    };
    let page = site.read(async |reader| reader.decisions(&wish).await).await?;
    let decisions = page.items.into_iter().map(|row| Decision::of(row, &site)).collect();
    Ok(Json(Decisions { decisions, next: page.next }))
}

fn limit(limit: Option<u32>) -> Result<u32, Failure> {
    within("limit", limit.unwrap_or(USUAL_LIMIT), 1..=MOST_ON_A_PAGE).map_err(Failure::query)
}

impl Decision {
    fn of(row: DecisionRow, site: &Site) -> Self {
        let DecisionRow { process, at, outcome, settled, samples, version } = row;
        let signals = site.parts.board.glance(&process).map_or(0, |glance| glance.signals.len());
        let most = samples.iter().map(|(index, _)| index + 1).max().unwrap_or(0).max(signals);
        let mut readings = vec![None; most];
        for (index, sample) in samples {
            readings[index] = sample.number().map(|number| number.get());
        }
        Self {
            process,
            at: Time(at),
            running: outcome.running,
            wanted: outcome.decision.wanted,
            min: outcome.range.min,
            max: outcome.range.max,
            direction: match outcome.decision.direction {
                CoreDirection::Up => Direction::Up,
                CoreDirection::Down => Direction::Down,
                CoreDirection::Stay => Direction::Stay,
            },
            order: outcome.order.as_ref().map(Order::from),
            settled: settled.map(|settled| match settled {
                step::Settled::Scaled => Settled::Scaled,
                step::Settled::AlreadyThere => Settled::AlreadyThere,
                step::Settled::DryRun => Settled::DryRun,
                step::Settled::Failed(_) => Settled::Failed,
            }),
            limit: outcome.limit.map(|limit| match limit {
                CoreLimit::Max => Limit::Max,
                CoreLimit::Min => Limit::Min,
            }),
            held: outcome.held.map(|held| match held {
                CoreHeld::Waiting(_) => Held::Waiting,
                CoreHeld::BackingOff(_) => Held::BackingOff,
                CoreHeld::Busy(_) => Held::Busy,
                CoreHeld::Paused(_) => Held::Paused,
            }),
            reason: Reason::of(&outcome.decision.reason),
            readings,
            settings_version: version,
        }
    }
}

/// Which events.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub struct EventsQuery {
    /// Only of this process, which need not exist any more.
    #[param(pattern = "^[A-Za-z0-9_-]{1,128}$")]
    process: Option<String>,
    /// Only of this kind: `scaled_up`.
    #[param(min_length = 1, max_length = 100, pattern = r"^[^\u0000-\u001f\u007f-\u009f]+$")]
    kind: Option<String>,
    /// Only this severe.
    #[param(inline)]
    severity: Option<Severity>,
    /// Not before this.
    #[param(value_type = Option<String>, format = DateTime)]
    from: Option<Timestamp>,
    /// Before this.
    #[param(value_type = Option<String>, format = DateTime)]
    to: Option<Timestamp>,
    /// How many at most.
    #[param(minimum = 1, maximum = 1000, default = 100)]
    limit: Option<u32>,
    /// Those after a page, by its `next`.
    #[param(pattern = r"^[0-9]{1,18}\.[0-9]{1,18}$")]
    before: Option<String>,
}

/// Events, newest first.
#[derive(Debug, Serialize, ToSchema)]
pub struct Events {
    /// What is on this page.
    events: Vec<Event>,
    /// Where the next page begins; null when this is the last.
    next: Option<String>,
}

/// Something that happened, in words.
#[derive(Debug, Serialize, ToSchema)]
pub struct Event {
    /// Its number in the store; one that comes by the stream has another, as it is not kept yet.
    id: String,
    /// The process.
    process: String,
    /// When.
    at: Time,
    /// Stable word.
    kind: String,
    /// How much it matters.
    severity: Severity,
    /// What happened, in a line.
    subject: String,
    /// The numbers, and what to do.
    facts: Vec<Fact>,
}

/// How much an event matters.
#[derive(Debug, Clone, Copy, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
enum Severity {
    /// All is as it should be.
    Info,
    /// Somebody should look at it some time.
    Warning,
    /// Something does not work.
    Error,
}

/// A part of what is known of an event.
#[derive(Debug, Serialize, ToSchema)]
struct Fact {
    /// What it is about.
    label: String,
    /// What is known.
    text: String,
}

/// What happened
#[utoipa::path(
    get, path = "/api/v1/events", tag = "history", params(EventsQuery), responses((status = 200, body = Events)),
)]
pub async fn events(State(site): State<Arc<Site>>, Asked(query): Asked<EventsQuery>) -> Result<Json<Events>, Failure> {
    range(query.from, query.to)?;
    let wish = EventsWish {
        process: process(query.process)?,
        from: query.from,
        to: query.to,
        kind: word("kind", query.kind)?,
        severity: query.severity.map(|severity| severity.key().to_owned()),
        limit: limit(query.limit)?,
        before: word("before", query.before)?,
    };
    let page = site.read(async |reader| reader.events(&wish).await).await?;
    let event = |EventRow { id, process, at, event }: EventRow| {
        let at = Moment { since_start: std::time::Duration::ZERO, civil: at };
        Event::of(id.to_string(), &process, at, &event)
    };
    Ok(Json(Events { events: page.items.into_iter().map(event).collect(), next: page.next }))
}

impl Event {
    /// An event in words.
    #[must_use]
    pub fn of(id: String, process: &ProcessName, at: Moment, event: &CoreEvent) -> Self {
        let text = Text::about(process, at, event);
        let facts = text.facts.into_iter().map(|(label, text)| Fact { label: label.to_owned(), text });
        Self {
            id,
            process: process.to_string(),
            at: at.into(),
            kind: text::key(event).to_owned(),
            severity: match text.severity {
                text::Severity::Info => Severity::Info,
                text::Severity::Warning => Severity::Warning,
                text::Severity::Error => Severity::Error,
            },
            subject: text.subject,
            facts: facts.collect(),
        }
    }
}

impl Severity {
    fn key(self) -> &'static str {
        match self {
            Self::Info => "info",
            Self::Warning => "warning",
            Self::Error => "error",
        }
    }
}
