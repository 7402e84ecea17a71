//! The formation: how many dynos of which size each process type has, and the rules for changing it.
//!
//! A change is read in every spelling that clients of any age send, applied to a copy, checked as a whole against the
//! rules of sizes and quantities, and only then kept: one bad element refuses the whole request. Nothing here starts
//! or stops a dyno; see `dynos.rs`.

use serde_json::{Map, Value};

use super::{
    errors::ApiError,
    open_questions::OpenQuestions,
    setup::Generation,
    sizes::{self, DynoSize, Tier},
};

/// Most dynos of one app.
const MOST_DYNOS_PER_APP: u64 = 100;

/// Most Eco dynos of one app at once.
const MOST_ECO_DYNOS: u64 = 2;

/// One process type's share of the formation.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Process {
    pub(crate) id: String,
    pub(crate) name: String,
    pub(crate) command: String,
    pub(crate) quantity: u32,
    /// The canonical spelling.
    pub(crate) size: String,
    pub(crate) created_at: String,
    pub(crate) updated_at: String,
}

/// What a client asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Quantity {
    Absolute(i64),
    Relative(i64),
}

/// One wanted change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Update {
    /// A process type or a formation id.
    pub(crate) process: String,
    pub(crate) quantity: Option<Quantity>,
    /// As the client wrote it.
    pub(crate) size: Option<String>,
}

/// Reads the body of `PATCH …/formation`.
pub(crate) fn read_batch(body: &Value, open: &OpenQuestions) -> Result<Vec<Update>, ApiError> {
    let updates = body["updates"].as_array().ok_or_else(|| ApiError::invalid("updates must be an array."))?;
    let mut read = Vec::with_capacity(updates.len());
    for update in updates {
        let fields = update.as_object().ok_or_else(|| ApiError::invalid("Each update must be an object."))?;
        // The key was called `process` until 2014, and old clients still send it.
        let process = fields.get("type").or_else(|| fields.get("process")).and_then(Value::as_str);
        let process = process.ok_or_else(|| ApiError::invalid("Each update must have a type."))?;
        read.push(read_update(process, fields, open)?);
    }
    Ok(read)
}

/// Reads the body of `PATCH …/formation/{type}`.
pub(crate) fn read_single(process: &str, body: &Value, open: &OpenQuestions) -> Result<Update, ApiError> {
    match body {
        Value::Null => read_update(process, &Map::new(), open),
        Value::Object(fields) => read_update(process, fields, open),
        _ => Err(ApiError::of_status(400, "The body must be an object.")),
    }
}

fn read_update(process: &str, fields: &Map<String, Value>, open: &OpenQuestions) -> Result<Update, ApiError> {
    let quantity = match fields.get("quantity") {
        None | Some(Value::Null) => None,
        Some(value) => Some(read_quantity(value).ok_or_else(|| bad_quantity(value, open))?),
    };
    let size = match (fields.get("dyno_size"), fields.get("size")) {
        (Some(Value::Object(size)), _) => size.get("name").or_else(|| size.get("id")).cloned(),
        (_, Some(size)) if !size.is_null() => Some(size.clone()),
        _ => None,
    };
    let size = match size {
        None => None,
        Some(Value::String(name)) => Some(name),
        Some(other) => return Err(no_such_size(&other.to_string(), Generation::Cedar)),
    };
    Ok(Update { process: process.to_owned(), quantity, size })
}

/// `3`, `"3"`, `"+1"` or `"-1"`.
fn read_quantity(value: &Value) -> Option<Quantity> {
    if let Some(number) = value.as_i64() {
        return (number >= 0).then_some(Quantity::Absolute(number));
    }
    let text = value.as_str()?.trim();
    let number: i64 = text.parse().ok()?;
    if text.starts_with(['+', '-']) { Some(Quantity::Relative(number)) } else { Some(Quantity::Absolute(number)) }
}

