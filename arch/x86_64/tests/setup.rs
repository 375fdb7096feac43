//! What no backing can be made of.

use spanheap::{Backing, Geometry, PageCount, Window};
use spanheap_x86_64::{Hook, Obstacle, PageTableBacking, Reserve, SetUpError, Stale};
use x86_64::VirtAddr;
use x86_64::structures::paging::{PageSize, Size2MiB};

mod machine;
use machine::{Machine, window};

const LARGE: u64 = Size2MiB::SIZE;
const HUGE: u32 = 512;

#[test]
fn a_window_that_cannot_be_mapped_is_refused() {
    let refused = |offset: u64, window: Window| {
        let mut machine = Machine::new();
        let tree = machine.tree();
        let hook: fn(Stale) = |_| {};
        // SAFETY: there is no processor here that could have cached anything.
        let hook = unsafe { Hook::new(hook) };
        let (offset, reserve) = (VirtAddr::new(offset), Reserve::<1>::new());
        // SAFETY: nothing is mapped.
        unsafe { PageTableBacking::over_direct_map(tree, offset, window, reserve, hook) }.err()
    };
    let ok = window(0, 100);
    let small = Geometry::new(1024, 2048, LARGE).expect("a geometry");
    let small = Window::new(small, 0, PageCount::new(100)).expect("a window");
    assert_eq!(refused(LARGE, ok), None);
    assert_eq!(refused(LARGE, small), Some(SetUpError::PhysicalPage));
    assert_eq!(refused(4096, ok), Some(SetUpError::UnalignedOffset));
    for (offset, origin) in [
        // Over the end of the lower half, of all addresses, of memory.
        ((1 << 47) - LARGE, 1 << 21),
        (LARGE, (1 << 47) - LARGE),
        (u64::MAX - LARGE + 1, LARGE),
        (u64::MAX - LARGE + 1, 0),
        (LARGE, 1 << 52),
    ] {
        let window = window(origin, 2 * HUGE);
        assert_eq!(
            refused(offset, window),
            Some(SetUpError::NoSuchAddress),
            "{origin:#x}"
        );
    }
}

#[test]
fn at_the_end_of_all_addresses_rounding_does_not_overflow() {
    let mut machine = Machine::new();
    let tree = machine.tree();
    let hook: fn(Stale) = |_| {};
    // SAFETY: there is no processor here that could have cached anything.
    let hook = unsafe { Hook::new(hook) };
    let geometry = Geometry::new(4096, LARGE, LARGE).expect("a geometry");
    let pages = PageCount::new(2 * HUGE - 1);
    let window = Window::new(geometry, 0, pages).expect("a window");
    let (offset, reserve) = (VirtAddr::new(u64::MAX - 2 * LARGE + 1), Reserve::<1>::new());
    // SAFETY: nothing is mapped, and nothing is touched.
    let backing = unsafe { PageTableBacking::over_direct_map(tree, offset, window, reserve, hook) };
    let backing = backing.expect("a backing");
    let range = machine::range;
    let outside = Obstacle::OutsideWindow.into();
    assert_eq!(backing.sys_unused(&[range(HUGE + 1, HUGE - 2)]), 1);
    assert_eq!(backing.sys_used(range(HUGE + 1, HUGE - 2)), Err(outside));
    assert_eq!(backing.sys_used(range(2 * HUGE - 2, 1)), Err(outside));
}
