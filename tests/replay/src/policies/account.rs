//! What is behind each page of 4 KiB, and what that has cost.
//!
//! A *frame* is 4 KiB of the window, whatever the heap's page is. It is new
//! until it is committed first, then resident, then given back, and so on.
//! Only what was given back costs something to take: the first touch of new
//! memory is nobody's policy.
//!
//! Beside that stands, for each frame, whether it lives. Whoever plays a load
//! says so; a frame that is released while it lives, that is released twice or
//! that is handed out without memory behind it is counted as wrong.
//!
//! Invariant: a frame is resident only if it was used; the counts of a huge
//! page are the bits of its frames.

use serde::Serialize;

use super::prices::{FRAMES, Prices};

/// Words of bits for a huge page.
const WORDS: usize = FRAMES as usize / 64;
/// A frame in bytes.
pub(super) const FRAME_BYTES: u64 = 4096;
/// A huge page in bytes.
pub(super) const HUGE_BYTES: u64 = FRAME_BYTES * FRAMES as u64;

/// What was charged so far, and for what.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Charges {
    /// For giving back, in nanoseconds.
    pub release_ns: u64,
    /// For taking back, in nanoseconds.
    pub take_ns: u64,
    /// Calls that gave back.
    pub release_calls: u64,
    /// Bytes given back, each as often as it was.
    pub released_bytes: u64,
    /// And how many of them broke no huge page: a whole one went of which nothing
    /// lived, or what was still there of one that was not whole before.
    pub whole_bytes: u64,
    /// Bytes taken back.
    pub taken_bytes: u64,
}

impl Charges {
    /// Returns the sum of it, in nanoseconds.
    #[must_use]
    pub const fn ns(&self) -> u64 {
        self.release_ns + self.take_ns
    }
}

/// A huge page.
#[derive(Clone, Copy, Debug, Default)]
struct Huge {
    /// Frames that live.
    live: u32,
    /// Frames that are resident.
    resident: u32,
    /// What was paid to take it back since any of it was released.
    paid_ns: u64,
}

impl Huge {
    /// Whether it is resident as a whole, and nothing of it lives.
    const fn is_idle(&self) -> bool {
        self.live == 0 && self.resident == FRAMES
    }
}

/// The frames of a window, and what they cost.
#[derive(Debug)]
pub(super) struct Account {
    prices: Prices,
    used: Vec<u64>,
    resident: Vec<u64>,
    live: Vec<u64>,
    huge: Vec<Huge>,
    pub(super) resident_frames: u64,
    /// The most there ever were of them.
    pub(super) most_frames: u64,
    pub(super) live_frames: u64,
    /// Huge pages of which the last frame that lived was freed, ever.
    pub(super) emptied: u64,
    /// Huge pages that are resident as a whole, and of which nothing lives.
    pub(super) idle_huge: u64,
    /// Rules broken.
    pub(super) wrong: u64,
    pub(super) charges: Charges,
}

impl Account {
    /// Nothing was ever used of `frames` frames.
    pub(super) fn new(prices: Prices, frames: u64) -> Self {
        let huge = frames.div_ceil(u64::from(FRAMES)) as usize;
        let bits = || vec![0; huge * WORDS];
        Self {
            prices,
            used: bits(),
            resident: bits(),
            live: bits(),
            huge: vec![Huge::default(); huge],
            resident_frames: 0,
            most_frames: 0,
            live_frames: 0,
            emptied: 0,
            idle_huge: 0,
            wrong: 0,
            charges: Charges::default(),
        }
    }

    /// Commits frames.
    pub(super) fn commit(&mut self, from: u64, to: u64) {
        for part in parts(from, to, self.huge.len()) {
            let (mut fresh, mut again) = (0, 0);
            for (word, mask) in part.words() {
                let absent = mask & !self.resident[word];
                fresh += absent.count_ones();
                again += (absent & self.used[word]).count_ones();
                self.resident[word] |= mask;
                self.used[word] |= mask;
            }
            self.resident_frames += u64::from(fresh);
            self.most_frames = self.resident_frames.max(self.most_frames);
            self.change(part.huge, |huge| huge.resident += fresh);
            let huge = &mut self.huge[part.huge];
            if again > 0 {
                let price = self.prices.take(again, huge.paid_ns);
                huge.paid_ns += price;
                self.charges.take_ns += price;
                self.charges.taken_bytes += u64::from(again) * FRAME_BYTES;
            }
        }
    }

    /// Gives frames back.
    pub(super) fn release(&mut self, from: u64, to: u64) {
        for part in parts(from, to, self.huge.len()) {
            let mut gone = 0;
            for (word, mask) in part.words() {
                let had = mask & self.resident[word];
                let bad = mask & (self.live[word] | !had);
                self.wrong += u64::from(bad.count_ones());
                gone += had.count_ones();
                self.resident[word] &= !mask;
            }
            let before = self.huge[part.huge];
            let breaks = before.live > 0 || before.is_idle() && gone < FRAMES;
            self.change(part.huge, |huge| {
                huge.resident -= gone;
                huge.paid_ns = 0;
            });
            self.resident_frames -= u64::from(gone);
            self.charges.release_ns += self.prices.release(gone);
            let bytes = u64::from(gone) * FRAME_BYTES;
            self.charges.released_bytes += bytes;
            if !breaks {
                self.charges.whole_bytes += bytes;
            }
        }
    }

    /// Charges one call that releases.
    pub(super) fn call(&mut self) {
        self.charges.release_calls += 1;
        self.charges.release_ns += self.prices.release_call_ns;
    }

