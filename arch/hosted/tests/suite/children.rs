//! What concerns a whole process, each in a child: limits, faults, its size.
//!
//! The child is this program again, told by name which test to run. Those tests
//! are ignored otherwise, and do nothing if they are not a child.

use std::os::unix::process::ExitStatusExt;
use std::process::{Command, ExitStatus};

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use spanheap::{AllocError, Geometry, LockedHeap, PageCount, PageHeap, Refused};
use spanheap_hosted::rss::process_rss_bytes;
use spanheap_hosted::{CallError, HostedBacking, HostedError, HostedOptions, SystemCall};

use crate::common::{Books, range, stamp};

const CHILD: &str = "SPANHEAP_HOSTED_CHILD";

fn run(name: &str) -> ExitStatus {
    let program = std::env::current_exe().expect("this program");
    let name = format!("children::{name}");
    let output = Command::new(program)
        .args(["--exact", &name, "--ignored", "--test-threads=1"])
        .env(CHILD, "1")
        .output()
        .expect("a child");
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(text.contains("running 1 test"), "no such test: {name}");
    if output.status.code().is_some_and(|code| code != 0) {
        panic!("{text}{}", String::from_utf8_lossy(&output.stderr));
    }
    output.status
}

fn is_child() -> bool {
    std::env::var_os(CHILD).is_some()
}

fn limit(resource: Resource, bytes: u64) {
    let maximum = getrlimit(resource).maximum;
    let current = Some(bytes);
    setrlimit(resource, Rlimit { current, maximum }).expect("lowering a limit");
}

/// 1 GiB, all of it the heap's.
fn gigabyte() -> HostedBacking {
    let pages = PageCount::new(1 << 18);
    HostedOptions::new()
        .growing_by(pages)
        .reserve(Geometry::SMALL_PAGES, pages)
        .expect("address space")
}

#[test]
fn a_refused_commit_is_an_error_and_changes_nothing() {
    assert!(run("refused_commit").success());
}

#[test]
#[ignore = "runs in a child"]
fn refused_commit() {
    if !is_child() {
        return;
    }
    let (one, other) = (gigabyte(), gigabyte());
    let mut books = Books::of(&one.window());
    let mut heap = PageHeap::new(one.window(), books.metadata(), one).expect("a heap");
    let mut books = Books::of(&other.window());
    let locked = LockedHeap::new(other.window(), books.metadata(), other).expect("a heap");
    // Without room for 256 MiB more, of which only the commit is a part.
    limit(Resource::Data, 256 << 20);

    let refused = AllocError::Refused(Refused { code: libc::ENOMEM });
    let call = SystemCall::Mprotect;
    let errno = libc::ENOMEM;
    let why = Some(HostedError::Call(CallError { call, errno }));
    let much = PageCount::new(1 << 17);
    assert_eq!(heap.alloc(much), Err(refused));
    assert_eq!(heap.backing().last_error(), why);
    assert_eq!(heap.stats().in_use, PageCount::ZERO);
    assert_eq!(heap.stats().resident(), PageCount::ZERO);
    heap.check().expect("sound books");
    let some = heap.alloc(PageCount::new(1000)).expect("room for less");
    stamp(heap.backing(), some.range(), 1);

    assert_eq!(locked.alloc(much), Err(refused));
    assert_eq!(locked.backing().last_error(), why);
    locked.check().expect("sound books");
    let some = locked.alloc(PageCount::new(1000)).expect("room for less");
    stamp(locked.backing(), some.range(), 2);
}

#[test]
fn a_commit_takes_what_fits_exactly_if_a_whole_huge_page_does_not() {
    assert!(run("tight_commit").success());
}

#[test]
#[ignore = "runs in a child"]
fn tight_commit() {
    if !is_child() {
        return;
    }
    // Pages of 4 KiB, huge pages of 1 GiB: more than is allowed.
    let geometry = Geometry::new(4096, 4096, 1 << 30).expect("a geometry");
    let backing = HostedBacking::reserve(geometry, PageCount::new(1 << 19)).expect("room");
    limit(Resource::Data, 512 << 20);
    backing.commit(range(100, 1)).expect("room for 101 pages");
    stamp(&backing, range(0, 101), 3);
    // Pages of 1 KiB: the next commit begins where a physical page does.
    let geometry = Geometry::new(1024, 4096, 1 << 30).expect("a geometry");
    let backing = HostedBacking::reserve(geometry, PageCount::new(1 << 21)).expect("room");
    for end in 1..20 {
        backing.commit(range(0, end)).expect("room for a few pages");
        stamp(&backing, range(0, end), 3);
    }
}

#[test]
fn a_refused_reservation_is_an_error() {
    assert!(run("refused_reservation").success());
}

#[test]
#[ignore = "runs in a child"]
fn refused_reservation() {
    if !is_child() {
        return;
    }
    limit(Resource::As, 512 << 20);
    let result = HostedBacking::reserve(Geometry::SMALL_PAGES, PageCount::new(1 << 18));
    let call = SystemCall::Mmap;
    let errno = libc::ENOMEM;
    assert_eq!(
        result.unwrap_err(),
        HostedError::Call(CallError { call, errno })
    );
}

#[test]
fn the_process_shrinks_by_what_is_released() {
    assert!(run("shrinking").success());
}

#[test]
#[ignore = "runs in a child"]
fn shrinking() {
    if !is_child() {
        return;
    }
    let backing = gigabyte();
    let mut books = Books::of(&backing.window());
    let mut heap = PageHeap::new(backing.window(), books.metadata(), backing).expect("a heap");
    let spans: Vec<_> = (0..256)
        .map(|_| heap.alloc(PageCount::new(256)).expect("room"))
        .collect();
    for span in &spans {
        stamp(heap.backing(), span.range(), 4);
    }
    for &span in spans.iter().step_by(2) {
        heap.free(span).expect("in use");
    }
    let before = process_rss_bytes().expect("/proc/self/statm");
    let released = heap.release_all().pages;
    let after = process_rss_bytes().expect("/proc/self/statm");
    let released = heap.stats().bytes(released);
    assert_eq!(released, 128 << 20);
    let fell = before.saturating_sub(after);
    assert!(
        fell.abs_diff(released) <= released / 20,
        "fell by {fell}, released {released}"
    );
}

#[test]
fn a_touch_of_what_was_never_committed_faults() {
    assert_eq!(run("touch_uncommitted").signal(), Some(libc::SIGSEGV));
}

#[test]
#[ignore = "runs in a child"]
fn touch_uncommitted() {
    if is_child() {
        let backing = gigabyte();
        backing.commit(range(0, 512)).expect("memory");
        stamp(&backing, range(0, 512), 5);
        stamp(&backing, range(512, 1), 5);
    }
}

#[test]
fn a_write_past_the_last_page_faults() {
    assert_eq!(run("touch_behind").signal(), Some(libc::SIGSEGV));
}

#[test]
#[ignore = "runs in a child"]
fn touch_behind() {
    if is_child() {
        let backing = gigabyte();
        backing.commit(backing.range()).expect("memory");
        let last = backing
            .pointer(range((1 << 18) - 1, 1))
            .expect("in the window");
        let behind = last.as_ptr().cast::<u8>().wrapping_add(4096);
        // SAFETY: a guard page lies there, so this does not return.
        unsafe { behind.write_volatile(1) }
    }
}
