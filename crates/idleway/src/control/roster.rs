//! Whose each address is: what names stand for changes, and no address may be counted by two.
//!
//! Pure: look-ups come in, assignments come out. An entry of the configuration has the addresses it wants and that are
//! nobody else's: written addresses first, then whoever has one already, then the order of the configuration. One that
//! its holder does not want any more stays its own for as long as something may be at work there; one that has left the
//! configuration holds nothing.

use std::collections::{BTreeMap, HashMap};
use std::net::SocketAddr;

/// The entries of a configuration, and of those before it for as long as something is at work for them; their addresses.
#[derive(Debug, Default)]
pub(super) struct Roster {
    /// The older ones first.
    entries: BTreeMap<usize, Entry>,
    next: usize,
    holders: HashMap<SocketAddr, usize>,
}

/// One backend as the configuration lists it.
#[derive(Debug)]
struct Entry {
    scope: Scope,
    /// What it stands for, by the last good look-up, in the order of the system.
    wanted: Vec<SocketAddr>,
    /// What it has of that.
    has: Vec<SocketAddr>,
    /// It stands for others than at the last assignment.
    is_news: bool,
    /// It is no longer of the configuration.
    has_left: bool,
}

/// How many backends an entry is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Scope {
    /// One, with these addresses.
    One,
    /// One for each address, of one family: the two families of a name lead to the same hosts.
    All,
}

impl Roster {
    /// Another entry, with its address where one is written; answers its number.
    pub(super) fn enter(&mut self, scope: Scope, written: Option<SocketAddr>) -> usize {
        let at = self.next;
        self.next += 1;
        let wanted: Vec<_> = written.into_iter().collect();
        // One that is written is its own from the start, unless another one has it, which may be about to leave.
        let mut has = wanted.clone();
        has.retain(|address| *self.holders.entry(*address).or_insert(at) == at);
        let is_news = has != wanted;
        self.entries.insert(at, Entry { scope, wanted, has, is_news, has_left: false });
        at
    }

    /// The entry is no longer of the configuration: what it has is whoever's wants it, at the next assignment.
    pub(super) fn leave(&mut self, at: usize) {
        if let Some(entry) = self.entries.get_mut(&at) {
            entry.has_left = true;
        }
    }

    /// The entry that left is there again.
    pub(super) fn come_back(&mut self, at: usize) {
        if let Some(entry) = self.entries.get_mut(&at) {
            entry.has_left = false;
        }
    }

    /// Forgets an entry that has left and for which nothing is at work.
    pub(super) fn forget(&mut self, at: usize) {
        self.entries.remove(&at);
        self.holders.retain(|_, holder| *holder != at);
    }

    /// A look-up of the entry's name has found these; there is at least one. The same in another order, as many a server
    /// answers each time, is the same.
    pub(super) fn learn(&mut self, at: usize, found: impl IntoIterator<Item = SocketAddr>) {
        let Some(entry) = self.entries.get_mut(&at) else { return };
        let mut wanted: Vec<SocketAddr> = Vec::new();
        for address in found {
            if !wanted.contains(&address) {
                wanted.push(address);
            }
        }
        if entry.scope == Scope::All {
            // The family it had, for as long as there is one; else the one that the system prefers.
            let before = entry.wanted.first().map(SocketAddr::is_ipv4);
            let is_there = |family: &bool| wanted.iter().any(|address| address.is_ipv4() == *family);
            let family = before.filter(is_there).or(wanted.first().map(SocketAddr::is_ipv4));
            wanted.retain(|address| Some(address.is_ipv4()) == family);
        }
        let is_same =
            wanted.len() == entry.wanted.len() && wanted.iter().all(|new| entry.wanted.contains(new));
        if !is_same {
            entry.wanted = wanted;
            entry.is_news = true;
        }
    }

