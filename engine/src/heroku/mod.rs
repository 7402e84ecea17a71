//! Heroku, as far as both the scaling and the measurement backend need it.
//!
//! ```text
//!  account ──► api ──► budget          one per API key and address: headers, time-outs, retries, the rate limit
//!                │
//!                ├──► app              one per app: formation reads that serve all its processes, orders that travel together
//!                └──► log_session      one per app: the router's log lines, while somebody waits for one
//!                          └──► router_line
//!  errors                              what each refusal means and what to do about it
//! ```
//!
//! Everything shared lives in the [`crate::shared::Pool`], so it goes when its last backend goes. Nothing here decides;
//! nothing here remembers a count in place of the platform's word, except as `budget` allows, for a while, and then
//! `app` asks again before it changes anything.
//!
//! Facts about the Platform API come from its published JSON schema, from its reference, and from recorded answers. Where
//! none of these say how Heroku behaves, the comments say so.

pub mod account;
pub mod api;
pub mod app;
pub mod budget;
pub mod errors;
pub mod log_session;
pub mod router_line;
pub mod stream;
