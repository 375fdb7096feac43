//! The tables of a heap's pages: taking pages away, and putting them back.
//!
//! Work goes by *piece*: what a range has of one 2 MiB, found by one walk. The
//! four steps that change a mapping are each half of a verb:
//!
//! ```text
//!              prepare, then hold                         reap
//!   ┌────────┐ ───────────────────► ┌──────┐ ─────────────────────► ┌───────┐
//!   │ mapped │                      │ held │   (frames given back)  │ empty │
//!   └────────┘ ◄─────────────────── └──────┘ ◄───────────────────── └───────┘
//!                    commit                          stage
//! ```
//!
//! Whatever can fail, `prepare` and `stage`, comes before anything changes that
//! the memory's owner could see: the others cannot fail. A source of frames
//! that keeps them, as the direct map does, has its released pages held; one
//! that does not has them empty, and then held is a page between the halves.
//!
//! A large mapping is split by one store, after its table is filled, so that
//! its other pages are mapped at every moment.
//!
//! Invariant: outside of one verb, entries in the window are mapped, or else
//! are as the source leaves what is released: held or empty.

use core::ops::Range;

use x86_64::PhysAddr;
use x86_64::structures::paging::page_table::PageTableFlags;

use crate::entry::{ENTRIES, Entry, Kind, Level};
use crate::error::Obstacle;
use crate::flush::Stale;
use crate::reserve::Reserve;
use crate::tables::{Table, Tables};

/// Where the frames behind virtual addresses come from.
pub trait Source {
    /// Whether a page's frame is the same for ever.
    const KEEPS: bool;

    /// Returns the frame to map at the virtual address `at`.
    fn take(&mut self, level: Level, at: u64) -> Option<PhysAddr>;

    /// Takes a frame back that no CPU can reach through this address any more.
    fn give(&mut self, level: Level, frame: PhysAddr);
}

/// What a walk may change on its way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Walk {
    /// Nothing.
    Look,
    /// It hangs in the tables that are missing.
    Make,
    /// It splits a mapping of 1 GiB.
    Split,
}

/// The tables, and what is needed to change them.
#[derive(Debug)]
pub(crate) struct Space<T, S, const N: usize> {
    pub(crate) tables: T,
    pub(crate) source: S,
    pub(crate) reserve: Reserve<N>,
    /// For pages that were never mapped; others keep what they had.
    pub(crate) flags: PageTableFlags,
}

/// Returns the pieces of a range of virtual addresses, in order.
pub(crate) fn pieces(range: &Range<u64>) -> impl Iterator<Item = Range<u64>> + use<> {
    let Range { mut start, end } = *range;
    core::iter::from_fn(move || {
        let from = start;
        let border = (from | (Level::Two.bytes() - 1)).saturating_add(1);
        start = border.min(end);
        (from < end).then_some(from..start)
    })
}

/// Returns whether a piece is a whole 2 MiB.
pub(crate) const fn is_whole(piece: &Range<u64>) -> bool {
    piece.end - piece.start == Level::Two.bytes()
}

/// Returns the entries of a piece in the table of its 2 MiB.
pub(crate) fn entries_of(piece: &Range<u64>) -> impl Iterator<Item = usize> + use<> {
    let first = Level::One.index(piece.start);
    let pages = (piece.end - piece.start) / Level::One.bytes();
    first..first + pages as usize
}

