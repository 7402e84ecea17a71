//! How many messages wait in queues of Amazon SQS.
//!
//! SQS keeps three counts per queue, and says itself that they are approximate: what can be received now, what somebody
//! received and has not deleted, and what is delayed. It does not say since when the oldest waits (that is known to
//! CloudWatch alone), nor who received what. Source: SQS API reference, `GetQueueAttributes`.

use std::{
    collections::BTreeMap,
    sync::{Mutex, PoisonError},
    time::Duration,
};

use async_trait::async_trait;
use autoscalebot_core::registry::{Backend, Problem};
use futures_util::future::try_join_all;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use url::Url;

use super::{
    Context, Measure, MeasureError, Sight,
    queue::{Backlog, Common, Look, Metric, Oldest, Queue, Seen},
};
use crate::aws;

/// Each queue is a question of its own, which costs money; more of them are a slip.
const MOST_QUEUES: usize = 32;

/// How much of a measurement's time a question may take; the rest is for telling which one took too long.
const SHARE_OF_THE_LIMIT: f64 = 0.9;

const WAITING: &str = "ApproximateNumberOfMessages";
const IN_PROGRESS: &str = "ApproximateNumberOfMessagesNotVisible";
const SCHEDULED: &str = "ApproximateNumberOfMessagesDelayed";

/// Settings of `SqsQueue`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Settings {
    /// The address of the queue: `https://sqs.eu-central-1.amazonaws.com/123456789012/jobs`.
    pub queue_url: String,
    /// The names of the queues instead, in the account of the credentials.
    pub queue_names: Vec<String>,
    #[serde(flatten)]
    aws: aws::Settings,
    #[serde(flatten)]
    common: Common,
}

/// Queues of SQS.
pub struct SqsQueue {
    client: aws::Client,
    names: Vec<String>,
    /// The addresses of queues by their names, as far as they were asked for.
    addresses: Mutex<BTreeMap<String, String>>,
    limit: Duration,
}

impl Backend for SqsQueue {
    type Stage = dyn Measure;
    type Context = Context;
    type Settings = Settings;
    const NAME: &'static str = "SqsQueue";

    fn validate(settings: &Settings) -> Vec<Problem> {
        let mut problems = settings.aws.problems();
        problems.extend(settings.common.problems(Sight::InProgress));
        if settings.common.metric == Metric::Latency {
            let found = "SQS does not tell since when its messages wait";
            problems.push(Problem::new("metric", found, "waiting, in_progress or waiting_and_in_progress"));
        }
        let names = &settings.queue_names;
        match (settings.queue_url.is_empty(), names.is_empty()) {
            (true, true) => {
                let allowed =
                    "QUEUE_URL, such as https://sqs.eu-central-1.amazonaws.com/123456789012/jobs, or QUEUE_NAMES";
                problems.push(Problem::new("queue_url", "no queue", allowed));
            }
            (false, false) => {
                problems.push(Problem::new("queue_names", "queues by address and by name", "only one of the two"));
            }
            (false, true) if place(&settings.queue_url).is_none() => {
                let allowed = "an address such as https://sqs.eu-central-1.amazonaws.com/123456789012/jobs";
                problems.push(Problem::new("queue_url", "this is no address of a queue", allowed));
            }
            _ => {}
        }
        if names.len() > MOST_QUEUES || names.iter().any(String::is_empty) {
            problems.push(Problem::new("queue_names", format!("{} names", names.len()), "1 to 32 names of queues"));
        }
        problems
    }

    fn build(settings: Settings, context: &Context) -> Result<Box<dyn Measure>, Problem> {
        let place = place(&settings.queue_url);
        let region = place.as_ref().and_then(|place| place.region.clone());
        let endpoint = place.as_ref().map(|place| place.endpoint.clone());
        let (names, addresses) = match place {
            Some(place) => (vec![place.name.clone()], BTreeMap::from([(place.name, settings.queue_url)])),
            None => (settings.queue_names, BTreeMap::new()),
        };
        let look = Self {
            client: aws::Client::new("sqs", &settings.aws, endpoint, region, &context.shared)?,
            names,
            addresses: Mutex::new(addresses),
            limit: settings.common.timeout_seconds.duration().mul_f64(SHARE_OF_THE_LIMIT),
        };
        Ok(Box::new(Queue::new(look, &settings.common)))
    }
}

#[async_trait]
impl Look for SqsQueue {
    async fn look(&self) -> Result<Seen, MeasureError> {
        let backlogs = try_join_all(self.names.iter().map(|name| self.one(name))).await?;
        let queues = self.names.iter().cloned().zip(backlogs).collect();
        Ok(Seen { queues, workers: None, told_by_workers: false, notes: Vec::new() })
    }

