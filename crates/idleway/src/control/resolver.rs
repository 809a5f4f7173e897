//! The one task that says which backends the pools have: by what the system's resolver says of their names, again and
//! again, so that what is started elsewhere is found and what was shut down is not asked any more; and by each new Plan.
//!
//! A look-up that fails changes nothing: the last good answer holds.

use std::collections::{HashMap, HashSet};
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{Semaphore, mpsc, oneshot};
use tokio::task::JoinSet;
use tokio::time::{MissedTickBehavior, interval, sleep, timeout};

use super::exporter::export;
use super::members::{Members, Name};
use super::upkeep::Upkeep;
use crate::config::Plan;
use crate::live::{Bequeathed, Live, Ordered, Readiness, Taken};

/// How often it is looked whether a backend that is no longer named is quiet.
const SWEEP: Duration = Duration::from_millis(50);

/// So many look-ups are under way at once: each holds a thread, and a resolver may take its time.
const AT_ONCE: usize = 64;

/// How long a new Plan waits for the first look-up of its names.
const LOOK_UP: Duration = Duration::from_secs(2);

/// What the task is told.
#[derive(Debug)]
pub(crate) enum Order {
    /// A Plan to be put in force; `done` is told when it is.
    Plan { plan: Box<Plan>, done: oneshot::Sender<()> },
    /// A backend is to have so many Slots until a Plan says something else of it; `done` is told whether there is such a one.
    #[cfg_attr(not(feature = "admin"), allow(dead_code, reason = "nobody orders it"))]
    Slots { pool: String, backend: String, slots: Option<u32>, done: oneshot::Sender<bool> },
    /// The process before has so many Slots of a backend still.
    Held(Taken),
    /// Of those so many are nobody's any more.
    Doubted(Taken),
    /// This was ordered there of a backend.
    Ordered(Ordered),
    /// It has told of all that it has; `done` is told when that is known.
    AllTold { done: oneshot::Sender<()> },
    /// It has ended.
    PastOver,
    /// The process that takes this one's place is to know what the one before has still; `done` is told when it was told.
    TellHeir { done: oneshot::Sender<()> },
}

/// Keeps the pools' backends. `first` is told when each name was looked up once. Never ends.
pub(crate) async fn keep(
    live: Arc<Live>,
    mut members: Members,
    mut upkeep: Upkeep,
    mut orders: mpsc::Receiver<Order>,
    first: oneshot::Sender<()>,
) {
    let mut look_ups = LookUps::default();
    look_ups.begin(members.names());
    let mut unseen = look_ups.of.len();
    let mut first = Some(first);
    let mut sweep = interval(SWEEP);
    sweep.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        if unseen == 0
            && let Some(first) = first.take()
        {
            live.stage.reach(Readiness::Ready);
            // Nobody may wait for it any more.
            let _ = first.send(());
        }
        tokio::select! {
            LookedUp { name, found } = look_ups.next() => {
                members.learn(&name, found.as_deref());
                look_ups.again(&name, members.pause(&name));
                unseen = unseen.saturating_sub(1);
            }
            Some(order) = orders.recv() => match order {
                Order::Slots { pool, backend, slots, done } => {
                    let _ = done.send(members.resize(&pool, &backend, slots));
                }
                Order::Held(taken) => {
                    members.note_held(taken.clone());
                    tell_heir(&live, [Bequeathed::Held(taken)]).await;
                }
                Order::Doubted(taken) => {
                    members.doubt(std::slice::from_ref(&taken));
                    tell_heir(&live, [Bequeathed::Doubted(taken)]).await;
                }
                Order::Ordered(ordered) => members.note_order(ordered),
                Order::TellHeir { done } => {
                    tell_heir(&live, members.held_by_past().into_iter().map(Bequeathed::Held)).await;
                    tell_heir(&live, members.ordered().into_iter().map(Bequeathed::Ordered)).await;
                    let _ = done.send(());
                }
                Order::AllTold { done } => {
                    members.note_all_told();
                    let _ = done.send(());
                }
                Order::PastOver => {
                    let doubted = members.note_end_of_past();
                    tell_heir(&live, doubted.into_iter().map(Bequeathed::Doubted)).await;
                }
                Order::Plan { plan, done } => {
                    let next = live.plan_next(*plan);
                    // Before it is in force: no request is to be told that there is no backend where one was not looked
                    // for yet.
                    let known: HashSet<_> = members.names().collect();
                    let new = Members::names_of(&next).filter(|name| !known.contains(name));
                    let found = look_up_all(new).await;
                    members.follow(&next, &found, || live.put_in_force(&next));
                    look_ups.begin(members.names());
                    upkeep.follow(&live);
                    export(&live);
                    // Whoever ordered it may have gone.
                    let _ = done.send(());
                }
            },
            _ = sweep.tick(), if members.has_leavers() => {
                members.sweep();
                upkeep.follow(&live);
            }
        }
    }
}