impl<T: Tables, S: Source, const N: usize> Space<T, S, N> {
    /// Splits what must be, so that [`hold`](Self::hold) can take exactly this
    /// range; nothing but mappings of 1 GiB, if not all of it can be.
    pub(crate) fn prepare(&mut self, range: &Range<u64>) -> Result<(), Obstacle> {
        let is_cut = |piece: &Range<u64>, entry: Entry| {
            entry.kind(Level::Two) == Kind::Leaf && !is_whole(piece)
        };
        let mut cuts = 0;
        for piece in pieces(range) {
            let Some(directory) = self.directory(piece.start, Walk::Split)? else {
                continue;
            };
            let entry = directory.get(Level::Two.index(piece.start));
            match entry.kind(Level::Two) {
                Kind::Leaf => cuts += usize::from(is_cut(&piece, entry)),
                Kind::Table => {
                    // Whether it can be reached.
                    self.table(entry)?;
                }
                Kind::Foreign => return Err(Obstacle::Foreign),
                Kind::Held | Kind::Empty => {}
            }
        }
        // The first and the last, at most.
        if cuts > self.reserve.len() {
            return Err(Obstacle::NoTable);
        }
        for piece in pieces(range) {
            let index = Level::Two.index(piece.start);
            if cuts > 0
                && let Some(directory) = self.found(piece.start)
                && is_cut(&piece, directory.get(index))
            {
                self.split(directory, index, Level::Two)?;
            }
        }
        Ok(())
    }

    /// Takes away what is mapped of a prepared range.
    pub(crate) fn hold(&mut self, range: &Range<u64>, stale: &mut Stale) {
        for piece in pieces(range) {
            let Some(directory) = self.found(piece.start) else {
                continue;
            };
            let index = Level::Two.index(piece.start);
            let entry = directory.get(index);
            match entry.kind(Level::Two) {
                Kind::Leaf if is_whole(&piece) => directory.set(index, entry.held()),
                Kind::Table => {
                    let Ok(table) = self.table(entry) else {
                        continue;
                    };
                    for index in entries_of(&piece) {
                        let entry = table.get(index);
                        if entry.kind(Level::One) == Kind::Leaf {
                            table.set(index, entry.held());
                        }
                    }
                }
                _ => continue,
            }
            stale.add(piece.start, piece.end);
        }
    }

    /// Sees to it that every page of the range is mapped or held. After an
    /// error some are held that were not.
    pub(crate) fn stage(&mut self, range: &Range<u64>) -> Result<(), Obstacle> {
        for piece in pieces(range) {
            // Without one, a mapping of 1 GiB is there already.
            if let Some(directory) = self.directory(piece.start, Walk::Make)? {
                self.stage_piece(directory, &piece)?;
            }
        }
        Ok(())
    }

    fn stage_piece(&mut self, directory: Table, piece: &Range<u64>) -> Result<(), Obstacle> {
        let index = Level::Two.index(piece.start);
        let entry = directory.get(index);
        let table = match entry.kind(Level::Two) {
            Kind::Leaf => return Ok(()),
            Kind::Held if is_whole(piece) => return Ok(()),
            Kind::Held => match self.split(directory, index, Level::Two) {
                Ok(table) => table,
                // All of it was the heap's, and its frame is here: to map the
                // rest, too, is better than to refuse memory that there is.
                Err(Obstacle::NoTable) if S::KEEPS => return Ok(()),
                Err(why) => return Err(why),
            },
            Kind::Empty => {
                if is_whole(piece)
                    && let Some(frame) = self.source.take(Level::Two, piece.start)
                {
                    let leaf = Entry::leaf(Level::Two, frame, self.flags);
                    directory.set(index, leaf.held());
                    return Ok(());
                }
                self.hang(directory, index, self.flags, |_| Entry::EMPTY)?
            }
            Kind::Table => self.table(entry)?,
            Kind::Foreign => return Err(Obstacle::Foreign),
        };
        let pages = (piece.start..piece.end).step_by(Level::One.bytes() as usize);
        for (index, at) in entries_of(piece).zip(pages) {
            match table.get(index).kind(Level::One) {
                Kind::Empty => {
                    let frame = self.source.take(Level::One, at).ok_or(Obstacle::NoFrame)?;
                    let leaf = Entry::leaf(Level::One, frame, self.flags);
                    table.set(index, leaf.held());
                }
                Kind::Foreign => return Err(Obstacle::Foreign),
                Kind::Leaf | Kind::Held | Kind::Table => {}
            }
        }
        Ok(())
    }

