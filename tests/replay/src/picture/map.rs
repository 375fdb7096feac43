//! The heap's layout, page by page, at the end.
//!
//! Two grids of the same pages beside each other: when the trace ended, and
//! after everything idle was released. They are read like text, lowest address
//! first. A cell is one page, or a power of two of them where the window has
//! more pages than the picture has cells; then a cell of several states
//! blends their colours by their share.

use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, VPos};
use spanheap::{SpanInfo, SpanState};

use super::scale::{grouped, whole_unit};
use super::{
    Area, BLUE, DrawError, FAINT, GRID, INK, Key, LEFT, ORANGE, TEXT, WIDTH, heading, legend, text,
};
use crate::resident;

/// Cells in a row of either grid.
const COLUMNS: u32 = 128;
/// The most rows.
const MAX_ROWS: u32 = 256;
/// A cell's width in pixels.
const CELL: i32 = 4;
/// Where the grids begin, and what lies between them.
const X: i32 = 184;
const GAP: i32 = 36;
const Y: i32 = 184;
/// The height that the grids fill if they have few rows, in pixels.
const USUAL_HEIGHT: u32 = 560;

/// Released pages: a tint, as most of a map is often of them.
const PALE: RGBColor = RGBColor(0xc4, 0xe6, 0xdb);
/// Pages that are not the heap's.
const NOBODYS: RGBColor = RGBColor(0xff, 0xff, 0xff);

/// The pages of one cell, by state.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Cell {
    /// Handed out.
    pub in_use: u32,
    /// Idle, and backed.
    pub resident: u32,
    /// Idle, and not backed.
    pub released: u32,
}

impl Cell {
    /// Returns the colour of a cell of `pages` pages.
    fn colour(self, pages: u32) -> RGBColor {
        let managed = self.in_use + self.resident + self.released;
        let states = [
            (self.in_use, BLUE),
            (self.resident, ORANGE),
            (self.released, PALE),
            (pages.saturating_sub(managed), NOBODYS),
        ];
        let total: u64 = states.iter().map(|(count, _)| u64::from(*count)).sum();
        let blend = |channel: fn(&RGBColor) -> u8| {
            let sum: u64 = states
                .iter()
                .map(|(count, colour)| u64::from(*count) * u64::from(channel(colour)))
                .sum();
            // At most 255, as every summand is weighted by its share.
            (sum / total.max(1)) as u8
        };
        RGBColor(blend(|c| c.0), blend(|c| c.1), blend(|c| c.2))
    }
}

/// A heap's layout, as cells of a fixed number of pages.
#[derive(Clone, Debug)]
pub struct Layout {
    pages: u32,
    /// Pages in a cell; a power of two.
    grain: u32,
    cells: Vec<Cell>,
}

impl Layout {
    /// A layout of `pages` pages, none of them anybody's; in memory already.
    #[must_use]
    pub fn new(pages: u32) -> Self {
        let most = COLUMNS * MAX_ROWS;
        let grain = pages.div_ceil(most).max(1).next_power_of_two();
        Self {
            pages,
            grain,
            cells: resident::table(Cell::default(), pages.div_ceil(grain) as usize),
        }
    }

    /// Adds the pages of a span.
    pub fn add(&mut self, span: &SpanInfo) {
        let end = span.range.end().number().min(self.pages);
        let mut page = span.range.start().number();
        while page < end {
            let index = page / self.grain;
            let until = (index + 1).saturating_mul(self.grain).min(end);
            let cell = &mut self.cells[index as usize];
            match span.state {
                SpanState::InUse => cell.in_use += until - page,
                SpanState::Released => cell.released += until - page,
                _ => cell.resident += until - page,
            }
            page = until;
        }
    }

    /// Returns the cells, by address.
    #[must_use]
    pub fn cells(&self) -> &[Cell] {
        &self.cells
    }

    /// Returns how many pages a cell stands for.
    #[must_use]
    pub const fn grain(&self) -> u32 {
        self.grain
    }

    fn rows(&self) -> u32 {
        (self.cells.len() as u32).div_ceil(COLUMNS).max(1)
    }

    /// Returns how many pages cell `index` has: fewer for the last.
    fn pages_in(&self, index: u32) -> u32 {
        self.grain.min(self.pages - index * self.grain)
    }
}

