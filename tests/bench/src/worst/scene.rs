//! The scenes: where each bound is come closest to.
//!
//! What leads there are the heap's own verbs and the addresses that they return:
//! whoever may allocate can do it. The seed of the treap is what it does not know. Of
//! `n` spans, `h` huge pages, `b` blocks of 64 pages and `p` CPUs, each scene says
//! what its verb grows with; "log n" is meant as expected, over all seeds.

use spanheap::{Budget, PageCount, Request};

use super::arena::{Arena, Heap, scavenger};

/// A scene, and the verb that is counted in it.
#[derive(Clone, Copy, Debug)]
pub struct Scene {
    /// Where the heap is led.
    pub name: &'static str,
    /// On which heaps.
    pub heaps: &'static [Heap],
    /// What is called.
    pub verb: &'static str,
    /// What its time grows with.
    pub bound: &'static str,
    /// How many slots there are, for so many pages.
    pub(super) slots: fn(u32) -> u32,
    pub(super) act: fn(&mut Arena<'_>) -> Done,
}

type Done = Result<(), String>;

const BOTH: &[Heap] = &[Heap::Page, Heap::Shared];
const SHARED: &[Heap] = &[Heap::Shared];

/// How many calls are counted where each may take the longest.
const MANY: u32 = 64;
/// A chunk, or a huge page.
const CHUNK: u32 = 512;

const fn scene(
    name: &'static str,
    heaps: &'static [Heap],
    verb: &'static str,
    bound: &'static str,
    act: fn(&mut Arena<'_>) -> Done,
) -> Scene {
    Scene {
        name,
        heaps,
        verb,
        bound,
        // One for each page, and those that a commit may need besides.
        slots: |pages| pages + 8,
        act,
    }
}

/// All of them.
pub const SCENES: &[Scene] = &[
    scene(
        "treap: far from the last",
        BOTH,
        "free, isolated",
        "log n",
        |it| {
            singles(it)?;
            let half = it.pages / 2;
            for index in 0..half {
                let page = scattered(index, half) * 2 + 1;
                if index < half - MANY.min(half) {
                    must(it.lead().free(page, 1))?;
                } else {
                    must(it.probe(|heap| heap.free(page, 1)))?;
                }
            }
            Ok(())
        },
    ),
    scene(
        "treap: far from the last",
        BOTH,
        "alloc_at, exact",
        "log n",
        |it| {
            checkerboard(it)?;
            let half = it.pages / 2;
            for index in 0..MANY.min(half) {
                let page = scattered(index, half) * 2 + 1;
                must(it.probe(|heap| heap.alloc_at(page, 1)))?;
            }
            Ok(())
        },
    ),
    scene("checkerboard", BOTH, "alloc 1", "log n", |it| {
        checkerboard(it)?;
        (0..MANY).try_for_each(|_| must(it.probe(|heap| heap.alloc(&plain(1)))))
    }),
    scene(
        "checkerboard",
        BOTH,
        "alloc 2, refused",
        "log n; shared: b p",
        |it| {
            checkerboard(it)?;
            must(!it.probe(|heap| heap.alloc(&plain(2))))
        },
    ),
    scene(
        "checkerboard",
        BOTH,
        "alloc 2 in a window, refused",
        "log n",
        |it| {
            checkerboard(it)?;
            let upper = it.address(it.pages / 2)..it.address(it.pages - 1);
            must(!it.probe(|heap| heap.alloc(&plain(2).within(upper))))
        },
    ),
    scene(
        "pairs, all misaligned",
        BOTH,
        "alloc 2 aligned, refused",
        "n",
        |it| {
            singles(it)?;
            for page in (0..it.pages).filter(|page| matches!(page % 4, 1 | 2)) {
                must(it.lead().free(page, 1))?;
            }
            must(!it.probe(|heap| heap.alloc(&plain(2).aligned(8192))))
        },
    ),
    scene("checkerboard", BOTH, "release one page", "log n", |it| {
        checkerboard(it)?;
        must(it.probe(|heap| heap.release(Budget::bytes(4096))))
    }),
    scene(
        "checkerboard",
        BOTH,
        "release all",
        "n log n; held: 32 log n",
        |it| {
            checkerboard(it)?;
            must(it.probe(|heap| heap.release(Budget::ALL)))
        },
    ),
    scene(
        "seams everywhere",
        BOTH,
        "alloc 512 over them",
        "pages log n",
        |it| {
            seams(it, it.pages)?;
            must(it.probe(|heap| heap.alloc(&plain(512))))
        },
    ),
    scene("seams everywhere", BOTH, "alloc 512, refused", "n", |it| {
        seams(it, 16)?;
        must(!it.probe(|heap| heap.alloc(&plain(512))))
    }),
    scene(
        "seams everywhere",
        BOTH,
        "free in a huge page of them",
        "log n + 512",
        |it| {
            seams(it, CHUNK)?;
            for page in (0..it.pages).step_by(CHUNK as usize) {
                must(it.probe(|heap| heap.free(page, 1)))?;
            }
            Ok(())
        },
    ),
    scene(
        "seams everywhere",
        BOTH,
        "poll",
        "n log n; held: 4096",
        |it| {
            seams(it, CHUNK)?;
            let mut scavenger = scavenger();
            for now in [0, 20_000_000_000] {
                must(it.probe(|heap| heap.poll(&mut scavenger, now)))?;
            }
            Ok(())
        },
    ),
    scene("one span", BOTH, "alloc_at its end", "log n", |it| {
        let last = it.pages - 1;
        must(it.probe(|heap| heap.alloc_at(last, 1)))
    }),
    scene(
        "one span",
        BOTH,
        "free of its last page, refused",
        "its pages / grain",
        |it| {
            let pages = it.pages;
            let last = pages - 1;
            must(it.lead().alloc_at(0, pages))?;
            must(!it.probe(|heap| heap.free(last, 1)))
        },
    ),
    scene("one span", BOTH, "free of all of it", "its h", |it| {
        let pages = it.pages;
        must(it.lead().alloc_at(0, pages))?;
        must(it.probe(|heap| heap.free(0, pages)))
    }),
    scene(
        "front: all in use",
        SHARED,
        "alloc 1, refused",
        "p + stale hints",
        |it| {
            front(it, |_| false)?;
            (0..4).try_for_each(|_| must(!it.probe(|heap| heap.alloc(&plain(1)))))
        },
    ),
    scene("front: all in use", SHARED, "stats", "b; held: 1", |it| {
        front(it, |_| false)?;
        must(it.probe(|heap| heap.stats()))
    }),
    scene(
        "front: every other page",
        SHARED,
        "alloc 2, refused",
        "b + p",
        |it| {
            front(it, |page| page % 2 == 1)?;
            (0..4).try_for_each(|_| must(!it.probe(|heap| heap.alloc(&plain(2)))))
        },
    ),
    scene(
        "front: one live page a chunk",
        SHARED,
        "alloc 1",
        "p + chunks",
        |it| {
            front(it, |page| page % CHUNK != 77)?;
            (0..MANY).try_for_each(|_| must(it.probe(|heap| heap.alloc(&plain(1)))))
        },
    ),
    scene(
        "front: one live page a chunk",
        SHARED,
        "alloc 16",
        "stale hints",
        |it| {
            front(it, |page| page % CHUNK != 77)?;
            (0..MANY).try_for_each(|_| must(it.probe(|heap| heap.alloc(&plain(16)))))
        },
    ),
    scene(
        "front: one live page a chunk",
        SHARED,
        "alloc 17, refused",
        "p + log n",
        |it| {
            front(it, |page| page % CHUNK != 77)?;
            (0..4).try_for_each(|_| must(!it.probe(|heap| heap.alloc(&plain(17)))))
        },
    ),
    scene(
        "front: all free in chunks",
        SHARED,
        "alloc half of it",
        "chunks log n",
        |it| {
            front(it, |_| true)?;
            let half = it.pages / 2;
            must(it.probe(|heap| heap.alloc(&plain(half))))
        },
    ),
    Scene {
        slots: |pages| pages / 2,
        ..scene("the last slot", BOTH, "alloc 2, refused", "log n", |it| {
            last_slot(it)?;
            must(!it.probe(|heap| heap.alloc(&plain(2))))
        })
    },
    Scene {
        slots: |pages| pages / 2,
        ..scene(
            "the last slot",
            BOTH,
            "release one page, refused",
            "log n",
            |it| {
                last_slot(it)?;
                must(!it.probe(|heap| heap.release(Budget::bytes(4096))))
            },
        )
    },
    Scene {
        slots: |pages| pages / 2,
        ..scene("the last slot", BOTH, "free", "log n", |it| {
            last_slot(it)?;
            for index in 0..MANY.min(it.pages / 16) {
                let page = scattered(index, it.pages / 16) * 16;
                must(it.probe(|heap| heap.free(page, 1)))?;
            }
            Ok(())
        })
    },
];

fn plain(pages: u32) -> Request {
    Request::pages(PageCount::new(pages))
}

fn must(so: bool) -> Done {
    so.then_some(()).ok_or_else(|| "it ended otherwise".into())
}

/// Counts from 0 up to `count`, a power of two, so that neighbours are far apart.
const fn scattered(index: u32, count: u32) -> u32 {
    index.reverse_bits() >> (u32::BITS - count.trailing_zeros())
}

/// Every page a span of its own, in use.
fn singles(it: &mut Arena<'_>) -> Done {
    (0..it.pages).try_for_each(|page| must(it.lead().alloc_at(page, 1)))
}

/// Every other page in use.
fn checkerboard(it: &mut Arena<'_>) -> Done {
    singles(it)?;
    let mut odd = (1..it.pages).step_by(2);
    odd.try_for_each(|page| must(it.lead().free(page, 1)))
}

/// Every other page released, and the others resident and free, but for one of `kept`.
fn seams(it: &mut Arena<'_>, kept: u32) -> Done {
    checkerboard(it)?;
    must(it.lead().release(Budget::ALL))?;
    let mut even = (0..it.pages).step_by(2).filter(|page| page % kept != 0);
    even.try_for_each(|page| must(it.lead().free(page, 1)))
}

/// All pages handed out from chunks one by one, and some of them freed.
fn front(it: &mut Arena<'_>, is_free: fn(u32) -> bool) -> Done {
    while it.lead().alloc(&plain(1)) {}
    let mut free = (0..it.pages).filter(|&page| is_free(page));
    free.try_for_each(|page| must(it.lead().free(page, 1)))
}

/// As many spans as slots: one page in use, three free.
fn last_slot(it: &mut Arena<'_>) -> Done {
    for page in (0..it.pages).step_by(4) {
        must(it.lead().alloc_at(page, 1))?;
    }
    Ok(())
}
