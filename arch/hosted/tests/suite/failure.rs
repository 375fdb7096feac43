//! What cannot be done is said, with the call and the reason, and is not done.

use spanheap::{Backing, Geometry, PageCount, WindowError};
use spanheap_hosted::{CallError, HostedBacking, HostedError, HostedOptions, SystemCall};

use crate::common::{BOTH, is_zero, range, spoiled, stamp};

const SMALL: Geometry = Geometry::SMALL_PAGES;

#[test]
fn a_physical_page_that_the_system_cannot_release_alone_is_refused() {
    let geometry = Geometry::new(512, 512, 0).expect("a geometry");
    let error = HostedBacking::reserve(geometry, PageCount::new(64)).unwrap_err();
    let expected = HostedError::PhysicalPage {
        physical: 512,
        system: rustix::param::page_size() as u64,
    };
    assert_eq!(error, expected);
}

#[test]
fn a_window_without_pages_is_refused() {
    let error = HostedBacking::reserve(SMALL, PageCount::ZERO).unwrap_err();
    assert_eq!(error, HostedError::Window(WindowError::BadLength));
}

#[test]
fn a_window_that_no_address_space_holds_is_refused() {
    // Pages of 1 TiB: 2^64 bytes and one page more, and a number far beyond.
    let huge = Geometry::new(1 << 40, 4096, 0).expect("a geometry");
    for pages in [(1 << 24) + 1, u32::MAX] {
        let error = HostedBacking::reserve(huge, PageCount::new(pages)).unwrap_err();
        let expected = [
            HostedError::Window(WindowError::BadLength),
            HostedError::TooLarge,
        ];
        assert!(expected.contains(&error), "{error}");
    }
    // 2^62 bytes, which no processor maps.
    let error = HostedBacking::reserve(huge, PageCount::new(1 << 22)).unwrap_err();
    let call = SystemCall::Mmap;
    let errno = libc::ENOMEM;
    assert_eq!(error, HostedError::Call(CallError { call, errno }));
    // 2^32 pages once they are whole physical ones.
    let coarse = Geometry::new(4096, 16384, 0).expect("a geometry");
    let error = HostedBacking::reserve(coarse, PageCount::new(u32::MAX)).unwrap_err();
    assert_eq!(error, HostedError::TooLarge);
}

#[test]
fn pages_outside_of_the_window_are_refused_by_every_verb() {
    for batching in BOTH {
        let options = HostedOptions::new().batching(batching);
        let backing = options
            .reserve(SMALL, PageCount::new(1024))
            .expect("address space");
        let outside = [range(1024, 1), range(1000, 25), range(u32::MAX - 1, 1)];
        backing.sys_used(backing.range()).expect("memory");
        stamp(&backing, backing.range(), 1);
        for pages in outside {
            assert_eq!(backing.pointer(pages), None);
            assert_eq!(backing.commit(pages), Err(HostedError::OutsideWindow));
            assert_eq!(backing.sys_used(pages).unwrap_err().code, libc::EFAULT);
            assert_eq!(backing.sys_unused(&[pages, range(0, 1)]), 0);
            assert_eq!(backing.last_error(), Some(HostedError::OutsideWindow));
            backing.zero(pages);
        }
        assert_eq!(spoiled(&backing, backing.range(), 1), 0);
        // What came before it is done.
        assert_eq!(
            backing.sys_unused(&[range(0, 1), range(7, 1), outside[0]]),
            2
        );
        assert!(is_zero(&backing, range(7, 1)));
    }
}

#[test]
fn a_range_that_the_kernel_refuses_ends_the_release_before_it() {
    for batching in BOTH {
        let options = HostedOptions::new().batching(batching);
        let backing = options
            .reserve(SMALL, PageCount::new(1024))
            .expect("address space");
        backing.sys_used(range(0, 40)).expect("memory");
        stamp(&backing, range(0, 40), 2);
        // A locked page is not released. It is the second of the third range.
        let locked = backing.pointer(range(21, 1)).expect("in the window");
        // SAFETY: the page is committed, and `locked` lives as long as it.
        unsafe { rustix::mm::mlock(locked.as_ptr().cast(), locked.len()) }.expect("one page");

        let ranges = [range(0, 4), range(10, 4), range(20, 4), range(30, 4)];
        assert_eq!(backing.sys_unused(&ranges), 2, "{batching:?}");
        let call = SystemCall::Madvise;
        let errno = libc::EINVAL;
        let expected = HostedError::Call(CallError { call, errno });
        assert_eq!(backing.last_error(), Some(expected));
        assert!(is_zero(&backing, range(0, 4)) && is_zero(&backing, range(10, 4)));
        assert_eq!(spoiled(&backing, range(21, 1), 2), 0);
        assert_eq!(
            spoiled(&backing, range(30, 4), 2),
            0,
            "what follows is untouched"
        );
        assert_eq!(backing.batching(), {
            let fresh = options
                .reserve(SMALL, PageCount::new(1))
                .expect("address space");
            fresh.batching()
        });
    }
}
