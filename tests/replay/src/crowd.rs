//! The pass that counts, on a heap that threads share.
//!
//! The operations are dealt to threads by the CPU that the trace names, and each
//! thread does its own in order. What was done to a block is done to it in the same
//! order here; all else runs as it comes, within a few thousand operations of the
//! slowest thread, so that what lives is about what lived. As in the pass of one
//! thread every page is stamped and verified, which is done under a lock of the
//! pass's own: the heap is called outside of it.
//!
//! The thread that began the pass looks on: it reads the resident set, and
//! releases idle memory by trace time.

use std::sync::atomic::{AtomicU32, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use spanheap::{Budget, Page, PageCount, PageRange, Release, Request, SharedHeap, Stats};
use spanheap_hosted::rss::RssError;
use spanheap_hosted::{HostedBacking, Threads};

use crate::adaptor::{Denied, class_of};
use crate::live::Live;
use crate::pass::{Ground, Outcome};
use crate::recorder::{Recorded, Recorder};
use crate::trace::{Op, Seat, Trace};

/// How far a thread may be ahead of the slowest, in operations.
const AHEAD: usize = 4096;
/// How many operations in a row one thread does of a trace that names one CPU.
const DEAL: usize = 64;

type Heap<'h> = SharedHeap<'h, HostedBacking, Threads>;

/// Which thread does an operation, and after how many others on the same block.
struct Turn {
    thread: usize,
    after: u32,
}

/// What the threads share, besides the heap.
struct Crowd<'c, 'h> {
    trace: &'c Trace,
    heap: &'c Heap<'h>,
    turns: Vec<Turn>,
    /// How many operations were done on each seat.
    done: Vec<AtomicU32>,
    /// Where each seat's block is: its range as two halves, or 0 if it was refused.
    blocks: Vec<AtomicU64>,
    /// Each thread's next operation.
    next: Vec<AtomicUsize>,
    counts: Mutex<Counts<'c>>,
}

struct Counts<'c> {
    live: Live<'c>,
    /// The page after the highest that was ever handed out.
    touched: u32,
    peak_live: u64,
    refused: u64,
    refused_frees: u64,
    first_denied: Option<(u64, Denied)>,
}

/// Runs `trace` on `heap`, whose pages are `live`'s, by `threads` threads.
///
/// # Errors
///
/// If the resident set cannot be read.
pub(crate) fn run(
    trace: &Trace,
    heap: &Heap<'_>,
    live: Live<'_>,
    threads: usize,
    ground: &mut Ground<'_>,
) -> Result<Outcome, RssError> {
    let threads = threads.max(1);
    let seats = 0..trace.seats;
    let crowd = Crowd {
        trace,
        heap,
        turns: turns(trace, threads),
        done: seats.clone().map(|_| AtomicU32::new(0)).collect(),
        blocks: seats.map(|_| AtomicU64::new(0)).collect(),
        next: (0..threads).map(|_| AtomicUsize::new(0)).collect(),
        counts: Mutex::new(Counts {
            live,
            touched: 0,
            peak_live: 0,
            refused: 0,
            refused_frees: 0,
            first_denied: None,
        }),
    };
    let mut onlooker = Onlooker {
        recorder: Recorder::new(trace, ground)?,
        crowd: &crowd,
    };
    thread::scope(|scope| {
        for thread in 0..threads {
            let crowd = &crowd;
            scope.spawn(move || crowd.work(thread));
        }
        onlooker.look_on(ground)
    })?;
    onlooker.finish(ground)
}

fn turns(trace: &Trace, threads: usize) -> Vec<Turn> {
    let mut on_seat = vec![0_u32; trace.seats as usize];
    let mut switches = trace.switches.iter().peekable();
    let names_cpus = trace.switches.iter().any(|switch| switch.cpu != 0);
    let mut cpu = 0;
    let turn = |(index, op): (usize, &Op)| {
        while let Some(switch) = switches.next_if(|switch| switch.before as usize <= index) {
            cpu = switch.cpu as usize;
        }
        let after = &mut on_seat[seat_of(*op).index()];
        *after += 1;
        Turn {
            thread: if names_cpus { cpu } else { index / DEAL } % threads,
            after: *after - 1,
        }
    };
    trace.ops.iter().enumerate().map(turn).collect()
}

const fn seat_of(op: Op) -> Seat {
    match op {
        Op::Alloc { seat, .. } | Op::Free { seat } | Op::FreePart { seat, .. } => seat,
    }
}

