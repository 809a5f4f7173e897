//! A deadline that moves with every phase of a connection, on one timer.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};

use tokio::time::Sleep;

/// The one timer of a connection.
///
/// Deadlines move with each request and nearly always later, so moving one only writes a number: the timer
/// stays where it is registered and looks at the number when it fires. Only a deadline *before* the
/// registered one touches the timer wheel.
#[derive(Debug)]
pub(crate) struct Clock {
    at: Instant,
    sleep: Pin<Box<Sleep>>,
}

impl Clock {
    pub(crate) fn new(after: Duration) -> Self {
        let at = Instant::now() + after;
        Self { at, sleep: Box::pin(tokio::time::sleep_until(at.into())) }
    }

    /// The deadline is now `at`.
    pub(crate) fn set(&mut self, at: Instant) {
        self.at = at;
        if at < self.sleep.deadline().into_std() {
            self.sleep.as_mut().reset(at.into());
        }
    }

    pub(crate) fn set_after(&mut self, after: Duration) {
        self.set(Instant::now() + after);
    }

    /// Ready once the deadline has passed; until then the task is woken in time to ask again.
    pub(crate) fn poll_over(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        loop {
            ready!(self.sleep.as_mut().poll(cx));
            if self.at <= Instant::now() {
                return Poll::Ready(());
            }
            self.sleep.as_mut().reset(self.at.into());
        }
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;

    use super::*;

    #[tokio::test]
    async fn a_deadline_moved_later_does_not_fire_at_the_old_time() {
        let mut clock = Clock::new(Duration::ZERO);
        let at = Instant::now() + Duration::from_millis(30);
        clock.set(at);
        poll_fn(|cx| clock.poll_over(cx)).await;
        assert!(Instant::now() >= at);
    }

    #[tokio::test]
    async fn a_deadline_moved_earlier_fires_early() {
        let mut clock = Clock::new(Duration::from_secs(3600));
        clock.set_after(Duration::from_millis(1));
        poll_fn(|cx| clock.poll_over(cx)).await;
    }
}
