//! The balloon's books, and what it does with idle pages.
//!
//! Three kinds of pages are remembered:
//!
//! | kind | the heap's view | where |
//! |---|---|---|
//! | held: the host wanted them (see `target`) | in use, by the balloon | `held` |
//! | inflated: idle, where there are no reports | released | `inflated` |
//! | stranded: reported, and neither answered nor let go | released | `stranded` |
//!
//! Pages that were reported and answered are remembered nowhere: they need
//! nothing to be used again.
//!
//! What if a device fails with pages in its hands? It is reset. Once it has
//! acknowledged that, it acts on nothing any more, and the pages are the
//! guest's again. Until then they may be discarded at any time, so the heap is
//! told that they are released, and a commit of them is refused: they are kept
//! from harm, and none is lost from the books. Whoever agreed to tell the host
//! before it uses pages of the balloon, and cannot any more, does not use them.
//!
//! Invariant: a page that the device may still discard, or that it must be told
//! of first, is held, inflated or stranded.

use core::ops::Range;

use spanheap::{PageRange, Window};

use crate::device::{Device, Features, PFN_BYTES};
use crate::fault::{Health, Queue};
use crate::inflated::Inflated;
use crate::machine::Machine;
use crate::options::{Holding, Options};
use crate::pieces::Cuts;
use crate::ring::{Access, Buffer, SIZE};
use crate::transport::BalloonTransport;

/// A started balloon.
pub(crate) struct Driver<'m, T> {
    pub(crate) device: Device<'m, T>,
    pub(crate) window: Window,
    pub(crate) options: Options,
    pub(crate) inflated: Inflated<'m>,
    pub(crate) held: Held<'m>,
    /// The pieces of the last report, if they are stranded.
    stranded: [Option<Buffer>; SIZE],
    /// Bytes ever given back while they were idle.
    pub(crate) released_bytes: u64,
    /// The target that was given up, and what was held then: see `relieve`.
    pub(crate) relieved: Option<(u32, u64)>,
}

/// The ranges that the host wanted: a stack in memory that the caller gave.
#[derive(Debug)]
pub(crate) struct Held<'m> {
    slots: &'m mut [Holding],
    len: usize,
    pages: u64,
}

impl<'m> Held<'m> {
    pub(crate) fn new(slots: &'m mut [Holding]) -> Self {
        slots.fill(Holding::EMPTY);
        Self {
            slots,
            len: 0,
            pages: 0,
        }
    }

    pub(crate) const fn pages(&self) -> u64 {
        self.pages
    }

    pub(crate) const fn is_full(&self) -> bool {
        self.len == self.slots.len()
    }

    /// Returns how many pages the range has that was added last.
    pub(crate) fn last_pages(&self) -> u32 {
        let last = self.slots.get(self.len.wrapping_sub(1));
        last.and_then(|holding| holding.0)
            .map_or(0, |range| range.count().get())
    }

    /// Adds a range; says no if there is no slot.
    pub(crate) fn push(&mut self, range: PageRange) -> bool {
        let Some(slot) = self.slots.get_mut(self.len) else {
            return false;
        };
        *slot = Holding(Some(range));
        self.len += 1;
        self.pages += u64::from(range.count().get());
        true
    }

    /// Takes the range that was added last.
    pub(crate) fn pop(&mut self) -> Option<PageRange> {
        let last = self.len.checked_sub(1)?;
        let range = self.slots.get_mut(last)?.0.take()?;
        self.len = last;
        self.pages -= u64::from(range.count().get());
        Some(range)
    }
}

impl<'m, T: BalloonTransport> Driver<'m, T> {
    pub(crate) fn new(
        device: Device<'m, T>,
        window: Window,
        options: Options,
        inflated: &'m mut [u64],
        held: &'m mut [Holding],
    ) -> Self {
        Self {
            device,
            window,
            options,
            inflated: Inflated::new(inflated, window.geometry().physical_pages()),
            held: Held::new(held),
            stranded: [None; SIZE],
            released_bytes: 0,
            relieved: None,
        }
    }

    /// Gives idle pages back; returns how many ranges, a prefix, count as
    /// released.
    pub(crate) fn unused(&mut self, machine: &impl Machine, ranges: &[PageRange]) -> usize {
        if self.device.features().contains(Features::PAGE_REPORTING) {
            self.report(machine, ranges)
        } else {
            let mut done = 0;
            for &range in ranges {
                if !self.inflate_idle(machine, range) {
                    break;
                }
                done += 1;
            }
            self.publish();
            done
        }
    }

