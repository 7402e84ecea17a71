//! What a database answers, whichever it is: rows of named cells.

/// A row, in the order of its columns.
pub type Row = Vec<(String, Cell)>;

/// One value. What is no number and no text is named by its type.
#[derive(Debug, Clone, PartialEq)]
pub enum Cell {
    /// No value.
    Null,
    /// A number; it may be NaN or endless.
    Number(f64),
    /// A text.
    Text(String),
    /// Something else: `BOOL`, `TIMESTAMPTZ`.
    Other(String),
}
