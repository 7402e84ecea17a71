//! The engine's log in Python's logging, logger `autoscalebot.engine`.

use std::{
    io::{self, Write},
    sync::Once,
};

use pyo3::prelude::*;

use crate::bridge;

/// Takes lines, one each time.
pub fn lines() -> autoscalebot::logging::Lines {
    Box::new(PythonLog)
}

/// Begins to log there, for programs that have not started a command and so have no log; once.
pub fn to_python() {
    static STARTED: Once = Once::new();
    STARTED.call_once(|| autoscalebot::logging::start_embedded(lines));
}

struct PythonLog;

impl Write for PythonLog {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        let text = String::from_utf8_lossy(line).into_owned();
        let logged = Python::try_attach(|py| bridge::ask(py, "log", (text,)).map(drop));
        // A log that cannot be written is lost, as everywhere.
        let _ = logged;
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
