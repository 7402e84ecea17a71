//! AWS: who we are there, and questions to its services that are signed with it.
//!
//! Only what a question needs is here: the credentials as the machine offers them, the signature (version 4), one shape
//! of call (JSON over HTTP), and errors sorted into the few kinds that matter. Questions change nothing and are asked
//! again a few times when the service is overloaded.

mod client;
mod credentials;

pub use client::{Client, Settings};
