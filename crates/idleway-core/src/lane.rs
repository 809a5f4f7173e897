//! One lane of the line: who came when, and whose turn it is.
//!
//! In a lane each key has a line of its own, its *flow*. The lane keeps the flows in order of their turns: by the
//! virtual times of the keys, and among equals by how long the first of a flow has waited. Where all are to be
//! served in the order they came, the virtual times count as equal, and that is the order.

use std::collections::BTreeSet;

use crate::line::Line;

/// The order of those who wait in one lane.
#[derive(Debug, Default)]
pub(crate) struct Turns {
    /// All that wait in it, in the order they came.
    pub(crate) arrivals: Line,
    /// The flows whose keys may have a slot.
    turns: BTreeSet<Turn>,
    /// All flows, by their length; nothing where keys do not share.
    crowds: BTreeSet<Crowd>,
}

/// Those of one key who wait in one lane.
#[derive(Debug, Default)]
pub(crate) struct Flow {
    /// In the order they came.
    pub(crate) line: Line,
    turn: Option<Turn>,
    crowd: Option<Crowd>,
}

/// The place of a flow among the flows of a lane, the least first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Turn {
    pub(crate) virtual_time: u64,
    /// The number of the arrival of its first.
    pub(crate) first: u64,
    pub(crate) account: u32,
}

/// How crowded a flow is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Crowd {
    pub(crate) len: u32,
    /// The number of the arrival of its last.
    pub(crate) last: u64,
    pub(crate) account: u32,
}

impl Turns {
    /// The account whose turn it is.
    pub(crate) fn next(&self) -> Option<u32> {
        self.turns.first().map(|turn| turn.account)
    }

    /// The longest flow, among equals the one with the newest waiter.
    pub(crate) fn longest(&self) -> Option<Crowd> {
        self.crowds.last().copied()
    }

    /// Sets where a flow stands, after any change of it or of its key.
    pub(crate) fn place(&mut self, flow: &mut Flow, turn: Option<Turn>, crowd: Option<Crowd>) {
        if flow.turn != turn {
            flow.turn.map(|before| self.turns.remove(&before));
            self.turns.extend(turn);
            flow.turn = turn;
        }
        if flow.crowd != crowd {
            flow.crowd.map(|before| self.crowds.remove(&before));
            self.crowds.extend(crowd);
            flow.crowd = crowd;
        }
    }

    /// Forgets whose turn it is: all flows are to be placed anew.
    pub(crate) fn clear(&mut self) {
        self.turns.clear();
        self.crowds.clear();
    }

    /// Checks that exactly these flows have turns, and that these are as long.
    pub(crate) fn check(&self, turns: &BTreeSet<Turn>, crowds: &BTreeSet<Crowd>) {
        assert_eq!(&self.turns, turns);
        assert_eq!(&self.crowds, crowds);
    }
}