    /// Maps what is held of a range. Nothing need be flushed for it: what is
    /// not present is not cached.
    pub(crate) fn commit(&mut self, range: &Range<u64>) {
        for piece in pieces(range) {
            let Some(directory) = self.found(piece.start) else {
                continue;
            };
            let index = Level::Two.index(piece.start);
            let entry = directory.get(index);
            match entry.kind(Level::Two) {
                Kind::Held => directory.set(index, entry.restored()),
                Kind::Table => {
                    let Ok(table) = self.table(entry) else {
                        continue;
                    };
                    for index in entries_of(&piece) {
                        let entry = table.get(index);
                        if entry.kind(Level::One) == Kind::Held {
                            table.set(index, entry.restored());
                        }
                    }
                }
                _ => {}
            }
        }
    }

    /// Returns the table that has the entry for 2 MiB at the address, if there
    /// is one, or if the walk makes one.
    ///
    /// A mapping of 1 GiB is split for good: to take 2 MiB out of it and to put
    /// them back must not need a table each time.
    fn directory(&mut self, at: u64, walk: Walk) -> Result<Option<Table>, Obstacle> {
        let mut table = Table::root(&mut self.tables);
        for level in [Level::Four, Level::Three] {
            let index = level.index(at);
            let entry = table.get(index);
            table = match (entry.kind(level), walk) {
                (Kind::Table, _) => self.table(entry)?,
                (Kind::Empty, Walk::Make) => {
                    self.hang(table, index, self.flags, |_| Entry::EMPTY)?
                }
                (Kind::Empty, _) => return Ok(None),
                (Kind::Leaf, Walk::Split) if level == Level::Three => {
                    self.split(table, index, level)?
                }
                (Kind::Leaf, _) if level == Level::Three => return Ok(None),
                _ => return Err(Obstacle::Foreign),
            };
        }
        Ok(Some(table))
    }

    /// Returns the table that has the entry for 2 MiB at the address.
    pub(crate) fn found(&mut self, at: u64) -> Option<Table> {
        self.directory(at, Walk::Look).ok()?
    }

    /// Returns the table that an entry points to.
    pub(crate) fn table(&self, entry: Entry) -> Result<Table, Obstacle> {
        Table::of(&self.tables, entry.table_frame()).ok_or(Obstacle::Foreign)
    }

    /// Replaces a leaf, mapped or held, by a table of its parts.
    ///
    /// A mark that the processor sets on the leaf while the table is filled is
    /// lost; a heap's pages have no use for it.
    fn split(&mut self, table: Table, index: usize, level: Level) -> Result<Table, Obstacle> {
        let leaf = table.get(index);
        self.hang(table, index, leaf.flags(), |part| leaf.part(level, part))
    }

    /// Puts a table from the reserve into place, with these entries.
    fn hang(
        &mut self,
        above: Table,
        index: usize,
        below: PageTableFlags,
        entry: impl Fn(usize) -> Entry,
    ) -> Result<Table, Obstacle> {
        let frame = self.reserve.take().ok_or(Obstacle::NoTable)?;
        let Some(table) = Table::of(&self.tables, frame) else {
            self.reserve.put(frame);
            return Err(Obstacle::Foreign);
        };
        for index in 0..ENTRIES {
            table.set(index, entry(index));
        }
        above.set(index, Entry::table(frame, below));
        Ok(table)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::vec::Vec;

    #[test]
    fn a_range_falls_into_pieces_at_every_2_mib() {
        let two = Level::Two.bytes();
        let seen: Vec<_> = pieces(&(two - 4096..3 * two + 8192)).collect();
        assert_eq!(
            seen,
            [
                two - 4096..two,
                two..2 * two,
                2 * two..3 * two,
                3 * two..3 * two + 8192
            ]
        );
        assert_eq!(seen.iter().filter(|piece| is_whole(piece)).count(), 2);
        assert!(entries_of(&seen[0]).eq([511]));
        assert!(entries_of(&seen[1]).eq(0..512));
        assert!(entries_of(&seen[3]).eq([0, 1]));
        assert_eq!(pieces(&(two..two)).count(), 0);
    }

    #[test]
    fn the_last_piece_of_all_addresses_ends() {
        let end = u64::MAX - 4095;
        assert!(pieces(&(end - 4096..end)).eq(core::iter::once(end - 4096..end)));
    }
}
