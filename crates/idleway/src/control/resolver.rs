//! Names of backends: looked up again and again by the system's resolver, so that what is started elsewhere is found,
//! and what was shut down is not asked any more.
//!
//! A look-up that fails changes nothing: the last good answer holds.

use std::collections::HashMap;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use idleway_core::BackendKey;
use tokio::sync::{Semaphore, oneshot};
use tokio::task::JoinSet;
use tokio::time::{MissedTickBehavior, interval, sleep};

use super::roster::{Roster, Scope};
use crate::config::{BackendPlan, Host, Resolve};
use crate::live::{Live, LivePool, Member};
use crate::net::Found;

/// How often it is looked whether a backend that is no longer named is quiet.
const SWEEP: Duration = Duration::from_millis(250);

/// A name that was never found is looked up that often at least.
const UNKNOWN: Duration = Duration::from_secs(1);

/// So many look-ups are under way at once: each holds a thread, and a resolver may take its time.
const AT_ONCE: usize = 64;

/// Looks up all names that backends are configured by. `first` is told when each was looked up once. Ends at once where
/// there are none, else never.
pub(crate) async fn resolve(live: Arc<Live>, first: oneshot::Sender<()>) {
    let mut resolver = Resolver::new(&live);
    let places = Arc::new(Semaphore::new(AT_ONCE));
    let mut look_ups = JoinSet::new();
    let names: Vec<_> = resolver.names().collect();
    let mut unseen = names.len();
    let mut first = Some(first);
    for (at, host, port) in names {
        look_ups.spawn(look_up(at, host, port, Duration::ZERO, Arc::clone(&places)));
    }
    let mut sweep = interval(SWEEP);
    sweep.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            ended = look_ups.join_next() => {
                // None: there are no names. A look-up that panicked is one of tokio's own faults.
                let Some(Ok(LookedUp { at, host, port, found })) = ended else { return };
                resolver.learn(at, &host, found);
                look_ups.spawn(look_up(at, host, port, resolver.pause(at), Arc::clone(&places)));
                unseen = unseen.saturating_sub(1);
                if unseen == 0 && let Some(first) = first.take() {
                    // Nobody may wait for it any more.
                    let _ = first.send(());
                }
            }
            _ = sweep.tick(), if resolver.has_leavers() => resolver.sweep(),
        }
    }
}

/// One look-up that has ended.
struct LookedUp {
    at: usize,
    host: String,
    port: u16,
    found: io::Result<Vec<SocketAddr>>,
}

async fn look_up(at: usize, host: String, port: u16, after: Duration, places: Arc<Semaphore>) -> LookedUp {
    sleep(after).await;
    // Never closed: there is no error.
    let _place = places.acquire().await;
    let found = tokio::net::lookup_host((host.as_str(), port)).await;
    let found = found.map(Iterator::collect::<Vec<_>>).and_then(|addresses| {
        let nothing = || io::Error::new(io::ErrorKind::NotFound, "the answer names no address");
        if addresses.is_empty() { Err(nothing()) } else { Ok(addresses) }
    });
    LookedUp { at, host, port, found }
}

/// What is known of the names of one configuration.
struct Resolver {
    live: Arc<Live>,
    entries: Vec<Entry>,
    roster: Roster,
    /// The backends that a name with a backend for each address has had, for as long as they are known.
    members: HashMap<(usize, SocketAddr), Member>,
}

/// One backend as the configuration lists it.
struct Entry {
    pool: Arc<LivePool>,
    plan: BackendPlan,
    /// The backend, where it is one.
    member: Option<Member>,
    /// The last look-up failed.
    is_failing: bool,
}

impl Resolver {
    fn new(live: &Arc<Live>) -> Self {
        let mut entries = Vec::new();
        for pool in live.snapshot().pools() {
            let mut listed = pool.listed().iter();
            for plan in &pool.plan.backends {
                let member = if plan.resolve == Resolve::One { listed.next().cloned() } else { None };
                entries.push(Entry { pool: Arc::clone(pool), plan: plan.clone(), member, is_failing: false });
            }
        }
        let roster = Roster::new(entries.iter().map(|entry| {
            let scope = if entry.member.is_some() { Scope::One } else { Scope::All };
            (scope, written(&entry.plan))
        }));
        Self { live: Arc::clone(live), entries, roster, members: HashMap::new() }
    }

    /// The entries that are names.
    fn names(&self) -> impl Iterator<Item = (usize, String, u16)> {
        self.entries.iter().enumerate().filter_map(|(at, entry)| match &entry.plan.origin.host {
            Host::Name(name) => Some((at, name.clone(), entry.plan.origin.port)),
            Host::Ip(_) => None,
        })
    }

