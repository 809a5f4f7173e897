//! One backend: what was ordered of it, what was observed, and how many of its slots are taken.

use crate::{
    change::Cause,
    counts::Counts,
    health::{Health, Hysteresis},
    line::Line,
    pick,
    recent::Recent,
    slow_start::SlowStart,
    spec::{BackendSpec, HealthPolicy, Start},
    time::Time,
};

/// Spans of 17 s: about the last half minute counts where backends are compared.
pub(crate) const COMPARED: u32 = 34;

/// The stable identity of a backend, chosen by the caller.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct BackendKey(pub u64);

/// What was ordered of a backend.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Mode {
    /// It gets requests while it is up.
    #[default]
    Ready,
    /// It gets no new requests; what runs ends in peace; it is still probed.
    Drain,
    /// As `Drain`, and it is not probed.
    Maintenance,
}

/// One backend as it stands, for those who look on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BackendView {
    /// Its identity.
    pub key: BackendKey,
    /// What was ordered.
    pub mode: Mode,
    /// What was observed.
    pub health: Health,
    /// Why it is down.
    pub cause: Option<Cause>,
    /// Until when it rests because it said that it is busy.
    pub rests_until: Option<Time>,
    /// It is no longer ordered and stays until its last slot is free.
    pub removed: bool,
    /// Its slots by state.
    pub slots: Counts,
    /// Those of its resting slots that only a probe can free.
    pub unproven: u64,
    /// Those of its resting slots that somebody else has at work: see `Dispatcher::set_elsewhere`. None of a removed one.
    pub elsewhere: u32,
}

/// One backend inside the dispatcher.
///
/// An idle slot without a connection is nothing but a number here; only slots that are taken, or that keep a
/// connection, are entries of `Slots`.
#[derive(Debug)]
pub(crate) struct Backend {
    pub(crate) key: BackendKey,
    /// How many slots are ordered; 0 once it is removed.
    pub(crate) limit: u32,
    pub(crate) removed: bool,
    pub(crate) mode: Mode,
    pub(crate) health: Hysteresis,
    /// While it gets its slots back one by one.
    pub(crate) slow_start: Option<SlowStart>,
    /// It said that it is busy: it rests until then.
    pub(crate) withheld: Option<Time>,
    /// The requests that failed, among those that were at work lately.
    pub(crate) lately: Recent<COMPARED>,
    pub(crate) busy: u32,
    /// Those of its taken slots that will be free in a moment.
    pub(crate) brief: u32,
    pub(crate) lingering: u32,
    pub(crate) resting: u32,
    /// How many pieces of work it has that somebody else sent; more than its slots, if that one says so. They have no
    /// entries in `Slots`.
    pub(crate) elsewhere: u32,
    /// How many of its slots were this pool's when that was told last, where someone wants to know.
    pub(crate) told: Option<u32>,
    /// Its idle slots that keep a connection.
    pub(crate) shelf: Shelf,
    /// Its slots that rest until a proof.
    pub(crate) unproven: Line,
    /// Its part in the dispatcher's sum.
    pub(crate) counted: Counts,
}

impl Backend {
    pub(crate) fn new(spec: BackendSpec, policy: HealthPolicy) -> Self {
        Self {
            key: spec.key,
            limit: spec.slots,
            removed: false,
            mode: Mode::Ready,
            health: Hysteresis::new(policy),
            slow_start: None,
            withheld: None,
            lately: Recent::default(),
            busy: 0,
            brief: 0,
            lingering: 0,
            resting: 0,
            elsewhere: match spec.start {
                Start::Elsewhere(slots) => slots,
                Start::Idle | Start::Unproven | Start::Until(_) => 0,
            },
            told: None,
            shelf: Shelf::default(),
            unproven: Line::EMPTY,
            counted: Counts::default(),
        }
    }

    /// Slots that are not idle.
    pub(crate) const fn taken(&self) -> u32 {
        self.own().saturating_add(self.elsewhere())
    }

    /// Slots that this pool has taken.
    pub(crate) const fn own(&self) -> u32 {
        self.busy + self.lingering + self.resting
    }

    /// Slots that somebody else has taken. Once it is removed here, that is told there.
    pub(crate) const fn elsewhere(&self) -> u32 {
        if self.removed { 0 } else { self.elsewhere }
    }

    /// Slots that are this pool's, idle ones too.
    pub(crate) fn held(&self) -> u32 {
        self.limit.saturating_sub(self.elsewhere()).max(self.own())
    }

    /// Slots that are idle.
    pub(crate) const fn idle(&self) -> u32 {
        self.limit.saturating_sub(self.taken())
    }

    /// Whether one of its slots, once idle, may be granted to a request.
    pub(crate) const fn admits(&self) -> bool {
        self.is_ready() && self.withheld.is_none() && self.health.admits()
    }

