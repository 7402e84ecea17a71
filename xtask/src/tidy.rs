//! `cargo xtask tidy`: the rules of STYLE.md that a program can see.
//!
//! Each rule is a function from the tree to complaints, and each complaint says what to do. Rules that need judgement
//! (is this name honest? does this comment say why?) stay with people.

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result, bail};

use crate::run::root;

/// Longer files no longer fit in a head.
const LONGEST_FILE_LINES: usize = 700;

/// Folders that are not ours to judge.
const SKIPPED_FOLDERS: &[&str] = &["target", ".git", "node_modules", "__pycache__", ".venv"];

/// Text that a machine wrote: too long to read, and nobody does.
const GENERATED: &[&str] = &["Cargo.lock", "docs/openapi.json", "docs/settings.schema.json", "docs/settings.md"];

/// What must not stand in source text, and what to do instead. Spelt in two halves, so that this file may hold it.
const FORBIDDEN_IN_RUST: &[(&str, &str)] = &[
    (concat!("todo", "!("), "do it, or leave the feature out"),
    (concat!("unimplemented", "!("), "do it, or leave the feature out"),
    (concat!("dbg", "!("), "remove it"),
    (concat!("#[ign", "ore"), "a test that does not run proves nothing; mend or delete it"),
];

const FORBIDDEN_ANYWHERE: &[(&str, &str)] = &[
    (concat!("FIX", "ME"), "mend it now, or write down what is missing as a sentence"),
    (concat!("XX", "X:"), "mend it now, or write down what is missing as a sentence"),
    (concat!("/ho", "me/"), "a path of one machine; use a relative one"),
    (concat!("/ro", "ot/"), "a path of one machine; use a relative one"),
    (concat!("/Us", "ers/"), "a path of one machine; use a relative one"),
    (concat!("crates", ".io"), "name the package, not where it is downloaded"),
    (concat!("pypi", ".org"), "name the package, not where it is downloaded"),
    (concat!("registry.npm", "js"), "name the package, not where it is downloaded"),
    (concat!("pythonhosted", ".org"), "name the package, not where it is downloaded"),
];

/// The stages: their name in `docs/backends/`, and the folder with their registry.
const STAGES: &[(&str, &str)] = &[
    ("measurement", "engine/src/measurement"),
    ("decision", "core/src/decision"),
    ("scaling", "engine/src/scaling"),
    ("notification", "engine/src/notification"),
];

/// Prints every complaint; fails when there is one.
pub fn tidy() -> Result<()> {
    let tree = Tree::read(&root())?;
    let rules = [
        headers,
        lengths,
        forbidden_words,
        backends_are_listed_and_documented,
        architecture_is_true,
        links_lead_somewhere,
        changelog,
    ];
    let complaints: Vec<String> = rules.iter().flat_map(|rule| rule(&tree)).collect();
    for complaint in &complaints {
        println!("{complaint}");
    }
    match complaints.len() {
        0 => Ok(()),
        1 => bail!("one thing is untidy"),
        many => bail!("{many} things are untidy"),
    }
}

/// Every text file of the project, by its path from the root with `/` between the parts.
struct Tree {
    files: Vec<(String, String)>,
}

impl Tree {
    fn read(root: &Path) -> Result<Self> {
        let mut files = Vec::new();
        read_folder(root, root, &mut files)?;
        files.sort();
        Ok(Self { files })
    }

    fn rust(&self) -> impl Iterator<Item = &(String, String)> {
        self.files.iter().filter(|(path, _)| path.ends_with(".rs"))
    }

    fn text(&self, path: &str) -> Option<&str> {
        self.files.iter().find(|(name, _)| name == path).map(|(_, text)| text.as_str())
    }

    fn exists(&self, path: &str) -> bool {
        let folder = format!("{}/", path.trim_end_matches('/'));
        self.files.iter().any(|(name, _)| name == path || name.starts_with(&folder))
    }
}

fn read_folder(root: &Path, folder: &Path, files: &mut Vec<(String, String)>) -> Result<()> {
    for entry in fs::read_dir(folder).with_context(|| format!("cannot read {}", folder.display()))? {
        let path: PathBuf = entry?.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        if path.is_symlink() {
            continue;
        }
        if path.is_dir() {
            if !SKIPPED_FOLDERS.contains(&name.as_str()) {
                read_folder(root, &path, files)?;
            }
        } else if let Ok(text) = fs::read_to_string(&path) {
            let parts = path.strip_prefix(root)?.iter().map(|part| part.to_string_lossy());
            files.push((parts.collect::<Vec<_>>().join("/"), text));
        }
    }
    Ok(())
}

fn headers(tree: &Tree) -> Vec<String> {
    let bare = tree.rust().filter(|(_, text)| !text.starts_with("//!"));
    bare.map(|(path, _)| format!("{path}: begin with `//!`: what this file is, why, what it refuses")).collect()
}

