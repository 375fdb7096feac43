//! Idle pages: reported, or inflated where nothing is reported.

use std::collections::BTreeSet;

use spanheap::{AllocError, Backing, PageCount, PageRange, ReleaseEnd, Request, Window};
use spanheap_virtio_balloon::{Balloon, BalloonMemory, Fault, Health, Options, Pieces, Queue};

use crate::common::{Books, HUGE, ORIGIN, Owners, PER_HUGE, Patient, Ram, drain, range, words};
use crate::fake::{Act, HINT, JUNK, MUST_TELL_HOST, Numbering, REPORTING, STATS, VERSION_1};

const HUGE_RUN: PageCount = PageCount::new(PER_HUGE);

fn huge(index: u32) -> std::ops::Range<u64> {
    let start = ORIGIN + u64::from(index) * HUGE;
    start..start + HUGE
}

#[test]
fn what_is_idle_is_reported_once_and_what_is_in_use_is_left_alone() {
    let (ram, mut owners) = (Ram::new(16), Owners::default());
    let fake = ram.fake(VERSION_1 | REPORTING);
    let mut books = Books::new(&ram);
    let heap = books.heap(&ram, &fake, Options::DEFAULT);
    // Pages in the third and the sixth huge page, so that two runs are idle.
    for _ in 0..6 {
        owners.own(&heap, heap.alloc(HUGE_RUN).unwrap());
    }
    for index in [4, 3, 1, 0] {
        owners.free(&heap, index);
    }
    let release = heap.release_all();
    assert_eq!(release.end, ReleaseEnd::Drained);
    assert_eq!(release.pages, PageCount::new(14 * PER_HUGE));
    let pieces: Vec<_> = fake.state().reports.concat();
    let expected = [
        huge(6).start..huge(15).end,
        huge(3).start..huge(4).end,
        huge(0).start..huge(1).end,
    ];
    assert_eq!(
        BTreeSet::from_iter(pieces.iter().map(|piece| piece.start)).len(),
        3
    );
    for piece in expected {
        assert!(pieces.contains(&piece), "{piece:x?} of {pieces:x?}");
    }
    owners.look(&heap);
    assert_eq!(heap.backing().stats().released_bytes, 14 * HUGE);
    // Nothing is released twice, and all of it can be had again.
    assert_eq!(heap.release_all().pages, PageCount::ZERO);
    assert_eq!(fake.state().reports.len(), 1);
    assert_eq!(drain(&heap, &mut owners), 14 * PER_HUGE);
}

#[test]
fn a_long_list_goes_in_requests_of_32_pieces() {
    let ram = Ram::new(96);
    let fake = ram.fake(VERSION_1 | REPORTING);
    fake.state().queue_size = 32;
    let mut books = Books::new(&ram);
    let heap = books.heap(&ram, &fake, Options::DEFAULT);
    let ranges: Vec<PageRange> = (0..48).map(|i| range(i * 2 * PER_HUGE, PER_HUGE)).collect();
    assert_eq!(heap.backing().sys_unused(&ranges), 48);
    let lens: Vec<usize> = fake.state().reports.iter().map(Vec::len).collect();
    assert_eq!(lens, [32, 16]);
    assert_eq!(heap.backing().sys_unused(&[]), 0);
}

#[test]
fn the_ranges_before_the_failed_request_count_and_no_others() {
    let ram = Ram::new(96);
    let fake = ram.fake(VERSION_1 | REPORTING);
    let mut books = Books::new(&ram);
    let heap = books.heap(&ram, &fake, Options::DEFAULT);
    fake.state().script = [Act::Obey, Act::Sleep].into();
    let ranges: Vec<PageRange> = (0..48).map(|i| range(i * 2 * PER_HUGE, PER_HUGE)).collect();
    assert_eq!(heap.backing().sys_unused(&ranges), 32);
    let (fault, let_go) = (Fault::Silent(Queue::Reporting), true);
    assert_eq!(
        heap.backing().stats().health,
        Health::Broken { fault, let_go }
    );
    assert_eq!(
        heap.backing().sys_unused(&ranges[32..]),
        0,
        "it is not asked again"
    );
}

