//! Backends that are Python classes: from a name in the settings to an entry like those of the engine's lists.
//!
//! A class may stand on one of the engine's own backends (`native_backend`). Then it has that one's settings as well, and
//! the engine goes on asking that one for everything that Python is not asked for: which workers are busy, where the app
//! answers. An entry is made once for each class and kept as long as the program runs.

use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use async_trait::async_trait;
use autoscalebot_core::{
    decision::{Decide, Terms},
    registry::{Entry, Problem, property_names},
    units::Seconds,
};
use autoscalebot_engine::{
    config::assemble::sounds_secret,
    host::{DECISION, Found, Guests, MEASUREMENT, NOTIFICATION, SCALING, Stage},
    measurement::{self, Measure},
    notification::{self, Notify},
    scaling::{self, Scale},
    secret::Secret,
};
use pyo3::prelude::*;
use schemars::Schema;
use serde_json::{Map, Value, json};

use crate::{
    bridge::{self, Failure},
    native::Context,
    object::Object,
};

/// Objects that have not said good-bye yet although nobody uses them any more.
pub static FAREWELLS: AtomicUsize = AtomicUsize::new(0);

/// How often the end looks whether everybody has said good-bye.
const LOOK_EVERY: Duration = Duration::from_millis(10);

/// The setting that says how long a call may take, and its default in `BaseBackend`.
const TIMEOUT: &str = "timeout_seconds";
/// When no setting says so.
const USUAL_LIMIT: Duration = Duration::from_secs(30);
/// The engine's own backends end their waiting by themselves, and say more about it; they get a little longer than that.
const GRACE: Duration = Duration::from_secs(5);

/// All Python classes that settings have named so far.
#[derive(Default)]
pub struct PythonGuests {
    measurement: Known<dyn Measure, measurement::Context>,
    decision: Known<dyn Decide, Terms>,
    scaling: Known<dyn Scale, scaling::Context>,
    notification: Known<dyn Notify, notification::Context>,
}

/// By name: the entry, or that the name is the engine's.
type Known<S, C> = Mutex<HashMap<String, Option<&'static Entry<S, C>>>>;

#[async_trait]
impl Guests for PythonGuests {
    fn measurement(&self, name: &str) -> Found<dyn Measure, measurement::Context> {
        found(&self.measurement, &MEASUREMENT, "measurement", name, crate::measurement::build)
    }

    fn decision(&self, name: &str) -> Found<dyn Decide, Terms> {
        found(&self.decision, &DECISION, "decision", name, crate::decision::build)
    }

    fn scaling(&self, name: &str) -> Found<dyn Scale, scaling::Context> {
        found(&self.scaling, &SCALING, "scaling", name, crate::scaling::build)
    }

    fn notification(&self, name: &str) -> Found<dyn Notify, notification::Context> {
        found(&self.notification, &NOTIFICATION, "notification", name, crate::notification::build)
    }

    async fn finish(&self, limit: Duration) {
        let farewells = async {
            while FAREWELLS.load(Ordering::Acquire) > 0 {
                tokio::time::sleep(LOOK_EVERY).await;
            }
        };
        let _ = tokio::time::timeout(limit, farewells).await;
    }
}

/// A backend class.
pub struct Class<S: ?Sized + 'static, C: ?Sized + 'static> {
    class: Py<PyAny>,
    /// Its name in the engine's words.
    pub name: &'static str,
    /// The engine's backend that it stands on.
    native: Option<&'static Entry<S, C>>,
    /// The settings that its Python classes have, with defaults, in lower case.
    defaults: Map<String, Value>,
    /// The first paragraph of its documentation.
    doc: String,
    /// The unit of its readings, if it measures.
    pub unit: String,
}

