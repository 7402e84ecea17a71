//! The native module of the Python package: the whole program, and what lets its backends and settings be Python.
//!
//! ```text
//!  autoscalebot.cli ─► main ─► the program, with a host that knows Python
//!                                 │ a name in the settings        │ an evaluation
//!                                 ▼                               ▼
//!                      guests: class ─► entry           object: its methods, on a thread of the pool,
//!                                                       with an end ─► _bridge ─► the class
//! ```
//!
//! The methods of backends are called in one place, [`object`], and Python is left whenever Rust waits. What a class returns is sorted out in Python
//! (`_bridge.py`), where that is short; here it becomes a value of the engine or a failure. Nothing of this is known to
//! the engine: it sees backends like its own.

mod bots;
mod bridge;
mod clock;
mod decision;
mod guests;
mod log;
mod measurement;
mod modules;
mod native;
mod notification;
mod object;
mod pool;
mod scaling;
mod standalone;

use pyo3::prelude::*;

/// The engine of autoscalebot, for the package around it; not for others.
#[pymodule]
mod _native {
    #[pymodule_export]
    use crate::{
        bots::Bots,
        native::{Context, Measurement, Notice, Notification, Scaling, decide},
        standalone::{check, defaults, has_calls_in_flight, main},
    };

    use super::{Bound, PyModule, PyModuleMethods, PyResult};

    #[pymodule_init]
    fn init(module: &Bound<'_, PyModule>) -> PyResult<()> {
        module.add("version", env!("CARGO_PKG_VERSION"))
    }
}
