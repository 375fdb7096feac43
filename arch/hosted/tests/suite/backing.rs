//! The backing by itself: commit, release, zero, grow, and what stays.

use spanheap::{Backing, Geometry, PageCount, PageRange, Residency};
use spanheap_hosted::{Batching, HostedBacking, HostedOptions, HugePages};

use crate::common::{BOTH, is_zero, range, resident, spoiled, stamp};

const PAGE: u64 = 4096;

fn reserve(options: HostedOptions, pages: u32) -> HostedBacking {
    options
        .reserve(Geometry::SMALL_PAGES, PageCount::new(pages))
        .expect("address space")
}

fn with(batching: Batching, pages: u32) -> HostedBacking {
    reserve(HostedOptions::new().batching(batching), pages)
}

/// 300 ranges of 1 to 8 pages, each with as many pages behind it.
fn scattered() -> (Vec<PageRange>, Vec<PageRange>) {
    let at = |i: u32| i / 8 * 72 + [0, 2, 6, 12, 20, 30, 42, 56][i as usize % 8];
    let released = (0..300).map(|i| range(at(i), i % 8 + 1)).collect();
    let kept = (0..300)
        .map(|i| range(at(i) + i % 8 + 1, i % 8 + 1))
        .collect();
    (released, kept)
}

#[test]
fn released_pages_leave_the_resident_set_and_read_as_zero_and_their_neighbours_stay() {
    let (released, kept) = scattered();
    let pages = |ranges: &[PageRange]| -> u64 {
        ranges
            .iter()
            .map(|range| u64::from(range.count().get()))
            .sum()
    };
    for batching in BOTH {
        let backing = with(batching, 4096);
        for &range in released.iter().chain(&kept) {
            backing.sys_used(range).expect("memory");
            stamp(&backing, range, 1);
        }
        let before = resident(&backing);
        assert_eq!(before, (pages(&released) + pages(&kept)) * PAGE);

        assert_eq!(backing.sys_unused(&released), released.len());
        assert_eq!(backing.last_error(), None);
        assert_eq!(before - resident(&backing), pages(&released) * PAGE);
        for &range in &kept {
            assert_eq!(spoiled(&backing, range, 1), 0, "{range:?} by {batching:?}");
        }
        for &range in &released {
            backing.sys_used(range).expect("memory");
            assert!(is_zero(&backing, range), "{range:?} by {batching:?}");
        }
        assert!(backing.zeroes_released());
    }
}

#[test]
fn releasing_splits_no_mapping() {
    let backing = with(Batching::Vectored, 4096);
    backing.sys_used(backing.range()).expect("memory");
    stamp(&backing, backing.range(), 2);
    let single: Vec<_> = (0..2048).map(|i| range(2 * i, 1)).collect();
    assert_eq!(backing.sys_unused(&single), single.len());
    let usage = backing.usage().expect("/proc/self/smaps");
    assert_eq!(usage.mappings, 1);
    assert_eq!(usage.resident_bytes, 2048 * PAGE);
}

#[test]
fn releasing_and_committing_twice_changes_nothing() {
    for batching in BOTH {
        let backing = with(batching, 1024);
        let (low, high) = (range(0, 8), range(8, 8));
        for _ in 0..2 {
            backing.sys_used(range(0, 16)).expect("memory");
        }
        stamp(&backing, range(0, 16), 3);
        for _ in 0..2 {
            assert_eq!(backing.sys_unused(&[low, low]), 2);
            assert_eq!(resident(&backing), 8 * PAGE);
        }
        for _ in 0..2 {
            backing.sys_used(range(0, 16)).expect("memory");
            assert_eq!(spoiled(&backing, high, 3), 0);
        }
        assert!(is_zero(&backing, low));
    }
}

#[test]
fn ranges_longer_than_the_kernel_takes_at_once_are_released_to_the_end() {
    for batching in BOTH {
        // Twice 3 GiB and a few pages, of which a page in 256 MiB is touched.
        let half = (3 << 18) + 5;
        let backing = with(batching, 2 * half);
        backing.sys_used(backing.range()).expect("memory");
        let touched: Vec<_> = (0..2 * half)
            .step_by(1 << 16)
            .chain([2 * half - 1])
            .collect();
        for &page in &touched {
            stamp(&backing, range(page, 1), 4);
        }
        assert_eq!(resident(&backing), touched.len() as u64 * PAGE);
        assert_eq!(backing.sys_unused(&[range(half, half), range(0, half)]), 2);
        assert_eq!(resident(&backing), 0);
        assert!(
            touched
                .iter()
                .all(|&page| is_zero(&backing, range(page, 1)))
        );
    }
}

