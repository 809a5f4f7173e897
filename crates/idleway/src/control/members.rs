//! Which backends each pool has: those that the Plan lists, at the addresses that their names stand for now.
//!
//! A Plan follows another while requests run. A backend that both have in the same pool is the same one, with its
//! count. One that the new Plan does not have finishes its work. Who gets its address, in another pool or by another
//! name, begins at once, and what is still at work there for others counts as taken [elsewhere](elsewhere): whatever is
//! reloaded, no address has more at work than it has Slots.

mod elsewhere;

use std::collections::{BTreeMap, HashMap, HashSet};
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use idleway_core::{BackendKey, BackendView, Mode, Start};

use self::elsewhere::{Index, Trails};
use super::past::{Past, Place};
use super::roster::{Roster, Scope};
use crate::config::{BackendPlan, ColdStart, Host, Resolve};
use crate::live::{Live, LivePool, Member, Ordered, Snapshot, Taken, mode_of, mode_word, now};
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
    /// Where there may be work of backends beside where they are found now.
    trails: Trails,
    /// What the pools were told last, where it is anything.
    told: HashMap<BackendKey, u32>,
    /// What is known of backends when they are first met.
    past: Past,
    is_starting: bool,
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
    /// The next one does not list it, and it is in its pool still.
    is_leaving: bool,
    /// It was there at the start, and has had no backend yet.
    is_cold: bool,
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
            trails: Trails::default(),
            told: HashMap::new(),
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
            self.leave(*at);
        }
        for (name, found) in found {
            self.learn(name, Ok(found));
        }
        self.assign();
        for pool in next.pools() {
            self.order(pool);
        }
        self.hand_on(&listed, &leavers);
        put_in_force();
        for at in &leavers {
            if let Some(entry) = self.entries.get_mut(at) {
                (entry.has_left, entry.is_leaving) = (true, false);
            }
        }
        for pool in self.live.leaving().iter().filter(|pool| !pool.is_removed()) {
            pool.remove();
        }
        for pool in next.pools() {
            self.order(pool);
        }
        self.recount();
    }

    /// The next Plan does not list this entry. Its addresses are whoever's lists them; its work may be there still.
    fn leave(&mut self, at: usize) {
        let Some(entry) = self.entries.get_mut(&at).filter(|entry| !entry.has_left) else { return };
        entry.is_leaving = true;
        for (address, member) in &entry.members {
            // Also where it comes back before that is over.
            let there = address.map_or_else(|| self.roster.held_by(at), |address| vec![address]);
            self.trails.note(member.key, there);
        }
        self.roster.leave(at);
    }

    /// What was ordered of a backend holds wherever it is: in another pool, or by another name.
    fn hand_on(&self, listed: &HashSet<usize>, leavers: &[usize]) {
        let leaving = leavers.iter().filter_map(|at| self.entries.get(at)).filter(|entry| entry.is_leaving);
        let ordered = leaving.flat_map(|entry| {
            entry.members.iter().filter_map(|(address, member)| {
                let mode = view(&entry.pool, member.key)?.mode;
                (mode != Mode::Ready).then(|| (self.reach(*address, member), mode))
            })
        });
        let ordered: Vec<_> = ordered.collect();
        if ordered.is_empty() {
            return;
        }
        for entry in listed.iter().filter_map(|at| self.entries.get(at)) {
            for (address, member) in &entry.members {
                let own = self.reach(*address, member);
                let is_there = |reach: &Vec<SocketAddr>| reach.iter().any(|address| own.contains(address));
                if let Some((_, mode)) = ordered.iter().find(|(reach, _)| is_there(reach)) {
                    entry.pool.slots.set_mode(member.key, *mode);
                }
            }
        }
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
                    (entry.has_left, entry.is_leaving) = (false, false);
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
            Entry {
                pool,
                plan,
                members,
                is_failing: false,
                has_left: false,
                is_leaving: false,
                is_cold: self.is_starting,
            },
        );
        // What is known of its name already.
        let named = self.entries.get(&at).and_then(|entry| name(&entry.plan));
        let is_same = |entry: &Entry| name(&entry.plan) == named;
        let other = self
            .entries
            .iter()
            .find(|(other, entry)| **other != at && is_same(entry) && self.roster.is_known(**other));
        if let Some((other, _)) = other.filter(|_| named.is_some()) {
            let wanted = self.roster.wanted(*other).to_vec();
            self.roster.learn(at, wanted);
        }
        at
    }

    /// How a backend starts that is new to its pool.
    fn start(&self, taken: u32, is_cold: bool) -> Start {
        match (taken, &self.past) {
            (0, Past::Unknown(ColdStart::Prove)) if is_cold => Start::Unproven,
            (0, Past::Unknown(ColdStart::Wait(time))) if is_cold => Start::Until(now() + *time),
            (0, _) => Start::Idle,
            (taken, _) => Start::Elsewhere(taken),
        }
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
        self.order(&pool);
        true
    }

    /// What the process before has still.
    pub(super) fn held_by_past(&self) -> Vec<Taken> {
        match &self.past {
            Past::Told(told) => told.all().collect(),
            Past::Unknown(_) => Vec::new(),
        }
    }

    /// What was ordered in the process before holds here too.
    pub(super) fn note_order(&mut self, ordered: Ordered) {
        let Past::Told(told) = &mut self.past else { return };
        let snapshot = self.live.snapshot();
        let pool = snapshot.pools().iter().find(|pool| pool.name == ordered.pool);
        told.order(ordered);
        if let Some(pool) = pool {
            self.obey(pool);
        }
    }

    /// What has been ordered of backends, beside what the Plan says.
    pub(super) fn ordered(&self) -> Vec<Ordered> {
        let listed = self.entries.values().filter(|entry| !entry.has_left);
        let of = |entry: &Entry, member: &Member| {
            let mode = view(&entry.pool, member.key).map_or(Mode::Ready, |view| view.mode);
            let slots = Some((entry.plan.slots, member.slots)).filter(|(planned, now)| planned != now);
            (mode != Mode::Ready || slots.is_some()).then(|| Ordered {
                pool: entry.pool.name.clone(),
                backend: member.backend.name.clone(),
                mode: mode_word(mode).to_owned(),
                slots,
            })
        };
        listed.flat_map(|entry| entry.members.values().filter_map(move |member| of(entry, member))).collect()
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
        // What moves from one listed backend to another has been told to the first one at an earlier assignment.
        let index = if changed.is_empty() { Index::default() } else { self.index() };
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
                Some(member) => {
                    // Before anything is sent there: others may have work there.
                    let (taken, has) = (self.taken(&index, member, Place::At(has)), has.into());
                    let (key, more) = (member.key, taken.max(self.told_of(member.key)));
                    pool.slots.set_elsewhere(key, more);
                    self.trails.note(key, member.backend.addresses.all());
                    member.backend.addresses.set(Found::At(has));
                    self.note_told(key, more);
                }
                None => other.push(Arc::clone(pool)),
            }
        }
        for pool in other {
            self.order(&pool);
        }
        self.recount();
    }

    /// Gives a pool the backends that it is to have now: those of its entries that have not left.
    fn order(&mut self, pool: &Arc<LivePool>) {
        let mut ordered = Vec::new();
        for (at, entry) in &mut self.entries {
            if entry.has_left || !entry.pool.is_the_same_as(pool) {
                continue;
            }
            let before = ordered.len();
            if let Some(member) = entry.members.get(&None) {
                ordered.push((None, member.clone(), entry.is_cold));
            } else {
                for address in self.roster.of(*at) {
                    let new = || Member::at(self.live.keys().next(), *address, entry.plan.slots);
                    // One that comes back before it was quiet is the same as before, with its count.
                    let member = entry.members.entry(Some(*address)).or_insert_with(new);
                    ordered.push((Some(*address), member.clone(), entry.is_cold));
                }
            }
            if ordered.len() > before {
                entry.is_cold = false;
            }
        }
        let index = self.index();
        let mut started = Vec::with_capacity(ordered.len());
        for (address, member, is_cold) in ordered {
            let taken = self.taken_at(&index, address, &member);
            if view(pool, member.key).is_none() {
                self.note_told(member.key, taken);
            } else if taken > self.told_of(member.key) {
                // It may be named again just now: before anything is granted there.
                pool.slots.set_elsewhere(member.key, taken);
                self.note_told(member.key, taken);
            }
            let start = self.start(taken, is_cold);
            started.push((member, start));
        }
        pool.order(started);
        self.obey(pool);
    }

    /// Does what was ordered in the process before, of backends that are met first.
    fn obey(&mut self, pool: &Arc<LivePool>) {
        let Past::Told(told) = &mut self.past else { return };
        let mut resized = false;
        for entry in
            self.entries.values_mut().filter(|entry| !entry.has_left && entry.pool.is_the_same_as(pool))
        {
            let planned = entry.plan.slots;
            for member in entry.members.values_mut() {
                let Some(ordered) = told.take_order(&pool.name, &member.backend.name) else { continue };
                if let Some(mode) = mode_of(&ordered.mode) {
                    pool.slots.set_mode(member.key, mode);
                }
                // Where the Plan says something else of it than it did there, that holds.
                if let Some((_, slots)) = ordered.slots.filter(|(before, _)| *before == planned) {
                    member.slots = slots;
                    resized = true;
                }
            }
        }
        if resized {
            self.order(pool);
        }
    }

    /// Whether there are backends that are no longer named, or have work elsewhere.
    pub(super) fn has_leavers(&self) -> bool {
        let has_lost = |(at, entry): (&usize, &Entry)| {
            let is_named = |address: &SocketAddr| self.roster.of(*at).contains(address);
            entry.has_left || entry.members.keys().flatten().any(|address| !is_named(address))
        };
        self.roster.has_leavers() || !self.trails.is_empty() || self.entries.iter().any(has_lost)
    }

    /// Forgets what is quiet, and gives on its address.
    pub(super) fn sweep(&mut self) {
        let Self { entries, roster, trails, told, .. } = self;
        trails.forget_the_quiet(entries);
        entries.retain(|at, entry| {
            let Entry { pool, members, has_left, .. } = entry;
            members.retain(|address, member| {
                let is_named = address.is_none_or(|address| roster.of(*at).contains(&address));
                let stays = (is_named && !*has_left) || is_known(pool, member.key);
                if !stays {
                    pool.forget(&[member.key]);
                    told.remove(&member.key);
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
