//! One thread that allocates and frees: a step is one call of the heap.
//!
//! How much it keeps is now much and now little, and at times more than there is.
//! What it is handed it stamps, keeps or passes on, and verifies when it frees it.

use std::sync::{Mutex, MutexGuard, PoisonError};

use spanheap::Window;

use crate::backing::CheckedBacking;
use crate::keeper::Keeper;
use crate::random::Random;
use crate::setup::{Claimed, pages};
use crate::tally::{Tally, Verb};
use crate::verbs::Verbs;

/// What was handed out, and the stamp on its pages.
#[derive(Clone, Copy)]
pub(crate) struct Live<B> {
    pub(crate) block: B,
    pub(crate) stamp: u32,
}

/// What one worker has passed on to another.
pub(crate) type Belt<B> = Mutex<Vec<Live<B>>>;

/// What all workers of a heap see.
pub(crate) struct Scene<'a, B> {
    pub(crate) backing: &'a CheckedBacking,
    pub(crate) window: Window,
    pub(crate) keeper: Mutex<Keeper>,
    /// To each of them.
    pub(crate) belts: Vec<Belt<B>>,
}

pub(crate) struct Worker<'a, V: Verbs> {
    pub(crate) heap: V,
    pub(crate) scene: &'a Scene<'a, V::Block>,
    /// From 0 on.
    me: usize,
    /// How many work at the moment.
    crowd: usize,
    pub(crate) random: Random,
    live: Vec<Live<V::Block>>,
    /// How many pages that is, and how many it is to come to.
    kept: u32,
    wanted: u32,
    serial: u32,
    /// What was freed last.
    pub(crate) freed: Option<V::Block>,
    pub(crate) tally: Tally,
}

impl<'a, V: Verbs> Worker<'a, V> {
    pub(crate) fn new(heap: V, scene: &'a Scene<'a, V::Block>, me: usize, random: Random) -> Self {
        Self {
            heap,
            scene,
            me,
            crowd: 1,
            random,
            live: Vec::new(),
            kept: 0,
            wanted: 0,
            serial: 0,
            freed: None,
            tally: Tally::default(),
        }
    }

    /// How many pages it has.
    pub(crate) fn kept(&self) -> u32 {
        self.kept
    }

    /// Takes so many steps, as one of so many workers.
    pub(crate) fn work(&mut self, steps: u64, crowd: usize) {
        self.crowd = crowd;
        let before = self.tally.calls();
        for step in 0..steps {
            if step % 8192 == 0 {
                self.set_wanted();
            }
            if self.random.one_in(64) {
                Claimed::become_cpu(self.random.below(Claimed::ANSWERS));
            }
            self.step();
            if step % 1024 == 0
                && let Ok(mut keeper) = self.scene.keeper.try_lock()
            {
                keeper.poll(&mut self.heap);
            }
        }
        assert_eq!(self.tally.calls() - before, steps);
    }

    /// Frees all that it has.
    pub(crate) fn drain(&mut self) {
        self.receive();
        for live in std::mem::take(&mut self.live) {
            self.scene.backing.give_up(V::range(live.block), live.stamp);
            self.heap.free(live.block).expect("it is in use");
        }
        self.kept = 0;
    }

    /// Decides how much to keep: a part of its share, or all there is.
    fn set_wanted(&mut self) {
        let share = pages() / self.crowd as u32;
        self.wanted = match self.random.below(8) {
            0 => u32::MAX,
            _ => share / 100 * self.random.below(100),
        };
    }

    /// There is no more to be had.
    pub(crate) fn is_full(&mut self) {
        if self.random.one_in(64) {
            self.set_wanted();
        }
    }

    fn step(&mut self) {
        let lot = self.random.below(256);
        let fills = (self.kept < self.wanted) != self.random.one_in(4);
        match lot {
            0..=231 if fills => self.alloc(Verb::Alloc),
            232..=233 => self.alloc(Verb::AllocAligned),
            234 => self.alloc(Verb::AllocWithin),
            235..=237 => self.alloc(Verb::AllocZeroed),
            238 => self.alloc_at(),
            239 if self.random.one_in(2) => self.release(),
            240 if self.random.one_in(16) => self.set_limit(),
            241 => self.other(),
            lot => match self.any() {
                None => self.alloc(Verb::Alloc),
                Some(live) => match lot {
                    242..=244 => self.free_part(live),
                    245..=247 => self.shrink(live),
                    248..=250 => self.grow(live),
                    251..=255 => self.misuse(live),
                    _ => self.free(live),
                },
            },
        }
    }

    /// Stamps what was handed out, and keeps it or passes it on.
    pub(crate) fn own(&mut self, block: V::Block) {
        self.serial = self.serial.wrapping_add(1) & 0x0FFF_FFFF;
        let stamp = (self.me as u32 + 1) << 28 | self.serial;
        self.scene.backing.claim(V::range(block), stamp);
        let live = Live { block, stamp };
        if self.crowd > 1 && self.random.one_in(8) {
            lock(&self.scene.belts[(self.me + 1) % self.crowd]).push(live);
        } else {
            self.keep(live);
        }
    }

    pub(crate) fn keep(&mut self, live: Live<V::Block>) {
        self.kept += V::range(live.block).count().get();
        self.live.push(live);
    }

    /// Takes any of what it has.
    fn any(&mut self) -> Option<Live<V::Block>> {
        if self.random.one_in(8) {
            self.receive();
        }
        let many = self.live.len() as u32;
        let at = self.random.below(many) as usize;
        let live = (many > 0).then(|| self.live.swap_remove(at))?;
        self.kept -= V::range(live.block).count().get();
        Some(live)
    }

    /// Takes what the others have passed on.
    pub(crate) fn receive(&mut self) {
        let passed = std::mem::take(&mut *lock(&self.scene.belts[self.me]));
        passed.into_iter().for_each(|live| self.keep(live));
    }
}

/// What is on a belt stays right if its giver fails meanwhile.
fn lock<B>(belt: &Belt<B>) -> MutexGuard<'_, Vec<Live<B>>> {
    belt.lock().unwrap_or_else(PoisonError::into_inner)
}
