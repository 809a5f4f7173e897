//! Which backends each pool has: those that the Plan lists, at the addresses that their names stand for now.
//!
//! A Plan follows another while requests run. A backend that both have in the same pool is the same one, with its
//! count. One that the new Plan does not have finishes its work. One that went to another pool is new there, and what its
//! old pool has at work on it counts as taken elsewhere until it is done: whatever is reloaded, no address has more at
//! work than it has Slots.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use idleway_core::{BackendKey, BackendView, Start};

use super::roster::{Roster, Scope};
use crate::config::{BackendPlan, ColdStart, Host, Resolve};
use crate::live::{Live, LivePool, Member, Snapshot, now};
use crate::net::Found;

/// A name that was never found is looked up that often at least.
const UNKNOWN: Duration = Duration::from_secs(1);

/// The backends of all pools.
#[derive(Debug)]
pub(crate) struct Members {
    live: Arc<Live>,
    /// Those of the Plan, and of those before it for as long as something is at work on them; the older ones first.
    entries: BTreeMap<usize, Entry>,
    roster: Roster,
    moves: Vec<Move>,
    /// What is known of backends when they are first met.
    past: Past,
    is_starting: bool,
}

/// What a gateway that starts knows of what its backends are at.
#[derive(Debug, Clone)]
pub(crate) enum Past {
    /// Nothing: this is taken for true.
    Unknown(ColdStart),
    /// The process before tells how many Slots of which backend are busy still. Until it has told of `all` of them
    /// everything is.
    Told { held: HashMap<String, u32>, all: bool },
}

/// One backend as a Plan lists it, or one for each address of a name.
#[derive(Debug)]
struct Entry {
    pool: Arc<LivePool>,
    plan: BackendPlan,
    /// By their addresses where each address is one; also those that the name does not stand for any more, for as long
    /// as something is at work on them.
    members: HashMap<Option<SocketAddr>, Member>,
    /// The last look-up failed.
    is_failing: bool,
    /// The Plan in force does not list it.
    has_left: bool,
    /// It was there at the start, and has had no backend yet.
    is_cold: bool,
}

/// A backend that went from one pool to another, and still has work from there.
#[derive(Debug, Clone)]
struct Move {
    from: (Arc<LivePool>, BackendKey),
    to: (Arc<LivePool>, BackendKey),
}

/// A name that is to be looked up.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct Name {
    pub(super) host: String,
    pub(super) port: u16,
}

impl Members {
    /// The backends of the Plan in force. The pools have them when this returns.
    pub(crate) fn new(live: &Arc<Live>, past: Past) -> Self {
        let mut members = Self {
            live: Arc::clone(live),
            entries: BTreeMap::new(),
            roster: Roster::default(),
            moves: Vec::new(),
            past,
            is_starting: true,
        };
        members.follow(&live.snapshot(), &HashMap::new(), || {});
        members.is_starting = false;
        members
    }

    /// Gives the pools of a Snapshot their backends; `found` is what is known of its new names, and `put_in_force` makes it
    /// the one that requests read.
    ///
    /// Until then no backend is taken from a pool, so that who is on its way by the Snapshot before finds what it was
    /// told of; and none is used by two pools at any time.
    pub(super) fn follow(
        &mut self,
        next: &Snapshot,
        found: &HashMap<Name, Vec<SocketAddr>>,
        put_in_force: impl FnOnce(),
    ) {
        let listed = self.list(next);
        let leavers: Vec<usize> = self.entries.keys().filter(|at| !listed.contains(at)).copied().collect();
        for at in &leavers {
            self.roster.leave(*at);
        }
        let moved: Vec<_> = listed.iter().flat_map(|at| self.take_over(*at, &leavers)).collect();
        for pool in next.pools() {
            self.order(pool, at_most);
        }
        for Move { from: (before, old), to: (pool, new) } in &moved {
            // What was ordered of it holds wherever it is.
            if let Some(view) = view(before, *old) {
                pool.slots.set_mode(*new, view.mode);
            }
        }
        for (name, found) in found {
            self.learn(name, Ok(found));
        }
        put_in_force();
        for at in &leavers {
            if let Some(entry) = self.entries.get_mut(at) {
                entry.has_left = true;
            }
        }
        for pool in self.live.leaving().iter().filter(|pool| !pool.is_removed()) {
            pool.remove();
        }
        for pool in next.pools() {
            self.order(pool, at_work);
        }
        self.settle();
        self.assign();
    }

