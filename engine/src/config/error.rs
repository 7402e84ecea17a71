//! What is wrong with a settings file: every problem at once, each with file, line, path, what was found, what is right.
//!
//! There are two renderings: one plain line per problem, for logs and machines, and one with the source line under it,
//! for people at a terminal. Secrets are blanked out of the source line before it is kept, so that neither an error nor
//! its `Debug` can give one away.

use std::{collections::HashSet, fmt, fmt::Write as _};

use annotate_snippets::{AnnotationKind, Level, Renderer, Snippet};
use autoscalebot_core::names::nearest;

use super::tree::{Document, Key, Span};

/// How much of a long line is shown before and from the place that is meant, in characters: about three lines of a
/// terminal in all. JSON of a machine may be one line of megabytes.
const SHOWN_BEFORE: usize = 120;
/// See [`SHOWN_BEFORE`].
const SHOWN_FROM: usize = 120;

/// The most errors that are kept. Nobody reads more, and a machine's one-line file would be searched once for each.
const MOST_ERRORS: usize = 1000;

/// A value of the environment that is shorter is no secret, and is shown: blanking every `1` would blank sentences.
const SHORTEST_SECRET: usize = 4;

/// A problem before it knows its line: what the parts of the reader hand to each other.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Finding {
    /// Where, if it has a place in the file.
    pub span: Option<Span>,
    /// The setting: `web.decision.settings.min_processes`; empty when it is about the file.
    pub path: String,
    /// What is wrong, with what was found.
    pub found: String,
    /// What would be right; may be empty.
    pub allowed: String,
}

impl Finding {
    /// A problem with a setting.
    pub fn new(
        span: impl Into<Option<Span>>,
        path: impl Into<String>,
        found: impl Into<String>,
        allowed: impl Into<String>,
    ) -> Self {
        Self { span: span.into(), path: path.into(), found: found.into(), allowed: allowed.into() }
    }
}

/// `, did you mean x?` when one of the candidates is near; else nothing.
pub fn did_you_mean<'a>(word: &str, candidates: impl IntoIterator<Item = &'a str>) -> String {
    nearest(word, candidates).map(|meant| format!(", did you mean {meant}?")).unwrap_or_default()
}

/// A setting that none of the backends has.
pub fn unknown_setting(key: &Key, block: &str, known: &[&str]) -> Finding {
    let found = format!("unknown setting{}", did_you_mean(&key.name, known.iter().copied()));
    let allowed = if known.is_empty() { "no settings at all".to_owned() } else { known.join(", ") };
    Finding::new(key.span, format!("{block}.{}", key.name), found, allowed)
}

/// All findings of one file, while it is read.
#[derive(Default)]
pub struct Findings {
    errors: Vec<Finding>,
    /// The same, to know what was told already.
    told: HashSet<Finding>,
    warnings: Vec<(Option<Span>, String)>,
    secrets: Vec<Span>,
    /// Names and values of environment variables that the file uses.
    variables: Vec<(String, String)>,
}

impl Findings {
    /// Notes an error; the same one twice counts once.
    pub fn error(&mut self, finding: Finding) {
        if self.told.insert(finding.clone()) {
            self.errors.push(finding);
        }
    }

    /// Notes something that works but should be known.
    pub fn warn(&mut self, span: impl Into<Option<Span>>, sentence: impl Into<String>) {
        self.warnings.push((span.into(), sentence.into()));
    }

    /// A part of the file that must not be shown.
    pub fn hide(&mut self, span: Span) {
        self.secrets.push(span);
    }

    /// A value of the environment, which errors must name and not show.
    pub fn hide_variable(&mut self, name: &str, value: &str) {
        if value.len() >= SHORTEST_SECRET {
            self.variables.push((name.to_owned(), value.to_owned()));
        }
    }

    /// Whether there is no error so far.
    #[must_use]
    pub fn is_fine(&self) -> bool {
        self.errors.is_empty()
    }

