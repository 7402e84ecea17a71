//! What the tests of autoscalebot stand on.
//!
//! `app` is a web app whose load a test sets. `program` runs a program as a child that ends with the test.

pub mod app;
pub mod program;
