//! What workers do: prefetched, running, planned, gone, silent, or another app's.

use crate::support::Claim;

pub fn claims() -> Vec<Claim> {
    vec![]
}
