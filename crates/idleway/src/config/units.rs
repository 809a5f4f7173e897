//! Durations, sizes and shares, which always carry their unit.

use std::ops::RangeInclusive;
use std::time::Duration;

use super::fault::{Fault, told};

const DURATIONS: [(&str, u64); 5] =
    [("ms", 1), ("s", 1_000), ("m", 60_000), ("h", 3_600_000), ("d", 86_400_000)];

const SIZES: [(&str, u64); 7] = [
    ("B", 1),
    ("KiB", 1 << 10),
    ("MiB", 1 << 20),
    ("GiB", 1 << 30),
    ("KB", 1_000),
    ("MB", 1_000_000),
    ("GB", 1_000_000_000),
];

/// `250ms`, `10s`, `5m`, `1h`, `1d`, at least `least`; a bare `0` needs no unit.
pub(super) fn duration(text: &str, least: Duration) -> Result<Duration, Fault> {
    let millis = quantity(text, &DURATIONS)
        .map_err(|problem| problem.fault(text, "a duration", "s", r#""250ms", "10s", "5m" or "1h""#))?;
    match Duration::from_millis(millis) {
        short if short < least => {
            Err(Fault::new(format!("{} is too short", told(text))).hint("at least 1ms"))
        }
        long if long > LONGEST => Err(Fault::new(format!("{} is too long", told(text))).hint("at most 365d")),
        duration => Ok(duration),
    }
}

/// So that sums of times do not overflow.
const LONGEST: Duration = Duration::from_secs(365 * 86_400);

/// As [`duration`] reads it, in the largest unit of which it is a whole number.
pub(super) fn in_largest_time(time: Duration) -> String {
    in_largest(u64::try_from(time.as_millis()).unwrap_or(u64::MAX), &DURATIONS)
}

/// As [`size`] reads it, in the largest unit of which it is a whole number.
pub(super) fn in_largest_size(bytes: u64) -> String {
    in_largest(bytes, &SIZES)
}

fn in_largest(number: u64, units: &[(&str, u64)]) -> String {
    let fits = |(_, factor): &&(&str, u64)| number > 0 && number.is_multiple_of(*factor);
    match units.iter().filter(fits).max_by_key(|(_, factor)| *factor) {
        Some((unit, factor)) => format!("{}{unit}", number / factor),
        None => number.to_string(),
    }
}

/// Bytes within the range: `64KiB`, `1MiB`, `10MB`; a bare `0` needs no unit.
pub(super) fn size<T: TryFrom<u64>>(text: &str, range: RangeInclusive<u64>) -> Result<T, Fault> {
    let bytes = quantity(text, &SIZES)
        .map_err(|problem| problem.fault(text, "a size", "B", r#""512B", "64KiB", "1MiB" or "10MB""#))?;
    within(bytes, range, text, " bytes")
}

/// A whole percentage: `20%`, at most `100%`; a bare `0` needs no unit.
pub(super) fn share(text: &str) -> Result<u32, Fault> {
    let percent =
        quantity(text, &[("%", 1)]).map_err(|problem| problem.fault(text, "a share", "%", r#""20%""#))?;
    within(percent, 0..=100, text, "%")
}

/// A number of things within the range.
pub(super) fn count<T: TryFrom<u64>>(count: u64, range: RangeInclusive<u64>) -> Result<T, Fault> {
    within(count, range, &count.to_string(), "")
}

fn within<T: TryFrom<u64>>(
    number: u64,
    range: RangeInclusive<u64>,
    text: &str,
    unit: &str,
) -> Result<T, Fault> {
    let bound = match number {
        low if low < *range.start() => format!("at least {}{unit}", range.start()),
        high if high > *range.end() => format!("at most {}{unit}", range.end()),
        number => match T::try_from(number) {
            Ok(number) => return Ok(number),
            Err(_) => "this machine cannot count so far".to_owned(),
        },
    };
    Err(Fault::new(format!("{} is out of range", told(text))).hint(bound))
}

enum Problem {
    NoUnit,
    /// The number, and what stands behind it.
    UnknownUnit(u64, String),
    NoNumber,
    TooLarge,
}

impl Problem {
    fn fault(self, text: &str, what: &str, unit: &str, examples: &str) -> Fault {
        match self {
            Problem::NoUnit => Fault::new(format!("{} what? {what} carries its unit", told(text)))
                .hint(format!("write \"{}{unit}\"", told(text))),
            Problem::UnknownUnit(number, unit) => {
                let hint = match (spelt_here(&unit), unit.as_str()) {
                    (Some(ours), _) if examples.contains(ours) => format!("write \"{}{ours}\"", told(number)),
                    (_, "us" | "µs" | "ns") => "the shortest time is \"1ms\"".to_owned(),
                    _ => format!("write it like {examples}"),
                };
                Fault::new(format!("{what} has no unit `{}`", told(unit))).hint(hint)
            }
            Problem::NoNumber => {
                let hint = match in_milliseconds(text).filter(|_| unit == "s") {
                    Some(millis) => format!("write a whole number: \"{}\"", told(format!("{millis}ms"))),
                    None => format!("write a whole number and a unit, like {examples}"),
                };
                Fault::new(format!("`{}` is not {what}", told(text))).hint(hint)
            }
            Problem::TooLarge => Fault::new(format!("{} is too large", told(text))),
        }
    }
}

/// The unit that other programs spell so.
fn spelt_here(unit: &str) -> Option<&'static str> {
    Some(match unit.to_ascii_lowercase().as_str() {
        "msec" | "msecs" | "millis" | "milliseconds" => "ms",
        "s" | "sec" | "secs" | "second" | "seconds" => "s",
        "min" | "mins" | "minute" | "minutes" => "m",
        "hr" | "hrs" | "hour" | "hours" => "h",
        "b" | "byte" | "bytes" => "B",
        "k" | "kb" | "ki" | "kib" | "kib/s" => "KiB",
        "m" | "mb" | "mi" | "mib" | "mib/s" => "MiB",
        "percent" => "%",
        _ => return None,
    })
}

/// A time with a fraction, like `1.5s`, in whole milliseconds.
pub(super) fn in_milliseconds(text: &str) -> Option<u64> {
    let seconds = text.strip_suffix('s').unwrap_or(text);
    let (whole, fraction) = seconds.split_once('.')?;
    let is_number = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    if !is_number(whole) || !is_number(fraction) || fraction.len() > 3 {
        return None;
    }
    let millis: u64 = format!("{fraction:0<3}").parse().ok()?;
    whole.parse::<u64>().ok()?.checked_mul(1000)?.checked_add(millis)
}

fn quantity(text: &str, units: &[(&str, u64)]) -> Result<u64, Problem> {
    let digits = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (number, unit) = text.split_at(digits);
    let unit = unit.trim_start();
    if number.is_empty() || unit.starts_with(|c: char| !c.is_ascii_alphabetic() && c != '%') {
        return Err(Problem::NoNumber);
    }
    let number: u64 = number.parse().map_err(|_| Problem::TooLarge)?;
    if unit.is_empty() {
        return if number == 0 { Ok(0) } else { Err(Problem::NoUnit) };
    }
    match units.iter().find(|(name, _)| *name == unit) {
        None => Err(Problem::UnknownUnit(number, unit.to_owned())),
        Some((_, factor)) => number.checked_mul(*factor).ok_or(Problem::TooLarge),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::expand::Veil;

    fn said(fault: Fault) -> (String, Option<String>) {
        let fault = Veil::default().hide(fault, &(0..0));
        (fault.message, fault.hint)
    }

    #[test]
    fn durations_carry_their_unit() {
        for (text, millis) in [
            ("250ms", 250),
            ("10s", 10_000),
            ("5m", 300_000),
            ("1h", 3_600_000),
            ("2 d", 172_800_000),
            ("0", 0),
        ] {
            assert_eq!(duration(text, Duration::ZERO), Ok(Duration::from_millis(millis)), "{text}");
        }
        for (text, message, hint) in [
            ("10", "10 what? a duration carries its unit", r#"write "10s""#),
            ("10sec", "a duration has no unit `sec`", r#"write "10s""#),
            ("10parsec", "a duration has no unit `parsec`", r#"write it like "250ms", "10s", "5m" or "1h""#),
            ("10us", "a duration has no unit `us`", r#"the shortest time is "1ms""#),
            ("1.5s", "`1.5s` is not a duration", r#"write a whole number: "1500ms""#),
            ("1h30m", "a duration has no unit `h30m`", "write it like \"250ms\", \"10s\", \"5m\" or \"1h\""),
        ] {
            let fault = duration(text, Duration::ZERO).unwrap_err();
            assert_eq!(said(fault), (message.to_owned(), Some(hint.to_owned())));
        }
        for text in ["", "s", "-1s", "1h30m", "10s ", "366d", "99999999999999999999s", "9999999999999999999d"]
        {
            assert!(duration(text, Duration::ZERO).is_err(), "{text}");
        }
    }

    #[test]
    fn what_is_written_is_read_again() {
        for (millis, text) in
            [(0, "0"), (250, "250ms"), (1500, "1500ms"), (75_000, "75s"), (60_000, "1m"), (172_800_000, "2d")]
        {
            let time = Duration::from_millis(millis);
            assert_eq!(in_largest_time(time), text);
            assert_eq!(duration(text, Duration::ZERO), Ok(time));
        }
        for (bytes, text) in [(0, "0"), (1, "1B"), (65_536, "64KiB"), (10_000_000, "10MB"), (1 << 30, "1GiB")]
        {
            assert_eq!(in_largest_size(bytes), text);
            assert_eq!(size::<u64>(text, 0..=u64::MAX), Ok(bytes));
        }
    }

    #[test]
    fn shares_are_whole_percents() {
        for (text, percent) in [("0%", 0), ("20%", 20), ("100%", 100), ("5 %", 5), ("0", 0)] {
            assert_eq!(share(text), Ok(percent), "{text}");
        }
        let like = "write a whole number and a unit, like \"20%\"";
        for (text, message, hint) in [
            ("20", "20 what? a share carries its unit", r#"write "20%""#),
            ("101%", "101% is out of range", "at most 100%"),
            ("20s", "a share has no unit `s`", r#"write it like "20%""#),
            ("20%%", "a share has no unit `%%`", r#"write it like "20%""#),
            ("0.2", "`0.2` is not a share", like),
            ("-1", "`-1` is not a share", like),
            ("%", "`%` is not a share", like),
        ] {
            let fault = share(text).unwrap_err();
            assert_eq!(said(fault), (message.to_owned(), Some(hint.to_owned())));
        }
    }

    #[test]
    fn sizes_are_binary_or_decimal_as_written() {
        for (text, bytes) in
            [("512B", 512), ("64KiB", 65_536), ("1MiB", 1 << 20), ("10MB", 10_000_000), ("0", 0)]
        {
            assert_eq!(size::<u64>(text, 0..=u64::MAX), Ok(bytes), "{text}");
        }
        for (text, message, hint) in [
            ("64", "64 what? a size carries its unit", r#"write "64B""#),
            ("64K", "a size has no unit `K`", r#"write "64KiB""#),
            ("64q", "a size has no unit `q`", r#"write it like "512B", "64KiB", "1MiB" or "10MB""#),
            ("1KiB", "1KiB is out of range", "at least 2048 bytes"),
            ("1MiB", "1MiB is out of range", "at most 65535 bytes"),
        ] {
            let fault = size::<u64>(text, 2048..=65_535).unwrap_err();
            assert_eq!(said(fault), (message.to_owned(), Some(hint.to_owned())));
        }
    }
}
