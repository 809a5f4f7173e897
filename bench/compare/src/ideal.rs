//! The ideal: one FIFO line before several backends that loses no time between the end of one service and the beginning
//! of the next, nor on the way.

use std::time::Duration;

/// One request: when it comes, and how long it is worked on.
#[derive(Clone, Copy)]
pub(crate) struct Job {
    /// Since the beginning; jobs come in this order.
    pub(crate) at: Duration,
    pub(crate) service: Duration,
}

/// From each job's coming to its end; none where it would have waited longer than `patience`, and so left.
pub(crate) fn fifo(jobs: &[Job], backends: usize, patience: Duration) -> Vec<Option<Duration>> {
    let mut free = vec![Duration::ZERO; backends];
    let mut latency = |job: &Job| {
        let next = free.iter_mut().min()?;
        let begin = (*next).max(job.at);
        if begin - job.at > patience {
            return None;
        }
        *next = begin + job.service;
        Some(*next - job.at)
    };
    jobs.iter().map(&mut latency).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn jobs(of: &[(u64, u64)]) -> Vec<Job> {
        let ms = Duration::from_millis;
        of.iter().map(|&(at, service)| Job { at: ms(at), service: ms(service) }).collect()
    }

    #[test]
    fn the_first_in_line_gets_the_first_that_is_free() {
        let of = |jobs: &[Job], backends, patience| {
            let latencies = fifo(jobs, backends, Duration::from_millis(patience));
            latencies
                .into_iter()
                .map(|latency| latency.map(|latency| latency.as_millis()))
                .collect::<Vec<_>>()
        };
        let four = jobs(&[(0, 100), (0, 10), (5, 10), (60, 1)]);
        // The third waits for the second's end at 10; the fourth finds one free.
        assert_eq!(of(&four, 2, 1000), [Some(100), Some(10), Some(15), Some(1)]);
        // With one backend the second waits 100 and leaves at 20; nobody waits for it any more.
        assert_eq!(of(&four, 1, 95), [Some(100), None, Some(105), Some(51)]);
    }

    /// Without patience M/M/1 is known: the mean latency is the mean service over what is left of the load.
    #[test]
    fn a_known_queue_comes_out_as_known() {
        let mut random = crate::arrivals::Random::new(1);
        let mut now = 0.0;
        let jobs: Vec<Job> = (0..400_000)
            .map(|_| {
                now += random.exponential() / 0.5;
                Job {
                    at: Duration::from_secs_f64(now),
                    service: Duration::from_secs_f64(random.exponential()),
                }
            })
            .collect();
        let latencies = fifo(&jobs, 1, Duration::MAX);
        let mean = latencies.iter().flatten().map(Duration::as_secs_f64).sum::<f64>() / 400_000.0;
        assert!((1.9..2.1).contains(&mean), "{mean} instead of 2");
    }
}
