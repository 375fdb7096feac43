//! Setting a device up, and what is no device to use.

use spanheap::{Backing, PageCount};
use spanheap_virtio_balloon::{
    BalloonMemory, Fault, Features, Health, Options, Pieces, PollEnd, Queue, StartError,
};
use virtio_drivers::transport::{DeviceStatus, DeviceType};

use crate::common::{Books, Owners, PER_HUGE, Ram, drain};
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
fn a_legacy_device_is_used_like_any_other() {
    let ram = Ram::new(4);
    let fake = ram.fake(REPORTING);
    fake.state().legacy = true;
    let mut books = Books::new(&ram);
    let heap = books.heap(&ram, &fake, Options::DEFAULT);
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
