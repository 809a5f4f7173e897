//! Until when an answer is worth something: what the route or its pool says, or less where the request says less.

use std::time::{Duration, Instant};

use idleway_h1::Known;

use crate::config::{self, PoolPlan};
use crate::error::Reject;
use crate::message::Request;
use crate::route::Route;

/// The end of the time that a request has.
#[derive(Debug)]
pub(super) struct Deadline<'a> {
    pub(super) at: Instant,
    /// The time it had from its arrival on.
    pub(super) within: Duration,
    /// What says so: a key of the configuration, or a field.
    pub(super) said_in: &'a str,
}

impl<'a> Deadline<'a> {
    /// The earliest of all that are said.
    ///
    /// # Errors
    /// The field that cannot be read.
    pub(super) fn of(request: &Request, route: &Route, pool: &'a PoolPlan) -> Result<Option<Self>, Reject> {
        let head = &request.head;
        let mut earliest = route.deadline.or(pool.deadline).map(|within| (within, "deadline"));
        let fields = [(Some(Known::GrpcTimeout.name()), &GRPC), (pool.deadline_header.as_deref(), &OWN)];
        for (name, spelling) in fields {
            let Some(name) = name.filter(|name| super::field(head, name).is_some()) else { continue };
            for field in head.fields().filter(|field| field.name.eq_ignore_ascii_case(name)) {
                let said = said(name, field.value, spelling)?;
                earliest = Some(earliest.map_or(said, |earliest| earliest.min(said)));
            }
        }
        Ok(earliest.map(|(within, said_in)| Self { at: request.arrived + within, within, said_in }))
    }
}

/// So long that nobody waits for it, and short enough to count with.
const LONGEST: Duration = Duration::from_secs(365 * 86_400);

/// One way to write a time.
struct Spelling {
    read: fn(&str) -> Option<Duration>,
    in_words: &'static str,
}

/// The field that gRPC defines (PROTOCOL-HTTP2, "Timeout").
const GRPC: Spelling =
    Spelling { read: grpc, in_words: "up to 8 digits and a unit of H, M, S, m, u or n, like 500m" };

/// The field that the configuration names.
const OWN: Spelling = Spelling {
    read: own,
    in_words: "a time with its unit, like 250ms, 10s or 5m, or a number of seconds, like 2.5",
};

fn said<'a>(name: &'a str, value: &[u8], spelling: &Spelling) -> Result<(Duration, &'a str), Reject> {
    let within = str::from_utf8(value).ok().and_then(spelling.read);
    within.map(|within| (within.min(LONGEST), name)).ok_or_else(|| Reject::Unreadable {
        field: name.to_owned(),
        value: String::from_utf8_lossy(value).chars().take(SHOWN).collect(),
        write: spelling.in_words,
    })
}

/// Characters of an unreadable value that the client is shown: enough to find it again.
const SHOWN: usize = 64;

fn grpc(text: &str) -> Option<Duration> {
    let (unit, _) = text.char_indices().next_back()?;
    let (digits, unit) = text.split_at(unit);
    let number = u64::from(whole(digits).filter(|_| digits.len() <= 8)?);
    Some(match unit {
        "H" => Duration::from_secs(number * 3600),
        "M" => Duration::from_secs(number * 60),
        "S" => Duration::from_secs(number),
        "m" => Duration::from_millis(number),
        "u" => Duration::from_micros(number),
        "n" => Duration::from_nanos(number),
        _ => return None,
    })
}

fn own(text: &str) -> Option<Duration> {
    config::duration(text).ok().or_else(|| seconds(text))
}

/// A number of seconds, with decimals or not; none are told apart beyond nanoseconds.
fn seconds(text: &str) -> Option<Duration> {
    let (seconds, decimals) = text.split_once('.').unwrap_or((text, "0"));
    whole(decimals)?;
    let nanos = whole(&format!("{decimals:0<9.9}"))?;
    Some(Duration::new(whole(seconds)?.into(), nanos))
}

/// Digits; more than can be counted is very long.
fn whole(digits: &str) -> Option<u32> {
    let is_number = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
    is_number.then(|| digits.parse().unwrap_or(u32::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn grpcs_timeouts_have_one_unit() {
        for (text, time) in [
            ("1H", Duration::from_secs(3600)),
            ("2M", Duration::from_secs(120)),
            ("3S", Duration::from_secs(3)),
            ("4m", Duration::from_millis(4)),
            ("5u", Duration::from_micros(5)),
            ("6n", Duration::from_nanos(6)),
            ("0S", Duration::ZERO),
            ("99999999n", Duration::from_nanos(99_999_999)),
        ] {
            assert_eq!(grpc(text), Some(time), "{text}");
        }
        for odd in ["", "S", "5", "5s", "5 S", "-5S", "+5S", "1.5S", "123456789S", "5Sm", "5ü"] {
            assert_eq!(grpc(odd), None, "{odd}");
        }
        assert_eq!(said("grpc-timeout", b"99999999H", &GRPC).unwrap(), (LONGEST, "grpc-timeout"));
    }

    #[test]
    fn own_deadlines_have_a_unit_or_are_seconds() {
        for (text, millis) in [
            ("250ms", 250),
            ("10s", 10_000),
            ("5m", 300_000),
            ("10", 10_000),
            ("2.5", 2_500),
            ("0.001", 1),
            ("1.0000000000", 1_000),
            ("0", 0),
        ] {
            assert_eq!(own(text), Some(Duration::from_millis(millis)), "{text}");
        }
        for odd in ["", ".", ".5", "5.", "-1", "1e3", "inf", "nan", "1.5s", "1,5", "soon", "1.000000000x"] {
            assert_eq!(own(odd), None, "{odd}");
        }
        assert_eq!(said("x", b"99999999999999999999", &OWN).unwrap().0, LONGEST);
    }

    #[test]
    fn what_cannot_be_read_is_told_in_part() {
        let long = said("x-deadline", &[b'x'; 1000], &OWN).unwrap_err();
        let Reject::Unreadable { field, value, .. } = long else { panic!("{long:?}") };
        assert_eq!((field.as_str(), value.len()), ("x-deadline", SHOWN));
        assert!(said("x-deadline", b"\xff", &OWN).is_err());
    }
}
