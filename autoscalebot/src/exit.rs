//! How a command ended, as the number that its caller sees.

/// The exit code of a command.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Exit(pub u8);

impl Exit {
    /// Everything went well.
    pub const FINE: Self = Self(0);
    /// It ran and failed.
    pub const FAILED: Self = Self(1);
    /// The usage or the settings are wrong; nothing ran.
    pub const REFUSED: Self = Self(2);
}
