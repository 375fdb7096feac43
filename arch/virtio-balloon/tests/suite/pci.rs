//! The PCI transport, over a configuration space and registers in memory.

use std::ops::Range;
use std::ptr::NonNull;

use proptest::prelude::*;
use spanheap_virtio_balloon::{BalloonTransport, PciError, PciTransport, Structure};
use virtio_drivers::Error;
use virtio_drivers::transport::{DeviceStatus, DeviceType, Transport};

use crate::board::{Board, FUNCTION, device};

#[test]
fn every_register_is_where_the_specification_has_it() {
    let board = Board::new();
    let mut device = device(&board).unwrap();
    let common = board.common;
    assert_eq!(device.device_type(), DeviceType::MemoryBalloon);
    assert_eq!(
        device.read_device_features(),
        (1 << 5 | 1) << 32 | 1 << 5 | 1
    );
    assert_eq!(
        common.read::<u32>(0x00),
        1,
        "the upper half was asked for last"
    );
    device.write_driver_features(0xaaaa_bbbb_cccc_dddd);
    assert_eq!(common.read::<u32>(0x08), 1);
    assert_eq!(common.read::<u32>(0x0c), 0xaaaa_bbbb);
    device.set_status(DeviceStatus::ACKNOWLEDGE | DeviceStatus::FAILED);
    assert_eq!(common.read::<u8>(0x14), 129);
    assert_eq!(device.max_queue_size(4), 64);
    assert_eq!(common.read::<u16>(0x16), 4, "the queue");
    assert!(!device.queue_used(3));
    let [descriptors, driver, rings] = [0x1_1111_1110_u64, 0x2_2222_2220, 0x3_3333_3330];
    device.queue_set(2, 32, descriptors, driver, rings);
    assert_eq!(common.read::<u16>(0x16), 2);
    assert_eq!(common.read::<u16>(0x18), 32);
    for (offset, address) in [(0x20, descriptors), (0x28, driver), (0x30, rings)] {
        assert_eq!(common.read::<u64>(offset), address);
    }
    assert!(device.queue_used(2));
    common.write::<u8>(0x15, 77);
    assert_eq!(device.read_config_generation(), 77);
    board.config.write::<u32>(0, 0x1234_5678);
    assert_eq!(device.read_config_space::<u32>(0), Ok(0x1234_5678));
    assert_eq!(device.write_config_space(4, 99_u32), Ok(()));
    assert_eq!(board.config.read::<u32>(4), 99);
    // Nothing of it is legacy, and no interrupt is asked for.
    device.set_guest_page_size(4096);
    device.queue_unset(2);
    assert!(!device.requires_legacy_layout());
    assert!(device.ack_interrupt().is_empty() && device.queue_used(2));
    // Dropping a transport may wait for the device, so the driver never does it;
    // dropping this one would do nothing.
    assert!(!std::mem::needs_drop::<PciTransport>());
}

#[test]
fn a_status_of_bits_that_nobody_defined_is_no_reset() {
    let board = Board::new();
    let device = device(&board).unwrap();
    board.common.write::<u8>(0x14, 0x30);
    assert_ne!(device.get_status(), DeviceStatus::empty());
}

#[test]
fn a_doorbell_is_found_once_and_stays_where_it_was() {
    let board = Board::new();
    let mut device = device(&board).unwrap();
    let rung = || -> Vec<(usize, u16)> {
        let bells = (0..0x1000).step_by(2);
        let bells = bells.map(|at| (at, board.notify.read::<u16>(at)));
        bells.filter(|(_, bell)| *bell != 0xffff).collect()
    };
    device.notify(2);
    assert_eq!(rung(), [], "a queue whose bell was not found");
    assert!(device.find_doorbell(2));
    assert_eq!(board.common.read::<u16>(0x16), 2, "it was that queue's");
    for elsewhere in [0, 1, 0x3ff, 0x400, 0xffff] {
        board.common.write::<u16>(0x1e, elsewhere);
        board.notify.write::<u16>(12, 0xffff);
        device.notify(2);
        assert_eq!(rung(), [(12, 2)]);
    }
    // The others are not that one's.
    device.notify(1);
    device.notify(5);
    device.notify(u16::MAX);
    assert_eq!(rung(), [(12, 2)]);
}

