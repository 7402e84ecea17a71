//! The integration tests of the engine, in one binary.
mod bot;
mod heroku;
mod heroku_router_log;
mod heroku_wire;
mod scripted;
mod wire;
