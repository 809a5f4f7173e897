//! Which side an exchange waits for, and how long that may take.

use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};

use crate::config::ClientPlan;
use crate::net::Clock;

/// How long a slow client is given before its rate counts: a stall of a moment is no slowness.
const GRACE: Duration = Duration::from_secs(10);

/// Whose turn it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Waiting {
    /// The backend: `timeout` runs.
    Backend,
    /// The client has to send more of its body: `client.read` runs.
    ClientSends,
    /// The client has to take more of its answer: `client.write` runs.
    ClientTakes,
}

impl Waiting {
    /// What it is called when it took too long, if it is the client that is waited for.
    fn of_client(self) -> Option<Over> {
        match self {
            Self::Backend => None,
            Self::ClientSends => Some(Over::ClientSends),
            Self::ClientTakes => Some(Over::ClientTakes),
        }
    }
}

/// Whose time is over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Over {
    Timeout,
    Deadline,
    ClientSends,
    ClientTakes,
}

/// The clocks of one exchange. `timeout` runs only while the gateway waits for the backend; the client has
/// clocks of its own, and while it holds a Slot a least rate: both never count against the backend.
#[derive(Debug)]
pub(super) struct Pace<'a> {
    client: &'a ClientPlan,
    timeout: Duration,
    deadline: Option<Instant>,
    waiting: Option<Waiting>,
    since: Option<Instant>,
    moved: bool,
    client_time: Duration,
    client_bytes: u64,
}

impl<'a> Pace<'a> {
    pub(super) fn new(client: &'a ClientPlan, timeout: Duration, deadline: Option<Instant>) -> Self {
        Self {
            client,
            timeout,
            deadline,
            waiting: None,
            since: None,
            moved: false,
            client_time: Duration::ZERO,
            client_bytes: 0,
        }
    }

    /// The side that was waited for has moved.
    pub(super) fn moved(&mut self) {
        self.moved = true;
    }

    /// The client has sent or taken so many bytes.
    pub(super) fn client_moved(&mut self, bytes: u64) {
        self.client_bytes += bytes;
        self.moved = true;
    }

    /// Called at the end of each turn, when nothing can be done but wait: ready when that took too long.
    pub(super) fn poll_over(
        &mut self,
        cx: &mut Context<'_>,
        clock: &mut Clock,
        waiting: Waiting,
    ) -> Poll<Over> {
        if self.waiting != Some(waiting) || self.moved {
            let now = Instant::now();
            if let (Some(over), Some(since)) = (self.waiting.and_then(Waiting::of_client), self.since) {
                self.client_time += now - since;
                if self.is_too_slow() {
                    return Poll::Ready(over);
                }
            }
            self.waiting = Some(waiting);
            self.since = Some(now);
            self.moved = false;
            let until = now + self.longest(waiting);
            clock.set(self.deadline.map_or(until, |deadline| until.min(deadline)));
        }
        ready!(clock.poll_over(cx));
        let is_late = self.deadline.is_some_and(|deadline| deadline <= Instant::now());
        Poll::Ready(if is_late { Over::Deadline } else { waiting.of_client().unwrap_or(Over::Timeout) })
    }

    /// Whether a client that acknowledged so many bytes in the time of `client.write` keeps to `client.rate`.
    pub(super) fn is_kept(&self, acknowledged: u64) -> bool {
        let least = u128::from(self.client.rate) * self.client.write.as_millis() / 1000;
        acknowledged > 0 && u128::from(acknowledged) >= least
    }

    fn longest(&self, waiting: Waiting) -> Duration {
        match waiting {
            Waiting::Backend => self.timeout,
            Waiting::ClientSends => self.client.read,
            Waiting::ClientTakes => self.client.write,
        }
    }

    fn is_too_slow(&self) -> bool {
        let least = u128::from(self.client.rate) * self.client_time.as_millis() / 1000;
        self.client_time > GRACE && u128::from(self.client_bytes) < least
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;

    use super::*;

    fn plan() -> ClientPlan {
        ClientPlan {
            read: Duration::from_millis(5),
            write: Duration::from_secs(60),
            rate: 1024,
            ..ClientPlan::default()
        }
    }

    #[tokio::test]
    async fn each_side_has_its_own_clock_and_the_deadline_is_above_all() {
        let plan = plan();
        let mut clock = Clock::new(Duration::from_secs(60));
        let mut pace = Pace::new(&plan, Duration::from_millis(3), None);
        let over = poll_fn(|cx| pace.poll_over(cx, &mut clock, Waiting::Backend)).await;
        assert_eq!(over, Over::Timeout);
        let over = poll_fn(|cx| pace.poll_over(cx, &mut clock, Waiting::ClientSends)).await;
        assert_eq!(over, Over::ClientSends);
        let deadline = Some(Instant::now() + Duration::from_millis(2));
        let mut pace = Pace::new(&plan, Duration::from_secs(60), deadline);
        let over = poll_fn(|cx| pace.poll_over(cx, &mut clock, Waiting::ClientTakes)).await;
        assert_eq!(over, Over::Deadline);
    }

    #[test]
    fn a_client_below_the_rate_is_too_slow_after_the_grace_only() {
        let plan = plan();
        let mut pace = Pace::new(&plan, Duration::from_secs(60), None);
        pace.client_moved(11);
        pace.client_time = GRACE;
        assert!(!pace.is_too_slow());
        pace.client_time = GRACE + Duration::from_secs(1);
        assert!(pace.is_too_slow());
        pace.client_moved(11 * 1024);
        assert!(!pace.is_too_slow());
    }
}