#[test]
fn a_range_of_many_requests_counts_when_the_last_of_them_is_answered() {
    // 40 GiB that nobody touches: the device answers, and does nothing.
    let (ram, gib) = (Ram::new(1), 1 << 18);
    let fake = ram.fake(VERSION_1 | REPORTING);
    let geometry = ram.window(Pieces::WholeHugePages).geometry();
    let window = Window::new(geometry, ORIGIN, PageCount::new(41 * gib)).unwrap();
    let balloon = Balloon::new(window, Patient::new(&ram, &fake));
    let memory = BalloonMemory {
        holdings: &mut [],
        inflated: &mut [],
    };
    // SAFETY: the shared memory is the arena's, and nothing else is touched.
    unsafe { balloon.start(fake.clone(), ram.shared(), memory, Options::DEFAULT) }.unwrap();
    let ranges = [range(0, gib), range(gib, 40 * gib)];
    fake.state().script = [Act::Shirk; 2].into();
    assert_eq!(balloon.sys_unused(&ranges), 2);
    fake.state().script = [Act::Shirk, Act::Sleep].into();
    assert_eq!(balloon.sys_unused(&ranges), 1);
}

#[test]
fn a_zeroed_request_is_zero_whatever_the_host_left_there() {
    let ram = Ram::new(8);
    let fake = ram.fake(VERSION_1 | REPORTING);
    let mut books = Books::new(&ram);
    let heap = books.heap(&ram, &fake, Options::DEFAULT);
    assert!(!heap.backing().zeroes_released());
    let _ = heap.release_all();
    let span = heap
        .alloc(Request::pages(PageCount::new(40)).zeroed())
        .unwrap();
    for at in words(&heap, span.range()) {
        // SAFETY: the span is ours.
        assert_eq!(unsafe { at.read_volatile() }, 0);
    }
    let junk = heap.alloc(PageCount::new(1)).unwrap();
    for at in words(&heap, junk.range()) {
        // SAFETY: the span is ours.
        let found = unsafe { at.read_volatile() };
        assert_eq!(
            found,
            u64::from_le_bytes([JUNK; 8]),
            "the fake frees for real"
        );
    }
}

#[test]
fn the_reporting_queue_is_found_however_the_device_counts() {
    for numbering in [Numbering::Dense, Numbering::Fixed] {
        for others in [0, STATS, HINT, STATS | HINT] {
            let ram = Ram::new(4);
            let fake = ram.fake(VERSION_1 | REPORTING | others);
            fake.state().numbering = numbering;
            let mut books = Books::new(&ram);
            let heap = books.heap(&ram, &fake, Options::DEFAULT);
            let all = PageCount::new(4 * PER_HUGE);
            assert_eq!(heap.release_all().pages, all, "{numbering:?} {others:x}");
            assert_eq!(fake.state().reports.len(), 1);
        }
    }
}

#[test]
fn small_pieces_are_given_back_only_if_they_were_asked_for() {
    let (ram, mut owners) = (Ram::new(4), Owners::default());
    let fake = ram.fake(VERSION_1 | REPORTING);
    let mut books = Books::new(&ram);
    let heap = books.heap(&ram, &fake, Options::DEFAULT);
    owners.own(&heap, heap.alloc(PageCount::new(1)).unwrap());
    assert_eq!(heap.release_all().pages, PageCount::new(3 * PER_HUGE));

    let fake = ram.fake(VERSION_1 | REPORTING);
    let (mut books, options) = (Books::new(&ram), Options::DEFAULT.pieces(Pieces::Any));
    let (heap, started) = books.try_heap(&ram, &fake, Pieces::Any, options);
    started.unwrap();
    let mut owners = Owners::default();
    owners.own(&heap, heap.alloc(PageCount::new(1)).unwrap());
    assert_eq!(heap.release_all().pages, PageCount::new(4 * PER_HUGE - 1));
    owners.look(&heap);
}

