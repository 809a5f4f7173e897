//! What was seen, and what follows from it: in words for people, in JSON for programs.

use std::collections::HashSet;
use std::fmt::Write;
use std::time::Duration;

use serde::Serialize;

use super::WitnessArgs;
use super::course::Course;
use super::visitor::End;

/// Whether the limit held.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Verdict {
    /// No backend ever had more at work than it should.
    Held,
    /// One had.
    Broken,
    /// Nothing follows from what was seen.
    Unproven,
}

impl Verdict {
    pub(super) fn exit_code(self) -> u8 {
        match self {
            Verdict::Held => 0,
            Verdict::Broken => 1,
            Verdict::Unproven => 3,
        }
    }
}

/// All that one run has shown.
#[derive(Debug, PartialEq, Serialize)]
pub(super) struct Finding {
    verdict: Verdict,
    through: String,
    work_ms: u64,
    requests: Requests,
    backends: Vec<Backend>,
}

/// What became of the requests, as their clients saw it.
#[derive(Debug, Default, PartialEq, Serialize)]
struct Requests {
    answered: usize,
    /// Something else than the backend's answer came, but a backend had got the request.
    given_up: usize,
    refused: usize,
    left_at_work: usize,
    left_in_line: usize,
    /// Of those whose client left the line: how many a backend got nevertheless.
    run_for_nobody: usize,
    /// Requests that were begun more than once, on whichever backends.
    repeated: usize,
}

/// What one backend has counted.
#[derive(Debug, PartialEq, Serialize)]
struct Backend {
    url: String,
    slots: u32,
    peak: u32,
    overlaps: u64,
    /// Of the run's own requests; overlaps and peak are of all.
    executions: u64,
    /// The seconds since the run's beginning, and how many requests were at work from then on.
    at_work: Vec<(f64, u32)>,
}

impl Finding {
    pub(super) fn of(args: &WitnessArgs, courses: &[Course], ends: &[(String, End)]) -> Self {
        let times_begun = |id: &str| courses.iter().map(|course| course.work().begun(id)).sum::<u32>();
        let count = |end: End| ends.iter().filter(|(_, ended)| *ended == end).count();
        let run_for_nobody = |(id, end): &&(String, End)| *end == End::LeftInLine && times_begun(id) > 0;
        let requests = Requests {
            answered: count(End::Answered),
            given_up: count(End::GivenUp),
            refused: count(End::Refused),
            left_at_work: count(End::LeftAtWork),
            left_in_line: count(End::LeftInLine),
            run_for_nobody: ends.iter().filter(run_for_nobody).count(),
            repeated: ends.iter().filter(|(id, _)| times_begun(id) > 1).count(),
        };
        let ids: HashSet<&str> = ends.iter().map(|(id, _)| id.as_str()).collect();
        let backends: Vec<Backend> = courses.iter().map(|course| Backend::of(course, &ids)).collect();
        let work_ms = u64::try_from(args.work.as_millis()).unwrap_or(u64::MAX);
        Finding {
            verdict: verdict(&backends),
            through: args.through.to_string(),
            work_ms,
            requests,
            backends,
        }
    }

    pub(super) fn verdict(&self) -> Verdict {
        self.verdict
    }

    pub(super) fn json(&self) -> String {
        serde_json::to_string(self).unwrap_or_else(|problem| format!("{{\"error\":\"{problem}\"}}"))
    }

    pub(super) fn text(&self) -> String {
        let mut text = String::new();
        let seen = &self.requests;
        let _ = writeln!(
            text,
            "\nOf the requests {} were answered, {} were given up by the gateway while a backend worked on them, {} were \
             refused.\nOf the clients {} left while a backend worked for them, {} before one did; {} of those were \
             worked for all the same.",
            seen.answered,
            seen.given_up,
            seen.refused,
            seen.left_at_work,
            seen.left_in_line,
            seen.run_for_nobody
        );
        let _ = writeln!(
            text,
            "\n{:<28} {:>5} {:>5} {:>9} {:>11}",
            "backend", "limit", "peak", "overlaps", "executions"
        );
        for Backend { url, slots, peak, overlaps, executions, .. } in &self.backends {
            let _ = writeln!(text, "{url:<28} {slots:>5} {peak:>5} {overlaps:>9} {executions:>11}");
        }
        let _ = write!(text, "\n{}", self.conclusion());
        if seen.repeated > 0 {
            let _ = write!(text, "\nAnd {} requests (all POST) were executed more than once.", seen.repeated);
        }
        if seen.given_up == 0 {
            text.push_str(
                "\nNo request outlived a timeout of the gateway's: to see what it does then, let --work be more than it.",
            );
        }
        text
    }

