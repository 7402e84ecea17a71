//! What the tests of autoscalebot stand on: stand-ins for the outside world that keep its rules, and the tools that
//! check them. Never published.
//!
//! `app` is a web app whose load a test sets. `nasty` is a server that misbehaves. `fake_heroku` is Heroku's API, logs and
//! router. `program` runs a program as a child that ends with the test. `services` are real brokers and databases.
//! `tools` finds what others wrote and tests run.

pub mod app;
pub mod fake_heroku;
pub mod nasty;
pub mod program;
pub mod services;
pub mod tools;