    /// The warnings as lines, or all errors in the order of the file.
    ///
    /// # Errors
    /// When at least one error was noted.
    pub fn finish(mut self, document: &Document) -> Result<Vec<String>, ConfigErrors> {
        if self.errors.is_empty() {
            let line = |span: &Option<Span>| {
                span.filter(|_| document.has_text).map(|span| format!(":{}", document.line_and_column(span.start).0))
            };
            let show = |(span, sentence): &(Option<Span>, String)| {
                format!("{}{}: {sentence}", document.file, line(span).unwrap_or_default())
            };
            return Ok(self.warnings.iter().map(show).collect());
        }
        self.errors.sort_by_key(|finding| finding.span.map_or(0, |span| span.start));
        let more = self.errors.len().saturating_sub(MOST_ERRORS);
        self.errors.truncate(MOST_ERRORS);
        if more > 0 {
            self.errors.push(Finding::new(None, "", format!("and {more} more problems after these"), ""));
        }
        let secrets = disjoint(self.secrets);
        let error = |mut finding: Finding| {
            for (name, value) in &self.variables {
                name_variable(&mut finding.found, name, value);
            }
            ConfigError::new(finding, document, &secrets)
        };
        Err(ConfigErrors { errors: self.errors.into_iter().map(error).collect() })
    }
}

/// The same bytes as ranges in order that do not overlap.
fn disjoint(mut spans: Vec<Span>) -> Vec<Span> {
    spans.sort();
    let mut merged: Vec<Span> = Vec::new();
    for span in spans {
        match merged.last_mut() {
            Some(last) if span.start <= last.end => last.end = last.end.max(span.end),
            _ => merged.push(span),
        }
    }
    merged
}

/// Puts `${NAME}` where a sentence repeats the variable's value, or the beginning of it that a cut one shows.
fn name_variable(sentence: &mut String, name: &str, value: &str) {
    /// So much of a value stands for the whole.
    const BEGINNING: usize = 16;
    let beginning: String = value.chars().take(BEGINNING).collect();
    let mut from = 0;
    while let Some(at) = sentence[from..].find(&beginning).map(|at| from + at) {
        let same = sentence[at..].chars().zip(value.chars()).take_while(|(shown, letter)| shown == letter);
        let end = at + same.map(|(letter, _)| letter.len_utf8()).sum::<usize>();
        let shown = format!("${{{name}}}");
        sentence.replace_range(at..end, &shown);
        from = at + shown.len();
    }
}

/// Everything that is wrong with the settings. Never empty.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConfigErrors {
    /// One entry per problem, in the order of the file.
    pub errors: Vec<ConfigError>,
}

/// One thing that is wrong with the settings.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConfigError {
    /// The file; empty when none was found.
    pub file: String,
    /// Where in it.
    pub place: Option<Place>,
    /// The setting: `web.decision.settings.min_processes`; empty when it is about the file.
    pub path: String,
    /// What is wrong, with what was found.
    pub found: String,
    /// What would be right; may be empty.
    pub allowed: String,
}

/// A place in the file, with the line that stands there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// From 1.
    pub line: usize,
    /// From 1, in characters.
    pub column: usize,
    /// The line, or the part of a long one around the place; secrets blanked.
    source: String,
    /// Whether it is only a part.
    is_part: bool,
    /// The bytes of `source` that are meant.
    start: usize,
    end: usize,
}

impl ConfigErrors {
    /// A problem that has no place in a file.
    pub fn without_place(file: impl Into<String>, found: impl Into<String>, allowed: impl Into<String>) -> Self {
        let error = ConfigError {
            file: file.into(),
            place: None,
            path: String::new(),
            found: found.into(),
            allowed: allowed.into(),
        };
        Self { errors: vec![error] }
    }

    /// One plain line per problem, for logs.
    #[must_use]
    pub fn lines(&self) -> Vec<String> {
        self.errors.iter().map(ToString::to_string).collect()
    }

