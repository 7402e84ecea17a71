//! What each call does.

use autoscalebot_core::moment::Moment;
use axum::http::{Method, StatusCode};
use serde_json::{Value, json};

use super::{
    api::{Answer, Call},
    app::App,
    clock::api_time,
    errors::ApiError,
    formation::{self, Update},
    identity::id_of,
    log_sessions,
    sizes::{self, DynoSize},
    state::World,
};

type Result<T> = std::result::Result<T, ApiError>;

/// Finds the call's route and takes it.
pub(crate) fn route(world: &mut World, now: Moment, method: &Method, segments: &[&str], call: &Call) -> Result<Answer> {
    match (method.as_str(), segments) {
        ("GET", ["account"]) => Ok(Answer::ok(account(world))),
        ("GET", ["account", "rate-limits"]) => {
            Ok(Answer::ok(json!({ "remaining": world.pool.remaining(now.since_start) })))
        }
        ("GET", ["apps"]) => {
            let apps = world.apps.iter().map(|app| app.json(&world.email)).collect();
            Ok(Answer::list(apps, &["id", "name", "updated_at"]))
        }
        ("GET", ["dyno-sizes"]) => Ok(Answer::list(sizes::SIZES.iter().map(DynoSize::json).collect(), &["id", "name"])),
        ("GET", ["dyno-sizes", size]) => {
            let size = sizes::find(size).ok_or_else(|| ApiError::not_found("dyno size"))?;
            Ok(Answer::ok(size.json()))
        }
        (_, ["apps", app, rest @ ..]) => {
            let app = world.find_app(app).ok_or_else(ApiError::no_such_app)?;
            route_in_app(world, now, method, app, rest, call)
        }
        _ => Err(no_such_route()),
    }
}

fn route_in_app(
    world: &mut World,
    now: Moment,
    method: &Method,
    app: usize,
    segments: &[&str],
    call: &Call,
) -> Result<Answer> {
    match (method.as_str(), segments) {
        ("GET", []) => Ok(Answer::ok(world.apps[app].json(&world.email))),
        ("PATCH", []) => change_app(world, now, app, &call.json()?),
        ("GET", ["formation"]) => {
            let app = &world.apps[app];
            let rows = app.processes.iter().map(|process| app.process_json(process)).collect();
            Ok(Answer::list(rows, &["id", "type"]))
        }
        ("PATCH", ["formation"]) => {
            let updates = formation::read_batch(&call.json()?, &world.open)?;
            let changed = change_formation(world, now, app, &updates)?;
            Ok(Answer::ok(Value::Array(changed)))
        }
        ("GET", ["formation", process]) => Ok(Answer::ok(find_process(&world.apps[app], process)?)),
        ("PATCH", ["formation", process]) => {
            let update = formation::read_single(process, &call.json()?, &world.open)?;
            change_formation(world, now, app, &[update])?;
            Ok(Answer::ok(find_process(&world.apps[app], process)?))
        }
        ("GET", ["dynos"]) => Ok(Answer::list(list_dynos(world, app), &["id", "name"])),
        ("POST", ["dynos"]) => run_one_off(world, now, app, &call.json()?),
        ("DELETE", ["dynos"]) => {
            world.restart(app, now, |dyno| dyno.process != "run");
            Ok(accepted())
        }
        ("GET", ["dynos", dyno]) => {
            let app = &world.apps[app];
            let found = app.dynos.iter().find(|candidate| candidate.id == *dyno || candidate.name == *dyno);
            Ok(Answer::ok(found.ok_or_else(|| ApiError::not_found("dyno"))?.json(app)))
        }
        ("DELETE", ["dynos", dyno]) => {
            restart_dyno(world, now, app, dyno)?;
            Ok(accepted())
        }
        ("POST", ["dynos", dyno, "actions", "stop"]) => {
            restart_dyno(world, now, app, dyno)?;
            Ok(stopped(world))
        }
        ("DELETE", ["formations", process]) => {
            restart_process(world, now, app, process)?;
            Ok(accepted())
        }
        ("POST", ["formations", process, "actions", "stop"]) => {
            restart_process(world, now, app, process)?;
            Ok(stopped(world))
        }
        ("GET", ["releases"]) => {
            let app = &world.apps[app];
            let rows = app.releases.iter().map(|release| app.release_json(release, &world.email)).collect();
            Ok(Answer::list(rows, &["id", "version"]))
        }
        ("GET", ["releases", release]) => {
            let app = &world.apps[app];
            let found = app.find_release(release).ok_or_else(|| ApiError::not_found("release"))?;
            Ok(Answer::ok(app.release_json(found, &world.email)))
        }
        ("GET", ["features"]) => Ok(Answer::list(vec![world.apps[app].preboot_json()], &["id", "name"])),
        ("GET", ["features", "preboot"]) => Ok(Answer::ok(world.apps[app].preboot_json())),
        ("PATCH", ["features", "preboot"]) => change_preboot(world, app, &call.json()?),
        ("GET", ["available-dyno-sizes"]) => {
            let rows = sizes::available(world.apps[app].generation).map(DynoSize::json).collect();
            Ok(Answer::list(rows, &["id", "name"]))
        }
        ("POST", ["log-sessions"]) => log_sessions::create(world, now, app, &call.json()?),
        _ => Err(no_such_route()),
    }
}

/// The text is not verified.
fn no_such_route() -> ApiError {
    ApiError::of_status(404, "The requested API endpoint was not found.")
}

fn accepted() -> Answer {
    Answer::of(StatusCode::ACCEPTED, json!({}))
}

fn stopped(world: &World) -> Answer {
    Answer::of(StatusCode::from_u16(world.open.stop_action_status).unwrap_or(StatusCode::ACCEPTED), json!({}))
}