    /// Whether one of its slots, once idle, may be granted while too few backends are up.
    pub(crate) const fn admits_in_panic(&self) -> bool {
        self.is_doubtful() && self.withheld.is_none() && !self.health.admits()
    }

    /// Whether a further slot is open, beside those that are taken.
    pub(crate) fn has_room(&self) -> bool {
        self.taken() < self.open()
    }

    /// How many of its slots may be used by now.
    pub(crate) fn open(&self) -> u32 {
        self.slow_start.map_or(self.limit, |slow| slow.open().min(self.limit))
    }

    /// Up and ready, with slots, busy or not.
    pub(crate) const fn is_up(&self) -> bool {
        self.is_ready() && matches!(self.health.health(), Health::Up)
    }

    /// Ready, with slots.
    const fn is_ready(&self) -> bool {
        matches!(self.mode, Mode::Ready) && self.limit > 0
    }

    /// Ready, and down although it can be reached.
    const fn is_doubtful(&self) -> bool {
        self.is_ready() && self.health.is_doubtful()
    }

    /// When something happens to it by time alone.
    pub(crate) fn alarm(&self) -> Option<Time> {
        self.health.pause_end().or(self.slow_start.map(|slow| slow.next()))
    }

    /// Its share among those that serve.
    pub(crate) fn share(&self) -> u32 {
        self.share_if(self.admits())
    }

    /// Its share among those that serve while too few others are up.
    pub(crate) fn share_in_panic(&self) -> u32 {
        self.share_if(self.admits_in_panic())
    }

    fn share_if(&self, admits: bool) -> u32 {
        if admits && self.has_room() { pick::share(self.taken(), self.limit) } else { pick::INELIGIBLE }
    }

    /// Removed, and nothing of it is at work for this pool: it can be forgotten.
    pub(crate) const fn is_over(&self) -> bool {
        self.removed && self.own() == 0
    }

    pub(crate) fn counts(&self) -> Counts {
        let is_up = self.is_up();
        let idle = if self.withheld.is_none() { self.idle() } else { 0 };
        let withheld = self.idle() - idle;
        let unopened = idle.min(self.limit - self.open());
        let elsewhere = u64::from(self.elsewhere());
        Counts {
            idle: idle.into(),
            busy: self.busy.into(),
            lingering: self.lingering.into(),
            resting: u64::from(self.resting) + u64::from(withheld) + elsewhere,
            slots: u64::from(self.limit).max(u64::from(self.own()) + elsewhere),
            kept: self.shelf.len().into(),
            backends: u64::from(!self.is_over()),
            up: is_up.into(),
            up_slots: if is_up { self.limit.into() } else { 0 },
            on_trial: (self.is_ready() && self.health.on_trial()).into(),
            ready: self.is_ready().into(),
            doubtful: self.is_doubtful().into(),
            withheld: if is_up { withheld.into() } else { 0 },
            elsewhere: if is_up { elsewhere.min(self.limit.saturating_sub(self.own()).into()) } else { 0 },
            unopened: if is_up { unopened.into() } else { 0 },
            probed: (self.is_ready() && self.health.is_probed()).into(),
            brief: if is_up || self.is_doubtful() { self.brief.into() } else { 0 },
            waiting: 0,
        }
    }

    pub(crate) fn view(&self) -> BackendView {
        BackendView {
            key: self.key,
            mode: self.mode,
            health: self.health.health(),
            cause: self.health.cause(),
            rests_until: self.withheld,
            removed: self.removed,
            slots: self.counts(),
            unproven: self.unproven.len().into(),
            elsewhere: self.elsewhere(),
        }
    }
}

/// The idle slots of a backend that keep a connection, by the class of the core that the connection sits on.
#[derive(Debug, Default)]
pub(crate) struct Shelf {
    mask: u64,
    len: u32,
    /// As many as the highest class seen so far.
    classes: Vec<Line>,
}

impl Shelf {
    /// Bit `n` is set when a connection of class `n` is kept.
    pub(crate) const fn mask(&self) -> u64 {
        self.mask
    }

    pub(crate) const fn len(&self) -> u32 {
        self.len
    }

    /// The slot to use next: the one whose connection was kept last, of the core `near` if there is one.
    pub(crate) fn pick(&self, near: u32) -> Option<u32> {
        let class = if self.mask & (1 << near) != 0 { near } else { self.mask.trailing_zeros() };
        self.classes.get(class as usize).and_then(Line::first)
    }

    /// Changes the line of one class.
    pub(crate) fn change(&mut self, class: u32, change: impl FnOnce(&mut Line)) {
        let class = class as usize;
        if class >= self.classes.len() {
            self.classes.resize(class + 1, Line::EMPTY);
        }
        let line = &mut self.classes[class];
        self.len -= line.len();
        change(line);
        self.len += line.len();
        if line.is_empty() {
            self.mask &= !(1 << class);
        } else {
            self.mask |= 1 << class;
        }
    }
}