fn lengths(tree: &Tree) -> Vec<String> {
    let judged = tree.files.iter().filter(|(path, _)| !is_generated(path));
    judged
        .map(|(path, text)| (path, text.lines().count()))
        .filter(|(_, lines)| *lines > LONGEST_FILE_LINES)
        .map(|(path, lines)| {
            format!("{path}: {lines} lines, at most {LONGEST_FILE_LINES}; split it by what it is about")
        })
        .collect()
}

fn is_generated(path: &str) -> bool {
    GENERATED.contains(&path) || path.ends_with("-lock.json") || path.ends_with(".snap") || path.starts_with("LICENSE")
}

fn forbidden_words(tree: &Tree) -> Vec<String> {
    let mut complaints = Vec::new();
    for (path, text) in &tree.files {
        if is_generated(path) {
            continue;
        }
        let rust = if path.ends_with(".rs") { FORBIDDEN_IN_RUST } else { &[] };
        for (number, line) in text.lines().enumerate() {
            for (word, instead) in FORBIDDEN_ANYWHERE.iter().chain(rust) {
                if line.contains(word) {
                    complaints.push(format!("{path}:{}: {word:?} stands here; {instead}", number + 1));
                }
            }
        }
    }
    complaints
}

/// One backend: one file (or folder), one line in the registry, one page. And no page without its backend.
fn backends_are_listed_and_documented(tree: &Tree) -> Vec<String> {
    let mut complaints = Vec::new();
    for (stage, folder) in STAGES {
        let registry = tree.text(&format!("{folder}/mod.rs")).unwrap_or_default();
        let mut names = BTreeSet::new();
        for (path, text) in tree.rust() {
            let Some(within) = path.strip_prefix(&format!("{folder}/")) else { continue };
            if within == "mod.rs" || !text.contains("impl Backend for ") {
                continue;
            }
            let name = within.split('/').next().unwrap_or(within).trim_end_matches(".rs").to_owned();
            if !registry.contains(&format!("entry::<{name}::")) {
                complaints.push(format!("{path}: add `entry::<{name}::…>()` to BACKENDS in {folder}/mod.rs"));
            }
            let page = format!("docs/backends/{stage}/{name}.md");
            match tree.text(&page) {
                None => complaints.push(format!("{path}: write {page}; `cargo xtask docs` puts the settings in")),
                Some(text) if !text.contains("<!-- settings -->") => {
                    complaints.push(format!("{page}: add the lines <!-- settings --> and <!-- /settings -->"));
                }
                Some(_) => {}
            }
            names.insert(name);
        }
        for (path, _) in &tree.files {
            let page = path.strip_prefix(&format!("docs/backends/{stage}/")).and_then(|name| name.strip_suffix(".md"));
            if page.is_some_and(|page| page != "index" && !names.contains(page)) {
                complaints.push(format!("{path}: there is no such backend in {folder}; delete the page"));
            }
        }
    }
    complaints
}

/// ARCHITECTURE.md names, in backticks, every top folder and every file or folder right under a crate's `src`; whatever
/// it names in that way exists.
fn architecture_is_true(tree: &Tree) -> Vec<String> {
    const PAGE: &str = "ARCHITECTURE.md";
    let Some(text) = tree.text(PAGE) else { return vec![format!("{PAGE} is missing")] };
    let named: BTreeSet<&str> = text
        .split('`')
        .skip(1)
        .step_by(2)
        .filter(|word| word.contains('/') && !word.contains([' ', '<', '*']))
        .collect();

    let mut complaints = Vec::new();
    for (path, _) in &tree.files {
        let parts: Vec<&str> = path.split('/').collect();
        let wanted = match parts.as_slice() {
            [folder, "src", file] if !matches!(*file, "lib.rs" | "main.rs") => Some(format!("{folder}/src/{file}")),
            [folder, "src", sub, _, ..] => Some(format!("{folder}/src/{sub}/")),
            [folder, _, ..] if !folder.starts_with('.') => Some(format!("{folder}/")),
            _ => None,
        };
        // A crate whose `src/` is named as a whole is covered as a whole.
        let covered = |wanted: &str| {
            let source = wanted.trim_end_matches('/').rsplit_once('/').map(|(source, _)| format!("{source}/"));
            named.contains(wanted) || source.is_some_and(|source| named.contains(source.as_str()))
        };
        if let Some(wanted) = wanted.filter(|wanted| !covered(wanted)) {
            complaints.push(format!("{PAGE}: say what `{wanted}` is"));
        }
    }
    complaints.extend(
        named.iter().filter(|word| !tree.exists(word)).map(|word| format!("{PAGE}: there is no `{word}`; take it out")),
    );
    complaints.sort();
    complaints.dedup();
    complaints
}

