//! What the tests of autoscalebot stand on: stand-ins for the outside world that keep its rules, and the tools that
//! check them. Never published.
//!
//! `app` is a web app whose load a test sets. `nasty` is a server that misbehaves. `program` runs a program as a child that ends with the test.

pub mod app;
pub mod fake_heroku;
pub mod nasty;
pub mod program;
pub mod tools;
