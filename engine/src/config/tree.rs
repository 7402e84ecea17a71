//! One tree for every format: tables, lists and scalars that know where in the file they stand.
//!
//! TOML, YAML, JSON and Python modules all become this tree, so that everything after it (old spellings, `${VAR}`, the
//! two-step parse, errors with their line) is written once. It refuses what no person writes: files, depths and sizes
//! far beyond a settings file, so that a hostile one costs neither the stack nor the memory.

use std::{collections::HashSet, ops::Range};

use serde_json::{Map, Value};

use super::error::Finding;

/// The largest settings file, in bytes. Ten thousand processes take less than a third of it.
pub const LARGEST_FILE_BYTES: usize = 32 * 1024 * 1024;
/// The deepest nesting, in levels. Our own settings need eight; recursion over the tree is safe at this depth.
pub const DEEPEST_LEVELS: usize = 64;
/// The most values in one tree. YAML aliases and Python names can repeat a part, and repeats multiply.
pub const MOST_NODES: usize = 2_000_000;
/// The longest text that putting texts together may give, in bytes; repeats multiply here as well.
pub const LONGEST_TEXT_BYTES: usize = 64 * 1024;

/// A range of bytes in the text of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, PartialOrd, Ord)]
pub struct Span {
    /// The first byte.
    pub start: usize,
    /// The byte after the last one.
    pub end: usize,
}

impl From<Range<usize>> for Span {
    fn from(range: Range<usize>) -> Self {
        Self { start: range.start, end: range.end.max(range.start) }
    }
}

/// A key with its place.
#[derive(Debug, Clone, PartialEq)]
pub struct Key {
    /// As it is written.
    pub name: String,
    /// Where it stands.
    pub span: Span,
}

/// A value with its place.
#[derive(Debug, Clone, PartialEq)]
pub struct Node {
    /// The value.
    pub content: Content,
    /// Where it stands.
    pub span: Span,
    /// The environment variables that it was made from.
    pub environment: Vec<String>,
}

/// What a value is.
#[derive(Debug, Clone, PartialEq)]
pub enum Content {
    /// Nothing, true or false, a number, or a text.
    Scalar(Value),
    /// Values in order.
    List(Vec<Node>),
    /// Keys with values, in the order of the file; a key may still stand twice.
    Table(Vec<(Key, Node)>),
    /// It could not be read, for this reason; the reason is told when somebody needs the value.
    Unread(Box<Finding>),
}

impl Node {
    /// A value from the file itself.
    #[must_use]
    pub fn new(content: Content, span: impl Into<Span>) -> Self {
        Self { content, span: span.into(), environment: Vec::new() }
    }

    /// A text.
    #[must_use]
    pub fn text(text: impl Into<String>, span: impl Into<Span>) -> Self {
        Self::new(Content::Scalar(Value::String(text.into())), span)
    }

    /// A plain value.
    #[must_use]
    pub fn of_value(value: Value, span: Span) -> Self {
        let content = match value {
            Value::Array(items) => Content::List(items.into_iter().map(|item| Self::of_value(item, span)).collect()),
            Value::Object(map) => {
                let entry = |(name, value)| (Key { name, span }, Self::of_value(value, span));
                Content::Table(map.into_iter().map(entry).collect())
            }
            scalar => Content::Scalar(scalar),
        };
        Self::new(content, span)
    }

    /// A value that cannot be read.
    #[must_use]
    pub fn unread(finding: Finding) -> Self {
        let span = finding.span.unwrap_or_default();
        Self::new(Content::Unread(Box::new(finding)), span)
    }

    /// The text, if it is one.
    #[must_use]
    pub fn as_text(&self) -> Option<&str> {
        match &self.content {
            Content::Scalar(Value::String(text)) => Some(text),
            _ => None,
        }
    }

    /// The keys and values, if it is a table.
    #[must_use]
    pub fn as_table(&self) -> Option<&[(Key, Node)]> {
        match &self.content {
            Content::Table(entries) => Some(entries),
            _ => None,
        }
    }

