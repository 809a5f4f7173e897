//! How urgent a request is: as the configuration says, or as a trusted peer does.

use idleway_core::Lane;

use crate::config::Priority;
use crate::message::Request;

pub(super) fn lane(request: &Request, priority: &Priority) -> Lane {
    match priority {
        Priority::Fixed(lane) => *lane,
        Priority::Header(name) if request.is_trusted => {
            super::field(&request.head, name).and_then(said).unwrap_or_default()
        }
        Priority::Header(_) => Lane::default(),
    }
}

/// `high`, `normal` or `low`, or the urgency of RFC 9218 section 4.1: `u=0` to `u=7`.
fn said(value: &[u8]) -> Option<Lane> {
    let word = value.trim_ascii();
    let words: [(&[u8], Lane); 3] = [(b"high", Lane::High), (b"normal", Lane::Normal), (b"low", Lane::Low)];
    if let Some((_, lane)) = words.iter().find(|(text, _)| word.eq_ignore_ascii_case(text)) {
        return Some(*lane);
    }
    // A dictionary: of a key that stands there twice the last one counts (RFC 8941 section 3.2).
    let members = value.split(|&byte| byte == b',').map(<[u8]>::trim_ascii);
    let urgency = members.filter_map(|member| member.strip_prefix(b"u=")).next_back()?;
    match urgency.split(|&byte| byte == b';').next()?.trim_ascii() {
        [b'0'..=b'2'] => Some(Lane::High),
        [b'3' | b'4'] => Some(Lane::Normal),
        [b'5'..=b'7'] => Some(Lane::Low),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urgency_is_a_word_or_that_of_rfc_9218() {
        for (value, lane) in [
            ("high", Lane::High),
            ("Normal", Lane::Normal),
            (" LOW ", Lane::Low),
            ("u=0", Lane::High),
            ("u=2, i", Lane::High),
            ("i, u=3", Lane::Normal),
            ("u=4", Lane::Normal),
            ("i=?0,u=5;x=1", Lane::Low),
            ("u=0, u=7", Lane::Low),
        ] {
            assert_eq!(said(value.as_bytes()), Some(lane), "{value}");
        }
        for odd in ["", "urgent", "highest", "u=8", "u=-1", "u=10", "u=", "u", "i", "U=0", "1"] {
            assert_eq!(said(odd.as_bytes()), None, "{odd}");
        }
    }
}