fn account(world: &World) -> Value {
    json!({
        "allow_tracking": true,
        "beta": false,
        "country_of_residence": null,
        "created_at": "2024-01-01T12:00:00Z",
        "default_organization": null,
        "default_team": null,
        "delinquent_at": null,
        "email": world.email,
        "federated": false,
        "id": id_of("user", &world.email),
        "identity_provider": null,
        "last_login": "2024-01-01T12:00:00Z",
        "name": null,
        "sms_number": null,
        "suspended_at": null,
        "two_factor_authentication": false,
        "updated_at": "2024-01-01T12:00:00Z",
        "verified": true,
    })
}

fn change_app(world: &mut World, now: Moment, app: usize, body: &Value) -> Result<Answer> {
    let changed = &mut world.apps[app];
    match &body["maintenance"] {
        Value::Null => {}
        Value::Bool(maintenance) => {
            changed.maintenance = *maintenance;
            changed.updated_at = now.civil;
        }
        _ => return Err(ApiError::invalid("maintenance must be true or false.")),
    }
    Ok(Answer::ok(world.apps[app].json(&world.email)))
}

fn find_process(app: &App, id_or_type: &str) -> Result<Value> {
    let found = app.processes.iter().find(|process| process.name == id_or_type || process.id == id_or_type);
    found.map(|process| app.process_json(process)).ok_or_else(|| ApiError::no_such_process(id_or_type))
}

/// Changes the formation by the rules, starts and stops dynos, and gives the rows that a batch answers with.
fn change_formation(world: &mut World, now: Moment, app: usize, updates: &[Update]) -> Result<Vec<Value>> {
    if world.apps[app].preboot_in_progress {
        return Err(preboot_refusal(world));
    }
    let before = world.apps[app].processes.clone();
    let generation = world.apps[app].generation;
    let after = formation::apply(&before, updates, generation, &api_time(now.civil), &world.open)?;
    world.apps[app].processes.clone_from(&after);
    let touched = |process: &formation::Process| {
        updates.iter().any(|update| update.process == process.name || update.process == process.id)
    };
    let scaled: Vec<String> = after
        .iter()
        .filter(|process| touched(process))
        .map(|process| format!("{}@{}:{}", process.name, process.quantity, process.size))
        .collect();
    if !scaled.is_empty() {
        let line = format!("Scaled to {} by {}", scaled.join(" "), world.email);
        world.api_line(app, &line, now);
    }
    for (old, new) in before.iter().zip(&after) {
        world.reconcile(app, &new.name, now);
        if old.size != new.size {
            world.restart(app, now, |dyno| dyno.process == new.name && dyno.size != new.size);
        }
    }
    let all = world.open.batch_answers_all_types;
    let app = &world.apps[app];
    Ok(after.iter().filter(|process| all || touched(process)).map(|process| app.process_json(process)).collect())
}

fn preboot_refusal(world: &World) -> ApiError {
    let until = if world.open.preboot_refusal_mentions_release_phase {
        "until release phase and preboot complete"
    } else {
        "until preboot is complete"
    };
    let message = format!("Cannot change formation for a preboot app {until}");
    ApiError { id: "invalid_params".to_owned(), ..ApiError::of_status(world.open.preboot_refusal_status, message) }
}

fn list_dynos(world: &World, app: usize) -> Vec<Value> {
    let app = &world.apps[app];
    let stopping = if world.open.stopping_dynos_stay_listed { app.stopping.as_slice() } else { &[] };
    app.dynos.iter().chain(stopping).map(|dyno| dyno.json(app)).collect()
}

fn run_one_off(world: &mut World, now: Moment, app: usize, body: &Value) -> Result<Answer> {
    let command = body["command"].as_str().ok_or_else(|| ApiError::invalid("command must be a string."))?;
    let size = match body["size"].as_str() {
        None => world.apps[app].processes.first().map_or_else(|| "Standard-1X".to_owned(), |first| first.size.clone()),
        Some(name) => {
            let size = sizes::find(name).ok_or_else(|| ApiError::invalid(format!("No such size as {name}.")))?;
            size.name.to_owned()
        }
    };
    let line = format!("Starting process with command `{command}` by user {}", world.email);
    world.api_line(app, &line, now);
    let dyno = world.run_one_off(app, command, &size, now);
    Ok(Answer::of(StatusCode::CREATED, dyno.json(&world.apps[app])))
}

fn restart_dyno(world: &mut World, now: Moment, app: usize, id_or_name: &str) -> Result<()> {
    match world.restart(app, now, |dyno| dyno.id == id_or_name || dyno.name == id_or_name) {
        0 => Err(ApiError::not_found("dyno")),
        _ => Ok(()),
    }
}

fn restart_process(world: &mut World, now: Moment, app: usize, process: &str) -> Result<()> {
    if world.apps[app].quantity(process).is_none() {
        return Err(ApiError::no_such_process(process));
    }
    world.restart(app, now, |dyno| dyno.process == process);
    Ok(())
}

/// The refusal's text is not verified.
fn change_preboot(world: &mut World, app: usize, body: &Value) -> Result<Answer> {
    let enabled = body["enabled"].as_bool().ok_or_else(|| ApiError::invalid("enabled must be true or false."))?;
    let small = |size: &str| size == "Eco" || size == "Basic";
    let fits = world.apps[app].generation == super::setup::Generation::Cedar
        && !world.apps[app].processes.iter().any(|process| process.name == "web" && small(&process.size));
    if enabled && !fits {
        return Err(ApiError::invalid("Preboot needs Standard or Performance web dynos of the Cedar generation."));
    }
    world.apps[app].preboot_enabled = enabled;
    Ok(Answer::ok(world.apps[app].preboot_json()))
}
