//! Several CPUs, of which one releases and follows the host: nobody waits for
//! ever, and nobody loses a byte.

use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use spanheap::PageCount;
use spanheap_virtio_balloon::{Health, Options};

use crate::common::{Books, Owners, PER_HUGE, Ram, drain};
use crate::fake::{MUST_TELL_HOST, OOM, REPORTING, STATS, VERSION_1};

#[test]
fn cpus_that_allocate_and_one_that_releases_do_not_disturb_each_other() {
    for offered in [REPORTING, 0] {
        let ram = Ram::new(32);
        let fake = ram.fake(VERSION_1 | OOM | STATS | MUST_TELL_HOST | offered);
        let mut books = Books::new(&ram);
        let heap = books.heap(&ram, &fake, Options::DEFAULT);
        let done = AtomicBool::new(false);
        thread::scope(|scope| {
            let workers: Vec<_> = (0..3_u32)
                .map(|worker| {
                    let heap = &heap;
                    scope.spawn(move || {
                        let mut owners = Owners::default();
                        for round in 0..600_u32 {
                            let pages = (round * 7 + worker * 5) % 23 + 1;
                            if let Ok(span) = heap.alloc(PageCount::new(pages)) {
                                owners.own(heap, span);
                            }
                            if owners.spans.len() > 6 {
                                owners.look(heap);
                                owners.free(heap, round as usize % 6);
                            }
                        }
                        owners.look(heap);
                        while !owners.spans.is_empty() {
                            owners.free(heap, 0);
                        }
                    })
                })
                .collect();
            scope.spawn(|| {
                let mut target = 0;
                while !done.load(Ordering::Acquire) {
                    let _ = heap.release_all();
                    target = (target + 5) % 20;
                    fake.state().num_pages = target * PER_HUGE;
                    let _ = heap.backing().poll(&heap, PageCount::new(8 * PER_HUGE));
                    let _ = heap.backing().relieve(&heap, PageCount::new(PER_HUGE));
                }
            });
            let ends: Vec<_> = workers.into_iter().map(|worker| worker.join()).collect();
            // Pairs with the load above. Stored before anything can panic.
            done.store(true, Ordering::Release);
            assert!(ends.iter().all(Result::is_ok));
        });
        fake.state().num_pages = 0;
        let _ = heap.backing().poll(&heap, PageCount::new(u32::MAX));
        assert_eq!(heap.backing().stats().health, Health::Working);
        assert_eq!(drain(&heap, &mut Owners::default()), 32 * PER_HUGE);
    }
}
