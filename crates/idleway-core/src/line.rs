//! An intrusive doubly linked list over the entries of a `Vec`: a waiter or a slot leaves its middle in O(1).

/// No entry.
pub(crate) const NONE: u32 = u32::MAX;

/// The index of a new last entry of a `Vec` that has `len` entries.
pub(crate) fn index_of(len: usize) -> u32 {
    debug_assert!(len < NONE as usize, "2^32 entries do not fit in memory");
    #[expect(
        clippy::cast_possible_truncation,
        reason = "an entry is tens of bytes: 2^32 do not fit in memory"
    )]
    let index = len as u32;
    index
}

/// Where an entry stands in one line.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Links {
    prev: u32,
    next: u32,
}

impl Links {
    pub(crate) const NONE: Self = Self { prev: NONE, next: NONE };

    /// The entry behind.
    pub(crate) fn next(self) -> Option<u32> {
        (self.next != NONE).then_some(self.next)
    }
}

impl Default for Line {
    fn default() -> Self {
        Self::EMPTY
    }
}

/// One line of entries; `of` says which of an entry's links belong to it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Line {
    head: u32,
    tail: u32,
    len: u32,
}

impl Line {
    pub(crate) const EMPTY: Self = Self { head: NONE, tail: NONE, len: 0 };

    pub(crate) const fn len(&self) -> u32 {
        self.len
    }

    pub(crate) const fn is_empty(&self) -> bool {
        self.len == 0
    }

    pub(crate) fn first(&self) -> Option<u32> {
        (self.head != NONE).then_some(self.head)
    }

    pub(crate) fn last(&self) -> Option<u32> {
        (self.tail != NONE).then_some(self.tail)
    }

    pub(crate) fn push_back<T>(&mut self, entries: &mut [T], of: fn(&mut T) -> &mut Links, index: u32) {
        *of(&mut entries[index as usize]) = Links { prev: self.tail, next: NONE };
        if self.tail == NONE {
            self.head = index;
        } else {
            of(&mut entries[self.tail as usize]).next = index;
        }
        self.tail = index;
        self.len += 1;
    }

    pub(crate) fn push_front<T>(&mut self, entries: &mut [T], of: fn(&mut T) -> &mut Links, index: u32) {
        *of(&mut entries[index as usize]) = Links { prev: NONE, next: self.head };
        if self.head == NONE {
            self.tail = index;
        } else {
            of(&mut entries[self.head as usize]).prev = index;
        }
        self.head = index;
        self.len += 1;
    }

    /// Takes `index`, which stands in this line, out of it.
    pub(crate) fn remove<T>(&mut self, entries: &mut [T], of: fn(&mut T) -> &mut Links, index: u32) {
        let Links { prev, next } = std::mem::replace(of(&mut entries[index as usize]), Links::NONE);
        if prev == NONE {
            self.head = next;
        } else {
            of(&mut entries[prev as usize]).next = next;
        }
        if next == NONE {
            self.tail = prev;
        } else {
            of(&mut entries[next as usize]).prev = prev;
        }
        self.len -= 1;
    }

    /// The entries from the first to the last; `of` as above, for reading.
    pub(crate) fn iter<'a, T>(
        &self,
        entries: &'a [T],
        of: fn(&T) -> &Links,
    ) -> impl Iterator<Item = u32> + use<'a, T> {
        std::iter::successors(self.first(), move |&index| of(&entries[index as usize]).next())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entries_leave_from_anywhere() {
        let mut entries = vec![Links::NONE; 5];
        let mut line = Line::EMPTY;
        for index in [0, 1, 2, 3] {
            line.push_back(&mut entries, |links| links, index);
        }
        line.push_front(&mut entries, |links| links, 4);
        let order = |line: &Line, entries: &[Links]| line.iter(entries, |links| links).collect::<Vec<_>>();
        assert_eq!(order(&line, &entries), [4, 0, 1, 2, 3]);
        for (leaves, rest) in
            [(1, vec![4, 0, 2, 3]), (3, vec![4, 0, 2]), (4, vec![0, 2]), (0, vec![2]), (2, vec![])]
        {
            line.remove(&mut entries, |links| links, leaves);
            assert_eq!(order(&line, &entries), rest);
            assert_eq!(line.len() as usize, rest.len());
        }
        assert!(line.is_empty());
    }
}