    /// How long until the next look-up of a name: one that was never found is wanted soon.
    fn pause(&self, at: usize) -> Duration {
        let every = self.entries[at].pool.plan.resolve_every;
        if self.roster.is_known(at) { every } else { every.min(UNKNOWN) }
    }

    fn learn(&mut self, at: usize, host: &str, found: io::Result<Vec<SocketAddr>>) {
        let entry = &mut self.entries[at];
        let (pool, was_failing) = (&entry.pool.plan.name, entry.is_failing);
        entry.is_failing = found.is_err();
        match found {
            Ok(addresses) => {
                if was_failing {
                    tracing::info!(%pool, name = %host, "the name is found again");
                }
                self.roster.learn(at, addresses);
                self.assign();
            }
            Err(error) => {
                if !was_failing {
                    tracing::warn!(%pool, name = %host, %error, "the name is not found; what was found before holds");
                }
                if let Some(member) = &entry.member
                    && matches!(member.backend.addresses.now(), Found::NotYet)
                {
                    member.backend.addresses.set(Found::Nowhere(error.to_string().into()));
                }
            }
        }
    }

    /// Gives the addresses out anew, and makes it so.
    fn assign(&mut self) {
        let Self { entries, members, roster, .. } = self;
        let changed = roster.assign(|at, address| {
            let entry = &entries[at];
            let member = entry.member.as_ref().or_else(|| members.get(&(at, address)));
            member.is_some_and(|member| is_at_work(&entry.pool, member.key, entry.member.is_some()))
        });
        for at in changed {
            let entry = &self.entries[at];
            let (pool, name) = (Arc::clone(&entry.pool), entry.plan.origin.host.to_string());
            for (address, holder) in self.roster.taken(at) {
                let holder = &self.entries[holder].plan.origin;
                tracing::warn!(
                    pool = %pool.plan.name, %name, %address, %holder,
                    "an address counts once: it is another backend's already"
                );
            }
            let has = self.roster.of(at);
            tracing::info!(pool = %pool.plan.name, %name, addresses = ?has, "the name stands for these addresses now");
            match &entry.member {
                Some(member) if has.is_empty() => {
                    member.backend.addresses.set(Found::Nowhere("they are all another backend's".into()));
                }
                Some(member) => member.backend.addresses.set(Found::At(has.into())),
                None => self.order(&pool),
            }
        }
    }

    /// Gives a pool the backends that it is to have now.
    fn order(&mut self, pool: &Arc<LivePool>) {
        let mut ordered = Vec::new();
        for (at, entry) in self.entries.iter().enumerate() {
            if !Arc::ptr_eq(&entry.pool, pool) {
                continue;
            }
            if let Some(member) = &entry.member {
                ordered.push(member.clone());
                continue;
            }
            for address in self.roster.of(at) {
                let new = || Member::at(self.live.keys().next(), *address, entry.plan.slots);
                // One that comes back before it was quiet is the same as before, with its count.
                ordered.push(self.members.entry((at, *address)).or_insert_with(new).clone());
            }
        }
        pool.order(ordered);
    }

    /// Whether there are backends that are no longer named and not yet forgotten.
    fn has_leavers(&self) -> bool {
        let is_named = |(at, address): &(usize, SocketAddr)| self.roster.of(*at).contains(address);
        self.roster.has_leavers() || self.members.keys().any(|key| !is_named(key))
    }

    /// Forgets what is quiet, and gives on its address.
    fn sweep(&mut self) {
        let Self { entries, members, roster, .. } = self;
        members.retain(|(at, address), member| {
            let pool = &entries[*at].pool;
            let stays = roster.of(*at).contains(address) || is_known(pool, member.key);
            if !stays {
                pool.forget(&[member.key]);
            }
            stays
        });
        self.assign();
    }
}

/// The address, where one is written.
fn written(plan: &BackendPlan) -> Option<SocketAddr> {
    match &plan.origin.host {
        Host::Ip(ip) => Some(SocketAddr::new(*ip, plan.origin.port)),
        Host::Name(_) => None,
    }
}

/// Whether something may be at work on a backend. One that has several addresses has to be wholly idle for that to be
/// known of one of them.
fn is_at_work(pool: &LivePool, key: BackendKey, has_several: bool) -> bool {
    let view = pool.slots.backends(key, 1).into_iter().next().filter(|view| view.key == key);
    view.is_some_and(|view| !has_several || view.slots.busy + view.slots.lingering + view.slots.resting > 0)
}

/// Whether the pool's Dispatcher still knows a backend.
fn is_known(pool: &LivePool, key: BackendKey) -> bool {
    pool.slots.backends(key, 1).first().is_some_and(|view| view.key == key)
}
