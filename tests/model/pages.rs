//! The naive model of a page heap: one cell per page, every question answered
//! by looking at all of them.
//!
//! It keeps no spans. What the heap stores as a free span is here a longest run
//! of cells of one region and one residency, so that "merged", "realigned" and
//! "no two neighbours alike" are true by construction, and a heap that forgets
//! one of them differs from the model.
//!
//! Invariant ([`Model::settle`]): every released run holds a whole physical
//! page, and where it touches a resident run the seam lies on a physical page.

use spanheap::{Page, PageCount, PageRange, Residency, Window};

use super::range;

/// One page.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Cell {
    /// Belongs to no region.
    Unmanaged,
    /// Part of the span with this number.
    InUse(u32),
    Resident,
    Released,
}

impl Cell {
    pub(crate) const fn is_free(self) -> bool {
        matches!(self, Self::Resident | Self::Released)
    }
}

/// Neighbouring pages of one region that are alike: a span.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Run {
    pub(crate) range: PageRange,
    pub(crate) cell: Cell,
}

/// What the heap's counters must say.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Counts {
    pub(crate) in_use: u32,
    pub(crate) idle: u32,
    pub(crate) released: u32,
    pub(crate) huge_resident: u32,
    pub(crate) huge_released: u32,
    pub(crate) spans: u32,
}

/// Where a run of pages may lie.
#[derive(Clone, Debug)]
pub(crate) struct Wanted {
    pub(crate) pages: u32,
    pub(crate) align: u64,
    pub(crate) within: core::ops::Range<u64>,
}

/// All pages of a window.
#[derive(Clone, Debug)]
pub(crate) struct Model {
    window: Window,
    cells: Vec<Cell>,
    /// The region of each page; 0 for none. Regions never merge.
    regions: Vec<u32>,
    /// Whether a page may hold anything but zeroes, as far as a heap can know.
    dirty: Vec<bool>,
    /// What was released reads as zero.
    zeroes: bool,
    last_region: u32,
    last_span: u32,
}

impl Model {
    pub(crate) fn new(window: Window) -> Self {
        let pages = window.pages().get() as usize;
        Self {
            window,
            cells: vec![Cell::Unmanaged; pages],
            regions: vec![0; pages],
            dirty: vec![true; pages],
            zeroes: false,
            last_region: 0,
            last_span: 0,
        }
    }

    /// Of a backing under which released memory reads as zero, if `zeroes`.
    pub(crate) fn over(self, zeroes: bool) -> Self {
        Self { zeroes, ..self }
    }

    /// Whether a run of free pages is to be zeroed by whoever needs zeroes.
    pub(crate) fn needs_zero(&self, run: PageRange) -> bool {
        self.dirty[indices(run)].contains(&true)
    }

    pub(crate) const fn window(&self) -> &Window {
        &self.window
    }

    pub(crate) fn cells(&self) -> &[Cell] {
        &self.cells
    }

    pub(crate) fn cells_of(&self, range: PageRange) -> &[Cell] {
        &self.cells[indices(range)]
    }

    /// Whether all these pages are managed, and in one region.
    pub(crate) fn is_one_region(&self, range: PageRange) -> bool {
        let regions = &self.regions[indices(range)];
        regions[0] != 0 && regions.iter().all(|&region| region == regions[0])
    }

    /// Whether none of these pages is managed.
    pub(crate) fn is_unmanaged(&self, range: PageRange) -> bool {
        self.cells_of(range)
            .iter()
            .all(|&cell| cell == Cell::Unmanaged)
    }

    /// Whether one of these pages is not managed.
    pub(crate) fn has_unmanaged(&self, range: PageRange) -> bool {
        self.cells_of(range).contains(&Cell::Unmanaged)
    }

    /// Whether one of these pages is in use.
    pub(crate) fn has_in_use(&self, range: PageRange) -> bool {
        self.cells_of(range)
            .iter()
            .any(|cell| matches!(cell, Cell::InUse(_)))
    }

    /// Whether these pages can be handed out together.
    pub(crate) fn is_free(&self, range: PageRange) -> bool {
        self.is_one_region(range) && self.cells_of(range).iter().all(|cell| cell.is_free())
    }

    /// The longest runs of alike pages of one region, in address order: the
    /// spans that a heap must have.
    pub(crate) fn runs(&self) -> Vec<Run> {
        let mut runs = Vec::new();
        let mut start = 0;
        for page in 1..=self.cells.len() {
            let same = page < self.cells.len()
                && self.cells[page] == self.cells[start]
                && self.regions[page] == self.regions[start];
            if !same {
                if self.cells[start] != Cell::Unmanaged {
                    runs.push(Run {
                        range: range(start as u32, page as u32),
                        cell: self.cells[start],
                    });
                }
                start = page;
            }
        }
        runs
    }

