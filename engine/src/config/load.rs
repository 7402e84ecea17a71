//! temporary loader
use super::*;
use crate::environment::Environment;
use autoscalebot_core::registry::{find, parse, property_names};
use std::path::{Path, PathBuf};
/// tmp
pub struct Loaded {
    /// c
    pub config: Config,
    /// w
    pub warnings: Vec<String>,
    /// p
    pub path: PathBuf,
}
fn split(v: &Value, common: &[String]) -> (Value, Value) {
    let mut a = serde_json::Map::new();
    let mut b = serde_json::Map::new();
    if let Some(m) = v.as_object() {
        for (k, v) in m {
            if common.contains(k) {
                a.insert(k.clone(), v.clone());
            } else {
                b.insert(k.clone(), v.clone());
            }
        }
    }
    (Value::Object(a), Value::Object(b))
}
/// tmp
pub fn load(source: Option<&str>, folder: &Path, _: &Environment) -> Result<Loaded, ConfigErrors> {
    let path = folder.join(source.unwrap_or("autoscale_settings.toml"));
    let text = std::fs::read_to_string(&path).map_err(|e| ConfigErrors(vec![e.to_string()]))?;
    let v: Value = toml::from_str(&text).map_err(|e| ConfigErrors(vec![e.to_string()]))?;
    let mut processes = BTreeMap::new();
    for (name, p) in v.as_object().unwrap() {
        let e = |_| ConfigErrors(vec![format!("{name} wrong")]);
        let st = |s: &str, d: &str| (p[s]["backend"].as_str().unwrap_or(d).to_owned(), p[s]["settings"].clone());
        let (mb, ms) = st("measurement", "ResponseTime");
        let (db, ds) = st("decision", "ConsecutiveThreshold");
        let (sb, ss) = st("scaling", "DryRun");
        let (mc, ms) = split(&ms, &property_names(&schemars::schema_for!(measurement::Common)));
        let (dc, ds) = split(&ds, &property_names(&schemars::schema_for!(decision::Common)));
        let measurement = BackendSettings { backend: find(measurement::BACKENDS, &mb).map_err(e)?.name, settings: ms };
        let decision = BackendSettings { backend: find(decision::BACKENDS, &db).map_err(e)?.name, settings: ds };
        let scaling = BackendSettings {
            backend: find(crate::scaling::BACKENDS, &sb).map_err(e)?.name,
            settings: if ss.is_null() { serde_json::json!({}) } else { ss },
        };
        let backends = p["notification"]["backends"]
            .as_array()
            .cloned()
            .unwrap_or_default()
            .iter()
            .map(|b| BackendSettings {
                backend: find(notification::BACKENDS, b.as_str().unwrap()).map_err(|_| 0).unwrap().name,
                settings: serde_json::json!({}),
            })
            .collect();
        processes.insert(
            ProcessName::new(name.clone()).unwrap(),
            ProcessConfig {
                signals: vec![SignalConfig {
                    measurement,
                    measurement_common: parse(&mc).map_err(|p| ConfigErrors(vec![format!("{p:?}")]))?,
                    decision,
                    decision_common: parse(&dc).map_err(|p| ConfigErrors(vec![format!("{p:?}")]))?,
                }],
                scaling,
                notification: NotificationConfig { backends, common: Default::default() },
            },
        );
    }
    Ok(Loaded { config: Config { processes }, warnings: vec![], path })
}