    /// The entries of a Snapshot: those that were there before under their new plans, and new ones.
    fn list(&mut self, next: &Snapshot) -> HashSet<usize> {
        let key = |pool: &Arc<LivePool>, plan: &BackendPlan| {
            (Arc::as_ptr(pool.lasting()), plan.origin.clone(), plan.resolve)
        };
        let known: HashMap<_, _> =
            self.entries.iter().map(|(at, entry)| (key(&entry.pool, &entry.plan), *at)).collect();
        let mut listed = HashSet::new();
        for pool in next.pools() {
            for plan in &pool.plan.backends {
                let at = match known.get(&key(pool, plan)) {
                    Some(at) => *at,
                    None => self.enter(pool, plan),
                };
                if let Some(entry) = self.entries.get_mut(&at) {
                    entry.pool = Arc::clone(pool);
                    if entry.plan != *plan || entry.has_left {
                        // What was ordered of its Slots meanwhile holds until the Plan says something else of it.
                        entry.members.values_mut().for_each(|member| member.slots = plan.slots);
                    }
                    entry.plan = plan.clone();
                    entry.has_left = false;
                    self.roster.come_back(at);
                }
                listed.insert(at);
            }
        }
        listed
    }

    /// A backend that its pool did not have.
    fn enter(&mut self, pool: &Arc<LivePool>, plan: &BackendPlan) -> usize {
        let mut members = HashMap::new();
        if plan.resolve == Resolve::One {
            members.insert(None, Member::new(self.live.keys().next(), &plan.origin, plan.slots));
        }
        let scope = if plan.resolve == Resolve::One { Scope::One } else { Scope::All };
        let at = self.roster.enter(scope, written(plan));
        let (pool, plan) = (Arc::clone(pool), plan.clone());
        self.entries.insert(
            at,
            Entry { pool, plan, members, is_failing: false, has_left: false, is_cold: self.is_starting },
        );
        at
    }

    /// Where a backend leaves another pool for this one, or is only spelled anew, what is at work on it there counts here.
    fn take_over(&mut self, to: usize, leavers: &[usize]) -> Vec<Move> {
        let mut moved = Vec::new();
        let same = leavers.iter().copied().filter(|from| self.is_the_same(*from, to)).collect::<Vec<_>>();
        for from in same {
            let (Some(left), Some(entry)) = (self.entries.get(&from), self.entries.get(&to)) else {
                continue;
            };
            let (old_pool, pool) = (Arc::clone(&left.pool), Arc::clone(&entry.pool));
            let is_named = |address: &Option<SocketAddr>| {
                address.is_none_or(|address| self.roster.of(from).contains(&address))
            };
            let members: Vec<_> = left.members.iter().filter(|(address, _)| is_named(address)).collect();
            let members: Vec<_> = members.into_iter().map(|(at, member)| (*at, member.clone())).collect();
            let is_respelled = left.plan.origin != entry.plan.origin;
            let slots = entry.plan.slots;
            self.roster.hand_over(from, to);
            for (address, old) in members {
                let Some(entry) = self.entries.get_mut(&to) else { continue };
                let new =
                    || Member { key: self.live.keys().next(), slots, backend: Arc::clone(&old.backend) };
                let member = entry.members.entry(address).or_insert_with(new);
                if !is_respelled {
                    // What is known of it goes with it.
                    member.backend = Arc::clone(&old.backend);
                }
                let (from, to) = ((Arc::clone(&old_pool), old.key), (Arc::clone(&pool), member.key));
                moved.push(Move { from, to });
            }
        }
        moved.iter().for_each(|new| self.note(new.clone()));
        moved
    }

    /// Whether what leaves and what is listed are the same backend in two pools or under two names.
    fn is_the_same(&self, from: usize, to: usize) -> bool {
        let (Some(left), Some(entry)) = (self.entries.get(&from), self.entries.get(&to)) else {
            return false;
        };
        let is_respelled = written(&entry.plan).is_some_and(|address| self.roster.of(from) == [address]);
        left.plan.resolve == entry.plan.resolve && (left.plan.origin == entry.plan.origin || is_respelled)
    }

