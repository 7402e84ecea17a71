//! Brokers: servers that hold queues, and the connections to them that all bots share.
//!
//! A thousand bots on one broker need one connection, not a thousand. Each kind of broker has a type that is kept in the
//! [`Pool`](crate::shared::Pool) under everything that tells one server from another; it connects when it is first asked,
//! connects again after a failure with growing pauses, and is gone, with its connections, when the last bot that uses it
//! is. Its errors never hold credentials.

#[cfg(feature = "nats")]
pub mod nats;
pub mod pause;
#[cfg(feature = "rabbitmq")]
pub mod rabbitmq;
pub mod redis;
pub mod sql;
