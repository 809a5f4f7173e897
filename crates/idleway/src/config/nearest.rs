//! Which known word somebody meant who wrote an unknown one.

/// The known word that is nearest to this one, where it is near enough to be meant.
pub(super) fn nearest<'a>(word: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let written: Vec<char> = plain(word).take(LONGEST + 1).collect();
    // Of a short word nearly everything is one letter away.
    let most = match written.len() {
        0..=2 => 0,
        3..=5 => 1,
        6..=LONGEST => 2,
        _ => return None,
    };
    known
        .into_iter()
        .map(|known| (distance(&written, &plain(known).collect::<Vec<_>>()), known))
        .filter(|(distance, known)| *distance <= most && plain(known).count() > *distance)
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, known)| known)
}

/// Letters beyond which a word is like none of ours.
const LONGEST: usize = 32;

/// Without what people write differently: `connectTimeout`, `connect-timeout` and `connect_timeout` are one.
pub(super) fn plain(word: &str) -> impl Iterator<Item = char> + '_ {
    word.chars().filter(|c| !matches!(c, '_' | '-' | ' ')).map(|c| c.to_ascii_lowercase())
}

/// How many letters must be added, taken out, replaced or swapped with their neighbour.
fn distance(from: &[char], to: &[char]) -> usize {
    let mut before = vec![0; to.len() + 1];
    let mut above: Vec<usize> = (0..=to.len()).collect();
    for (row, letter) in from.iter().enumerate() {
        let mut current = vec![row + 1];
        for (column, other) in to.iter().enumerate() {
            let replaced = above[column] + usize::from(letter != other);
            let mut least = replaced.min(above[column + 1] + 1).min(current[column] + 1);
            if row > 0 && column > 0 && *letter == to[column - 1] && from[row - 1] == *other {
                least = least.min(before[column - 1] + 1);
            }
            current.push(least);
        }
        before = std::mem::replace(&mut above, current);
    }
    above[to.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_nearly_a_word_is_that_word() {
        let known = ["backends", "queue", "timeout", "connect_timeout", "url", "abandon"];
        for (word, meant) in [
            ("backend", Some("backends")),
            ("bakcends", Some("backends")),
            ("Backends", Some("backends")),
            ("que", None),
            ("qeue", Some("queue")),
            ("quue", Some("queue")),
            ("connectTimeout", Some("connect_timeout")),
            ("connect-timeout", Some("connect_timeout")),
            ("conect_timeuot", Some("connect_timeout")),
            ("urls", Some("url")),
            ("u", None),
            ("", None),
            ("nothing_like_it", None),
            ("timeouts_of_a_name_that_is_far_too_long", None),
        ] {
            assert_eq!(nearest(word, known), meant, "{word}");
        }
        assert_eq!(nearest("lingre", ["linger", "cancel"]), Some("linger"));
    }

    #[test]
    fn a_distance_counts_letters() {
        let letters = |text: &str| text.chars().collect::<Vec<_>>();
        for (from, to, apart) in [
            ("", "", 0),
            ("", "ab", 2),
            ("ab", "", 2),
            ("ab", "ba", 1),
            ("abc", "axc", 1),
            ("abcd", "bcde", 2),
        ] {
            assert_eq!(distance(&letters(from), &letters(to)), apart, "{from} {to}");
            assert_eq!(distance(&letters(to), &letters(from)), apart, "{to} {from}");
        }
    }
}
