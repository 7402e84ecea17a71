//! The example in each format's own words.

use serde_json::{Map, Value};

use super::{Kind, Setting, Stage};

/// The widest line, in characters.
const WIDTH: usize = 100;

/// What stands above every example with comments.
const BEGINNING: &[&str] = &[
    "How autoscalebot cares for the processes of an app: measure, decide, scale, notify.",
    "",
    "Lines that begin with # and a space explain; the others in comments are settings to uncomment. They show their \
     default unless they say that there is none.",
    "`autoscalebot check` tells what the settings mean, or everything that is wrong with them;",
    "`autoscalebot eval` measures and decides once, and changes nothing.",
];

const PROCESS: &str = "A process, by the name that the platform has for it. Add as many as you like.";

pub fn toml(own: &[Setting], stages: &[Stage]) -> String {
    let mut text = comment("", BEGINNING);
    text += "# A text may take a value from the environment: \"${NAME}\".\n\n";
    text += &comment("", &[PROCESS]);
    text += "\n[web]\n";
    for setting in own {
        text += &explained("", setting, &format!("{} = {}", setting.name, toml_value(&setting.value)));
    }
    for Stage { name, backend, settings } in stages {
        let backend = Value::from(*backend);
        let line =
            if *name == "notification" { format!("backends = [{backend}]") } else { format!("backend = {backend}") };
        text += &format!("\n[web.{name}]\n{line}\n\n[web.{name}.settings]\n");
        for setting in settings {
            text += &explained("", setting, &format!("{} = {}", setting.name, toml_value(&setting.value)));
        }
    }
    text
}

pub fn yaml(own: &[Setting], stages: &[Stage]) -> String {
    let mut text = comment("", BEGINNING);
    text += "# A text may take a value from the environment: \"${NAME}\".\n\n";
    text += &comment("", &[PROCESS]);
    text += "web:\n";
    for setting in own {
        text += &explained("  ", setting, &format!("{}: {}", setting.name, setting.value));
    }
    for Stage { name, backend, settings } in stages {
        let line =
            if *name == "notification" { format!("backends: [{backend}]") } else { format!("backend: {backend}") };
        text += &format!("  {name}:\n    {line}\n    settings:\n");
        for setting in settings {
            // A value in JSON is one in YAML.
            text += &explained("      ", setting, &format!("{}: {}", setting.name, setting.value));
        }
    }
    text
}

pub fn json(own: &[Setting], stages: &[Stage]) -> String {
    let known = |settings: &[Setting]| -> Map<String, Value> {
        let known = settings.iter().filter(|setting| setting.kind != Kind::Sample && !super::is_empty(&setting.value));
        known.map(|setting| (setting.name.clone(), setting.value.clone())).collect()
    };
    let mut process = known(own);
    for Stage { name, backend, settings } in stages {
        let settings = known(settings);
        let block = if *name == "notification" {
            serde_json::json!({"backends": [backend], "settings": settings})
        } else {
            serde_json::json!({"backend": backend, "settings": settings})
        };
        process.insert((*name).to_owned(), block);
    }
    let text = serde_json::to_string_pretty(&serde_json::json!({"web": process}));
    text.unwrap_or_default() + "\n"
}

pub fn python(own: &[Setting], stages: &[Stage], is_django: bool) -> String {
    let mut text = comment("", BEGINNING);
    if is_django {
        text += "\n# This is a part of your project's settings.py. TIME_ZONE, ADMINS and the EMAIL_* settings of the\n\
                 # project are used where the settings below say nothing else.\n";
    }
    text += "\nimport os\n\nAUTOSCALE_SETTINGS = {\n";
    text += &comment("    ", &[PROCESS]);
    text += "    'web': {\n";
    for setting in own {
        let line = format!("'{}': {},", setting.name.to_uppercase(), python_value(&setting.value));
        text += &explained("        ", setting, &line);
    }
    for Stage { name, backend, settings } in stages {
        let path = format!("'autoscalebot.backends.{name}.{backend}Backend'");
        let line = if *name == "notification" { format!("'BACKENDS': [{path}]") } else { format!("'BACKEND': {path}") };
        text += &format!("        '{}': {{\n            {line},\n            'SETTINGS': {{\n", name.to_uppercase());
        for setting in settings {
            let line = format!("'{}': {},", setting.name.to_uppercase(), python_value(&setting.value));
            text += &explained("                ", setting, &line);
        }
        text += "            },\n        },\n";
    }
    text + "    },\n}\n"
}

/// A setting below its meaning; in a comment unless it must be there.
fn explained(indent: &str, setting: &Setting, line: &str) -> String {
    let meaning = match setting.kind {
        Kind::Sample => format!("{} There is no default; for example:", setting.meaning),
        Kind::Set | Kind::Default => setting.meaning.clone(),
    };
    let mark = if setting.kind == Kind::Set { "" } else { "#" };
    format!("{}{indent}{mark}{line}\n", comment(indent, &[&meaning]))
}

/// Paragraphs as comments that fit on a page.
fn comment(indent: &str, paragraphs: &[&str]) -> String {
    let mut text = String::new();
    for paragraph in paragraphs {
        let mut line = format!("{indent}#");
        for word in paragraph.split_whitespace() {
            if line.chars().count() + 1 + word.chars().count() > WIDTH {
                text += &line;
                text += "\n";
                line = format!("{indent}#");
            }
            line += " ";
            line += word;
        }
        text += &line;
        text += "\n";
    }
    text
}

fn toml_value(value: &Value) -> String {
    match value {
        Value::Array(items) => format!("[{}]", items.iter().map(toml_value).collect::<Vec<_>>().join(", ")),
        Value::Object(entries) => {
            let entry =
                |(name, value): (&String, &Value)| format!("{} = {}", Value::from(name.as_str()), toml_value(value));
            format!("{{ {} }}", entries.iter().map(entry).collect::<Vec<_>>().join(", "))
        }
        // Texts, numbers, true and false are written as in JSON.
        other => other.to_string(),
    }
}

fn python_value(value: &Value) -> String {
    match value {
        Value::Null => "None".to_owned(),
        Value::Bool(true) => "True".to_owned(),
        Value::Bool(false) => "False".to_owned(),
        Value::String(text) => match text.strip_prefix("${").and_then(|rest| rest.strip_suffix('}')) {
            Some(name) => format!("os.environ['{name}']"),
            None => format!("'{}'", text.replace('\\', "\\\\").replace('\'', "\\'")),
        },
        Value::Array(items) => format!("[{}]", items.iter().map(python_value).collect::<Vec<_>>().join(", ")),
        Value::Object(entries) => {
            let entry = |(name, value): (&String, &Value)| format!("'{name}': {}", python_value(value));
            format!("{{{}}}", entries.iter().map(entry).collect::<Vec<_>>().join(", "))
        }
        Value::Number(number) => number.to_string(),
    }
}
