//! The settings in force, where each value came from, and since when. Secrets were made fixed text long before this.

use std::sync::Arc;

use axum::{Json, extract::State};
use serde::Serialize;
use serde_json::Value;
use utoipa::ToSchema;

use super::{
    input::{Asked, Nothing},
    time::Time,
};
use crate::server::{failure::Failure, site::Site};

/// The settings of all processes.
#[derive(Debug, Serialize, ToSchema)]
pub struct Settings {
    /// In the order of their names.
    processes: Vec<ProcessSettings>,
}

/// The settings of one process.
#[derive(Debug, Serialize, ToSchema)]
struct ProcessSettings {
    /// The process.
    process: String,
    /// Their version, by the store; null when there is none.
    version: Option<i64>,
    /// Since when they are in force, by the store.
    since: Option<Time>,
    /// Each setting.
    settings: Vec<Setting>,
}

/// One setting in force.
#[derive(Debug, Serialize, ToSchema)]
struct Setting {
    /// Which one.
    path: String,
    /// Its value; fixed text when it is secret.
    value: Value,
    /// Where the value came from: `default`, a file with its line, `$VARIABLE`.
    source: String,
}

/// The settings in force
#[utoipa::path(get, path = "/api/v1/settings", tag = "now", responses((status = 200, body = Settings)))]
pub async fn settings(State(site): State<Arc<Site>>, _: Asked<Nothing>) -> Result<Json<Settings>, Failure> {
    let mut processes = Vec::new();
    for glance in site.parts.board.glances() {
        let version = site.version(&glance);
        let since = match version {
            Some(version) => site.since(&glance.process, version).await,
            None => None,
        };
        let settings = glance.settings.iter().flat_map(|settings| settings.iter()).map(|setting| Setting {
            path: setting.path.to_string(),
            value: setting.value.clone(),
            source: setting.source.to_string(),
        });
        processes.push(ProcessSettings {
            process: glance.process.to_string(),
            version,
            since: since.map(Time),
            settings: settings.collect(),
        });
    }
    Ok(Json(Settings { processes }))
}
