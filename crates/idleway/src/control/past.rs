//! What a gateway that starts knows of what its backends are at.

use std::collections::{HashMap, HashSet};
use std::net::SocketAddr;

use crate::config::ColdStart;
use crate::live::{Ordered, Taken};

/// What went before.
#[derive(Debug, Clone)]
pub(crate) enum Past {
    /// Nothing is known: this is taken for true.
    Unknown(ColdStart),
    /// The process before tells.
    Told(Told),
}

/// What the process before has told so far.
#[derive(Debug, Clone, Default)]
pub(crate) struct Told {
    /// The Slots that it has taken still, by the names that it has for the backends.
    held: HashMap<String, Holding>,
    /// The names of those that are held, by where they may have work.
    at: HashMap<SocketAddr, HashSet<String>>,
    /// It has told of all of them; until then a part of the truth may be less than the whole, and everything is taken.
    is_all: bool,
    /// What was ordered there of backends that have not been met here yet, by their pools and names.
    orders: HashMap<(String, String), Ordered>,
}

#[derive(Debug, Clone, Default)]
struct Holding {
    slots: u32,
    /// Where its work may be: whatever its name has stood for since it has been told of.
    addresses: HashSet<SocketAddr>,
}

/// Where a backend is found, for whoever compares it with what the process before has told.
#[derive(Debug, Clone, Copy)]
pub(super) enum Place<'a> {
    At(&'a [SocketAddr]),
    /// Its name was not looked up yet: nobody knows whose it is.
    Unknown,
}

impl Told {
    /// So many Slots of a backend are taken there from now on.
    pub(super) fn hold(&mut self, Taken { backend, addresses, slots }: Taken) {
        if slots == 0 {
            return self.forget(&backend);
        }
        for address in &addresses {
            self.at.entry(*address).or_default().insert(backend.clone());
        }
        let holding = self.held.entry(backend).or_default();
        holding.slots = slots;
        holding.addresses.extend(addresses);
    }

    /// So many of them are nobody's any more.
    pub(super) fn let_go(&mut self, taken: &Taken) {
        let Some(holding) = self.held.get_mut(&taken.backend) else { return };
        holding.slots = holding.slots.saturating_sub(taken.slots);
        if holding.slots == 0 {
            self.forget(&taken.backend);
        }
    }

    fn forget(&mut self, backend: &str) {
        let Some(holding) = self.held.remove(backend) else { return };
        for address in holding.addresses {
            if let Some(names) = self.at.get_mut(&address) {
                names.remove(backend);
                if names.is_empty() {
                    self.at.remove(&address);
                }
            }
        }
    }

    pub(super) fn order(&mut self, ordered: Ordered) {
        self.orders.insert((ordered.pool.clone(), ordered.backend.clone()), ordered);
    }

    /// What was ordered of this backend; each is told once.
    pub(super) fn take_order(&mut self, pool: &str, backend: &str) -> Option<Ordered> {
        if self.orders.is_empty() {
            return None;
        }
        self.orders.remove(&(pool.to_owned(), backend.to_owned()))
    }

    pub(super) fn note_all(&mut self) {
        self.is_all = true;
    }

    pub(super) fn is_all(&self) -> bool {
        self.is_all
    }

    /// How many of a backend's `slots` are taken there. It is the same backend there if it has the same name or is found at one
    /// of the same addresses, however the one file and the other spell it.
    pub(super) fn taken(&self, name: &str, place: Place<'_>, slots: u32) -> u32 {
        if !self.is_all {
            return slots;
        }
        let Place::At(addresses) = place else {
            return if self.held.is_empty() { 0 } else { slots };
        };
        let there = addresses.iter().filter_map(|address| self.at.get(address)).flatten();
        let names: HashSet<&str> = there.map(String::as_str).chain([name]).collect();
        let held = names.into_iter().filter_map(|name| self.held.get(name));
        held.fold(0, |sum, holding| sum.saturating_add(holding.slots))
    }

    /// All that is taken there.
    pub(super) fn all(&self) -> impl Iterator<Item = Taken> {
        let taken = |(name, holding): (&String, &Holding)| Taken {
            backend: name.clone(),
            addresses: holding.addresses.iter().copied().collect(),
            slots: holding.slots,
        };
        self.held.iter().map(taken)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(port: u16) -> SocketAddr {
        ([127, 0, 0, 1], port).into()
    }

    fn taken(name: &str, addresses: &[SocketAddr], slots: u32) -> Taken {
        Taken { backend: name.to_owned(), addresses: addresses.to_vec(), slots }
    }

    #[test]
    fn a_backend_is_the_same_by_its_name_or_by_an_address() {
        let mut told = Told::default();
        told.hold(taken("localhost:80", &[at(80), at(81)], 2));
        assert_eq!(told.taken("other:1", Place::At(&[at(1)]), 7), 7, "not all is told");
        told.note_all();
        assert_eq!(told.taken("localhost:80", Place::At(&[at(1)]), 7), 2);
        assert_eq!(told.taken("127.0.0.1:81", Place::At(&[at(81)]), 7), 2);
        assert_eq!(told.taken("other:1", Place::At(&[at(1)]), 7), 0);
        assert_eq!(told.taken("other:1", Place::Unknown, 7), 7, "it may be anywhere");
        // The name stands for another address: its work may be at those before still.
        told.hold(taken("localhost:80", &[at(82)], 1));
        assert_eq!(told.taken("127.0.0.1:80", Place::At(&[at(80)]), 7), 1);
        told.hold(taken("localhost:80", &[], 0));
        assert_eq!(told.taken("other:1", Place::Unknown, 7), 0);
        assert_eq!(told.all().count(), 0);
    }

    #[test]
    fn what_two_names_hold_of_one_address_adds_up() {
        let mut told = Told::default();
        told.note_all();
        told.hold(taken("a:80", &[at(80)], 1));
        told.hold(taken("b:80", &[at(80)], 2));
        assert_eq!(told.taken("c:80", Place::At(&[at(80)]), 7), 3);
        told.let_go(&taken("b:80", &[], 1));
        assert_eq!(told.taken("c:80", Place::At(&[at(80)]), 7), 2);
    }
}