#[test]
fn batches_are_used_exactly_where_the_system_has_them() {
    // What the backing asks, asked of a page of the test's own.
    let probe = with(Batching::Loop, 512);
    let at = probe.pointer(range(0, 1)).expect("in the window");
    let list = libc::iovec {
        iov_base: at.as_ptr().cast(),
        iov_len: at.len(),
    };
    // SAFETY: the list is one entry, which names an untouched page of `probe`.
    let done = unsafe {
        libc::syscall(
            libc::SYS_process_madvise,
            -10_000,
            &list,
            1,
            libc::MADV_DONTNEED,
            0,
        )
    };
    let expected = if done > 0 {
        Batching::Vectored
    } else {
        Batching::Loop
    };
    assert_eq!(with(Batching::Vectored, 512).batching(), expected);
    assert_eq!(with(Batching::Loop, 512).batching(), Batching::Loop);
}

#[test]
fn a_reservation_takes_no_memory_however_large() {
    // 1 TiB.
    let backing = with(Batching::Vectored, 1 << 28);
    assert_eq!(resident(&backing), 0);
    let last = range((1 << 28) - 1, 1);
    backing.sys_used(last).expect("memory");
    stamp(&backing, last, 5);
    assert_eq!(resident(&backing), PAGE);
    assert_eq!(spoiled(&backing, last, 5), 0);
}

#[test]
fn zero_clears_what_it_is_given_and_nothing_else() {
    let backing = with(Batching::Vectored, 1024);
    backing.sys_used(range(0, 12)).expect("memory");
    stamp(&backing, range(0, 12), 6);
    backing.zero(range(4, 4));
    assert!(is_zero(&backing, range(4, 4)));
    assert_eq!(spoiled(&backing, range(0, 4), 6), 0);
    assert_eq!(spoiled(&backing, range(8, 4), 6), 0);
}

#[test]
fn zeroing_what_was_never_committed_is_done_already() {
    let backing = with(Batching::Vectored, 4096);
    backing.zero(range(1000, 2000));
    assert_eq!(resident(&backing), 0);
}

#[test]
fn a_release_rounds_inward_to_physical_pages() {
    // Pages of 4 KiB, physical pages of 16.
    let geometry = Geometry::new(4096, 16384, 2 << 20).expect("a geometry");
    for batching in BOTH {
        let backing = HostedOptions::new()
            .batching(batching)
            .reserve(geometry, PageCount::new(1021))
            .expect("address space");
        assert_eq!(backing.range().count(), PageCount::new(1024), "rounded up");
        backing.sys_used(range(0, 32)).expect("memory");
        stamp(&backing, range(0, 32), 7);
        // One whole physical page; none; two.
        let ranges = [range(1, 8), range(9, 6), range(15, 10)];
        assert_eq!(backing.sys_unused(&ranges), 3);
        assert_eq!(resident(&backing), (32 - 12) * PAGE);
        for (start, pages) in [(0, 4), (8, 8), (24, 8)] {
            assert_eq!(spoiled(&backing, range(start, pages), 7), 0);
        }
        assert!(is_zero(&backing, range(4, 4)));
        assert!(is_zero(&backing, range(16, 8)));
    }
}

#[test]
fn pages_smaller_than_physical_ones_work() {
    let geometry = Geometry::new(1024, 4096, 0).expect("a geometry");
    let backing = HostedBacking::reserve(geometry, PageCount::new(64)).expect("address space");
    // Commits outward: the whole physical page of pages 4 to 7.
    backing.sys_used(range(5, 1)).expect("memory");
    stamp(&backing, range(0, 8), 8);
    assert_eq!(backing.sys_unused(&[range(1, 7)]), 1);
    assert_eq!(spoiled(&backing, range(0, 4), 8), 0);
    assert!(is_zero(&backing, range(4, 4)));
}

