//! A heap over the fake, with every verb followed by an audit.

use spanheap::backing::fake::FakeBacking;
use spanheap::region::MemoryMap;
use spanheap::{
    AllocAtError, AllocError, Budget, FreeError, LockedHeap, PageCount, PageHeap, PageRange,
    RegionError, Release, Request, Residency, ResizeError, Rest, Span, SpanInfo, Stats, Window,
};

use super::text::{self, Piece};
use super::{Kind, count, pages};

/// Either heap: the same verbs.
pub(super) enum AnyHeap {
    Owned(PageHeap<'static, FakeBacking>),
    Locked(LockedHeap<'static, FakeBacking>),
}

/// Calls the same verb of either heap.
macro_rules! either {
    ($heap:expr, $name:ident => $call:expr) => {
        match $heap {
            AnyHeap::Owned($name) => $call,
            AnyHeap::Locked($name) => $call,
        }
    };
}

/// A heap, its backing, and the handles to what its layout had in use.
pub(crate) struct Scene {
    heap: AnyHeap,
    fake: FakeBacking,
    window: Window,
    held: Vec<Span>,
}

/// A locked heap that threads and hooks may call, and what a scene knew of it.
/// It lives as long as the tests, which is what a hook wants.
pub(crate) struct Shared {
    pub(crate) heap: &'static LockedHeap<'static, FakeBacking>,
    pub(crate) fake: FakeBacking,
    held: Vec<Span>,
}

impl Shared {
    /// Returns the handle to the span in use that the layout had at `page`.
    #[track_caller]
    pub(crate) fn held(&self, page: u32) -> Span {
        *self
            .held
            .iter()
            .find(|span| span.range().start().number() == page)
            .expect("the layout has a span in use there")
    }
}

/// Returns a locked heap's layout as text, whatever is in progress.
pub(crate) fn layout_of(heap: &LockedHeap<'_, FakeBacking>) -> String {
    let pieces: Vec<_> = heap.spans().map(|info| Piece::from(&info)).collect();
    text::layout(&pieces)
}

/// Everything that can be seen of a heap and its memory from outside.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Snapshot {
    pub(crate) stats: Stats,
    pub(crate) spans: Vec<SpanInfo>,
    /// What each page holds, if there is memory behind it.
    pub(crate) contents: Vec<Option<u64>>,
}

impl Snapshot {
    /// The same without what counts events: hook calls, changes of the treap,
    /// and the most slots ever taken at once.
    pub(crate) fn without_history(mut self) -> Self {
        self.stats.used_calls = 0;
        self.stats.unused_calls = 0;
        self.stats.zero_calls = 0;
        self.stats.treap_inserts = 0;
        self.stats.treap_removals = 0;
        self.stats.spans_peak = 0;
        self
    }
}

impl Scene {
    pub(super) const fn new(heap: AnyHeap, fake: FakeBacking, window: Window) -> Self {
        Self {
            heap,
            fake,
            window,
            held: Vec::new(),
        }
    }

    pub(crate) const fn kind(&self) -> Kind {
        match self.heap {
            AnyHeap::Owned(_) => Kind::Owned,
            AnyHeap::Locked(_) => Kind::Locked,
        }
    }

    pub(crate) const fn fake(&self) -> &FakeBacking {
        &self.fake
    }

    pub(crate) const fn window(&self) -> &Window {
        &self.window
    }

    /// Returns the address of a page; also of one behind the window.
    pub(crate) const fn address(&self, page: u32) -> u64 {
        self.window.origin() + self.window.geometry().bytes(PageCount::new(page))
    }

    /// Gives up the scene for its locked heap, to be called from anywhere.
    pub(crate) fn share(self) -> Shared {
        match self.heap {
            AnyHeap::Locked(heap) => Shared {
                heap: Box::leak(Box::new(heap)),
                fake: self.fake,
                held: self.held,
            },
            AnyHeap::Owned(_) => panic!("an owned heap has one owner"),
        }
    }

    pub(super) fn hold(&mut self, span: Span) {
        self.held.push(span);
    }

    /// Returns the handle to the span in use that the layout has at `page`.
    #[track_caller]
    pub(crate) fn held(&self, page: u32) -> Span {
        *self
            .held
            .iter()
            .find(|span| span.range().start().number() == page)
            .expect("the layout has a span in use there")
    }
}

/// The verbs.
impl Scene {
    /// A verb, and the audit behind it.
    #[track_caller]
    fn audited<R>(&self, result: R) -> R {
        self.audit();
        result
    }

    #[track_caller]
    pub(crate) fn add_region(
        &mut self,
        range: PageRange,
        residency: Residency,
    ) -> Result<(), RegionError> {
        // SAFETY: nobody owns the pages of a fake; they are entries of a vector.
        let result = either!(&mut self.heap, heap => unsafe { heap.add_region(range, residency) });
        if result.is_ok() {
            self.fake.add(range, residency);
        }
        self.audited(result)
    }

    #[track_caller]
    pub(crate) fn add_memory(
        &mut self,
        map: &MemoryMap<'_>,
        residency: Residency,
    ) -> Result<PageCount, RegionError> {
        // SAFETY: nobody owns the pages of a fake; they are entries of a vector.
        let result = either!(&mut self.heap, heap => unsafe { heap.add_memory(map, residency) });
        if result.is_ok() {
            for range in map.ranges(&self.window) {
                self.fake.add(range, residency);
            }
        }
        self.audited(result)
    }

    #[track_caller]
    pub(crate) fn alloc(&mut self, request: impl Into<Request>) -> Result<Span, AllocError> {
        let result = either!(&mut self.heap, heap => heap.alloc(request));
        self.audited(result)
    }

