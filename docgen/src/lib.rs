//! The guides whose code must compile: rustdoc's tests read them from here. There is nothing else in this library.

#[cfg(doctest)]
#[doc = include_str!("../../docs/adding-a-backend.md")]
pub struct AddingABackend;
