//! Settings that are Python: modules that are run, and names that were handed over.
//!
//! Values become the engine's tree; a module's other names are left alone, whatever they hold. What is no plain value is
//! asked what it means (`_bridge.plain`): a class means its name, a time of day the text that a time table has.

use std::path::{Path, PathBuf};

use autoscalebot_engine::{
    config::{
        assemble::is_ours,
        error::Finding,
        tree::{Content, DEEPEST_LEVELS, Key, Node, Span},
    },
    host::Modules,
};
use pyo3::{
    prelude::*,
    types::{PyBool, PyDict, PyFloat, PyInt, PyList, PyString, PyTuple},
};
use serde_json::{Number, Value};

use crate::bridge;

/// Runs settings modules; may have settings in hand.
#[derive(Default)]
pub struct PythonModules {
    given: Option<(String, Py<PyDict>)>,
}

impl PythonModules {
    /// With these names in hand, if any; errors call them `origin`.
    pub fn given(settings: Option<&Bound<'_, PyDict>>, origin: &str) -> Self {
        let origin = if origin.is_empty() { "the settings" } else { origin };
        Self { given: settings.map(|settings| (origin.to_owned(), settings.clone().unbind())) }
    }
}

impl Modules for PythonModules {
    fn given(&self) -> Option<(String, Result<Node, Finding>)> {
        let (name, names) = self.given.as_ref()?;
        Some((name.clone(), Python::attach(|py| tree(names.bind(py)))))
    }

    fn run(&self, path: &Path) -> Result<Node, Finding> {
        Python::attach(|py| {
            let names = bridge::ask(py, "run_module", (path,));
            let names = names.and_then(|names| names.cast_into::<PyDict>().map_err(Into::into));
            let names = names.map_err(|error| {
                let said = bridge::in_one_line(py, &error);
                Finding::new(None, "", format!("running it failed: {said}"), "a module that Python can run")
            })?;
            tree(&names)
        })
    }

    fn find(&self, name: &str) -> Option<PathBuf> {
        Python::attach(|py| {
            bridge::ask(py, "find_module", (name,)).and_then(|found| found.extract::<Option<PathBuf>>()).ok().flatten()
        })
    }
}

/// Those names of a module that mean something here.
fn tree(names: &Bound<'_, PyDict>) -> Result<Node, Finding> {
    let mut entries = Vec::new();
    for (name, value) in names {
        if let Ok(name) = name.extract::<String>()
            && name.to_uppercase() == name
            && is_ours(&name)
        {
            entries.push((Key { name, span: Span::default() }, node(&value, 1)));
        }
    }
    Ok(Node::new(Content::Table(entries), Span::default()))
}

fn node(value: &Bound<'_, PyAny>, depth: usize) -> Node {
    content(value, depth).map_or_else(
        |sentence| Node::unread(Finding::new(None, "", sentence, "a text, a number, true or false, a list or a table")),
        |content| Node::new(content, Span::default()),
    )
}

/// # Errors
/// Why it is no value of settings.
fn content(value: &Bound<'_, PyAny>, depth: usize) -> Result<Content, String> {
    if depth > DEEPEST_LEVELS {
        return Err(format!("this is nested on more than {DEEPEST_LEVELS} levels"));
    }
    if value.is_none() {
        return Ok(Content::Scalar(Value::Null));
    }
    if let Ok(truth) = value.cast::<PyBool>() {
        return Ok(Content::Scalar(truth.is_true().into()));
    }
    if let Ok(text) = value.cast::<PyString>() {
        let text = text.extract::<String>().map_err(|_| "this text is no Unicode".to_owned())?;
        return Ok(Content::Scalar(text.into()));
    }
    if value.is_instance_of::<PyInt>() {
        let number = value.extract::<i64>().map(Number::from).or_else(|_| value.extract::<u64>().map(Number::from));
        return number.map(|number| Content::Scalar(number.into())).map_err(|_| "this number is too large".to_owned());
    }
    if value.is_instance_of::<PyFloat>() {
        let number = value.extract::<f64>().ok().and_then(Number::from_f64);
        return number
            .map(|number| Content::Scalar(number.into()))
            .ok_or_else(|| "this is no finite number".to_owned());
    }
    if let Ok(table) = value.cast::<PyDict>() {
        let entries = table.iter().map(|(key, value)| Ok((key_of(&key)?, node(&value, depth + 1))));
        return entries.collect::<Result<_, String>>().map(Content::Table);
    }
    if let Ok(list) = value.cast::<PyList>() {
        return Ok(Content::List(list.iter().map(|value| node(&value, depth + 1)).collect()));
    }
    if let Ok(list) = value.cast::<PyTuple>() {
        return Ok(Content::List(list.iter().map(|value| node(&value, depth + 1)).collect()));
    }
    content(&plain(value)?, depth + 1)
}

fn key_of(key: &Bound<'_, PyAny>) -> Result<Key, String> {
    let name = match key.cast::<PyString>() {
        Ok(text) => text.extract::<String>(),
        // A number that is a key, or whatever else has a plain text.
        Err(_) if key.is_instance_of::<PyInt>() => key.str().and_then(|text| text.extract::<String>()),
        Err(_) => plain(key)?.str().and_then(|text| text.extract::<String>()),
    };
    let name = name.map_err(|_| "this has a key that is no text".to_owned())?;
    Ok(Key { name, span: Span::default() })
}

/// What something means that is no plain value itself.
fn plain<'py>(value: &Bound<'py, PyAny>) -> Result<Bound<'py, PyAny>, String> {
    bridge::ask(value.py(), "plain", (value,)).map_err(|error| error.value(value.py()).to_string())
}
