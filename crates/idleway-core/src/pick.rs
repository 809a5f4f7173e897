//! Which backend serves next: a tournament over the backends' shares.
//!
//! A complete binary tree in an array. A leaf is a backend: its share (how much of it is taken) and the mask of the
//! cores that one of its idle slots keeps a connection of. An inner node holds the least share below it, and the
//! union of the masks of the backends *that have this share*. So the root tells at once how low the lowest share is
//! and whether a connection of the asker's core is to be had at that share, and one walk down finds it: O(log n),
//! one tree for all cores, no allocation.

use std::cmp::Ordering;

/// The share of a backend that may not be picked.
pub(crate) const INELIGIBLE: u32 = u32::MAX;

/// `taken / slots` in parts of 2^32 - 1; [`INELIGIBLE`] when nothing is idle. Shares of backends with more than
/// 65,536 slots may compare equal where they differ by less than one slot.
pub(crate) fn share(taken: u32, slots: u32) -> u32 {
    if taken >= slots {
        return INELIGIBLE;
    }
    u32::try_from(u64::from(taken) * u64::from(INELIGIBLE) / u64::from(slots)).unwrap_or(INELIGIBLE)
}

#[derive(Debug)]
pub(crate) struct Tournament {
    /// How many leaves, a power of two; leaf `i` is node `width + i`, the root is node 1.
    width: usize,
    shares: Vec<u32>,
    masks: Vec<u64>,
}

impl Tournament {
    pub(crate) fn new() -> Self {
        let mut tournament = Self { width: 0, shares: Vec::new(), masks: Vec::new() };
        tournament.grow(1);
        tournament
    }

    /// Picks among the backends of the lowest share: those that keep a connection of the core `near`, else those
    /// that keep any, else all; among these the first at or after `from`, in a circle.
    pub(crate) fn pick(&self, near: u32, from: u32) -> Option<u32> {
        let wanted = Wanted {
            share: self.shares[1],
            mask: match self.masks[1] {
                0 => 0,
                any if any & (1 << near) != 0 => 1 << near,
                _ => u64::MAX,
            },
        };
        if wanted.share == INELIGIBLE {
            return None;
        }
        self.first(&wanted, from as usize).or_else(|| self.first(&wanted, 0))
    }

    /// Sets a backend's share and the mask of its kept connections.
    pub(crate) fn set(&mut self, index: u32, share: u32, kept: u64) {
        let mut node = self.width + index as usize;
        let (mut share, mut mask) = (share, if share == INELIGIBLE { 0 } else { kept });
        while (self.shares[node], self.masks[node]) != (share, mask) {
            self.shares[node] = share;
            self.masks[node] = mask;
            if node == 1 {
                break;
            }
            node /= 2;
            (share, mask) = self.winner(node);
        }
    }

    /// Makes room for `len` backends; new ones are ineligible.
    pub(crate) fn grow(&mut self, len: usize) {
        let width = len.next_power_of_two();
        if width <= self.width {
            return;
        }
        let (mut shares, mut masks) = (vec![INELIGIBLE; 2 * width], vec![0; 2 * width]);
        shares[width..width + self.width].copy_from_slice(&self.shares[self.width..]);
        masks[width..width + self.width].copy_from_slice(&self.masks[self.width..]);
        *self = Self { width, shares, masks };
        for node in (1..width).rev() {
            (self.shares[node], self.masks[node]) = self.winner(node);
        }
    }

    /// What a backend was last set to.
    pub(crate) fn leaf(&self, index: u32) -> (u32, u64) {
        let node = self.width + index as usize;
        (self.shares[node], self.masks[node])
    }

    /// The first backend at or after `from` that is wanted.
    fn first(&self, wanted: &Wanted, from: usize) -> Option<u32> {
        if from >= self.width {
            return None;
        }
        let mut node = self.width + from;
        while !self.has(wanted, node) {
            // To the next subtree on the right; past the last one this climbs beyond the root, to 0.
            while node % 2 == 1 {
                node /= 2;
            }
            if node == 0 {
                return None;
            }
            node += 1;
        }
        while node < self.width {
            node *= 2;
            if !self.has(wanted, node) {
                node += 1;
            }
        }
        u32::try_from(node - self.width).ok()
    }

    fn has(&self, wanted: &Wanted, node: usize) -> bool {
        self.shares[node] == wanted.share && (wanted.mask == 0 || self.masks[node] & wanted.mask != 0)
    }

    /// What an inner node holds, by its two children.
    fn winner(&self, node: usize) -> (u32, u64) {
        let (left, right) = (2 * node, 2 * node + 1);
        match self.shares[left].cmp(&self.shares[right]) {
            Ordering::Less => (self.shares[left], self.masks[left]),
            Ordering::Greater => (self.shares[right], self.masks[right]),
            Ordering::Equal => (self.shares[left], self.masks[left] | self.masks[right]),
        }
    }
}

/// What a walk looks for: the lowest share, and one of these masks (0: whatever the mask).
struct Wanted {
    share: u32,
    mask: u64,
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn shares_compare_like_fractions() {
        assert_eq!(share(0, 0), INELIGIBLE);
        assert_eq!(share(3, 3), INELIGIBLE);
        assert_eq!(share(u32::MAX, 1), INELIGIBLE);
        assert_eq!(share(1, 2), share(2, 4));
        assert!(share(1, 3) < share(1, 2));
        assert!(share(u32::MAX - 1, u32::MAX) < INELIGIBLE);
    }

    #[test]
    fn equals_are_picked_in_turn() {
        let mut tournament = Tournament::new();
        tournament.grow(5);
        for index in [0, 2, 3] {
            tournament.set(index, 7, 0);
        }
        tournament.set(4, 8, u64::MAX);
        let turns: Vec<_> = (0..5).map(|from| tournament.pick(0, from)).collect();
        assert_eq!(turns, [Some(0), Some(2), Some(2), Some(3), Some(0)]);
    }

    /// What `pick` promises, said naively.
    fn naive(leaves: &[(u32, u64)], near: u32, from: usize) -> Option<u32> {
        let least = leaves.iter().map(|leaf| leaf.0).min().filter(|&share| share != INELIGIBLE)?;
        let lowest: Vec<usize> = (0..leaves.len()).filter(|&i| leaves[i].0 == least).collect();
        let of = |mask: u64| lowest.iter().copied().filter(|&i| leaves[i].1 & mask != 0).collect::<Vec<_>>();
        let wanted = [of(1 << near), of(u64::MAX), lowest.clone()].into_iter().find(|set| !set.is_empty())?;
        let pick = wanted.iter().find(|&&i| i >= from).or(wanted.first())?;
        u32::try_from(*pick).ok()
    }

    proptest! {
        #[test]
        fn picks_like_a_naive_search(
            len in 1_usize..40,
            sets in prop::collection::vec((0_usize..40, 0_u32..4, 0_u64..8), 1..60),
            picks in prop::collection::vec((0_u32..4, 0_usize..70), 8),
        ) {
            let mut tournament = Tournament::new();
            let mut leaves = vec![(INELIGIBLE, 0); len];
            for (index, share, mask) in sets {
                // Room is made as backends come, not beforehand.
                let index = index % len;
                tournament.grow(index + 1);
                let share = if share == 3 { INELIGIBLE } else { share };
                tournament.set(u32::try_from(index).unwrap(), share, mask);
                leaves[index] = (share, if share == INELIGIBLE { 0 } else { mask });
                for &(near, from) in &picks {
                    prop_assert_eq!(
                        tournament.pick(near, u32::try_from(from).unwrap()),
                        naive(&leaves, near, from)
                    );
                }
            }
        }
    }
}