#[test]
fn without_reports_idle_pages_are_inflated_and_those_that_are_used_deflated() {
    let (ram, mut owners) = (Ram::new(8), Owners::default());
    let fake = ram.fake(VERSION_1 | MUST_TELL_HOST);
    let mut books = Books::new(&ram);
    let heap = books.heap(&ram, &fake, Options::DEFAULT);
    assert_eq!(heap.release_all().pages, PageCount::new(8 * PER_HUGE));
    assert_eq!(fake.state().ballooned.len() as u32, 8 * PER_HUGE);
    assert_eq!(fake.state().actual, 8 * PER_HUGE);
    // One page needs a whole huge page, and no more than that one.
    owners.own(&heap, heap.alloc(PageCount::new(1)).unwrap());
    let left = 7 * PER_HUGE;
    assert_eq!(fake.state().ballooned.len() as u32, left);
    assert_eq!(fake.state().actual, left);
    assert_eq!(heap.stats().released, PageCount::new(left));
    // The rest of it is resident: nothing is asked of the device.
    owners.own(&heap, heap.alloc(PageCount::new(PER_HUGE - 1)).unwrap());
    assert_eq!(fake.state().ballooned.len() as u32, left);
    assert_eq!(drain(&heap, &mut owners), left);
    assert!(fake.state().ballooned.is_empty());
    assert_eq!(fake.state().actual, 0);
}

#[test]
fn a_commit_over_several_runs_deflates_each_of_them() {
    let ram = Ram::new(8);
    let fake = ram.fake(VERSION_1 | MUST_TELL_HOST);
    let mut books = Books::new(&ram);
    let heap = books.heap(&ram, &fake, Options::DEFAULT);
    let huge = |at: u32| range(at * PER_HUGE, PER_HUGE);
    let backing = heap.backing();
    assert_eq!(backing.sys_unused(&[huge(1), huge(3), huge(4), huge(7)]), 4);
    // From inside of one to inside of another, and what is resident between.
    let most = range(PER_HUGE + 3, 3 * PER_HUGE);
    for _ in 0..2 {
        assert_eq!(backing.sys_used(most), Ok(()));
        let left: Vec<u64> = fake.state().ballooned.iter().copied().collect();
        let seventh = ORIGIN / 4096 + u64::from(7 * PER_HUGE);
        assert_eq!(
            left,
            (seventh..seventh + u64::from(PER_HUGE)).collect::<Vec<_>>()
        );
        assert_eq!(fake.state().actual, PER_HUGE);
    }
    assert_eq!(backing.sys_used(huge(7)), Ok(()));
}

#[test]
fn without_reports_and_without_bits_nothing_is_given_back() {
    let ram = Ram::new(8);
    let fake = ram.fake(VERSION_1);
    let mut books = Books::new(&ram);
    books.bits = Vec::new();
    let heap = books.heap(&ram, &fake, Options::DEFAULT);
    let release = heap.release_all();
    assert_eq!(
        (release.pages, release.end),
        (PageCount::ZERO, ReleaseEnd::Refused)
    );
    assert!(fake.state().ballooned.is_empty());
}

#[test]
fn a_refused_deflate_is_an_error_and_changes_nothing() {
    let (ram, mut owners) = (Ram::new(4), Owners::default());
    let fake = ram.fake(VERSION_1 | MUST_TELL_HOST);
    let mut books = Books::new(&ram);
    let heap = books.heap(&ram, &fake, Options::DEFAULT);
    owners.own(&heap, heap.alloc(HUGE_RUN).unwrap());
    let _ = heap.release_all();
    let before = heap.stats();
    fake.state().script = [Act::Sleep].into();
    let refused = heap.alloc(PageCount::new(1)).unwrap_err();
    assert!(matches!(refused, AllocError::Refused(_)));
    heap.check().unwrap();
    let after = heap.stats();
    assert_eq!((before.idle, before.released), (after.idle, after.released));
    owners.look(&heap);
}