    /// Gives the addresses to the entries; answers those that have or stand for others than before. `is_at_work`: whether something
    /// may be at work for the entry at this address.
    pub(super) fn assign(&mut self, is_at_work: impl Fn(usize, SocketAddr) -> bool) -> Vec<usize> {
        let Self { entries, holders, .. } = self;
        // What it has until now it may use until it is told otherwise: only the next time nothing can begin there any more.
        holders.retain(|address, at| {
            let Some(entry) = entries.get(at) else { return false };
            let is_its_own = entry.wanted.contains(address) || entry.has.contains(address);
            !entry.has_left && (is_its_own || is_at_work(*at, *address))
        });
        let mut changed = Vec::new();
        for (&at, entry) in entries.iter_mut().filter(|(_, entry)| !entry.has_left) {
            let mut has = entry.wanted.clone();
            has.retain(|address| *holders.entry(*address).or_insert(at) == at);
            if std::mem::take(&mut entry.is_news) || has != entry.has {
                entry.has = has;
                changed.push(at);
            }
        }
        changed
    }

    /// Whether anything was ever found for an entry.
    pub(super) fn is_known(&self, at: usize) -> bool {
        self.entries.get(&at).is_some_and(|entry| !entry.wanted.is_empty())
    }

    /// What an entry stands for, by the last good look-up.
    pub(super) fn wanted(&self, at: usize) -> &[SocketAddr] {
        self.entries.get(&at).map_or(&[], |entry| &entry.wanted)
    }

    /// All that is an entry's own, also what it does not want any more.
    pub(super) fn held_by(&self, at: usize) -> Vec<SocketAddr> {
        self.holders.iter().filter(|(_, holder)| **holder == at).map(|(address, _)| *address).collect()
    }

    /// The addresses that an entry has.
    pub(super) fn of(&self, at: usize) -> &[SocketAddr] {
        self.entries.get(&at).map_or(&[], |entry| &entry.has)
    }

    /// Those it would have, were they not another entry's, and which.
    pub(super) fn taken(&self, at: usize) -> impl Iterator<Item = (SocketAddr, usize)> {
        let holder = move |address: &SocketAddr| Some((*address, *self.holders.get(address)?));
        let wanted = self.entries.get(&at).into_iter().flat_map(|entry| &entry.wanted);
        wanted.filter_map(holder).filter(move |(_, holder)| *holder != at)
    }

