//! How far an Attempt got, and whether another one is allowed.

/// What is known of a failed Attempt. Bytes that the kernel accepted count as written: a reset afterwards
/// proves nothing, and neither does a connect, which proves only a backlog.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Reached {
    NotConnected,
    NothingWritten,
    HeadIncomplete,
    HeadComplete,
    AllWritten,
    ResponseBegun,
}

impl Reached {
    /// The word for it in the log.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::NotConnected => "not connected",
            Self::NothingWritten => "nothing written",
            Self::HeadIncomplete => "head incomplete",
            Self::HeadComplete => "head complete",
            Self::AllWritten => "all written",
            Self::ResponseBegun => "response begun",
        }
    }

    /// Whether a request that failed here may be tried on another backend.
    ///
    /// While its head was incomplete nothing can have run. After that the backend may be at work on it: only a
    /// request with the same effect when done twice, and whose body is still at hand, is tried again.
    pub(super) fn may_try_again(self, idempotent: bool, body_at_hand: bool) -> bool {
        match self {
            Self::NotConnected | Self::NothingWritten | Self::HeadIncomplete => body_at_hand,
            Self::HeadComplete | Self::AllWritten => idempotent && body_at_hand,
            Self::ResponseBegun => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Reached::{self, *};

    #[test]
    fn a_request_that_may_have_run_is_repeated_only_if_that_does_no_harm() {
        let all = [NotConnected, NothingWritten, HeadIncomplete, HeadComplete, AllWritten, ResponseBegun];
        let again = |idempotent| -> Vec<Reached> {
            all.into_iter().filter(|reached| reached.may_try_again(idempotent, true)).collect()
        };
        assert_eq!(again(false), [NotConnected, NothingWritten, HeadIncomplete]);
        assert_eq!(again(true), [NotConnected, NothingWritten, HeadIncomplete, HeadComplete, AllWritten]);
        assert!(all.iter().all(|reached| !reached.may_try_again(true, false)));
    }
}
