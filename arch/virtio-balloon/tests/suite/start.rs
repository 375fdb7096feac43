//! Setting a device up, and what is no device to use.

use spanheap::{Backing, Geometry, PageCount, Window};
use spanheap_virtio_balloon::{
    Balloon, BalloonMemory, DirectMap, Fault, Features, Health, Options, Pieces, PollEnd, Queue,
    StartError,
};
use virtio_drivers::transport::{DeviceStatus, DeviceType};

use crate::common::{Books, Owners, PER_HUGE, Patient, Ram, drain};
use crate::fake::{
    EVENT_IDX, Fake, HINT, Kind, MUST_TELL_HOST, OOM, POISON, REPORTING, STATS, State, VERSION_1,
};

const EVERYTHING: u64 =
    VERSION_1 | EVENT_IDX | MUST_TELL_HOST | STATS | OOM | HINT | POISON | REPORTING;

#[test]
fn all_that_is_needed_is_accepted_and_nothing_else() {
    let ram = Ram::new(4);
    let fake = ram.fake(EVERYTHING | !0 << 33);
    let mut books = Books::new(&ram);
    let heap = books.heap(&ram, &fake, Options::DEFAULT);
    let expected = EVERYTHING & !(EVENT_IDX | POISON);
    assert_eq!(fake.state().accepted, expected);
    assert_eq!(heap.backing().stats().health, Health::Working);
}

#[test]
fn a_kernel_with_a_pattern_in_free_pages_says_so_or_reports_none() {
    let ram = Ram::new(4);
    let options = Options::DEFAULT.poison(0xaabb_ccdd);
    for (offered, accepted, poison) in [
        (
            VERSION_1 | REPORTING | POISON,
            VERSION_1 | REPORTING | POISON,
            0xaabb_ccdd,
        ),
        (VERSION_1 | REPORTING, VERSION_1, 0),
    ] {
        let fake = ram.fake(offered);
        let mut books = Books::new(&ram);
        let _heap = books.heap(&ram, &fake, options);
        assert_eq!(fake.state().accepted, accepted);
        assert_eq!(fake.state().poison, poison);
    }
}

#[test]
fn a_device_is_set_up_in_the_specifications_order() {
    let ram = Ram::new(4);
    let fake = ram.fake(EVERYTHING);
    let mut books = Books::new(&ram);
    let heap = books.heap(&ram, &fake, Options::DEFAULT.poison(7));
    let expected = [
        "status 0",
        "status 1",
        "status 3",
        "features",
        "status 11",
        "page size",
        "queue 0",
        "queue 1",
        "queue 2",
        "queue 4",
        "word at 12",
        "status 15",
    ];
    assert_eq!(fake.state().told, expected);
    // And the pattern is never written again.
    let _ = heap.release_all();
    fake.state().num_pages = PER_HUGE;
    let _ = heap.backing().poll(&heap, PageCount::new(99));
    let told = std::mem::take(&mut fake.state().told);
    assert!(
        told[expected.len()..]
            .iter()
            .all(|word| word == "word at 4")
    );
}

#[test]
fn a_legacy_device_is_used_like_any_other() {
    let ram = Ram::new(4);
    let fake = ram.fake(REPORTING);
    fake.state().legacy = true;
    let mut books = Books::new(&ram);
    let heap = books.heap(&ram, &fake, Options::DEFAULT);
    // Features are not agreed upon, but taken; the rest is as ever.
    let expected = [
        "status 0",
        "status 1",
        "status 3",
        "features",
        "page size",
        "queue 0",
        "queue 1",
        "queue 2",
        "status 7",
    ];
    assert_eq!(fake.state().told, expected);
    assert_eq!(heap.release_all().pages, PageCount::new(4 * PER_HUGE));
    fake.state().num_pages = PER_HUGE;
    assert_eq!(
        heap.backing().poll(&heap, PageCount::new(99)).end,
        PollEnd::Reached
    );
    assert_eq!(fake.state().ballooned.len() as u32, PER_HUGE);
}

