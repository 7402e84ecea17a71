//! A log stream in pieces, and the log lines in it.
//!
//! Heroku sends a tail either as plain text, a line each, or as server-sent events, and which of the two is told by the
//! answer's Content-Type alone. Pieces end anywhere, in the middle of a letter too. A line that does not end is thrown
//! away, not kept: whoever writes endless lines must not fill our memory.
//!
//! Pure: bytes in, lines out.

/// Longest line kept. Heroku splits log lines at 10 000 bytes (Dev Center, logging limits); the rest is for the prefix.
const LONGEST_LINE: usize = 16 * 1024;

/// How lines are wrapped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wrapping {
    /// A line each.
    PlainText,
    /// `data: line`, between blank lines, comments and other fields.
    Events,
}

impl Wrapping {
    /// By the Content-Type of the answer. Whatever is not an event stream is text: old servers call it `text/html`.
    #[must_use]
    pub fn of(content_type: &str) -> Self {
        let kind = content_type.split(';').next().unwrap_or_default().trim();
        if kind.eq_ignore_ascii_case("text/event-stream") { Self::Events } else { Self::PlainText }
    }
}

/// Puts the pieces together.
#[derive(Debug)]
pub struct Lines {
    wrapping: Wrapping,
    unfinished: Vec<u8>,
    is_too_long: bool,
}

impl Lines {
    /// At the beginning of a stream.
    #[must_use]
    pub fn new(wrapping: Wrapping) -> Self {
        Self { wrapping, unfinished: Vec::new(), is_too_long: false }
    }

    /// Takes the next piece and hands out every log line that it finishes.
    pub fn push(&mut self, piece: &[u8], mut take: impl FnMut(&str)) {
        for part in piece.split_inclusive(|byte| *byte == b'\n') {
            let (text, is_end) = match part.strip_suffix(b"\n") {
                Some(text) => (text, true),
                None => (part, false),
            };
            if self.unfinished.len() + text.len() > LONGEST_LINE {
                self.is_too_long = true;
                self.unfinished.clear();
            }
            if !self.is_too_long {
                self.unfinished.extend_from_slice(text);
            }
            if is_end {
                if !self.is_too_long {
                    let line = String::from_utf8_lossy(&self.unfinished);
                    if let Some(line) = unwrapped(self.wrapping, line.trim_end_matches('\r')) {
                        take(line);
                    }
                }
                self.unfinished.clear();
                self.is_too_long = false;
            }
        }
    }
}

/// The log line in a line of the stream. An event with several `data:` lines is several log lines in one, so each stands
/// for itself.
fn unwrapped(wrapping: Wrapping, line: &str) -> Option<&str> {
    let line = match wrapping {
        Wrapping::PlainText => line,
        Wrapping::Events => {
            let data = line.strip_prefix("data:")?;
            data.strip_prefix(' ').unwrap_or(data)
        }
    };
    (!line.is_empty()).then_some(line)
}

/// A log line in its parts: `2024-05-06T07:08:09.123456+00:00 heroku[router]: at=info …`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LogLine<'a> {
    /// Who wrote it: `router`, `web.1`, `logplex`; empty when the line has no such prefix.
    pub writer: &'a str,
    /// What was written.
    pub message: &'a str,
}

impl<'a> LogLine<'a> {
    /// Reads a line with or without a time stamp before `source[writer]: `.
    #[must_use]
    pub fn parse(line: &'a str) -> Self {
        let bare = Self { writer: "", message: line };
        let Some((prefix, message)) = line.split_once("]: ") else { return bare };
        let Some((before, writer)) = prefix.rsplit_once('[') else { return bare };
        // The prefix is at most a time and a source; more words mean that the bracket belongs to the message.
        let is_prefix = before.split_whitespace().count() <= 2 && !before.contains('=') && !writer.contains(' ');
        if is_prefix { Self { writer, message } } else { bare }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn lines_of(wrapping: Wrapping, pieces: &[&[u8]]) -> Vec<String> {
        let (mut lines, mut found) = (Lines::new(wrapping), Vec::new());
        for piece in pieces {
            lines.push(piece, |line| found.push(line.to_owned()));
        }
        found
    }

    #[test]
    fn the_content_type_decides() {
        for (kind, wrapping) in [
            ("text/event-stream", Wrapping::Events),
            ("Text/Event-Stream; charset=utf-8", Wrapping::Events),
            ("text/plain", Wrapping::PlainText),
            ("text/html", Wrapping::PlainText),
            ("", Wrapping::PlainText),
        ] {
            assert_eq!(Wrapping::of(kind), wrapping, "{kind}");
        }
    }

    #[test]
    fn events_are_unwrapped_and_heartbeats_are_not_lines() {
        let stream: &[u8] =
            b": heartbeat\n\nid: 1\ndata: first\n\nid: 2\r\ndata:second\r\ndata: third\r\n\r\nevent: x\n";
        assert_eq!(lines_of(Wrapping::Events, &[stream]), ["first", "second", "third"]);
    }

    #[test]
    fn a_line_without_end_is_dropped_and_the_next_one_is_read() {
        let long = vec![b'x'; LONGEST_LINE];
        let pieces: &[&[u8]] = &[b"one\n", &long, &long, b"x\ntwo\n", b"unfinished"];
        assert_eq!(lines_of(Wrapping::PlainText, pieces), ["one", "two"]);
    }

    #[test]
    fn log_lines_come_with_and_without_prefix() {
        let rows = [
            (
                "2024-05-06T07:08:09.123456+00:00 heroku[router]: at=info path=\"/a]: b\"",
                "router",
                "at=info path=\"/a]: b\"",
            ),
            ("2024-05-06T07:08:09Z heroku[web.1]: State changed", "web.1", "State changed"),
            ("heroku[router]: at=info", "router", "at=info"),
            ("at=info path=\"/x[1]: y\" service=1ms", "", "at=info path=\"/x[1]: y\" service=1ms"),
            ("", "", ""),
        ];
        for (line, writer, message) in rows {
            assert_eq!(LogLine::parse(line), LogLine { writer, message }, "{line}");
        }
    }

    proptest! {
        #[test]
        fn where_the_pieces_end_does_not_matter(text in "[a-zé:\n\r ]{0,200}", size in 1..20_usize) {
            for wrapping in [Wrapping::PlainText, Wrapping::Events] {
                let pieces: Vec<&[u8]> = text.as_bytes().chunks(size).collect();
                prop_assert_eq!(lines_of(wrapping, &pieces), lines_of(wrapping, &[text.as_bytes()]));
            }
        }

        #[test]
        fn no_line_makes_it_panic(text in ".*") {
            let _ = LogLine::parse(&text);
        }
    }
}
