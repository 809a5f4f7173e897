//! Time and place, as numbers that the caller passes in.

use std::{ops::Add, time::Duration};

/// Nanoseconds since an origin the caller chose; never wall clock.
///
/// Arithmetic saturates: [`Time::NEVER`] stays never.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Time(u64);

impl Time {
    /// The origin.
    pub const ZERO: Self = Self(0);
    /// Later than every moment that will come.
    pub const NEVER: Self = Self(u64::MAX);

    /// The moment `nanos` nanoseconds after the origin.
    #[must_use]
    pub const fn from_nanos(nanos: u64) -> Self {
        Self(nanos)
    }

    /// Nanoseconds since the origin.
    #[must_use]
    pub const fn as_nanos(self) -> u64 {
        self.0
    }

    /// How long ago `earlier` was; zero when it is not earlier.
    #[must_use]
    pub const fn since(self, earlier: Self) -> Duration {
        Duration::from_nanos(self.0.saturating_sub(earlier.0))
    }
}

impl Time {
    /// The moment so much earlier; the origin where that would be before it.
    pub(crate) fn before(self, earlier: Duration) -> Self {
        let nanos = u64::try_from(earlier.as_nanos()).unwrap_or(u64::MAX);
        Self(self.0.saturating_sub(nanos))
    }
}

impl Add<Duration> for Time {
    type Output = Self;

    fn add(self, later: Duration) -> Self {
        let nanos = u64::try_from(later.as_nanos()).unwrap_or(u64::MAX);
        Self(self.0.saturating_add(nanos))
    }
}

/// The index of a core (of its runtime): the one that asks, or the one that keeps a connection.
///
/// Cores are told apart modulo 64; beyond that a preference may meet a neighbour's connection, which costs a move
/// and nothing else.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Core(pub u16);

impl Core {
    /// The class of this core in masks of 64 bits.
    pub(crate) const fn class(self) -> u32 {
        self.0 as u32 % 64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arithmetic_saturates_at_both_ends() {
        let second = Time::ZERO + Duration::from_secs(1);
        assert_eq!(second.as_nanos(), 1_000_000_000);
        assert_eq!(Time::ZERO.since(second), Duration::ZERO);
        assert_eq!(second.since(Time::ZERO), Duration::from_secs(1));
        assert_eq!(Time::NEVER + Duration::from_nanos(1), Time::NEVER);
        assert_eq!(second + Duration::MAX, Time::NEVER);
    }
}
