//! Writes the parts of `docs/` that come from the code, or says which are out of date. Called as `cargo xtask docs`.
//!
//! A setting's name, range, default and meaning stand once, in its struct. Here they become tables, so that the docs
//! cannot say anything else than the program does. The prose around the tables is written by hand and left alone.

#[cfg(test)]
mod examples;
mod page;
mod reference;
mod table;

use std::{
    fs,
    path::{Path, PathBuf},
    process::ExitCode,
};

use anyhow::{Context, Result, bail};
use similar::TextDiff;

/// A file of the docs as it should be.
struct Generated {
    /// From the root of the project.
    path: PathBuf,
    text: String,
}

fn main() -> ExitCode {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let result = match words.iter().map(String::as_str).collect::<Vec<_>>().as_slice() {
        [] => write(),
        ["--check"] => check(),
        _ => Err(anyhow::anyhow!("usage: docgen [--check]")),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn root() -> PathBuf {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    here.parent().unwrap_or(here).to_owned()
}

/// Everything that is generated.
fn all() -> Result<Vec<Generated>> {
    let mut files = page::all(&root())?;
    files.extend(reference::all()?);
    Ok(files)
}

fn write() -> Result<()> {
    for Generated { path, text } in all()? {
        let file = root().join(&path);
        if fs::read_to_string(&file).is_ok_and(|is| is == text) {
            continue;
        }
        if let Some(folder) = file.parent() {
            fs::create_dir_all(folder)?;
        }
        fs::write(&file, text).with_context(|| format!("cannot write {}", path.display()))?;
        println!("wrote {}", path.display());
    }
    Ok(())
}

fn check() -> Result<()> {
    let mut stale = Vec::new();
    for Generated { path, text } in all()? {
        let is = fs::read_to_string(root().join(&path)).unwrap_or_default();
        if is != text {
            let name = path.display().to_string();
            let diff = TextDiff::from_lines(&is, &text);
            println!("{}", diff.unified_diff().context_radius(1).header(&name, "as the code says"));
            stale.push(name);
        }
    }
    if stale.is_empty() {
        return Ok(());
    }
    bail!("out of date: {}\nhint: run `cargo xtask docs` and commit what it writes", stale.join(", "))
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_generated_docs_say_what_the_code_says() {
        if let Err(error) = super::check() {
            panic!("{error:#}");
        }
    }
}