#[test]
fn a_doorbell_is_one_of_the_registers_or_none() {
    for (number, multiplier, bytes, is_one) in [
        (0, 0, 2, true),
        (0xffff, 0, 2, true),
        (0, 4, 2, true),
        (1, 4, 6, true),
        (1, 4, 5, false),
        (0x3ff, 4, 0x1000, true),
        (0x400, 4, 0x1000, false),
        (0x7ff, 2, 0x1000, true),
        (0x800, 2, 0x1000, false),
        (1, 3, 0x1000, false),
        (0xffff, 4, 0x1000, false),
        // In 32 bits, this would be the first.
        (0x8000, 0x20000, 0x1000, false),
        (0xffff, u32::MAX, 0x1000, false),
    ] {
        let mut board = Board::new();
        board.capability((0x70, 0x60, 20, 2, [4, 0x1000, bytes, multiplier]));
        board.common.write::<u16>(0x1e, number);
        let mut device = device(&board).unwrap();
        let found = device.find_doorbell(0);
        assert_eq!(found, is_one, "{number} times {multiplier} of {bytes}");
        if found {
            device.notify(0);
            assert_eq!(
                board
                    .notify
                    .read::<u16>((u32::from(number) * multiplier) as usize),
                0
            );
        }
    }
    // A balloon has five queues.
    let mut device = device(&Board::new()).unwrap();
    assert!(device.find_doorbell(4));
    assert!(!device.find_doorbell(5));
}

#[test]
fn a_configuration_that_is_short_or_missing_is_an_error_to_read() {
    let too_small = Err(Error::ConfigSpaceTooSmall);
    for (bytes, expected) in [(16, Ok(0)), (8, too_small), (15, too_small), (0, too_small)] {
        let mut board = Board::new();
        board.capability((0x60, 0x50, 16, 4, [4, 0x2000, bytes, 0]));
        let mut device = device(&board).unwrap();
        assert_eq!(device.read_config_space::<u32>(12), expected, "{bytes}");
        assert_eq!(device.write_config_space(12, 1_u32), expected.map(|_| ()));
    }
    let mut board = Board::new();
    board.capability((0x60, 0x50, 16, 77, [4, 0x2000, 16, 0]));
    let mut device = device(&board).unwrap();
    assert_eq!(
        device.read_config_space::<u32>(0),
        Err(Error::ConfigSpaceMissing)
    );
    assert_eq!(
        device.write_config_space(4, 1_u32),
        Err(Error::ConfigSpaceMissing)
    );
    // What no balloon has, and this transport does not do.
    let board = Board::new();
    let mut device = self::device(&board).unwrap();
    assert_eq!(device.read_config_space::<u32>(2), Err(Error::Unsupported));
    assert_eq!(device.read_config_space::<u16>(4), Err(Error::Unsupported));
    assert_eq!(device.write_config_space(4, 1_u8), Err(Error::Unsupported));
    assert_eq!(device.write_config_space(1, 1_u32), Err(Error::Unsupported));
    assert_eq!(
        device.read_config_space::<u32>(usize::MAX - 3),
        Err(Error::ConfigSpaceTooSmall)
    );
}

