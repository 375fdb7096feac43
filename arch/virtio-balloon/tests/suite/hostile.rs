//! Devices that lie, sleep, or never wake: nothing is lost.

use spanheap::{AllocError, PageCount, Refused};
use spanheap_virtio_balloon::{
    Fault, Health, Options, PollEnd, Queue, REFUSED_STRANDED, REFUSED_UNTOLD,
};

use crate::common::{Books, Heap, Owners, PATIENCE, PER_HUGE, Ram, drain};
use crate::fake::{Act, Fake, REPORTING, STATS, VERSION_1};

/// What no honest device does, and what is said of it.
fn lies(queue: Queue) -> Vec<(Act, Fault)> {
    let index = |ahead| Fault::Index { queue, ahead };
    let id = |id| Fault::Id { queue, id };
    vec![
        (Act::Sleep, Fault::Silent(queue)),
        (Act::After(PATIENCE + 2), Fault::Silent(queue)),
        (Act::Jump(0), Fault::Silent(queue)),
        (Act::Id(1), id(1)),
        (Act::Id(31), id(31)),
        (Act::Id(32), id(32)),
        // The same chain in the low 16 bits.
        (Act::Id(0x1_0000), id(0x1_0000)),
        (Act::Id(u32::MAX), id(u32::MAX)),
        (Act::Twice, index(2)),
        (Act::Jump(33), index(33)),
        (Act::Jump(0x8000), index(0x8000)),
        (Act::Jump(u16::MAX), index(u16::MAX)),
    ]
}

/// What an honest device may do.
const HONEST: [Act; 5] = [
    Act::Obey,
    Act::Shirk,
    Act::After(1),
    Act::After(PATIENCE),
    Act::Length(u32::MAX),
];

fn health(heap: &Heap<'_>) -> Health {
    heap.backing().stats().health
}

