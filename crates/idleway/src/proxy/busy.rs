//! Answers by which a backend says that it is busy and did nothing (`busy_status`): the operator's word for it.

use std::time::{Duration, SystemTime};

use idleway_h1::{Known, ResponseHead};

use crate::config::PoolPlan;

/// How long a backend rests that does not say for how long.
const UNTOLD: Duration = Duration::from_secs(1);

/// How long the backend rests that gave this answer, if the answer says that it is busy: as its `Retry-After` says
/// (RFC 9110 section 10.2.3), at most `busy_rest_max`.
pub(super) fn rest_told(response: &ResponseHead, plan: &PoolPlan) -> Option<Duration> {
    plan.busy_status.binary_search(&response.status()).ok()?;
    let told = response.get(Known::RetryAfter).and_then(|value| str::from_utf8(value).ok());
    let rest = told.and_then(|told| retry_after(told.trim(), SystemTime::now())).unwrap_or(UNTOLD);
    Some(rest.min(plan.busy_rest_max))
}

/// Seconds, or a date.
fn retry_after(text: &str, now: SystemTime) -> Option<Duration> {
    if !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit()) {
        // More seconds than can be counted are the longest time.
        return Some(Duration::from_secs(text.parse().unwrap_or(u64::MAX)));
    }
    let date = httpdate::parse_http_date(text).ok()?;
    Some(date.duration_since(now).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rest_is_told_in_seconds_or_as_a_date() {
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(784_111_770);
        for (text, seconds) in [
            ("0", Some(0)),
            ("120", Some(120)),
            ("99999999999999999999999", Some(u64::MAX)),
            ("Sun, 06 Nov 1994 08:49:37 GMT", Some(7)),
            ("Sun, 06 Nov 1994 08:49:00 GMT", Some(0)),
            ("", None),
            ("-1", None),
            ("1.5", None),
            ("soon", None),
        ] {
            assert_eq!(retry_after(text, now), seconds.map(Duration::from_secs), "{text:?}");
        }
    }
}
