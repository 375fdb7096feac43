//! The model itself: its answers on layouts that can be checked by eye.
//!
//! A layout is a line: letters for spans in use, `.` resident, `~` released,
//! blank for no region, `|` between two regions that touch.

mod model;

use model::{Cell, Model, PAGE, Wanted, picture, range};
use spanheap::{Geometry, PageCount, Residency, Window};

/// Makes a model of a layout, with so many pages to a physical one.
fn layout(physical: u64, line: &str) -> Model {
    let pages = line.chars().filter(|&mark| mark != '|').count() as u32;
    let geometry = Geometry::new(PAGE, physical * PAGE, 4 * PAGE.max(physical * PAGE))
        .expect("sizes that go together");
    let window = Window::new(geometry, 1 << 30, PageCount::new(pages)).expect("a window");
    let mut model = Model::new(window);
    let mut page = 0;
    for region in line.split([' ', '|']) {
        let end = page + region.len() as u32;
        if end > page {
            model.add_region(range(page, end), Residency::Released);
        }
        // A blank is a page of its own.
        let blank = line.chars().filter(|&mark| mark != '|').nth(end as usize) == Some(' ');
        page = end + u32::from(blank);
    }
    let marks: Vec<char> = line.chars().filter(|&mark| mark != '|').collect();
    let mut page = 0;
    for run in marks.chunk_by(|one, other| one == other) {
        let pages = range(page, page + run.len() as u32);
        page = pages.end().number();
        if run[0].is_ascii_uppercase() {
            model.take(pages);
        }
    }
    let mut page = 0;
    for run in marks.chunk_by(|one, other| one == other) {
        let pages = range(page, page + run.len() as u32);
        page = pages.end().number();
        if run[0] == '.' {
            for page in pages.pages() {
                let page = range(page.number(), page.number() + 1);
                if model.is_free(page) {
                    model.give(page);
                }
            }
        }
    }
    assert_eq!(picture(&model), line, "the layout cannot be");
    model
}

fn wanted(pages: u32) -> Wanted {
    Wanted {
        pages,
        align: 1,
        within: 0..u64::MAX,
    }
}

#[test]
fn a_picture_shows_what_was_laid_out() {
    for line in ["", "~", "A..~~B", "~~|~~", "AB C|..~~", "~~ ..  A"] {
        if !line.is_empty() {
            assert_eq!(picture(&layout(1, line)), line);
        }
    }
}

#[test]
fn the_lowest_single_span_is_preferred_to_a_lower_run_over_a_seam() {
    let model = layout(1, "..~~A....B~~~~");
    for (pages, start) in [(1, 0), (2, 0), (3, 5), (4, 5)] {
        assert_eq!(
            model.find(&wanted(pages)),
            Some(range(start, start + pages))
        );
    }
    assert_eq!(model.find(&wanted(5)), None);
    let model = layout(1, "..~~A..~B");
    assert_eq!(model.find(&wanted(3)), Some(range(0, 3)));
    assert_eq!(model.longest(), 4);
}

#[test]
fn no_run_crosses_the_border_of_two_regions() {
    let model = layout(1, "~~~|~~~~");
    assert_eq!(model.find(&wanted(4)), Some(range(3, 7)));
    assert_eq!(model.find(&wanted(5)), None);
    assert_eq!(model.longest(), 4);
}

#[test]
fn alignment_and_window_are_those_of_addresses() {
    let model = layout(1, "A~~~~~~~~~~~");
    let aligned = Wanted {
        align: 4 * PAGE,
        ..wanted(3)
    };
    assert_eq!(model.find(&aligned), Some(range(4, 7)));
    let origin = 1 << 30;
    let within = |within| Wanted {
        within,
        ..wanted(3)
    };
    let from_inside_a_page = within(origin + 2 * PAGE + 1..origin + 6 * PAGE);
    assert_eq!(model.find(&from_inside_a_page), Some(range(3, 6)));
    let too_short = within(origin + 2 * PAGE + 1..origin + 6 * PAGE - 1);
    assert_eq!(model.find(&too_short), None);
}

#[test]
fn a_remainder_without_a_whole_physical_page_becomes_resident() {
    let mut model = layout(4, "~~~~~~~~");
    model.take(range(0, 1));
    assert_eq!(picture(&model), "A~~~~~~~");
    assert_eq!(
        model.counts().released,
        4,
        "the first physical page is backed"
    );
    model.take(range(5, 6));
    assert_eq!(picture(&model), "A....B..");
    assert_eq!(model.counts().released, 0);
}

#[test]
fn a_seam_is_moved_to_a_physical_page_towards_the_released_side() {
    let mut model = layout(4, "A~~~~~~~");
    model.give(range(0, 1));
    assert_eq!(picture(&model), "....~~~~");
    let mut model = layout(4, "~~~~~~~A");
    model.give(range(7, 8));
    assert_eq!(picture(&model), "~~~~....");
    let mut model = layout(4, "A~~~~~~~~B..");
    model.give(range(0, 1));
    assert_eq!(picture(&model), "....~~~~~B..");
    model.give(range(9, 10));
    assert_eq!(picture(&model), "....~~~~....");
    model.take(range(4, 5));
    assert_eq!(picture(&model), "....C.......");
}

#[test]
fn what_is_beside_whole_physical_pages_goes_along_if_the_heap_says_so() {
    let model = layout(4, "A......B");
    let run = model.run_at(range(2, 3));
    assert_eq!((run, model.physical_inside(run)), (range(1, 7), None));
    let mut model = layout(4, "A..........B");
    model.release(range(4, 8), |page| page.number() < 4);
    assert_eq!(picture(&model), "A~~~~~~~...B");
    assert_eq!(model.counts().released, 4);
}

#[test]
fn the_counts_are_those_one_can_see() {
    let model = layout(1, "AB......~~~~|~~~~C");
    let counts = model.counts();
    assert_eq!((counts.in_use, counts.idle, counts.released), (3, 14, 8));
    assert_eq!((counts.huge_resident, counts.huge_released), (1, 2));
    assert_eq!(counts.spans, 6);
    assert_eq!(
        model.released_parts(range(6, 10)),
        [range(8, 10)],
        "only what is asked for"
    );
    assert_eq!(model.cells()[2], Cell::Resident);
}
