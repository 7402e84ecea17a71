//! What is wrong with a settings file: every problem at once, each with file, line, path, what was found, what is right.
//!
//! There are two renderings: one plain line per problem, for logs and machines, and one with the source line under it,
//! for people at a terminal. Secrets are blanked out of the source line before it is kept, so that neither an error nor
//! its `Debug` can give one away.

use std::{fmt, fmt::Write as _};

use annotate_snippets::{AnnotationKind, Level, Renderer, Snippet};

use super::tree::{Document, Span};

/// A problem before it knows its line: what the parts of the reader hand to each other.
#[derive(Debug, Clone, PartialEq, Eq)]
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

/// All findings of one file, while it is read.
#[derive(Debug, Default)]
pub struct Findings {
    errors: Vec<Finding>,
    warnings: Vec<(Option<Span>, String)>,
    secrets: Vec<Span>,
}

impl Findings {
    /// Notes an error; the same one twice counts once.
    pub fn error(&mut self, finding: Finding) {
        if !self.errors.contains(&finding) {
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
            let line = |span: &Option<Span>| span.map(|span| format!(":{}", document.line_and_column(span.start).0));
            let show = |(span, sentence): &(Option<Span>, String)| {
                format!("{}{}: {sentence}", document.file, line(span).unwrap_or_default())
            };
            return Ok(self.warnings.iter().map(show).collect());
        }
        self.errors.sort_by_key(|finding| finding.span.map_or(0, |span| span.start));
        Err(ConfigErrors {
            errors: self.errors.iter().map(|finding| ConfigError::new(finding, document, &self.secrets)).collect(),
        })
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
    /// The line, secrets blanked.
    source: String,
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
    fn new(finding: &Finding, document: &Document, secrets: &[Span]) -> Self {
        let place = finding.span.map(|span| Place::new(span, document, secrets));
        let Finding { path, found, allowed, .. } = finding.clone();
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
            Some(place) => title.element(
                Snippet::source(&place.source)
                    .line_start(place.line)
                    .path(&self.file)
                    .annotation(AnnotationKind::Primary.span(place.start..place.end)),
            ),
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
        let hidden = |byte: usize| secrets.iter().any(|secret| (secret.start..secret.end).contains(&byte));
        let mut source = String::new();
        let (mut start, mut end) = (None, None);
        for (offset, letter) in text.char_indices() {
            let byte = line_start + offset;
            if byte >= span.start && start.is_none() {
                start = Some(source.len());
            }
            if byte >= span.end && end.is_none() {
                end = Some(source.len());
            }
            // Control characters could steer the terminal; a tab would shift the marks below the line.
            source.push(match letter {
                _ if hidden(byte) => '*',
                control if control.is_control() => ' ',
                other => other,
            });
        }
        blank_what_follows_secret_words(&mut source);
        let start = start.unwrap_or(source.len());
        // An empty mark would not be seen.
        let next = source[start..].chars().next().map_or(0, char::len_utf8);
        let end = end.unwrap_or(source.len()).max(start + next);
        Self { line, column, source, start, end }
    }
}

/// A file that cannot be parsed gives no clue which of its values are secret, except the words before them.
fn blank_what_follows_secret_words(line: &mut String) {
    const WORDS: [&str; 5] = ["key", "password", "secret", "token", "credential"];
    let lower = line.to_ascii_lowercase();
    let separator = WORDS
        .iter()
        .filter_map(|word| {
            let after = lower.find(word)? + word.len();
            // `API_KEY': 'abc'`, `api_key = "abc"`: a separator follows within a quote's width.
            let rest = &lower[after..];
            let name =
                rest.find([':', '=']).filter(|at| rest[..*at].chars().all(|letter| "_'\" s".contains(letter)))?;
            Some(after + name + 1)
        })
        .min();
    if let Some(from) = separator {
        let blanked: String = line[from..]
            .chars()
            .flat_map(|letter| {
                let shown = if letter.is_alphanumeric() || "-_+/.@$".contains(letter) { '*' } else { letter };
                // Each letter keeps its width in bytes, so that marks stay where they are.
                std::iter::repeat_n(shown, if shown == letter { 1 } else { letter.len_utf8() })
            })
            .collect();
        line.replace_range(from.., &blanked);
    }
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