    /// Notes a move. What its `from` itself has taken over is still at work elsewhere, and goes on counting.
    fn note(&mut self, new: Move) {
        for earlier in self.moves.iter_mut().filter(|earlier| earlier.to.1 == new.from.1) {
            earlier.to = (Arc::clone(&new.to.0), new.to.1);
        }
        if !self.moves.iter().any(|known| (known.from.1, known.to.1) == (new.from.1, new.to.1)) {
            self.moves.push(new);
        }
        // There and back again: its own work counts anyway.
        self.moves.retain(|known| known.from.1 != known.to.1);
    }

    /// How many Slots of a backend are taken in pools that it has left, as `count` says it of each, and by the process
    /// before.
    fn elsewhere(&self, member: &Member, count: impl Fn(&LivePool, BackendKey) -> u64) -> u32 {
        let taken = self.moves.iter().filter(|known| known.to.1 == member.key);
        let taken: u64 = taken.map(|known| count(&known.from.0, known.from.1)).sum();
        let before = match &self.past {
            // A part of the truth may be less than the whole: what it had before it may have again.
            Past::Told { all: false, .. } => member.slots,
            Past::Told { held, .. } => held.get(&member.backend.name).copied().unwrap_or_default(),
            Past::Unknown(_) => 0,
        };
        u32::try_from(taken).unwrap_or(u32::MAX).saturating_add(before)
    }

    /// How a backend starts that is new to its pool.
    fn start(&self, member: &Member, is_cold: bool, count: impl Fn(&LivePool, BackendKey) -> u64) -> Start {
        match (self.elsewhere(member, count), &self.past) {
            (0, Past::Unknown(ColdStart::Prove)) if is_cold => Start::Unproven,
            (0, Past::Unknown(ColdStart::Wait(time))) if is_cold => Start::Until(now() + *time),
            (0, _) => Start::Idle,
            (taken, _) => Start::Elsewhere(taken),
        }
    }

    /// Tells the pools of what their backends still do for those that they had before.
    fn settle(&mut self) {
        let keys: HashSet<_> = self.moves.iter().map(|known| known.to.1).collect();
        for (pool, member) in self.now_listed().filter(|(_, member)| keys.contains(&member.key)) {
            pool.slots.set_elsewhere(member.key, self.elsewhere(member, at_work));
        }
        self.moves.retain(|known| at_work(&known.from.0, known.from.1) > 0);
    }

    /// Gives a backend another number of Slots, until a Plan says something else of it, or as many as its Plan says. False where
    /// there is none of this name.
    pub(super) fn resize(&mut self, pool: &str, backend: &str, slots: Option<u32>) -> bool {
        let listed = self.entries.values_mut().filter(|entry| !entry.has_left && entry.pool.name == pool);
        let mut members = listed.flat_map(|entry| {
            let Entry { pool, plan, members, .. } = entry;
            members.values_mut().map(|member| (&*pool, plan.slots, member))
        });
        let Some((pool, planned, member)) = members.find(|(.., member)| member.backend.name == backend)
        else {
            return false;
        };
        member.slots = slots.unwrap_or(planned);
        let pool = Arc::clone(pool);
        self.order(&pool, at_work);
        true
    }

    /// The process before says how many Slots of a backend it has still.
    pub(super) fn note_held(&mut self, name: &str, slots: u32) {
        let Past::Told { held, .. } = &mut self.past else { return };
        held.insert(name.to_owned(), slots);
        for (pool, member) in self.now_listed().filter(|(_, member)| member.backend.name == name) {
            pool.slots.set_elsewhere(member.key, self.elsewhere(member, at_work));
        }
    }

    /// What the process before has still.
    pub(super) fn held_by_past(&self) -> Vec<(String, u32)> {
        match &self.past {
            Past::Told { held, .. } => held.iter().map(|(name, slots)| (name.clone(), *slots)).collect(),
            Past::Unknown(_) => Vec::new(),
        }
    }

    /// The process before has told of all that it has: what it did not speak of is idle.
    pub(super) fn note_all_told(&mut self) {
        if let Past::Told { all, .. } = &mut self.past {
            *all = true;
        }
        for (pool, member) in self.now_listed() {
            pool.slots.set_elsewhere(member.key, self.elsewhere(member, at_work));
        }
    }

