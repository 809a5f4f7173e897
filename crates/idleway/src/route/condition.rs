//! What a route asks of a header field.

use idleway_h1::Known;

use super::asked::Fields;
use crate::edits::{is_same_name, is_value};

/// What has to hold for a field, for a route to take the request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Wanted {
    /// It has this value. Several fields of one name are one, with their values joined by `, ` (RFC 9110 section 5.3).
    Value(String),
    /// It is there.
    Present,
    /// It is not there.
    Absent,
}

/// A field and what has to hold for it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Condition {
    pub(super) name: String,
    wanted: Wanted,
}

impl Condition {
    pub(super) fn new(name: &str, wanted: Wanted) -> Result<Self, &'static str> {
        if !idleway_h1::is_token(name.as_bytes()) {
            return Err("this is not the name of a header field");
        }
        let known = Known::of(&name.replace(['_', '.'], "-"));
        if known == Known::Host {
            return Err("the host has a key of its own: `host`");
        }
        if known.is_hop_by_hop() || matches!(known, Known::ContentLength | Known::Expect) {
            return Err("this field is about one connection or one body, and no backend gets it as it came");
        }
        if matches!(&wanted, Wanted::Value(value) if !is_value(value.as_bytes())) {
            return Err("a header field's value is one line of visible characters, without blanks around it");
        }
        Ok(Condition { name: name.to_owned(), wanted })
    }

    /// Whether it is about this field, in any spelling that an application may take for it: no request slips past a
    /// condition by that.
    pub(super) fn is_about(&self, name: &str) -> bool {
        is_same_name(self.name.as_bytes(), name.as_bytes())
    }

    pub(super) fn holds(&self, fields: &dyn Fields) -> bool {
        let mut seen = 0_usize;
        // What is still to come of the value; None once it is another one.
        let mut left = match &self.wanted {
            Wanted::Value(value) => Some(value.as_bytes()),
            Wanted::Present | Wanted::Absent => None,
        };
        fields.each(&mut |name, value| {
            if self.is_about(name) {
                left = left.and_then(|left| if seen == 0 { Some(left) } else { left.strip_prefix(b", ") });
                left = left.and_then(|left| left.strip_prefix(value));
                seen += 1;
            }
        });
        match self.wanted {
            Wanted::Value(_) => seen > 0 && left == Some(b""),
            Wanted::Present => seen > 0,
            Wanted::Absent => seen == 0,
        }
    }

    /// Whether no request meets both.
    pub(super) fn excludes(&self, other: &Condition) -> bool {
        self.is_about(&other.name)
            && match (&self.wanted, &other.wanted) {
                (Wanted::Value(one), Wanted::Value(other)) => one != other,
                (Wanted::Absent, Wanted::Absent) => false,
                (Wanted::Absent, _) | (_, Wanted::Absent) => true,
                (Wanted::Present, _) | (_, Wanted::Present) => false,
            }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn holds(wanted: Wanted, fields: &[(&str, &str)]) -> bool {
        Condition::new("X-Tier", wanted).unwrap().holds(&fields.to_vec())
    }

    #[test]
    fn several_fields_of_one_name_are_one() {
        let value = |text: &str| Wanted::Value(text.to_owned());
        assert!(holds(value("gold"), &[("Accept", "gold"), ("x-tier", "gold")]));
        assert!(holds(value("gold"), &[("X_Tier", "gold")]));
        assert!(holds(value("gold, silver"), &[("X-Tier", "gold"), ("x-tier", "silver")]));
        assert!(holds(value("gold, silver"), &[("X-Tier", "gold, silver")]));
        assert!(holds(value(""), &[("X-Tier", "")]));
        for fields in [
            &[("X-Tier", "gold"), ("X-Tier", "silver")][..],
            &[("X-Tier", "silver"), ("X-Tier", "gold")],
            &[("X-Tier", "gold"), ("X-Tier", "")],
            &[("X-Tier", "Gold")],
            &[("X-Tier", "gol")],
            &[("X-Tier", "golden")],
            &[("X-Tiers", "gold")],
            &[],
        ] {
            assert!(!holds(value("gold"), fields), "{fields:?}");
        }
        assert!(!holds(value(""), &[]));
        assert!(holds(Wanted::Present, &[("x.tier", "")]) && !holds(Wanted::Present, &[("X", "")]));
        assert!(!holds(Wanted::Absent, &[("x_tier", "")]) && holds(Wanted::Absent, &[]));
    }

    #[test]
    fn some_fields_cannot_be_asked_for() {
        for name in ["Host", "connection", "Transfer_Encoding", "Content-Length", "Expect", "", "a b", "ä"] {
            assert!(Condition::new(name, Wanted::Present).is_err(), "{name}");
        }
        for value in ["a\r\nb", " a", "a\0"] {
            assert!(Condition::new("X", Wanted::Value(value.to_owned())).is_err(), "{value:?}");
        }
    }
}
