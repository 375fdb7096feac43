//! The times as a picture: a line for each work, a mark for each contender.
//!
//! The scale is logarithmic, so that the same distance is the same factor
//! everywhere. Ours are large marks, the floors are hollow, and peers differ in
//! colour and shape; each is named below the title.
//!
//! SVG text is laid out by whoever shows it, so its width is never known here:
//! everything stands at columns wide enough for what goes there. Colours are
//! Okabe and Ito's, which the colour-blind can tell apart.

use plotters::coord::Shift;
use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, Pos, VPos};

use crate::adaptor::{About, Side, all};
use crate::figure::{Figure, Unit};
use crate::results::{Cell, Results, Row};
use crate::table::value;

/// A picture that could not be drawn.
pub type DrawError = Box<dyn std::error::Error + Send + Sync>;

/// Whether a contender belongs to a half of the picture.
type Belongs = fn(&About) -> bool;

type Area<'a> = DrawingArea<SVGBackend<'a>, Shift>;

const WIDTH: u32 = 1280;
const LEFT: i32 = 24;
/// The plotting area across.
const X: std::ops::Range<i32> = 300..1240;
/// From one line to the next.
const LINE: i32 = 26;
/// Entries of the legend in a row, and what one takes.
const KEYS: usize = 6;
const KEY: i32 = 205;
const TITLE: u32 = 24;
const TEXT: u32 = 15;

const INK: RGBColor = RGBColor(0x22, 0x22, 0x22);
const FAINT: RGBColor = RGBColor(0x5f, 0x5f, 0x5f);
const GRID: RGBColor = RGBColor(0xdd, 0xdd, 0xdd);

/// What ours are drawn with, and the peers.
const OURS: [RGBColor; 4] = [
    RGBColor(0x56, 0xb4, 0xe9),
    RGBColor(0x00, 0x72, 0xb2),
    RGBColor(0xd5, 0x5e, 0x00),
    RGBColor(0x00, 0x00, 0x00),
];
const PEERS: [RGBColor; 6] = [
    RGBColor(0x00, 0x9e, 0x73),
    RGBColor(0xe6, 0x9f, 0x00),
    RGBColor(0xcc, 0x79, 0xa7),
    RGBColor(0x8a, 0x8a, 0x8a),
    RGBColor(0x66, 0x33, 0x00),
    RGBColor(0xb0, 0xa0, 0x00),
];

/// Draws all times as SVG.
///
/// # Errors
///
/// If plotters could not draw.
pub fn draw(results: &Results) -> Result<String, DrawError> {
    let mut rows: Vec<_> = results.rows.iter().collect();
    rows.retain(|row| row.figure.is_speed() || row.figure == Figure::EventP9999);
    rows.sort_by_key(|row| row.figure);
    let parts: [(&str, Belongs); 2] = [
        ("One thread, one owner", |about| {
            !about.shared || about.side == Side::Ours
        }),
        ("Shared: every peer behind spin::Mutex", |about| {
            about.shared
        }),
    ];
    let parts = parts.map(|(title, belongs)| Part::new(title, belongs, &rows));
    let height: i32 = parts.iter().map(Part::height).sum();
    let mut svg = String::new();
    {
        let size = (WIDTH, height.max(LINE) as u32);
        let area = SVGBackend::with_string(&mut svg, size).into_drawing_area();
        area.fill(&WHITE)?;
        let mut top = 0;
        for part in &parts {
            part.draw(&area, top)?;
            top += part.height();
        }
        area.present()?;
    }
    Ok(svg)
}

/// One of the two halves of the picture.
struct Part<'p> {
    title: &'static str,
    rows: Vec<&'p Row>,
    columns: Vec<About>,
    /// The powers of ten at the ends of the scale.
    low: i32,
    high: i32,
}

