//! The settings in the docs, tried: every block of TOML in a page is read as the program would read it.

use std::{
    fs,
    path::{Path, PathBuf},
};

use autoscalebot_engine::{config::load, environment::Environment};

/// Every page with prose.
fn pages(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            pages(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "md") {
            found.push(path);
        }
    }
}

/// The blocks of a page that are in a language.
fn blocks<'a>(page: &'a str, language: &str) -> Vec<&'a str> {
    let begin = format!("```{language}\n");
    page.split(begin.as_str()).skip(1).filter_map(|rest| rest.split("```").next()).collect()
}

/// The names in `${NAME}`, each with a value: on the reader's machine they are set.
fn environment(block: &str) -> Environment {
    let names = block.split("${").skip(1).filter_map(|rest| rest.split('}').next());
    names.map(|name| (name, value(name))).collect()
}

/// A value as platforms give it to a variable of that name.
fn value(name: &str) -> &'static str {
    match name {
        "REDIS_URL" => "rediss://:hunter2@example.org:6379",
        "CLOUDAMQP_URL" => "amqps://user:hunter2@example.org/user",
        "DATABASE_URL" => "postgres://user:hunter2@example.org:5432/app",
        "NATS_URL" => "nats://example.org:4222",
        // It must do for keys and for URLs.
        _ => "https://example.org/hooks/0123456789abcdef",
    }
}

/// A block about another stage, with a platform to go with it.
fn completed(block: &str) -> String {
    let process: String =
        block.chars().skip_while(|sign| *sign == '[').take_while(|sign| !".]".contains(*sign)).collect();
    let platform = format!("[{process}.scaling]");
    if block.contains(&platform) { block.to_owned() } else { format!("{block}\n{platform}\nbackend = \"DryRun\"\n") }
}

#[test]
fn settings_in_the_docs_are_read_without_an_error_or_a_warning() {
    let mut files = vec![crate::root().join("README.md")];
    pages(&crate::root().join("docs"), &mut files);
    let folder = std::env::temp_dir().join(format!("autoscalebot-docs-{}", std::process::id()));
    fs::create_dir_all(&folder).unwrap();
    let (mut tried, mut complaints) = (0, Vec::new());
    for file in files {
        let page = fs::read_to_string(&file).unwrap();
        for block in blocks(&page, "toml") {
            // Top-level keys without a process are settings of a block that the prose is about.
            if !block.trim_start().starts_with('[') {
                continue;
            }
            let settings = folder.join("settings.toml");
            fs::write(&settings, completed(block)).unwrap();
            tried += 1;
            match load::load(settings.to_str(), &folder, &environment(block).into()) {
                Ok(loaded) if loaded.warnings.is_empty() => {}
                Ok(loaded) => complaints.push(format!("{}\n{block}{}", file.display(), loaded.warnings.join("\n"))),
                Err(errors) => complaints.push(format!("{}\n{block}{}", file.display(), errors.lines().join("\n"))),
            }
        }
    }
    fs::remove_dir_all(&folder).unwrap();
    assert!(complaints.is_empty(), "{}", complaints.join("\n\n"));
    assert!(tried > 10, "only {tried} examples were found");
}
