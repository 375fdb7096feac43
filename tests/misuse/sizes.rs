//! Page sizes, windows and addresses that cannot be.

use spanheap::{
    AddressError, Geometry, GeometryError, Page, PageCount, PageRange, Window, WindowError,
};

use crate::layout::{PAGE, count, range};

const HUGE: u64 = 512 * PAGE;

#[test]
fn sizes_that_are_no_powers_of_two_are_refused() {
    for (page, physical, huge) in [
        (0, PAGE, HUGE),
        (3, PAGE, HUGE),
        (PAGE, 0, HUGE),
        (PAGE, 3 * PAGE, HUGE),
        (PAGE, PAGE, 3 * PAGE),
        (u64::MAX, PAGE, 0),
        (PAGE, PAGE, u64::MAX),
    ] {
        assert_eq!(
            Geometry::new(page, physical, huge),
            Err(GeometryError::NotAPowerOfTwo)
        );
    }
}

#[test]
fn a_huge_page_below_a_physical_page_or_a_page_is_refused() {
    assert_eq!(
        Geometry::new(PAGE, 8 * PAGE, 4 * PAGE),
        Err(GeometryError::HugeBelowPhysical)
    );
    assert_eq!(
        Geometry::new(PAGE, PAGE, 1),
        Err(GeometryError::HugeBelowPhysical)
    );
    assert_eq!(
        Geometry::new(PAGE, PAGE / 4, PAGE / 2),
        Err(GeometryError::HugeBelowPage)
    );
    assert!(Geometry::new(PAGE, PAGE, PAGE).is_ok());
    assert!(Geometry::new(PAGE, 8 * PAGE, 8 * PAGE).is_ok());
}

#[test]
fn sizes_of_too_many_pages_are_refused() {
    assert_eq!(Geometry::new(1, 1 << 31, 0), Err(GeometryError::TooLarge));
    assert_eq!(Geometry::new(1, 1, 1 << 31), Err(GeometryError::TooLarge));
    assert_eq!(
        Geometry::new(PAGE, PAGE, 1 << 63),
        Err(GeometryError::TooLarge)
    );
    assert!(Geometry::new(1, 1 << 30, 1 << 30).is_ok());
}

#[test]
fn a_window_whose_origin_is_unaligned_is_refused() {
    let geometry = |physical, huge| Geometry::new(PAGE, physical, huge).expect("good sizes");
    for (geometry, origin) in [
        (geometry(PAGE, 0), 1),
        (geometry(PAGE, 0), PAGE / 2),
        (geometry(8 * PAGE, 0), PAGE),
        (geometry(8 * PAGE, 0), 12 * PAGE),
        (geometry(PAGE, HUGE), PAGE),
        (geometry(PAGE, HUGE), HUGE / 2),
        (geometry(PAGE, HUGE), u64::MAX),
    ] {
        assert_eq!(
            Window::new(geometry, origin, count(1)),
            Err(WindowError::UnalignedOrigin)
        );
    }
}

#[test]
fn a_window_of_no_pages_or_without_an_end_is_refused() {
    let small = Geometry::SMALL_PAGES;
    let last = u64::MAX - HUGE + 1;
    for (origin, pages) in [
        (0, 0),
        (HUGE, 0),
        (last, 512),
        (last, 513),
        (last, u32::MAX),
    ] {
        assert_eq!(
            Window::new(small, origin, count(pages)),
            Err(WindowError::BadLength)
        );
    }
    // Pages so large that their bytes cannot be counted.
    let vast = Geometry::new(1 << 40, 1 << 40, 0).expect("good sizes");
    for pages in [1 << 24, u32::MAX] {
        let window = Window::new(vast, 0, count(pages));
        assert_eq!(window, Err(WindowError::BadLength));
    }
    assert!(Window::new(vast, 0, count((1 << 24) - 1)).is_ok());
    assert!(Window::new(small, last, count(511)).is_ok());
    assert!(Window::new(small, 0, count(u32::MAX)).is_ok());
}

#[test]
fn an_address_that_begins_no_page_of_the_window_is_refused() {
    let window = Window::new(Geometry::SMALL_PAGES, HUGE, count(16)).expect("a window");
    let end = HUGE + 16 * PAGE;
    for (address, expected) in [
        (0, Err(AddressError::Outside)),
        (HUGE - 1, Err(AddressError::Outside)),
        (HUGE - PAGE, Err(AddressError::Outside)),
        (end, Err(AddressError::Outside)),
        (end + 1, Err(AddressError::Outside)),
        (u64::MAX, Err(AddressError::Outside)),
        (HUGE + 1, Err(AddressError::Unaligned)),
        (end - 1, Err(AddressError::Unaligned)),
        (HUGE, Ok(Page::new(0))),
        (end - PAGE, Ok(Page::new(15))),
    ] {
        assert_eq!(window.page_at(address), expected, "{address:#x}");
    }
}

#[test]
fn pages_that_are_not_all_of_the_window_are_refused() {
    let window = Window::new(Geometry::SMALL_PAGES, HUGE, count(16)).expect("a window");
    for (page, pages, expected) in [
        (0, 0, Err(AddressError::Outside)),
        (0, 17, Err(AddressError::Outside)),
        (15, 2, Err(AddressError::Outside)),
        (15, u32::MAX, Err(AddressError::Outside)),
        (16, 1, Err(AddressError::Outside)),
        (0, 16, Ok(range(0, 16))),
        (15, 1, Ok(range(15, 16))),
    ] {
        assert_eq!(
            window.range_at(HUGE + page * PAGE, count(pages)),
            expected,
            "{pages} pages from {page} on"
        );
    }
    assert_eq!(
        window.range_at(HUGE + 1, count(1)),
        Err(AddressError::Unaligned)
    );
}

#[test]
fn no_range_is_empty_inverted_or_past_the_last_page_number() {
    let none = None::<PageRange>;
    assert_eq!(PageRange::new(Page::new(3), PageCount::ZERO), none);
    assert_eq!(PageRange::new(Page::new(1), count(u32::MAX)), none);
    assert_eq!(PageRange::new(Page::new(u32::MAX), count(1)), none);
    assert_eq!(PageRange::between(Page::new(3), Page::new(3)), none);
    assert_eq!(PageRange::between(Page::new(3), Page::new(2)), none);
    assert!(PageRange::new(Page::new(0), count(u32::MAX)).is_some());
}

#[test]
fn bytes_that_are_more_pages_than_can_be_counted_are_no_number_of_pages() {
    let small = Geometry::SMALL_PAGES;
    let most = u64::from(u32::MAX) * PAGE;
    assert_eq!(small.pages_for(u64::MAX), None);
    assert_eq!(small.pages_for(most + 1), None);
    assert_eq!(small.pages_for(most), Some(count(u32::MAX)));
}