    /// The process before has ended. Where it did not say that it was done, nobody knows what its backends are at.
    pub(super) fn note_end_of_past(&mut self) {
        let Past::Told { held, all } = &mut self.past else { return };
        let (held, all) = (std::mem::take(held), std::mem::replace(all, true));
        let is_held =
            |member: &Member| !all || held.get(&member.backend.name).is_some_and(|slots| *slots > 0);
        for (pool, member) in self.now_listed().filter(|(_, member)| is_held(member)) {
            tracing::warn!(
                pool = %pool.name, backend = %member.backend.name,
                "the process before ended and did not say what is at work here: its slots rest until a probe is answered"
            );
            pool.slots.doubt_elsewhere(member.key);
        }
    }

    /// The backends of the Plan in force.
    fn now_listed(&self) -> impl Iterator<Item = (&Arc<LivePool>, &Member)> {
        let listed = self.entries.values().filter(|entry| !entry.has_left);
        listed.flat_map(|entry| entry.members.values().map(|member| (&entry.pool, member)))
    }

    /// The names to be looked up, each once.
    pub(super) fn names(&self) -> impl Iterator<Item = Name> {
        let listed = self.entries.values().filter(|entry| !entry.has_left);
        let names = listed.filter_map(|entry| name(&entry.plan));
        names.collect::<HashSet<_>>().into_iter()
    }

    /// The names in a Snapshot.
    pub(super) fn names_of(snapshot: &Snapshot) -> impl Iterator<Item = Name> {
        snapshot.pools().iter().flat_map(|pool| &pool.plan.backends).filter_map(name)
    }

    /// How long until the next look-up of a name: one that was never found is wanted soon. None where it is not wanted
    /// any more.
    pub(super) fn pause(&self, name: &Name) -> Option<Duration> {
        let named = self.named(name);
        let pause = |at: &usize| {
            let every = self.entries.get(at)?.pool.plan.resolve_every;
            Some(if self.roster.is_known(*at) { every } else { every.min(UNKNOWN) })
        };
        named.iter().filter_map(pause).min()
    }

    /// What a look-up has found.
    pub(super) fn learn(&mut self, name: &Name, found: Result<&[SocketAddr], &io::Error>) {
        for at in self.named(name) {
            let Some(entry) = self.entries.get_mut(&at) else { continue };
            let (pool, was_failing) = (&entry.pool.plan.name, entry.is_failing);
            entry.is_failing = found.is_err();
            match found {
                Ok(addresses) => {
                    if was_failing {
                        tracing::info!(%pool, name = %name.host, "the name is found again");
                    }
                    self.roster.learn(at, addresses.iter().copied());
                }
                Err(error) => {
                    if !was_failing {
                        tracing::warn!(
                            %pool, name = %name.host, %error,
                            "the name is not found; what was found before holds"
                        );
                    }
                    if let Some(member) = entry.members.get(&None)
                        && matches!(member.backend.addresses.now(), Found::NotYet)
                    {
                        member.backend.addresses.set(Found::Nowhere(error.to_string().into()));
                    }
                }
            }
        }
        self.assign();
    }

    /// The entries that this name stands for.
    fn named(&self, name: &Name) -> Vec<usize> {
        let is_it = |entry: &Entry| !entry.has_left && self::name(&entry.plan).as_ref() == Some(name);
        self.entries.iter().filter(|(_, entry)| is_it(entry)).map(|(at, _)| *at).collect()
    }

    /// Gives the addresses out anew, and makes it so.
    fn assign(&mut self) {
        let Self { entries, roster, .. } = self;
        let changed = roster.assign(|at, address| {
            let Some(entry) = entries.get(&at) else { return false };
            let one = entry.members.get(&None);
            let member = one.or_else(|| entry.members.get(&Some(address)));
            member.is_some_and(|member| is_at_work(&entry.pool, member.key, one.is_some()))
        });
        let mut other = Vec::new();
        for at in changed {
            let Some(entry) = self.entries.get(&at) else { continue };
            let (pool, name) = (&entry.pool, entry.plan.origin.host.to_string());
            for (address, holder) in self.roster.taken(at) {
                let holder = self.entries.get(&holder).map(|entry| entry.plan.origin.to_string());
                tracing::warn!(
                    pool = %pool.plan.name, %name, %address, holder,
                    "an address counts once: it is another backend's already"
                );
            }
            let has = self.roster.of(at);
            tracing::info!(pool = %pool.plan.name, %name, addresses = ?has, "the name stands for these addresses now");
            match entry.members.get(&None) {
                Some(member) if has.is_empty() => {
                    member.backend.addresses.set(Found::Nowhere("they are all another backend's".into()));
                }
                Some(member) => member.backend.addresses.set(Found::At(has.into())),
                None => other.push(Arc::clone(pool)),
            }
        }
        for pool in other {
            self.order(&pool, at_work);
        }
    }

