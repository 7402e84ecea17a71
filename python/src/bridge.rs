//! The functions of `_bridge.py`, the door on Python's side, and errors of Python in our words.

use autoscalebot_core::registry::Problem;
use pyo3::{prelude::*, sync::PyOnceLock, types::PyModule};

/// What is logged under this name, `AUTOSCALEBOT_LOG` can filter by it.
pub const LOG_TARGET: &str = "autoscalebot_python";

static BRIDGE: PyOnceLock<Py<PyModule>> = PyOnceLock::new();

/// The module `autoscalebot._bridge`.
///
/// # Errors
/// When it cannot be imported.
fn module(py: Python<'_>) -> PyResult<&Bound<'_, PyModule>> {
    let module = BRIDGE.get_or_try_init(py, || py.import("autoscalebot._bridge").map(Bound::unbind))?;
    Ok(module.bind(py))
}

/// Asks a function of the bridge.
///
/// # Errors
/// What it raised.
pub fn ask<'py>(
    py: Python<'py>,
    function: &str,
    arguments: impl pyo3::call::PyCallArgs<'py>,
) -> PyResult<Bound<'py, PyAny>> {
    module(py)?.call_method1(function, arguments)
}

/// An exception with the places that it went through, for a line of an error message.
pub fn in_one_line(py: Python<'_>, error: &PyErr) -> String {
    let said = ask(py, "in_one_line", (error.value(py),)).and_then(|said| said.extract::<String>());
    said.unwrap_or_else(|_| Failure::of(py, error).message)
}

/// Why Python did not do what it was asked.
#[derive(Debug, Clone, PartialEq)]
pub struct Failure {
    /// Stable word: `exception`, `timeout`, `bad_value`, or the one that the error names itself.
    pub key: String,
    /// A sentence.
    pub message: String,
    /// Where it happened, line by line; empty when that says nothing.
    pub traceback: String,
    /// The error asks not to be asked again for so many seconds.
    pub retry_after: Option<f64>,
}

impl Failure {
    /// Without a traceback.
    pub fn new(key: &str, message: impl Into<String>) -> Self {
        Self { key: key.to_owned(), message: message.into(), traceback: String::new(), retry_after: None }
    }

    /// What an exception means.
    pub fn of(py: Python<'_>, error: &PyErr) -> Self {
        let explained = ask(py, "explain", (error.value(py),))
            .and_then(|said| said.extract::<(String, String, String, Option<f64>)>());
        match explained {
            Ok((key, message, traceback, retry_after)) => Self { key, message, traceback, retry_after },
            // Somebody's exception that cannot even be shown.
            Err(_) => Self::new("exception", error.get_type(py).to_string()),
        }
    }

    /// As a problem of settings.
    pub fn problem(self, path: &str) -> Problem {
        Problem::new(path, self.message, "")
    }
}
