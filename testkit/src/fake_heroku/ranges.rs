//! Pages of lists, by the `Range` header.
//!
//! A request says `Range: <field> <first>..<last>; max=<n>, order=<asc|desc>`, every part optional; an answer that left
//! rows out is 206 with a `Next-Range` that goes on behind the last row. Clients write the header in at least five ways,
//! and all of them are understood; what is understood by none of them is 416.

use std::cmp::Ordering;

use serde_json::Value;

/// Rows of a page when the client asks for no number.
const DEFAULT_MAX: usize = 200;
/// Most rows that a client may ask for.
const LARGEST_MAX: usize = 1000;

/// A header that cannot be satisfied.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct NotSatisfiable;

/// One end of a range.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Bound {
    key: String,
    exclusive: bool,
}

/// What a client asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Range {
    field: String,
    first: Option<Bound>,
    last: Option<Bound>,
    max: usize,
    descending: bool,
}

/// What it gets.
#[derive(Debug, PartialEq)]
pub(crate) struct Page {
    pub(crate) rows: Vec<Value>,
    pub(crate) content_range: String,
    pub(crate) next_range: Option<String>,
}

impl Range {
    /// Reads a header; `sortable` are the fields of this list, the first of them the default.
    pub(crate) fn parse(header: Option<&str>, sortable: &[&str]) -> Result<Self, NotSatisfiable> {
        let default_field = sortable.first().copied().unwrap_or("id");
        let mut range =
            Self { field: default_field.to_owned(), first: None, last: None, max: DEFAULT_MAX, descending: false };
        let Some(header) = header.map(str::trim).filter(|text| !text.is_empty()) else { return Ok(range) };
        for (position, part) in header.split([';', ',']).map(str::trim).enumerate() {
            if part.is_empty() {
                continue;
            }
            match part.split_once('=') {
                Some(("max", number)) => range.max = number.trim().parse().map_err(|_| NotSatisfiable)?,
                Some(("order", "asc")) => range.descending = false,
                Some(("order", "desc")) => range.descending = true,
                Some(_) => return Err(NotSatisfiable),
                None if position == 0 => range.read_span(part, sortable)?,
                None => return Err(NotSatisfiable),
            }
        }
        if range.max == 0 {
            return Err(NotSatisfiable);
        }
        range.max = range.max.min(LARGEST_MAX);
        Ok(range)
    }

    fn read_span(&mut self, span: &str, sortable: &[&str]) -> Result<(), NotSatisfiable> {
        let (field, ends) = span.split_once(' ').unwrap_or((span, ".."));
        if !sortable.contains(&field) {
            return Err(NotSatisfiable);
        }
        field.clone_into(&mut self.field);
        let (first, last) = ends.trim().split_once("..").ok_or(NotSatisfiable)?;
        self.first = match first.strip_prefix(']') {
            Some(key) => Some(Bound { key: key.to_owned(), exclusive: true }),
            None if first.is_empty() => None,
            None => Some(Bound { key: first.to_owned(), exclusive: false }),
        };
        self.last = match last.strip_suffix('[') {
            Some(key) => Some(Bound { key: key.to_owned(), exclusive: true }),
            None if last.is_empty() => None,
            None => Some(Bound { key: last.to_owned(), exclusive: false }),
        };
        Ok(())
    }

    /// Sorts the rows and cuts the page out of them; never more than `page_size` rows.
    pub(crate) fn page(&self, mut rows: Vec<Value>, page_size: usize) -> Result<Page, NotSatisfiable> {
        rows.sort_by(|left, right| {
            let order = compare(&left[&self.field], &key_text(&right[&self.field]));
            if self.descending { order.reverse() } else { order }
        });
        let all = rows.len();
        rows.retain(|row| self.contains(&row[&self.field]));
        if rows.is_empty() && all > 0 && (self.first.is_some() || self.last.is_some()) {
            return Err(NotSatisfiable);
        }
        let max = self.max.min(page_size);
        let cut = rows.len() > max;
        rows.truncate(max);
        let key_at = |row: Option<&Value>| row.map(|row| key_text(&row[&self.field])).unwrap_or_default();
        let (first, last) = (key_at(rows.first()), key_at(rows.last()));
        let order = if self.descending { ", order=desc" } else { "" };
        let next_range = cut.then(|| {
            let end = match &self.last {
                Some(bound) => format!("{}{}", bound.key, if bound.exclusive { "[" } else { "" }),
                None => String::new(),
            };
            format!("{} ]{last}..{end}; max={max}{order}", self.field)
        });
        Ok(Page { rows, content_range: format!("{} {first}..{last}; max={max}{order}", self.field), next_range })
    }

