//! The servers that claims share because they take long to start. Each is started when the first claim asks for it, and
//! all are ended by the test program's `main` after the last claim. A claim that stops its server starts one of its own.

use std::sync::Arc;

use testkit::services::{Moto, Postgres, RabbitMq};
use tokio::sync::Mutex;

type Slot<Service> = Mutex<Option<Arc<Service>>>;

static RABBITMQ: Slot<RabbitMq> = Mutex::const_new(None);
static POSTGRES: Slot<Postgres> = Mutex::const_new(None);
static MOTO: Slot<Moto> = Mutex::const_new(None);

/// A RabbitMQ; use `create_virtual_host(&unique("name"))`, or queues with unique names.
pub async fn rabbitmq() -> Arc<RabbitMq> {
    shared(&RABBITMQ, RabbitMq::start).await
}

/// A PostgreSQL; use `create_database(&unique("name"))`.
pub async fn postgres() -> Arc<Postgres> {
    shared(&POSTGRES, Postgres::start).await
}

/// A server that speaks SQS; use queues with unique names.
pub async fn moto() -> Arc<Moto> {
    shared(&MOTO, Moto::start).await
}

/// Ends those that run. Claims are over, so nobody else holds one.
pub fn end() {
    drop(RABBITMQ.blocking_lock().take());
    drop(POSTGRES.blocking_lock().take());
    drop(MOTO.blocking_lock().take());
}

async fn shared<Service>(slot: &Slot<Service>, start: impl AsyncFnOnce() -> Service) -> Arc<Service> {
    let mut slot = slot.lock().await;
    match &*slot {
        Some(running) => running.clone(),
        None => slot.insert(Arc::new(start().await)).clone(),
    }
}
