//! A question that grows with what is wished for.

use jiff::Timestamp;

use super::database::Value;

/// A statement whose conditions grow.
pub struct Conditions<'a> {
    pub text: String,
    pub values: Vec<Value<'a>>,
}

impl<'a> Conditions<'a> {
    pub fn new(beginning: &str) -> Self {
        Self { text: beginning.to_owned(), values: Vec::new() }
    }

    pub fn value(&mut self, value: impl Into<Value<'a>>) {
        self.values.push(value.into());
        self.text.push_str(&format!("${}", self.values.len()));
    }

    pub fn and(&mut self, left: &str, value: impl Into<Value<'a>>) {
        self.text.push_str(&format!(" AND {left} "));
        self.value(value);
    }

    pub fn between(&mut self, column: &str, from: Option<Timestamp>, to: Option<Timestamp>) {
        if let Some(from) = from {
            self.and(&format!("{column} >="), from.as_microsecond());
        }
        if let Some(to) = to {
            self.and(&format!("{column} <"), to.as_microsecond());
        }
    }

    pub fn list<const N: usize>(&mut self, numbers: [i64; N]) {
        for (index, number) in numbers.into_iter().enumerate() {
            self.text.push_str(if index == 0 { "(" } else { ", " });
            self.value(number);
        }
        self.text.push(')');
    }
}