    /// For a terminal: each problem with its source line, then how many there are.
    #[must_use]
    pub fn render(&self, coloured: bool) -> String {
        let renderer = if coloured { Renderer::styled() } else { Renderer::plain() };
        let mut text = String::new();
        for error in &self.errors {
            let _ = writeln!(text, "{}\n", error.render(&renderer));
        }
        let count = self.errors.len();
        let _ = write!(text, "{count} {} in the settings", if count == 1 { "problem" } else { "problems" });
        text
    }
}

impl fmt::Display for ConfigErrors {
    /// One line per problem.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, error) in self.errors.iter().enumerate() {
            write!(formatter, "{}{error}", if index == 0 { "" } else { "\n" })?;
        }
        Ok(())
    }
}

impl std::error::Error for ConfigErrors {}

impl ConfigError {
    fn new(finding: Finding, document: &Document, secrets: &[Span]) -> Self {
        let place = finding.span.filter(|_| document.has_text).map(|span| Place::new(span, document, secrets));
        let Finding { path, found, allowed, .. } = finding;
        Self { file: document.file.clone(), place, path, found, allowed }
    }

    fn headline(&self) -> String {
        let separator = if self.path.is_empty() { "" } else { ": " };
        one_line(&format!("{}{separator}{}", self.path, self.found))
    }

    fn render(&self, renderer: &Renderer) -> String {
        let title = self.headline();
        let title = Level::ERROR.primary_title(title);
        let mut group = match &self.place {
            Some(place) => {
                let snippet = Snippet::source(&place.source)
                    .line_start(place.line)
                    .annotation(AnnotationKind::Primary.span(place.start..place.end));
                if place.is_part {
                    // The column of a part is not that of its line.
                    let origin = annotate_snippets::Origin::path(&self.file);
                    title.element(origin.line(place.line).char_column(place.column)).element(snippet)
                } else {
                    title.element(snippet.path(&self.file))
                }
            }
            None if self.file.is_empty() => annotate_snippets::Group::with_title(title),
            None => title.element(annotate_snippets::Origin::path(&self.file)),
        };
        if !self.allowed.is_empty() {
            group = group.element(Level::HELP.message(one_line(&format!("expected {}", self.allowed))));
        }
        renderer.render(&[group])
    }
}

impl fmt::Display for ConfigError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.file)?;
        if let Some(place) = &self.place {
            write!(formatter, ":{}", place.line)?;
            if self.path.is_empty() {
                write!(formatter, ":{}", place.column)?;
            }
        }
        let separator = if self.file.is_empty() { "" } else { ": " };
        write!(formatter, "{separator}{}", self.headline())?;
        if self.allowed.is_empty() {
            return Ok(());
        }
        write!(formatter, "; expected {}", one_line(&self.allowed))
    }
}

impl Place {
    fn new(span: Span, document: &Document, secrets: &[Span]) -> Self {
        let (line, column) = document.line_and_column(span.start);
        let (text, line_start) = document.line(line);
        let before = text.get(..span.start.saturating_sub(line_start)).unwrap_or(text);
        let first = line_start + before.char_indices().rev().nth(SHOWN_BEFORE - 1).map_or(0, |(at, _)| at);
        let shown = &text[first - line_start..];
        let length = shown.char_indices().nth(SHOWN_BEFORE + SHOWN_FROM).map_or(shown.len(), |(at, _)| at);
        let hidden = |byte: usize| {
            let next = secrets.partition_point(|secret| secret.end <= byte);
            secrets.get(next).is_some_and(|secret| secret.start <= byte)
        };
        // What the words before a value say counts for the whole line, also when only a part of it is shown.
        let secret_from = secret_from(text, document, line).map_or(usize::MAX, |at| line_start + at);
        let mut source = String::new();
        let (mut start, mut end) = (None, None);
        for (offset, letter) in shown[..length].char_indices() {
            let byte = first + offset;
            if byte >= span.start && start.is_none() {
                start = Some(source.len());
            }
            if byte >= span.end && end.is_none() {
                end = Some(source.len());
            }
            source.push(match letter {
                _ if hidden(byte) => '*',
                secret if byte >= secret_from && (secret.is_alphanumeric() || "-_+/.@$".contains(secret)) => '*',
                // Control characters could steer the terminal; a tab would shift the marks below the line.
                control if control.is_control() => ' ',
                other => other,
            });
        }
        let start = start.unwrap_or(source.len());
        // An empty mark would not be seen.
        let next = source[start..].chars().next().map_or(0, char::len_utf8);
        let end = end.unwrap_or(source.len()).max(start + next);
        Self { line, column, is_part: length < text.len(), source, start, end }
    }
}