/// Something about a board, and what is said of it.
type Case = (&'static str, fn(&mut Board), Option<PciError>);

#[test]
fn what_is_no_balloon_to_use_is_an_error() {
    use PciError::{Missing, NotABalloon, NotMapped, TooShort};
    use Structure::{Common, Config, Notify};
    let cases: [Case; 24] = [
        ("as it should be", |_| {}, None),
        ("older", |board| board.words[0] = 0x1002_1af4, None),
        (
            "a network card",
            |board| board.words[0] = 0x1041_1af4,
            Some(NotABalloon {
                vendor: 0x1af4,
                device: 0x1041,
            }),
        ),
        (
            "another vendor's",
            |board| board.words[0] = 0x1045_8086,
            Some(NotABalloon {
                vendor: 0x8086,
                device: 0x1045,
            }),
        ),
        (
            "a capability of another kind that looks like it",
            |board| board.words[0x40 / 4] = 0x0110_0005,
            Some(Missing(Common)),
        ),
        (
            "a capability that says it is shorter than it must be",
            |board| board.words[0x40 / 4] = 0x010f_0009,
            Some(Missing(Common)),
        ),
        (
            "registers that begin past the end of all addresses",
            |board| {
                (board.words[8], board.words[9]) = (0xfff0_000c, u32::MAX);
                board.capability((0x40, 0, 16, 1, [4, 0x20_0000, 0x1000, 0]));
            },
            Some(Missing(Common)),
        ),
        (
            "nothing there",
            |board| board.words = [u32::MAX; 64],
            Some(NotABalloon {
                vendor: 0xffff,
                device: 0xffff,
            }),
        ),
        ("no list", |board| board.words[1] = 0, Some(Missing(Common))),
        (
            "a list that is a circle",
            |board| {
                board.capability((0x40, 0x98, 16, 9, [4, 0, 56, 0]));
            },
            Some(Missing(Common)),
        ),
        (
            "a list that leads into the header",
            |board| {
                board.capability((0x10, 0x70, 16, 1, [4, 0, 0x1000, 0]));
                board.words[0x34 / 4] = 0x10;
            },
            Some(Missing(Common)),
        ),
        (
            "a list with the reserved bits set",
            |board| board.words[0x34 / 4] = 0x9b,
            None,
        ),
        (
            "a capability that ends outside of the space",
            |board| {
                board.capability((0x50, 0xf8, 16, 3, [0; 4]));
                board.words[0x40 / 4] = 0;
                board.words[0xf8 / 4] = 0x0110_0009;
                board.words[0xfc / 4] = 4;
            },
            Some(Missing(Common)),
        ),
        (
            "a structure that is last in the space",
            |board| {
                board.capability((0x50, 0xf0, 16, 3, [0; 4]));
                board.capability((0xf0, 0, 16, 1, [4, 0, 0x1000, 0]));
            },
            None,
        ),
        (
            "no multiplier",
            |board| board.capability((0x70, 0x60, 16, 2, [4, 0x1000, 0x1000, 4])),
            Some(Missing(Notify)),
        ),
        (
            "a region that there is not",
            |board| {
                board.words[0x28 / 4] = 0xc000_0000;
                board.capability((0x40, 0, 16, 1, [6, 0, 0x1000, 0]));
            },
            Some(Missing(Common)),
        ),
        (
            "half of a region",
            |board| {
                board.words[9] = 0b0100 | 1 << 31;
                board.capability((0x40, 0, 16, 1, [5, 0, 0x1000, 0]));
            },
            Some(Missing(Common)),
        ),
        (
            "a region without an address",
            |board| (board.words[8], board.words[9]) = (0b1100, 0),
            Some(Missing(Common)),
        ),
        (
            "ports before memory",
            |board| {
                board.words[4] = 0xc001;
                board.capability((0x98, 0x84, 20, 2, [0, 0x1000, 0x1000, 4]));
            },
            None,
        ),
        (
            "registers past the end of all addresses",
            |board| {
                (board.words[8], board.words[9]) = (0xfff0_000c, u32::MAX);
                board.capability((0x40, 0, 16, 1, [4, 0xf_f000, 0x1000, 0]));
            },
            Some(Missing(Common)),
        ),
        (
            "an offset and a length that make up for each other in 32 bits",
            |board| board.capability((0x40, 0, 16, 1, [4, 0xffff_f000, 0x1100, 0])),
            Some(NotMapped(Common)),
        ),
        (
            "few registers",
            |board| board.capability((0x40, 0, 16, 1, [4, 0, 55, 0])),
            Some(TooShort(Common)),
        ),
        (
            "no bell",
            |board| board.capability((0x70, 0x60, 20, 2, [4, 0x1000, 1, 0])),
            Some(TooShort(Notify)),
        ),
        (
            "a configuration in what is not registers",
            |board| board.capability((0x60, 0x50, 16, 4, [4, 0x7000, 16, 0])),
            Some(NotMapped(Config)),
        ),
    ];
    for (name, change, expected) in cases {
        let mut board = Board::new();
        change(&mut board);
        assert_eq!(device(&board).err(), expected, "{name}");
        assert!(
            board.reads.get() < 300,
            "{name}: {} reads",
            board.reads.get()
        );
    }
}

#[test]
fn registers_that_the_kernel_maps_unaligned_are_an_error() {
    let board = Board::new();
    for shift in 1..4 {
        let map = |bytes: Range<u64>| {
            let at = board.map(&bytes)?.as_ptr().wrapping_add(shift);
            NonNull::new(at)
        };
        // SAFETY: it is an error.
        let refused = unsafe { PciTransport::new(&board, FUNCTION, map) };
        let expected = PciError::NotMapped(Structure::Common);
        assert_eq!(refused.err(), Some(expected));
    }
}

proptest! {
    #![proptest_config(crate::random::config())]

    /// The words that matter are often right.
    #[test]
    fn no_configuration_space_is_a_panic_or_a_walk_without_end(
        changes in prop::collection::vec((0..64_usize, word()), 0..20),
    ) {
        let mut board = Board::new();
        for (at, word) in changes {
            board.words[at] = word;
        }
        if let Ok(mut device) = device(&board) {
            for queue in 0..8 {
                device.find_doorbell(queue);
                device.notify(queue);
            }
            let _ = device.read_config_space::<u32>(0);
        }
        prop_assert!(board.reads.get() < 300);
    }
}

/// A word of a configuration space: often a capability's first.
fn word() -> impl Strategy<Value = u32> {
    let header = (0x10..0x40_u32, 0..24_u32, 0..6_u32)
        .prop_map(|(next, len, code)| 0x09 | next << 10 | len << 16 | code << 24);
    prop_oneof![2 => header, 1 => any::<u32>(), 1 => 0..8_u32]
}