#[test]
fn growth_gives_every_page_once_in_whole_huge_pages() {
    let backing = reserve(HostedOptions::new().growing_by(PageCount::new(700)), 4000);
    let mut next = 0;
    let mut grown = Vec::new();
    while let Some(growth) = backing.grow(PageCount::new(1)) {
        assert_eq!(growth.residency, Residency::Released);
        assert_eq!(growth.range.start().number(), next);
        next = growth.range.end().number();
        grown.push(growth.range.count().get());
    }
    assert_eq!(grown, [1024, 1024, 1024, 928]);
}

#[test]
fn growth_follows_a_request_longer_than_its_step_if_so_much_is_left() {
    let backing = reserve(HostedOptions::new().growing_by(PageCount::new(1)), 4096);
    assert_eq!(backing.grow(PageCount::new(4097)), None);
    let growth = backing.grow(PageCount::new(2000)).expect("room");
    assert_eq!(growth.range, range(0, 2048));
    assert_eq!(backing.grow(PageCount::new(2049)), None);
    let growth = backing.grow(PageCount::new(2048)).expect("room");
    assert_eq!(growth.range, range(2048, 2048));
    assert_eq!(backing.grow(PageCount::new(1)), None);
}

#[test]
fn nothing_grows_unless_it_was_asked_to() {
    let backing = with(Batching::Vectored, 4096);
    assert_eq!(backing.grow(PageCount::new(1)), None);
}

#[test]
fn there_are_no_transparent_huge_pages_unless_they_are_wanted() {
    let backing = with(Batching::Vectored, 8192);
    backing.sys_used(backing.range()).expect("memory");
    stamp(&backing, range(0, 4096), 9);
    stamp(&backing, range(4608, 1), 9);
    let usage = backing.usage().expect("/proc/self/smaps");
    assert_eq!(usage.huge_bytes, 0);
    assert_eq!(usage.resident_bytes, 4097 * PAGE);
}

#[test]
fn each_policy_on_huge_pages_is_the_one_that_the_kernel_has_noted() {
    for (huge_pages, flag) in [
        (HugePages::Never, Some("nh")),
        (HugePages::Inherit, None),
        (HugePages::Advise, Some("hg")),
    ] {
        let backing = reserve(HostedOptions::new().huge_pages(huge_pages), 1024);
        backing.sys_used(range(0, 1)).expect("memory");
        let flags = flags_of(&backing);
        for known in ["nh", "hg"] {
            let set = flags.split_ascii_whitespace().any(|flag| flag == known);
            assert_eq!(set, flag == Some(known), "{huge_pages:?}: {flags}");
        }
    }
}

/// Returns the flags of the mapping that begins with the window.
fn flags_of(backing: &HostedBacking) -> String {
    let smaps = std::fs::read_to_string("/proc/self/smaps").expect("a process");
    let start = format!("{:x}-", backing.window().origin());
    let ours = smaps.lines().skip_while(|line| !line.starts_with(&start));
    let flags = ours.map(|line| line.strip_prefix("VmFlags:"));
    flags.flatten().next().expect("a mapping").to_owned()
}

#[test]
fn dropping_the_backing_unmaps_it() {
    // 256 TiB in all: twice what a process can map.
    for _ in 0..256 {
        let backing = with(Batching::Vectored, 1 << 28);
        backing.sys_used(range(0, 1)).expect("memory");
    }
}

#[test]
fn a_part_of_a_huge_page_can_be_released_and_the_rest_stays() {
    for huge_pages in [HugePages::Inherit, HugePages::Advise] {
        for batching in BOTH {
            let options = HostedOptions::new()
                .huge_pages(huge_pages)
                .batching(batching);
            let backing = reserve(options, 2048);
            backing.sys_used(backing.range()).expect("memory");
            stamp(&backing, backing.range(), 10);
            assert_eq!(resident(&backing), 2048 * PAGE);
            assert_eq!(backing.sys_unused(&[range(100, 300), range(1536, 512)]), 2);
            assert_eq!(resident(&backing), (2048 - 812) * PAGE);
            assert_eq!(spoiled(&backing, range(0, 100), 10), 0);
            assert_eq!(spoiled(&backing, range(400, 1136), 10), 0);
            assert!(is_zero(&backing, range(100, 300)));
        }
    }
}