/// Draws two layouts of one heap as SVG: when the trace ended, and after
/// everything idle was released.
///
/// # Errors
///
/// If plotters could not draw.
pub fn map(
    before: &Layout,
    after: &Layout,
    title: &str,
    page_bytes: u64,
    origin: u64,
) -> Result<String, DrawError> {
    let rows = after.rows();
    let cell_height = (USUAL_HEIGHT / rows).clamp(CELL as u32, 20);
    let height = Y as u32 + rows * cell_height + 92;
    let mut svg = String::new();
    {
        let area = SVGBackend::with_string(&mut svg, (WIDTH, height)).into_drawing_area();
        area.fill(&WHITE)?;
        let bytes = u64::from(after.grain) * page_bytes;
        let (cell, blend) = match after.grain {
            1 => ("one page".into(), ""),
            grain => (format!("{grain} pages"), "; states that share a cell blend"),
        };
        let below = format!(
            "One cell is {cell} ({}){blend}. Read like text; page 0 is at {origin:#x}.",
            exact(bytes),
        );
        heading(&area, title, &below)?;
        let mut keys = vec![
            (LEFT, Key::Filled(BLUE), "in use"),
            (LEFT + 126, Key::Filled(ORANGE), "idle, resident"),
            (LEFT + 322, Key::Filled(PALE), "idle, released"),
            (LEFT + 518, Key::Outlined(NOBODYS), "not managed"),
        ];
        if after.grain > 1 {
            let half = |resident, released| Cell {
                in_use: 1,
                resident,
                released,
            };
            let shades = (half(1, 0).colour(2), half(0, 1).colour(2));
            keys.push((
                LEFT + 708,
                Key::Filled(shades.0),
                "half in use, half resident",
            ));
            keys.push((
                LEFT + 984,
                Key::Filled(shades.1),
                "half in use, half released",
            ));
        }
        legend(&area, 112, &keys)?;
        let grid = Grid {
            area: &area,
            cell_height: cell_height as i32,
            page_bytes,
        };
        grid.rows(after)?;
        let second = X + COLUMNS as i32 * CELL + GAP;
        grid.cells(before, X, "when the trace ended")?;
        grid.cells(after, second, "after everything idle was released")?;
        area.present()?;
    }
    Ok(svg)
}

struct Grid<'g, 'a> {
    area: &'g Area<'a>,
    cell_height: i32,
    page_bytes: u64,
}

impl Grid<'_, '_> {
    /// Draws the axis on the left: the page and the offset a row begins with.
    fn rows(&self, layout: &Layout) -> Result<(), DrawError> {
        let label = text(TEXT, INK, HPos::Right, VPos::Center);
        let head = text(TEXT, FAINT, HPos::Right, VPos::Center);
        self.area.draw_text("page", &head, (92, Y - 16))?;
        self.area.draw_text("offset", &head, (X - 14, Y - 16))?;
        // Far enough apart for a line of text.
        let every = (30 / self.cell_height.max(1)).max(1) as u32;
        let every = every.next_power_of_two();
        let row_bytes = u64::from(COLUMNS) * u64::from(layout.grain) * self.page_bytes;
        let unit = whole_unit(row_bytes * u64::from(every));
        for row in (0..layout.rows()).step_by(every as usize) {
            let page = u64::from(row) * u64::from(COLUMNS) * u64::from(layout.grain);
            let y = Y + row as i32 * self.cell_height;
            let (x, middle) = (X - 4, y + self.cell_height / 2);
            self.area.draw_text(&grouped(page), &label, (92, middle))?;
            let offset = grouped(page * self.page_bytes / unit.bytes);
            let offset = format!("{offset} {}", unit.name);
            self.area.draw_text(&offset, &label, (X - 14, middle))?;
            let tick = vec![(x - 6, middle), (x, middle)];
            self.area.draw(&PathElement::new(tick, INK))?;
        }
        Ok(())
    }

