//! What must be so of any heap at any time, from outside.
//!
//! The heap's `check()` looks at its books with its own eyes. This looks at
//! what everybody can see, recounts it with arithmetic of its own, and asks the
//! fake whether there is memory behind what is said to be backed.

use spanheap::{Page, PageRange, SpanState};

use super::scene::Scene;

/// The whole units of `unit` pages in a range: first and last but one page.
pub(super) fn inside(range: PageRange, unit: u32) -> std::ops::Range<u32> {
    let start = range.start().number().div_ceil(unit) * unit;
    let end = range.end().number() / unit * unit;
    start..end.max(start)
}

impl Scene {
    /// Checks the heap, recounts its counters, and looks at its memory.
    #[track_caller]
    pub(super) fn audit(&self) {
        self.check();
        self.recount();
        self.look_at_memory();
    }

    /// Recounts every counter of the present from the spans.
    #[track_caller]
    fn recount(&self) {
        let stats = self.stats();
        let geometry = stats.geometry;
        let physical = geometry.physical_pages().get();
        let huge = geometry.huge_pages();
        let (mut sys, mut in_use, mut released) = (0, 0, 0);
        let (mut huge_resident, mut huge_released) = (0, 0);
        let spans = self.spans();
        for info in &spans {
            let pages = info.range.count().get();
            let huge = huge.map_or(0, |huge| {
                inside(info.range, huge.get()).len() as u32 / huge.get()
            });
            sys += pages;
            match info.state {
                SpanState::InUse => in_use += pages,
                SpanState::Resident => huge_resident += huge,
                SpanState::Released => {
                    released += inside(info.range, physical).len() as u32;
                    huge_released += huge;
                }
                state => panic!("{state:?}, with no call in progress"),
            }
        }
        let counted = [
            stats.sys.get(),
            stats.in_use.get(),
            stats.idle.get(),
            stats.released.get(),
            stats.resident().get(),
            stats.huge_resident,
            stats.huge_released,
            stats.spans,
        ];
        let recounted = [
            sys,
            in_use,
            sys - in_use,
            released,
            sys - released,
            huge_resident,
            huge_released,
            spans.len() as u32,
        ];
        assert_eq!(
            counted,
            recounted,
            "{:?}: sys, in use, idle, released, resident, huge resident, \
             huge released, spans: counted, and recounted from {}",
            self.kind(),
            self.layout()
        );
        assert!(stats.spans <= stats.spans_peak && stats.spans_peak <= stats.slots);
    }

    /// Checks that there is memory behind every page that is said to be backed,
    /// and none behind those that are counted as released.
    #[track_caller]
    fn look_at_memory(&self) {
        let physical = self.window().geometry().physical_pages().get();
        for info in self.spans() {
            let released = match info.state {
                SpanState::Released => inside(info.range, physical),
                _ => 0..0,
            };
            for page in info.range.pages() {
                let expected = !released.contains(&page.number());
                assert_eq!(
                    self.fake().is_committed(page),
                    expected,
                    "{:?}: whether page {} is backed; in {}",
                    self.kind(),
                    page.number(),
                    self.layout()
                );
                if info.state != SpanState::InUse && !info.needs_zero {
                    assert!(
                        self.fake().would_read_zero(page),
                        "{:?}: page {} is said to read as zero; in {}",
                        self.kind(),
                        page.number(),
                        self.layout()
                    );
                }
            }
        }
    }

    /// Returns what a page of a span in use holds.
    pub(crate) fn read(&self, page: u32) -> Option<u64> {
        self.fake().read(Page::new(page))
    }
}
