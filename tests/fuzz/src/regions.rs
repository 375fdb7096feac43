//! The boot memory map against a look at every page that matters.
//!
//! Whether a page is managed changes only where a range begins or ends. So it is
//! asked of the pages around every such place, and of the window's ends, of any
//! window, and not of all pages of a small one.

use std::ops::Range;

use spanheap::region::MemoryMap;
use spanheap::{Geometry, Page, PageCount, Window};

use crate::input::Input;

/// Runs one input.
pub fn run(data: &[u8]) {
    let mut input = Input::new(data);
    let page = 1_u64 << input.below(24);
    let physical = 1_u64 << input.below(24);
    let Ok(geometry) = Geometry::new(page, physical, 0) else {
        return;
    };
    let unit = page.max(physical);
    let origin = match input.below(3) {
        0 => 0,
        1 => u64::from(input.any::<u8>()) * unit,
        _ => input.number() & !(unit - 1),
    };
    let pages = match input.below(3) {
        0 => input.up_to(8),
        1 => input.up_to(200),
        _ => input.any(),
    };
    let Ok(window) = Window::new(geometry, origin, PageCount::new(pages)) else {
        return;
    };
    let mut lists = [Vec::new(), Vec::new()];
    while input.has_more() {
        let list = input.below(2) as usize;
        let range = range(&mut input, &window, unit);
        lists[list].push(range);
    }
    let [usable, reserved] = lists;
    check(&window, &usable, &reserved);
}

/// A range close to the window, or anywhere; it may be empty or inverted.
fn range(input: &mut Input<'_>, window: &Window, unit: u64) -> Range<u64> {
    let address = |input: &mut Input<'_>| {
        let page = input.below(window.pages().get().saturating_add(2));
        let end = window
            .origin()
            .checked_add(u64::from(page).saturating_mul(unit));
        let near = end.unwrap_or(u64::MAX);
        match input.below(4) {
            0 => near,
            1 => near.saturating_add_signed(i64::from(input.any::<i8>())),
            2 => near.saturating_add_signed(i64::from(input.any::<i32>())),
            _ => input.number(),
        }
    };
    let start = address(input);
    match input.below(2) {
        0 => start..start.saturating_add(input.number()),
        _ => start..address(input),
    }
}

/// Whether all of `bytes` are usable.
fn is_usable(usable: &[Range<u64>], bytes: &Range<u64>) -> bool {
    let mut at = bytes.start;
    while at < bytes.end {
        let reach = usable.iter().filter(|range| range.contains(&at));
        match reach.map(|range| range.end).max() {
            Some(end) => at = end,
            None => return false,
        }
    }
    true
}

fn check(window: &Window, usable: &[Range<u64>], reserved: &[Range<u64>]) {
    let geometry = window.geometry();
    let step = u64::from(geometry.physical_pages().get());
    let unit = step * geometry.page_bytes();
    let pages = u64::from(window.pages().get());
    let units = pages / step;
    // Whether one unit of the window is managed.
    let is_good = |number: u64| {
        let start = window.origin() + number * unit;
        let bytes = start..start + unit;
        let overlaps = |range: &Range<u64>| {
            !range.is_empty() && range.start < bytes.end && bytes.start < range.end
        };
        start != 0 && is_usable(usable, &bytes) && !reserved.iter().any(overlaps)
    };

    let map = MemoryMap::new(usable, reserved);
    let found: Vec<Range<u64>> = map
        .ranges(window)
        .map(|range| u64::from(range.start().number())..u64::from(range.end().number()))
        .collect();
    let ascends = found.windows(2).all(|pair| pair[0].end < pair[1].start);
    assert!(
        ascends,
        "in order, and each as long as it can be: {found:?}"
    );
    for range in &found {
        assert!(range.end <= pages, "{range:?} reaches out of the window");
        assert!(
            range.start % step == 0 && range.end % step == 0,
            "{range:?}"
        );
        let bytes = window.bytes_of(
            spanheap::PageRange::between(
                Page::new(range.start as u32),
                Page::new(range.end as u32),
            )
            .expect("pages"),
        );
        assert_eq!(
            bytes.end - bytes.start,
            (range.end - range.start) / step * unit
        );
    }
    let ends = usable
        .iter()
        .chain(reserved)
        .flat_map(|range| [range.start, range.end]);
    let places = ends.chain([0, window.origin(), u64::MAX]);
    let numbers = places.map(|place| place.saturating_sub(window.origin()) / unit);
    for number in numbers.chain([units]) {
        for number in number.saturating_sub(1)..=number.saturating_add(1) {
            if number < units {
                let first = number * step;
                let is_found = found.iter().any(|range| range.contains(&first));
                assert_eq!(is_found, is_good(number), "pages from {first} on");
            }
        }
    }
}
