//! The threads on which Python runs: apart from those that carry bots, so that Python can hold up Python alone.
//!
//! A call into Python may take as long as it likes, and some never come back. Each has a thread for as long as it takes,
//! from a pool that grows with the calls in flight. The runtime around the pool also carries what Python code asks of the
//! engine (a subclass that lets the engine measure), and the fleets of tests.

use std::{
    num::NonZeroUsize,
    sync::{
        LazyLock, OnceLock,
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

/// The program that made the runtime. One that was forked from it has none of its threads.
static OWNER: OnceLock<u32> = OnceLock::new();

/// Whether this program was forked from one that had begun to use the pool.
pub fn is_forked() -> bool {
    OWNER.get().is_some_and(|owner| *owner != std::process::id())
}

/// The runtime around the pool.
///
/// # Panics
/// In a program that was forked, where nothing would ever come of what is asked; for Python an exception.
pub fn runtime() -> &'static Runtime {
    OWNER.get_or_init(std::process::id);
    assert!(
        !is_forked(),
        "the engine was used before this process was forked, and cannot be used in both; \
         use it in one of them alone, or start processes by spawning them"
    );
    &RUNTIME
}

/// Runs `work` on a thread of its own.
pub fn spawn<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> JoinHandle<T> {
    let call = Call::begin();
    runtime().spawn_blocking(move || {
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