    fn contains(&self, value: &Value) -> bool {
        let within = |bound: &Option<Bound>, wanted: Ordering| {
            let Some(bound) = bound else { return true };
            let order = compare(value, &bound.key);
            let order = if self.descending { order.reverse() } else { order };
            order == wanted || (order == Ordering::Equal && !bound.exclusive)
        };
        within(&self.first, Ordering::Greater) && within(&self.last, Ordering::Less)
    }
}

/// Numbers by size, all else by text.
fn compare(value: &Value, key: &str) -> Ordering {
    match (value.as_i64(), key.parse::<i64>()) {
        (Some(number), Ok(key)) => number.cmp(&key),
        _ => key_text(value).as_str().cmp(key),
    }
}

fn key_text(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const FIELDS: &[&str] = &["id", "name", "version"];

    fn rows(count: u32) -> Vec<Value> {
        // Backwards, because a list that is sorted already would hide a sort that does nothing.
        (1..=count).rev().map(|n| json!({ "id": format!("id{n:02}"), "version": n })).collect()
    }

    fn versions(page: &Page) -> Vec<i64> {
        page.rows.iter().map(|row| row["version"].as_i64().unwrap()).collect()
    }

    #[test]
    fn every_spelling_seen_on_the_wire_is_understood() {
        let table = [
            ("heroku-client", "id ..; max=1000", "id", 1000, false),
            ("the command line client", "version ..; max=1, order=desc", "version", 1, true),
            ("heroku3", "id ..; ;", "id", 200, false),
            ("heroku3 with order and limit", "id ..; order=desc,max=10;", "id", 10, true),
            ("the documentation", "id ..; max=10;", "id", 10, false),
            ("heroku-go", "name ..; max=5,order=desc", "name", 5, true),
            ("a field alone", "version", "version", 200, false),
            ("more than is allowed", "id ..; max=5000", "id", 1000, false),
        ];
        for (name, header, field, max, descending) in table {
            let range = Range::parse(Some(header), FIELDS).unwrap_or_else(|_| panic!("{name}: {header}"));
            assert_eq!((range.field.as_str(), range.max, range.descending), (field, max, descending), "{name}");
        }
        assert_eq!(Range::parse(None, FIELDS).unwrap().max, 200);
    }

    #[test]
    fn what_cannot_be_satisfied_is_refused() {
        for header in ["price ..", "id 5", "id ..; max=0", "id ..; max=many", "id ..; order=up", "id ..; foo=1"] {
            assert_eq!(Range::parse(Some(header), FIELDS), Err(NotSatisfiable), "{header}");
        }
        let beyond = Range::parse(Some("id zz..; max=3"), FIELDS).unwrap();
        assert_eq!(beyond.page(rows(3), 1000), Err(NotSatisfiable));
    }

    #[test]
    fn following_next_range_gives_every_row_once_in_either_direction() {
        for (start, expected) in [
            ("id ..; max=2", (1..=5).collect::<Vec<_>>()),
            ("version ..; max=2, order=desc", (1..=5).rev().collect::<Vec<_>>()),
        ] {
            let mut header = start.to_owned();
            let mut seen = Vec::new();
            loop {
                let page = Range::parse(Some(&header), FIELDS).unwrap().page(rows(5), 1000).unwrap();
                seen.extend(versions(&page));
                let Some(next) = page.next_range else { break };
                header = next;
            }
            assert_eq!(seen, expected, "{start}");
        }
    }

    #[test]
    fn the_page_says_what_it_holds_and_where_to_go_on() {
        let page = Range::parse(Some("id ..; max=2"), FIELDS).unwrap().page(rows(3), 1000).unwrap();
        assert_eq!(page.content_range, "id id01..id02; max=2");
        assert_eq!(page.next_range.as_deref(), Some("id ]id02..; max=2"));
    }

    #[test]
    fn numbers_sort_as_numbers() {
        let page = Range::parse(Some("version 9..11"), FIELDS).unwrap().page(rows(12), 1000).unwrap();
        assert_eq!(versions(&page), [9, 10, 11]);
        assert_eq!(page.next_range, None);
    }

    #[test]
    fn the_servers_own_page_size_wins_over_what_the_client_asks_for() {
        let page = Range::parse(Some("id ..; max=1000"), FIELDS).unwrap().page(rows(5), 2).unwrap();
        assert_eq!(page.rows.len(), 2);
        assert!(page.next_range.is_some());
    }

    #[test]
    fn an_empty_list_is_no_error() {
        let page = Range::parse(None, FIELDS).unwrap().page(Vec::new(), 10).unwrap();
        assert_eq!((page.rows.len(), page.next_range), (0, None));
    }
}
