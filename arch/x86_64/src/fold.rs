//! Tables that are no longer needed: found, unhooked, and put by again.
//!
//! A table whose 512 pages are all mapped, or all held, just as one mapping of
//! 2 MiB would have them is replaced by that. Where frames are not kept, only
//! an empty table goes: one whose pages came one by one is no large frame, even
//! if they happen to lie side by side, since they go back one by one.
//!
//! A processor may have cached that an entry points to a table. So a table that
//! was unhooked waits in [`Retired`] until the flush of its batch, and only
//! then goes back to the reserve. Only tables that came from there are touched:
//! others may lie in memory that the kernel means to use for something else.
//!
//! Invariant: the reserve keeps room for every table in [`Retired`].

use core::ops::Range;

use x86_64::structures::paging::PhysFrame;

use crate::entry::{Entry, Kind, Level};
use crate::flush::Stale;
use crate::space::{Source, Space, entries_of, is_whole, pieces};
use crate::tables::{Table, Tables};

/// The most tables that go before one flush. More are done in another round.
pub(crate) const ROUND: usize = 64;

/// Tables that were unhooked, and may still be in some processor's cache.
#[derive(Debug)]
pub(crate) struct Retired {
    frames: [Option<PhysFrame>; ROUND],
    len: usize,
}

impl Retired {
    pub(crate) const fn new() -> Self {
        Self {
            frames: [None; ROUND],
            len: 0,
        }
    }

    const fn is_full(&self) -> bool {
        self.len == ROUND
    }

    fn push(&mut self, frame: PhysFrame) {
        if let Some(place) = self.frames.get_mut(self.len) {
            *place = Some(frame);
            self.len += 1;
        }
    }
}

/// Whether all was done that could be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Folded {
    /// Yes.
    All,
    /// No more tables can be retired before the next flush.
    Full,
}

impl<T: Tables, S: Source, const N: usize> Space<T, S, N> {
    /// Unhooks the tables in a range that are not needed. `mine` are the
    /// addresses of the batch.
    pub(crate) fn fold(
        &mut self,
        range: &Range<u64>,
        mine: impl Fn(u64) -> bool,
        retired: &mut Retired,
        stale: &mut Stale,
    ) -> Folded {
        for piece in pieces(range) {
            let Some(directory) = self.found(piece.start) else {
                continue;
            };
            let index = Level::Two.index(piece.start);
            let entry = directory.get(index);
            if !entry.is_our_table() {
                continue;
            }
            let Ok(table) = self.table(entry) else {
                continue;
            };
            let Some(instead) = Self::instead_of(table, piece.start, &mine) else {
                continue;
            };
            if retired.is_full() {
                return Folded::Full;
            }
            if !self.reserve.promise() {
                return Folded::All;
            }
            directory.set(index, instead);
            retired.push(entry.table_frame());
            let start = piece.start & !(Level::Two.bytes() - 1);
            stale.add(start, start.saturating_add(Level::Two.bytes()));
        }
        Folded::All
    }

    /// Returns what can stand in a table's place, if anything can.
    fn instead_of(table: Table, at: u64, mine: impl Fn(u64) -> bool) -> Option<Entry> {
        if S::KEEPS {
            let whole = table.get(0).whole()?;
            let kind = whole.kind(Level::Two);
            let same =
                |(index, entry): (usize, Entry)| entry.says_as(whole.part(Level::Two, index));
            let all =
                matches!(kind, Kind::Leaf | Kind::Held) && table.entries().enumerate().all(same);
            return all.then(|| whole.touched());
        }
        // What this batch holds goes with the table; what another CPU's batch
        // holds will be looked for there.
        let start = at & !(Level::Two.bytes() - 1);
        let gone = |(index, entry): (usize, Entry)| match entry.kind(Level::One) {
            Kind::Empty => true,
            Kind::Held => mine(start + index as u64 * Level::One.bytes()),
            _ => false,
        };
        let all = table.entries().enumerate().all(gone);
        all.then_some(Entry::EMPTY)
    }

    /// Puts retired tables by, after the flush, and gives back the frames that
    /// they remember.
    pub(crate) fn redeem(&mut self, retired: &mut Retired) {
        for frame in retired.frames.iter_mut().take(retired.len) {
            let Some(frame) = frame.take() else {
                continue;
            };
            if !S::KEEPS
                && let Some(table) = Table::of(&self.tables, frame)
            {
                for entry in table.entries() {
                    if entry.kind(Level::One) == Kind::Held {
                        self.source.give(Level::One, entry.address(Level::One));
                    }
                }
            }
            self.reserve.redeem(frame);
        }
        retired.len = 0;
    }

    /// Gives back the frames of what is held in a range, if the source takes
    /// them. No CPU may have them cached.
    pub(crate) fn reap(&mut self, range: &Range<u64>) {
        if S::KEEPS {
            return;
        }
        for piece in pieces(range) {
            let Some(directory) = self.found(piece.start) else {
                continue;
            };
            let index = Level::Two.index(piece.start);
            let entry = directory.get(index);
            match entry.kind(Level::Two) {
                Kind::Held if is_whole(&piece) => {
                    directory.set(index, Entry::EMPTY);
                    self.source.give(Level::Two, entry.address(Level::Two));
                }
                Kind::Table => {
                    let Ok(table) = self.table(entry) else {
                        continue;
                    };
                    for index in entries_of(&piece) {
                        let entry = table.get(index);
                        if entry.kind(Level::One) == Kind::Held {
                            table.set(index, Entry::EMPTY);
                            self.source.give(Level::One, entry.address(Level::One));
                        }
                    }
                }
                _ => {}
            }
        }
    }
}
