//! Work queues as they are: real brokers, real producers, real workers, measured by our backends.
//!
//! One file per library, each a list of claims. It has a `main` of its own because some brokers take ten seconds to
//! start: those are started when the first claim asks, shared, and ended here after the last one. `cargo test -p
//! autoscalebot-engine --test queues WORDS` runs the claims whose name has these words; a claim's name begins with the
//! name of its file.

mod arq;
mod bullmq;
mod celery_rabbitmq;
mod celery_redis;
mod dramatiq;
mod dramatiq_rabbitmq;
mod huey;
#[cfg(feature = "nats")]
mod nats;
mod procrastinate;
mod rabbitmq_queue;
mod redis_libraries;
mod redis_plain;
mod redis_server;
mod rq;
mod saq;
#[path = "../it/scripted.rs"]
#[expect(dead_code, reason = "bots are scripted elsewhere; here only the platform is")]
mod scripted;
mod services;
mod sidekiq;
mod sql_query;
mod sqs;
mod support;

use std::process::ExitCode;

use libtest_mimic::Arguments;
use support::Claim;

/// Each claim may run a broker, some producers and some workers; more of them at once only wait for each other.
const CLAIMS_AT_A_TIME: usize = 4;

/// What a file of claims has.
type Claims = fn() -> Vec<Claim>;

/// Every file of claims, by its name.
const FILES: &[(&str, Claims)] = &[
    // One a line, in the order of the alphabet.
    ("arq", arq::claims),
    ("bullmq", bullmq::claims),
    ("celery_rabbitmq", celery_rabbitmq::claims),
    ("celery_redis", celery_redis::claims),
    ("dramatiq", dramatiq::claims),
    ("dramatiq_rabbitmq", dramatiq_rabbitmq::claims),
    ("huey", huey::claims),
    ("redis_libraries", redis_libraries::claims),
    ("rq", rq::claims),
    ("saq", saq::claims),
    ("services", services::claims),
    ("sidekiq", sidekiq::claims),
    ("rabbitmq_queue", rabbitmq_queue::claims),
    #[cfg(feature = "nats")]
    ("nats", nats::claims),
    ("procrastinate", procrastinate::claims),
    ("redis_plain", redis_plain::claims),
    ("redis_server", redis_server::claims),
    ("sql_query", sql_query::claims),
    ("sqs", sqs::claims),
];

fn main() -> ExitCode {
    let mut arguments = Arguments::from_args();
    arguments.test_threads = arguments.test_threads.or(Some(CLAIMS_AT_A_TIME));
    let trials = FILES.iter().flat_map(|(file, claims)| claims().into_iter().map(|claim| claim.trial(file)));
    let conclusion = libtest_mimic::run(&arguments, trials.collect());
    support::services::end();
    conclusion.exit_code()
}