    /// Takes this many pages, anywhere.
    #[track_caller]
    pub(crate) fn take(&mut self, count: u32) -> Span {
        self.alloc(pages(count)).expect("there is room")
    }

    #[track_caller]
    pub(crate) fn alloc_at(&mut self, page: u32, pages: u32) -> Result<Span, AllocAtError> {
        self.alloc_at_address(self.address(page), pages)
    }

    #[track_caller]
    pub(crate) fn alloc_at_address(
        &mut self,
        address: u64,
        pages: u32,
    ) -> Result<Span, AllocAtError> {
        let result = either!(&mut self.heap, heap => heap.alloc_at(address, count(pages)));
        self.audited(result)
    }

    #[track_caller]
    pub(crate) fn free(&mut self, span: Span) -> Result<(), FreeError> {
        let result = either!(&mut self.heap, heap => heap.free(span));
        self.audited(result)
    }

    #[track_caller]
    pub(crate) fn free_at(&mut self, page: u32, pages: u32) -> Result<(), FreeError> {
        self.free_at_address(self.address(page), pages)
    }

    #[track_caller]
    pub(crate) fn free_at_address(&mut self, address: u64, pages: u32) -> Result<(), FreeError> {
        let result = either!(&mut self.heap, heap => heap.free_at(address, count(pages)));
        self.audited(result)
    }

    #[track_caller]
    pub(crate) fn free_part(&mut self, span: Span, part: PageRange) -> Result<Rest, FreeError> {
        let result = either!(&mut self.heap, heap => heap.free_part(span, part));
        self.audited(result)
    }

    #[track_caller]
    pub(crate) fn free_part_at(&mut self, page: u32, pages: u32) -> Result<(), FreeError> {
        self.free_part_at_address(self.address(page), pages)
    }

    #[track_caller]
    pub(crate) fn free_part_at_address(
        &mut self,
        address: u64,
        pages: u32,
    ) -> Result<(), FreeError> {
        let result = either!(&mut self.heap, heap => heap.free_part_at(address, count(pages)));
        self.audited(result)
    }

    #[track_caller]
    pub(crate) fn shrink(&mut self, span: Span, pages: u32) -> Result<Span, ResizeError> {
        let result = either!(&mut self.heap, heap => heap.shrink(span, count(pages)));
        self.audited(result)
    }

    #[track_caller]
    pub(crate) fn grow(&mut self, span: Span, pages: u32) -> Result<Span, ResizeError> {
        let result = either!(&mut self.heap, heap => heap.grow(span, count(pages)));
        self.audited(result)
    }

    #[track_caller]
    pub(crate) fn release(&mut self, budget: Budget) -> Release {
        let result = either!(&mut self.heap, heap => heap.release(budget));
        self.audited(result)
    }

    #[track_caller]
    pub(crate) fn release_all(&mut self) -> Release {
        let result = either!(&mut self.heap, heap => heap.release_all());
        self.audited(result)
    }

    pub(crate) fn stats(&self) -> Stats {
        either!(&self.heap, heap => heap.stats())
    }

    pub(crate) fn spans(&self) -> Vec<SpanInfo> {
        either!(&self.heap, heap => heap.spans().collect())
    }

    pub(crate) fn span_of(&self, address: u64) -> Option<SpanInfo> {
        either!(&self.heap, heap => heap.span_of(address))
    }

    /// Fails if the heap says that its books are wrong.
    #[track_caller]
    pub(super) fn check(&self) {
        if let Err(broken) = either!(&self.heap, heap => heap.check()) {
            panic!("{:?}: {broken}\n  {}", self.kind(), self.layout());
        }
    }
}

/// What became of it.
impl Scene {
    /// Returns the layout as text.
    pub(crate) fn layout(&self) -> String {
        text::layout(&self.pieces())
    }

    fn pieces(&self) -> Vec<Piece> {
        self.spans().iter().map(Piece::from).collect()
    }

    /// Fails unless the heap is in this layout.
    #[track_caller]
    pub(crate) fn is(&self, layout: &str) {
        let (expected, found) = (text::pieces(layout), self.pieces());
        assert!(
            expected == found,
            "{:?}: not the layout expected\n{}",
            self.kind(),
            text::difference(&expected, &found)
        );
    }

    /// Fails unless these were the hook calls since this was asked last.
    #[track_caller]
    pub(crate) fn hooks(&self, calls: &str) {
        let found = text::hooks(&self.fake.take_log());
        assert_eq!(
            calls,
            found,
            "{:?}: not the hook calls expected; now {}",
            self.kind(),
            self.layout()
        );
    }

    pub(crate) fn snapshot(&self) -> Snapshot {
        let contents = self.window.pages().get();
        Snapshot {
            stats: self.stats(),
            spans: self.spans(),
            contents: (0..contents)
                .map(|page| self.fake.read(spanheap::Page::new(page)))
                .collect(),
        }
    }

    /// Fails unless everything is as in `before`.
    #[track_caller]
    pub(crate) fn is_as(&self, before: &Snapshot) {
        let expected: Vec<_> = before.spans.iter().map(Piece::from).collect();
        let found = self.pieces();
        assert!(
            expected == found,
            "{:?}: not as before\n{}",
            self.kind(),
            text::difference(&expected, &found)
        );
        assert_eq!(*before, self.snapshot(), "{:?}", self.kind());
    }

    /// Fails unless everything but what counts events is as in `before`.
    #[track_caller]
    pub(crate) fn is_as_but_for_history(&self, before: &Snapshot) {
        assert_eq!(
            before.clone().without_history(),
            self.snapshot().without_history(),
            "{:?}: {}",
            self.kind(),
            self.layout()
        );
    }
}
