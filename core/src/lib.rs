//! The pure core: from samples and a running count to a decision that explains itself.
//!
//! **The story of a tick.** The engine measures, and reads from the platform how many processes run. It hands both to
//! [`step::observe`] together with the [`moment::Moment`]. `observe` puts each [`sample::Sample`] into its signal's
//! [`history::History`], asks every signal's decision backend how many processes it wants, clamps each answer to the
//! [`bounds`] of the hour, takes the highest, and, when that differs from what runs and no wait is in the way, returns
//! an [`step::Order`]. The engine carries the order to the platform and tells [`step::settle`] what became of it. What
//! people say in between comes through a third door, [`step::command`]. All doors return [`event::Event`]s: everything
//! that a person may want to know.
//!
//! **What is absent.** There is no clock here, no network, no file, no log, no randomness. Whatever depends on time
//! takes a `Moment`; whatever varies is an argument. So the simulator, the tests and a replay drive exactly the code
//! that runs in production.
//!
//! **What cannot be said.** A failed measurement has no number to be mistaken for (`Sample` keeps it as a failure). An
//! order to the count that already runs cannot be built ([`step::Order::new`] refuses it). A wait begins in one place,
//! and only there: in `settle`, on success.

pub mod bounds;
pub mod busy;
pub mod condition;
pub mod control;
pub mod decision;
pub mod event;
#[cfg(test)]
mod examples;
pub mod history;
pub mod moment;
pub mod names;
pub mod rapid;
pub mod registry;
pub mod sample;
pub mod step;
pub mod units;
pub mod wait;