/// Tells the process that takes this one's place, if there is one.
async fn tell_heir(live: &Live, told: impl IntoIterator<Item = Bequeathed>) {
    let Some(heir) = live.heir() else { return };
    for told in told {
        heir.tell(told).await;
    }
}

/// The look-ups under way, one for each name.
#[derive(Debug, Default)]
struct LookUps {
    under_way: JoinSet<LookedUp>,
    of: HashSet<Name>,
    places: Places,
}

#[derive(Debug, Clone)]
struct Places(Arc<Semaphore>);

impl Default for Places {
    fn default() -> Self {
        Self(Arc::new(Semaphore::new(AT_ONCE)))
    }
}

/// One look-up that has ended.
#[derive(Debug)]
struct LookedUp {
    name: Name,
    found: io::Result<Vec<SocketAddr>>,
}

impl LookUps {
    /// Looks up those of the names that are not looked up yet.
    fn begin(&mut self, names: impl Iterator<Item = Name>) {
        for name in names {
            if self.of.insert(name.clone()) {
                self.under_way.spawn(look_up(name, Duration::ZERO, self.places.clone()));
            }
        }
    }

    /// Looks a name up once more; or no more.
    fn again(&mut self, name: &Name, after: Option<Duration>) {
        match after {
            Some(after) => _ = self.under_way.spawn(look_up(name.clone(), after, self.places.clone())),
            None => _ = self.of.remove(name),
        }
    }

    async fn next(&mut self) -> LookedUp {
        loop {
            match self.under_way.join_next().await {
                Some(Ok(ended)) => return ended,
                // A look-up that panicked is one of tokio's own faults.
                Some(Err(error)) => tracing::error!(%error, "a look-up of a name broke off"),
                None => std::future::pending().await,
            }
        }
    }
}

async fn look_up(name: Name, after: Duration, Places(places): Places) -> LookedUp {
    sleep(after).await;
    // Never closed: there is no error.
    let _place = places.acquire().await;
    let found = tokio::net::lookup_host((name.host.as_str(), name.port)).await;
    let found = found.map(Iterator::collect::<Vec<_>>).and_then(|addresses| {
        let nothing = || io::Error::new(io::ErrorKind::NotFound, "the answer names no address");
        if addresses.is_empty() { Err(nothing()) } else { Ok(addresses) }
    });
    LookedUp { name, found }
}

/// What is found of these names within the time that there is for it.
async fn look_up_all(names: impl Iterator<Item = Name>) -> HashMap<Name, Vec<SocketAddr>> {
    let mut look_ups = LookUps::default();
    look_ups.begin(names);
    let mut known = HashMap::new();
    let all = async {
        while let Some(ended) = look_ups.under_way.join_next().await {
            if let Ok(LookedUp { name, found: Ok(found) }) = ended {
                known.insert(name, found);
            }
        }
    };
    // The others are looked up again, and wait for that.
    let _ = timeout(LOOK_UP, all).await;
    known
}
