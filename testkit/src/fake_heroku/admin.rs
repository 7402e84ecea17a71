//! The fake's own calls, for those who drive the program from outside: `/_fake/…`, no token, not recorded.
//!
//! | call | body | does |
//! | --- | --- | --- |
//! | `GET /_fake/requests` | | lists every request: method, path, query, body, status |
//! | `DELETE /_fake/requests` | | forgets them |
//! | `POST /_fake/faults` | `{"fault":"status","status":503,"method":"PATCH","path":"formation","times":2}` | plans trouble |
//! | `DELETE /_fake/faults` | | calls it off |
//! | `GET /_fake/formation` | | `{"web": 1, …}` |
//! | `POST /_fake/formation` | `{"type":"web","quantity":3}` | somebody else scales |
//! | `POST /_fake/log` | `{"source":"app","dyno":"web.1","message":"…"}` | adds a line |
//! | `POST /_fake/router-log` | `{"delay_ms":500,"drop_next":1,"swap_pairs":true}` | spoils router lines |
//! | `POST /_fake/log-sessions/close` | | ends every log session |
//! | `POST /_fake/rate` | `{"remaining":3}` | sets what the account has left |
//! | `POST /_fake/preboot` | `{"in_progress":true}` | formation changes are refused |
//! | `POST /_fake/service-time` | `{"milliseconds":300}` | what a request to an app without upstream costs |
//! | `POST /_fake/crash` | `{"type":"web"}` | crashes the dynos |
//! | `POST /_fake/release` | | a new release, which restarts all dynos |
//! | `POST /_fake/clock` | `{"advance_seconds":3600}` | lets time pass |
//!
//! Where there are several apps, `"app": "name"` in the body picks one; the first is picked without it.

use std::time::Duration;

use axum::{
    body::Body,
    http::{HeaderValue, StatusCode, header},
    response::Response,
};
use serde_json::{Value, json};

use super::{
    api::Call,
    faults::PlannedFault,
    log::{Line, RouterLogFaults},
    state::{Shared, World},
};

type Result<T> = std::result::Result<T, String>;

/// Answers a call to `/_fake/…`.
pub(crate) fn answer(shared: &Shared, call: &Call) -> Response {
    let name = call.path.trim_start_matches("/_fake/");
    let (status, body) = match call.json() {
        Err(error) => (StatusCode::BAD_REQUEST, json!({ "error": error.message })),
        Ok(body) => match act(shared, call.method.as_str(), name, &body) {
            Ok(Some(body)) => (StatusCode::OK, body),
            Ok(None) => (StatusCode::NOT_FOUND, json!({ "error": format!("no call {} /_fake/{name}", call.method) })),
            Err(error) => (StatusCode::BAD_REQUEST, json!({ "error": error })),
        },
    };
    let mut response = Response::new(Body::from(format!("{body}\n")));
    *response.status_mut() = status;
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}

/// Does it; `None` when there is no such call.
fn act(shared: &Shared, method: &str, name: &str, body: &Value) -> Result<Option<Value>> {
    if (method, name) == ("POST", "clock") {
        shared.clock.advance(Duration::from_secs_f64(number(body, "advance_seconds")?));
    }
    shared.with(|world, now| {
        let app = match body["app"].as_str() {
            None => 0,
            Some(name) => world.find_app(name).ok_or_else(|| format!("no app {name}"))?,
        };
        let done = json!({ "ok": true });
        let answer = match (method, name) {
            ("GET", "requests") => Value::Array(world.recorded.iter().map(super::Recorded::json).collect()),
            ("DELETE", "requests") => {
                world.recorded.clear();
                done
            }
            ("POST", "faults") => {
                let plan: PlannedFault = serde_json::from_value(body.clone()).map_err(|error| error.to_string())?;
                world.faults.push(plan);
                done
            }
            ("DELETE", "faults") => {
                world.faults.clear();
                done
            }
            ("GET", "formation") => formation(world, app),
            ("POST", "formation") => {
                let quantity = number(body, "quantity")? as u32;
                let process = text(body, "type")?;
                if !world.set_quantity(app, process, quantity, now) {
                    return Err(format!("no process type {process}"));
                }
                formation(world, app)
            }
            ("POST", "log") => {
                let source = body["source"].as_str().unwrap_or("app");
                let dyno = body["dyno"].as_str().unwrap_or("web.1");
                let line = Line::new(now.civil, source, dyno, text(body, "message")?);
                world.apps[app].log.push(line);
                done
            }
            ("POST", "router-log") => {
                world.apps[app].router_log_faults = RouterLogFaults {
                    delay: Duration::from_millis(body["delay_ms"].as_u64().unwrap_or(0)),
                    drop_next: body["drop_next"].as_u64().and_then(|count| u32::try_from(count).ok()).unwrap_or(0),
                    swap_pairs: body["swap_pairs"].as_bool().unwrap_or(false),
                };
                done
            }
            ("POST", "log-sessions/close") => {
                world.close_log_sessions();
                done
            }
            ("POST", "rate") => {
                world.pool.set(number(body, "remaining")?, now.since_start);
                done
            }
            ("POST", "preboot") => {
                world.apps[app].preboot_in_progress =
                    body["in_progress"].as_bool().ok_or("in_progress must be true or false")?;
                done
            }
            ("POST", "service-time") => {
                world.apps[app].service_time = Duration::from_secs_f64(number(body, "milliseconds")? / 1000.0);
                done
            }
            ("POST", "crash") => {
                world.crash(app, text(body, "type")?, now);
                done
            }
            ("POST", "release") => {
                world.release(app, now);
                done
            }
            ("POST", "clock") => done,
            _ => return Ok(None),
        };
        Ok(Some(answer))
    })
}

fn formation(world: &World, app: usize) -> Value {
    world.apps[app].processes.iter().map(|process| (process.name.clone(), Value::from(process.quantity))).collect()
}

/// A number that is not negative and not absurd.
fn number(body: &Value, key: &str) -> Result<f64> {
    let number = body[key].as_f64().filter(|number| (0.0..=1e9).contains(number));
    number.ok_or_else(|| format!("{key} must be a number from 0 to 1e9"))
}

fn text<'a>(body: &'a Value, key: &str) -> Result<&'a str> {
    body[key].as_str().ok_or_else(|| format!("{key} must be a text"))
}
