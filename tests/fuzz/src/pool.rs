//! The span pool against a list of what is vacant, and one of what is linked.

use crate::input::Input;
use crate::span::{Link, Pool, Slot, SlotId};

const MOST_SLOTS: u32 = 24;

/// A pool, and two lists that say the same.
struct Pair<'m> {
    pool: Pool<'m>,
    slots: u32,
    /// Given back, the last one last.
    vacant: Vec<SlotId>,
    fresh: u32,
    /// Taken, and in no list.
    loose: Vec<(SlotId, u32)>,
    /// Taken and linked, in order.
    linked: Vec<(SlotId, u32)>,
    reserved: u32,
    peak: u32,
}

/// Runs one input.
pub fn run(data: &[u8]) {
    let mut input = Input::new(data);
    let mut slots = vec![Slot::VACANT; input.below(MOST_SLOTS + 1) as usize];
    let mut pair = Pair {
        slots: slots.len() as u32,
        pool: Pool::new(&mut slots, |what| panic!("{what:?}")),
        vacant: Vec::new(),
        fresh: 0,
        loose: Vec::new(),
        linked: Vec::new(),
        reserved: 0,
        peak: 0,
    };
    let mut step = 0;
    while input.has_more() {
        step += 1;
        match input.below(8) {
            0 | 1 => pair.take(step),
            2 => pair.give(&mut input),
            3..=5 => pair.link(&mut input),
            6 => pair.unlink(&mut input),
            _ => pair.reserve(&mut input),
        }
        pair.check();
    }
}

impl Pair<'_> {
    fn taken(&self) -> u32 {
        (self.loose.len() + self.linked.len()) as u32
    }

    fn take(&mut self, start: u32) {
        let expected = if self.slots - self.taken() == self.reserved {
            None
        } else if let Some(id) = self.vacant.pop() {
            Some(id)
        } else {
            self.fresh += 1;
            SlotId::at(self.fresh - 1)
        };
        let end = start.wrapping_add(3);
        assert_eq!(self.pool.take(start, end), expected);
        if let Some(id) = expected {
            let slot = self.pool.at(id);
            assert!(slot.marks.is_empty() && slot.len == 3 && slot.end() == end);
            assert_eq!((slot.prev, slot.next, slot.parent), (None, None, None));
            self.loose.push((id, start));
        }
        self.peak = self.peak.max(self.taken());
    }

    fn give(&mut self, input: &mut Input<'_>) {
        if let Some(at) = input.index(&self.loose) {
            let (id, _) = self.loose.swap_remove(at);
            self.pool.give(id);
            self.vacant.push(id);
        }
    }

    /// Links what is loose behind or before any, or first.
    fn link(&mut self, input: &mut Input<'_>) {
        let Some(at) = input.index(&self.loose) else {
            return;
        };
        let (id, start) = self.loose.swap_remove(at);
        let at = input.below(self.linked.len() as u32 + 1) as usize;
        match self.linked.get(at) {
            Some(&(next, _)) if input.any() => self.pool.link_before(id, next),
            _ => {
                let prev: Link = at.checked_sub(1).map(|prev| self.linked[prev].0);
                self.pool.link_after(id, prev);
            }
        }
        self.linked.insert(at, (id, start));
    }

    fn unlink(&mut self, input: &mut Input<'_>) {
        if let Some(at) = input.index(&self.linked) {
            let (id, start) = self.linked.remove(at);
            self.pool.unlink(id);
            self.loose.push((id, start));
        }
    }

    fn reserve(&mut self, input: &mut Input<'_>) {
        let count = match input.below(8) {
            0 => u32::MAX,
            few => few,
        };
        if input.any() {
            self.pool.unreserve(count);
            self.reserved = self.reserved.saturating_sub(count);
        } else {
            let enough = self.slots - self.taken() - self.reserved >= count;
            assert_eq!(self.pool.reserve(count), enough);
            self.reserved += if enough { count } else { 0 };
        }
    }

    fn check(&self) {
        let pool = &self.pool;
        assert_eq!(pool.slots(), self.slots);
        assert_eq!(pool.taken(), self.taken());
        assert_eq!(pool.vacant(), self.slots - self.taken() - self.reserved);
        assert_eq!(pool.peak(), self.peak);
        let mut prev = None;
        let mut at = pool.first();
        for &(id, _) in &self.linked {
            assert_eq!(at, Some(id));
            assert_eq!(pool.at(id).prev, prev);
            (prev, at) = (at, pool.at(id).next);
        }
        assert_eq!(at, None);
        for &(id, start) in self.loose.iter().chain(&self.linked) {
            assert_eq!(pool.at(id).start, start, "it is another's");
        }
    }
}
