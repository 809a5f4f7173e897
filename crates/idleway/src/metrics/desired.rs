//! How many backends a pool's load calls for: for autoscalers.

use idleway_core::Demand;

/// How much of what the backends can do is to be in use: beyond it the line grows much faster than the load.
const TARGET: f64 = 0.8;
/// In so many seconds the line is to be worked off.
const CATCH_UP: f64 = 30.0;
/// How long the work of those who were refused is taken to be, in seconds, where nothing was served yet.
const UNKNOWN: f64 = 1.0;
/// A load below this is none: a mean that forgets never comes to nothing by itself.
const NOTHING: f64 = 0.001;

/// So many backends of `of_each` slots, where the pool has `slots` now. `docs/metrics.md` has the formula and its reasons.
pub(crate) fn desired(demand: &Demand, slots: u64, of_each: f64) -> u64 {
    let service = demand.service.map(|service| service.as_secs_f64());
    let waiting = number(demand.waiting);
    // Short work is worked off by few slots one after the other; long work wants a slot each.
    let line = service.map_or(waiting, |service| waiting * (service / CATCH_UP).min(1.0));
    // Those who were told to come back do: their number says that there is too little, and not by how much.
    let refused = (demand.refused * service.unwrap_or(UNKNOWN)).min(number(slots.max(1)));
    let load = demand.at_work + line + refused;
    if load < NOTHING {
        return 0;
    }
    // A load that is met exactly is met, whatever the last digit of a mean says.
    let wanted = (load / TARGET / of_each.max(1.0) - 1e-6).ceil().max(1.0);
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a whole number, not below 1"
    )]
    let wanted = wanted as u64;
    wanted
}

#[expect(clippy::cast_precision_loss, reason = "exact up to 2^53, which nothing here comes to")]
fn number(count: u64) -> f64 {
    count as f64
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn demand(at_work: f64, waiting: u64, refused: f64, seconds: f64) -> Demand {
        let mut demand = Demand::default();
        (demand.at_work, demand.waiting, demand.refused) = (at_work, waiting, refused);
        demand.service = (seconds > 0.0).then(|| Duration::from_secs_f64(seconds));
        demand
    }

    #[test]
    fn the_examples_of_the_documentation() {
        let of = |at_work, waiting, refused, seconds, slots, of_each| {
            desired(&demand(at_work, waiting, refused, seconds), slots, of_each)
        };
        // Four of five one-slot backends at work in the mean, nobody in line: they are enough.
        assert_eq!(of(4.0, 0, 0.0, 2.0, 5, 1.0), 5);
        // All five, and 30 in line for work of 2 s, which two more slots do within half a minute.
        assert_eq!(of(5.0, 30, 0.0, 2.0, 5, 1.0), 9);
        // The same line for work of ten minutes: each wants a slot of its own.
        assert_eq!(of(5.0, 30, 0.0, 600.0, 5, 1.0), 44);
        // No line: two a second are refused, whose work takes 2 s.
        assert_eq!(of(5.0, 0, 2.0, 2.0, 5, 1.0), 12);
        // Ten times as many are refused, since they all come again: no more than twice of what there is.
        assert_eq!(of(5.0, 0, 20.0, 2.0, 5, 1.0), 13);
        // Backends of four slots each: fourteen and a half at work.
        assert_eq!(of(14.5, 0, 0.0, 1.0, 16, 4.0), 5);
    }

    #[test]
    fn a_line_of_a_moment_calls_for_nobody() {
        assert_eq!(desired(&demand(4.0, 0, 0.0, 0.05), 5, 1.0), 5);
        assert_eq!(desired(&demand(3.99, 5, 0.0, 0.05), 5, 1.0), 5);
    }

    #[test]
    fn without_a_load_there_are_none_and_the_first_request_calls_for_one() {
        assert_eq!(desired(&demand(0.0, 0, 0.0, 0.0), 0, 1.0), 0);
        assert_eq!(desired(&demand(0.000_9, 0, 0.0, 1.0), 5, 1.0), 0);
        // Refused, since there is no backend; or in line.
        assert_eq!(desired(&demand(0.0, 0, 0.05, 0.0), 0, 1.0), 1);
        assert_eq!(desired(&demand(0.0, 3, 0.0, 0.0), 0, 1.0), 4);
    }
}
