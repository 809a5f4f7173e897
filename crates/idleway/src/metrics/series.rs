//! What is counted of the requests of one route.

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use super::code::{NUMBERS, labels, number_of};
use super::histogram::{Buckets, Histogram};
#[cfg(feature = "admin")]
use super::spread::{Spread, Times};
use crate::error::Reject;

/// How many threads have counted so far.
static THREADS: AtomicUsize = AtomicUsize::new(0);

thread_local! {
    /// This thread's number among them. A core is a thread, and cores are the first to count: so each has a part of its own,
    /// and so has each thread of a program that the gateway is mounted in, as long as there are as many parts.
    static THREAD: usize = THREADS.fetch_add(1, Ordering::Relaxed);
}

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
    /// In line; none where it neither got a Slot nor stood in line for one.
    pub(crate) waited: Option<Duration>,
    pub(crate) received: u64,
    pub(crate) sent: u64,
    /// The name of the reason why the gateway itself answered.
    pub(crate) rejected: Option<&'static str>,
    /// The client left.
    pub(crate) departed: Option<Phase>,
    /// Its answer had begun, and broke off by no doing of the client.
    pub(crate) is_cut: bool,
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
    codes: [AtomicU64; NUMBERS],
    rejected: [AtomicU64; Reject::NAMES.len()],
    departed: [AtomicU64; Phase::ALL.len()],
    cut: AtomicU64,
    received: AtomicU64,
    sent: AtomicU64,
    total: Buckets,
    first_byte: Buckets,
    #[cfg(feature = "admin")]
    first_bytes: Times,
    waited: Buckets,
    served: Buckets,
}

impl Default for Part {
    fn default() -> Self {
        Self {
            codes: std::array::from_fn(|_| AtomicU64::default()),
            rejected: std::array::from_fn(|_| AtomicU64::default()),
            departed: Default::default(),
            cut: AtomicU64::default(),
            received: AtomicU64::default(),
            sent: AtomicU64::default(),
            total: Buckets::default(),
            first_byte: Buckets::default(),
            #[cfg(feature = "admin")]
            first_bytes: Times::default(),
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

    fn part(&self) -> &Part {
        // Where the thread is about to end, it has no number any more.
        &self.parts[THREAD.try_with(|thread| thread % self.parts.len()).unwrap_or_default()]
    }

    /// Counts a request that has ended.
    pub(crate) fn count(&self, ended: &Ended) {
        let part = self.part();
        add(&part.codes[number_of(ended.status)], 1);
        ended.total.into_iter().for_each(|time| part.total.add(time));
        ended.first_byte.into_iter().for_each(|time| part.first_byte.add(time));
        #[cfg(feature = "admin")]
        ended.first_byte.into_iter().for_each(|time| part.first_bytes.add(time));
        ended.waited.into_iter().for_each(|time| part.waited.add(time));
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
        if ended.is_cut {
            add(&part.cut, 1);
        }
    }

    /// Counts work that held its Slot for so long.
    pub(crate) fn served(&self, time: Duration) {
        self.part().served.add(time);
    }

    fn sum(&self, of: impl Fn(&Part) -> &AtomicU64) -> u64 {
        self.parts.iter().map(|part| of(part).load(Ordering::Relaxed)).sum()
    }

    fn histogram(&self, of: impl Fn(&Part) -> &Buckets) -> Histogram {
        Histogram::of(&self.parts.iter().map(of).collect::<Vec<_>>())
    }

    /// How many were answered with each status, as it is labelled. Only what there was.
    pub(crate) fn codes(&self) -> impl Iterator<Item = (String, u64)> {
        let counts = labels().enumerate().map(|(nth, label)| (label, self.sum(|part| &part.codes[nth])));
        counts.filter(|(_, count)| *count > 0)
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

    /// How many answers broke off.
    pub(crate) fn cut(&self) -> u64 {
        self.sum(|part| &part.cut)
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

    /// The same, for whoever wants to know it more exactly.
    #[cfg(feature = "admin")]
    pub(crate) fn first_bytes(&self) -> Spread {
        Spread::of(&self.parts.iter().map(|part| &part.first_bytes).collect::<Vec<_>>())
    }

    pub(crate) fn waited(&self) -> Histogram {
        self.histogram(|part| &part.waited)
    }

    pub(crate) fn service(&self) -> Histogram {
        self.histogram(|part| &part.served)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_threads_count_apart_is_summed() {
        let series = Series::new("/".to_owned(), "p".to_owned(), 2);
        let count = |ended: Ended| series.count(&ended);
        std::thread::scope(|threads| {
            for thread in 0..5 {
                let status = if thread == 4 { 0 } else { 200 };
                threads.spawn(move || count(Ended { status, received: 1, sent: 2, ..Ended::default() }));
            }
        });
        let (total, rejected) = (Some(Duration::ZERO), Some(Reject::NoRoute.name()));
        count(Ended { status: 404, total, rejected, ..Ended::default() });
        count(Ended { departed: Some(Phase::Queue), ..Ended::default() });
        series.served(Duration::from_secs(3));
        let codes: Vec<_> = series.codes().collect();
        let codes: Vec<_> = codes.iter().map(|(code, count)| (code.as_str(), *count)).collect();
        assert_eq!(codes, [("200", 4), ("404", 1), ("none", 2)]);
        assert_eq!(series.rejected().collect::<Vec<_>>(), [("no-route", 1)]);
        assert_eq!(series.departed().map(|(_, count)| count).collect::<Vec<_>>(), [0, 1, 0, 0]);
        assert_eq!((series.received(), series.sent(), series.total().count), (5, 10, 1));
        assert_eq!((series.waited().count, series.service().count, series.first_byte().count), (0, 1, 0));
    }

    /// Two threads never write to one line, as long as there are as many parts.
    #[test]
    fn threads_have_parts_of_their_own() {
        let series = Series::new(String::new(), String::new(), 2);
        let count = || series.count(&Ended { status: 200, ..Ended::default() });
        // One after the other, so that their numbers follow each other, unless other tests' threads come between.
        let apart = (0..100).any(|_| {
            let before: Vec<_> = series.parts.iter().map(of).collect();
            [(); 2].iter().for_each(|()| std::thread::scope(|threads| _ = threads.spawn(count)));
            series.parts.iter().map(of).zip(before).all(|(now, before)| now == before + 1)
        });
        assert!(apart);
        assert_eq!(align_of::<Part>() % 128, 0);
        assert_eq!(size_of::<Part>() % 128, 0);

        fn of(part: &Part) -> u64 {
            part.codes[number_of(200)].load(Ordering::Relaxed)
        }
    }
}