/// The processes after these changes, or why they are refused.
pub(crate) fn apply(
    processes: &[Process],
    updates: &[Update],
    generation: Generation,
    now: &str,
    open: &OpenQuestions,
) -> Result<Vec<Process>, ApiError> {
    let mut changed = processes.to_vec();
    for update in updates {
        let process = changed
            .iter_mut()
            .find(|process| process.name == update.process || process.id == update.process)
            .ok_or_else(|| ApiError::no_such_process(&update.process))?;
        let before = (process.quantity, process.size.clone());
        if let Some(name) = &update.size {
            process.size = usable_size(name, generation)?.name.to_owned();
        }
        if let Some(quantity) = update.quantity {
            let wanted = match quantity {
                Quantity::Absolute(number) => number,
                Quantity::Relative(by) => i64::from(process.quantity).saturating_add(by),
            };
            process.quantity = u32::try_from(wanted).map_err(|_| bad_quantity(&Value::from(wanted), open))?;
        }
        if before != (process.quantity, process.size.clone()) {
            now.clone_into(&mut process.updated_at);
        }
    }
    check(&changed, open)?;
    Ok(changed)
}

fn usable_size(name: &str, generation: Generation) -> Result<&'static DynoSize, ApiError> {
    let size = sizes::find(name).ok_or_else(|| no_such_size(name, generation))?;
    if !size.usable(generation) {
        return Err(ApiError::invalid(format!("Requested type {} is not available in this dyno type.", size.name)));
    }
    Ok(size)
}

/// The rules that hold for a formation as a whole.
fn check(processes: &[Process], open: &OpenQuestions) -> Result<(), ApiError> {
    let sized =
        || processes.iter().filter_map(|process| sizes::find(&process.size).map(|size| (process.quantity, size)));
    for (quantity, size) in sized() {
        if let Some(most) = size.tier.most_per_type().filter(|most| quantity > *most) {
            let text = format!("Cannot update to more than {most} {} size dynos per process type.", size.name);
            return Err(ApiError::invalid(text));
        }
    }
    let counted = || sized().filter(|(quantity, _)| *quantity > 0 || open.empty_types_count_for_mixing);
    let group = counted().next().map(|(_, size)| size.tier.group());
    if counted().any(|(_, size)| Some(size.tier.group()) != group) {
        let mut names: Vec<&str> = counted().map(|(_, size)| size.name).collect();
        names.sort_unstable();
        names.dedup();
        let text = format!("Cannot use the following dyno types in the same app: {}", sentence(&names));
        return Err(ApiError::invalid(text));
    }
    let total = |only: Option<Tier>| -> u64 {
        sized().filter(|(_, size)| only.is_none_or(|tier| size.tier == tier)).map(|(n, _)| u64::from(n)).sum()
    };
    if total(Some(Tier::Eco)) > MOST_ECO_DYNOS {
        let limit = MOST_ECO_DYNOS.to_string();
        return Err(ApiError::invalid(open.too_many_eco_dynos_message.replace("{limit}", &limit)));
    }
    if total(None) > MOST_DYNOS_PER_APP {
        let limit = MOST_DYNOS_PER_APP.to_string();
        return Err(ApiError::invalid(open.too_many_dynos_message.replace("{limit}", &limit)));
    }
    Ok(())
}

fn bad_quantity(value: &Value, open: &OpenQuestions) -> ApiError {
    ApiError::invalid(open.bad_quantity_message.replace("{quantity}", &value.to_string()))
}

fn no_such_size(name: &str, generation: Generation) -> ApiError {
    let names: Vec<&str> = sizes::available(generation).map(|size| size.name).collect();
    ApiError::invalid(format!("No such size as {name}. Available dyno sizes are {}.", sentence(&names)))
}

