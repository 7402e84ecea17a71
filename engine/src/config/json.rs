//! JSON as a tree with places.
//!
//! `serde_json` says whether it is JSON, and its limit of 128 levels bounds the recursion here; it has no places, so a
//! scan of text already known to be right finds them.

use serde::de::IgnoredAny;
use serde_json::Value;

use super::{
    error::Finding,
    tree::{Content, Document, Key, Node, Span},
};

/// The whole file.
///
/// # Errors
/// When it is not JSON.
pub fn parse(document: &Document) -> Result<Node, Finding> {
    if let Err(error) = serde_json::from_str::<IgnoredAny>(&document.text) {
        let byte = document.byte_at(error.line(), error.column().max(1));
        let words = error.to_string();
        let words = words.split(" at line ").next().unwrap_or_default().to_owned();
        return Err(Finding::new(Span { start: byte, end: byte }, "", format!("this is not JSON: {words}"), ""));
    }
    let mut scan = Scan { text: &document.text, at: 0 };
    scan.value().ok_or_else(|| Finding::new(None, "", "this is not JSON", ""))
}

struct Scan<'a> {
    text: &'a str,
    at: usize,
}

impl Scan<'_> {
    fn value(&mut self) -> Option<Node> {
        let first = self.peek()?;
        let start = self.at;
        let content = match first {
            b'{' => {
                let mut entries = Vec::new();
                self.at += 1;
                while self.peek()? != b'}' {
                    let (start, name) = (self.at, self.scalar()?);
                    let key = Key { name: name.as_str()?.to_owned(), span: Span { start, end: self.at } };
                    self.expect(b':')?;
                    entries.push((key, self.value()?));
                    self.skip(b',');
                }
                self.at += 1;
                Content::Table(entries)
            }
            b'[' => {
                let mut items = Vec::new();
                self.at += 1;
                while self.peek()? != b']' {
                    items.push(self.value()?);
                    self.skip(b',');
                }
                self.at += 1;
                Content::List(items)
            }
            _ => Content::Scalar(self.scalar()?),
        };
        Some(Node::new(content, start..self.at))
    }

    /// A text, a number, or a word.
    fn scalar(&mut self) -> Option<Value> {
        let rest = self.text.get(self.at..)?;
        let length = if rest.starts_with('"') {
            let mut escaped = false;
            let end = rest.bytes().skip(1).position(|byte| {
                let ends = byte == b'"' && !escaped;
                escaped = byte == b'\\' && !escaped;
                ends
            });
            end? + 2
        } else {
            rest.find([',', ']', '}', ' ', '\n', '\r', '\t']).unwrap_or(rest.len())
        };
        self.at += length;
        serde_json::from_str(&rest[..length]).ok()
    }

    /// The next byte that is not white space.
    fn peek(&mut self) -> Option<u8> {
        let rest = self.text.as_bytes().get(self.at..)?;
        let blank = rest.iter().take_while(|byte| matches!(byte, b' ' | b'\n' | b'\r' | b'\t')).count();
        self.at += blank;
        rest.get(blank).copied()
    }

    fn expect(&mut self, byte: u8) -> Option<()> {
        (self.peek()? == byte).then(|| self.at += 1)
    }

    fn skip(&mut self, byte: u8) {
        if self.peek() == Some(byte) {
            self.at += 1;
        }
    }
}