/// The byte of a line from which on it may hold a secret, by the words before it: all that is known of a file that cannot
/// be parsed.
fn secret_from(text: &str, document: &Document, line: usize) -> Option<usize> {
    let before = (1..line).rev().map(|line| document.line(line).0.trim()).find(|text| !text.is_empty());
    // `'API_KEY':` alone on its line says that the next one holds the key.
    let continues = before.is_some_and(|before| secret_value(before).is_some_and(|at| before[at..].trim().is_empty()));
    if continues { Some(0) } else { secret_value(text) }
}

/// The byte after the separator of the first `API_KEY': `, `password = ` and such in a line.
fn secret_value(line: &str) -> Option<usize> {
    const WORDS: [&str; 6] = ["key", "passw", "secret", "token", "credential", "auth"];
    let lower = line.to_ascii_lowercase();
    let value_after = |at: usize| {
        // The rest of the name and its quote, then the separator.
        let rest = &lower[at..];
        let separator = rest.find(|letter: char| !letter.is_alphanumeric() && !"_-'\" ".contains(letter))?;
        rest[separator..].starts_with([':', '=']).then_some(at + separator + 1)
    };
    let places = |word: &'static str| lower.match_indices(word).map(|(at, _)| at).collect::<Vec<_>>();
    WORDS.iter().flat_map(|word| places(word)).filter_map(value_after).min()
}

/// Foreign messages and values may hold line breaks; an error is one line.
fn one_line(text: &str) -> String {
    text.replace(|letter: char| letter.is_control(), " ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn error(text: &str, part: &str) -> ConfigErrors {
        let document = Document::new("settings.toml", text);
        let start = text.find(part).unwrap();
        let mut findings = Findings::default();
        findings.error(Finding::new(Span { start, end: start + part.len() }, "web.a", "found \"x\"", "a number"));
        findings.finish(&document).unwrap_err()
    }

    #[test]
    fn an_error_shows_its_line_and_what_is_right() {
        let errors = error("[web]\n\ta = \"x\" # ä\n", "\"x\"");
        insta::assert_snapshot!(errors.render(false), @r#"
        error: web.a: found "x"
         --> settings.toml:2:6
          |
        2 |  a = "x" # ä
          |      ^^^
          |
          = help: expected a number

        1 problem in the settings
        "#);
        assert_eq!(errors.to_string(), "settings.toml:2: web.a: found \"x\"; expected a number");
    }

    #[test]
    fn a_secret_on_the_line_is_blanked_even_when_nothing_could_be_parsed() {
        for line in ["API_KEY = 'hünter2' x", "{'a': 1, 'api_key': 'hünter2', x", "password: hünter2 x"] {
            let errors = error(line, "x");
            let shown = format!("{} {errors} {errors:?}", errors.render(true));
            assert!(!shown.contains("nter2"), "{shown}");
        }
    }

    #[test]
    fn control_characters_do_not_reach_the_terminal() {
        let errors = error("a = \"x\" \u{1b}[31m", "\"x\"");
        assert!(!errors.render(false).contains('\u{1b}'));
    }
}
