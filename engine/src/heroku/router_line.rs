//! One line of Heroku's router, read by key.
//!
//! `at=info method=GET path="/m?x=1" host=… request_id=… fwd="…" dyno=web.1 connect=1ms service=23ms status=200 bytes=512
//! protocol=https`. The order of keys differs between routers and errors (`sock=` comes first on H18 and H27, Router 2.0
//! appends `tls=`), so nothing is read by position. Values are bare, empty, or in double quotes; unknown keys are
//! kept. Reading never fails: a line that is not a router's simply has none of the keys that one looks for.
//!
//! The path is what a stranger asked for. It stands in quotes; what is inside them is never read as a key.

use std::{collections::BTreeMap, time::Duration};

/// The pairs of one line. When a key occurs twice the first counts: nothing that follows can overrule it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct RouterLine {
    pairs: BTreeMap<String, String>,
}

impl RouterLine {
    /// Reads the text after `heroku[router]: `.
    #[must_use]
    pub fn parse(text: &str) -> Self {
        let mut pairs = BTreeMap::new();
        let mut rest = text.trim();
        while !rest.is_empty() {
            let key_end = rest.find(|letter: char| letter == '=' || letter.is_whitespace()).unwrap_or(rest.len());
            let (key, after) = rest.split_at(key_end);
            let Some(after) = after.strip_prefix('=') else {
                // A word without a value: not ours to understand.
                rest = after.trim_start();
                continue;
            };
            let (value, after) = value(after);
            if !key.is_empty() {
                pairs.entry(key.to_owned()).or_insert(value);
            }
            rest = after.trim_start();
        }
        Self { pairs }
    }

    /// The value of a key that is there and not empty.
    #[must_use]
    pub fn get(&self, key: &str) -> Option<&str> {
        self.pairs.get(key).map(String::as_str).filter(|value| !value.is_empty())
    }

    /// Which request it is about.
    #[must_use]
    pub fn request_id(&self) -> Option<&str> {
        self.get("request_id")
    }

    /// Heroku's error code: `H12`.
    #[must_use]
    pub fn code(&self) -> Option<&str> {
        self.get("code")
    }

    /// What the router answered.
    #[must_use]
    pub fn status(&self) -> Option<u16> {
        self.get("status")?.parse().ok()
    }

    /// How long the router took to reach the dyno.
    #[must_use]
    pub fn connect(&self) -> Option<Duration> {
        self.milliseconds("connect")
    }

    /// How long the router then waited for the dyno and passed on its answer.
    #[must_use]
    pub fn service(&self) -> Option<Duration> {
        self.milliseconds("service")
    }

    /// `18ms`, or on some errors a bare `0`; whatever else stands there is unknown.
    fn milliseconds(&self, key: &str) -> Option<Duration> {
        let value = self.get(key)?;
        let digits = value.strip_suffix("ms").unwrap_or(value);
        // `parse` alone would take "+5".
        if !digits.bytes().all(|byte| byte.is_ascii_digit()) {
            return None;
        }
        digits.parse().ok().map(Duration::from_millis)
    }
}