    /// Whether someone has addresses that it does not want any more.
    pub(super) fn has_leavers(&self) -> bool {
        let wants = |address, at| {
            self.entries.get(at).is_some_and(|entry| !entry.has_left && entry.wanted.contains(address))
        };
        self.holders.iter().any(|(address, at)| !wants(address, at))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(last: u8) -> SocketAddr {
        SocketAddr::from(([10, 0, 0, last], 80))
    }

    fn six(last: u16) -> SocketAddr {
        SocketAddr::from(([0xfd, 0, 0, 0, 0, 0, 0, last], 80))
    }

    fn roster(entries: impl IntoIterator<Item = (Scope, Option<SocketAddr>)>) -> Roster {
        let mut roster = Roster::default();
        for (scope, written) in entries {
            roster.enter(scope, written);
        }
        roster
    }

    fn idle(_: usize, _: SocketAddr) -> bool {
        false
    }

    #[test]
    fn a_name_has_what_it_stands_for_now() {
        let mut roster = roster([(Scope::All, None)]);
        assert!(roster.assign(idle).is_empty() && !roster.is_known(0));
        roster.learn(0, [at(1), at(2), at(1)]);
        assert!(roster.is_known(0));
        assert_eq!((roster.assign(idle), roster.of(0)), (vec![0], &[at(1), at(2)][..]));
        roster.learn(0, [at(2), at(3)]);
        assert_eq!((roster.assign(idle), roster.of(0)), (vec![0], &[at(2), at(3)][..]));
        roster.learn(0, [at(2), at(3)]);
        assert!(roster.assign(idle).is_empty());
        assert!(!roster.has_leavers());
    }

    #[test]
    fn an_address_never_counts_twice() {
        let mut roster =
            roster([(Scope::All, None), (Scope::One, Some(at(1))), (Scope::All, None), (Scope::One, None)]);
        roster.learn(0, [at(1), at(2)]);
        roster.learn(2, [at(2), at(3)]);
        roster.learn(3, [at(3), at(4)]);
        assert_eq!(roster.assign(idle), [0, 2, 3]);
        assert_eq!(roster.of(0), [at(2)], "a written address is its own");
        assert_eq!((roster.of(2), roster.of(3)), (&[at(3)][..], &[at(4)][..]));
        assert_eq!(roster.taken(2).collect::<Vec<_>>(), [(at(2), 0)]);
        // It goes on to whoever wants it when its holder does not any more, and has been told so.
        roster.learn(0, [at(9)]);
        assert_eq!((roster.assign(idle), roster.has_leavers()), (vec![0], true));
        assert_eq!((roster.assign(idle), roster.has_leavers()), (vec![2], false));
        assert_eq!(roster.of(2), [at(2), at(3)]);
        // And back only when that one does not want it.
        roster.learn(0, [at(9), at(2)]);
        assert_eq!((roster.assign(idle), roster.of(0)), (vec![0], &[at(9)][..]));
        assert_eq!(roster.taken(0).collect::<Vec<_>>(), [(at(2), 2)]);
        roster.learn(2, [at(3)]);
        assert_eq!(roster.assign(idle), [2]);
        assert_eq!(roster.assign(idle), [0]);
        assert_eq!((roster.of(0), roster.of(2)), (&[at(9), at(2)][..], &[at(3)][..]));
    }

    #[test]
    fn who_gets_nothing_at_all_is_told_so() {
        let mut roster = roster([(Scope::One, Some(at(1))), (Scope::One, None)]);
        roster.learn(1, [at(1)]);
        assert_eq!((roster.assign(idle), roster.of(1)), (vec![1], &[][..]));
        assert!(roster.assign(idle).is_empty(), "once");
    }

    #[test]
    fn another_order_of_the_same_addresses_is_no_change() {
        let mut roster = roster([(Scope::All, None), (Scope::One, None)]);
        let found = [[at(1), at(2)], [at(11), at(12)]];
        (0..2).for_each(|entry| roster.learn(entry, found[entry]));
        assert_eq!(roster.assign(idle), [0, 1]);
        (0..2).for_each(|entry| roster.learn(entry, found[entry].into_iter().rev()));
        assert!(roster.assign(idle).is_empty());
    }

    #[test]
    fn an_address_where_something_is_at_work_stays_its_holders() {
        let mut roster = roster([(Scope::All, None), (Scope::All, None)]);
        roster.learn(0, [at(1), at(2)]);
        roster.assign(idle);
        roster.learn(0, [at(2)]);
        roster.learn(1, [at(1)]);
        assert_eq!(roster.assign(|entry, address| (entry, address) == (0, at(1))), [0, 1]);
        assert_eq!((roster.of(0), roster.of(1)), (&[at(2)][..], &[][..]));
        assert!(roster.has_leavers());
        assert_eq!(roster.assign(idle), [1]);
        assert_eq!(roster.of(1), [at(1)]);
    }

    #[test]
    fn the_two_families_of_a_name_are_never_mixed_and_the_one_in_use_is_kept() {
        let mut roster = roster([(Scope::All, None), (Scope::One, None)]);
        roster.learn(0, [six(1), at(1), six(2)]);
        roster.learn(1, [six(5), at(5)]);
        roster.assign(idle);
        assert_eq!(roster.of(0), [six(1), six(2)], "the system prefers the first");
        assert_eq!(roster.of(1), [six(5), at(5)], "one backend has all its addresses");
        roster.learn(0, [at(1), at(2), six(2)]);
        roster.assign(idle);
        assert_eq!(roster.of(0), [six(2)]);
        roster.learn(0, [at(1), at(2)]);
        roster.assign(idle);
        assert_eq!(roster.of(0), [at(1), at(2)]);
    }
}
