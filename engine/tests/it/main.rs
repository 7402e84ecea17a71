//! The integration tests of the engine, in one binary.
mod bot;
mod conformance;
mod email;
mod heroku;
mod heroku_router_log;
mod heroku_wire;
mod recorded;
mod scripted;
mod webhook;
mod wire;