/// A device with something wrong, and what is said of it.
type Wrong = (&'static str, fn(&mut State), StartError);

#[test]
fn what_is_not_set_up_as_it_should_be_is_an_error_and_the_heap_goes_on() {
    let wrongs: [Wrong; 10] = [
        (
            "another type",
            |device| device.device = DeviceType::Network,
            StartError::NotABalloon(DeviceType::Network),
        ),
        (
            "in use, and never reset",
            |device| {
                device.status = DeviceStatus::DRIVER_OK;
                device.ignores_reset = true;
            },
            StartError::NoReset,
        ),
        (
            "a legacy device behind a modern transport",
            |device| device.offered &= !VERSION_1,
            StartError::NotVersion1,
        ),
        (
            "nothing offered",
            |device| device.offered = 0,
            StartError::NotVersion1,
        ),
        (
            "features refused",
            |device| device.refuses_features = true,
            StartError::FeaturesRefused,
        ),
        (
            "short queues",
            |device| device.queue_size = 16,
            StartError::NoQueue(Queue::Inflate),
        ),
        (
            "no queue for reports",
            |device| device.missing = Some(Kind::Reporting),
            StartError::NoQueue(Queue::Reporting),
        ),
        (
            "a doorbell that is no register",
            |device| device.no_doorbell = true,
            StartError::NoDoorbell(Queue::Inflate),
        ),
        (
            "no queue for reports, and no reset when it knows the shared memory",
            |device| {
                device.missing = Some(Kind::Reporting);
                device.ignores_reset_in_use = true;
            },
            StartError::NoReset,
        ),
        (
            "no room for the pattern",
            |device| device.config_bytes = 8,
            StartError::Fault(Fault::Config),
        ),
    ];
    for (name, wrong, expected) in wrongs {
        let ram = Ram::new(4);
        let fake = ram.fake(EVERYTHING);
        fake.wrong(wrong);
        let mut books = Books::new(&ram);
        let options = Options::DEFAULT.poison(0);
        let (heap, started) = books.try_heap(&ram, &fake, Pieces::WholeHugePages, options);
        assert_eq!(started.unwrap_err(), expected, "{name}");
        let stats = heap.backing().stats();
        assert_eq!(stats.health, Health::NotStarted, "{name}");
        assert_eq!(heap.release_all().pages, PageCount::ZERO);
        assert_eq!(
            heap.backing().poll(&heap, PageCount::new(1)).end,
            PollEnd::NotStarted
        );
        assert_eq!(drain(&heap, &mut Owners::default()), 4 * PER_HUGE, "{name}");
    }
}

impl Fake {
    fn wrong(&self, wrong: fn(&mut State)) {
        wrong(&mut self.state());
    }
}

#[test]
fn small_physical_pages_shared_memory_and_a_second_start_are_refused() {
    let ram = Ram::new(4);
    let fake = ram.fake(VERSION_1 | REPORTING);
    let mut books = Books::new(&ram);
    let (heap, started) = books.try_heap(&ram, &fake, Pieces::Any, Options::DEFAULT);
    assert_eq!(started.unwrap_err(), StartError::SmallPieces);
    let memory = || BalloonMemory {
        holdings: &mut [],
        inflated: &mut [],
    };
    let options = Options::DEFAULT.pieces(Pieces::Any);
    let start = |shared: u64| {
        // SAFETY: the shared memory is the arena's, or refused.
        unsafe {
            heap.backing()
                .start(fake.clone(), shared, memory(), options)
        }
    };
    for shared in [ram.shared() + 8, 1 << 44, (1 << 44) - 4096, u64::MAX - 4095] {
        assert_eq!(start(shared), Err(StartError::SharedMemory), "{shared:x}");
    }
    assert_eq!(fake.state().resets, 0, "nothing was asked of the device");
    let features = Features::VERSION_1 | Features::PAGE_REPORTING;
    assert_eq!(start(ram.shared()), Ok(features));
    assert_eq!(start(ram.shared()), Err(StartError::AlreadyStarted));
    assert_eq!(heap.backing().stats().health, Health::Working);
    assert!(!heap.backing().zeroes_released());
}

#[test]
fn a_window_that_no_page_frame_numbers_name_is_refused() {
    const TOP: u64 = 1 << 44;
    let ram = Ram::new(1);
    let fake = ram.fake(VERSION_1);
    // What is looked at last, so that no heap is needed.
    fake.state().device = DeviceType::Network;
    let start = |geometry: Geometry, origin: u64, pages: u32| {
        let window = Window::new(geometry, origin, PageCount::new(pages)).expect("a window");
        let balloon = Balloon::new(window, Patient::new(&ram, &fake));
        let memory = BalloonMemory {
            holdings: &mut [],
            inflated: &mut [],
        };
        let options = Options::DEFAULT.pieces(Pieces::Any);
        // SAFETY: the shared memory is the arena's.
        let started = unsafe { balloon.start(fake.clone(), ram.shared(), memory, options) };
        started.expect_err("no balloon")
    };
    let small = Geometry::SMALL_PAGES;
    let last = TOP - (2 << 20);
    let good = StartError::NotABalloon(DeviceType::Network);
    assert_eq!(start(small, last, 512), good);
    assert_eq!(start(small, last, 513), StartError::WindowTooHigh);
    assert_eq!(start(small, TOP, 1), StartError::WindowTooHigh);
    // Pages may be smaller than the device's unit, physical ones may not.
    let geometry = |physical| Geometry::new(1024, physical, 65536).expect("a geometry");
    assert_eq!(start(geometry(4096), 0, 64), good);
    assert_eq!(start(geometry(2048), 0, 64), StartError::PhysicalPage);
}

#[test]
fn shared_memory_that_the_kernel_does_not_show_as_it_is_is_refused() {
    let ram = Ram::new(1);
    let fake = ram.fake(VERSION_1);
    let start = |offset: u64, shared: u64| {
        // SAFETY: it is refused, or the device is.
        let map = unsafe { DirectMap::new(offset) };
        let balloon = Balloon::new(ram.window(Pieces::WholeHugePages), map);
        let memory = BalloonMemory {
            holdings: &mut [],
            inflated: &mut [],
        };
        // SAFETY: as above.
        unsafe { balloon.start(fake.clone(), shared, memory, Options::DEFAULT) }.err()
    };
    fake.state().device = DeviceType::Network;
    let good = Some(StartError::NotABalloon(DeviceType::Network));
    let refused = Some(StartError::SharedMemory);
    let (offset, shared) = (ram.offset(), ram.shared());
    assert_eq!(start(offset, shared), good);
    // Aligned on one side alone, and nowhere.
    assert_eq!(start(offset.wrapping_sub(8), shared + 8), refused);
    assert_eq!(start(offset.wrapping_add(8), shared), refused);
    assert_eq!(start(shared.wrapping_neg(), shared), refused);
    assert_eq!(fake.state().resets, 0);
}
