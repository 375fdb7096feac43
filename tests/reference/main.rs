//! What a page heap of Go's treap era was tested for, and what it was not.
//!
//! The runtime's own tests hold 27 ideas, and nine gaps that their authors left;
//! here each one that concerns this heap is a test in a module of this suite.
//! Where this heap is stricter than Go's, the test is too: a budget is never
//! exceeded, and no huge page is broken for one.
//!
//! | idea | where |
//! |---|---|
//! | 1–10 the treap: validator, filters, first fit, walks, erase | the treap's own tests |
//! | 11 counters equal a slow recount | after every step, by the scene's audit; `accounting` |
//! | 12 pages in use, after growing in small steps | `growth` |
//! | 13 huge pages, after huge blocks come and go | `accounting` |
//! | 14 dropping a big object and releasing lowers what is resident | `release` |
//! | 15 many short-lived allocations do not grow the heap | `growth` |
//! | 16 kept and condemned blocks: resident follows live, by the hook log | `release` |
//! | 17 growth is offered what is occupied | `growth` |
//! | 18 no page is both in use and released | after every step, by the scene's audit |
//! | 19 release order, granule, exhaustion, regions, with and without a lock | `release` |
//! | 20 candidates: every alignment, start, end, too small, misaligned, limits | `place`, `release` |
//! | 21 huge pages survive a release | `release`, `budget` |
//! | 22 exact addresses, released pages per allocation, discontiguous heaps | `place` |
//! | 23 exhausting the heap with one size | `place` |
//! | 24 freeing in every way and order; everything, three times | `place` |
//! | 29 coalescing and realigning, physical pages larger than a page | `realign` |
//! | 30 edges of a release that cuts | `budget`, `realign` |
//! | 31 the hook log as an oracle | after every step, by the fake and the audit; `hooks` |
//! | 32 no redundant hook calls | `hooks` |
//! | 33 a commit that fails | `seams`, `resize`, `hooks` |
//! | 34 slots exhausted | `slots` |
//! | 35 free neighbours never have one residency, without exception | `realign` |
//! | 36 double free, interior free | the `misuse` suite |
//!
//! Not here: 25 (a cache of pages per CPU), 26 and 27 (the scavenger's task and
//! its controller) belong to layers above this one; 28 (changes in place) to
//! the treap below it.
//!
//! Beyond Go: runs over seams (`seams`), resizing in place (`resize`), zeroing
//! (`zeroing`), regions (`regions`), and how a heap is looked at (`view`).

mod accounting;
mod budget;
mod growth;
mod hooks;
#[path = "../layout/mod.rs"]
mod layout;
mod place;
mod realign;
mod regions;
mod release;
mod resize;
mod seams;
mod slots;
mod view;
mod zeroing;
