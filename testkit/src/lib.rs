//! What the tests of autoscalebot stand on.
//!
//! `app` is a web app whose load a test sets. `nasty` is a server that misbehaves. `program` runs a program as a child that ends with the test.

pub mod app;
pub mod nasty;
pub mod program;
