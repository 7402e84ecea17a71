//! The API: what it answers, as types of its own, and the document that is made from them.
//!
//! Types of the core are not sent as they are: they may change with the core, and what outsiders rely on may not. Every
//! type here is written out, and the document at `/api/v1/openapi.json` says the same because it comes from the same types.

mod commands;
mod health;
mod input;
mod journal;
mod process;
mod series;
mod settings;
mod stream;
mod time;

use std::sync::Arc;

use axum::{
    Json,
    extract::{Path, State},
};
use serde::Serialize;
use utoipa::{
    OpenApi as _, ToSchema,
    openapi::{
        ContentBuilder, HeaderBuilder, HttpMethod, ObjectBuilder, OpenApi, Ref, RefOr, Response, ResponseBuilder,
        Schema, Type,
        path::Operation,
        schema::AdditionalProperties,
        security::{HttpAuthScheme, HttpBuilder, SecurityScheme},
    },
};
use utoipa_axum::{router::OpenApiRouter, routes};

use self::{
    input::{Asked, Nothing, no_process},
    time::Time,
};
pub use self::{process::Process, stream::MOST_STREAMS};
use super::{
    failure::{ErrorAnswer, Failure},
    site::Site,
};

#[derive(utoipa::OpenApi)]
#[openapi(
    info(
        title = "autoscalebot",
        description = "What an autoscaler does and why, its history, and commands.\n\nTimes are RFC 3339 in UTC. Whatever \
                       cannot be done is answered with `{\"error\": {\"key\", \"message\"}}`; keys are stable. Without \
                       configured tokens the server listens on loopback only and needs none.",
        license(name = "MIT OR Apache-2.0", identifier = "MIT OR Apache-2.0"),
    ),
    components(schemas(ErrorAnswer)),
    tags(
        (name = "now", description = "What is known right now"),
        (name = "history", description = "What was; needs the store"),
        (name = "commands", description = "What people tell bots"),
    ),
)]
struct Beginning;

/// All processes, now.
#[derive(Debug, Serialize, ToSchema)]
struct Processes {
    /// The server's time.
    now: Time,
    /// In the order of their names.
    processes: Vec<Process>,
}

/// The routes, and the document about them.
pub fn routes() -> (axum::Router<Arc<Site>>, OpenApi) {
    let routes = OpenApiRouter::with_openapi(Beginning::openapi())
        .routes(routes!(health::health))
        .routes(routes!(processes))
        .routes(routes!(one_process))
        .routes(routes!(series::series))
        .routes(routes!(journal::decisions))
        .routes(routes!(journal::events))
        .routes(routes!(settings::settings))
        .routes(routes!(stream::stream))
        .routes(routes!(commands::one))
        .routes(routes!(commands::all));
    let (router, mut document) = routes.split_for_parts();
    complete(&mut document);
    (router, document)
}

/// Every process, now
#[utoipa::path(get, path = "/api/v1/processes", tag = "now", responses((status = 200, body = Processes)))]
async fn processes(State(site): State<Arc<Site>>, _: Asked<Nothing>) -> Result<Json<Processes>, Failure> {
    let now = site.parts.clock.now();
    let processes =
        site.parts.board.glances().iter().map(|glance| Process::of(glance, site.version(glance), &now)).collect();
    Ok(Json(Processes { now: now.into(), processes }))
}

/// One process, now
#[utoipa::path(
    get, path = "/api/v1/processes/{name}", tag = "now",
    params(("name" = String, Path, description = "The process", pattern = "^[A-Za-z0-9_-]{1,128}$")),
    responses((status = 200, body = Process)),
)]
async fn one_process(
    State(site): State<Arc<Site>>,
    Path(name): Path<String>,
    _: Asked<Nothing>,
) -> Result<Json<Process>, Failure> {
    site.process(&name).map(Json).ok_or_else(|| no_process(&name, &site.parts.board))
}

/// What is the same for every operation stands once, here: the errors that each may answer, and the token.
fn complete(document: &mut OpenApi) {
    for (path, item) in &mut document.paths.paths {
        let named = path.contains("{name}") || path.ends_with("/stream");
        for (method, operation) in [(HttpMethod::Get, &mut item.get), (HttpMethod::Post, &mut item.post)] {
            let Some(operation) = operation else { continue };
            let is_command = matches!(method, HttpMethod::Post);
            let is_history = operation.tags.iter().flatten().any(|tag| tag == "history");
            errors(operation, named, is_command, is_history);
        }
    }
    let token = HttpBuilder::new().scheme(HttpAuthScheme::Bearer);
    let token = token.description(Some("The read token for looking, the operate token also for commands."));
    let components = document.components.get_or_insert_default();
    // A field that is not known is refused, and the derived schema does not say so.
    if let Some(RefOr::T(Schema::OneOf(commands))) = components.schemas.get_mut("Command") {
        for command in &mut commands.items {
            if let RefOr::T(Schema::Object(command)) = command {
                command.additional_properties = Some(Box::new(AdditionalProperties::FreeForm(false)));
            }
        }
    }
    components.add_security_scheme("token", SecurityScheme::Http(token.build()));
    let needs = utoipa::openapi::security::SecurityRequirement::new("token", std::iter::empty::<String>());
    document.security = Some(vec![needs]);
}

fn errors(operation: &mut Operation, is_named: bool, is_command: bool, is_history: bool) {
    let mut add = |status: u16, description: &str, applies: bool| {
        if applies {
            operation
                .responses
                .responses
                .entry(status.to_string())
                .or_insert_with(|| error(status, description).into());
        }
    };
    add(400, "The query or the body is not as it should be", true);
    add(401, "A token is needed, and this is none", true);
    add(403, "This token may not; or the request comes from a foreign page, or to a foreign name", true);
    add(404, "There is no such process", is_named);
    add(408, "The body did not arrive in time", is_command);
    add(413, "The body is too large", is_command);
    add(415, "The body is not said to be JSON", is_command);
    add(422, "The body is JSON and says something that cannot be", is_command);
    add(429, "Too much at once", true);
    add(503, "There is no store (`store_off`), or it does not answer (`store_unavailable`)", is_history);
}

fn error(status: u16, description: &str) -> Response {
    let content = ContentBuilder::new().schema(Some(Ref::from_schema_name("ErrorAnswer"))).build();
    let mut response = ResponseBuilder::new().description(description).content("application/json", content);
    if status == 429 {
        let seconds = ObjectBuilder::new().schema_type(Type::Integer).minimum(Some(1));
        response = response.header("Retry-After", HeaderBuilder::new().schema(Some(seconds)).build());
    }
    response.build()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_answer_in_the_document_is_described() {
        let (_, document) = routes();
        let text = document.to_pretty_json().unwrap();
        assert!(text.contains(r#""openapi": "3.1.0""#), "{text}");
        for (path, item) in &document.paths.paths {
            for operation in [&item.get, &item.post].into_iter().flatten() {
                for status in ["200", "400", "401", "403", "429"] {
                    assert!(operation.responses.responses.contains_key(status), "{path} lacks {status}");
                }
            }
        }
    }
}
