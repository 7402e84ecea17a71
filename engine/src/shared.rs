//! What all bots of one program share: the clock, HTTP clients, and anything that several backends should have one of.
//!
//! Ten thousand bots must not mean ten thousand connection pools. A backend that talks to something others talk to as
//! well (an API account, a broker, a Procfile) keeps that something in the [`Pool`] under a key. The pool holds it weakly:
//! when the last backend that uses it is gone, after a reload say, it is dropped and its connections close.

use std::{
    any::{Any, TypeId},
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError, Weak},
};

use crate::{clock::Clock, host::Host, http::HttpClients, telemetry::metrics::Observables};

/// Handed to every backend when it is built.
pub struct Shared {
    /// Tells the time.
    pub clock: Arc<dyn Clock>,
    /// What the program runs in, with its environment variables.
    pub host: Host,
    /// HTTP clients, one per way of connecting.
    pub http: HttpClients,
    /// Everything else that should exist once per key.
    pub pool: Pool,
    /// What of that metrics tell of.
    pub observables: Observables,
}

impl Shared {
    /// With an empty pool.
    #[must_use]
    pub fn new(clock: Arc<dyn Clock>, host: impl Into<Host>) -> Arc<Self> {
        let (http, pool, observables) = (HttpClients::default(), Pool::default(), Observables::default());
        Arc::new(Self { clock, host: host.into(), http, pool, observables })
    }
}

/// Values that exist once per type and key, as long as someone uses them.
#[derive(Default)]
pub struct Pool {
    values: Mutex<HashMap<(TypeId, String), Weak<dyn Any + Send + Sync>>>,
}

impl Pool {
    /// The value of this type under `key`; made now if nobody holds one.
    ///
    /// # Errors
    /// Whatever `make` returns.
    pub fn get_or_try_make<T: Any + Send + Sync, E>(
        &self,
        key: &str,
        make: impl FnOnce() -> Result<T, E>,
    ) -> Result<Arc<T>, E> {
        let mut values = self.values.lock().unwrap_or_else(PoisonError::into_inner);
        let key = (TypeId::of::<T>(), key.to_owned());
        let held = values.get(&key).and_then(Weak::upgrade).and_then(|value| value.downcast::<T>().ok());
        if let Some(value) = held {
            return Ok(value);
        }
        let value = Arc::new(make()?);
        values.retain(|_, value| value.strong_count() > 0);
        let weak: Weak<dyn Any + Send + Sync> = Arc::downgrade(&(value.clone() as Arc<dyn Any + Send + Sync>));
        values.insert(key, weak);
        Ok(value)
    }

    /// The same for makers that cannot fail.
    pub fn get_or_make<T: Any + Send + Sync>(&self, key: &str, make: impl FnOnce() -> T) -> Arc<T> {
        match self.get_or_try_make(key, || Ok::<T, std::convert::Infallible>(make())) {
            Ok(value) => value,
            Err(never) => match never {},
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_exists_once_per_key_and_goes_with_its_last_user() {
        let pool = Pool::default();
        let first = pool.get_or_make("a", || 1_u32);
        assert!(Arc::ptr_eq(&first, &pool.get_or_make("a", || 2_u32)));
        assert_eq!(*pool.get_or_make("b", || 3_u32), 3);
        drop(first);
        assert_eq!(*pool.get_or_make("a", || 4_u32), 4);
    }
}
