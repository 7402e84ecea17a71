//! The second and third net under the decision core: an oracle, differential tests, and invariants of random runs.
//!
//! [`world`] makes up runs of thousands of ticks with everything that can go wrong, and plays them through the two doors
//! of the core; who works in it, and what is seen of that, is made up in [`crew`]. [`oracle`] recomputes each tick from the log of everything that ever happened, with code of its own that
//! remembers nothing cleverly, and [`protection`] what protects those who work. [`differential`] does the same for the
//! small parts alone. [`invariants`] are promises that hold whatever happens, [`working`] those about work. A failure prints the shortest story that still fails, and the seed to repeat it.

mod crew;
mod differential;
mod invariants;
mod oracle;
mod protection;
mod working;
mod world;
