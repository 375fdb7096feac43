//! What is written is read, and nothing else is.

extern crate std;

use std::vec::Vec;

use super::*;

const SEATS: u32 = 8;

fn part(start: u32, end: u32) -> PageRange {
    PageRange::between(Page::new(start), Page::new(end)).unwrap()
}

fn every_kind() -> [Event; 6] {
    let seat = Seat::new(SEATS - 1);
    [
        Event::Alloc {
            seat,
            pages: PageCount::new(u32::MAX),
        },
        Event::FreePart {
            seat,
            part: part(3, u32::MAX),
        },
        Event::Sample {
            at_ms: u64::MAX - 1,
        },
        Event::Release,
        Event::Alive {
            seat,
            part: part(0, 3),
        },
        Event::Free { seat },
    ]
}

fn tape(events: &[[u8; RECORD_BYTES]]) -> Vec<u8> {
    let header = Header {
        page_bytes: 4096,
        seats: SEATS,
        events: events.len() as u32,
    };
    let mut bytes = header.encode().to_vec();
    bytes.extend(events.iter().flatten());
    bytes
}

#[test]
fn what_is_written_is_read() {
    let bytes = tape(&every_kind().map(Event::encode));
    let tape = Tape::new(&bytes).unwrap();
    assert_eq!((tape.page_bytes(), tape.seats()), (4096, SEATS as usize));
    let read: Vec<_> = tape.events().map(Result::unwrap).collect();
    assert_eq!(read, every_kind());
}

#[test]
fn bytes_lie_as_the_header_of_this_file_says() {
    let event = Event::FreePart {
        seat: Seat::new(0x0102),
        part: part(1, 6),
    };
    let expected = [3, 0, 0, 0, 2, 1, 0, 0, 1, 0, 0, 0, 5, 0, 0, 0];
    assert_eq!(event.encode(), expected);
    assert_eq!(tape(&[])[..4], *b"TAPE");
}

#[test]
fn a_tape_of_another_length_is_refused() {
    let bytes = tape(&every_kind().map(Event::encode));
    for cut in RECORD_BYTES..bytes.len() {
        assert_eq!(Tape::new(&bytes[..cut]).unwrap_err(), TapeError::Length);
    }
    for cut in 0..RECORD_BYTES {
        assert_eq!(Tape::new(&bytes[..cut]).unwrap_err(), TapeError::Foreign);
    }
    let longer: Vec<_> = bytes.iter().copied().chain([0]).collect();
    assert_eq!(Tape::new(&longer).unwrap_err(), TapeError::Length);
}

#[test]
fn other_bytes_are_no_tape() {
    let zeroes = [0; 4 * RECORD_BYTES];
    assert_eq!(Tape::new(&zeroes).unwrap_err(), TapeError::Foreign);
}

#[test]
fn an_event_that_is_none_is_an_error_in_its_place() {
    for wrong in [
        // No kinds.
        [0, 0, 0, 0],
        [7, 0, 0, 1],
        // A seat that there is not.
        [ALLOC, SEATS, 0, 1],
        [FREE, SEATS, 0, 0],
        [FREE_PART, SEATS, 0, 1],
        [ALIVE, SEATS, 0, 1],
        // No pages, or pages that have no number.
        [ALLOC, 0, 0, 0],
        [FREE_PART, 0, 1, 0],
        [ALIVE, 0, 1, 0],
        [FREE_PART, 0, 1, u32::MAX],
        // Words that mean nothing.
        [ALLOC, 0, 1, 1],
        [FREE, 0, 0, 1],
        [RELEASE, 1, 0, 0],
        [SAMPLE, 1, 0, 1],
    ] {
        let bytes = tape(&[Event::Release.encode(), record(wrong)]);
        let tape = Tape::new(&bytes).unwrap();
        let read: Vec<_> = tape.events().collect();
        assert_eq!(
            read,
            [Ok(Event::Release), Err(TapeError::Event(1))],
            "{wrong:?}"
        );
    }
}
