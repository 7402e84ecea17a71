//! Tables of text: columns as wide as what is in them, and the last one cut to what is left of the line.
//!
//! Widths are counted as a terminal shows them, not in bytes: a sentence may hold a `→` or somebody's process a name in
//! Japanese. Colours are put around cells after they were measured.

use ratatui::text::Span;

/// Between two columns.
const GAP: &str = "  ";

/// A column is never cut below this; narrower says nothing.
const LEAST: usize = 12;

/// How a cell is coloured, if at all.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Tone {
    /// As everything.
    #[default]
    Plain,
    /// A headline.
    Bold,
    /// What matters less.
    Dim,
    /// As it should be.
    Good,
    /// Somebody should look at it.
    Warning,
    /// Something does not work.
    Bad,
}

impl Tone {
    /// The text in this tone, for a terminal.
    #[must_use]
    pub fn paint(self, text: &str, coloured: bool) -> String {
        let code = match self {
            _ if !coloured || text.trim().is_empty() => return text.to_owned(),
            Self::Plain => return text.to_owned(),
            Self::Bold => 1,
            Self::Dim => 2,
            Self::Good => 32,
            Self::Warning => 33,
            Self::Bad => 31,
        };
        format!("\u{1b}[{code}m{text}\u{1b}[0m")
    }
}

/// One cell.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Cell {
    text: String,
    tone: Tone,
    right: bool,
}

impl Cell {
    /// A cell in this tone.
    pub fn new(text: impl Into<String>, tone: Tone) -> Self {
        Self { text: text.into(), tone, right: false }
    }

    /// The same, with its end under the end of the others: a number.
    #[must_use]
    pub fn right(self) -> Self {
        Self { right: true, ..self }
    }
}

impl From<&str> for Cell {
    fn from(text: &str) -> Self {
        Self::new(text, Tone::Plain)
    }
}

impl From<String> for Cell {
    fn from(text: String) -> Self {
        Self::new(text, Tone::Plain)
    }
}

/// Rows of cells below headings.
pub struct Table {
    headings: Vec<&'static str>,
    rows: Vec<Vec<Cell>>,
    /// The column that gives way when a line is too narrow.
    flexible: usize,
}

impl Table {
    /// An empty table; `flexible` is the column that is cut.
    #[must_use]
    pub fn new(headings: Vec<&'static str>, flexible: usize) -> Self {
        Self { headings, rows: Vec::new(), flexible }
    }

    /// One more row, with as many cells as there are headings.
    pub fn push(&mut self, row: Vec<Cell>) {
        self.rows.push(row);
    }

    /// All of it, no line wider than `width` if that can be; columns in which nothing is are left out.
    #[must_use]
    pub fn lines(&self, width: Option<usize>, coloured: bool) -> Vec<String> {
        let all = 0..self.headings.len();
        let used: Vec<usize> = all.filter(|&column| self.rows.iter().any(|row| !row[column].text.is_empty())).collect();
        let widest = |column: usize| {
            let cells = self.rows.iter().map(|row| shown_width(&row[column].text));
            cells.chain([shown_width(self.headings[column])]).max().unwrap_or_default()
        };
        let mut widths: Vec<usize> = used.iter().map(|&column| widest(column)).collect();
        if let (Some(width), Some(flexible)) = (width, used.iter().position(|&column| column == self.flexible)) {
            let gaps = GAP.len() * used.len().saturating_sub(1);
            let others: usize = widths.iter().enumerate().filter(|(index, _)| *index != flexible).map(|(_, w)| w).sum();
            widths[flexible] = widths[flexible].min(width.saturating_sub(others + gaps).max(LEAST));
        }
        let headings = self.headings.iter().map(|heading| Cell::new(*heading, Tone::Dim)).collect();
        let line = |row: &Vec<Cell>| {
            let mut line = String::new();
            for (index, (&column, &width)) in used.iter().zip(&widths).enumerate() {
                let cell = &row[column];
                let text = cut(&cell.text, width);
                let space = " ".repeat(width.saturating_sub(shown_width(&text)));
                let painted = cell.tone.paint(&text, coloured);
                if index > 0 {
                    line.push_str(GAP);
                }
                line.push_str(&if cell.right { format!("{space}{painted}") } else { format!("{painted}{space}") });
            }
            line.trim_end().to_owned()
        };
        std::iter::once(&headings).chain(&self.rows).map(line).collect()
    }
}

/// How many columns of a terminal a text takes.
#[must_use]
pub fn shown_width(text: &str) -> usize {
    Span::raw(text).width()
}

/// A text no wider than `width`, with a mark when something is missing.
#[must_use]
pub fn cut(text: &str, width: usize) -> String {
    if shown_width(text) <= width {
        return text.to_owned();
    }
    let mut short = String::new();
    for letter in text.chars() {
        if shown_width(&short) + shown_width(&letter.to_string()) + 1 > width {
            break;
        }
        short.push(letter);
    }
    format!("{}…", short.trim_end())
}

/// A text in lines no wider than `width`, broken between words.
#[must_use]
pub fn wrapped(text: &str, width: usize) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for word in text.split_whitespace() {
        match lines.last_mut() {
            Some(line) if shown_width(line) + 1 + shown_width(word) <= width => {
                line.push(' ');
                line.push_str(word);
            }
            _ => lines.push(word.to_owned()),
        }
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table() -> Table {
        let mut table = Table::new(vec!["PROCESS", "RUNNING", "NOTE", "WHY"], 3);
        table.push(vec!["web".into(), Cell::from("12").right(), "".into(), "3 readings in a row above 1200 ms".into()]);
        table.push(vec!["キュー".into(), Cell::from("3").right(), "".into(), "→".into()]);
        table
    }

    #[test]
    fn columns_line_up_also_with_wide_letters_and_empty_ones_are_left_out() {
        let lines = table().lines(None, false);
        assert_eq!(
            lines,
            ["PROCESS  RUNNING  WHY", "web           12  3 readings in a row above 1200 ms", "キュー         3  →"]
        );
    }

    #[test]
    fn only_the_flexible_column_is_cut_and_never_to_nothing() {
        assert_eq!(table().lines(Some(36), false)[1], "web           12  3 readings in a r…");
        assert_eq!(table().lines(Some(5), false)[1], "web           12  3 readings…");
    }

    #[test]
    fn colours_do_not_move_columns() {
        let mut table = Table::new(vec!["A", "B"], 1);
        table.push(vec![Cell::new("x", Tone::Bad), "y".into()]);
        assert_eq!(table.lines(None, true)[1], "\u{1b}[31mx\u{1b}[0m  y");
        assert_eq!(table.lines(None, false)[1], "x  y");
    }

    #[test]
    fn a_text_is_wrapped_between_words() {
        assert_eq!(wrapped("one two three", 7), ["one two", "three"]);
    }
}
