//! The page map against a sorted list of where spans start.
//!
//! Spans come and go, move their start, and give it to another, in the ways in which
//! a heap does it. Where a span ends is nothing to the map.

use crate::input::Input;
use crate::span::{MapEntry, PageMap, Pool, Slot, SlotId};

const MOST_PAGES: u32 = 300;
const SLOTS: usize = 32;

/// A map over a pool, and the starts in order.
struct Pair<'m> {
    pool: Pool<'m>,
    map: PageMap<'m>,
    pages: u32,
    list: Vec<(u32, SlotId)>,
}

/// Runs one input.
pub fn run(data: &[u8]) {
    let mut input = Input::new(data);
    let pages = input.up_to(MOST_PAGES);
    let mut entries = vec![MapEntry::EMPTY; input.below(MOST_PAGES + 1) as usize];
    let count = entries.len();
    let mut slots = [Slot::VACANT; SLOTS];
    // The finest grain, a power of two up to 64, for which there are enough entries.
    let grain = (0..=6)
        .map(|shift| 1 << shift)
        .find(|grain| pages.div_ceil(*grain) as usize <= count);
    let map = PageMap::new(&mut entries, pages);
    assert_eq!(map.as_ref().map(PageMap::grain), grain);
    let Some(map) = map else {
        return;
    };
    let mut pair = Pair {
        pool: Pool::new(&mut slots, |what| panic!("{what:?}")),
        map,
        pages,
        list: Vec::new(),
    };
    while input.has_more() {
        match input.below(6) {
            0..=2 => pair.begin(&mut input),
            3 => pair.end(&mut input),
            4 => pair.carve(&mut input),
            _ => pair.shift(&mut input),
        }
        pair.check(&mut input);
    }
}

impl Pair<'_> {
    /// The lowest and the highest page at which the span at an index may start.
    fn room(&self, at: usize) -> (u32, u32) {
        let low = at.checked_sub(1).map_or(0, |prev| self.list[prev].0 + 1);
        let next = self.list.get(at + 1);
        (low, next.map_or(self.pages, |next| next.0) - 1)
    }

    /// A span starts where none did.
    fn begin(&mut self, input: &mut Input<'_>) {
        let start = input.below(self.pages);
        let Err(at) = self.list.binary_search_by_key(&start, |entry| entry.0) else {
            return;
        };
        let Some(id) = self.pool.take(start, start + 1) else {
            return;
        };
        let prev = at.checked_sub(1).map(|prev| self.list[prev].1);
        self.pool.link_after(id, prev);
        self.map.begin(&self.pool, id);
        self.list.insert(at, (start, id));
    }

    /// A span goes.
    fn end(&mut self, input: &mut Input<'_>) {
        if let Some(at) = input.index(&self.list) {
            let (_, id) = self.list.remove(at);
            self.map.end(&self.pool, id);
            self.pool.unlink(id);
            self.pool.give(id);
        }
    }

    /// A new span takes over where another started, which then starts later.
    fn carve(&mut self, input: &mut Input<'_>) {
        let Some(at) = input.index(&self.list) else {
            return;
        };
        let ((start, id), (_, last)) = (self.list[at], self.room(at));
        if start == last {
            return;
        }
        let Some(piece) = self.pool.take(start, start + 1) else {
            return;
        };
        self.map.replace(start, id, piece);
        self.pool.link_before(piece, id);
        self.list.insert(at, (start, piece));
        self.start_at(at + 1, start + input.up_to(last - start));
    }

    /// A span starts elsewhere, between its neighbours.
    fn shift(&mut self, input: &mut Input<'_>) {
        if let Some(at) = input.index(&self.list) {
            let (low, high) = self.room(at);
            self.start_at(at, low + input.below(high - low + 1));
        }
    }

    fn start_at(&mut self, at: usize, start: u32) {
        let id = self.list[at].1;
        self.map.end(&self.pool, id);
        self.pool.at_mut(id).start = start;
        self.map.begin(&self.pool, id);
        self.list[at].0 = start;
    }

    fn check(&self, input: &mut Input<'_>) {
        let grain = self.map.grain();
        let page = input.below(self.pages);
        let floor = self.list.iter().rfind(|entry| entry.0 <= page);
        assert_eq!(self.map.floor(&self.pool, page), floor.map(|entry| entry.1));
        // The first start of each grain, from one grain to the next.
        let mut starts = self.list.iter().peekable();
        let mut named = 0;
        for first in (0..self.pages).step_by(grain as usize) {
            let there = |entry: &&&(u32, SlotId)| entry.0 < first + grain;
            let entry = starts.next_if(|entry| there(&entry));
            while starts.next_if(|entry| there(&entry)).is_some() {}
            assert_eq!(self.map.entry_of(first), entry.map(|entry| entry.1));
            named += usize::from(entry.is_some());
        }
        assert_eq!(self.map.named(), named);
    }
}