/// Builds a backend from a class and settings.
type BuildFrom<S, C> = fn(&'static Class<S, C>, &Value, &C) -> Result<Box<S>, Problem>;

/// The entry of a name, made now if the class was not met before.
fn found<S: ?Sized + 'static, C: ?Sized + 'static>(
    known: &Known<S, C>,
    stage: &Stage<S, C>,
    word: &str,
    name: &str,
    build: BuildFrom<S, C>,
) -> Found<S, C> {
    // Not held while Python is asked: whoever waits for it may be the one whom Python waits for.
    let before = known.lock().unwrap_or_else(PoisonError::into_inner).get(name).copied();
    let entry = match before {
        Some(entry) => entry,
        None => match Python::attach(|py| Class::find(py, stage.entries, word, name)) {
            Err(problem) => return Some(Err(problem)),
            Ok(class) => {
                let made = class.map(|class| entry_of(class, build));
                // Whose it is depends on whether a Django project is set up, which may come later.
                if made.is_none() && name.contains("DjangoEmail") {
                    return None;
                }
                let mut known = known.lock().unwrap_or_else(PoisonError::into_inner);
                *known.entry(name.to_owned()).or_insert(made)
            }
        },
    };
    entry.map(Ok)
}

/// Lives as long as the program, as those of the lists do; there are as many as classes in the settings.
fn entry_of<S: ?Sized + 'static, C: ?Sized + 'static>(
    class: Class<S, C>,
    build: BuildFrom<S, C>,
) -> &'static Entry<S, C> {
    let class: &'static Class<S, C> = Box::leak(Box::new(class));
    Box::leak(Box::new(Entry {
        name: class.name,
        original_names: &[],
        check: Box::leak(Box::new(|settings: &Value| class.check(settings))),
        build: Box::leak(Box::new(move |settings: &Value, context: &C| build(class, settings, context))),
        schema: Box::leak(Box::new(|| class.schema())),
        defaults: Box::leak(Box::new(|| class.shown_defaults())),
    }))
}

impl<S: ?Sized + 'static, C: ?Sized + 'static> Class<S, C> {
    /// The class that a name means; none when it is the engine's own.
    fn find(py: Python<'_>, entries: &'static [Entry<S, C>], word: &str, name: &str) -> Result<Option<Self>, Problem> {
        let found = bridge::ask(py, "find", (word, name)).map_err(|error| no_such_backend(py, &error))?;
        if found.is_none() {
            return Ok(None);
        }
        Self::read(&found, entries).map(Some).map_err(|error| Failure::of(py, &error).problem(""))
    }

    fn read(found: &Bound<'_, PyAny>, entries: &'static [Entry<S, C>]) -> PyResult<Self> {
        let class = found.getattr("cls")?;
        let native: Option<String> = found.getattr("native")?.extract()?;
        let defaults: String = found.getattr("defaults")?.extract()?;
        Ok(Self {
            name: Box::leak(found.getattr("name")?.extract::<String>()?.into_boxed_str()),
            native: native.and_then(|native| entries.iter().find(|entry| entry.name == native)),
            defaults: serde_json::from_str(&defaults).unwrap_or_default(),
            doc: found.getattr("doc")?.extract()?,
            unit: found.getattr("unit")?.extract()?,
            class: class.unbind(),
        })
    }

    /// All settings that it has, with their defaults.
    fn all_defaults(&self) -> Map<String, Value> {
        let native = self.native.map(|entry| (entry.defaults)());
        let mut defaults = native.and_then(|native| native.as_object().cloned()).unwrap_or_default();
        defaults.extend(self.defaults.clone());
        defaults
    }

    /// The same, to be shown: what may be secret is not.
    fn shown_defaults(&self) -> Value {
        let mut defaults = self.all_defaults();
        let own = defaults.iter_mut().filter(|(name, _)| self.defaults.contains_key(*name) && sounds_secret(name));
        for (_, value) in own.filter(|(_, value)| value.as_str().is_some_and(|text| !text.is_empty())) {
            *value = Secret::SHOWN.into();
        }
        Value::Object(defaults)
    }

