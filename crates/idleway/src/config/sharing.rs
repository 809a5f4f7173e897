//! Whose request comes first, and what becomes of work that nobody waits for: the meaning of the keys by which
//! requests share their pool's Slots.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::ops::RangeInclusive;

use idleway_core::Lane;
use idleway_h1::Known;

use super::fault::{Fault, told};
use super::file::Weights;
use super::meaning::Reading;
use super::nearest::nearest;
use super::network::Network;
use super::plan::{Abandon, FairBy, Fin, Priority};
use super::spanned::Spanned;
use super::value::Count;

impl Reading<'_> {
    /// `fair_by = "none" | "ip" | "header:NAME"`
    pub(super) fn fair_by(&mut self, entry: Option<Spanned<String>>) -> FairBy {
        let words = [("none", FairBy::None), ("ip", FairBy::Ip)];
        self.value(entry, FairBy::default(), |text| word_or_field(&text, words, FairBy::Header))
    }

    /// `weights = { "key" = 4 }`: by the value of the field, or the address in its canonical spelling.
    pub(super) fn weights(
        &mut self,
        entry: Option<Spanned<Weights>>,
        fair_by: &FairBy,
    ) -> BTreeMap<String, u32> {
        let mut weights = BTreeMap::new();
        for (key, weight) in entry.map(Spanned::into_inner).unwrap_or_default() {
            let weight = self.count(Some(weight), 1, WEIGHT);
            let span = key.span();
            let key = match fair_by {
                FairBy::Ip => self.value(Some(key), String::new(), |text| address(&text)),
                FairBy::Header(_) | FairBy::None => key.into_inner(),
            };
            if weights.insert(key, weight).is_some() {
                let fault = Fault::new("this address has a weight already, in another spelling");
                self.secondary(fault.hint("take one of them out"), span);
            }
        }
        weights
    }

    /// `weights` and `slots_per_key` in a pool whose requests are all alike
    pub(super) fn check_keyless(
        &mut self,
        weights: Option<&Spanned<Weights>>,
        slots: Option<&Spanned<Count>>,
    ) {
        if let Some(weights) = weights {
            self.needs_fair_by("weights are those of keys, and all requests of this pool are alike", weights);
        }
        if let Some(slots) = slots {
            self.needs_fair_by("without keys there are no slots of a key", slots);
        }
    }

    fn needs_fair_by<T>(&mut self, problem: &str, entry: &Spanned<T>) {
        let hint = r#"say what the key is: fair_by = "header:x-api-key" or "ip""#;
        self.secondary(Fault::new(problem).hint(hint), entry.span());
    }

    /// `priority = "high" | "normal" | "low" | "header:NAME"`
    pub(super) fn priority(&mut self, entry: Option<Spanned<String>>) -> Priority {
        let Some(entry) = entry else { return Priority::default() };
        let span = entry.span();
        let words = [("high", Lane::High), ("normal", Lane::Normal), ("low", Lane::Low)]
            .map(|(word, lane)| (word, Priority::Fixed(lane)));
        let priority = self
            .value(Some(entry), Priority::default(), |text| word_or_field(&text, words, Priority::Header));
        if matches!(priority, Priority::Header(_)) && !self.trusts {
            let fault = Fault::new("nobody is trusted to say how urgent a request is");
            let hint = r#"name the peers whose word is taken, at the top level: trusted = ["10.0.0.0/8"]"#;
            self.secondary(fault.hint(hint), span);
        }
        priority
    }

    /// `deadline_header = "x-request-deadline"`
    pub(super) fn deadline_header(&mut self, entry: Option<Spanned<String>>) -> Option<String> {
        entry.map(|entry| self.value(Some(entry), String::new(), |text| field_of_its_own(&text)))
    }

    /// `abandon = "linger" | "cancel"`
    pub(super) fn abandon(&mut self, entry: Option<Spanned<String>>) -> Abandon {
        let words = [("linger", Abandon::Linger), ("cancel", Abandon::Cancel)];
        self.value(entry, Abandon::default(), |text| word(&text, words))
    }

    /// `client = { fin = "ask" | "gone" | "answer" }`
    pub(super) fn fin(&mut self, entry: Option<Spanned<String>>) -> Fin {
        let words = [("ask", Fin::Ask), ("gone", Fin::Gone), ("answer", Fin::Answer)];
        self.value(entry, Fin::default(), |text| word(&text, words))
    }

    /// `trusted = ["10.0.0.0/8", "127.0.0.1"]`
    pub(super) fn trusted(&mut self, entries: Vec<Spanned<String>>) -> Vec<Network> {
        let mut networks = Vec::with_capacity(entries.len());
        for entry in entries {
            let network = self.value(Some(entry), None, |text| {
                text.parse::<Network>().map(Some).map_err(|problem| {
                    Fault::new(format!("`{}`: {problem}", told(&text)))
                        .hint(r#"write it like "10.0.0.0/8", "fd00::/8" or "127.0.0.1""#)
                })
            });
            networks.extend(network);
        }
        networks
    }
}

