//! The model as one line of text: for the message of a failing test.
//!
//! A page per character while that fits into a line (letters for spans in use,
//! `.` resident, `~` released, blank for no region, `|` between regions that
//! touch), else a list of runs.

use core::fmt::Write;

use super::pages::{Cell, Model, Run};

/// The longest window that is drawn page by page.
const LINE: usize = 120;

fn letter(cell: Cell) -> char {
    match cell {
        Cell::Unmanaged => ' ',
        Cell::InUse(span) => char::from(b'A' + (span.wrapping_sub(1) % 26) as u8),
        Cell::Resident => '.',
        Cell::Released => '~',
    }
}

/// Draws the model.
pub(crate) fn picture(model: &Model) -> String {
    let runs = model.runs();
    if model.cells().len() > LINE {
        let mut list = String::new();
        for Run { range, cell } in runs {
            let _ = write!(list, "{range:?}{} ", letter(cell));
        }
        return list;
    }
    let mut line: String = model.cells().iter().map(|&cell| letter(cell)).collect();
    let borders = runs.windows(2).filter(|pair| {
        pair[0].range.end() == pair[1].range.start() && !model.is_one_region(joined(pair))
    });
    let borders: Vec<usize> = borders
        .map(|pair| pair[1].range.start().number() as usize)
        .collect();
    for border in borders.into_iter().rev() {
        line.insert(border, '|');
    }
    line
}

fn joined(pair: &[Run]) -> spanheap::PageRange {
    super::range(pair[0].range.start().number(), pair[1].range.end().number())
}