/// A value and what follows it.
fn value(text: &str) -> (String, &str) {
    let Some(quoted) = text.strip_prefix('"') else {
        let end = text.find(char::is_whitespace).unwrap_or(text.len());
        return (text[..end].to_owned(), &text[end..]);
    };
    let mut value = String::new();
    let mut letters = quoted.char_indices();
    while let Some((at, letter)) = letters.next() {
        match letter {
            '"' => return (value, &quoted[at + 1..]),
            // Escapes are not documented; a backslash before a quote or another backslash is read as one, so that no
            // quote inside a path ends the value.
            '\\' => match letters.next() {
                Some((_, next @ ('"' | '\\'))) => value.push(next),
                Some((_, next)) => value.extend(['\\', next]),
                None => value.push('\\'),
            },
            _ => value.push(letter),
        }
    }
    // The closing quote is missing (a line that was cut): the rest is the value.
    (value, "")
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn every_shape_of_line_is_read_by_key() {
        let rows = [
            (
                "legacy",
                "at=info method=GET path=\"/m?x=1\" host=demo.example.com request_id=abc fwd=\"192.0.2.7\" dyno=web.1 \
                 connect=1ms service=23ms status=200 bytes=512 protocol=https",
                (Some("abc"), None, Some(200), Some(1), Some(23)),
            ),
            (
                "router 2.0",
                "at=info method=GET path=\"/m\" host=demo.example.com request_id=abc fwd=192.0.2.7 dyno=web.2 connect=0ms \
                 service=9ms status=200 bytes=512 protocol=http2.0 tls=true tls_version=tls1.3",
                (Some("abc"), None, Some(200), Some(0), Some(9)),
            ),
            (
                "time-out",
                "at=error code=H12 desc=\"Request timeout\" method=POST path=\"/slow\" host=demo.example.com \
                 request_id=abc fwd=\"192.0.2.7\" dyno=web.1 connect=2ms service=30000ms status=503 bytes=0",
                (Some("abc"), Some("H12"), Some(503), Some(2), Some(30_000)),
            ),
            (
                "socket first",
                "sock=client at=warning code=H27 desc=\"Client Request Interrupted\" method=GET path=\"/\" \
                 request_id=abc dyno=web.1 connect=1ms service=412ms status=499 bytes=0",
                (Some("abc"), Some("H27"), Some(499), Some(1), Some(412)),
            ),
            (
                "empty values",
                "at=error code=H10 desc=\"App crashed\" method=GET path=\"/\" request_id=abc fwd=\"\" dyno= connect= \
                 service= status=503 bytes=",
                (Some("abc"), Some("H10"), Some(503), None, None),
            ),
            (
                "no unit",
                "at=error code=H25 desc=\"HTTP restriction: invalid\" request_id=abc connect=0 service=0 status=502",
                (Some("abc"), Some("H25"), Some(502), Some(0), Some(0)),
            ),
            ("not a router's", "Process exited with status 143", (None, None, None, None, None)),
        ];
        for (name, text, (id, code, status, connect, service)) in rows {
            let line = RouterLine::parse(text);
            assert_eq!(line.request_id(), id, "{name}");
            assert_eq!(line.code(), code, "{name}");
            assert_eq!(line.status(), status, "{name}");
            assert_eq!(line.connect(), connect.map(Duration::from_millis), "{name}");
            assert_eq!(line.service(), service.map(Duration::from_millis), "{name}");
        }
    }

    #[test]
    fn a_path_cannot_smuggle_in_a_key() {
        let line = RouterLine::parse(
            r#"at=info path="/?a b request_id=evil service=1ms \" code=H12" request_id=good service=9ms"#,
        );
        assert_eq!(line.request_id(), Some("good"));
        assert_eq!(line.service(), Some(Duration::from_millis(9)));
        assert_eq!(line.code(), None);
    }

    #[test]
    fn what_is_not_a_number_of_milliseconds_is_unknown() {
        for value in ["-1ms", "+5ms", "1.5ms", "ms", "1s", "99999999999999999999ms", "NaN"] {
            assert_eq!(RouterLine::parse(&format!("service={value}")).service(), None, "{value}");
        }
    }

    proptest! {
        #[test]
        fn no_text_makes_it_panic(text in ".*") {
            let _ = RouterLine::parse(&text);
        }

        #[test]
        fn text_that_looks_like_a_line_does_not_make_it_panic(text in r#"([a-z]{0,3}=?"?\\?[ =é]?){0,20}"#) {
            let _ = RouterLine::parse(&text);
        }

        #[test]
        fn pairs_that_are_written_are_read_again(
            pairs in proptest::collection::btree_map("[a-z_]{1,8}", "[a-zA-Z0-9 /?=&\"\\\\é.-]{0,12}", 0..8)
        ) {
            let written = pairs
                .iter()
                .map(|(key, value)| {
                    let bare = !value.is_empty() && value.chars().all(|letter| letter.is_ascii_alphanumeric());
                    let escaped = value.replace('\\', "\\\\").replace('"', "\\\"");
                    if bare { format!("{key}={value}") } else { format!("{key}=\"{escaped}\"") }
                })
                .collect::<Vec<_>>()
                .join(" ");
            prop_assert_eq!(RouterLine::parse(&written).pairs, pairs);
        }
    }
}
