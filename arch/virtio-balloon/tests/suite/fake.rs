//! A balloon device without a hypervisor.
//!
//! It keeps its own account of what is in the balloon, and fills with junk
//! whatever it is told is free: a driver or a heap that loses track of a page
//! is found out by that page's owner. It reads the rings as a device does, from
//! memory. What it answers is scripted, one act for each request; without a
//! script it is obedient.
//!
//! It panics on what a driver must never do: name memory outside of the heap,
//! deflate what was not inflated, or use a queue that was not set up.

use std::collections::{BTreeSet, VecDeque};
use std::ops::Range;
use std::sync::{Arc, Mutex, MutexGuard};

use virtio_drivers::transport::{DeviceStatus, DeviceType};

mod transport;

pub(crate) const MUST_TELL_HOST: u64 = 1;
pub(crate) const STATS: u64 = 1 << 1;
pub(crate) const OOM: u64 = 1 << 2;
pub(crate) const HINT: u64 = 1 << 3;
pub(crate) const POISON: u64 = 1 << 4;
pub(crate) const REPORTING: u64 = 1 << 5;
pub(crate) const EVENT_IDX: u64 = 1 << 29;
pub(crate) const VERSION_1: u64 = 1 << 32;

/// What the junk looks like.
pub(crate) const JUNK: u8 = 0xA5;

/// What the device does with one request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Act {
    /// What it should.
    Obey,
    /// It answers and frees nothing.
    Shirk,
    /// Obeys, with this length in the answer.
    Length(u32),
    /// Obeys after so many turns of waiting, if it is not reset before.
    After(u32),
    /// Obeys only when [`Fake::wake`] is called, if it is not reset before.
    Sleep,
    /// Does the work, and answers with this identifier.
    Id(u32),
    /// Does the work, and sets the used index so far ahead.
    Jump(u16),
    /// Does the work, and answers twice.
    Twice,
}

/// How queues are numbered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Numbering {
    /// Over the offered features.
    Dense,
    /// As the specification says.
    Fixed,
}

/// What each queue is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Inflate,
    Deflate,
    Stats,
    Hint,
    Reporting,
}

#[derive(Clone, Copy)]
struct Rings {
    size: u16,
    descriptors: u64,
    avail: u64,
    used: u64,
    /// How far the device has read and written.
    seen: u16,
    told: u16,
}

pub(crate) struct State {
    /// The heap's memory, guest-physical, and where the guest sees address 0.
    memory: Range<u64>,
    offset: u64,
    pub(crate) device: DeviceType,
    pub(crate) offered: u64,
    pub(crate) accepted: u64,
    pub(crate) numbering: Numbering,
    pub(crate) queue_size: u32,
    pub(crate) legacy: bool,
    pub(crate) config_bytes: usize,
    pub(crate) missing: Option<Kind>,
    pub(crate) no_doorbell: bool,
    pub(crate) refuses_features: bool,
    pub(crate) ignores_reset: bool,
    /// The same, once it knows of a queue.
    pub(crate) ignores_reset_in_use: bool,
    pub(crate) status: DeviceStatus,
    rings: [Option<Rings>; 5],
    pub(crate) num_pages: u32,
    /// Whether it wants everything and nothing, by turns.
    pub(crate) restless: bool,
    pub(crate) actual: u32,
    pub(crate) poison: u32,
    pub(crate) script: VecDeque<Act>,
    /// What happens in the next turn of waiting, without the lock.
    pub(crate) in_a_turn: Option<Box<dyn FnOnce() + Send>>,
    /// Requests it will obey later, and after how many turns.
    asleep: Vec<(u16, Option<u32>)>,
    /// The pieces of each report.
    pub(crate) reports: Vec<Vec<Range<u64>>>,
    pub(crate) ballooned: BTreeSet<u64>,
    pub(crate) stats: Vec<u8>,
    pub(crate) resets: u32,
    /// What was written to it, but for notifications.
    pub(crate) told: Vec<String>,
}

/// A handle to a device; the driver has one as its transport.
#[derive(Clone)]
pub(crate) struct Fake(Arc<Mutex<State>>);

