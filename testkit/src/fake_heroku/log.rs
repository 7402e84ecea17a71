//! The app's log: the last lines, and who may see which of them.
//!
//! As at Heroku, 1500 lines are kept, a filter by dyno also matches the dynos of a type (`web` shows `web.1`), and a
//! reader that falls behind is told how many lines it lost instead of waiting for them.

use std::{collections::VecDeque, time::Duration};

use jiff::Timestamp;

use super::clock::log_time;

/// Lines kept.
pub(crate) const HISTORY_LINES: usize = 1500;

/// Longer lines are split.
const LONGEST_LINE_BYTES: usize = 10_000;

/// How the router's lines are spoiled on their way into the log. Lines of other sources are never touched.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct RouterLogFaults {
    /// Every router line arrives this much later (fake time); its timestamp stays that of the request.
    pub delay: Duration,
    /// This many of the next router lines are lost.
    pub drop_next: u32,
    /// Lines change places by pairs: the second request's line comes before the first one's.
    pub swap_pairs: bool,
}

/// One line.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Line {
    pub(crate) at: Timestamp,
    /// `app` or `heroku`.
    pub(crate) source: String,
    /// `web.1`, `router`, `api`, …
    pub(crate) dyno: String,
    pub(crate) message: String,
    /// Shown as it is, with neither timestamp nor source before it.
    pub(crate) bare: bool,
}

impl Line {
    /// A usual line.
    pub(crate) fn new(at: Timestamp, source: &str, dyno: &str, message: impl Into<String>) -> Self {
        Self { at, source: source.to_owned(), dyno: dyno.to_owned(), message: message.into(), bare: false }
    }

    /// As a session shows it, without the newline.
    pub(crate) fn text(&self) -> String {
        if self.bare {
            return self.message.clone();
        }
        format!("{} {}[{}]: {}", log_time(self.at), self.source, self.dyno, self.message)
    }
}

/// Which lines a session shows.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Filter {
    pub(crate) dyno: Option<String>,
    pub(crate) process_type: Option<String>,
    pub(crate) source: Option<String>,
}

impl Filter {
    /// Whether the line is to be shown.
    pub(crate) fn shows(&self, line: &Line) -> bool {
        let dyno_fits = |wanted: &str| {
            line.dyno == wanted
                || line.dyno.strip_prefix(wanted).is_some_and(|rest| rest.starts_with('.') || rest.starts_with('-'))
        };
        self.source.as_deref().is_none_or(|source| line.source == source)
            && self.dyno.as_deref().is_none_or(dyno_fits)
            && self.process_type.as_deref().is_none_or(dyno_fits)
    }
}

/// The lines of one app.
#[derive(Debug, Default)]
pub(crate) struct Log {
    lines: VecDeque<Line>,
    /// The number of the first line still kept; numbers grow by one for each line that ever came.
    first: u64,
}

impl Log {
    /// Adds a line, in pieces if it is too long.
    pub(crate) fn push(&mut self, line: Line) {
        let mut rest = line.message.as_str();
        while rest.len() > LONGEST_LINE_BYTES {
            let cut = (0..=LONGEST_LINE_BYTES).rev().find(|at| rest.is_char_boundary(*at)).unwrap_or(rest.len());
            let (piece, remaining) = rest.split_at(cut);
            self.push_one(Line { message: piece.to_owned(), ..line.clone() });
            rest = remaining;
        }
        let message = rest.to_owned();
        self.push_one(Line { message, ..line });
    }

    fn push_one(&mut self, line: Line) {
        self.lines.push_back(line);
        while self.lines.len() > HISTORY_LINES {
            self.lines.pop_front();
            self.first += 1;
        }
    }

    /// The number that the next line will have.
    pub(crate) fn end(&self) -> u64 {
        self.first + self.lines.len() as u64
    }

