//! Bad input: a clear typed error, and nothing changed or lost.
//!
//! Every call here is made on both kinds of heap and is compared with what was
//! before: all counters, all spans, the content of every page. Which variant of
//! which error is provoked where:
//!
//! | error | file | variants |
//! |---|---|---|
//! | `AllocError` | `alloc` | `ZeroPages`, `BadAlignment`, `BadWindow`, `NoRun`, `NoSlot`, `Refused`, `BadGrowth` of every region error a growth can have |
//! | `AllocAtError` | `alloc_at` | `ZeroPages`, `Unaligned`, `Outside`, `InUse`, `NoSlot`, `Refused` |
//! | `FreeError` | `free`, `free_at` | by handle `Stale`, `ForeignHeap`, `Outside`, `NoSlot`; by address `Unaligned`, `Outside`, `NotInUse`, `Interior`, `WrongLength`, `ZeroPages`, `NoSlot` |
//! | `ResizeError` | `resize` | `Stale`, `ForeignHeap`, `ZeroPages`, `WrongDirection`, `NoRoom`, `NoSlot`, `Refused` |
//! | `RegionError` | `regions` | `OutsideWindow`, `Overlap`, `Unaligned`, `AddressZero`, `NoSlot` |
//! | `GeometryError`, `WindowError`, `AddressError` | `sizes` | all |
//! | `MetadataError` | `books` | `NoSlots`, `MapTooSmall`, `AlreadySetUp` |
//!
//! Of `MetadataError`, `TooSmall` and `Misaligned` concern raw memory and are
//! tested where that is made into slices, in `arch/bootstrap`; `TooManySlots`
//! takes 192 GiB of slots, which no test has.
//! `AllocError::BadGrowth(RegionError::NoSlot)` cannot be: the backing is not
//! asked for a region before a slot is kept for it (`alloc` shows that).
//!
//! `empty` makes every call on a heap that was never set up.

mod alloc;
mod alloc_at;
mod books;
mod empty;
mod free;
mod free_at;
#[path = "../layout/mod.rs"]
mod layout;
mod regions;
mod resize;
mod sizes;

use std::fmt::Debug;

use layout::{Scene, Setup};
use spanheap::Refused;
use spanheap::backing::fake::FAULT_CODE;

/// What a refusal of the fake looks like.
const REFUSED: Refused = Refused { code: FAULT_CODE };

/// Something of everything, on pages 0 to 33: free runs of 7 pages at 2 (joined
/// from two residencies), 4 at 12, 8 at 16 and 1 at 25; pages 9 to 11 are
/// nobody's, and those from 34 on lie behind the window.
const MIXED: &str = "U2 r3 s4 -3 r4 | s8 U1 r1 U3";

/// Where [`MIXED`] is made: four pages of the window lie behind it.
const SETUP: Setup = Setup {
    spare: 5,
    ..Setup::PLAIN
};

/// Fails unless a call answers `expected` and changes nothing at all.
#[track_caller]
fn refused<T: Debug + PartialEq>(
    scene: &mut Scene,
    call: impl FnOnce(&mut Scene) -> T,
    expected: T,
) {
    let before = scene.snapshot();
    let answer = call(scene);
    assert_eq!(answer, expected, "in {}", scene.layout());
    scene.is_as(&before);
}

/// The same for a call that the backing refuses: it was called, and pages were
/// detached and put back, and both are counted.
#[track_caller]
fn refused_by_the_backing<T: Debug + PartialEq>(
    scene: &mut Scene,
    call: impl FnOnce(&mut Scene) -> T,
    expected: T,
) {
    let before = scene.snapshot();
    scene.fake().fail_nth(0, 0);
    let answer = call(scene);
    assert!(scene.fake().has_failed());
    assert_eq!(answer, expected, "in {}", scene.layout());
    scene.is_as_but_for_history(&before);
}