impl Fake {
    pub(crate) fn new(memory: Range<u64>, offset: u64, offered: u64) -> Self {
        Self(Arc::new(Mutex::new(State {
            memory,
            offset,
            device: DeviceType::MemoryBalloon,
            offered,
            accepted: 0,
            numbering: Numbering::Dense,
            queue_size: 128,
            legacy: false,
            config_bytes: 16,
            missing: None,
            no_doorbell: false,
            refuses_features: false,
            ignores_reset: false,
            ignores_reset_in_use: false,
            status: DeviceStatus::empty(),
            rings: [None; 5],
            num_pages: 0,
            restless: false,
            actual: 0,
            poison: 0,
            script: VecDeque::new(),
            in_a_turn: None,
            asleep: Vec::new(),
            reports: Vec::new(),
            ballooned: BTreeSet::new(),
            stats: Vec::new(),
            resets: 0,
            told: Vec::new(),
        })))
    }

    pub(crate) fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().expect("no test goes on after a panic")
    }

    /// One turn of waiting.
    pub(crate) fn turn(&self) {
        let happens = self.state().in_a_turn.take();
        if let Some(happens) = happens {
            happens();
        }
        let mut state = self.state();
        for (_, turns) in &mut state.asleep {
            *turns = turns.map(|turns| turns.saturating_sub(1));
        }
        let due = state.asleep.iter().position(|(_, turns)| *turns == Some(0));
        if let Some(at) = due {
            let (index, _) = state.asleep.remove(at);
            state.perform(index, Act::Obey);
        }
    }

    /// Obeys what it slept on, and then its reset, if it ignored one.
    pub(crate) fn wake(&self) {
        let mut state = self.state();
        for (index, _) in std::mem::take(&mut state.asleep) {
            state.perform(index, Act::Obey);
        }
        if state.ignores_reset {
            state.ignores_reset = false;
            state.reset();
        }
    }

    /// Answers a request on the queue at `index` that nobody has made yet.
    pub(crate) fn answer_early(&self, index: u16) {
        self.try_answer_early(index).expect("a queue");
    }

    /// The same, if there is such a queue.
    pub(crate) fn try_answer_early(&self, index: u16) -> Option<()> {
        let mut state = self.state();
        let mut rings = state.rings[usize::from(index)]?;
        let slot = u64::from(rings.told % rings.size);
        rings.told = rings.told.wrapping_add(1);
        state.write(rings.used + 4 + slot * 8, 0_u32);
        state.write(rings.used + 2, rings.told);
        state.rings[usize::from(index)] = Some(rings);
        Some(())
    }

    /// Takes the statistics buffer, and asks for another.
    pub(crate) fn take_stats(&self) -> Vec<u8> {
        let mut state = self.state();
        for at in (0..state.asleep.len()).rev() {
            let (index, _) = state.asleep[at];
            if state.kind(index) == Some(Kind::Stats) {
                state.asleep.remove(at);
                state.perform(index, Act::Obey);
            }
        }
        std::mem::take(&mut state.stats)
    }
}

impl State {
    /// What the queue at this index is for, if it exists.
    fn kind(&self, index: u16) -> Option<Kind> {
        let optional = [
            (STATS, Kind::Stats),
            (HINT, Kind::Hint),
            (REPORTING, Kind::Reporting),
        ];
        let there = |bit: u64| self.offered & bit != 0;
        let mut kinds = vec![Some(Kind::Inflate), Some(Kind::Deflate)];
        for (bit, kind) in optional {
            match self.numbering {
                Numbering::Dense if there(bit) => kinds.push(Some(kind)),
                Numbering::Dense => {}
                Numbering::Fixed => kinds.push(there(bit).then_some(kind)),
            }
        }
        let kind = kinds.get(usize::from(index)).copied().flatten();
        kind.filter(|kind| self.missing != Some(*kind))
    }

    fn reset(&mut self) {
        self.status = DeviceStatus::empty();
        self.rings = [None; 5];
        self.asleep.clear();
        self.resets += 1;
    }

    fn at<T>(&self, physical: u64) -> *mut T {
        std::ptr::with_exposed_provenance_mut(self.offset.wrapping_add(physical) as usize)
    }

    fn read<T: Copy>(&self, physical: u64) -> T {
        // SAFETY: the driver gave addresses of its shared memory, which the
        // test's arena holds; nobody else uses it at this moment.
        unsafe { self.at::<T>(physical).read_volatile() }
    }

    fn write<T>(&self, physical: u64, value: T) {
        // SAFETY: as for `read`.
        unsafe { self.at::<T>(physical).write_volatile(value) }
    }

