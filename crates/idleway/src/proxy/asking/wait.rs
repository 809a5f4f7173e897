//! How long a request waits in line: `Prefer: wait=N` (RFC 7240 section 4.3), or what the pool says.

use std::time::Duration;

use idleway_h1::{Known, RequestHead};

use crate::config::QueuePlan;
use crate::proxy::answer::whole_seconds;

/// How long, and what the client is told about it.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Wait {
    pub(super) within: Duration,
    /// The client's own preference holds, as far as the pool allows: so many seconds.
    pub(super) applied: Option<u64>,
}

impl Wait {
    pub(super) fn of(head: &RequestHead, queue: &QueuePlan) -> Self {
        Self::preferred(seconds(head), queue).unwrap_or(Self { within: queue.wait, applied: None })
    }

    /// None where the pool has no line to wait in: what is refused at once anyway follows no preference.
    fn preferred(seconds: Option<u64>, queue: &QueuePlan) -> Option<Self> {
        let seconds = seconds.filter(|&seconds| seconds == 0 || queue.length > 0)?;
        let within = Duration::from_secs(seconds).min(queue.wait_max);
        Some(Self { within, applied: Some(whole_seconds(within)) })
    }
}

/// The seconds of the first `wait` among the preferences. Of several only the first counts (RFC 7240 section 2), and
/// where that one is not a number there is none.
fn seconds(head: &RequestHead) -> Option<u64> {
    head.get(Known::Prefer)?;
    let mut fields = head.fields().filter(|field| field.known == Known::Prefer);
    fields.find_map(|field| parts(field.value, b',').find_map(wait))?
}

/// What a preference says of the wait; None where it is about something else.
fn wait(preference: &[u8]) -> Option<Option<u64>> {
    // Parameters behind it say nothing here.
    let mut words = parts(parts(preference, b';').next()?, b'=').map(<[u8]>::trim_ascii);
    let is_wait = words.next()?.eq_ignore_ascii_case(b"wait");
    is_wait.then(|| delta_seconds(words.next()?))
}

/// Digits, in quotes or not; more than can be counted is very long (RFC 9111 section 1.2.2).
fn delta_seconds(value: &[u8]) -> Option<u64> {
    let quoted = value.strip_prefix(b"\"").and_then(|value| value.strip_suffix(b"\""));
    let digits = str::from_utf8(quoted.unwrap_or(value)).ok()?;
    let is_number = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
    is_number.then(|| digits.parse().unwrap_or(u64::MAX))
}

/// The parts between separators that do not stand in a quoted string.
fn parts(value: &[u8], separator: u8) -> impl Iterator<Item = &[u8]> {
    let (mut quoted, mut escaped) = (false, false);
    value.split(move |&byte| {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if quoted => escaped = true,
            b'"' => quoted = !quoted,
            _ => return byte == separator && !quoted,
        }
        false
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::proxy::asking::tests::request;

    fn preferred(values: &[&str]) -> Option<u64> {
        let fields: Vec<_> = values.iter().map(|value| format!("Prefer: {value}")).collect();
        seconds(&request(&fields).head)
    }

    #[test]
    fn the_first_wait_counts() {
        for (values, expected) in [
            (&["wait=10"][..], Some(10)),
            (&["WAIT = 10"], Some(10)),
            (&["respond-async, wait=10; strict=yes"], Some(10)),
            (&["return=minimal", "handling=lenient,wait=0"], Some(0)),
            (&["wait=1, wait=2", "wait=3"], Some(1)),
            (&["wait=\"7\""], Some(7)),
            (&["wait=99999999999999999999999"], Some(u64::MAX)),
            (&[r#"foo="a, wait=1; \", wait=2", wait=3"#], Some(3)),
            (&["foo; wait=1, wait=2"], Some(2)),
            (&[",, ,wait=4"], Some(4)),
        ] {
            assert_eq!(preferred(values), expected, "{values:?}");
        }
    }

    #[test]
    fn what_is_no_wait_is_ignored() {
        for values in [
            &["respond-async"][..],
            &["wait"],
            &["wait="],
            &["wait=\"\""],
            &["wait=soon"],
            &["wait=-1"],
            &["wait=+1"],
            &["wait=1.5"],
            &["wait=soon, wait=5"],
            &["waits=5"],
            &["foo=\"wait=5"],
            &[""],
        ] {
            assert_eq!(preferred(values), None, "{values:?}");
        }
        assert_eq!(wait(b"wait=1\xff"), Some(None));
        assert_eq!(preferred(&[]), None);
    }

    #[test]
    fn the_pool_bounds_the_wait() {
        let queue = |length, wait_max| QueuePlan { length, wait: Duration::from_secs(5), wait_max };
        let minute = queue(1, Duration::from_secs(60));
        let told = |seconds, queue: &QueuePlan| {
            Wait::preferred(Some(seconds), queue).map(|wait| (wait.within.as_millis(), wait.applied))
        };
        assert_eq!(told(10, &minute), Some((10_000, Some(10))));
        assert_eq!(told(61, &minute), Some((60_000, Some(60))));
        assert_eq!(told(u64::MAX, &minute), Some((60_000, Some(60))));
        assert_eq!(told(10, &queue(1, Duration::from_millis(1_500))), Some((1_500, Some(2))));
        assert_eq!(told(0, &minute), Some((0, Some(0))));
        assert_eq!(told(0, &queue(0, Duration::from_secs(60))), Some((0, Some(0))));
        assert_eq!(told(10, &queue(0, Duration::from_secs(60))), None);
        assert_eq!(Wait::preferred(None, &minute), None);
    }
}
