//! Metrics sent to an OpenTelemetry collector, when the environment says where one is.
//!
//! One task reads the same families that Prometheus would, encodes them on a thread for such work, and posts them with
//! an end to everything. It waits for nobody and nobody waits for it. An outage is said once when it begins and once when
//! it is over; what could not be sent is not kept, for all numbers are totals and the next message says the same and more.

mod message;
mod settings;

use std::{sync::Arc, time::Duration};

use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceResponse;
use prost::Message as _;
use reqwest::header::CONTENT_TYPE;
use tokio::{task::JoinHandle, time::timeout};
use tokio_util::sync::CancellationToken;

use self::settings::Settings;
use super::metrics::Sources;
use crate::{
    http::{Connecting, fetch, shown},
    secret::Secret,
};

/// The media type of messages. Source: OTLP specification, "Binary Protobuf encoding".
const PROTOBUF: &str = "application/x-protobuf";

/// Longest answer read. A good one has a handful of bytes, a bad one a sentence.
const LONGEST_ANSWER: usize = 64 * 1024;

/// Longest part of a collector's sentence that is logged.
const LONGEST_SENTENCE: usize = 300;

/// Sends metrics until it is finished.
pub struct Export {
    settings: Arc<Settings>,
    stop: CancellationToken,
    task: JoinHandle<()>,
}

impl Export {
    /// Begins to send, if the environment says where to.
    ///
    /// # Errors
    /// What the environment says that cannot be understood; nothing is sent then.
    pub fn start(sources: Sources) -> Result<Option<Self>, String> {
        let Some(settings) = Settings::find(&sources.shared.host.environment)? else { return Ok(None) };
        let (settings, stop) = (Arc::new(settings), CancellationToken::new());
        let sender = Sender { settings: settings.clone(), sources, trouble: None };
        let task = tokio::spawn(sender.run(stop.clone()));
        Ok(Some(Self { settings, stop, task }))
    }

    /// Where metrics go, for people.
    #[must_use]
    pub fn endpoint(&self) -> String {
        shown(&self.settings.endpoint)
    }

    /// How often they go.
    #[must_use]
    pub fn interval(&self) -> Duration {
        self.settings.interval
    }

    /// Sends once more and ends, within `limit`.
    pub async fn finish(self, limit: Duration) {
        self.stop.cancel();
        let abort = self.task.abort_handle();
        // The last message is a courtesy: nothing depends on it.
        let _ = timeout(limit, self.task).await;
        abort.abort();
    }
}

struct Sender {
    settings: Arc<Settings>,
    sources: Sources,
    /// The kind of trouble that was said last; nothing while all is well.
    trouble: Option<String>,
}

/// Why a message was not taken, or not as a whole.
struct Trouble {
    /// Its kind: the same kind is said once.
    kind: String,
    sentence: String,
}

impl Sender {
    async fn run(mut self, stop: CancellationToken) {
        let clock = self.sources.shared.clock.clone();
        let mut due = clock.now().since_start;
        loop {
            due = (due + self.settings.interval).max(clock.now().since_start);
            tokio::select! {
                () = stop.cancelled() => break,
                () = clock.sleep_until(due) => {}
            }
            tokio::select! {
                () = stop.cancelled() => break,
                result = self.send() => self.say(result),
            }
        }
        let result = self.send().await;
        self.say(result);
    }

    async fn send(&self) -> Result<(), Trouble> {
        let (sources, settings) = (self.sources.clone(), self.settings.clone());
        // With thousands of processes this takes a while, and must not hold up bots.
        let encode = move || message::message(&sources.snapshot(), &settings.resource).encode_to_vec();
        let body = tokio::task::spawn_blocking(encode).await.map_err(|_| Trouble {
            kind: "panicked".to_owned(),
            sentence: "reading metrics panicked; this is a bug, please report it".to_owned(),
        })?;
        // Redirects would take the headers elsewhere.
        let client = self.sources.shared.http.get(Connecting { reuse: true, follow_redirects: false });
        let request = client
            .post(self.settings.endpoint.clone())
            .headers(self.settings.headers.clone())
            .header(CONTENT_TYPE, PROTOBUF)
            .body(body);
        let answer = fetch(request, self.settings.timeout, LONGEST_ANSWER)
            .await
            .map_err(|error| Trouble { kind: error.key().to_owned(), sentence: error.to_string() })?;
        if !answer.status.is_success() {
            let kind = answer.status.to_string();
            return Err(Trouble { sentence: format!("{} answers {kind}", shown(&self.settings.endpoint)), kind });
        }
        let refused = refused(&answer.body).map(|sentence| self.without_secrets(sentence));
        refused.map_or(Ok(()), |sentence| Err(Trouble { kind: "refused".to_owned(), sentence }))
    }

    /// A collector may repeat what it was sent.
    fn without_secrets(&self, mut sentence: String) -> String {
        let values = self.settings.headers.values().filter_map(|value| value.to_str().ok());
        // Without its `Bearer` too.
        for word in values.flat_map(|value| value.split_whitespace().chain([value])).filter(|word| !word.is_empty()) {
            sentence = sentence.replace(word, Secret::SHOWN);
        }
        sentence
    }

    fn say(&mut self, result: Result<(), Trouble>) {
        match result {
            Ok(()) => {
                if self.trouble.take().is_some() {
                    tracing::info!("metrics are sent again");
                }
            }
            Err(Trouble { kind, sentence }) => {
                if self.trouble.as_ref() != Some(&kind) {
                    tracing::warn!(key = kind, error = sentence, "metrics are not sent");
                    self.trouble = Some(kind);
                }
            }
        }
    }
}

/// What a collector says about numbers that it does not take, if it leaves out any.
fn refused(body: &[u8]) -> Option<String> {
    // An empty body is the shortest good answer; one that cannot be read says nothing against us.
    let partial = ExportMetricsServiceResponse::decode(body).ok()?.partial_success?;
    let (count, why) = (partial.rejected_data_points, partial.error_message);
    let why: String = why.chars().filter(|letter| !letter.is_control()).take(LONGEST_SENTENCE).collect();
    (count > 0).then(|| format!("the collector does not take {count} of the numbers: {why}"))
}
