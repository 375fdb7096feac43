//! Following the host's target: one step at a time, in or out.
//!
//! The host says how much it wants in the balloon; whoever runs the kernel calls
//! `poll` now and then, and pages are taken from the heap and held, or given
//! back to it. Taken by allocation, so that they are in use like any others:
//! the heap need not know. What is taken first are whole huge pages.
//!
//! The heap is never called here, only between the steps: it calls the backing,
//! and the driver's lock must be free then.
//!
//! A target is a hostile number. It is cut to the kernel's own limit, to the
//! places there are, and to the budget of each call.

use spanheap::{PageCount, PageRange, Request};

use crate::device::{Features, PFN_BYTES};
use crate::driver::Driver;
use crate::fault::{Fault, Health, Queue};
use crate::machine::Machine;
use crate::options::Pieces;
use crate::transport::BalloonTransport;

/// Why a poll went no further.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum PollEnd {
    /// The balloon has the size that the host wants, as far as its pieces and
    /// the kernel's limit allow.
    Reached,
    /// The budget is spent.
    Budget,
    /// The heap has no more pages of that size.
    NoPages,
    /// There is no place for another span in the balloon's books.
    NoRoom,
    /// The device is broken. What need not be told to it was given back.
    Broken(Fault),
    /// There is no device.
    NotStarted,
}

/// What a poll did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub struct Poll {
    /// Pages that went into the balloon.
    pub inflated: PageCount,
    /// Pages that came out of it.
    pub deflated: PageCount,
    /// Why not more.
    pub end: PollEnd,
}

/// What is to be done next.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Step {
    Stop(PollEnd),
    /// Take a run for one of these requests, the first that succeeds.
    Inflate(Sizes),
    Deflate,
}

/// Runs to try, from large to small.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Sizes {
    next: Option<u32>,
    least: u32,
    page_bytes: u64,
}

impl Iterator for Sizes {
    type Item = Request;

    fn next(&mut self) -> Option<Request> {
        let pages = self.next?;
        // Eighths: four attempts from 512 pages to one.
        let smaller = (pages / 8).max(self.least);
        self.next = (smaller < pages).then_some(smaller);
        let bytes = u64::from(pages) * self.page_bytes;
        Some(Request::pages(PageCount::new(pages)).aligned(bytes))
    }
}

impl<T: BalloonTransport> Driver<'_, T> {
    /// Returns the next step towards the target, of at most `budget` pages.
    pub(crate) fn plan(&mut self, machine: &impl Machine, budget: u32) -> Step {
        self.device.look_again();
        // A device may also break by how it answers this.
        let units = match self.device.health() {
            Health::Broken { fault, .. } => Err(fault),
            _ => self.device.target(machine),
        };
        let units = match units {
            Ok(units) => units,
            Err(fault) => {
                return match self.held.pages() > 0 && self.device.need_not_be_told() {
                    true => Step::Deflate,
                    false => Step::Stop(PollEnd::Broken(fault)),
                };
            }
        };
        let geometry = self.window.geometry();
        let mut target = u64::from(units) * PFN_BYTES / geometry.page_bytes();
        target = target.min(u64::from(self.options.limit.get()));
        match self.relieved {
            Some((then, held)) if then == units => target = target.min(held),
            _ => self.relieved = None,
        }
        if self.held.pages() > target {
            return match self.held.last_pages() > budget {
                true => Step::Stop(PollEnd::Budget),
                false => Step::Deflate,
            };
        }
        let physical = geometry.physical_pages().get();
        let huge = geometry.huge_pages().map_or(physical, PageCount::get);
        let least = match self.options.pieces {
            Pieces::WholeHugePages => huge,
            Pieces::Any => physical,
        };
        let gap = u32::try_from(target - self.held.pages()).unwrap_or(u32::MAX);
        let size = if gap >= huge { huge } else { round(gap, least) };
        if size < least {
            Step::Stop(PollEnd::Reached)
        } else if size > budget {
            Step::Stop(PollEnd::Budget)
        } else if self.held.is_full() {
            Step::Stop(PollEnd::NoRoom)
        } else {
            Step::Inflate(Sizes {
                next: Some(size),
                least,
                page_bytes: geometry.page_bytes(),
            })
        }
    }

    /// Puts pages into the balloon; says whether they are held then.
    pub(crate) fn inflate(&mut self, machine: &impl Machine, range: PageRange) -> bool {
        let works = self.device.health() == Health::Working;
        if !works || self.held.is_full() {
            return false;
        }
        // Held also if the device failed: it may have some of the pages. The
        // next step lets them out, as soon as that may be.
        let _ = self.tell(machine, Queue::Inflate, range);
        let held = self.held.push(range);
        if held {
            self.publish();
        }
        held
    }

    /// Takes a range out of the balloon, to be given back to the heap.
    pub(crate) fn deflate(&mut self, machine: &impl Machine) -> Option<PageRange> {
        let range = self.held.pop()?;
        let told = self.tell(machine, Queue::Deflate, range);
        if told.is_err() && !self.device.need_not_be_told() {
            // There is a place: this range's own.
            self.held.push(range);
            return None;
        }
        self.restore(machine, range);
        self.publish();
        Some(range)
    }

    /// Returns whether the guest may take pages back against the host's wish.
    pub(crate) fn may_relieve(&mut self) -> bool {
        self.device.look_again();
        self.device.features().contains(Features::DEFLATE_ON_OOM) || self.device.need_not_be_told()
    }

    /// Remembers that pages were taken back, so that the next poll does not
    /// take them away again before the host asks for something else.
    pub(crate) fn remember_relief(&mut self, machine: &impl Machine) {
        if let Health::Working = self.device.health()
            && let Ok(units) = self.device.target(machine)
        {
            self.relieved = Some((units, self.held.pages()));
        }
    }

    fn tell(
        &mut self,
        machine: &impl Machine,
        queue: Queue,
        range: PageRange,
    ) -> Result<(), Fault> {
        let bytes = self.window.bytes_of(range);
        self.device
            .tell(machine, queue, bytes.start, bytes.end - bytes.start)
    }
}

/// Rounds down to a power of two; to 0 if that is less than `least`, which is
/// one too.
const fn round(pages: u32, least: u32) -> u32 {
    if pages < least {
        return 0;
    }
    1 << (31 - pages.leading_zeros())
}
