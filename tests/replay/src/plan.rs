//! How large everything is, and whether the machine can hold it.

use std::fs;

use spanheap::{Geometry, Page, PageCount, PageRange, Window};
use spanheap_hosted::{HostedBacking, HostedError};

use crate::books::{self, Books};
use crate::error::Error;
use crate::options::{HeapKind, Options};
use crate::trace::Trace;

/// The sizes of a run.
pub(crate) struct Plan {
    /// The page sizes.
    pub(crate) geometry: Geometry,
    /// The pages that the heap manages.
    pub(crate) pages: PageCount,
    slots: u32,
    grain: u32,
    cpus: usize,
}

impl Plan {
    pub(crate) fn new(options: &Options, trace: &Trace) -> Result<Self, Error> {
        let usual = Geometry::SMALL_PAGES.physical_bytes();
        let geometry = books::geometry(trace.page_bytes(), usual).ok_or(Error::Window {
            pages: trace.header.peak_live_pages,
        })?;
        let peak = trace.header.peak_live_pages.max(1);
        let pages = match options.range_pages {
            Some(pages) => u64::from(pages),
            None => peak.saturating_mul(2),
        };
        let unit = u64::from(geometry.physical_pages().get());
        let pages = pages.checked_next_multiple_of(unit).unwrap_or(u64::MAX);
        // One less than can be numbered, for the end of the last page.
        let pages = u32::try_from(pages)
            .ok()
            .filter(|&pages| pages < u32::MAX)
            .ok_or(Error::Window { pages })?;
        let usual = trace
            .peak_pieces
            .saturating_mul(2)
            .saturating_add(pages / 64 + 64);
        Ok(Self {
            geometry,
            pages: PageCount::new(pages),
            slots: options.slots.unwrap_or_else(|| usual.min(pages)),
            grain: options.map_grain,
            // The thread that looks on is one, too.
            cpus: usize::from(options.threads) + 1,
        })
    }

    /// Reserves the address space.
    pub(crate) fn reserve(&self) -> Result<HostedBacking, Error> {
        match HostedBacking::reserve(self.geometry, self.pages) {
            Err(HostedError::PhysicalPage { system, .. }) => {
                // A system of larger pages than usual.
                let geometry = books::geometry(self.geometry.page_bytes(), system);
                let geometry = geometry.unwrap_or(self.geometry);
                HostedBacking::reserve(geometry, self.pages).map_err(Error::Hosted)
            }
            reserved => reserved.map_err(Error::Hosted),
        }
    }

    pub(crate) fn books(&self, options: &Options, window: &Window) -> Result<Books, Error> {
        let too_large = Error::Window {
            pages: u64::from(self.pages.get()),
        };
        let books = Books::new(window, self.slots, self.grain);
        let books = match options.heap {
            HeapKind::Shared => books.and_then(|books| books.shared(window, self.cpus)),
            HeapKind::Page | HeapKind::Locked => books,
        };
        books.ok_or(too_large)
    }

    /// Returns the window of a timing pass: page numbers, and no memory.
    pub(crate) fn numbers(&self) -> Result<(Window, PageRange), Error> {
        let window = books::window(self.geometry, self.pages);
        let range = PageRange::new(Page::new(0), self.pages);
        window.zip(range).ok_or(Error::Window {
            pages: u64::from(self.pages.get()),
        })
    }
}

/// Refuses what would end in the kernel's out-of-memory killer. Says nothing
/// if the system does not say how much there is.
pub(crate) fn enough_memory(bytes: u64) -> Result<(), Error> {
    let Ok(text) = fs::read_to_string("/proc/meminfo") else {
        return Ok(());
    };
    let available = text
        .lines()
        .find_map(|line| line.strip_prefix("MemAvailable:"))
        .and_then(|rest| rest.trim().strip_suffix("kB"))
        .and_then(|kib| kib.trim().parse::<u64>().ok());
    match available {
        // With an eighth on top, for what is idle between live blocks.
        Some(kib) if bytes.saturating_add(bytes / 8) >> 10 > kib => Err(Error::Memory {
            needed: bytes >> 20,
            available: kib >> 10,
        }),
        _ => Ok(()),
    }
}