    /// Notes that frames were handed out.
    pub(super) fn hand_out(&mut self, from: u64, to: u64) {
        for part in parts(from, to, self.huge.len()) {
            let mut more = 0;
            for (word, mask) in part.words() {
                let bad = mask & (self.live[word] | !self.resident[word]);
                self.wrong += u64::from(bad.count_ones());
                more += (mask & !self.live[word]).count_ones();
                self.live[word] |= mask;
            }
            self.change(part.huge, |huge| huge.live += more);
            self.live_frames += u64::from(more);
        }
    }

    /// Notes that frames were freed.
    pub(super) fn take_in(&mut self, from: u64, to: u64) {
        for part in parts(from, to, self.huge.len()) {
            let mut less = 0;
            for (word, mask) in part.words() {
                less += (mask & self.live[word]).count_ones();
                self.live[word] &= !mask;
            }
            self.live_frames -= u64::from(less);
            self.change(part.huge, |huge| huge.live -= less);
            self.emptied += u64::from(less > 0 && self.huge[part.huge].live == 0);
        }
    }

    /// Changes what is known of a huge page.
    fn change(&mut self, index: usize, change: impl FnOnce(&mut Huge)) {
        let huge = &mut self.huge[index];
        let before = huge.is_idle();
        change(huge);
        match (before, huge.is_idle()) {
            (false, true) => self.idle_huge += 1,
            (true, false) => self.idle_huge -= 1,
            _ => {}
        }
    }
}

/// The frames of one huge page, counted from its first.
struct Part {
    huge: usize,
    from: u32,
    to: u32,
}

impl Part {
    /// Returns each word of bits, and which bits of it.
    fn words(&self) -> impl Iterator<Item = (usize, u64)> {
        let (huge, from, to) = (self.huge, self.from, self.to);
        (from / 64..to.div_ceil(64)).map(move |word| {
            let low = from.saturating_sub(word * 64);
            let high = (to - word * 64).min(64);
            let mask = (u64::MAX >> (64 - (high - low))) << low;
            (huge * WORDS + word as usize, mask)
        })
    }
}

/// Cuts frames at the borders of huge pages; what lies behind the last is left
/// out.
fn parts(from: u64, to: u64, huge_pages: usize) -> impl Iterator<Item = Part> {
    let per = u64::from(FRAMES);
    let to = to.min(huge_pages as u64 * per);
    (from / per..to.div_ceil(per)).map(move |huge| {
        let first = huge * per;
        Part {
            huge: huge as usize,
            from: from.saturating_sub(first) as u32,
            to: (to - first).min(per) as u32,
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn account() -> Account {
        Account::new(Prices::default(), 4 * u64::from(FRAMES))
    }

    #[test]
    fn new_memory_costs_nothing_and_what_was_given_back_does() {
        let mut account = account();
        account.commit(0, 1024);
        assert_eq!(account.charges, Charges::default());
        account.call();
        account.release(0, 1024);
        assert_eq!(account.charges.release_ns, 1_400 + 2 * 6_000);
        assert_eq!(account.charges.whole_bytes, 2 * HUGE_BYTES);
        account.commit(512, 1536);
        assert_eq!(account.charges.take_ns, 350_000);
        assert_eq!(account.charges.taken_bytes, HUGE_BYTES);
        assert_eq!(account.resident_frames, 1024);
        assert_eq!(account.wrong, 0);
        account.release(600, 1000);
        account.commit(600, 900);
        assert_eq!(account.most_frames, 1024, "the most there ever were");
    }

    #[test]
    fn a_huge_page_is_paid_for_once_until_it_is_released_again() {
        let mut account = account();
        account.commit(0, 512);
        account.release(0, 512);
        account.commit(0, 100);
        assert_eq!(account.charges.take_ns, 180_000);
        account.commit(100, 512);
        assert_eq!(account.charges.take_ns, 350_000);
        account.release(511, 512);
        assert_eq!(account.charges.whole_bytes, HUGE_BYTES, "it is broken");
        account.commit(511, 512);
        assert_eq!(account.charges.take_ns, 351_800);
        account.release(511, 512);
        account.release(0, 100);
        let more = 100 * FRAME_BYTES;
        assert_eq!(account.charges.whole_bytes, HUGE_BYTES + more, "it was");
    }

    #[test]
    fn what_breaks_a_rule_is_seen() {
        let mut account = account();
        account.commit(60, 70);
        account.hand_out(60, 70);
        assert_eq!((account.wrong, account.live_frames), (0, 10));
        account.release(69, 70);
        assert_eq!(account.wrong, 1, "it lives");
        account.take_in(60, 70);
        assert_eq!(account.emptied, 1);
        account.release(69, 70);
        assert_eq!(account.wrong, 2, "it was released before");
        account.hand_out(69, 71);
        assert_eq!(account.wrong, 4, "there is no memory behind it");
        account.hand_out(70, 71);
        assert_eq!(account.wrong, 5, "handed out twice");
    }

    #[test]
    fn a_huge_page_is_idle_if_all_of_it_is_there_and_nothing_lives() {
        let mut account = account();
        account.commit(0, 1100);
        assert_eq!(account.idle_huge, 2);
        account.hand_out(512, 513);
        assert_eq!(account.idle_huge, 1);
        account.take_in(512, 513);
        assert_eq!(account.idle_huge, 2);
        account.release(1023, 1024);
        assert_eq!(account.idle_huge, 1);
    }
}
