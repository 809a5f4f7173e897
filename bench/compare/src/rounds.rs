//! The interleaving: every contender has its turn in every round, in rotating order, so that what the machine does
//! meanwhile meets all of them alike, and ratios are taken inside one round.

use std::fmt;
use std::time::Duration;

use anyhow::{Context, Result};

use crate::peer::{Kind, Program};

/// The rounds that were asked for, and with whom.
pub(crate) struct Rounds {
    pub(crate) programs: Vec<Program>,
    pub(crate) count: u32,
    pub(crate) window: Duration,
    pub(crate) connections: u32,
}

/// One that takes part in a measure: a program as configured for it.
pub(crate) struct Contender<'a> {
    pub(crate) label: &'static str,
    /// Without a program the clients talk to the backends themselves.
    pub(crate) program: Option<&'a Program>,
    pub(crate) threads: usize,
}

/// What one contender showed, round by round.
pub(crate) struct Series<S> {
    pub(crate) label: &'static str,
    pub(crate) samples: Vec<S>,
}

impl Rounds {
    pub(crate) fn program(&self, kind: Kind) -> Option<&Program> {
        self.programs.iter().find(|program| program.kind == kind)
    }

    /// Runs all rounds and returns the samples in the order of the contenders; `sample` gets the round's number too.
    pub(crate) fn run<S>(
        &self,
        contenders: &[Contender<'_>],
        mut sample: impl FnMut(u32, &Contender<'_>) -> Result<S>,
    ) -> Result<Vec<Series<S>>> {
        let mut series: Vec<Series<S>> =
            contenders.iter().map(|one| Series { label: one.label, samples: Vec::new() }).collect();
        for round in 0..self.count {
            eprint!("round {} of {}:", round + 1, self.count);
            for turn in rotation(contenders.len(), round) {
                let contender = &contenders[turn];
                eprint!(" {}", contender.label);
                let seen =
                    sample(round, contender).with_context(|| format!("measuring {}", contender.label))?;
                series[turn].samples.push(seen);
            }
            eprintln!();
        }
        Ok(series)
    }
}

/// The indices 0 to `count`, beginning one later in each round.
fn rotation(count: usize, round: u32) -> impl Iterator<Item = usize> {
    let first = usize::try_from(round).unwrap_or_default() % count.max(1);
    (first..count).chain(0..first)
}

impl<S> Series<S> {
    /// One figure over all rounds.
    pub(crate) fn spread(&self, figure: impl Fn(&S) -> f64) -> Spread {
        Spread::of(self.samples.iter().map(figure).collect())
    }

    /// One figure against that of another, round by round: `by` gets ours and theirs.
    pub(crate) fn against(
        &self,
        other: &Series<S>,
        figure: impl Fn(&S) -> f64,
        by: impl Fn(f64, f64) -> f64,
    ) -> Spread {
        let pairs = self.samples.iter().zip(&other.samples);
        Spread::of(pairs.map(|(ours, theirs)| by(figure(ours), figure(theirs))).collect())
    }
}

/// The middle and the ends of what the rounds showed.
#[derive(Clone, Copy, PartialEq, Debug)]
pub(crate) struct Spread {
    pub(crate) median: f64,
    pub(crate) min: f64,
    pub(crate) max: f64,
}

impl Spread {
    fn of(mut figures: Vec<f64>) -> Spread {
        figures.sort_by(f64::total_cmp);
        let middle = figures.len() / 2;
        let at = |index: usize| figures.get(index).copied().unwrap_or(f64::NAN);
        let median = match figures.len() {
            count if count % 2 == 0 && count > 0 => f64::midpoint(at(middle - 1), at(middle)),
            _ => at(middle),
        };
        Spread { median, min: at(0), max: at(figures.len().saturating_sub(1)) }
    }
}

impl fmt::Display for Spread {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let digits = f.precision().unwrap_or(2);
        write!(f, "{:.digits$} ({:.digits$} .. {:.digits$})", self.median, self.min, self.max)
    }
}

/// Lets time pass while the others work: the length of a window, or the pause between two looks.
pub(crate) fn pass(time: Duration) {
    #[expect(clippy::disallowed_methods, reason = "nothing is awaited here: the time itself is meant")]
    std::thread::sleep(time);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_contender_is_first_once() {
        let orders: Vec<Vec<usize>> = (0..3).map(|round| rotation(3, round).collect()).collect();
        assert_eq!(orders, [[0, 1, 2], [1, 2, 0], [2, 0, 1]]);
        assert_eq!(rotation(3, 3).next(), Some(0));
    }

    #[test]
    fn the_median_is_the_middle_or_between_two() {
        assert_eq!(Spread::of(vec![3.0, 1.0, 9.0]), Spread { median: 3.0, min: 1.0, max: 9.0 });
        assert_eq!(Spread::of(vec![4.0, 1.0, 2.0, 9.0]), Spread { median: 3.0, min: 1.0, max: 9.0 });
    }

    #[test]
    fn ratios_are_taken_inside_a_round() {
        let ours = Series { label: "a", samples: vec![1.0, 20.0, 3.0] };
        let theirs = Series { label: "b", samples: vec![2.0, 40.0, 6.0] };
        let ratio = ours.against(&theirs, |&figure| figure, |a, b| a / b);
        assert_eq!(ratio, Spread { median: 0.5, min: 0.5, max: 0.5 });
    }
}
