//! The balloon against a hostile device, on memory that the device fills with junk as
//! soon as it may.
//!
//! The device answers by a script of the input's: late, twice, never, with lengths and
//! identifiers of no sense; it may shrink its configuration, want everything and
//! nothing by turns, answer what nobody asked, and ignore its reset. Whatever it does,
//! no owner loses a byte, and the heap no page: that is the suite's to check.

use spanheap_virtio_balloon::Pieces;

use crate::balloon_suite::case::{Case, Op, PAGES};
use crate::balloon_suite::common::PATIENCE;
use crate::balloon_suite::fake::{Act, EVENT_IDX, HINT, MUST_TELL_HOST, OOM, REPORTING, STATS};
use crate::input::Input;

/// What a device may offer.
const FEATURES: [u64; 6] = [MUST_TELL_HOST, STATS, OOM, HINT, REPORTING, EVENT_IDX];

/// Runs one input.
pub fn run(data: &[u8]) {
    let mut input = Input::new(data);
    let bits: u8 = input.any();
    let offered = FEATURES.iter().enumerate();
    let offered = offered.filter(|(at, _)| bits >> at & 1 == 1);
    let is_honest = bits >> 6 == 0;
    let mut case = Case {
        offered: offered.map(|(_, bit)| bit).sum(),
        pieces: input.pick(&[Pieces::WholeHugePages, Pieces::Any]),
        script: Vec::new(),
        ignores_reset: !is_honest && input.any(),
        ops: Vec::new(),
    };
    while input.has_more() && case.ops.len() < 80 {
        // What it does is for one request, and most operations make one.
        if input.any() {
            case.script.push(act(&mut input, is_honest));
        }
        case.ops.push(op(&mut input, is_honest));
    }
    crate::balloon_suite::case::run(case, is_honest);
}

fn act(input: &mut Input<'_>, is_honest: bool) -> Act {
    // One that shirks is not here: the fake would lose count of its own pages.
    let choices = if is_honest { 12 } else { 19 };
    match input.below(choices) {
        0..=7 => Act::Obey,
        8 | 9 => Act::Length(input.any()),
        10 | 11 => Act::After(input.up_to(PATIENCE - 1)),
        12 => Act::Sleep,
        13 => Act::After(input.up_to(40)),
        14 => Act::Id(input.below(40)),
        15 => Act::Id(input.any()),
        16 => Act::Jump(input.below(40) as u16),
        17 => Act::Jump(input.any()),
        _ => Act::Twice,
    }
}

fn op(input: &mut Input<'_>, is_honest: bool) -> Op {
    let choices = if is_honest { 29 } else { 32 };
    match input.below(choices) {
        0..=8 => Op::Alloc {
            pages: input.up_to(40),
            zeroed: input.any(),
        },
        9..=14 => Op::Free(input.below(64) as usize),
        15..=18 => Op::Release,
        19..=21 => Op::Target(match input.below(8) {
            0 => u32::MAX,
            1 => input.any(),
            _ => input.below(PAGES + 2),
        }),
        // A restless device keeps the driver going until the budget is used up.
        22..=25 => Op::Poll(input.below(8 * PAGES)),
        26 => Op::Relieve(input.up_to(PAGES)),
        27 => Op::TakeStats,
        28 => Op::Wake,
        29 => Op::Early(input.below(5) as u16),
        30 => Op::Shrink(input.below(17) as usize),
        _ => Op::Restless,
    }
}
