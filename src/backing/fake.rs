//! A backing without memory, for tests: it remembers, it checks, and it fails
//! when it is told to.
//!
//! Three parts, each of which knows nothing of the others: a witness of what is
//! committed and what every page holds, a script of faults and growth, and the
//! depth of heap locks on this thread. This file ties them to the hooks and
//! writes the log. A handle, so that a test keeps one and the heap another.
//!
//! It **panics** on whatever a heap must never do: release a page twice, cut a
//! physical page, leave the window or the regions it was told of, zero what is
//! not backed, or call any hook under its own lock.
//!
//! Invariant: the log holds every call, in order, and replaying it over the
//! regions that were added gives the witness's committed map.

mod lock;
mod script;
mod witness;

use core::fmt;
use std::boxed::Box;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::vec::Vec;

use self::script::Script;
use self::witness::Witness;
use crate::backing::{Backing, Growth, Refused, Residency};
use crate::page::{Page, PageCount, PageRange, Window};

#[doc(hidden)]
pub(crate) use self::lock::Held;
pub use self::witness::Reuse;

/// The code that a refusal of the fake carries.
pub const FAULT_CODE: i32 = 12;

/// The most ranges that the heap may pass to one `sys_unused`.
pub const MAX_BATCH: usize = 32;

/// One call of a hook, and its outcome.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Call {
    /// `sys_used`.
    Used {
        /// What was to be committed.
        range: PageRange,
        /// Whether it was not.
        refused: bool,
    },
    /// `sys_unused`.
    Unused {
        /// What was to be released.
        ranges: Vec<PageRange>,
        /// How many of them were.
        done: usize,
    },
    /// `zero`.
    Zero(PageRange),
    /// `grow`.
    Grow {
        /// How much was asked for.
        pages: PageCount,
        /// What was given.
        growth: Option<Growth>,
    },
}

type Callback = Box<dyn FnMut(&Call) + Send>;

/// What lies behind every handle to one fake.
struct State {
    witness: Witness,
    script: Script,
    log: Vec<Call>,
    callback: Option<Callback>,
}

/// A backing that logs every call, and fails on request.
///
/// Clones are handles to the same fake.
#[derive(Clone)]
pub struct FakeBacking {
    state: Arc<Mutex<State>>,
}

impl fmt::Debug for FakeBacking {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = self.lock();
        f.debug_struct("FakeBacking")
            .field("script", &state.script)
            .field("log", &state.log)
            .finish_non_exhaustive()
    }
}

impl FakeBacking {
    /// Makes a fake under `window`, with no region yet. Released memory comes
    /// back scribbled over.
    #[must_use]
    pub fn new(window: Window) -> Self {
        Self {
            state: Arc::new(Mutex::new(State {
                witness: Witness::new(window, Reuse::Scribbles),
                script: Script::new(),
                log: Vec::new(),
                callback: None,
            })),
        }
    }

    /// Says what becomes of released memory. To be decided before the first
    /// release.
    #[must_use]
    pub fn with_reuse(self, reuse: Reuse) -> Self {
        self.lock().witness.set_reuse(reuse);
        self
    }

    /// Tells the fake of a region that the heap is given.
    ///
    /// # Panics
    ///
    /// If it is outside of the window, cuts a physical page or was added before.
    pub fn add(&self, range: PageRange, residency: Residency) {
        self.lock().witness.add(range, residency);
    }

    /// Gives the fake a region to grow by, behind those it has already. What
    /// the heap cannot manage (see [`add`](Self::add)) is offered all the same.
    pub fn offer(&self, growth: Growth) {
        self.lock().script.offer(growth);
    }

    /// Lets one call fail: the one after `nth` more that could. A failing
    /// `sys_unused` does `done` of its ranges, or all but one if that is less;
    /// `grow` has nothing to give.
    pub fn fail_nth(&self, nth: u32, done: usize) {
        self.lock().script.fail_nth(nth, done);
    }

    /// Lets every call fail from now on.
    pub fn fail_always(&self) {
        self.lock().script.fail_always();
    }

    /// Lets no call fail from now on.
    pub fn recover(&self) {
        self.lock().script.recover();
    }

    /// Returns whether a call has failed since a fault was last asked for.
    #[must_use]
    pub fn has_failed(&self) -> bool {
        self.lock().script.fired()
    }

