//! A backend that is a Python object: the one place where the engine enters Python.
//!
//! Every call has a thread of its own and an end. A call that is not over by then is a failure; its thread cannot be
//! stopped, so the object stays busy until it comes back, and is not called a second time meanwhile. What a failure's
//! traceback says is logged when it is new, not at every tick.

use std::{
    sync::{Arc, Mutex, PoisonError, atomic::Ordering},
    time::Duration,
};

use pyo3::prelude::*;
use tokio::{
    runtime::{Handle, RuntimeFlavor},
    sync::{OwnedSemaphorePermit, Semaphore},
};

use crate::{
    bridge::{self, Failure, LOG_TARGET},
    guests::FAREWELLS,
    pool,
};

/// An async method is cancelled at its limit by Python itself, and says so; whoever waits lets it.
const LATER: Duration = Duration::from_millis(250);

/// A Python object that the engine calls.
pub struct Object {
    inner: Arc<Inner>,
    /// One call at a time.
    free: Arc<Semaphore>,
    /// How long a call may take.
    limit: Duration,
}

struct Inner {
    object: Py<PyAny>,
    name: &'static str,
    process: String,
    /// The last failure that was logged, until a call succeeds.
    told: Mutex<Option<Failure>>,
}

impl Object {
    /// An object whose calls may take so long. `name` is its backend's, `process` is empty when it serves several.
    pub fn new(object: Py<PyAny>, name: &'static str, process: &str, limit: Duration) -> Self {
        let inner = Inner { object, name, process: process.to_owned(), told: Mutex::default() };
        Self { inner: Arc::new(inner), free: Arc::new(Semaphore::new(1)), limit }
    }

    /// Calls it. Dropping the future leaves the call to itself.
    ///
    /// # Errors
    /// What Python said, that it took too long, or that it is still busy with an earlier call.
    pub async fn call<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Bound<'_, PyAny>) -> PyResult<T> + Send + 'static,
    ) -> Result<T, Failure> {
        let permit = self.begin()?;
        let call = pool::spawn(entering(self.inner.clone(), permit, work));
        match tokio::time::timeout(self.limit + LATER, call).await {
            Ok(Ok(result)) => result,
            Ok(Err(panic)) => {
                Err(self.told(Failure::new("panic", format!("the engine's side of a call broke: {panic}"))))
            }
            Err(_) => Err(self.too_late()),
        }
    }

    /// The same, for callers that cannot wait any other way. Others go on meanwhile.
    ///
    /// # Errors
    /// As those of [`Self::call`].
    pub fn call_now<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Bound<'_, PyAny>) -> PyResult<T> + Send + 'static,
    ) -> Result<T, Failure> {
        let permit = self.begin()?;
        let (sender, receiver) = std::sync::mpsc::sync_channel(1);
        let work = entering(self.inner.clone(), permit, work);
        drop(pool::spawn(move || {
            // Whoever asked may have given up.
            let _ = sender.send(work());
        }));
        let limit = self.limit + LATER;
        let wait = move || receiver.recv_timeout(limit);
        let is_shared = Handle::try_current().is_ok_and(|it| it.runtime_flavor() == RuntimeFlavor::MultiThread);
        let result = if is_shared { tokio::task::block_in_place(wait) } else { wait() };
        result.unwrap_or_else(|_| Err(self.too_late()))
    }

    fn begin(&self) -> Result<OwnedSemaphorePermit, Failure> {
        self.free.clone().try_acquire_owned().map_err(|_| {
            let limit = self.limit.as_secs_f64();
            self.told(Failure::new("busy", format!("an earlier call, which had {limit} s, has not come back yet")))
        })
    }

    fn too_late(&self) -> Failure {
        self.told(Failure::new("timeout", format!("it was not over after {} s", self.limit.as_secs_f64())))
    }

    fn told(&self, failure: Failure) -> Failure {
        self.inner.tell(failure)
    }
}

/// `work` in Python, with its failure told. The permit is given back when it is over, whoever still waits.
fn entering<T, Work: FnOnce(&Bound<'_, PyAny>) -> PyResult<T>>(
    inner: Arc<Inner>,
    permit: OwnedSemaphorePermit,
    work: Work,
) -> impl FnOnce() -> Result<T, Failure> {
    move || {
        let result = Python::try_attach(|py| {
            let result = work(inner.object.bind(py)).map_err(|error| Failure::of(py, &error));
            // What it was asked, it has answered; a connection that does not close is no failure of that.
            let _ = bridge::ask(py, "over", ());
            result
        });
        drop(permit);
        match result {
            Some(Ok(said)) => {
                inner.told.lock().unwrap_or_else(PoisonError::into_inner).take();
                Ok(said)
            }
            Some(Err(failure)) => Err(inner.tell(failure)),
            None => Err(Failure::new("ended", "Python is ending")),
        }
    }
}

impl Inner {
    /// Logs a failure that differs from the last one.
    fn tell(&self, failure: Failure) -> Failure {
        let mut told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        // That it is still busy follows from what was told before.
        let follows = failure.key == "busy" && told.is_some();
        if !follows && told.as_ref() != Some(&failure) {
            let Self { name, process, .. } = self;
            let Failure { key, message, traceback, .. } = &failure;
            let details = if traceback.is_empty() { String::new() } else { format!("\n{traceback}") };
            tracing::warn!(target: LOG_TARGET, backend = name, %process, key, "{message}{details}");
            *told = Some(failure.clone());
        }
        failure
    }
}

impl Drop for Object {
    /// Says good-bye on a thread of its own, once the last call has come back.
    fn drop(&mut self) {
        if pool::is_forked() {
            return;
        }
        let (inner, free) = (self.inner.clone(), self.free.clone());
        FAREWELLS.fetch_add(1, Ordering::AcqRel);
        pool::runtime().spawn(async move {
            let permit = free.acquire_owned().await;
            let farewell = pool::spawn(move || {
                let _permit = permit;
                let ended = Python::try_attach(|py| {
                    let end = bridge::ask(py, "end", (inner.object.bind(py),));
                    end.map(drop).map_err(|error| Failure::of(py, &error))
                });
                if let Some(Err(failure)) = ended {
                    inner.tell(failure);
                }
                // The last reference goes here, where Python can be entered.
                Python::try_attach(|_| drop(inner));
            });
            let _ = farewell.await;
            FAREWELLS.fetch_sub(1, Ordering::AcqRel);
        });
    }
}
