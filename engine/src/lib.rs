//! What waits: settings files, backends that talk to apps, platforms and people, and the loop of each bot.
//!
//! `bot` walks one measurement along the one direction of `autoscalebot_core`: measure, observe, scale, settle, notify.
//! `fleet` keeps one bot per process. Each stage is a folder with a trait, a list of backends, and one file a backend.
//! Only `clock` reads the time; only `telemetry` names log fields. A bot is one task, and `fleet` holds it; what several
//! backends share (an app on Heroku, a Procfile, an outlet for notices) may have tasks of its own, which end with its last
//! user.

pub mod aws;
pub mod board;
pub mod bot;
pub mod broker;
pub mod build;
pub mod clock;
pub mod command;
pub mod config;
pub mod environment;
pub mod fleet;
pub mod heroku;
pub mod host;
pub mod http;
pub mod measurement;
pub mod notification;
pub mod policy;
pub mod program;
pub mod protection;
pub mod scaling;
pub mod schedule;
pub mod secret;
pub mod shared;
pub mod store;
pub mod telemetry;