    /// Where a reader begins who wants the last `count` lines that the filter shows.
    pub(crate) fn start_of_last(&self, count: usize, filter: &Filter) -> u64 {
        if count == 0 {
            return self.end();
        }
        let shown = self.lines.iter().enumerate().rev().filter(|(_, line)| filter.shows(line));
        shown.take(count).last().map_or(self.end(), |(index, _)| self.first + index as u64)
    }

    /// The lines from this number on that the filter shows, and how many were lost before them.
    pub(crate) fn since(&self, number: u64, filter: &Filter) -> (u64, Vec<Line>) {
        let lost = self.first.saturating_sub(number);
        let skip = usize::try_from(number.saturating_sub(self.first)).unwrap_or(usize::MAX);
        (lost, self.lines.iter().skip(skip).filter(|line| filter.shows(line)).cloned().collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(source: &str, dyno: &str, message: &str) -> Line {
        Line::new("2024-05-06T07:08:09.123456Z".parse().unwrap(), source, dyno, message)
    }

    fn filter(dyno: Option<&str>, process_type: Option<&str>, source: Option<&str>) -> Filter {
        let own = |text: Option<&str>| text.map(str::to_owned);
        Filter { dyno: own(dyno), process_type: own(process_type), source: own(source) }
    }

    #[test]
    fn filters_show_what_heroku_shows() {
        let table = [
            ("no filter", filter(None, None, None), vec!["web.1", "web.12", "webby.1", "router", "api"]),
            ("one dyno", filter(Some("web.1"), None, None), vec!["web.1"]),
            ("a type as dyno", filter(Some("web"), None, None), vec!["web.1", "web.12"]),
            ("a type", filter(None, Some("web"), None), vec!["web.1", "web.12"]),
            ("the router", filter(Some("router"), None, Some("heroku")), vec!["router"]),
            ("a source", filter(None, None, Some("app")), vec!["web.12", "webby.1", "api"]),
            ("source and dyno apart", filter(Some("router"), None, Some("app")), vec![]),
        ];
        let lines = [("heroku", "web.1"), ("app", "web.12"), ("app", "webby.1"), ("heroku", "router"), ("app", "api")];
        for (name, filter, expected) in table {
            let shown: Vec<_> =
                lines.iter().filter(|(source, dyno)| filter.shows(&line(source, dyno, "x"))).map(|(_, d)| *d).collect();
            assert_eq!(shown, expected, "{name}");
        }
    }

    #[test]
    fn a_line_looks_as_in_heroku_logs() {
        let text = line("heroku", "web.1", "State changed from starting to up").text();
        assert_eq!(text, "2024-05-06T07:08:09.123456+00:00 heroku[web.1]: State changed from starting to up");
    }

    #[test]
    fn history_counts_only_lines_that_the_filter_shows() {
        let mut log = Log::default();
        for n in 0..10 {
            log.push(line("app", "web.1", &n.to_string()));
            log.push(line("heroku", "router", &n.to_string()));
        }
        let router = filter(Some("router"), None, None);
        let (_, lines) = log.since(log.start_of_last(3, &router), &router);
        assert_eq!(lines.iter().map(|line| line.message.as_str()).collect::<Vec<_>>(), ["7", "8", "9"]);
        assert_eq!(log.start_of_last(0, &router), log.end());
    }

    #[test]
    fn only_the_last_1500_lines_are_kept_and_a_slow_reader_learns_what_it_lost() {
        let mut log = Log::default();
        for n in 0..1600 {
            log.push(line("app", "web.1", &n.to_string()));
        }
        let (lost, lines) = log.since(0, &Filter::default());
        assert_eq!((lost, lines.len(), lines[0].message.as_str()), (100, 1500, "100"));
    }

    #[test]
    fn long_lines_are_split_and_lose_nothing() {
        let mut log = Log::default();
        let long = "ä".repeat(12_000);
        log.push(line("app", "web.1", &long));
        let (_, lines) = log.since(0, &Filter::default());
        assert_eq!(lines.iter().map(|line| line.message.as_str()).collect::<String>(), long);
        assert!(lines.len() == 3 && lines.iter().all(|line| line.message.len() <= LONGEST_LINE_BYTES));
    }
}