/// A heap of eight huge pages, two of them in use.
fn with_heap(offered: u64, test: impl FnOnce(&Heap<'_>, &Fake, &mut Owners)) {
    let (ram, mut owners) = (Ram::new(8), Owners::default());
    let fake = ram.fake(VERSION_1 | offered);
    let mut books = Books::new(&ram);
    let heap = books.heap(&ram, &fake, Options::DEFAULT);
    for _ in 0..2 {
        let span = heap.alloc(PageCount::new(PER_HUGE)).unwrap();
        owners.own(&heap, span);
    }
    test(&heap, &fake, &mut owners);
    heap.check().unwrap();
    owners.look(&heap);
}

#[test]
fn slow_lazy_and_talkative_devices_are_believed_as_far_as_it_goes() {
    for act in HONEST {
        for offered in [REPORTING, 0] {
            with_heap(offered, |heap, fake, owners| {
                fake.state().script = [act].into();
                let expected = PageCount::new(6 * PER_HUGE);
                if (act, offered) != (Act::Shirk, 0) {
                    assert_eq!(heap.release_all().pages, expected, "{act:?}");
                    assert_eq!(health(heap), Health::Working, "{act:?}");
                    assert_eq!(drain(heap, owners), 6 * PER_HUGE);
                }
            });
        }
    }
}

#[test]
fn after_a_lie_about_a_report_the_heap_goes_on_without_the_device() {
    for (act, fault) in lies(Queue::Reporting) {
        with_heap(REPORTING, |heap, fake, owners| {
            fake.state().script = [act].into();
            assert_eq!(heap.release_all().pages, PageCount::ZERO, "{act:?}");
            let let_go = true;
            assert_eq!(health(heap), Health::Broken { fault, let_go });
            assert_eq!(drain(heap, owners), 6 * PER_HUGE, "{act:?}");
            // What the device is late with, it has let go.
            fake.wake();
            owners.look(heap);
            assert_eq!(heap.release_all().pages, PageCount::ZERO);
            let end = heap.backing().poll(heap, PageCount::new(99)).end;
            assert_eq!(end, PollEnd::Broken(fault));
        });
    }
}

#[test]
fn after_a_lie_about_the_balloon_its_pages_come_back() {
    for inflating in [true, false] {
        let queue = match inflating {
            true => Queue::Inflate,
            false => Queue::Deflate,
        };
        for (act, fault) in lies(queue) {
            with_heap(REPORTING, |heap, fake, owners| {
                let poll = || heap.backing().poll(heap, PageCount::new(u32::MAX)).end;
                fake.state().num_pages = 3 * PER_HUGE;
                if inflating {
                    fake.state().script = [Act::Obey, act].into();
                } else {
                    assert_eq!(poll(), PollEnd::Reached);
                    fake.state().num_pages = PER_HUGE;
                    fake.state().script = [act].into();
                }
                assert_eq!(poll(), PollEnd::Broken(fault), "{act:?}");
                assert_eq!(heap.backing().stats().held, PageCount::ZERO);
                fake.wake();
                owners.look(heap);
                assert_eq!(drain(heap, owners), 6 * PER_HUGE, "{act:?}");
            });
        }
    }
}

#[test]
fn after_a_lie_about_an_inflated_idle_page_it_comes_back() {
    for (act, fault) in lies(Queue::Inflate) {
        with_heap(0, |heap, fake, owners| {
            fake.state().script = [act].into();
            assert_eq!(heap.release_all().pages, PageCount::ZERO, "{act:?}");
            assert!(matches!(health(heap), Health::Broken { fault: f, .. } if f == fault));
            assert_eq!(drain(heap, owners), 6 * PER_HUGE, "{act:?}");
        });
    }
    for (act, _) in lies(Queue::Deflate) {
        with_heap(0, |heap, fake, owners| {
            assert_eq!(heap.release_all().pages, PageCount::new(6 * PER_HUGE));
            fake.state().script = [act].into();
            assert_eq!(drain(heap, owners), 6 * PER_HUGE, "{act:?}");
        });
    }
}

#[test]
fn an_answer_before_the_question_is_none_and_no_page_is_given_for_it() {
    with_heap(REPORTING, |heap, fake, owners| {
        assert_eq!(heap.release_all().pages, PageCount::new(6 * PER_HUGE));
        fake.answer_early(2);
        owners.free(heap, 0);
        // Taken for the answer, it would hide that the device has the pages.
        fake.state().script = [Act::Sleep].into();
        assert_eq!(heap.release_all().pages, PageCount::ZERO);
        let (queue, ahead, let_go) = (Queue::Reporting, 1, true);
        let fault = Fault::Index { queue, ahead };
        assert_eq!(health(heap), Health::Broken { fault, let_go });
        assert_eq!(drain(heap, owners), 7 * PER_HUGE);
    });
}

#[test]
fn a_configuration_space_that_shrinks_is_a_fault_and_no_panic() {
    with_heap(REPORTING | STATS, |heap, fake, owners| {
        fake.state().config_bytes = 2;
        let end = heap.backing().poll(heap, PageCount::new(99)).end;
        assert_eq!(end, PollEnd::Broken(Fault::Config));
        assert_eq!(drain(heap, owners), 6 * PER_HUGE);
    });
}

#[test]
fn the_poll_that_finds_a_broken_configuration_gives_the_balloon_s_pages_back() {
    with_heap(REPORTING, |heap, fake, owners| {
        let poll = || heap.backing().poll(heap, PageCount::new(u32::MAX));
        fake.state().num_pages = 3 * PER_HUGE;
        assert_eq!(poll().end, PollEnd::Reached);
        fake.state().config_bytes = 2;
        let done = poll();
        assert_eq!(done.end, PollEnd::Broken(Fault::Config));
        assert_eq!(done.deflated, PageCount::new(3 * PER_HUGE));
        assert_eq!(drain(heap, owners), 6 * PER_HUGE);
    });
}

#[test]
fn pages_that_a_device_will_not_let_go_of_are_kept_from_harm_until_it_does() {
    with_heap(REPORTING, |heap, fake, owners| {
        fake.state().script = [Act::Sleep].into();
        fake.state().ignores_reset = true;
        // It has them, whatever it does with them: the heap may not use them.
        assert_eq!(heap.release_all().pages, PageCount::new(6 * PER_HUGE));
        let (fault, let_go) = (Fault::Silent(Queue::Reporting), false);
        assert_eq!(health(heap), Health::Broken { fault, let_go });
        assert_eq!(heap.backing().stats().stranded_bytes, 6 << 16);
        // It gets no more, and what it has is not forgotten for that.
        owners.free(heap, 1);
        assert_eq!(heap.release_all().pages, PageCount::ZERO);
        assert_eq!(heap.backing().stats().stranded_bytes, 6 << 16);
        let span = heap.alloc(PageCount::new(PER_HUGE)).unwrap();
        owners.own(heap, span);
        let code = REFUSED_STRANDED;
        let refused = heap.alloc(PageCount::new(1)).unwrap_err();
        assert_eq!(refused, AllocError::Refused(Refused { code }));
        // The heap goes on with what it has.
        owners.free(heap, 0);
        let span = heap.alloc(PageCount::new(PER_HUGE)).unwrap();
        owners.own(heap, span);
        // Late, it does what it was told, and then acknowledges the reset.
        fake.wake();
        owners.look(heap);
        assert_eq!(drain(heap, owners), 6 * PER_HUGE);
        assert_eq!(heap.backing().stats().stranded_bytes, 0);
    });
}

#[test]
fn a_balloon_that_will_not_let_go_keeps_its_pages_until_it_does() {
    with_heap(REPORTING, |heap, fake, owners| {
        let poll = || heap.backing().poll(heap, PageCount::new(u32::MAX)).end;
        fake.state().num_pages = 2 * PER_HUGE;
        fake.state().script = [Act::Obey, Act::Sleep].into();
        fake.state().ignores_reset = true;
        assert!(matches!(poll(), PollEnd::Broken(_)));
        assert_eq!(heap.backing().stats().held.get(), 2 * PER_HUGE);
        assert_eq!(drain(heap, owners), 4 * PER_HUGE);
        fake.wake();
        owners.look(heap);
        assert!(matches!(poll(), PollEnd::Broken(_)));
        assert_eq!(drain(heap, owners), 6 * PER_HUGE);
    });
}

#[test]
fn what_a_sleeping_device_was_told_is_not_changed_before_it_wakes() {
    with_heap(0, |heap, fake, owners| {
        assert_eq!(heap.release_all().pages, PageCount::new(6 * PER_HUGE));
        // The page that the host wants is deflated, and inflated again: which
        // the device sleeps on, and reads its list late.
        fake.state().num_pages = PER_HUGE;
        fake.state().script = [Act::Obey, Act::Sleep].into();
        fake.state().ignores_reset = true;
        let end = heap.backing().poll(heap, PageCount::new(99)).end;
        assert_eq!(end, PollEnd::Broken(Fault::Silent(Queue::Inflate)));
        // Another commit would make another list.
        let refused = heap.alloc(PageCount::new(1)).unwrap_err();
        let code = REFUSED_UNTOLD;
        assert_eq!(refused, AllocError::Refused(Refused { code }));
        fake.wake();
        owners.look(heap);
        let _ = heap.backing().poll(heap, PageCount::new(99));
        assert_eq!(drain(heap, owners), 6 * PER_HUGE);
    });
}