impl<'p> Part<'p> {
    fn new(title: &'static str, belongs: Belongs, rows: &[&'p Row]) -> Self {
        let drawn = |cell: &&Cell| belongs(&cell.about) && cell.median().is_some();
        let has_peers = |row: &&Row| {
            let mut cells = row.cells.iter().filter(drawn);
            cells.any(|cell| cell.about.side == Side::Peer)
        };
        let rows: Vec<_> = rows.iter().copied().filter(has_peers).collect();
        let cells = || rows.iter().flat_map(|row| row.cells.iter().filter(drawn));
        let here = |about: &About| cells().any(|cell| cell.about.name == about.name);
        let tens = || cells().filter_map(Cell::median).map(f64::log10);
        // Less than a tenth of a nanosecond is nothing.
        let low = tens().fold(1.0, f64::min).max(-1.0).floor();
        let high = tens().fold(2.0, f64::max).ceil();
        Self {
            title,
            columns: all().into_iter().filter(here).collect(),
            low: low as i32,
            high: high as i32,
            rows,
        }
    }

    fn keys(&self) -> i32 {
        self.columns.len().div_ceil(KEYS) as i32
    }

    /// From the part's top to its first line.
    fn head(&self) -> i32 {
        76 + self.keys() * 24
    }

    fn height(&self) -> i32 {
        if self.rows.is_empty() {
            return 0;
        }
        self.head() + self.rows.len() as i32 * LINE + 70
    }

    fn at(&self, ns: f64) -> i32 {
        let (low, high) = (f64::from(self.low), f64::from(self.high));
        let along = ((ns.log10() - low) / (high - low)).clamp(0.0, 1.0);
        X.start + (f64::from(X.end - X.start) * along).round() as i32
    }

    fn draw(&self, area: &Area<'_>, top: i32) -> Result<(), DrawError> {
        if self.rows.is_empty() {
            return Ok(());
        }
        let heading = text(TITLE, INK, HPos::Left, VPos::Top);
        area.draw_text(self.title, &heading, (LEFT, top + 18))?;
        let label = text(TEXT, INK, HPos::Left, VPos::Center);
        for (index, about) in self.columns.iter().enumerate() {
            let x = LEFT + (index % KEYS) as i32 * KEY;
            let y = top + 68 + (index / KEYS) as i32 * 24;
            mark(area, (x + 8, y), look(about))?;
            area.draw_text(about.name, &label, (x + 24, y))?;
        }
        let (first, last) = (top + self.head(), top + self.head() + self.bottom());
        let unit = text(TEXT, INK, HPos::Center, VPos::Top);
        for power in self.low..=self.high {
            let ns = 10_f64.powi(power);
            let x = self.at(ns);
            area.draw(&PathElement::new(vec![(x, first), (x, last)], GRID))?;
            area.draw_text(&scale(power, ns), &unit, (x, last + 6))?;
        }
        let middle = (X.start + X.end) / 2;
        let what = "nanoseconds for one operation, the median of the rounds";
        area.draw_text(what, &unit, (middle, last + 28))?;
        let label = text(TEXT, INK, HPos::Left, VPos::Center);
        for (index, row) in self.rows.iter().enumerate() {
            let y = first + index as i32 * LINE + LINE / 2;
            let title = format!("{}, {}", row.figure, row.place);
            area.draw_text(&title, &label, (LEFT, y))?;
            area.draw(&PathElement::new(vec![(X.start, y), (X.end, y)], GRID))?;
            self.marks(area, row, y)?;
        }
        Ok(())
    }

    fn bottom(&self) -> i32 {
        self.rows.len() as i32 * LINE
    }

    /// Draws a line's marks, ours last: on top.
    fn marks(&self, area: &Area<'_>, row: &Row, y: i32) -> Result<(), DrawError> {
        for ours in [false, true] {
            for about in &self.columns {
                let same = |cell: &&Cell| cell.about.name == about.name;
                let median = row.cells.iter().find(same).and_then(Cell::median);
                if let Some(ns) = median.filter(|_| (about.side == Side::Ours) == ours) {
                    mark(area, (self.at(ns), y), look(about))?;
                }
            }
        }
        Ok(())
    }
}

/// How a contender is drawn.
#[derive(Clone, Copy)]
enum Look {
    Ours(RGBColor),
    Floor { is_bare: bool },
    Peer(RGBColor, usize),
}

/// Returns how a contender is drawn: alike with and without its lock.
fn look(about: &About) -> Look {
    let plain = |about: &About| about.name.trim_end_matches("+lock");
    let of_side = |side| {
        let mut names: Vec<_> = Vec::new();
        for other in all().iter().filter(|other| other.side == side) {
            if !names.contains(&plain(other)) {
                names.push(plain(other));
            }
        }
        names
    };
    let names = of_side(about.side);
    let index = names.iter().position(|name| *name == plain(about));
    let index = index.unwrap_or(0);
    match about.side {
        Side::Ours => Look::Ours(OURS[index % OURS.len()]),
        Side::Peer => Look::Peer(PEERS[index % PEERS.len()], index),
        Side::Floor => Look::Floor { is_bare: index > 0 },
    }
}

fn mark(area: &Area<'_>, at: (i32, i32), look: Look) -> Result<(), DrawError> {
    let (x, y) = at;
    match look {
        Look::Ours(colour) => area.draw(&Circle::new(at, 8, colour.filled()))?,
        Look::Floor { is_bare: false } => area.draw(&Circle::new(at, 5, FAINT))?,
        Look::Floor { is_bare: true } => {
            area.draw(&PathElement::new(
                vec![(x, y - 11), (x, y + 11)],
                INK.stroke_width(3),
            ))?;
        }
        Look::Peer(colour, shape) => match shape % 3 {
            0 => area.draw(&Rectangle::new(
                [(x - 5, y - 5), (x + 5, y + 5)],
                colour.filled(),
            ))?,
            1 => area.draw(&TriangleMarker::new(at, 7, colour.filled()))?,
            _ => area.draw(&Polygon::new(
                vec![(x - 7, y), (x, y - 7), (x + 7, y), (x, y + 7)],
                colour.filled(),
            ))?,
        },
    }
    Ok(())
}

fn scale(power: i32, ns: f64) -> String {
    match power {
        ..0 => format!("{ns:.1}"),
        0..3 => format!("{ns:.0}"),
        _ => value(ns, Unit::Ns).replace(".0", "").replace("1000", "1k"),
    }
}

fn text(size: u32, colour: RGBColor, h: HPos, v: VPos) -> TextStyle<'static> {
    ("sans-serif", size)
        .into_font()
        .color(&colour)
        .pos(Pos::new(h, v))
}
