//! W6: two threads at once.
//!
//! Wall-clock time, from the first to begin to the last to end, for what one
//! thread does: two threads that are not in each other's way take what one
//! takes alone.

use std::hint::spin_loop;
use std::sync::Barrier;
use std::thread;
use std::time::Instant;

use fastrand::Rng;
use rtrb::{PopError, PushError, RingBuffer};
use spanheap_replay::adaptor::{Denied, PageRuns};

use super::{ONE, half};
use crate::figure::Figure;
use crate::meter::{Meter, Paced, Stop, finished, paced};

/// How many blocks are on their way from one thread to the other, at most.
const RING: usize = 1024;
/// How often a thread looks whether the other has come on, before it lets
/// somebody else run.
const SPINS: u32 = 1 << 12;

/// W1 on both threads.
///
/// # Errors
///
/// If it takes too long, or the allocator refuses.
pub fn pair<R: PageRuns + Send>(handles: [R; 2], meter: &mut Meter) -> Result<(), Stop> {
    let (until, pairs) = (meter.until().by_the_wall(), meter.pairs());
    let [one, two] = handles.map(|mut runs| {
        move || {
            paced(until, pairs, &mut |_| {
                let block = runs.alloc(ONE)?;
                runs.free(block)?;
                Ok(1)
            })
        }
    });
    both(Figure::PairTwo, pairs, meter, one, two)
}

/// W3 on both threads, each with a half of the live pages.
///
/// # Errors
///
/// If it takes too long, or the allocator refuses.
pub fn random<R>(handles: [R; 2], pages: u32, meter: &mut Meter) -> Result<(), Stop>
where
    R: PageRuns<Block: Send> + Send,
{
    let [mut first, second] = handles;
    let mut blocks = half::prepare(&mut first, pages, meter)?;
    let rest = blocks.split_off(blocks.len() / 2);
    let (until, pairs) = (meter.until().by_the_wall(), meter.pairs());
    let swaps = |mut runs: R, mut blocks: Vec<R::Block>, seed| {
        move || {
            let mut random = Rng::with_seed(seed);
            paced(until, pairs, &mut |_| {
                half::swap(&mut runs, &mut blocks, &mut random).map(|()| 1)
            })
        }
    };
    let (one, two) = (swaps(first, blocks, 6), swaps(second, rest, 7));
    both(Figure::RandomTwo, pairs, meter, one, two)
}

/// One thread allocates what the other frees.
///
/// # Errors
///
/// If it takes too long, or the allocator refuses.
pub fn pass<R>(handles: [R; 2], meter: &mut Meter) -> Result<(), Stop>
where
    R: PageRuns<Block: Send> + Send,
{
    let (until, count) = (meter.until().by_the_wall(), meter.pairs());
    let (mut to, mut from) = RingBuffer::<R::Block>::new(RING);
    let [mut first, mut second] = handles;
    let one = move || {
        paced(until, count, &mut |_| {
            let mut block = first.alloc(ONE)?;
            let mut spins = 0;
            while let Err(PushError::Full(back)) = to.push(block) {
                if to.is_abandoned() {
                    return Err(Denied::Exhausted);
                }
                block = back;
                wait(&mut spins);
            }
            Ok(1)
        })
    };
    let two = move || {
        let mut done = Paced::default();
        let mut spins = 0;
        // All that comes, until nothing will: not less than was sent.
        while done.steps < count {
            match from.pop() {
                Ok(block) => {
                    second.free(block)?;
                    done.steps += 1;
                    done.operations += 1;
                    spins = 0;
                }
                Err(PopError::Empty) if from.is_abandoned() && from.is_empty() => break,
                Err(PopError::Empty) => wait(&mut spins),
            }
        }
        Ok(done)
    };
    both(Figure::Pass, count, meter, one, two)
}

fn wait(spins: &mut u32) {
    *spins += 1;
    if spins.is_multiple_of(SPINS) {
        thread::yield_now();
    } else {
        spin_loop();
    }
}

/// Lets both begin at once, and measures until both are done.
fn both(
    figure: Figure,
    count: u32,
    meter: &mut Meter,
    one: impl FnOnce() -> Result<Paced, Denied> + Send,
    two: impl FnOnce() -> Result<Paced, Denied> + Send,
) -> Result<(), Stop> {
    let start = Barrier::new(2);
    let [one, two] = thread::scope(|scope| {
        let other = scope.spawn(|| timed(&start, two));
        let one = timed(&start, one);
        // It cannot panic unless the allocator does.
        let two = other.join().unwrap_or_else(|_| {
            let now = Instant::now();
            (now, now, Err(Denied::Exhausted))
        });
        [one, two]
    });
    let took = one.1.max(two.1) - one.0.min(two.0);
    let ns = took.as_nanos() as u64;
    for done in [one.2?, two.2?] {
        finished(|| figure.to_string(), done, count, ns)?;
    }
    meter.note(figure, ns as f64 / f64::from(count.max(1)));
    Ok(())
}

type Lap = (Instant, Instant, Result<Paced, Denied>);

fn timed(start: &Barrier, work: impl FnOnce() -> Result<Paced, Denied>) -> Lap {
    start.wait();
    let begin = Instant::now();
    let done = work();
    (begin, Instant::now(), done)
}
