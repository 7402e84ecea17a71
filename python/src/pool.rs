//! The threads on which Python runs: apart from those that carry bots, so that Python can hold up Python alone.
//!
//! A call into Python may take as long as it likes, and some never come back. Each has a thread for as long as it takes,
//! from a pool that grows with the calls in flight. The runtime around the pool also carries what Python code asks of the
//! engine (a subclass that lets the engine measure), and the fleets of tests.

use std::{
    num::NonZeroUsize,
    sync::{
        LazyLock,
        atomic::{AtomicUsize, Ordering},
    },
};

use tokio::{
    runtime::{Builder, Runtime},
    task::JoinHandle,
};

/// Threads that may be in Python at once. A backend has one call in flight at most, so this many backends may hang
/// before the next one has to wait; a thread costs some tens of kilobytes.
const MOST_CALLS: NonZeroUsize = NonZeroUsize::new(4096).unwrap();

/// Threads for what waits without being in Python.
const WORKERS: usize = 2;

static RUNTIME: LazyLock<Runtime> = LazyLock::new(|| {
    let mut builder = Builder::new_multi_thread();
    builder.worker_threads(WORKERS).max_blocking_threads(MOST_CALLS.get()).thread_name("python").enable_all();
    #[expect(clippy::expect_used, reason = "without threads there is no program, and nobody to tell")]
    builder.build().expect("the system gives no threads")
});

/// Calls that are in Python, or about to be.
static IN_FLIGHT: AtomicUsize = AtomicUsize::new(0);

/// The runtime around the pool.
pub fn runtime() -> &'static Runtime {
    &RUNTIME
}

/// Runs `work` on a thread of its own.
pub fn spawn<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> JoinHandle<T> {
    let call = Call::begin();
    RUNTIME.spawn_blocking(move || {
        let _call = call;
        work()
    })
}

/// How many calls have not come back.
pub fn in_flight() -> usize {
    IN_FLIGHT.load(Ordering::Acquire)
}

/// Counts a call, also when it panics.
struct Call;

impl Call {
    fn begin() -> Self {
        IN_FLIGHT.fetch_add(1, Ordering::AcqRel);
        Self
    }
}

impl Drop for Call {
    fn drop(&mut self) {
        IN_FLIGHT.fetch_sub(1, Ordering::AcqRel);
    }
}
