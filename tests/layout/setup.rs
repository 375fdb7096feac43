//! What a heap is made over, and how it is brought into a layout.

use spanheap::backing::fake::{FakeBacking, Reuse};
use spanheap::{
    Budget, Geometry, LockedHeap, MapEntry, Metadata, PageHeap, Residency, Slot, Window,
};

use super::scene::{AnyHeap, Scene};
use super::text;
use super::{count, range};

/// A page in bytes.
pub(crate) const PAGE: u64 = 4096;

/// Physical pages of half a page, one, two and eight pages.
pub(crate) const PHYSICAL: [u64; 4] = [PAGE / 2, PAGE, 2 * PAGE, 8 * PAGE];

/// The two heaps with the same verbs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// [`PageHeap`].
    Owned,
    /// [`LockedHeap`].
    Locked,
}

/// What is decided before there is a heap.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Setup {
    /// A physical page in bytes.
    pub(crate) physical: u64,
    /// A huge page in pages, or 0.
    pub(crate) huge: u32,
    /// The window's first address.
    pub(crate) origin: u64,
    /// Slots of the pool; `None`: one for each page.
    pub(crate) slots: Option<u32>,
    /// Pages to an entry of the page map.
    pub(crate) grain: u32,
    /// What becomes of released memory.
    pub(crate) reuse: Reuse,
    /// Pages of the window behind the layout.
    pub(crate) spare: u32,
}

impl Setup {
    /// Pages and physical pages of 4 KiB, no huge ones; a slot for every page.
    pub(crate) const PLAIN: Self = Self {
        physical: PAGE,
        huge: 0,
        origin: 1 << 30,
        slots: None,
        grain: 1,
        reuse: Reuse::Scribbles,
        spare: 0,
    };

    /// The same with huge pages of 8 pages.
    pub(crate) const HUGE: Self = Self {
        huge: 8,
        ..Self::PLAIN
    };

    /// The same as [`PLAIN`](Self::PLAIN) with physical pages of `pages` pages.
    pub(crate) const fn physical(pages: u32) -> Self {
        Self {
            physical: pages as u64 * PAGE,
            ..Self::PLAIN
        }
    }

    /// Returns a window of this many pages.
    pub(crate) fn window(&self, pages: u32) -> Window {
        let huge = u64::from(self.huge) * PAGE;
        let geometry = Geometry::new(PAGE, self.physical, huge).expect("sizes that go together");
        Window::new(geometry, self.origin, count(pages)).expect("a valid window")
    }

    /// Returns books of its own for a window. Tests end before it matters that
    /// nobody takes them back.
    pub(crate) fn books(&self, window: &Window) -> Metadata<'static> {
        let pages = window.pages().get();
        let slots = vec![Slot::VACANT; self.slots.unwrap_or(pages) as usize];
        let map = vec![MapEntry::EMPTY; pages.div_ceil(self.grain) as usize];
        Metadata::new(slots.leak(), map.leak())
    }

    /// Makes a heap in this layout, with one region for each contiguous part.
    ///
    /// The idle pages need zeroing, but for released ones over a backing that
    /// zeroes. The fake's log is empty; its pages in use hold their own number.
    pub(crate) fn scene(&self, kind: Kind, layout: &str) -> Scene {
        let regions = text::regions(layout);
        let end = regions.last().and_then(|pieces| pieces.last());
        let window = self.window(end.map_or(0, text::Piece::end) + self.spare);
        let fake = FakeBacking::new(window).with_reuse(self.reuse);
        let books = self.books(&window);
        let heap = match kind {
            Kind::Owned => {
                AnyHeap::Owned(PageHeap::new(window, books, fake.clone()).expect("good books"))
            }
            Kind::Locked => {
                AnyHeap::Locked(LockedHeap::new(window, books, fake.clone()).expect("good books"))
            }
        };
        let mut scene = Scene::new(heap, fake, window);
        self.arrange(&mut scene, &regions);
        scene.is(layout);
        let _ = scene.fake().take_log();
        scene
    }

    /// Brings a new heap into a layout: everything in use, then what is to be
    /// released freed and released, then what is to be resident freed.
    fn arrange(&self, scene: &mut Scene, regions: &[Vec<text::Piece>]) {
        let mut taken = Vec::new();
        for region in regions {
            let (first, last) = (region[0], region[region.len() - 1]);
            scene
                .add_region(range(first.start, last.end()), Residency::Resident)
                .expect("a layout is made of good regions");
            for piece in region {
                let span = scene
                    .alloc_at(piece.start, piece.len)
                    .expect("nothing is in use yet");
                taken.push((piece.state, span));
            }
        }
        for state in ['s', 'r'] {
            for &(_, span) in taken.iter().filter(|(of, _)| *of == state) {
                scene.free(span).expect("it was handed out just now");
            }
            if state == 's' {
                let _ = scene.release(Budget::ALL);
            }
        }
        for &(_, span) in taken.iter().filter(|(of, _)| *of == 'U') {
            for page in span.range().pages() {
                let number = page.number();
                scene
                    .fake()
                    .write(range(number, number + 1), u64::from(number));
            }
            scene.hold(span);
        }
    }

    /// Runs a test over both kinds of heap.
    pub(crate) fn both(&self, layout: &str, test: impl Fn(Scene)) {
        test(self.scene(Kind::Owned, layout));
        test(self.scene(Kind::Locked, layout));
    }
}
