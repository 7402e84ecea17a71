//! A Procfile: one line per entry, `name: command`.
//!
//! The format is the one that Heroku and foreman read: names of letters, digits, `-` and `_`, then a colon, then a shell
//! command to the end of the line. Empty lines and lines that begin with `#` mean nothing. Any other line is an error
//! here, with its number: an entry that is left out silently is an app that silently lacks a part.

use std::path::{Path, PathBuf};

use autoscalebot_core::names::{ProcessName, nearest};

/// A Procfile is written by hand; a larger file is something else that was named by mistake.
const LARGEST_BYTES: u64 = 1024 * 1024;

/// The entries of a Procfile, in its order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Procfile {
    /// Where it is, with every symbolic link resolved.
    pub path: PathBuf,
    /// Its entries.
    pub entries: Vec<ProcfileEntry>,
}

/// One line of a Procfile.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProcfileEntry {
    /// `web`
    pub name: ProcessName,
    /// `bundle exec puma -p $PORT`
    pub command: String,
}

impl Procfile {
    /// # Errors
    /// A sentence that says what is wrong with the file, and where.
    pub fn read(path: &Path) -> Result<Self, String> {
        let shown = path.display();
        let path = path.canonicalize().map_err(|error| format!("{shown} cannot be opened: {error}"))?;
        let size = path.metadata().map_err(|error| format!("{shown} cannot be opened: {error}"))?.len();
        if size > LARGEST_BYTES {
            return Err(format!("{shown} has {size} bytes; a Procfile has at most {LARGEST_BYTES}"));
        }
        let text = std::fs::read_to_string(&path).map_err(|error| format!("{shown} cannot be read: {error}"))?;
        let entries = parse(&text).map_err(|problem| format!("{shown}, {problem}"))?;
        Ok(Self { path, entries })
    }

    /// The entry of this name, and its place in the file.
    ///
    /// # Errors
    /// A sentence that names the entries there are and guesses which was meant.
    pub fn find(&self, name: &str) -> Result<(usize, &ProcfileEntry), String> {
        let found = self.entries.iter().enumerate().find(|(_, entry)| entry.name.as_str() == name);
        found.ok_or_else(|| {
            let names: Vec<&str> = self.entries.iter().map(|entry| entry.name.as_str()).collect();
            let meant = nearest(name, names.iter().copied());
            let hint = meant.map(|meant| format!(" (did you mean {meant}?)")).unwrap_or_default();
            let all = if names.is_empty() { "it is empty".to_owned() } else { format!("it has {}", names.join(", ")) };
            format!("{} has no entry {name:?}{hint}; {all}", self.path.display())
        })
    }

    /// The folder it is in, where its processes run.
    #[must_use]
    pub fn folder(&self) -> &Path {
        self.path.parent().unwrap_or(Path::new("/"))
    }
}

fn parse(text: &str) -> Result<Vec<ProcfileEntry>, String> {
    let mut entries: Vec<ProcfileEntry> = Vec::new();
    for (index, line) in text.lines().enumerate() {
        let (number, line) = (index + 1, line.trim());
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let (name, command) =
            line.split_once(':').ok_or_else(|| format!("line {number}: expected `name: command`, found {line:?}"))?;
        let name = ProcessName::new(name.trim_end()).map_err(|problem| format!("line {number}: {problem}"))?;
        let command = command.trim();
        if command.is_empty() {
            return Err(format!("line {number}: {name} has no command"));
        }
        if entries.iter().any(|entry| entry.name == name) {
            return Err(format!("line {number}: {name} stands twice"));
        }
        entries.push(ProcfileEntry { name, command: command.to_owned() });
    }
    Ok(entries)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_is_everything_after_the_first_colon() {
        let entries = parse("# app\n\nweb: serve --bind 0.0.0.0:$PORT\r\nslow-worker : run 'a: b'\n").unwrap();
        let entries: Vec<_> = entries.iter().map(|entry| (entry.name.as_str(), entry.command.as_str())).collect();
        assert_eq!(entries, [("web", "serve --bind 0.0.0.0:$PORT"), ("slow-worker", "run 'a: b'")]);
    }

    #[test]
    fn a_wrong_line_is_refused_with_its_number() {
        for (text, problem) in [
            ("web: x\nworker", "line 2: expected `name: command`, found \"worker\""),
            ("web: x\nweb: y", "line 2: web stands twice"),
            ("web:  ", "line 1: web has no command"),
            ("my web: x", "line 1: \"my web\" is not a process name: 1 to 128 letters, digits, `-` and `_`"),
        ] {
            assert_eq!(parse(text).unwrap_err(), problem);
        }
    }

    #[test]
    fn a_missing_entry_is_guessed() {
        let procfile = Procfile { path: "/app/Procfile".into(), entries: parse("web: x\nworker: y").unwrap() };
        let problem = procfile.find("worke").unwrap_err();
        assert_eq!(problem, "/app/Procfile has no entry \"worke\" (did you mean worker?); it has web, worker");
        assert_eq!(procfile.find("worker").unwrap().0, 1);
    }
}
