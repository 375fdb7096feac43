//! The steps: each calls one verb, once, and what it should have come to is checked.

use spanheap::{Budget, Class, FreeError, PageCount, PageRange, Request};

use crate::setup::{PAGE, WINDOW, pages, range};
use crate::tally::Verb;
use crate::verbs::Verbs;
use crate::worker::{Live, Worker};

impl<V: Verbs> Worker<'_, V> {
    /// How long a run: mostly one page; otherwise any order of magnitude alike.
    fn length(&mut self) -> u32 {
        match self.random.below(32) {
            0..=26 => 1,
            27..=30 => self.random.log_uniform(5),
            _ => self.random.log_uniform(11),
        }
    }

    /// Any page of the window, by its number.
    fn any_page(&mut self) -> u32 {
        self.random.below(WINDOW)
    }

    fn address(&self, page: u32) -> u64 {
        self.scene.window.address_of(spanheap::Page::new(page))
    }

    pub(crate) fn alloc(&mut self, verb: Verb) {
        let pages = self.length();
        let classes = [Class::Movable, Class::Unmovable, Class::Reclaimable];
        let class = classes[self.random.below(3) as usize];
        let request = Request::pages(PageCount::new(pages)).class(class);
        let align = PAGE << self.random.below(11);
        let low = self.any_page();
        let high = low + 1 + self.random.below(WINDOW - low);
        let within = self.address(low)..self.address(high);
        let request = match verb {
            Verb::AllocAligned => request.aligned(align),
            Verb::AllocWithin => request.within(within.clone()),
            Verb::AllocZeroed => request.zeroed(),
            _ => request,
        };
        match self.heap.alloc(request) {
            Ok(block) => {
                self.tally.note(verb);
                let got = V::range(block);
                assert_eq!(got.count().get(), pages);
                let bytes = self.scene.window.bytes_of(got);
                match verb {
                    Verb::AllocAligned => assert_eq!(bytes.start % align, 0, "{got:?}"),
                    Verb::AllocWithin => {
                        assert!(
                            within.start <= bytes.start && bytes.end <= within.end,
                            "{got:?}"
                        );
                    }
                    Verb::AllocZeroed => self.scene.backing.assert_zero(got),
                    _ => {}
                }
                self.own(block);
            }
            Err(why) => {
                self.tally.deny(why);
                self.is_full();
            }
        }
    }

    pub(crate) fn alloc_at(&mut self) {
        let page = self.any_page();
        let pages = PageCount::new(self.length());
        match self.heap.alloc_at(self.address(page), pages) {
            Ok(block) => {
                self.tally.note(Verb::AllocAt);
                assert_eq!(V::range(block), range(page, page + pages.get()));
                self.own(block);
            }
            Err(why) => self.tally.deny(why),
        }
    }

    /// Frees all of it, in one of three ways.
    pub(crate) fn free(&mut self, live: Live<V::Block>) {
        let block = V::range(live.block);
        self.scene.backing.give_up(block, live.stamp);
        let address = self.address(block.start().number());
        let (verb, freed) = match self.random.below(8) {
            0..=3 => (Verb::Free, self.heap.free(live.block)),
            4..=6 => (Verb::FreeAt, self.heap.free_at(address, block.count())),
            _ => {
                let freed = self.heap.free_part_at(address, block.count());
                (Verb::FreePartAt, freed)
            }
        };
        freed.unwrap_or_else(|why| panic!("{verb:?} of {block:?}: {why}"));
        self.tally.note(verb);
        self.freed = Some(live.block);
    }

    pub(crate) fn free_part(&mut self, live: Live<V::Block>) {
        let block = V::range(live.block);
        let (start, pages) = (block.start().number(), block.count().get());
        let from = self.random.below(pages);
        let to = from + 1 + self.random.below(pages - from);
        let part = range(start + from, start + to);
        self.scene.backing.give_up(part, live.stamp);
        match self.heap.free_part(live.block, part) {
            Ok(rest) => {
                self.tally.note(Verb::FreePart);
                let sides = [(0, from), (to, pages)];
                for (block, (from, to)) in rest.into_iter().zip(sides) {
                    let range = (from < to).then(|| range(start + from, start + to));
                    assert_eq!(block.map(V::range), range, "beside {part:?}");
                    let stamp = live.stamp;
                    block
                        .into_iter()
                        .for_each(|block| self.keep(Live { block, stamp }));
                }
            }
            Err(FreeError::NoSlot) => {
                self.tally.deny(spanheap::AllocError::NoSlot);
                self.scene.backing.claim(part, live.stamp);
                self.keep(live);
            }
            Err(other) => panic!("{part:?} of {block:?}: {other}"),
        }
    }

    pub(crate) fn shrink(&mut self, live: Live<V::Block>) {
        let block = V::range(live.block);
        let to = PageCount::new(1 + self.random.below(block.count().get()));
        let kept = PageRange::new(block.start(), to).expect("a part of it");
        let tail = PageRange::between(kept.end(), block.end());
        let stamp = live.stamp;
        if let Some(tail) = tail {
            self.scene.backing.give_up(tail, stamp);
        }
        match self.heap.shrink(live.block, to) {
            Ok(block) => {
                self.tally.note(Verb::Shrink);
                assert_eq!(V::range(block), kept);
                self.keep(Live { block, stamp });
            }
            Err(why) => {
                self.tally.deny(why);
                if let Some(tail) = tail {
                    self.scene.backing.claim(tail, stamp);
                }
                self.keep(live);
            }
        }
    }

    pub(crate) fn grow(&mut self, live: Live<V::Block>) {
        if !V::HANDLES {
            self.keep(live);
            return self.other();
        }
        let block = V::range(live.block);
        let to = PageCount::new(block.count().get() + self.random.below(8));
        match self.heap.grow(live.block, to) {
            Ok(grown) => {
                self.tally.note(Verb::Grow);
                assert_eq!(Some(V::range(grown)), PageRange::new(block.start(), to));
                if let Some(behind) = PageRange::between(block.end(), V::range(grown).end()) {
                    self.scene.backing.claim(behind, live.stamp);
                }
                let (block, stamp) = (grown, live.stamp);
                self.keep(Live { block, stamp });
            }
            Err(why) => {
                self.tally.deny(why);
                self.keep(live);
            }
        }
    }

    /// Frees what was freed already, or what was not handed out so: an error, and
    /// nothing changes, as the stamps will show.
    pub(crate) fn misuse(&mut self, live: Live<V::Block>) {
        let block = V::range(live.block);
        let (start, pages) = (block.start().number(), block.count().get());
        let wrong = match self.random.below(3) {
            0 if pages > 1 => range(start, start + pages - 1),
            1 if pages > 1 => range(start + 1, start + pages),
            _ => range(start, start + pages + 1),
        };
        let address = self.address(wrong.start().number());
        let again = self.freed.filter(|_| V::HANDLES && self.random.one_in(2));
        match again {
            Some(freed) => assert_eq!(self.heap.free(freed), Err(FreeError::Stale)),
            None => {
                let freed = self.heap.free_at(address, wrong.count());
                freed.expect_err("that was not handed out");
            }
        }
        self.tally.note(Verb::Misuse);
        self.keep(live);
    }

    /// A verb that only this heap has, or that changes nothing.
    pub(crate) fn other(&mut self) {
        let page = self.any_page();
        let address = self.address(page) + 5;
        let block = self.heap.other(&mut self.random, address);
        self.tally.note(Verb::Other);
        block.into_iter().for_each(|block| self.own(block));
    }

    pub(crate) fn release(&mut self) {
        let most = self.random.log_uniform(13);
        let calls = 1 + self.random.below(4);
        let done = self
            .heap
            .release(Budget::bytes(u64::from(most) * PAGE).calls(calls));
        assert!(done.pages.get() <= most && done.calls <= calls, "{done:?}");
        self.tally.note(Verb::Release);
    }

    /// Limits what may be resident, or not.
    pub(crate) fn set_limit(&mut self) {
        let limit = match self.random.below(4) {
            0 => u64::from(self.random.below(pages())) * PAGE,
            _ => u64::MAX,
        };
        self.heap.set_limit(limit);
        self.tally.note(Verb::SetLimit);
    }
}