    /// Gives a pool the backends that it is to have now: those of its entries that have not left.
    fn order(&mut self, pool: &Arc<LivePool>, elsewhere: impl Fn(&LivePool, BackendKey) -> u64) {
        let mut ordered = Vec::new();
        for (at, entry) in &mut self.entries {
            if entry.has_left || !entry.pool.is_the_same_as(pool) {
                continue;
            }
            let before = ordered.len();
            if let Some(member) = entry.members.get(&None) {
                ordered.push((member.clone(), entry.is_cold));
            } else {
                for address in self.roster.of(*at) {
                    let new = || Member::at(self.live.keys().next(), *address, entry.plan.slots);
                    // One that comes back before it was quiet is the same as before, with its count.
                    let member = entry.members.entry(Some(*address)).or_insert_with(new);
                    ordered.push((member.clone(), entry.is_cold));
                }
            }
            if ordered.len() > before {
                entry.is_cold = false;
            }
        }
        let start = |(member, is_cold): (Member, bool)| {
            let start = self.start(&member, is_cold, &elsewhere);
            (member, start)
        };
        pool.order(ordered.into_iter().map(start).collect());
    }

    /// Whether there are backends that are no longer named, or have work elsewhere.
    pub(super) fn has_leavers(&self) -> bool {
        let has_lost = |(at, entry): (&usize, &Entry)| {
            let is_named = |address: &SocketAddr| self.roster.of(*at).contains(address);
            entry.has_left || entry.members.keys().flatten().any(|address| !is_named(address))
        };
        self.roster.has_leavers() || !self.moves.is_empty() || self.entries.iter().any(has_lost)
    }

    /// Forgets what is quiet, and gives on its address.
    pub(super) fn sweep(&mut self) {
        self.settle();
        let Self { entries, roster, .. } = self;
        entries.retain(|at, entry| {
            let Entry { pool, members, has_left, .. } = entry;
            members.retain(|address, member| {
                let is_named = address.is_none_or(|address| roster.of(*at).contains(&address));
                let stays = (is_named && !*has_left) || is_known(pool, member.key);
                if !stays {
                    pool.forget(&[member.key]);
                }
                stays
            });
            let stays = !*has_left || !members.is_empty();
            if !stays {
                roster.forget(*at);
            }
            stays
        });
        self.live.forget_the_quiet();
        self.assign();
    }
}

/// The name, where the plan does not say the address itself.
pub(super) fn name(plan: &BackendPlan) -> Option<Name> {
    match &plan.origin.host {
        Host::Name(host) => Some(Name { host: host.clone(), port: plan.origin.port }),
        Host::Ip(_) => None,
    }
}

/// The address, where one is written.
fn written(plan: &BackendPlan) -> Option<SocketAddr> {
    match &plan.origin.host {
        Host::Ip(ip) => Some(SocketAddr::new(*ip, plan.origin.port)),
        Host::Name(_) => None,
    }
}

fn view(pool: &LivePool, key: BackendKey) -> Option<BackendView> {
    pool.slots.backends(key, 1).into_iter().next().filter(|view| view.key == key)
}

/// Whether something may be at work on a backend. One that has several addresses has to be wholly idle for that to be
/// known of one of them.
fn is_at_work(pool: &LivePool, key: BackendKey, has_several: bool) -> bool {
    let view = view(pool, key);
    view.is_some_and(|view| !has_several || view.slots.busy + view.slots.lingering + view.slots.resting > 0)
}

/// Whether the pool's Dispatcher still knows a backend.
fn is_known(pool: &LivePool, key: BackendKey) -> bool {
    view(pool, key).is_some()
}

/// The Slots of a backend that this pool has taken itself.
fn at_work(pool: &LivePool, key: BackendKey) -> u64 {
    view(pool, key).map_or(0, |view| {
        let taken = view.slots.busy + view.slots.lingering + view.slots.resting;
        taken.saturating_sub(view.elsewhere.into())
    })
}

/// The Slots of a backend that this pool may take or has taken.
fn at_most(pool: &LivePool, key: BackendKey) -> u64 {
    view(pool, key).map_or(0, |view| view.slots.slots.saturating_sub(view.elsewhere.into()))
}
