//! The reference of all settings on one page.

use anyhow::Result;
use autoscalebot_core::{busy, decision};
use autoscalebot_engine::{
    config::{
        example::{self, Format},
        schema,
    },
    environment, measurement, notification,
};
use schemars::{JsonSchema, schema_for};
use serde::Serialize;
use serde_json::Value;

use crate::{
    Generated,
    page::{Stage, snake_case, stages},
    table::table,
};

/// The files that are generated as a whole. Another one is another line here, and `--check` covers it.
pub fn all() -> Result<Vec<Generated>> {
    let mut files = vec![Generated { path: "docs/settings.md".into(), text: reference()? }];
    for format in Format::ALL {
        let path = format!("docs/examples/{}", format.file_name());
        files.push(Generated { path: path.into(), text: example::text(format) });
    }
    let schema = format!("{:#}\n", schema::schema());
    files.push(Generated { path: "docs/settings.schema.json".into(), text: schema });
    files.push(Generated { path: "docs/openapi.json".into(), text: format!("{}\n", autoscalebot::openapi()) });
    Ok(files)
}

const BEGINNING: &str = "\
<!-- Written by `cargo xtask docs`. Change the doc comments in the code, not this file. -->

# Settings

A settings file names, for each process, one backend per stage and its settings. Names are written as here or in
the original's spelling, which is the same in capitals. A text may take a value from the environment: `${NAME}`.
`autoscalebot example` prints a file to start from (the same as in [examples](examples/)), `autoscalebot schema` the
[JSON Schema](settings.schema.json) for your editor, and `autoscalebot check` every mistake at once.

A stage's common settings stand in the same `settings` table as those of the backend.
";

const OWN: &str = "
## Every process

These stand beside the stages, not in one. About them: [busy protection](busy-protection.md).

";

fn reference() -> Result<String> {
    let mut text = BEGINNING.to_owned();
    text += &format!("{OWN}{}", table_of::<busy::Settings>()?);
    for stage in stages() {
        let Stage { name, backends } = stage;
        text += &format!("\n## {name}\n");
        if let Some(table) = common(name)? {
            text += &format!("\n### Every {name} backend\n\n{table}");
        }
        for backend in backends {
            text += &format!("\n### {}\n\n", backend.name);
            text += &format!("About it: [{0}](backends/{name}/{1}.md)", backend.name, snake_case(backend.name));
            if !backend.original_names.is_empty() {
                let names: Vec<String> = backend.original_names.iter().map(|name| format!("`{name}`")).collect();
                text += &format!(". Also found as {}", names.join(", "));
            }
            text += &format!(".\n\n{}", backend.table);
        }
    }
    text += "\n## Environment variables\n\n| variable | meaning |\n|---|---|\n";
    for variable in environment::VARIABLES {
        text += &format!("| `{}` | {} |\n", variable.name, variable.meaning);
    }
    Ok(text)
}

/// The table of the settings that every backend of a stage has.
fn common(stage: &str) -> Result<Option<String>> {
    Ok(match stage {
        "measurement" => Some(table_of::<measurement::Common>()?),
        "decision" => Some(table_of::<decision::Common>()?),
        "notification" => Some(table_of::<notification::Common>()?),
        _ => None,
    })
}

fn table_of<Settings: JsonSchema + Serialize + Default>() -> Result<String> {
    Ok(table(&Value::from(schema_for!(Settings)), &serde_json::to_value(Settings::default())?))
}