    fn sight(&self) -> Sight {
        Sight::InProgress
    }

    fn items(&self) -> &'static str {
        "messages"
    }

    fn place(&self) -> &str {
        self.client.shown()
    }
}

impl SqsQueue {
    async fn one(&self, name: &str) -> Result<Backlog, MeasureError> {
        let of_queue = |error: MeasureError| MeasureError { message: format!("queue {name:?}: {error}"), ..error };
        let address = self.address(name).await.map_err(of_queue)?;
        let question = json!({"QueueUrl": address, "AttributeNames": [WAITING, IN_PROGRESS, SCHEDULED]});
        let answer = self.client.ask("AmazonSQS.GetQueueAttributes", &question, self.limit).await.map_err(of_queue)?;
        let count = |name: &str| {
            let missing = || {
                let message = format!("{} does not tell {name}", self.place());
                of_queue(MeasureError::unknown("bad_json", message))
            };
            // Numbers come as texts.
            answer["Attributes"][name].as_str().and_then(|text| text.parse::<u64>().ok()).ok_or_else(missing)
        };
        let waiting = count(WAITING)?;
        Ok(Backlog {
            waiting,
            in_progress: Some(count(IN_PROGRESS)?),
            scheduled: Some(count(SCHEDULED)?),
            oldest: if waiting == 0 { Oldest::Nothing } else { Oldest::NoStamp },
            estimate: Some("SQS counts approximately, and is up to a minute behind".to_owned()),
        })
    }

    /// The address of a queue; asked for once, because it never changes.
    async fn address(&self, name: &str) -> Result<String, MeasureError> {
        let known = || self.addresses.lock().unwrap_or_else(PoisonError::into_inner);
        let kept = known().get(name).cloned();
        if let Some(address) = kept {
            return Ok(address);
        }
        let answer = self.client.ask("AmazonSQS.GetQueueUrl", &json!({"QueueName": name}), self.limit).await?;
        let Value::String(address) = &answer["QueueUrl"] else {
            let message = format!("{} does not tell the address of the queue", self.place());
            return Err(MeasureError::unknown("bad_json", message));
        };
        known().insert(name.to_owned(), address.clone());
        Ok(address.clone())
    }
}

/// What the address of a queue says.
#[derive(Debug, PartialEq)]
struct Place {
    name: String,
    endpoint: Url,
    region: Option<String>,
}

/// Reads `https://sqs.REGION.amazonaws.com/ACCOUNT/NAME`, also the older `https://REGION.queue.amazonaws.com/…`.
fn place(address: &str) -> Option<Place> {
    let url: Url = address.parse().ok()?;
    let host = url.host_str().filter(|_| matches!(url.scheme(), "http" | "https"))?;
    let name = url.path_segments()?.next_back().filter(|name| !name.is_empty())?.to_owned();
    let parts: Vec<&str> = host.split('.').collect();
    let region = match parts.as_slice() {
        ["sqs" | "sqs-fips", region, "amazonaws", ..] | [region, "queue", "amazonaws", ..] => {
            Some((*region).to_owned())
        }
        _ => None,
    };
    let endpoint = match (&region, parts.contains(&"queue")) {
        (Some(region), true) => format!("https://sqs.{region}.amazonaws.com/").parse().ok()?,
        _ => {
            let mut endpoint = url.clone();
            endpoint.set_path("/");
            endpoint.set_query(None);
            endpoint
        }
    };
    Some(Place { name, endpoint, region })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_address_of_a_queue_says_where_and_in_which_region() {
        for (address, name, endpoint, region) in [
            (
                "https://sqs.eu-central-1.amazonaws.com/123456789012/jobs",
                "jobs",
                "https://sqs.eu-central-1.amazonaws.com/",
                Some("eu-central-1"),
            ),
            (
                "https://us-west-2.queue.amazonaws.com/123456789012/jobs.fifo",
                "jobs.fifo",
                "https://sqs.us-west-2.amazonaws.com/",
                Some("us-west-2"),
            ),
            (
                "https://sqs.cn-north-1.amazonaws.com.cn/123456789012/jobs",
                "jobs",
                "https://sqs.cn-north-1.amazonaws.com.cn/",
                Some("cn-north-1"),
            ),
            ("http://localhost:4566/000000000000/jobs", "jobs", "http://localhost:4566/", None),
        ] {
            let place = place(address).unwrap_or_else(|| panic!("{address}"));
            assert_eq!((place.name.as_str(), place.endpoint.as_str()), (name, endpoint));
            assert_eq!(place.region.as_deref(), region);
        }
        for address in ["jobs", "https://sqs.eu-central-1.amazonaws.com", "ftp://host/1/jobs"] {
            assert_eq!(place(address), None, "{address}");
        }
    }
}