const WEIGHT: RangeInclusive<u64> = 1..=1000;

/// What one of these words means.
pub(super) fn word<T, const N: usize>(text: &str, words: [(&str, T); N]) -> Result<T, Fault> {
    let known = words.each_ref().map(|(word, _)| *word);
    let found = words.into_iter().find(|(word, _)| *word == text);
    found.map(|(_, meaning)| meaning).ok_or_else(|| none_of(&known, text))
}

/// What one of these words means, or the field that `header:NAME` names.
fn word_or_field<T, const N: usize>(
    text: &str,
    words: [(&str, T); N],
    of_field: impl FnOnce(String) -> T,
) -> Result<T, Fault> {
    if let Some(name) = text.strip_prefix("header:") {
        return field_name(name).map(of_field);
    }
    let known: Vec<_> = words.iter().map(|(word, _)| *word).chain(["header:NAME"]).collect();
    let found = words.into_iter().find(|(word, _)| *word == text);
    found.map(|(_, meaning)| meaning).ok_or_else(|| match field_name(text) {
        Ok(name) if text.contains('-') => {
            let hint = format!("for what that field says write \"header:{}\"", told(name));
            none_of(&known, text).hint(hint)
        }
        _ => none_of(&known, text),
    })
}

pub(super) fn none_of(known: &[&str], text: &str) -> Fault {
    let fault = Fault::new(format!("`{}` is not a choice here", told(text)));
    if let Some(near) = nearest(text, known.iter().copied().filter(|word| *word != "header:NAME")) {
        return fault.hint(format!("did you mean \"{near}\"?"));
    }
    let mut choices = String::new();
    for (left, word) in (0..known.len()).rev().zip(known) {
        let then = match left {
            0 => "",
            1 => " or ",
            _ => ", ",
        };
        choices += &format!("\"{word}\"{then}");
    }
    fault.hint(format!("write {choices}"))
}

/// A field that means nothing else to the gateway.
fn field_of_its_own(text: &str) -> Result<String, Fault> {
    let name = field_name(text)?;
    let known = Known::of(&name);
    if known == Known::Host || known == Known::ContentLength || known.is_hop_by_hop() {
        let fault = Fault::new(format!("`{}` means something else already", told(name)));
        return Err(fault.hint("choose a field of its own, like \"x-request-deadline\""));
    }
    Ok(name)
}

/// The name of a field (RFC 9110 section 5.1), in small letters.
fn field_name(text: &str) -> Result<String, Fault> {
    let is_token = |b: u8| b.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&b);
    if text.is_empty() || !text.bytes().all(is_token) {
        let fault = Fault::new(format!("`{}` is not the name of a header field", told(text)));
        return Err(fault.hint("a name has letters, digits and `-`, like \"x-api-key\""));
    }
    Ok(text.to_ascii_lowercase())
}

fn address(text: &str) -> Result<String, Fault> {
    let address = text.parse::<IpAddr>().map_err(|_| {
        Fault::new(format!("`{text}` is not an address"))
            .hint("with fair_by = \"ip\" each key is the address of a client")
    })?;
    Ok(address.to_canonical().to_string())
}
