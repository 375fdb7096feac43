//! What it costs to give memory back and to take it back, on this machine.
//!
//! Measured on the hosted backing, as a heap uses it. Huge pages: half a GiB that
//! the kernel may back with them, released whole, 32 to a call, and touched again:
//! much more than caches hold, since what was released a moment ago is zeroed in
//! the cache. Pages of 4 KiB: a region that it may not, of which every second page
//! is released, so that no two are one range. Both are touched page by page, one
//! word in each, as a program does that fills what it was given: where there are
//! no huge pages, taking one back costs its five hundred pages, and that is what
//! is measured.
//!
//! What a call costs by itself is the difference between one range in a call and
//! 32, and what remains is the range.

use std::fmt;
use std::time::Instant;

use serde::Serialize;
use spanheap::{Backing, Geometry, Page, PageCount, PageRange};
use spanheap_hosted::{Batching, HostedBacking, HostedOptions, HugePages};

use super::options::CalibrateOptions;
use super::prices::{FRAMES, Prices};
use crate::error::Error;

/// Ranges in a call: what a heap releases at once.
const RANGES: usize = 32;
/// Huge pages that are released and taken back in a round.
const HUGE: u32 = 256;
/// Pages of 4 KiB.
const PAGES: u32 = 8192;

/// What was measured.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Calibration {
    /// The prices.
    pub prices: Prices,
    /// Whether several ranges are released by one system call here.
    pub vectored: bool,
    /// Whether the kernel gave huge pages.
    pub huge_pages: bool,
    /// How many rounds were measured.
    pub rounds: u32,
}

/// Measures.
///
/// # Errors
///
/// If the system has no memory for it.
pub fn calibrate(options: &CalibrateOptions) -> Result<Calibration, Error> {
    let whole = Bench::new(HugePages::Advise, HUGE * FRAMES)?;
    let single = Bench::new(HugePages::Never, 2 * PAGES)?;
    let huge: Vec<_> = (0..HUGE)
        .filter_map(|index| range(index * FRAMES, FRAMES))
        .collect();
    let pages: Vec<_> = (0..PAGES).filter_map(|index| range(2 * index, 1)).collect();

    let (mut release_huge, mut take_huge) = (Vec::new(), Vec::new());
    let (mut release_page, mut take_page) = (Vec::new(), Vec::new());
    let mut release_one = Vec::new();
    whole.touch(&huge)?;
    single.touch(&pages)?;
    // One before them, to warm up.
    for _ in 0..=options.rounds {
        release_huge.push(whole.release(&huge, RANGES)?);
        take_huge.push(whole.touch(&huge)?);
        release_page.push(single.release(&pages, RANGES)?);
        take_page.push(single.touch(&pages)?);
        release_one.push(single.release(&pages, 1)?);
        single.touch(&pages)?;
    }
    let ranges = RANGES as u64;
    let (huge, pages) = (u64::from(HUGE), u64::from(PAGES));
    let (one, many) = (median(release_one) / pages, median(release_page) / pages);
    let call = one.saturating_sub(many) * ranges / (ranges - 1);
    let release_huge_ns = median(release_huge) / huge;
    Ok(Calibration {
        prices: Prices {
            release_huge_ns: release_huge_ns.saturating_sub(call / ranges),
            release_page_ns: one.saturating_sub(call),
            release_call_ns: call,
            take_huge_ns: median(take_huge) / huge,
            take_page_ns: median(take_page) / pages,
        },
        vectored: whole.backing.batching() == Batching::Vectored,
        huge_pages: whole.has_huge_pages(),
        rounds: options.rounds,
    })
}

fn range(start: u32, count: u32) -> Option<PageRange> {
    PageRange::new(Page::new(start), PageCount::new(count))
}

/// Returns the value in the middle, without the first, which warmed up.
fn median(mut times: Vec<u64>) -> u64 {
    let times = times.get_mut(1..).unwrap_or_default();
    times.sort_unstable();
    times.get(times.len() / 2).copied().unwrap_or(0)
}

/// A region to measure on.
struct Bench {
    backing: HostedBacking,
}

impl Bench {
    fn new(huge_pages: HugePages, pages: u32) -> Result<Self, Error> {
        let options = HostedOptions::new().huge_pages(huge_pages);
        let pages = PageCount::new(pages);
        let backing = options.reserve(Geometry::SMALL_PAGES, pages);
        let backing = backing.map_err(Error::Hosted)?;
        backing.commit(backing.range()).map_err(Error::Hosted)?;
        Ok(Self { backing })
    }

    /// Commits ranges and touches every page of them; returns how long it took, in
    /// nanoseconds.
    fn touch(&self, ranges: &[PageRange]) -> Result<u64, Error> {
        let page = Geometry::SMALL_PAGES.page_bytes() as usize;
        let begun = Instant::now();
        for &range in ranges {
            let committed = self.backing.sys_used(range);
            committed.map_err(|refused| Error::Refused { code: refused.code })?;
            let Some(bytes) = self.backing.pointer(range) else {
                continue;
            };
            for offset in (0..bytes.len()).step_by(page) {
                let at = bytes
                    .cast::<u8>()
                    .as_ptr()
                    .wrapping_add(offset)
                    .cast::<u64>();
                // SAFETY: the page was committed above, is nobody else's, and
                // is released only by this value, later.
                unsafe { at.write_volatile(1) }
            }
        }
        Ok(elapsed(begun))
    }

    /// Releases ranges, so many in a call; returns how long it took, in nanoseconds.
    fn release(&self, ranges: &[PageRange], in_a_call: usize) -> Result<u64, Error> {
        let begun = Instant::now();
        for ranges in ranges.chunks(in_a_call) {
            if self.backing.sys_unused(ranges) < ranges.len() {
                return Err(Error::Refused { code: 0 });
            }
        }
        Ok(elapsed(begun))
    }

    /// Returns whether touching one page of a huge page brings all of it.
    fn has_huge_pages(&self) -> bool {
        let resident = || self.backing.usage().map_or(0, |usage| usage.resident_bytes);
        let Some(one) = range(0, 1) else {
            return false;
        };
        let Some(all) = range(0, FRAMES) else {
            return false;
        };
        if self.backing.sys_unused(&[all]) == 0 {
            return false;
        }
        let before = resident();
        self.touch(&[one]).is_ok() && resident().saturating_sub(before) > 1 << 20
    }
}

fn elapsed(begun: Instant) -> u64 {
    begun.elapsed().as_nanos().min(u128::from(u64::MAX)) as u64
}

impl fmt::Display for Calibration {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let prices = &self.prices;
        let yes = |is: bool| if is { "yes" } else { "no" };
        writeln!(
            f,
            "what memory costs here (median of {} rounds)",
            self.rounds
        )?;
        for (what, option, ns) in [
            ("to release 2 MiB", "--release-huge", prices.release_huge_ns),
            ("to release 4 KiB", "--release-page", prices.release_page_ns),
            (
                "a call that releases",
                "--release-call",
                prices.release_call_ns,
            ),
            (
                "to take back 2 MiB, zeroed",
                "--take-huge",
                prices.take_huge_ns,
            ),
            (
                "to take back 4 KiB, zeroed",
                "--take-page",
                prices.take_page_ns,
            ),
        ] {
            writeln!(f, "  {what:<28}{:>10.2} us   {option}", ns as f64 / 1000.0)?;
        }
        writeln!(f, "  {:<28}{:>10}", "huge pages", yes(self.huge_pages))?;
        writeln!(
            f,
            "  {:<28}{:>10}",
            "many ranges in a system call",
            yes(self.vectored)
        )
    }
}
