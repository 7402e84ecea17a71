//! YAML 1.2 as a tree with places.
//!
//! Built from the parser's events on a stack of our own, so that nesting costs no recursion. Words mean what YAML 1.2's
//! core schema says: `yes` and `8:00` are texts, only `true`, `false`, `null` and numbers are something else. Anchors,
//! aliases and merge keys (`<<`) work, within the tree's limit on values.

use std::collections::HashMap;

use saphyr_parser::{Event, Marker, Parser, ScalarStyle, Span as YamlSpan};
use serde_json::Value;

use super::{
    error::Finding,
    tree::{Content, DEEPEST_LEVELS, Document, Key, MOST_NODES, Node, Span, too_deep},
};

/// The whole file: one document.
///
/// # Errors
/// When it is not YAML, or more than one document.
pub fn parse(document: &Document) -> Result<Node, Finding> {
    let mut builder =
        Builder { document, open: Vec::new(), anchors: HashMap::new(), root: None, nodes: 0, last: (1, 1, 0) };
    for event in Parser::new_from_str(&document.text) {
        let (event, span) = event.map_err(|error| {
            let byte = builder.byte(error.marker());
            Finding::new(Span { start: byte, end: byte }, "", format!("this is not YAML: {}", error.info()), "")
        })?;
        builder.take(event, span)?;
    }
    Ok(builder.root.unwrap_or_else(|| Node::new(Content::Table(Vec::new()), 0..0)))
}

struct Builder<'a> {
    document: &'a Document,
    /// Lists and tables that are not closed yet, the innermost last.
    open: Vec<Open>,
    anchors: HashMap<usize, Node>,
    root: Option<Node>,
    /// Values that were made so far, copies for anchors and aliases among them.
    nodes: usize,
    /// The last place that was asked for: line, column, byte. The next one is mostly in the same line, further on.
    last: (usize, usize, usize),
}

struct Open {
    start: usize,
    anchor: usize,
    content: Content,
    /// The key that waits for its value.
    key: Option<Key>,
}

impl Builder<'_> {
    fn take(&mut self, event: Event<'_>, span: YamlSpan) -> Result<(), Finding> {
        let place = Span { start: self.byte(&span.start), end: self.byte(&span.end) };
        match event {
            Event::Scalar(text, style, anchor, _) => {
                let plain = matches!(style, ScalarStyle::Plain);
                let value = if plain { plain_value(&text) } else { Value::String(text.into_owned()) };
                self.finish(Node::new(Content::Scalar(value), place), anchor)
            }
            Event::SequenceStart(anchor, ..) => self.begin(Content::List(Vec::new()), place, anchor),
            Event::MappingStart(anchor, ..) => self.begin(Content::Table(Vec::new()), place, anchor),
            Event::SequenceEnd | Event::MappingEnd => match self.open.pop() {
                Some(open) => {
                    let span = Span { start: open.start, end: place.end.max(open.start) };
                    self.finish(Node::new(merged(open.content), span), open.anchor)
                }
                None => Ok(()),
            },
            Event::Alias(anchor) => match self.anchors.get(&anchor).cloned() {
                Some(node) => {
                    self.count(node.size_and_depth().0, place)?;
                    self.finish(Node { span: place, ..node }, 0)
                }
                None => Err(Finding::new(place, "", "an alias to something that is not complete yet", "")),
            },
            Event::DocumentStart(_) if self.root.is_some() => {
                Err(Finding::new(place, "", "a second YAML document", "one document in the file"))
            }
            _ => Ok(()),
        }
    }

    fn begin(&mut self, content: Content, place: Span, anchor: usize) -> Result<(), Finding> {
        if self.open.len() >= DEEPEST_LEVELS {
            return Err(too_deep(place));
        }
        self.open.push(Open { start: place.start, anchor, content, key: None });
        Ok(())
    }

    /// A complete value goes where it belongs.
    fn finish(&mut self, node: Node, anchor: usize) -> Result<(), Finding> {
        self.count(1, node.span)?;
        if anchor != 0 {
            self.count(node.size_and_depth().0, node.span)?;
            self.anchors.insert(anchor, node.clone());
        }
        let Some(parent) = self.open.last_mut() else {
            self.root = Some(node);
            return Ok(());
        };
        match &mut parent.content {
            Content::Table(entries) => match parent.key.take() {
                Some(key) => entries.push((key, node)),
                None => {
                    let name = match &node.content {
                        Content::Scalar(Value::String(text)) => text.clone(),
                        Content::Scalar(Value::Null) => "null".to_owned(),
                        Content::Scalar(other) => other.to_string(),
                        _ => return Err(Finding::new(node.span, "", "a key that is not a text", "")),
                    };
                    parent.key = Some(Key { name, span: node.span });
                }
            },
            Content::List(items) => items.push(node),
            Content::Scalar(_) | Content::Unread(_) => {}
        }
        Ok(())
    }

    fn count(&mut self, more: usize, place: Span) -> Result<(), Finding> {
        self.nodes += more;
        if self.nodes > MOST_NODES {
            return Err(Finding::new(place, "", "more values than any settings have", ""));
        }
        Ok(())
    }

    fn byte(&mut self, marker: &Marker) -> usize {
        let (line, column) = (marker.line(), marker.col() + 1);
        let (last_line, last_column, last_byte) = self.last;
        let byte = if line == last_line && column >= last_column {
            let rest = &self.document.text[last_byte..];
            rest.char_indices().nth(column - last_column).map_or(self.document.text.len(), |(at, _)| last_byte + at)
        } else {
            self.document.byte_at(line, column)
        };
        self.last = (line, column, byte);
        byte
    }
}

/// Fills in what merge keys bring: entries of the other tables that this one does not have itself.
fn merged(content: Content) -> Content {
    let Content::Table(entries) = content else { return content };
    let (merges, mut own): (Vec<_>, Vec<_>) = entries.into_iter().partition(|(key, _)| key.name == "<<");
    for (_, source) in merges {
        let tables = match source.content {
            Content::List(items) => items,
            _ => vec![source],
        };
        for table in tables {
            if let Content::Table(entries) = table.content {
                for (key, node) in entries {
                    if !own.iter().any(|(known, _)| known.name == key.name) {
                        own.push((key, node));
                    }
                }
            }
        }
    }
    Content::Table(own)
}

/// YAML 1.2 core schema, the words that people use.
fn plain_value(text: &str) -> Value {
    match text {
        "" | "~" | "null" | "Null" | "NULL" => return Value::Null,
        "true" | "True" | "TRUE" => return Value::Bool(true),
        "false" | "False" | "FALSE" => return Value::Bool(false),
        _ => {}
    }
    if let Ok(whole) = text.parse::<i64>() {
        return Value::from(whole);
    }
    let is_number = text.starts_with(|first: char| first.is_ascii_digit() || matches!(first, '-' | '+' | '.'))
        && text.chars().all(|letter| letter.is_ascii_digit() || matches!(letter, '-' | '+' | '.' | 'e' | 'E'));
    match text.parse::<f64>() {
        Ok(float) if is_number && float.is_finite() => Value::from(float),
        _ => Value::String(text.to_owned()),
    }
}
