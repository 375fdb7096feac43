//! Gives many ranges back in as few calls as the kernel allows.
//!
//! `process_madvise` takes a list of ranges, and one entry into the kernel and
//! one flush of the TLB serve them all: several times the throughput of a loop
//! of `madvise` when they are short. But it may do less than it was told. It
//! stops at the first range that fails and returns the bytes done, without the
//! error, and it stops silently at 2 GiB less a page, inside of a range. So a
//! cursor counts bytes, not ranges: whatever comes back, the next call begins
//! exactly behind it.
//!
//! A list that gets nowhere says little (a sandbox forbids the call; one range
//! is locked in memory), so the range it began with is tried alone: that
//! succeeds, and the rest goes on one by one, or its error is the answer.
//!
//! Invariant: the ranges before the cursor are released, and what follows it
//! was never passed to a call that succeeded.

use std::ops::Range;

use spanheap::PageRange;

use crate::error::CallError;
use crate::options::Batching;
use crate::reservation::{BATCH, Reservation};

/// The most bytes in one list: below what the kernel cuts off silently, and
/// whole huge pages, so that the cut splits none.
const BATCH_BYTES: usize = 1 << 30;

/// What gives ranges of bytes back; a test puts a script in its place.
pub(crate) trait Discard {
    /// One range, all of it.
    fn one(&self, bytes: Range<usize>) -> Result<(), CallError>;
    /// At most [`BATCH`] ranges; the bytes that were done.
    fn many(&self, batch: &[Range<usize>]) -> Result<usize, CallError>;
}

impl Discard for Reservation {
    fn one(&self, bytes: Range<usize>) -> Result<(), CallError> {
        self.discard(bytes)
    }

    fn many(&self, batch: &[Range<usize>]) -> Result<usize, CallError> {
        self.discard_many(batch)
    }
}

/// Releases `ranges` in their order; `bytes_of` says where each of them lies,
/// the same each time it is asked, and nowhere means nothing to do.
///
/// Returns how many, a prefix, are released, and why not more.
pub(crate) fn release(
    os: &impl Discard,
    batching: Batching,
    ranges: &[PageRange],
    bytes_of: impl Fn(PageRange) -> Range<usize>,
) -> (usize, Option<CallError>) {
    let mut cursor = Cursor {
        ranges,
        bytes_of,
        index: 0,
        done: 0,
    };
    let mut limit = match batching {
        Batching::Vectored => BATCH,
        Batching::Loop => 1,
    };
    let mut batch = [const { 0..0 }; BATCH];
    loop {
        let (len, total) = cursor.fill(&mut batch[..limit]);
        let Some((first, _)) = batch[..len].split_first() else {
            return (cursor.index, None);
        };
        // A list of one is a plain call with more to check.
        if len > 1 {
            match os.many(&batch[..len]) {
                Ok(bytes) if bytes > 0 => {
                    cursor.advance(bytes.min(total));
                    continue;
                }
                _ => limit = 1,
            }
        }
        if let Err(why) = os.one(first.clone()) {
            return (cursor.index, Some(why));
        }
        cursor.advance(first.len());
    }
}

/// How far a release has come.
struct Cursor<'r, F> {
    ranges: &'r [PageRange],
    bytes_of: F,
    /// The first range that is not wholly released.
    index: usize,
    /// The bytes of it that are: fewer than it has.
    done: usize,
}

