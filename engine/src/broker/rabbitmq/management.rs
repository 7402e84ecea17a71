//! RabbitMQ's management API: what AMQP does not tell.
//!
//! Its numbers are collected by the broker every few seconds (`collect_statistics_interval`, 5 s), so they are late, and a
//! new queue has none at all: the keys are absent. Absent is "nothing told yet" and never 0. A queue that does not exist
//! and an API that does not know the user are told apart.
//!
//! Lists are asked for page by page, with only the columns that are needed and only the queues whose name fits; both have
//! a limit.

use std::time::Duration;

use jiff::Timestamp;
use reqwest::{Client, StatusCode};
use serde_json::Value;
use url::Url;

use super::settings::ManagementAddress;
use crate::{
    http::{Connecting, fetch, trusting},
    measurement::MeasureError,
    secret::Secret,
    shared::Shared,
};

/// A page of names has some 50 KB; one queue far less.
const LONGEST_BODY_BYTES: usize = 1 << 20;

/// The most that the API allows.
const QUEUES_PER_PAGE: usize = 500;

/// 10 000 queues that fit a pattern are a slip.
const MOST_PAGES: usize = 20;

/// A client of the management API, for one virtual host.
pub struct Management {
    client: Client,
    base: Url,
    user: String,
    password: Secret,
    virtual_host: String,
    shown: String,
}

/// What the API tells of a queue.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Told {
    /// Its numbers, some seconds old.
    Counts(Counts),
    /// It exists, and was not counted yet.
    NothingYet,
    /// There is no such queue.
    Missing,
}

/// The numbers of one queue, some seconds old.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Counts {
    /// Messages that were delivered and not acknowledged.
    pub unacknowledged: u64,
    /// The stamp of the oldest message, ready or not acknowledged, if it has one.
    pub head: Option<Timestamp>,
}

impl Management {
    pub(super) fn new(
        address: ManagementAddress,
        virtual_host: &str,
        certificates: Option<&str>,
        shared: &Shared,
    ) -> Result<Self, String> {
        let connecting = Connecting { reuse: true, follow_redirects: false };
        let client = match certificates {
            Some(certificates) => trusting(connecting, certificates)?,
            None => shared.http.get(connecting),
        };
        let ManagementAddress { base, user, password } = address;
        let shown = format!("RabbitMQ's management API at {base}");
        Ok(Self { client, base, user, password, virtual_host: virtual_host.to_owned(), shown })
    }

    /// What is told of a queue.
    ///
    /// # Errors
    /// When the API cannot be reached, does not let us in, or answers something else.
    pub async fn queue(&self, name: &str, limit: Duration) -> Result<Told, MeasureError> {
        let columns = "name,messages,messages_unacknowledged,head_message_timestamp";
        let Some(answer) = self.get(&["queues", &self.virtual_host, name], &[("columns", columns)], limit).await?
        else {
            return Ok(Told::Missing);
        };
        if answer["name"] != name {
            return Err(self.strange("something that is no queue"));
        }
        let Some(unacknowledged) = answer.get("messages_unacknowledged") else { return Ok(Told::NothingYet) };
        let unacknowledged = unacknowledged.as_u64().ok_or_else(|| self.strange("a count that is no number"))?;
        // A message without a stamp shows as null, as an empty text, or not at all.
        let head = answer["head_message_timestamp"].as_i64().and_then(|seconds| Timestamp::from_second(seconds).ok());
        Ok(Told::Counts(Counts { unacknowledged, head }))
    }

    /// The names of all queues that fit a regular expression, as RabbitMQ understands it.
    ///
    /// # Errors
    /// As for [`Management::queue`], and when there are too many.
    pub async fn names(&self, fitting: &str, limit: Duration) -> Result<Vec<String>, MeasureError> {
        let mut names = Vec::new();
        for page in 1..=MOST_PAGES {
            let (page, size) = (page.to_string(), QUEUES_PER_PAGE.to_string());
            let query = [
                ("page", page.as_str()),
                ("page_size", &size),
                ("columns", "name"),
                ("name", fitting),
                ("use_regex", "true"),
                ("sort", "name"),
            ];
            let answer = self.get(&["queues", &self.virtual_host], &query, limit).await?;
            let answer = answer.ok_or_else(|| self.strange("that there is no such virtual host"))?;
            let items = answer["items"].as_array().ok_or_else(|| self.strange("something that is no list"))?;
            names.extend(items.iter().filter_map(|item| item["name"].as_str()).map(str::to_owned));
            if answer["page_count"].as_u64().is_none_or(|pages| page.parse().is_ok_and(|page: u64| page >= pages)) {
                return Ok(names);
            }
        }
        let most = MOST_PAGES * QUEUES_PER_PAGE;
        let message = format!("{} knows more than {most} queues that fit; narrow the pattern", self.shown);
        Err(MeasureError::unknown("too_many_queues", message))
    }

    /// How many queues get what is sent to an exchange; nothing when there is no such exchange.
    ///
    /// # Errors
    /// As for [`Management::queue`].
    pub async fn bound_to(&self, exchange: &str, limit: Duration) -> Result<Option<usize>, MeasureError> {
        let path = ["exchanges", &self.virtual_host, exchange, "bindings", "source"];
        let Some(answer) = self.get(&path, &[("columns", "destination")], limit).await? else { return Ok(None) };
        let bindings = answer.as_array().ok_or_else(|| self.strange("something that is no list"))?;
        Ok(Some(bindings.len()))
    }

    /// The answer; nothing when what was asked for does not exist.
    async fn get(&self, path: &[&str], query: &[(&str, &str)], limit: Duration) -> Result<Option<Value>, MeasureError> {
        let mut url = self.base.clone();
        if let Ok(mut segments) = url.path_segments_mut() {
            segments.pop_if_empty().push("api").extend(path);
        }
        url.query_pairs_mut().extend_pairs(query);
        let request = self.client.get(url).basic_auth(&self.user, Some(self.password.reveal()));
        let answer = fetch(request, limit, LONGEST_BODY_BYTES)
            .await
            .map_err(|error| MeasureError::unknown(error.key(), error.of(&self.shown).to_string()))?;
        match answer.status {
            StatusCode::OK => {}
            StatusCode::NOT_FOUND if is_own(&answer.body) => return Ok(None),
            StatusCode::NOT_FOUND => {
                return Err(self.strange("404, as if it were something else; check MANAGEMENT_URL"));
            }
            StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => {
                let what = "refuses the user or the password, or the user lacks the tag `monitoring` or `management`";
                return Err(MeasureError::unknown("unauthorized", format!("{} {what}", self.shown)));
            }
            status => {
                let key = if status.is_server_error() { "server_error" } else { "client_error" };
                return Err(MeasureError::unknown(key, format!("{} answers {status}", self.shown)));
            }
        }
        serde_json::from_slice(&answer.body).map(Some).map_err(|_| {
            MeasureError::unknown("bad_json", format!("{} answers with something that is no JSON", self.shown))
        })
    }

    fn strange(&self, what: &str) -> MeasureError {
        MeasureError::unknown("broker_error", format!("{} answers with {what}", self.shown))
    }
}

/// Whether a 404 is the API's own, and not that of some other server.
fn is_own(body: &[u8]) -> bool {
    serde_json::from_slice::<Value>(body).is_ok_and(|body| body["error"] == "Object Not Found")
}
