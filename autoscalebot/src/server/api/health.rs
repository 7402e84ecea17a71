//! How the program itself is: whether its bots move and its store writes.

use std::sync::Arc;

use axum::{Extension, Json, extract::State};
use serde::Serialize;
use utoipa::ToSchema;

use super::{
    input::{Asked, Nothing},
    time::Time,
};
use crate::server::{access, failure::Failure, site::Site};

/// How the program is.
#[derive(Debug, Serialize, ToSchema)]
pub struct Health {
    /// Whether something needs a person.
    status: HealthStatus,
    /// The version of the program.
    version: &'static str,
    /// When it started.
    started_at: Time,
    /// The server's time.
    now: Time,
    /// For how long it runs.
    uptime_seconds: f64,
    /// How many processes have a bot.
    processes: usize,
    /// Those whose bot does not move.
    stalled: Vec<String>,
    /// What whoever asks may do.
    role: Role,
    /// How the store is.
    store: StoreHealth,
}

/// How the program is, in a word.
#[derive(Debug, Clone, Copy, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
enum HealthStatus {
    /// All is well.
    Ok,
    /// A bot does not move, or the store does not write.
    Degraded,
}

/// What somebody may do.
#[derive(Debug, Clone, Copy, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
enum Role {
    /// Look.
    Read,
    /// Look and command.
    Operate,
}

/// How the store is.
#[derive(Debug, Serialize, ToSchema)]
struct StoreHealth {
    /// What it is.
    kind: StoreKind,
    /// Whether it writes, and is whole.
    state: StoreState,
    /// Why it does not.
    error: Option<String>,
    /// What could not be kept since the program started.
    lost_records: u64,
    /// What waits to be written.
    waiting_records: u64,
    /// For how many days every decision is kept.
    retention_days: u32,
    /// For how many days events and coarse charts are kept.
    rollup_days: u32,
}

/// What the store is.
#[derive(Debug, Clone, Copy, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
enum StoreKind {
    /// A file.
    Sqlite,
    /// A database.
    Postgres,
    /// There is none.
    None,
}

/// Whether the store writes.
#[derive(Debug, Clone, Copy, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
enum StoreState {
    /// It does.
    Ok,
    /// It tries.
    Failing,
    /// There is none.
    Off,
}

/// How the program is, and what you may do
#[utoipa::path(get, path = "/api/v1/health", tag = "now", responses((status = 200, body = Health)))]
pub async fn health(
    State(site): State<Arc<Site>>,
    Extension(role): Extension<access::Role>,
    _: Asked<Nothing>,
) -> Result<Json<Health>, Failure> {
    let (now, store) = (site.parts.clock.now(), store(&site));
    let stalled = site.stalled(&now);
    let is_well = stalled.is_empty() && !matches!(store.state, StoreState::Failing);
    Ok(Json(Health {
        status: if is_well { HealthStatus::Ok } else { HealthStatus::Degraded },
        version: env!("CARGO_PKG_VERSION"),
        started_at: site.parts.started.into(),
        now: now.into(),
        uptime_seconds: now.since(&site.parts.started).as_secs_f64(),
        processes: site.parts.board.names().len(),
        stalled,
        role: match role {
            access::Role::Read => Role::Read,
            access::Role::Operate => Role::Operate,
        },
        store,
    }))
}

fn store(site: &Site) -> StoreHealth {
    let Some(store) = &site.parts.store else {
        return StoreHealth {
            kind: StoreKind::None,
            state: StoreState::Off,
            error: None,
            lost_records: 0,
            waiting_records: 0,
            retention_days: 0,
            rollup_days: 0,
        };
    };
    let (health, keep) = (store.health(), store.keep());
    StoreHealth {
        kind: if store.place().kind() == "sqlite" { StoreKind::Sqlite } else { StoreKind::Postgres },
        state: if health.error.is_some() { StoreState::Failing } else { StoreState::Ok },
        error: health.error,
        lost_records: health.lost,
        waiting_records: health.waiting as u64,
        retention_days: keep.days,
        rollup_days: keep.rollup_days,
    }
}
