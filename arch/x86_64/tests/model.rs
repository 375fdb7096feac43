//! Random commits and releases, compared with a map from page to mapped or not.

use proptest::prelude::*;
use spanheap::{Backing, Geometry, PageCount, PageRange, Window};
use x86_64::structures::paging::{PageSize, Size2MiB, Size4KiB};
use x86_64::{PhysAddr, VirtAddr};

mod machine;
use machine::{Machine, Pool, flushed, lookup, range, window};

const PAGES: u32 = 4 * 512 + 100;
/// The heap's pages start and end inside a huge page, so that others have a
/// part of it.
const FIRST: u32 = 200;
const ORIGIN_PAGE: u32 = 512;
const MAPPED_PAGES: u32 = 6 * 512;

#[derive(Clone, Debug)]
enum Step {
    Used(PageRange),
    Unused(Vec<PageRange>),
}

/// A range of the heap's pages, often of whole huge ones, often all of them.
fn ranges() -> impl Strategy<Value = PageRange> {
    let some = |most: u32| {
        (FIRST..PAGES, 1..most).prop_map(|(at, pages)| range(at, pages.min(PAGES - at)))
    };
    prop_oneof![
        3 => some(40),
        3 => (1..4_u32, 1..4_u32).prop_map(|(at, count)| range(at * 512, 512 * count.min(4 - at))),
        2 => some(PAGES),
        1 => Just(range(FIRST, PAGES - FIRST)),
    ]
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        ranges().prop_map(Step::Used),
        proptest::collection::vec(ranges(), 1..6).prop_map(Step::Unused),
    ];
    proptest::collection::vec(step, 1..24)
}

/// What a heap may pass to `sys_unused`: disjoint, and all mapped.
fn releasable(ranges: Vec<PageRange>, mapped: &[bool]) -> Vec<PageRange> {
    let mut kept: Vec<PageRange> = Vec::new();
    for range in ranges {
        let disjoint = kept.iter().all(|other| other.intersection(range).is_none());
        if disjoint && range.pages().all(|page| mapped[page.number() as usize]) {
            kept.push(range);
        }
    }
    kept
}

fn set(mapped: &mut [bool], range: PageRange, is: bool) {
    mapped[range.start().number() as usize..range.end().number() as usize].fill(is);
}

fn config() -> ProptestConfig {
    ProptestConfig {
        rng_seed: proptest::test_runner::RngSeed::Fixed(0x7ab1e5),
        failure_persistence: None,
        cases: 100,
        ..ProptestConfig::default()
    }
}

/// Runs the steps over a direct map in pages of size `S`, with physical pages of
/// so many pages.
fn direct<S: PageSize>(steps: Vec<Step>, tables: usize, unit: u32) -> Result<(), TestCaseError>
where
    machine::Tree: x86_64::structures::paging::Mapper<S>,
{
    let mut machine = Machine::new();
    let geometry = Geometry::new(4096, u64::from(unit) * 4096, 2 << 20).expect("a geometry");
    let heap = Window::new(geometry, window_at().origin(), PageCount::new(PAGES));
    let heap = heap.expect("a window");
    let outward = |pages: PageRange| {
        let start = pages.start().number() / unit * unit;
        range(start, pages.end().number().next_multiple_of(unit) - start)
    };
    let all = 0..u64::from(MAPPED_PAGES) * 4096;
    let (backing, flushes) = machine.direct::<S, 16>(all, heap, tables);
    let mut mapped = vec![true; PAGES as usize];
    for step in steps {
        match step {
            Step::Used(range) => {
                prop_assert_eq!(backing.sys_used(range), Ok(()));
                set(&mut mapped, outward(range), true);
                prop_assert!(flushed(&flushes) <= 1);
            }
            Step::Unused(ranges) => {
                let ranges = releasable(ranges.into_iter().map(outward).collect(), &mapped);
                let done = backing.sys_unused(&ranges);
                let enough = tables >= 5 || S::SIZE == 4096;
                prop_assert!(done == ranges.len() || !enough);
                for range in &ranges[..done] {
                    set(&mut mapped, *range, false);
                }
                prop_assert_eq!(flushed(&flushes), usize::from(done > 0));
            }
        }
        for page in 0..MAPPED_PAGES {
            let address = u64::from(page) * 4096;
            let seen = backing.with_tables(|tree| lookup(tree, machine.offset() + address));
            let expected = page
                .checked_sub(ORIGIN_PAGE)
                .and_then(|page| mapped.get(page as usize))
                .is_none_or(|mapped| *mapped);
            match seen {
                Some((frame, _)) => {
                    prop_assert_eq!(frame, PhysAddr::new(address));
                    // Without a table more may come back than was asked for.
                    prop_assert!(expected || tables < 5, "page {} is mapped", page);
                }
                None => prop_assert!(!expected, "page {} is not mapped", page),
            }
        }
    }
    // All of it comes back as it was, and so do the tables.
    prop_assert_eq!(backing.sys_used(range(FIRST, PAGES - FIRST)), Ok(()));
    prop_assert_eq!(backing.reserve_len(), tables);
    for page in 0..MAPPED_PAGES {
        let address = machine.offset() + u64::from(page) * 4096;
        let seen = backing.with_tables(|tree| lookup(tree, address));
        prop_assert_eq!(seen.map(|(_, size)| size), Some(S::SIZE));
    }
    Ok(())
}