impl<F: Fn(PageRange) -> Range<usize>> Cursor<'_, F> {
    /// Returns what is left of the range at `index`, with `done` bytes gone.
    fn left(&self, index: usize, done: usize) -> Option<Range<usize>> {
        let bytes = (self.bytes_of)(*self.ranges.get(index)?);
        Some(bytes.start + done.min(bytes.len())..bytes.end)
    }

    /// Lists what comes next; returns how many pieces, and their bytes. None
    /// are left if there are no pieces.
    fn fill(&mut self, batch: &mut [Range<usize>]) -> (usize, usize) {
        self.advance(0);
        let (mut len, mut total) = (0, 0);
        let (mut index, mut done) = (self.index, self.done);
        while len < batch.len() && total < BATCH_BYTES {
            let Some(left) = self.left(index, done) else {
                break;
            };
            let take = left.len().min(BATCH_BYTES - total);
            if take > 0 {
                batch[len] = left.start..left.start + take;
                len += 1;
                total += take;
            }
            (index, done) = (index + 1, 0);
        }
        (len, total)
    }

    /// Steps over `bytes` bytes, and over every range that is done then.
    fn advance(&mut self, mut bytes: usize) {
        while let Some(left) = self.left(self.index, self.done) {
            if bytes < left.len() {
                self.done += bytes;
                return;
            }
            bytes -= left.len();
            (self.index, self.done) = (self.index + 1, 0);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;
    use std::collections::VecDeque;

    use spanheap::{Page, PageCount};

    use super::*;
    use crate::error::SystemCall;

    const KIB: usize = 1 << 10;

    /// Plays what it is told for each list, and then takes everything; notes
    /// what it released.
    #[derive(Default)]
    struct Script {
        many: RefCell<VecDeque<Result<usize, i32>>>,
        one: RefCell<VecDeque<Result<(), i32>>>,
        lists: RefCell<Vec<usize>>,
        released: RefCell<Vec<Range<usize>>>,
    }

    impl Script {
        fn note(&self, bytes: Range<usize>) {
            let mut released = self.released.borrow_mut();
            match released.last_mut() {
                Some(last) if last.end == bytes.start => last.end = bytes.end,
                _ => released.push(bytes),
            }
        }
    }

    fn error(call: SystemCall, errno: i32) -> CallError {
        CallError { call, errno }
    }

    impl Discard for Script {
        fn one(&self, bytes: Range<usize>) -> Result<(), CallError> {
            let answer = self.one.borrow_mut().pop_front().unwrap_or(Ok(()));
            answer.map_err(|errno| error(SystemCall::Madvise, errno))?;
            self.note(bytes);
            Ok(())
        }

        fn many(&self, batch: &[Range<usize>]) -> Result<usize, CallError> {
            self.lists.borrow_mut().push(batch.len());
            let total = batch.iter().map(Range::len).sum();
            let answer = self.many.borrow_mut().pop_front().unwrap_or(Ok(total));
            let bytes = answer.map_err(|errno| error(SystemCall::ProcessMadvise, errno))?;
            let mut left = bytes;
            for piece in batch {
                let take = left.min(piece.len());
                if take > 0 {
                    self.note(piece.start..piece.start + take);
                }
                left -= take;
            }
            Ok(bytes)
        }
    }

    /// Ranges of `pages` 4 KiB pages, with a gap of one between them.
    fn ranges(count: u32, pages: u32) -> Vec<PageRange> {
        (0..count)
            .map(|i| {
                PageRange::new(Page::new(i * (pages + 1)), PageCount::new(pages))
                    .expect("not empty")
            })
            .collect()
    }

    fn bytes_of(range: PageRange) -> Range<usize> {
        range.start().number() as usize * 4096..range.end().number() as usize * 4096
    }

    fn play(script: &Script, ranges: &[PageRange]) -> (usize, Option<CallError>) {
        release(script, Batching::Vectored, ranges, bytes_of)
    }

    fn all(ranges: &[PageRange]) -> Vec<Range<usize>> {
        ranges.iter().copied().map(bytes_of).collect()
    }

    #[test]
    fn many_ranges_go_in_few_lists() {
        let (script, ranges) = (Script::default(), ranges(130, 3));
        assert_eq!(play(&script, &ranges), (130, None));
        assert_eq!(*script.lists.borrow(), [64, 64, 2]);
        assert_eq!(*script.released.borrow(), all(&ranges));
    }

    #[test]
    fn a_short_return_is_taken_up_at_its_very_byte() {
        let (script, ranges) = (Script::default(), ranges(5, 4));
        // Into the third range; then to the end of it; then into the fifth.
        let returns = [2 * 16 * KIB + 4 * KIB, 12 * KIB, 16 * KIB + 8 * KIB];
        *script.many.borrow_mut() = returns.map(Ok).into();
        assert_eq!(play(&script, &ranges), (5, None));
        assert_eq!(*script.released.borrow(), all(&ranges));
    }

    #[test]
    fn only_whole_ranges_count_when_a_release_fails_halfway() {
        let (script, ranges) = (Script::default(), ranges(5, 4));
        *script.many.borrow_mut() = [Ok(2 * 16 * KIB + 4 * KIB), Err(libc::EAGAIN)].into();
        *script.one.borrow_mut() = [Err(libc::ENOMEM)].into();
        let why = error(SystemCall::Madvise, libc::ENOMEM);
        assert_eq!(play(&script, &ranges), (2, Some(why)));
    }

    #[test]
    fn a_list_that_gets_nowhere_is_done_one_by_one() {
        for answer in [Err(libc::EPERM), Ok(0)] {
            let (script, ranges) = (Script::default(), ranges(100, 1));
            *script.many.borrow_mut() = [answer].into();
            assert_eq!(play(&script, &ranges), (100, None));
            assert_eq!(*script.released.borrow(), all(&ranges));
            assert_eq!(*script.lists.borrow(), [64], "it is not asked again");
        }
    }

    #[test]
    fn a_kernel_that_claims_more_than_it_was_given_is_not_believed() {
        let (script, ranges) = (Script::default(), ranges(66, 1));
        *script.many.borrow_mut() = [Ok(usize::MAX)].into();
        assert_eq!(play(&script, &ranges), (66, None));
        assert_eq!(
            *script.lists.borrow(),
            [64, 2],
            "the last two were not skipped"
        );
    }

    #[test]
    fn a_list_is_cut_before_the_kernel_would_cut_it() {
        let (script, ranges) = (Script::default(), ranges(3, (1 << 18) + 1));
        assert_eq!(play(&script, &ranges), (3, None));
        assert_eq!(*script.released.borrow(), all(&ranges));
        assert_eq!(*script.lists.borrow(), [2, 2], "1 GiB at a time");
    }

    #[test]
    fn the_loop_never_makes_a_list() {
        let (script, ranges) = (Script::default(), ranges(9, 2));
        let result = release(&script, Batching::Loop, &ranges, bytes_of);
        assert_eq!(result, (9, None));
        assert!(script.lists.borrow().is_empty());
        assert_eq!(*script.released.borrow(), all(&ranges));
    }

    #[test]
    fn ranges_with_nothing_to_release_are_done() {
        let (script, ranges) = (Script::default(), ranges(4, 2));
        let nothing = |range: PageRange| match range.start().number() {
            0 | 9 => 0..0,
            _ => bytes_of(range),
        };
        let result = release(&script, Batching::Vectored, &ranges, nothing);
        assert_eq!(result, (4, None));
        assert_eq!(*script.released.borrow(), all(&ranges[1..3]));
        assert_eq!(
            release(&script, Batching::Vectored, &[], nothing),
            (0, None)
        );
    }
}
