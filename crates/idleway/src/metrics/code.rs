//! The statuses that are counted one by one.

/// Those that the standards name (IANA's registry of 2025), and 499, which some use for a client that left. A backend may answer
/// with others: those are counted together, by their first digit.
const NAMED: [u16; 63] = [
    100, 101, 102, 103, 104, 200, 201, 202, 203, 204, 205, 206, 207, 208, 226, 300, 301, 302, 303, 304, 305,
    307, 308, 400, 401, 402, 403, 404, 405, 406, 407, 408, 409, 410, 411, 412, 413, 414, 415, 416, 417, 418,
    421, 422, 423, 424, 425, 426, 428, 429, 431, 451, 499, 500, 501, 502, 503, 504, 505, 506, 507, 508, 511,
];
const CLASSES: [&str; 5] = ["1xx", "2xx", "3xx", "4xx", "5xx"];
/// So many numbers there are: one for each status that is named, one for each class, and one for no answer.
pub(super) const NUMBERS: usize = NAMED.len() + CLASSES.len() + 1;
const NONE: usize = NUMBERS - 1;
const FIRST: u16 = 100;

/// The number of each status from 100 on.
const OF: [u8; 500] = {
    let mut of = [0; 500];
    let mut status = 0;
    while status < of.len() {
        #[expect(clippy::cast_possible_truncation, reason = "fewer than 256, as NUMBERS says")]
        let class = (NAMED.len() + status / 100) as u8;
        of[status] = class;
        status += 1;
    }
    let mut nth = 0;
    while nth < NAMED.len() {
        #[expect(clippy::cast_possible_truncation, reason = "fewer than 256, as NUMBERS says")]
        let number = nth as u8;
        of[(NAMED[nth] - FIRST) as usize] = number;
        nth += 1;
    }
    of
};
const _: () = assert!(NUMBERS < 256);

/// The number of a status, 0 being that of no answer.
pub(super) fn number_of(status: u16) -> usize {
    let number = status.checked_sub(FIRST).and_then(|nth| OF.get(usize::from(nth)));
    number.map_or(NONE, |number| usize::from(*number))
}

/// The label of each number, in their order.
pub(super) fn labels() -> impl Iterator<Item = String> {
    let named = NAMED.iter().map(ToString::to_string);
    named.chain(CLASSES.map(str::to_owned)).chain(["none".to_owned()])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_status_has_a_number_and_each_number_a_label() {
        let labels: Vec<_> = labels().collect();
        assert_eq!(labels.len(), NUMBERS);
        let label = |status| labels[number_of(status)].as_str();
        for status in [0, 99, 600, u16::MAX] {
            assert_eq!(label(status), "none", "{status}");
        }
        for status in FIRST..600 {
            let text = status.to_string();
            let expected = if NAMED.contains(&status) { text } else { format!("{}xx", status / 100) };
            assert_eq!(label(status), expected);
        }
    }

    /// Whatever the gateway itself answers has its own number.
    #[test]
    fn the_statuses_of_reasons_are_named() {
        let reasons = include_str!("../../../../docs/answers.md");
        let rows = reasons.lines().filter_map(|line| line.strip_prefix("| <a id=")?.split('|').nth(1));
        let statuses: Vec<u16> = rows.filter_map(|cell| cell.trim().parse().ok()).collect();
        assert!(statuses.len() > 10, "{statuses:?}");
        assert!(statuses.iter().all(|status| NAMED.contains(status)), "{statuses:?}");
    }
}
