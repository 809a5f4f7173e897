//! What is counted of the requests of one route.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use super::histogram::{Buckets, Histogram};
use crate::error::Reject;

/// Statuses that an answer can have.
const FIRST: u16 = 100;
const LAST: u16 = 599;
const STATUSES: usize = (LAST - FIRST + 1) as usize;

/// Where a client was when it left.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Phase {
    /// Before it asked for a Slot: it was sending its body, or an application looked at it.
    Request,
    /// In line.
    Queue,
    /// Its backend was at work, and had not begun to answer.
    Backend,
    /// The answer had begun.
    Response,
}

impl Phase {
    pub(crate) const ALL: [Self; 4] = [Self::Request, Self::Queue, Self::Backend, Self::Response];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Request => "request",
            Self::Queue => "queue",
            Self::Backend => "backend",
            Self::Response => "response",
        }
    }
}

/// A request that has ended.
#[derive(Debug, Default)]
pub(crate) struct Ended {
    /// 0: there was no answer.
    pub(crate) status: u16,
    /// From its head to its end; none where it was no request.
    pub(crate) total: Option<Duration>,
    /// To the first byte of the backend's answer.
    pub(crate) first_byte: Option<Duration>,
    /// In line; none where it asked for no Slot.
    pub(crate) waited: Option<Duration>,
    /// From the grant of its last Slot on.
    pub(crate) served: Option<Duration>,
    pub(crate) received: u64,
    pub(crate) sent: u64,
    /// The name of the reason why the gateway itself answered.
    pub(crate) rejected: Option<&'static str>,
    /// The client left.
    pub(crate) departed: Option<Phase>,
}

/// The counts of one route, in a part for each core: no two cores write to one line of their caches.
#[derive(Debug)]
pub(crate) struct Series {
    /// As it is shown; empty for the requests that took none.
    pub(crate) route: String,
    /// The name of its pool; empty where it answers by itself.
    pub(crate) pool: String,
    parts: Box<[Part]>,
}

#[derive(Debug)]
#[repr(align(128))]
struct Part {
    unanswered: AtomicU64,
    statuses: [AtomicU64; STATUSES],
    rejected: [AtomicU64; Reject::NAMES.len()],
    departed: [AtomicU64; Phase::ALL.len()],
    received: AtomicU64,
    sent: AtomicU64,
    total: Buckets,
    first_byte: Buckets,
    waited: Buckets,
    served: Buckets,
}

impl Default for Part {
    fn default() -> Self {
        Self {
            unanswered: AtomicU64::default(),
            statuses: std::array::from_fn(|_| AtomicU64::default()),
            rejected: std::array::from_fn(|_| AtomicU64::default()),
            departed: Default::default(),
            received: AtomicU64::default(),
            sent: AtomicU64::default(),
            total: Buckets::default(),
            first_byte: Buckets::default(),
            waited: Buckets::default(),
            served: Buckets::default(),
        }
    }
}

fn add(to: &AtomicU64, count: u64) {
    to.fetch_add(count, Ordering::Relaxed);
}

impl Series {
    pub(crate) fn new(route: String, pool: String, cores: usize) -> Self {
        Self { route, pool, parts: (0..cores.max(1)).map(|_| Part::default()).collect() }
    }

    /// Counts a request that has ended on this core.
    pub(crate) fn count(&self, core: usize, ended: &Ended) {
        let part = &self.parts[core % self.parts.len()];
        match ended.status {
            FIRST..=LAST => add(&part.statuses[usize::from(ended.status - FIRST)], 1),
            _ => add(&part.unanswered, 1),
        }
        ended.total.into_iter().for_each(|time| part.total.add(time));
        ended.first_byte.into_iter().for_each(|time| part.first_byte.add(time));
        ended.waited.into_iter().for_each(|time| part.waited.add(time));
        ended.served.into_iter().for_each(|time| part.served.add(time));
        add(&part.received, ended.received);
        add(&part.sent, ended.sent);
        if let Some(name) = ended.rejected
            && let Some(nth) = Reject::NAMES.iter().position(|known| *known == name)
        {
            add(&part.rejected[nth], 1);
        }
        if let Some(phase) = ended.departed {
            add(&part.departed[phase as usize], 1);
        }
    }

    fn sum(&self, of: impl Fn(&Part) -> &AtomicU64) -> u64 {
        self.parts.iter().map(|part| of(part).load(Ordering::Relaxed)).sum()
    }

    fn histogram(&self, of: impl Fn(&Part) -> &Buckets) -> Histogram {
        Histogram::of(&self.parts.iter().map(of).collect::<Vec<_>>())
    }

    /// How many were answered with each status; 0: were not answered. Only what there was.
    pub(crate) fn statuses(&self) -> impl Iterator<Item = (u16, u64)> {
        let unanswered = (0, self.sum(|part| &part.unanswered));
        let answered = (FIRST..=LAST)
            .map(|status| (status, self.sum(|part| &part.statuses[usize::from(status - FIRST)])));
        std::iter::once(unanswered).chain(answered).filter(|(_, count)| *count > 0)
    }

    /// How many the gateway itself answered, by its reason. Only what there was.
    pub(crate) fn rejected(&self) -> impl Iterator<Item = (&'static str, u64)> {
        let counts =
            Reject::NAMES.iter().enumerate().map(|(nth, name)| (*name, self.sum(|part| &part.rejected[nth])));
        counts.filter(|(_, count)| *count > 0)
    }

    /// How many clients left, by where they were.
    pub(crate) fn departed(&self) -> impl Iterator<Item = (Phase, u64)> {
        Phase::ALL.into_iter().map(|phase| (phase, self.sum(|part| &part.departed[phase as usize])))
    }

    /// Bytes of requests' bodies.
    pub(crate) fn received(&self) -> u64 {
        self.sum(|part| &part.received)
    }

    /// Bytes of answers' bodies.
    pub(crate) fn sent(&self) -> u64 {
        self.sum(|part| &part.sent)
    }

    pub(crate) fn total(&self) -> Histogram {
        self.histogram(|part| &part.total)
    }

    pub(crate) fn first_byte(&self) -> Histogram {
        self.histogram(|part| &part.first_byte)
    }

    pub(crate) fn waited(&self) -> Histogram {
        self.histogram(|part| &part.waited)
    }

    pub(crate) fn served(&self) -> Histogram {
        self.histogram(|part| &part.served)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_cores_count_apart_is_summed() {
        let series = Series::new("/".to_owned(), "p".to_owned(), 2);
        for core in 0..5 {
            let status = if core == 4 { 0 } else { 200 };
            series.count(core, &Ended { status, received: 1, sent: 2, ..Ended::default() });
        }
        let (total, rejected) = (Some(Duration::ZERO), Some(Reject::NoRoute.name()));
        series.count(0, &Ended { status: 404, total, rejected, ..Ended::default() });
        series.count(1, &Ended { departed: Some(Phase::Queue), ..Ended::default() });
        assert_eq!(series.statuses().collect::<Vec<_>>(), [(0, 2), (200, 4), (404, 1)]);
        assert_eq!(series.rejected().collect::<Vec<_>>(), [("no-route", 1)]);
        assert_eq!(series.departed().map(|(_, count)| count).collect::<Vec<_>>(), [0, 1, 0, 0]);
        assert_eq!((series.received(), series.sent(), series.total().count), (5, 10, 1));
        assert_eq!((series.waited().count, series.served().count, series.first_byte().count), (0, 0, 0));
    }
}