    /// Makes idle pages usable again.
    pub(crate) fn used(&mut self, machine: &impl Machine, range: PageRange) -> Result<(), Why> {
        self.device.look_again();
        if self.is_stranded(range) {
            return Err(Why::Stranded);
        }
        while let Some(run) = self.inflated.first_run(range) {
            let bytes = self.window.bytes_of(run);
            let told = self.device.tell(
                machine,
                Queue::Deflate,
                bytes.start,
                bytes.end - bytes.start,
            );
            if told.is_err() && !self.device.need_not_be_told() {
                return Err(Why::Untold);
            }
            self.inflated.remove(run);
            self.restore(machine, run);
        }
        self.publish();
        Ok(())
    }

    /// Writes the kernel's pattern to pages that come out of the balloon, on
    /// whatever way, if free pages have one. Pages that were reported have it
    /// still: that is the promise of a host to which they are.
    pub(crate) fn restore(&self, machine: &impl Machine, range: PageRange) {
        let Some(pattern) = self.options.poison else {
            return;
        };
        let Range { start, end } = self.window.bytes_of(range);
        let first = machine.pointer(start).cast::<[u8; 4]>();
        for word in 0..(end - start) / 4 {
            let at = first.wrapping_add(word as usize);
            // SAFETY: whoever made the machine promised that the range is there,
            // in one piece; its pages are on their way back to the heap, from
            // the balloon alone.
            unsafe { at.write(pattern.to_le_bytes()) }
        }
    }

    /// Returns whether a commit of any page may need the device.
    pub(crate) fn keeps_pages(&self) -> bool {
        self.inflated.pages() > 0 || self.stranded.iter().any(Option::is_some)
    }

    /// Returns how many bytes are stranded.
    pub(crate) fn stranded_bytes(&self) -> u64 {
        let bytes = |piece: &Buffer| u64::from(piece.bytes);
        self.stranded.iter().flatten().map(bytes).sum()
    }

    /// Tells the host how much is in the balloon.
    pub(crate) fn publish(&mut self) {
        let pages = self.held.pages() + self.inflated.pages();
        let units = pages * self.window.geometry().page_bytes() / PFN_BYTES;
        self.device
            .set_actual(u32::try_from(units).unwrap_or(u32::MAX));
    }

    /// Reports ranges, as many descriptors at a time as the queue has.
    fn report(&mut self, machine: &impl Machine, ranges: &[PageRange]) -> usize {
        if self.device.health() != Health::Working {
            return 0;
        }
        let mut pieces = Cuts::new(self.window, ranges).peekable();
        let mut done = 0;
        while pieces.peek().is_some() {
            let mut batch = [NOTHING; SIZE];
            // The ranges that end in this batch, those that begin, its bytes.
            let (mut len, mut ended, mut begun, mut bytes) = (0, done, done, 0);
            for (to, piece) in batch.iter_mut().zip(&mut pieces) {
                to.physical = piece.bytes.start;
                to.bytes = (piece.bytes.end - piece.bytes.start) as u32;
                bytes += u64::from(to.bytes);
                begun = piece.range + 1;
                if piece.last {
                    ended = begun;
                }
                len += 1;
            }
            let batch = batch.get(..len).unwrap_or(&[]);
            if self.device.report(machine, batch).is_err() {
                if !self.device.may_still_act() {
                    return done;
                }
                for (slot, piece) in self.stranded.iter_mut().zip(batch) {
                    *slot = Some(*piece);
                }
                return begun;
            }
            self.released_bytes += bytes;
            done = ended;
        }
        done
    }

    /// Gives one idle range back by inflating; returns whether it counts as
    /// released.
    fn inflate_idle(&mut self, machine: &impl Machine, range: PageRange) -> bool {
        let works = self.device.health() == Health::Working;
        if !works || !self.inflated.has_room(range) {
            return false;
        }
        let bytes = self.window.bytes_of(range);
        let size = bytes.end - bytes.start;
        let told = self
            .device
            .tell(machine, Queue::Inflate, bytes.start, size)
            .is_ok();
        if told {
            self.released_bytes += size;
        }
        // If the device failed on the way, it may have some of the pages.
        let theirs = told || !self.device.need_not_be_told();
        match theirs {
            true => self.inflated.insert(range),
            false => self.restore(machine, range),
        }
        theirs
    }

    /// Returns whether the device may still discard some of these pages.
    fn is_stranded(&mut self, range: PageRange) -> bool {
        if !self.device.may_still_act() {
            self.stranded = [None; SIZE];
            return false;
        }
        let bytes = self.window.bytes_of(range);
        self.stranded.iter().flatten().any(|piece| {
            let end = piece.physical + u64::from(piece.bytes);
            piece.physical < bytes.end && bytes.start < end
        })
    }
}

/// Why pages are not committed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Why {
    /// The device may still discard them.
    Stranded,
    /// The device wants to be told first, and cannot be.
    Untold,
}

const NOTHING: Buffer = Buffer {
    physical: 0,
    bytes: 0,
    access: Access::DeviceWrites,
};