    fn conclusion(&self) -> String {
        match self.verdict {
            Verdict::Held => "The limit held: no backend ever had more at work than its limit.".to_owned(),
            Verdict::Broken => {
                let broken = self.backends.iter().filter(|backend| backend.peak > backend.slots);
                let lines: Vec<String> = broken.map(Backend::accusation).collect();
                format!("THE LIMIT WAS BROKEN.\n{}", lines.join("\n"))
            }
            Verdict::Unproven => {
                let idle = self.backends.iter().filter(|backend| backend.executions == 0);
                let urls: Vec<&str> = idle.map(|backend| backend.url.as_str()).collect();
                format!("Nothing is shown: no request came to {}. Is it behind the gateway?", urls.join(", "))
            }
        }
    }
}

impl Backend {
    fn of(course: &Course, ids: &HashSet<&str>) -> Self {
        let seen = course.work().witness();
        let ours = seen.requests.iter().filter(|(id, _)| ids.contains(id.as_str()));
        let seconds =
            |&(since, now): &(Duration, u32)| ((since.as_secs_f64() * 1000.0).round() / 1000.0, now);
        Backend {
            url: course.url().to_owned(),
            slots: seen.slots,
            peak: seen.peak,
            overlaps: seen.overlaps,
            executions: ours.map(|(_, &times)| u64::from(times)).sum(),
            at_work: course.changes().iter().map(seconds).collect(),
        }
    }

    fn accusation(&self) -> String {
        let Backend { url, slots, peak, overlaps, .. } = self;
        format!(
            "{url} had {peak} requests at work at once where {slots} is the limit; {overlaps} came too early."
        )
    }
}

fn verdict(backends: &[Backend]) -> Verdict {
    if backends.iter().any(|backend| backend.peak > backend.slots) {
        Verdict::Broken
    } else if backends.iter().any(|backend| backend.executions == 0) {
        Verdict::Unproven
    } else {
        Verdict::Held
    }
}

/// What a person has to do before anything can be seen.
pub(super) fn task(args: &WitnessArgs, courses: &[Course]) -> String {
    let list: String = courses.iter().map(|course| format!("  {}\n", course.url())).collect();
    let address = courses.first().map_or("", |course| course.url().trim_start_matches("http://"));
    let (work, slots, through) = (args.work, args.slots, &args.through);
    format!(
        "These backends work {work:?} on each request:\n{list}\
         Put them behind the gateway at {through}, with at most {slots} at once for each:\n  \
         idleway  slots = {slots}\n  haproxy  server a {address} maxconn {slots}\n  \
         nginx    server {address} max_conns={slots};\n\
         and with a timeout shorter than {work:?}, so that work outlives it.\n\
         Waiting for a request to come through, at most {:?} …",
        args.patience
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn finding(peaks: &[(u32, u64)], requests: Requests) -> Finding {
        let backend = |(port, &(peak, executions)): (usize, &(u32, u64))| Backend {
            url: format!("http://127.0.0.1:{port}"),
            slots: 1,
            peak,
            overlaps: u64::from(peak.saturating_sub(1)),
            executions,
            at_work: vec![(0.0, 0), (0.25, 1)],
        };
        let backends: Vec<Backend> = peaks.iter().enumerate().map(backend).collect();
        let through = "http://127.0.0.1:80/process".to_owned();
        Finding { verdict: verdict(&backends), through, work_ms: 100, requests, backends }
    }

    #[test]
    fn one_overlap_on_one_backend_breaks_the_limit() {
        let broken = finding(&[(1, 5), (2, 5)], Requests { repeated: 3, given_up: 1, ..Requests::default() });
        assert_eq!(broken.verdict().exit_code(), 1);
        let text = broken.text();
        assert!(
            text.contains("THE LIMIT WAS BROKEN.\nhttp://127.0.0.1:1 had 2 requests at work at once"),
            "{text}"
        );
        assert!(!text.contains("http://127.0.0.1:0 had"), "{text}");
        assert!(text.contains("And 3 requests (all POST) were executed more than once."), "{text}");
    }

    #[test]
    fn a_limit_holds_only_where_every_backend_was_asked() {
        assert_eq!(finding(&[(1, 5), (1, 1)], Requests::default()).verdict(), Verdict::Held);
        let idle = finding(&[(1, 5), (0, 0)], Requests::default());
        assert_eq!(idle.verdict().exit_code(), 3);
        assert!(
            idle.text().contains("no request came to http://127.0.0.1:1. Is it behind"),
            "{}",
            idle.text()
        );
        // What a stranger breaks is broken too.
        assert_eq!(finding(&[(1, 5), (2, 0)], Requests::default()).verdict(), Verdict::Broken);
    }

    #[test]
    fn a_program_reads_the_same() {
        let json: serde_json::Value =
            serde_json::from_str(&finding(&[(1, 5)], Requests { answered: 4, ..Requests::default() }).json())
                .unwrap();
        assert_eq!(json["verdict"], "held");
        assert_eq!(json["requests"]["answered"], 4);
        assert_eq!(json["backends"][0]["at_work"], serde_json::json!([[0.0, 0], [0.25, 1]]));
    }
}