    /// What it is, for a sentence that must not show the value.
    #[must_use]
    pub fn kind(&self) -> &'static str {
        match &self.content {
            Content::Scalar(Value::Null) => "nothing",
            Content::Scalar(Value::Bool(_)) => "true or false",
            Content::Scalar(Value::Number(_)) => "a number",
            Content::Scalar(_) => "a text",
            Content::List(_) => "a list",
            Content::Table(_) => "a table",
            Content::Unread(_) => "something unreadable",
        }
    }

    /// The plain value; unreadable parts and later duplicates are left out.
    #[must_use]
    pub fn to_value(&self) -> Value {
        match &self.content {
            Content::Scalar(value) => value.clone(),
            Content::List(items) => Value::Array(items.iter().map(Self::to_value).collect()),
            Content::Table(entries) => {
                let mut map = Map::new();
                for (key, node) in entries {
                    if !matches!(node.content, Content::Unread(_)) {
                        map.entry(key.name.clone()).or_insert_with(|| node.to_value());
                    }
                }
                Value::Object(map)
            }
            Content::Unread(_) => Value::Null,
        }
    }

    /// How many values it holds, itself among them, and how deep they are nested.
    #[must_use]
    pub fn size_and_depth(&self) -> (usize, usize) {
        let inner = |nodes: &mut dyn Iterator<Item = &Self>| {
            nodes.fold((1, 1), |(size, depth), node| {
                let (inner_size, inner_depth) = node.size_and_depth();
                (size + inner_size, depth.max(inner_depth + 1))
            })
        };
        match &self.content {
            Content::Scalar(_) | Content::Unread(_) => (1, 1),
            Content::List(items) => inner(&mut items.iter()),
            Content::Table(entries) => inner(&mut entries.iter().map(|(_, node)| node)),
        }
    }

    /// Every unreadable part, itself among them.
    pub fn for_each_unread(&self, tell: &mut dyn FnMut(&Finding)) {
        match &self.content {
            Content::Scalar(_) => {}
            Content::List(items) => items.iter().for_each(|node| node.for_each_unread(tell)),
            Content::Table(entries) => entries.iter().for_each(|(_, node)| node.for_each_unread(tell)),
            Content::Unread(finding) => tell(finding),
        }
    }

    /// Every key that stands in its table a second time, with its path below this value.
    pub fn for_each_duplicate(&self, path: &str, tell: &mut dyn FnMut(&Key, &str)) {
        match &self.content {
            Content::Scalar(_) | Content::Unread(_) => {}
            Content::List(items) => {
                for (index, item) in items.iter().enumerate() {
                    item.for_each_duplicate(&format!("{path}[{index}]"), tell);
                }
            }
            Content::Table(entries) => {
                let mut names = HashSet::new();
                for (key, node) in entries {
                    let path = format!("{path}.{}", key.name);
                    if !names.insert(&key.name) {
                        tell(key, &path);
                    }
                    node.for_each_duplicate(&path, tell);
                }
            }
        }
    }

    /// The names of all environment variables in it: those that it was made from, and those in `${NAME}`.
    pub fn for_each_variable(&self, tell: &mut dyn FnMut(&str)) {
        self.environment.iter().for_each(|name| tell(name));
        match &self.content {
            Content::Scalar(Value::String(text)) => {
                let mut rest = text.as_str();
                while let Some((before, after)) = rest.split_once("${") {
                    if !before.ends_with('$')
                        && let Some((name, _)) = after.split_once('}')
                    {
                        tell(name);
                    }
                    rest = after;
                }
            }
            Content::Scalar(_) | Content::Unread(_) => {}
            Content::List(items) => items.iter().for_each(|node| node.for_each_variable(tell)),
            Content::Table(entries) => entries.iter().for_each(|(_, node)| node.for_each_variable(tell)),
        }
    }
}

/// What a parser says of a value below [`DEEPEST_LEVELS`].
pub fn too_deep(place: impl Into<Span>) -> Finding {
    Finding::new(place.into(), "", "this is nested too deeply", "settings, which need eight levels")
}

/// The text of a settings file, and how people name places in it.
#[derive(Debug, Clone)]
pub struct Document {
    /// The file, as it is shown.
    pub file: String,
    /// Its text.
    pub text: String,
    /// Whether there is a text in which places can be shown.
    pub has_text: bool,
    line_starts: Vec<usize>,
}

impl Document {
    /// A file's text under the name that people know.
    #[must_use]
    pub fn new(file: impl Into<String>, text: impl Into<String>) -> Self {
        let text = text.into();
        let line_starts = std::iter::once(0).chain(text.match_indices('\n').map(|(at, _)| at + 1)).collect();
        Self { file: file.into(), text, has_text: true, line_starts }
    }

    /// Settings that stand in no text: Python has made them.
    #[must_use]
    pub fn without_text(name: impl Into<String>) -> Self {
        Self { has_text: false, ..Self::new(name, "") }
    }

    /// Line and column (in characters) of a byte, both from 1.
    #[must_use]
    pub fn line_and_column(&self, byte: usize) -> (usize, usize) {
        let line = self.line_starts.partition_point(|start| *start <= byte).max(1);
        let start = self.line_starts[line - 1];
        let before = self.text.get(start..byte.min(self.text.len())).unwrap_or_default();
        (line, before.chars().count() + 1)
    }

    /// The byte at a line and column (in characters), both from 1; the nearest there is.
    #[must_use]
    pub fn byte_at(&self, line: usize, column: usize) -> usize {
        let Some(start) = self.line_starts.get(line.saturating_sub(1)) else { return self.text.len() };
        let rest = &self.text[*start..];
        rest.char_indices().nth(column.saturating_sub(1)).map_or(self.text.len(), |(at, _)| start + at)
    }

    /// The text of a line without its end, and the byte at which it starts.
    #[must_use]
    pub fn line(&self, line: usize) -> (&str, usize) {
        let start = self.line_starts.get(line.saturating_sub(1)).copied().unwrap_or(self.text.len());
        let end = self.line_starts.get(line).map_or(self.text.len(), |next| next - 1);
        let text = &self.text[start..end.max(start)];
        (text.trim_end_matches('\r'), start)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_count_characters_and_not_bytes() {
        let document = Document::new("x.toml", "ä = 1\nbé = 2");
        assert_eq!(document.line_and_column("ä = 1\nbé ".len()), (2, 4));
        assert_eq!(document.byte_at(2, 4), "ä = 1\nbé ".len());
        assert_eq!(document.byte_at(9, 9), document.text.len());
        assert_eq!(document.line(2), ("bé = 2", 7));
    }
}