    fn schema(&self) -> Schema {
        let mut schema = self.native.map_or_else(Schema::default, |entry| (entry.schema)());
        let mut properties = schema.get("properties").cloned().unwrap_or_else(|| json!({}));
        for (name, default) in &self.defaults {
            if properties.get(name).is_none() {
                properties[name] = json!({"description": format!("A setting of {}.", self.name)});
                if default.is_string() {
                    properties[name]["type"] = "string".into();
                }
                if sounds_secret(name) {
                    properties[name]["writeOnly"] = true.into();
                }
            }
            if properties[name].get("writeOnly").is_none() {
                properties[name]["default"] = default.clone();
            }
        }
        schema.insert("type".to_owned(), "object".into());
        schema.insert("properties".to_owned(), properties);
        schema.insert("description".to_owned(), self.doc.clone().into());
        schema
    }

    fn check(&self, settings: &Value) -> Vec<Problem> {
        let mut problems = self.native.map_or_else(Vec::new, |entry| (entry.check)(&self.native_part(settings)));
        if let Some(limit) = settings.get(TIMEOUT)
            && !limit.as_f64().is_some_and(|limit| limit > 0.0 && limit <= Seconds::LONGEST.as_secs_f64())
        {
            let found = format!("found {}", autoscalebot_core::registry::in_short(limit));
            problems.push(Problem::new(TIMEOUT, found, "a number of seconds above 0"));
        }
        problems
    }

    /// The engine's backend that it stands on, made with its part of the settings.
    ///
    /// # Errors
    /// What its making said.
    pub fn native_backend(&self, settings: &Value, context: &C) -> Result<Option<Arc<S>>, Problem> {
        let native = self.native.map(|entry| (entry.build)(&self.native_part(settings), context).map(Arc::from));
        native.transpose()
    }

    /// Those settings that the engine's backend has: what is set, and what the class sets by its own defaults.
    fn native_part(&self, settings: &Value) -> Value {
        let Some(entry) = self.native else { return json!({}) };
        let names = property_names(&(entry.schema)());
        let given = settings.as_object().into_iter().flatten();
        let mut part = self.defaults.clone();
        part.extend(given.map(|(name, value)| (name.clone(), value.clone())));
        part.retain(|name, _| names.contains(name));
        Value::Object(part)
    }

    /// How long a call may take.
    fn limit(&self, settings: &Value) -> Duration {
        let mut all = self.all_defaults();
        all.extend(settings.as_object().cloned().unwrap_or_default());
        let limits = all.iter().filter(|(name, _)| name.ends_with(TIMEOUT)).filter_map(|(_, value)| value.as_f64());
        let sum: f64 = limits.sum();
        let limit = Duration::try_from_secs_f64(sum).ok().filter(|limit| !limit.is_zero()).unwrap_or(USUAL_LIMIT);
        if self.native.is_some() { limit + GRACE } else { limit }
    }

    /// An object of the class. It gets the settings that are set, those of its stage among them, and `context` for what it
    /// lets the engine do.
    ///
    /// # Errors
    /// What its making said.
    pub fn object(&self, settings: &Value, common: Value, process: &str, context: Context) -> Result<Object, Problem> {
        let mut all = common.as_object().cloned().unwrap_or_default();
        all.extend(settings.as_object().cloned().unwrap_or_default());
        let all = Value::Object(all).to_string();
        let made = Python::attach(|py| {
            let made = bridge::ask(py, "make", (self.class.bind(py), all, process, context));
            made.map(Bound::unbind).map_err(|error| bridge::in_one_line(py, &error))
        });
        let object = made.map_err(|said| Problem::new("", format!("{} cannot be made: {said}", self.name), ""))?;
        Ok(Object::new(object, self.name, process, self.limit(settings)))
    }
}

/// What the bridge says about a name that leads to no backend.
fn no_such_backend(py: Python<'_>, error: &PyErr) -> Problem {
    let value = error.value(py);
    let word = |name| value.getattr(name).and_then(|said| said.extract::<String>());
    match (word("found"), word("allowed")) {
        (Ok(found), Ok(allowed)) => Problem::new("", found, allowed),
        _ => Failure::of(py, error).problem(""),
    }
}