    fn cells(&self, layout: &Layout, x: i32, title: &str) -> Result<(), DrawError> {
        let width = COLUMNS as i32 * CELL;
        let middle = text(TEXT, INK, HPos::Center, VPos::Center);
        self.area
            .draw_text(title, &middle, (x + width / 2, Y - 16))?;
        let colour = |index: u32| layout.cells[index as usize].colour(layout.pages_in(index));
        let cells = layout.cells.len() as u32;
        for row in 0..layout.rows() {
            let y = Y + row as i32 * self.cell_height;
            let last = ((row + 1) * COLUMNS).min(cells);
            let mut index = row * COLUMNS;
            // Neighbours of one colour are one rectangle.
            while index < last {
                let shade = colour(index);
                let from = index - row * COLUMNS;
                while index < last && colour(index) == shade {
                    index += 1;
                }
                let to = index - row * COLUMNS;
                let corners = [
                    (x + from as i32 * CELL, y),
                    (x + to as i32 * CELL, y + self.cell_height),
                ];
                self.area.draw(&Rectangle::new(corners, shade.filled()))?;
            }
        }
        let bottom = Y + layout.rows() as i32 * self.cell_height;
        let frame = Rectangle::new([(x - 1, Y - 1), (x + width, bottom)], GRID);
        self.area.draw(&frame)?;
        let label = text(TEXT, INK, HPos::Center, VPos::Top);
        for quarter in 0..=4 {
            let page = u64::from(quarter * COLUMNS / 4) * u64::from(layout.grain);
            let at = x + (quarter * COLUMNS / 4) as i32 * CELL;
            let tick = vec![(at, bottom + 2), (at, bottom + 8)];
            self.area.draw(&PathElement::new(tick, INK))?;
            self.area
                .draw_text(&grouped(page), &label, (at, bottom + 12))?;
        }
        let row = u64::from(COLUMNS) * u64::from(layout.grain);
        let what = format!("page within the row (of {})", exact(row * self.page_bytes));
        self.area
            .draw_text(&what, &label, (x + width / 2, bottom + 40))?;
        Ok(())
    }
}

/// Writes bytes in the largest unit in which they are a whole number.
fn exact(bytes: u64) -> String {
    let unit = whole_unit(bytes);
    format!("{} {}", grouped(bytes / unit.bytes), unit.name)
}

#[cfg(test)]
mod tests {
    use super::*;
    use spanheap::{Page, PageRange};

    fn span(start: u32, end: u32, state: SpanState) -> SpanInfo {
        SpanInfo {
            range: PageRange::between(Page::new(start), Page::new(end)).unwrap(),
            state,
            needs_zero: true,
        }
    }

    #[test]
    fn a_small_window_has_a_cell_for_every_page() {
        let mut layout = Layout::new(10);
        layout.add(&span(0, 4, SpanState::InUse));
        layout.add(&span(4, 5, SpanState::Resident));
        layout.add(&span(7, 10, SpanState::Released));
        let used: Vec<_> = layout.cells().iter().map(|cell| cell.in_use).collect();
        assert_eq!(used, [1, 1, 1, 1, 0, 0, 0, 0, 0, 0]);
        assert_eq!(layout.cells()[4].resident, 1);
        assert_eq!(layout.cells()[5], Cell::default());
        assert_eq!(layout.cells()[9].released, 1);
    }

    #[test]
    fn no_page_of_a_large_window_is_lost_or_counted_twice() {
        let pages = 10 * COLUMNS * MAX_ROWS + 7;
        let mut layout = Layout::new(pages);
        assert_eq!(layout.grain(), 16);
        layout.add(&span(5, 1000, SpanState::InUse));
        layout.add(&span(1000, pages, SpanState::Released));
        let sum = |count: fn(&Cell) -> u32| layout.cells().iter().map(count).sum::<u32>();
        assert_eq!(sum(|cell| cell.in_use), 995);
        assert_eq!(sum(|cell| cell.released), pages - 1000);
        assert_eq!(sum(|cell| cell.resident), 0);
        assert!(layout.rows() <= MAX_ROWS);
    }

    #[test]
    fn a_cell_of_one_state_has_its_colour_and_a_mixed_one_lies_between() {
        let cell = |in_use, released| Cell {
            in_use,
            released,
            resident: 0,
        };
        assert_eq!(cell(16, 0).colour(16), BLUE);
        assert_eq!(cell(0, 16).colour(16), PALE);
        assert_eq!(cell(0, 0).colour(16), NOBODYS);
        let mixed = cell(8, 8).colour(16);
        assert!(BLUE.0 < mixed.0 && mixed.0 < PALE.0);
    }

    #[test]
    fn the_largest_window_can_be_drawn() {
        let layout = Layout::new(u32::MAX);
        assert!(map(&layout, &layout, "all", 4096, 0).is_ok());
    }
}
