//! What Celery's queues have in common on every broker.
//!
//! ```text
//!  message.rs   what the message of a task says: its id, when it may run, since when it waits, by which key it was sent
//!  control.rs   what workers say of themselves: when they are asked, for whom, and what is remembered
//!  crew.rs      the workers of one backend, and which process each is
//!  answer.rs    what one round of questions has shown
//!  pidbox.rs    the questions and replies on the wire, and what a broker must be able to do for them
//!  redis_post.rs     how they travel through Redis
//!  redis_reading.rs  what is read from Redis: all of a short list, pieces of a long one
//!  redis_backlog.rs  what that and the words of workers mean for each queue
//!  rabbit_post.rs    how they travel through RabbitMQ
//!  rabbit_backlog.rs what its books and the words of workers mean for each queue
//!  share.rs          what pieces say of the whole, and how exactly
//! ```
//!
//! Celery's own words: <https://docs.celeryq.dev/en/stable/internals/protocol.html>; how its transports keep messages is
//! told only by kombu's source (5.7).

pub mod answer;
pub mod control;
pub mod crew;
pub mod message;
pub mod pidbox;
#[cfg(feature = "rabbitmq")]
pub mod rabbit_backlog;
#[cfg(feature = "rabbitmq")]
pub mod rabbit_post;
pub mod redis_backlog;
pub mod redis_post;
pub mod redis_reading;
pub mod share;
