//! Ids and fingerprints.
//!
//! Ids of apps, processes and sizes are made from their names, so that two runs of a test see the same ones; ids of
//! things that come and go (dynos, sessions, requests) are random. Nothing here is safe against an attacker.

use uuid::Uuid;

/// A 128-bit FNV-1a hash.
pub(crate) fn fingerprint(bytes: &[u8]) -> u128 {
    const OFFSET_BASIS: u128 = 0x6c62_272e_07bb_0142_62b8_2175_6295_c58d;
    const PRIME: u128 = 0x0000_0000_0100_0000_0000_0000_0000_013b;
    bytes.iter().fold(OFFSET_BASIS, |hash, byte| (hash ^ u128::from(*byte)).wrapping_mul(PRIME))
}

/// The id that belongs to this name, always the same.
pub(crate) fn id_of(kind: &str, name: &str) -> String {
    let hash = fingerprint(format!("{kind}/{name}").as_bytes());
    uuid::Builder::from_random_bytes(hash.to_be_bytes()).into_uuid().to_string()
}

/// An id that nobody had before.
pub(crate) fn new_id() -> String {
    Uuid::new_v4().to_string()
}

/// A number below `end`, which must not be zero.
pub(crate) fn random_below(end: usize) -> usize {
    let bytes = Uuid::new_v4().into_bytes();
    let number =
        u64::from_be_bytes([bytes[8], bytes[9], bytes[10], bytes[11], bytes[12], bytes[13], bytes[14], bytes[15]]);
    usize::try_from(number % (end as u64)).unwrap_or(0)
}