/// `A`, `A and B`, `A, B, and C`.
fn sentence(names: &[&str]) -> String {
    match names {
        [] => String::new(),
        [one] => (*one).to_owned(),
        [one, two] => format!("{one} and {two}"),
        [rest @ .., last] => format!("{}, and {last}", rest.join(", ")),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn process(name: &str, quantity: u32, size: &str) -> Process {
        Process {
            id: format!("id-of-{name}"),
            name: name.to_owned(),
            command: format!("bin/{name}"),
            quantity,
            size: size.to_owned(),
            created_at: "then".to_owned(),
            updated_at: "then".to_owned(),
        }
    }

    fn change(processes: &[Process], updates: Value) -> Result<Vec<Process>, ApiError> {
        change_with(processes, updates, &OpenQuestions::default())
    }

    fn change_with(processes: &[Process], updates: Value, open: &OpenQuestions) -> Result<Vec<Process>, ApiError> {
        let updates = read_batch(&json!({ "updates": updates }), open)?;
        apply(processes, &updates, Generation::Cedar, "now", open)
    }

    #[test]
    fn every_spelling_of_a_change_is_understood() {
        let size_id = sizes::find("Standard-2X").unwrap().id();
        let table = [
            ("a number", json!({ "type": "web", "quantity": 3 }), (3, "Standard-1X")),
            ("a text", json!({ "type": "web", "quantity": "3" }), (3, "Standard-1X")),
            ("one more", json!({ "type": "web", "quantity": "+1" }), (3, "Standard-1X")),
            ("two fewer", json!({ "type": "web", "quantity": "-2" }), (0, "Standard-1X")),
            ("by id", json!({ "type": "id-of-web", "quantity": 0 }), (0, "Standard-1X")),
            ("the old key", json!({ "process": "web", "quantity": 5 }), (5, "Standard-1X")),
            ("size as text", json!({ "type": "web", "size": "Standard-2X" }), (2, "Standard-2X")),
            ("size in another case", json!({ "type": "web", "size": "standard-2x" }), (2, "Standard-2X")),
            ("size by name", json!({ "type": "web", "dyno_size": { "name": "PERFORMANCE-m" } }), (2, "Performance-M")),
            ("size by id", json!({ "type": "web", "dyno_size": { "id": size_id } }), (2, "Standard-2X")),
            ("nulls", json!({ "type": "web", "quantity": null, "size": null }), (2, "Standard-1X")),
            ("nothing", json!({ "type": "web" }), (2, "Standard-1X")),
        ];
        for (name, update, (quantity, size)) in table {
            let changed = change(&[process("web", 2, "Standard-1X")], json!([update])).unwrap_or_else(|error| {
                panic!("{name}: {error:?}");
            });
            assert_eq!((changed[0].quantity, changed[0].size.as_str()), (quantity, size), "{name}");
        }
    }

    #[test]
    fn refusals_carry_herokus_own_texts() {
        let standard = vec![process("web", 1, "Standard-1X"), process("celery", 1, "Standard-1X")];
        let basic = vec![process("web", 1, "Basic")];
        let eco = vec![process("web", 1, "Eco"), process("a", 1, "Eco"), process("b", 0, "Eco")];
        let performance = vec![process("web", 1, "Performance-M")];
        let table = [
            (
                "two Basic dynos",
                &basic,
                json!([{ "type": "web", "quantity": 2 }]),
                "Cannot update to more than 1 Basic size dynos per process type.",
            ),
            (
                "two Eco dynos of a type",
                &eco,
                json!([{ "type": "web", "quantity": 2 }]),
                "Cannot update to more than 1 Eco size dynos per process type.",
            ),
            (
                "three Eco dynos of an app",
                &eco,
                json!([{ "type": "b", "quantity": 1 }]),
                "Cannot run more than 2 Eco size dynos per app.",
            ),
            (
                "eleven Performance dynos",
                &performance,
                json!([{ "type": "web", "quantity": 11 }]),
                "Cannot update to more than 10 Performance-M size dynos per process type.",
            ),
            (
                "mixed tiers",
                &standard,
                json!([{ "type": "web", "size": "Basic" }]),
                "Cannot use the following dyno types in the same app: Basic and Standard-1X",
            ),
            (
                "more than an app may have",
                &standard,
                json!([{ "type": "web", "quantity": 100 }]),
                "Cannot update to more than 100 dynos per app.",
            ),
            (
                "a size of the past",
                &standard,
                json!([{ "type": "web", "size": "1X" }]),
                "No such size as 1X. Available dyno sizes are Eco, Basic, Standard-1X, Standard-2X, Performance-M, \
                 Performance-L, Performance-L-RAM, Performance-XL, and Performance-2XL.",
            ),
            (
                "a size of another platform",
                &standard,
                json!([{ "type": "web", "size": "private-s" }]),
                "Requested type Private-S is not available in this dyno type.",
            ),
            (
                "fewer than none",
                &standard,
                json!([{ "type": "web", "quantity": "-2" }]),
                "Quantity must be a whole number of dynos, not -1.",
            ),
            (
                "a fraction",
                &standard,
                json!([{ "type": "web", "quantity": 1.5 }]),
                "Quantity must be a whole number of dynos, not 1.5.",
            ),
            ("no type", &standard, json!([{ "quantity": 1 }]), "Each update must have a type."),
        ];
        for (name, processes, updates, message) in table {
            let error = change(processes, updates).expect_err(name);
            assert_eq!((error.status.as_u16(), error.id.as_str()), (422, "invalid_params"), "{name}");
            assert_eq!(error.message, message, "{name}");
        }
    }

    #[test]
    fn limits_may_be_reached() {
        let table = [
            ("one Basic of each type", vec![process("web", 0, "Basic"), process("celery", 1, "Basic")], 1),
            ("ten Performance", vec![process("web", 1, "Performance-L")], 10),
            ("a hundred in all", vec![process("web", 1, "Standard-1X"), process("celery", 1, "Standard-2X")], 99),
            (
                "Standard beside Performance",
                vec![process("web", 1, "Standard-1X"), process("b", 1, "Performance-M")],
                3,
            ),
        ];
        for (name, processes, quantity) in table {
            let changed = change(&processes, json!([{ "type": "web", "quantity": quantity }]));
            assert_eq!(changed.map(|changed| changed[0].quantity), Ok(quantity), "{name}");
        }
    }

    #[test]
    fn one_bad_element_refuses_the_whole_batch() {
        let processes = vec![process("web", 1, "Standard-1X"), process("celery", 1, "Standard-1X")];
        let updates = json!([{ "type": "web", "quantity": 5 }, { "type": "clock", "quantity": 1 }]);
        let error = change(&processes, updates).unwrap_err();
        assert_eq!((error.status.as_u16(), error.message.as_str()), (404, "Couldn't find that process type (clock)."));
    }

    #[test]
    fn a_whole_app_may_change_its_tier_in_one_batch() {
        let processes = vec![process("web", 1, "Basic"), process("celery", 0, "Basic")];
        let updates = json!([{ "type": "web", "size": "Standard-1X" }, { "type": "celery", "size": "Standard-1X" }]);
        assert!(change(&processes, updates).is_ok());
        let half = json!([{ "type": "web", "size": "Standard-1X" }]);
        assert!(change(&processes, half.clone()).is_err());
        let lenient = OpenQuestions { empty_types_count_for_mixing: false, ..OpenQuestions::default() };
        assert!(change_with(&processes, half, &lenient).is_ok());
    }

    #[test]
    fn only_a_real_change_moves_updated_at() {
        let processes = vec![process("web", 1, "Standard-1X")];
        let same = change(&processes, json!([{ "type": "web", "quantity": 1 }])).unwrap();
        assert_eq!(same[0].updated_at, "then");
        let more = change(&processes, json!([{ "type": "web", "quantity": 2 }])).unwrap();
        assert_eq!(more[0].updated_at, "now");
    }
}