    /// Returns how many calls there were that could fail.
    #[must_use]
    pub fn fallible_calls(&self) -> u64 {
        self.lock().script.calls()
    }

    /// Runs `callback` at the end of every hook, before it returns. Hooks that
    /// the callback causes itself do not run it again.
    pub fn on_call(&self, callback: impl FnMut(&Call) + Send + 'static) {
        self.lock().callback = Some(Box::new(callback));
    }

    /// Runs nothing at the end of a hook from now on.
    pub fn no_callback(&self) {
        self.lock().callback = None;
    }

    /// Returns the calls since the log was last taken.
    #[must_use]
    pub fn take_log(&self) -> Vec<Call> {
        core::mem::take(&mut self.lock().log)
    }

    /// Returns whether there is memory behind `page`.
    #[must_use]
    pub fn is_committed(&self, page: Page) -> bool {
        self.lock().witness.is_committed(page)
    }

    /// Returns what `page` holds, if there is memory behind it.
    #[must_use]
    pub fn read(&self, page: Page) -> Option<u64> {
        self.lock().witness.read(page)
    }

    /// Returns whether `page` reads as zero now, or once it is committed.
    #[must_use]
    pub fn would_read_zero(&self, page: Page) -> bool {
        let state = self.lock();
        match state.witness.read(page) {
            Some(content) => content == 0,
            None => state.witness.reuse() == Reuse::Zeroes,
        }
    }

    /// Writes `content` to every page of `range`, as its owner does.
    ///
    /// # Panics
    ///
    /// If one of the pages is not backed.
    pub fn write(&self, range: PageRange, content: u64) {
        self.lock().witness.write("write", range, content);
    }

    /// The fake stays usable after a panic inside it: tests look at it then.
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Logs a call and runs the callback, with nothing held.
    fn finish(&self, mut state: MutexGuard<'_, State>, call: Call) {
        let callback = state.callback.take();
        state.log.push(call.clone());
        drop(state);
        if let Some(mut callback) = callback {
            callback(&call);
            self.lock().callback.get_or_insert(callback);
        }
    }
}

#[expect(
    unsafe_code,
    reason = "nobody dereferences an address of the fake: its pages are entries of a vector"
)]
// SAFETY: the pages behind a fake are entries of its witness, which `used`
// makes readable, `unused` of other pages leaves alone, and which come back as
// zero exactly if `zeroes_released` says so.
unsafe impl Backing for FakeBacking {
    fn sys_used(&self, range: PageRange) -> Result<(), Refused> {
        lock::assert_unlocked("sys_used");
        let mut state = self.lock();
        let refused = state.script.next_call().is_some();
        if !refused {
            state.witness.used(range);
        }
        self.finish(state, Call::Used { range, refused });
        if refused {
            return Err(Refused { code: FAULT_CODE });
        }
        Ok(())
    }

    fn sys_unused(&self, ranges: &[PageRange]) -> usize {
        lock::assert_unlocked("sys_unused");
        let mut state = self.lock();
        assert!(ranges.len() <= MAX_BATCH, "a batch of {}", ranges.len());
        state.witness.assert_releasable(ranges);
        let done = match state.script.next_call() {
            Some(done) => done.min(ranges.len() - 1),
            None => ranges.len(),
        };
        for &range in &ranges[..done] {
            state.witness.unused(range);
        }
        let ranges = ranges.to_vec();
        self.finish(state, Call::Unused { ranges, done });
        done
    }

    fn zero(&self, range: PageRange) {
        lock::assert_unlocked("zero");
        let mut state = self.lock();
        state.witness.zero(range);
        self.finish(state, Call::Zero(range));
    }

    fn zeroes_released(&self) -> bool {
        self.lock().witness.reuse() == Reuse::Zeroes
    }

    fn grow(&self, pages: PageCount) -> Option<Growth> {
        lock::assert_unlocked("grow");
        let mut state = self.lock();
        let growth = match state.script.next_call() {
            Some(_) => None,
            None => state.script.next_offer(),
        };
        if let Some(growth) = growth
            && state.witness.can_add(growth.range)
        {
            state.witness.add(growth.range, growth.residency);
        }
        self.finish(state, Call::Grow { pages, growth });
        growth
    }
}

#[cfg(test)]
mod tests;
