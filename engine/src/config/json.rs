//! JSON as a tree with places.
//!
//! `serde_json` reads the texts and numbers and judges the whole; it has no places, so the brackets are walked here.

use serde::de::IgnoredAny;
use serde_json::Value;

use super::{
    error::Finding,
    tree::{Content, DEEPEST_LEVELS, Document, Key, Node, Span, too_deep},
};

/// The whole file.
///
/// # Errors
/// When it is not JSON.
pub fn parse(document: &Document) -> Result<Node, Finding> {
    if let Err(error) = serde_json::from_str::<IgnoredAny>(&document.text) {
        // The column counts bytes.
        let byte = document.byte_at(error.line(), 1) + error.column().saturating_sub(1);
        return Err(not_json(byte, &error));
    }
    Scan { text: &document.text, at: 0 }.value(1)
}

fn not_json(byte: usize, error: &serde_json::Error) -> Finding {
    let words = error.to_string();
    let words = words.split(" at line ").next().unwrap_or_default();
    Finding::new(Span { start: byte, end: byte }, "", format!("this is not JSON: {words}"), "")
}

/// A walk over text that is known to be JSON, apart from what its texts and numbers hold.
struct Scan<'a> {
    text: &'a str,
    at: usize,
}

impl Scan<'_> {
    fn value(&mut self, level: usize) -> Result<Node, Finding> {
        let first = self.peek();
        let start = self.at;
        if level > DEEPEST_LEVELS {
            return Err(too_deep(Span { start, end: start + 1 }));
        }
        let content = match first {
            Some(b'{') => {
                let mut entries = Vec::new();
                self.at += 1;
                while !self.skip(b'}') {
                    self.peek();
                    let start = self.at;
                    let name = self.scalar()?;
                    let name = name.as_str().ok_or_else(|| self.lost())?.to_owned();
                    let key = Key { name, span: Span { start, end: self.at } };
                    self.skip(b':');
                    entries.push((key, self.value(level + 1)?));
                    self.skip(b',');
                }
                Content::Table(entries)
            }
            Some(b'[') => {
                let mut items = Vec::new();
                self.at += 1;
                while !self.skip(b']') {
                    items.push(self.value(level + 1)?);
                    self.skip(b',');
                }
                Content::List(items)
            }
            _ => Content::Scalar(self.scalar()?),
        };
        Ok(Node::new(content, start..self.at))
    }

    /// A text, a number, or a word.
    fn scalar(&mut self) -> Result<Value, Finding> {
        let start = self.at;
        let rest = self.text.get(start..).unwrap_or_default();
        let length = if rest.starts_with('"') {
            let mut escaped = false;
            let end = rest.bytes().skip(1).position(|byte| {
                let ends = byte == b'"' && !escaped;
                escaped = byte == b'\\' && !escaped;
                ends
            });
            end.map_or(rest.len(), |end| end + 2)
        } else {
            rest.find([',', ']', '}', ' ', '\n', '\r', '\t']).unwrap_or(rest.len())
        };
        self.at += length;
        // Here a half of a surrogate pair or a number beyond all bounds is found.
        serde_json::from_str(&rest[..length]).map_err(|error| not_json(start, &error))
    }

    /// The next byte that is not white space.
    fn peek(&mut self) -> Option<u8> {
        let rest = self.text.as_bytes().get(self.at..)?;
        let blank = rest.iter().take_while(|byte| matches!(byte, b' ' | b'\n' | b'\r' | b'\t')).count();
        self.at += blank;
        rest.get(blank).copied()
    }

    /// Goes over this byte if it is next.
    fn skip(&mut self, byte: u8) -> bool {
        let is_next = self.peek() == Some(byte);
        self.at += usize::from(is_next);
        is_next
    }

    fn lost(&self) -> Finding {
        Finding::new(Span { start: self.at, end: self.at }, "", "this is not JSON", "")
    }
}