/// Links between pages, from the folder of the page; those to the outside are not followed.
fn links_lead_somewhere(tree: &Tree) -> Vec<String> {
    let mut complaints = Vec::new();
    for (path, text) in tree.files.iter().filter(|(path, _)| path.ends_with(".md")) {
        for link in text.split("](").skip(1).filter_map(|rest| rest.split(')').next()) {
            let target = link.split('#').next().unwrap_or(link);
            if target.is_empty() || target.contains(':') || target.contains(' ') {
                continue;
            }
            if resolved(path, target).is_none_or(|target| !tree.exists(&target)) {
                complaints.push(format!("{path}: the link to {target} leads nowhere"));
            }
        }
    }
    complaints
}

/// Where a relative link leads, from the root; `None` when that is outside the project.
fn resolved(page: &str, target: &str) -> Option<String> {
    let mut parts: Vec<&str> = page.split('/').collect();
    parts.pop();
    for part in target.split('/') {
        match part {
            "" | "." => {}
            ".." => {
                parts.pop()?;
            }
            part => parts.push(part),
        }
    }
    Some(parts.join("/"))
}

fn changelog(tree: &Tree) -> Vec<String> {
    match tree.text("CHANGELOG.md") {
        Some(text) if text.lines().any(|line| line == "## Unreleased") => Vec::new(),
        _ => vec!["CHANGELOG.md: needs a section `## Unreleased`".to_owned()],
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tree(files: &[(&str, &str)]) -> Tree {
        Tree { files: files.iter().map(|(path, text)| ((*path).to_owned(), (*text).to_owned())).collect() }
    }

    #[test]
    fn a_file_without_header_is_named() {
        let tree = tree(&[("core/src/a.rs", "//! A.\n"), ("core/src/b.rs", "use std;\n")]);
        assert_eq!(headers(&tree).len(), 1);
        assert!(headers(&tree)[0].starts_with("core/src/b.rs"));
    }

    #[test]
    fn a_file_may_have_700_lines_and_not_one_more() {
        let tree = tree(&[("a.rs", &"\n".repeat(700)), ("b.rs", &"\n".repeat(701)), ("Cargo.lock", &"\n".repeat(701))]);
        assert_eq!(lengths(&tree), ["b.rs: 701 lines, at most 700; split it by what it is about"]);
    }

    #[test]
    fn forbidden_words_are_found_with_their_line() {
        let text = format!("//! A.\nfn a() {{ {}) }}\n", concat!("todo", "!("));
        let complaints = forbidden_words(&tree(&[("a.rs", &text), ("a.md", &text)]));
        assert_eq!(complaints.len(), 1);
        assert!(complaints[0].starts_with("a.rs:2: "), "{complaints:?}");
    }

    #[test]
    fn a_backend_needs_its_line_and_its_page_and_a_page_its_backend() {
        let backend = "//! A.\nimpl Backend for A {}\n";
        let complaints = backends_are_listed_and_documented(&tree(&[
            ("engine/src/scaling/mod.rs", "entry::<listed::Listed>()"),
            ("engine/src/scaling/listed.rs", backend),
            ("engine/src/scaling/forgotten/mod.rs", backend),
            ("engine/src/scaling/helper.rs", "//! No backend.\n"),
            ("docs/backends/scaling/listed.md", "<!-- settings -->"),
            ("docs/backends/scaling/gone.md", ""),
        ]));
        assert_eq!(complaints.len(), 3, "{complaints:#?}");
        assert!(complaints[0].contains("entry::<forgotten::"));
        assert!(complaints[1].contains("docs/backends/scaling/forgotten.md"));
        assert!(complaints[2].starts_with("docs/backends/scaling/gone.md"));
    }

    #[test]
    fn architecture_names_all_that_exists_and_nothing_that_does_not() {
        let page = "`core/`, `core/src/step.rs`, `core/src/gone.rs`, and `a / b`";
        let complaints = architecture_is_true(&tree(&[
            ("ARCHITECTURE.md", page),
            ("core/src/lib.rs", ""),
            ("core/src/step.rs", ""),
            ("core/src/wait.rs", ""),
            ("core/src/decision/mod.rs", ""),
            ("docs/index.md", ""),
        ]));
        assert_eq!(
            complaints,
            [
                "ARCHITECTURE.md: say what `core/src/decision/` is",
                "ARCHITECTURE.md: say what `core/src/wait.rs` is",
                "ARCHITECTURE.md: say what `docs/` is",
                "ARCHITECTURE.md: there is no `core/src/gone.rs`; take it out",
            ]
        );
    }

    #[test]
    fn links_are_followed_from_the_folder_of_their_page() {
        let page = "[a](../b.md#part) [c](c.md) [out](https://example.com) [here](#there) [gone](../../../x.md)";
        let complaints = links_lead_somewhere(&tree(&[("docs/sub/page.md", page), ("docs/b.md", "")]));
        assert_eq!(
            complaints,
            [
                "docs/sub/page.md: the link to c.md leads nowhere",
                "docs/sub/page.md: the link to ../../../x.md leads nowhere"
            ]
        );
    }
}
