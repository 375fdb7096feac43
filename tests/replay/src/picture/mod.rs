//! What all pictures share: the canvas, the palette, the title, the legend.
//!
//! SVG text is laid out by whoever shows it, so the width of a text is never
//! known here: everything is placed at columns wide enough for the text that
//! goes there, and nothing is placed by its measured end.
//!
//! Colours are Okabe and Ito's, which the colour-blind can tell apart, too;
//! they also differ in lightness, and no two things differ by colour alone
//! where a line can be dashed.

mod chart;
mod costs;
mod curves;
mod map;
mod plot;
mod scale;

pub use costs::{Costs, Mark, costs};
pub use curves::{Curve, Curves, curves};
pub use map::{Cell, Layout, map};
pub use plot::{Captions, plot};
pub(crate) use scale::grouped;

use plotters::coord::Shift;
use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, Pos, VPos};

/// A picture that could not be drawn.
pub type DrawError = Box<dyn std::error::Error + Send + Sync>;

pub(crate) type Area<'a> = DrawingArea<SVGBackend<'a>, Shift>;

/// Pixels across. Everything is legible at this width.
pub(crate) const WIDTH: u32 = 1280;
/// The left edge of title, legend and axis titles.
pub(crate) const LEFT: i32 = 24;

pub(crate) const INK: RGBColor = RGBColor(0x22, 0x22, 0x22);
pub(crate) const FAINT: RGBColor = RGBColor(0x5f, 0x5f, 0x5f);
pub(crate) const GRID: RGBColor = RGBColor(0xe2, 0xe2, 0xe2);
/// In use.
pub(crate) const BLUE: RGBColor = RGBColor(0x00, 0x72, 0xb2);
/// Idle, resident.
pub(crate) const ORANGE: RGBColor = RGBColor(0xe6, 0x9f, 0x00);
/// A policy.
pub(crate) const SKY: RGBColor = RGBColor(0x56, 0xb4, 0xe9);
pub(crate) const GREEN: RGBColor = RGBColor(0x00, 0x9e, 0x73);
pub(crate) const PURPLE: RGBColor = RGBColor(0xcc, 0x79, 0xa7);
/// Given back.
pub(crate) const VERMILION: RGBColor = RGBColor(0xd5, 0x5e, 0x00);

pub(crate) const TITLE: u32 = 26;
pub(crate) const TEXT: u32 = 17;

/// Draws on an empty canvas of so many pixels, and returns it as SVG.
pub(crate) fn svg(
    height: u32,
    draw: impl FnOnce(&Area<'_>) -> Result<(), DrawError>,
) -> Result<String, DrawError> {
    let mut svg = String::new();
    {
        let area = SVGBackend::with_string(&mut svg, (WIDTH, height)).into_drawing_area();
        area.fill(&WHITE)?;
        draw(&area)?;
        area.present()?;
    }
    Ok(svg)
}

/// Returns a style for text of `size`.
pub(crate) fn text(size: u32, colour: RGBColor, h: HPos, v: VPos) -> TextStyle<'static> {
    ("sans-serif", size)
        .into_font()
        .color(&colour)
        .pos(Pos::new(h, v))
}

/// Draws the title and a line of explanation below it.
pub(crate) fn heading(area: &Area<'_>, title: &str, below: &str) -> Result<(), DrawError> {
    let style = text(TITLE, INK, HPos::Left, VPos::Top);
    area.draw_text(title, &style, (LEFT, 18))?;
    let style = text(TEXT, FAINT, HPos::Left, VPos::Top);
    area.draw_text(below, &style, (LEFT, 54))?;
    Ok(())
}

/// How an entry of the legend is drawn.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Key {
    /// A filled area.
    Filled(RGBColor),
    /// A filled area with an outline, for colours near to white.
    Outlined(RGBColor),
    /// A line.
    Line(RGBColor),
    /// A dashed line.
    Dashed(RGBColor),
}

/// Draws the legend in one row at `y`, each entry at its own column.
pub(crate) fn legend(
    area: &Area<'_>,
    y: i32,
    entries: &[(i32, Key, &str)],
) -> Result<(), DrawError> {
    let label = text(TEXT, INK, HPos::Left, VPos::Center);
    for &(x, key, what) in entries {
        let (from, to) = ((x, y - 8), (x + 30, y + 8));
        match key {
            Key::Filled(colour) => area.draw(&Rectangle::new([from, to], colour.filled()))?,
            Key::Outlined(colour) => {
                area.draw(&Rectangle::new([from, to], colour.filled()))?;
                area.draw(&Rectangle::new([from, to], FAINT))?;
            }
            Key::Line(colour) => {
                let line = vec![(x, y), (x + 30, y)];
                area.draw(&PathElement::new(line, colour.stroke_width(3)))?;
            }
            Key::Dashed(colour) => {
                for dash in [0, 12, 24] {
                    let line = vec![(x + dash, y), (x + dash + 7, y)];
                    area.draw(&PathElement::new(line, colour.stroke_width(3)))?;
                }
            }
        }
        area.draw_text(what, &label, (x + 40, y))?;
    }
    Ok(())
}

/// Turns what plotters reports into this crate's error, which can be shown.
pub(crate) fn whole<T>(
    done: Result<T, DrawingAreaErrorKind<std::io::Error>>,
) -> Result<T, DrawError> {
    done.map_err(|error| error.to_string().into())
}
