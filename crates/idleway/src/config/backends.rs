//! The backends of a pool: where each listens, how much it does at once, and what its name stands for.

use std::net::SocketAddr;
use std::ops::Range;

use super::fault::{Fault, told};
use super::file::{BackendEntry, BackendKeys};
use super::meaning::{Reading, SLOTS};
use super::origin::{Host, Origin};
use super::plan::{BackendPlan, Resolve};
use super::sharing::word;
use super::spanned::Spanned;
use super::value::Period;

impl Reading<'_> {
    /// `backends = ["http://HOST:PORT", { url, slots, resolve }]`
    pub(super) fn backends(
        &mut self,
        list: Spanned<Vec<Spanned<BackendEntry>>>,
        slots: u32,
        resolve: Resolve,
        listen: SocketAddr,
    ) -> Vec<BackendPlan> {
        if list.get_ref().is_empty() {
            let hint = r#"write: backends = ["http://127.0.0.1:6000"]"#;
            self.secondary(Fault::new("a pool needs at least one backend").hint(hint), list.span());
        }
        let entries = list.into_inner();
        entries.into_iter().filter_map(|entry| self.backend(entry, slots, resolve, listen)).collect()
    }

    /// `resolve_every` beside backends of which none has a name; `listed` is how many there are
    pub(super) fn check_nameless(
        &mut self,
        backends: &[BackendPlan],
        listed: usize,
        every: &Spanned<Period>,
    ) {
        let is_name = |backend: &BackendPlan| matches!(backend.origin.host, Host::Name(_));
        let all_read = backends.len() == listed && self.within(&["backends"], |reading| reading.is_whole());
        if all_read && listed > 0 && !backends.iter().any(is_name) {
            let fault = Fault::new("names are looked up, and no backend of this pool has one");
            self.secondary(fault.hint("take it out: an address stands for itself"), every.span());
        }
    }

    fn backend(
        &mut self,
        entry: Spanned<BackendEntry>,
        slots: u32,
        resolve: Resolve,
        listen: SocketAddr,
    ) -> Option<BackendPlan> {
        let span = entry.span();
        let keys = match entry.into_inner() {
            BackendEntry::Url(url) => {
                BackendKeys { url: Some(Spanned::new(span.clone(), url)), ..BackendKeys::default() }
            }
            BackendEntry::Keys(keys) => keys,
        };
        let slots = self.count(keys.slots, slots, SLOTS);
        let own = keys.resolve.map(|entry| (entry.span(), self.resolve(Some(entry))));
        let Some(url) = keys.url else {
            let fault = Fault::new("a backend needs its `url`");
            self.secondary(fault.hint(r#"write: { url = "http://127.0.0.1:6000", slots = 4 }"#), span);
            return None;
        };
        let span = url.span();
        let origin = match Origin::parse(url.get_ref()) {
            Ok(origin) => origin,
            Err(fault) => {
                self.fault(fault, span);
                return None;
            }
        };
        if origin.reaches(listen) {
            self.fault(circle(&origin), span.clone());
        }
        if let Some((first, table)) = origin.aliases().find_map(|alias| self.origins.get(&alias)).cloned() {
            let problem = format!("{} is listed twice{}", told(&origin), self.since(first));
            let hint = if table == self.table {
                "its slots are counted in one place: list it once, with `slots`"
            } else {
                "its slots are counted in one place: leave it in one pool, and put what differs on routes"
            };
            self.fault(Fault::new(problem).hint(hint), span.clone());
        }
        let seen = (span, self.table.clone());
        self.origins.extend(origin.aliases().map(|alias| (alias, seen.clone())));
        let resolve = self.resolve_of(&origin, own, resolve);
        Some(BackendPlan { origin, slots, resolve })
    }

    /// `resolve = "one" | "all"`
    pub(super) fn resolve(&mut self, entry: Option<Spanned<String>>) -> Resolve {
        let words = [("one", Resolve::One), ("all", Resolve::All)];
        self.value(entry, Resolve::default(), |text| word(&text, words))
    }

    /// What the host of a backend stands for, by its own word or the pool's. An address stands for itself.
    fn resolve_of(
        &mut self,
        origin: &Origin,
        own: Option<(Range<usize>, Resolve)>,
        pool: Resolve,
    ) -> Resolve {
        match (&origin.host, own) {
            (Host::Name(_), Some((_, resolve))) => resolve,
            (Host::Name(_), None) => pool,
            (Host::Ip(_), Some((span, Resolve::All))) => {
                let fault = Fault::new("an address is one backend already");
                self.fault(fault.hint("`resolve = \"all\"` is for host names: take it out"), span);
                Resolve::One
            }
            (Host::Ip(_), _) => Resolve::One,
        }
    }
}

fn circle(origin: &Origin) -> Fault {
    Fault::new(format!(
        "{} is the gateway's own listener: a request would go round in a circle",
        told(origin)
    ))
    .hint("give the gateway another address with `listen`, or this backend another port")
}