    pub(crate) fn counts(&self) -> Counts {
        let mut counts = Counts::default();
        for Run { range, cell } in self.runs() {
            let (pages, huge) = (range.count().get(), self.huge_inside(range));
            counts.spans += 1;
            match cell {
                Cell::Unmanaged => {}
                Cell::InUse(_) => counts.in_use += pages,
                Cell::Resident => {
                    counts.idle += pages;
                    counts.huge_resident += huge;
                }
                Cell::Released => {
                    counts.idle += pages;
                    counts.released += self.physical_inside(range).map_or(0, |r| r.count().get());
                    counts.huge_released += huge;
                }
            }
        }
        counts
    }

    pub(crate) fn add_region(&mut self, range: PageRange, residency: Residency) {
        self.last_region += 1;
        let cell = match residency {
            Residency::Resident => Cell::Resident,
            Residency::Released => Cell::Released,
        };
        self.cells[indices(range)].fill(cell);
        self.regions[indices(range)].fill(self.last_region);
        self.dirty[indices(range)].fill(!(self.zeroes && residency == Residency::Released));
    }

    /// Where first fit must put a request: the lowest place in a single span,
    /// or, if there is none, the lowest in free pages of either residency.
    pub(crate) fn find(&self, wanted: &Wanted) -> Option<PageRange> {
        self.lowest(wanted, |one, other| one == other)
            .or_else(|| self.lowest(wanted, |_, _| true))
    }

    /// The most pages that can be handed out in one piece.
    pub(crate) fn longest(&self) -> u32 {
        let (mut longest, mut length) = (0, 0);
        for page in 0..self.cells.len() {
            let goes_on = page > 0 && self.regions[page] == self.regions[page - 1];
            length = match (self.cells[page].is_free(), goes_on) {
                (false, _) => 0,
                (true, false) => 1,
                (true, true) => length + 1,
            };
            longest = longest.max(length);
        }
        longest
    }

    /// The lowest run of free pages of which each is `alike` to the next.
    fn lowest(&self, wanted: &Wanted, alike: impl Fn(Cell, Cell) -> bool) -> Option<PageRange> {
        let (mut found, mut length) = (None, 0);
        for page in (0..self.cells.len()).rev() {
            let goes_on = page + 1 < self.cells.len()
                && self.regions[page] == self.regions[page + 1]
                && alike(self.cells[page], self.cells[page + 1]);
            length = match (self.cells[page].is_free(), goes_on) {
                (false, _) => 0,
                (true, false) => 1,
                (true, true) => length + 1,
            };
            if length >= wanted.pages {
                let place = range(page as u32, page as u32 + wanted.pages);
                if self.is_fit(wanted, place) {
                    found = Some(place);
                }
            }
        }
        found
    }

    /// Whether pages have the alignment and the window that are asked for.
    fn is_fit(&self, wanted: &Wanted, place: PageRange) -> bool {
        let bytes = self.window.bytes_of(place);
        bytes.start.is_multiple_of(wanted.align)
            && bytes.start >= wanted.within.start
            && bytes.end <= wanted.within.end
    }

    /// Whether a request could be served if every page of the window were free.
    pub(crate) fn could_serve(&self, wanted: &Wanted) -> bool {
        let pages = self.window.pages().get();
        (0..=pages.saturating_sub(wanted.pages))
            .filter(|&start| start + wanted.pages <= pages)
            .any(|start| self.is_fit(wanted, range(start, start + wanted.pages)))
    }

    /// The released parts of a range, each of which must be committed before
    /// the range is handed out.
    pub(crate) fn released_parts(&self, within: PageRange) -> Vec<PageRange> {
        self.runs()
            .into_iter()
            .filter(|run| run.cell == Cell::Released)
            .filter_map(|run| run.range.intersection(within))
            .collect()
    }

    /// Hands free pages out as a new span, and returns its number.
    pub(crate) fn take(&mut self, range: PageRange) -> u32 {
        assert!(self.is_free(range), "the model hands out {range:?} twice");
        self.last_span += 1;
        self.cells[indices(range)].fill(Cell::InUse(self.last_span));
        self.settle();
        self.last_span
    }

    /// Adds free pages to the span with this number.
    pub(crate) fn take_more(&mut self, range: PageRange, span: u32) {
        assert!(self.is_free(range), "the model hands out {range:?} twice");
        self.cells[indices(range)].fill(Cell::InUse(span));
        self.settle();
    }

    /// Gives the pages behind a part of a span a number of their own.
    pub(crate) fn renumber(&mut self, range: PageRange) -> u32 {
        self.last_span += 1;
        self.cells[indices(range)].fill(Cell::InUse(self.last_span));
        self.last_span
    }