fn window_at() -> spanheap::Window {
    window(u64::from(ORIGIN_PAGE) * 4096, PAGES)
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn a_direct_map_is_what_the_model_says(steps in steps(), tables in 5..8_usize) {
        direct::<Size2MiB>(steps, tables, 1)?;
    }

    #[test]
    fn a_direct_map_in_larger_physical_pages_is_what_the_model_says(
        steps in steps(),
        tables in 5..8_usize,
    ) {
        direct::<Size2MiB>(steps, tables, 4)?;
    }

    #[test]
    fn with_few_tables_nothing_resident_is_ever_unmapped(steps in steps(), tables in 0..3_usize) {
        direct::<Size2MiB>(steps, tables, 1)?;
    }

    #[test]
    fn a_direct_map_of_small_pages_is_what_the_model_says(steps in steps()) {
        direct::<Size4KiB>(steps, 0, 1)?;
    }

    #[test]
    fn a_window_is_what_the_model_says(
        steps in steps(),
        frames in 0..3000_u64,
        tables in 0..8_usize,
    ) {
        const ORIGIN: u64 = 0x4000_0000_0000;
        let mut machine = Machine::new();
        let pool = Pool::new(16 << 20, frames);
        let heap = window(ORIGIN + u64::from(ORIGIN_PAGE) * 4096, PAGES);
        let (backing, flushes) = machine.window::<16>(pool.clone(), heap, tables);
        let mut mapped = vec![false; PAGES as usize];
        for step in steps {
            match step {
                Step::Used(range) => {
                    pool.with(|state| state.before = None);
                    let missing = range.pages().filter(|page| !mapped[page.number() as usize]);
                    let missing = missing.count();
                    let fits = missing + pool.out() <= frames as usize;
                    let result = backing.sys_used(range);
                    prop_assert!(result.is_err() || fits);
                    prop_assert!(result.is_ok() || !fits || tables < 7);
                    if result.is_ok() {
                        set(&mut mapped, range, true);
                    }
                    prop_assert!(flushed(&flushes) <= 1);
                }
                Step::Unused(ranges) => {
                    let ranges = releasable(ranges, &mapped);
                    pool.with(|state| state.before = Some((flushes.clone(), 0)));
                    let done = backing.sys_unused(&ranges);
                    prop_assert!(done == ranges.len() || tables < 7);
                    for range in &ranges[..done] {
                        set(&mut mapped, *range, false);
                    }
                    prop_assert_eq!(flushed(&flushes), usize::from(done > 0));
                }
            }
            let mut used = std::collections::BTreeSet::new();
            for page in 0..MAPPED_PAGES {
                let address = VirtAddr::new(ORIGIN + u64::from(page) * 4096);
                let seen = backing.with_tables(|tree| lookup(tree, address));
                let expected = page
                    .checked_sub(ORIGIN_PAGE)
                    .and_then(|page| mapped.get(page as usize))
                    .is_some_and(|mapped| *mapped);
                prop_assert_eq!(seen.is_some(), expected, "page {}", page);
                if let Some((frame, _)) = seen {
                    prop_assert!(used.insert(frame), "one frame behind two pages");
                }
            }
            prop_assert_eq!(used.len(), pool.out(), "as many are out as are mapped");
        }
    }
}
