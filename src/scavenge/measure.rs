//! What releasing and taking back cost here: measured, at start-up.

use super::amount::scale;
use super::policy::Costs;
use crate::backing::{Backing, Refused};
use crate::page::{PageRange, Window};

/// How often it is measured; the median counts.
const ROUNDS: usize = 5;

/// What costs are counted for.
const UNIT: u64 = 2 << 20;

impl Costs {
    /// Measures what it costs to release `pages` and to take them back, zeroed, by a
    /// clock that counts nanoseconds.
    ///
    /// The pages are the caller's: handed out by the heap over `window` that stands on
    /// this backing, whole physical pages, and best a whole huge page. Nothing of what
    /// they hold is kept. They are resident afterwards, and still the caller's.
    ///
    /// # Errors
    ///
    /// If the backing does not release them, or does not take them back: it is asked
    /// for that once more, and if it refuses again they must not be touched before
    /// [`Backing::sys_used`] has succeeded.
    pub fn measure(
        backing: &impl Backing,
        window: &Window,
        pages: PageRange,
        mut clock: impl FnMut() -> u64,
    ) -> Result<Self, Refused> {
        let mut release = [0; ROUNDS];
        let mut take_back = [0; ROUNDS];
        for (release, take_back) in release.iter_mut().zip(&mut take_back) {
            let begin = clock();
            let done = backing.sys_unused(&[pages]);
            let released = clock();
            if done == 0 {
                return Err(Refused { code: 0 });
            }
            backing
                .sys_used(pages)
                .or_else(|_| backing.sys_used(pages))?;
            backing.zero(pages);
            *release = released.saturating_sub(begin);
            *take_back = clock().saturating_sub(released);
        }
        let bytes = window.geometry().bytes(pages.count());
        let for_unit = |mut rounds: [u64; ROUNDS]| {
            rounds.sort_unstable();
            let [_, _, median, ..] = rounds;
            scale(median, UNIT, bytes)
        };
        Ok(Self {
            release_ns: for_unit(release),
            take_back_ns: for_unit(take_back),
        })
    }
}