    /// Takes pages back: idle, resident.
    pub(crate) fn give(&mut self, range: PageRange) {
        self.dirty[indices(range)].fill(true);
        self.cells[indices(range)].fill(Cell::Resident);
        self.settle();
    }

    /// Notes that idle pages were committed, and not handed out after all.
    pub(crate) fn commit(&mut self, range: PageRange) {
        self.cells[indices(range)].fill(Cell::Resident);
        self.settle();
    }

    /// Releases whole physical pages of a resident run.
    ///
    /// Beside them, at an end of the run, may be pages that are no whole
    /// physical page. Whether they go along, and count for nothing, is the
    /// heap's choice: `along` tells it.
    pub(crate) fn release(&mut self, range: PageRange, along: impl Fn(Page) -> bool) {
        let run = self.run_at(range);
        self.cells[indices(range)].fill(Cell::Released);
        self.dirty[indices(range)].fill(!self.zeroes);
        let ends = [
            PageRange::between(run.start(), range.start()),
            PageRange::between(range.end(), run.end()),
        ];
        for end in ends.into_iter().flatten() {
            if self.physical_inside(end).is_none() && along(end.start()) {
                self.cells[indices(end)].fill(Cell::Released);
            }
        }
        self.settle();
    }

    /// The run that a range lies in.
    pub(crate) fn run_at(&self, range: PageRange) -> PageRange {
        let run = self.runs().into_iter().find(|run| run.range.covers(range));
        run.expect("the range lies in one run").range
    }

    /// Of a run of free pages is known only whether all of it is zero.
    fn soil(&mut self) {
        for Run { range, cell } in self.runs() {
            if cell.is_free() {
                let dirty = self.needs_zero(range);
                self.dirty[indices(range)].fill(dirty);
            }
        }
    }

    /// Restores the invariant after pages became resident or in use.
    ///
    /// A released run gives the part of a physical page that it cannot use to
    /// the resident run beside it, and is resident if nothing whole is left.
    fn settle(&mut self) {
        self.soil();
        for Run { range: run, cell } in self.runs() {
            if cell != Cell::Released {
                continue;
            }
            let (start, end) = (run.start().number(), run.end().number());
            let resident = |page: u32, beside: u32| {
                self.cells.get(page as usize) == Some(&Cell::Resident)
                    && self.regions[page as usize] == self.regions[beside as usize]
            };
            let new_start = match start.checked_sub(1) {
                Some(before) if resident(before, start) => self.physical_up(start),
                _ => start,
            };
            let new_end = match resident(end, end - 1) {
                true => self.physical_down(end),
                false => end,
            };
            let keeps =
                new_start < new_end && self.physical_inside(range(new_start, new_end)).is_some();
            let cells = &mut self.cells[indices(run)];
            match keeps {
                true => {
                    cells[..(new_start - start) as usize].fill(Cell::Resident);
                    cells[(new_end - start) as usize..].fill(Cell::Resident);
                }
                false => cells.fill(Cell::Resident),
            }
        }
        self.soil();
    }

    /// How many pages a physical page has; 1 if it is the smaller one.
    pub(crate) fn physical(&self) -> u32 {
        let geometry = self.window.geometry();
        (geometry.physical_bytes() / geometry.page_bytes()).max(1) as u32
    }

    fn physical_down(&self, page: u32) -> u32 {
        page / self.physical() * self.physical()
    }

    fn physical_up(&self, page: u32) -> u32 {
        page.div_ceil(self.physical()) * self.physical()
    }

    /// The whole physical pages of a range.
    pub(crate) fn physical_inside(&self, of: PageRange) -> Option<PageRange> {
        let start = self.physical_up(of.start().number());
        let end = self.physical_down(of.end().number());
        (start < end).then(|| range(start, end))
    }

    /// How many pages a huge page has, if there are any.
    pub(crate) fn huge(&self) -> Option<u32> {
        self.window.geometry().huge_pages().map(PageCount::get)
    }

    /// The whole huge pages of a range.
    pub(crate) fn huge_pages_of(&self, of: PageRange) -> Vec<PageRange> {
        self.huge().map_or(Vec::new(), |huge| whole(huge, of))
    }

    /// The whole physical pages of a range, one by one.
    pub(crate) fn physical_pages_of(&self, of: PageRange) -> Vec<PageRange> {
        whole(self.physical(), of)
    }

    fn huge_inside(&self, of: PageRange) -> u32 {
        self.huge_pages_of(of).len() as u32
    }
}

/// The aligned pieces of so many pages that lie in a range.
fn whole(unit: u32, of: PageRange) -> Vec<PageRange> {
    (of.start().number().div_ceil(unit)..of.end().number() / unit)
        .map(|index| range(index * unit, (index + 1) * unit))
        .collect()
}

fn indices(range: PageRange) -> core::ops::Range<usize> {
    range.start().number() as usize..range.end().number() as usize
}
