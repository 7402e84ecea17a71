//! What the tests of autoscalebot stand on: stand-ins for the outside world that keep its rules, and the tools that
//! check them. Never published.

pub mod fake_heroku;
pub mod tools;
