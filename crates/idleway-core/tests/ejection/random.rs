//! Chance, the same for the same seed.

use std::time::Duration;

/// How long work takes.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Work {
    /// From 5 ms to 90 s, as much of it short as long.
    OfAllLengths,
    /// About a minute.
    Long,
    /// From 20 to 300 ms, but now and then some seconds.
    Short,
}

impl Work {
    /// In seconds.
    pub(crate) fn mean(self) -> f64 {
        match self {
            Self::OfAllLengths => (90.0 - 0.005) / (90.0_f64 / 0.005).ln(),
            Self::Long => 60.0,
            Self::Short => 0.99 * 0.16 + 0.01 * 5.0,
        }
    }

    pub(crate) fn draw(self, random: &mut Random) -> Duration {
        Duration::from_secs_f64(match self {
            Self::OfAllLengths => 0.005 * (90.0_f64 / 0.005).powf(random.part()),
            Self::Long => 30.0 + 60.0 * random.part(),
            Self::Short if random.one_in(100) => 2.0 + 6.0 * random.part(),
            Self::Short => 0.02 + 0.28 * random.part(),
        })
    }
}

/// SplitMix64.
#[derive(Debug)]
pub(crate) struct Random(pub(crate) u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    pub(crate) fn below(&mut self, bound: u64) -> u64 {
        self.next() % bound.max(1)
    }

    pub(crate) fn one_in(&mut self, many: u64) -> bool {
        self.below(many) == 0
    }

    pub(crate) fn one_of<T: Copy>(&mut self, among: &[T]) -> T {
        among[usize::try_from(self.below(among.len() as u64)).unwrap()]
    }

    /// At least 0, less than 1.
    pub(crate) fn part(&mut self) -> f64 {
        (self.next() >> 11) as f64 / (1_u64 << 53) as f64
    }

    pub(crate) fn millis(&mut self, from: u64, to: u64) -> Duration {
        Duration::from_micros(from * 1000 + self.below((to - from) * 1000))
    }

    /// The time to the next of events that happen at random, in seconds.
    pub(crate) fn memoryless(&mut self, mean: f64) -> Duration {
        Duration::from_secs_f64(-mean * (1.0 - self.part()).ln())
    }
}