impl<'c> Crowd<'c, '_> {
    fn counts(&self) -> MutexGuard<'_, Counts<'c>> {
        // Whoever panicked with it held has ended the pass.
        self.counts.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns the first operation that may not be done yet.
    fn slowest(&self) -> usize {
        let next = self.next.iter().map(|next| next.load(Ordering::Relaxed));
        next.min().unwrap_or(usize::MAX)
    }

    fn work(&self, thread: usize) {
        // Whoever waits for this thread is not to wait for ever if it panics.
        let _gone = Gone(&self.next[thread]);
        for (index, (turn, op)) in self.turns.iter().zip(&self.trace.ops).enumerate() {
            if turn.thread != thread {
                continue;
            }
            self.next[thread].store(index, Ordering::Relaxed);
            let done = &self.done[seat_of(*op).index()];
            // Acquire: what was done to the block before, on another thread.
            while done.load(Ordering::Acquire) != turn.after || index > self.slowest() + AHEAD {
                thread::yield_now();
            }
            if let Err(denied) = self.operation(*op) {
                let number = index as u64 + 1;
                self.counts().first_denied.get_or_insert((number, denied));
            }
            // Release: pairs with the Acquire above.
            done.store(turn.after + 1, Ordering::Release);
        }
    }

    fn operation(&self, op: Op) -> Result<(), Denied> {
        let block = &self.blocks[seat_of(op).index()];
        let whole = || {
            let word = block.load(Ordering::Relaxed);
            let count = PageCount::new(word as u32);
            PageRange::new(Page::new((word >> 32) as u32), count)
        };
        match op {
            Op::Alloc { seat, pages, class } => {
                let request = Request::pages(pages).class(class_of(class));
                let found = self.heap.alloc(request);
                let word = found.map_or(0, |range| {
                    u64::from(range.start().number()) << 32 | u64::from(range.count().get())
                });
                block.store(word, Ordering::Relaxed);
                let mut counts = self.counts();
                match found {
                    Ok(range) => {
                        counts.live.placed(seat, range.start(), pages);
                        counts.touched = counts.touched.max(range.end().number());
                        counts.peak_live = counts.peak_live.max(counts.live.pages());
                    }
                    Err(why) => {
                        counts.refused += 1;
                        return Err(Denied::Alloc(why));
                    }
                }
            }
            Op::Free { seat } => {
                if let Some(range) = whole() {
                    self.counts().live.freed(seat);
                    self.freed(self.heap.free(range))?;
                }
            }
            Op::FreePart { seat, part } => {
                let part = self.trace.part(part);
                let shifted = whole().and_then(|range| {
                    let start = range.start().number() + part.start().number();
                    PageRange::new(Page::new(start), part.count())
                });
                if let Some(shifted) = shifted {
                    self.counts().live.freed_part(seat, part);
                    self.freed(self.heap.free_part(shifted))?;
                }
            }
        }
        Ok(())
    }

    fn freed(&self, done: Result<(), spanheap::FreeError>) -> Result<(), Denied> {
        done.map_err(|why| {
            self.counts().refused_frees += 1;
            Denied::Free(why)
        })
    }
}

/// Says that a thread is done, or gone.
struct Gone<'n>(&'n AtomicUsize);

impl Drop for Gone<'_> {
    fn drop(&mut self) {
        // Nobody waits for it.
        self.0.store(usize::MAX - AHEAD, Ordering::Relaxed);
    }
}

/// The thread that looks on.
struct Onlooker<'o, 'c, 'h> {
    crowd: &'o Crowd<'c, 'h>,
    recorder: Recorder,
}

impl Recorded for &Crowd<'_, '_> {
    fn stats(&self) -> Stats {
        self.heap.stats()
    }

    fn release(&mut self, budget: Budget) -> Release {
        self.heap.release(budget)
    }

    fn age(&mut self, now: u32, until: u32) {
        self.heap.tick(now, until);
    }

    fn catch_up(&mut self, now: u32) {
        self.heap.catch_up(now);
    }

    fn quick_stats(&self) -> Stats {
        self.heap.treap_stats()
    }

    fn gather(&mut self) {
        self.heap.gather();
    }

    fn touched(&self) -> u32 {
        self.counts().touched
    }
}

impl Onlooker<'_, '_, '_> {
    fn look_on(&mut self, ground: &mut Ground<'_>) -> Result<(), RssError> {
        let operations = self.crowd.trace.ops.len();
        let mut ticks = self.crowd.trace.ticks.iter().peekable();
        loop {
            let done = self.crowd.slowest().min(operations);
            while let Some(tick) = ticks.next_if(|tick| tick.before as usize <= done) {
                self.recorder.tick(tick.at_ms, &mut self.crowd, ground)?;
            }
            self.recorder.look(ground)?;
            (ground.progress)(done as u64);
            if done == operations {
                return Ok(());
            }
            thread::sleep(Duration::from_millis(1));
        }
    }

    /// Everybody else is done.
    fn finish(mut self, ground: &mut Ground<'_>) -> Result<Outcome, RssError> {
        let heap = self.crowd.heap;
        self.recorder.sample_now(&self.crowd, ground)?;
        self.crowd.gather();
        self.recorder.conclude(&mut self.crowd, ground)?;
        self.recorder.sample_now(&self.crowd, ground)?;
        let rss_end = (ground.rss)()?;
        let stats = heap.stats();
        let mut counts = self.crowd.counts();
        counts.live.verify_all();
        Ok(Outcome {
            refused: counts.refused,
            refused_frees: counts.refused_frees,
            first_denied: counts.first_denied,
            verify_errors: counts.live.errors(),
            stamped_pages: counts.live.stamped(),
            // While pages are on their way, no count can be told to be wrong.
            count_errors: u64::from(u64::from(stats.in_use.get()) != counts.live.pages()),
            check: heap.check(),
            peak_live_pages: counts.peak_live,
            live_end_pages: counts.live.pages(),
            given_back_pages: self.recorder.given_back,
            baseline_rss: self.recorder.baseline,
            rss_peak: self.recorder.rss_peak,
            rss_end,
            stats,
            history: self.recorder.history,
        })
    }
}
