//! Bounds on a head.

/// The most fields any head or trailer section may have, whatever [`Limits::fields`] says: room for them is
/// made on the stack.
pub const MAX_FIELDS: usize = 256;

/// The largest head in bytes, whatever [`Limits::head`] says: positions in it are 32 bits wide.
pub const MAX_HEAD: usize = 16 * 1024 * 1024;

/// How much of a head is accepted.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Limits {
    /// Bytes of the whole head, its last empty line included (431 beyond; at most [`MAX_HEAD`]).
    pub head: usize,
    /// Bytes of the request target (414 beyond).
    pub target: usize,
    /// Number of field lines (431 beyond; at most [`MAX_FIELDS`]).
    pub fields: usize,
}

impl Default for Limits {
    /// 32 KiB, a target of 8 KiB, 100 fields.
    fn default() -> Self {
        Self { head: 32 * 1024, target: 8 * 1024, fields: 100 }
    }
}

impl Limits {
    /// The same limits, within what this crate can hold.
    pub(crate) fn bounded(self) -> Self {
        Self { head: self.head.min(MAX_HEAD), target: self.target, fields: self.fields.min(MAX_FIELDS) }
    }
}