    /// What becomes of memory that the guest says is free.
    fn discard(&self, bytes: Range<u64>) {
        self.fill(bytes, u32::from_ne_bytes([JUNK; 4]));
    }

    fn fill(&self, bytes: Range<u64>, word: u32) {
        let inside = self.memory.start <= bytes.start && bytes.end <= self.memory.end;
        assert!(inside, "{bytes:x?} is not the heap's");
        for at in bytes.step_by(4) {
            // SAFETY: the memory is the arena's, and the guest said it is free.
            unsafe { self.at::<u32>(at).write_volatile(word) }
        }
    }

    /// Does one request, or does what the script says with it.
    fn perform(&mut self, index: u16, act: Act) {
        let kind = self.kind(index).expect("a queue that exists");
        match act {
            Act::After(turns) => return self.asleep.push((index, Some(turns))),
            Act::Sleep => return self.asleep.push((index, None)),
            _ => {}
        }
        let Some(mut rings) = self.rings[usize::from(index)] else {
            panic!("queue {index} was not set up");
        };
        let no_interrupts: u16 = self.read(rings.avail);
        assert_eq!(no_interrupts, 1, "the driver polls");
        let slot = u64::from(rings.seen % rings.size);
        let head: u16 = self.read(rings.avail + 4 + slot * 2);
        rings.seen = rings.seen.wrapping_add(1);
        if act != Act::Shirk {
            self.work(kind, &self.chain(&rings, head));
        }
        let (id, bytes, ahead) = match act {
            Act::Length(bytes) => (u32::from(head), bytes, 1),
            Act::Id(id) => (id, 0, 1),
            Act::Jump(by) => (u32::from(head), 0, by),
            Act::Twice => (u32::from(head), 0, 2),
            _ => (u32::from(head), 0, 1),
        };
        for at in 0..ahead.min(2) {
            let slot = u64::from(rings.told.wrapping_add(at) % rings.size);
            self.write(rings.used + 4 + slot * 8, id);
            self.write(rings.used + 4 + slot * 8 + 4, bytes);
        }
        rings.told = rings.told.wrapping_add(ahead);
        self.write(rings.used + 2, rings.told);
        self.rings[usize::from(index)] = Some(rings);
    }

    /// Reads a chain of descriptors: addresses, and whether it may write there.
    fn chain(&self, rings: &Rings, head: u16) -> Vec<(Range<u64>, bool)> {
        let mut chain = Vec::new();
        let mut next = Some(head);
        while let Some(at) = next {
            assert!(at < rings.size && chain.len() < usize::from(rings.size));
            let descriptor = rings.descriptors + u64::from(at) * 16;
            let address: u64 = self.read(descriptor);
            let bytes: u32 = self.read(descriptor + 8);
            let flags: u16 = self.read(descriptor + 12);
            chain.push((address..address + u64::from(bytes), flags & 2 != 0));
            next = (flags & 1 != 0).then(|| self.read(descriptor + 14));
        }
        chain
    }

    fn work(&mut self, kind: Kind, chain: &[(Range<u64>, bool)]) {
        let writable = kind == Kind::Reporting;
        assert!(chain.iter().all(|(_, writes)| *writes == writable));
        match kind {
            Kind::Reporting => {
                for (bytes, _) in chain {
                    match self.accepted & POISON {
                        0 => self.discard(bytes.clone()),
                        _ => self.fill(bytes.clone(), self.poison),
                    }
                }
                let pieces = chain.iter().map(|(bytes, _)| bytes.clone());
                self.reports.push(pieces.collect());
            }
            Kind::Inflate | Kind::Deflate => {
                let list = chain[0].0.clone();
                assert!(chain.len() == 1 && list.end - list.start <= 1024);
                for at in list.step_by(4) {
                    let number = u64::from(self.read::<u32>(at));
                    if kind == Kind::Inflate {
                        assert!(self.ballooned.insert(number), "inflated twice");
                        self.discard(number << 12..(number + 1) << 12);
                    } else {
                        assert!(self.ballooned.remove(&number), "was not inflated");
                    }
                }
            }
            Kind::Stats => {
                self.stats = chain[0].0.clone().map(|at| self.read(at)).collect();
            }
            Kind::Hint => panic!("hints are not used"),
        }
    }
}
