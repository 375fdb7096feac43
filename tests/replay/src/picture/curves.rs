//! Resident memory over time, under several policies, over what lives.
//!
//! What lives is an area, each policy's resident memory a line. The family of
//! fixed delays is drawn lightly, for comparison.

use plotters::prelude::*;

use super::chart::{Axis, Chart, Titles};
use super::scale::unit_for;
use super::{
    Area, BLUE, DrawError, FAINT, GREEN, INK, Key, LEFT, ORANGE, PURPLE, SKY, VERMILION, heading,
    legend, svg,
};
use crate::history::Sample;

const HEIGHT: u32 = 760;
const ROWS: std::ops::Range<i32> = 182..684;
/// What lives, in a colour on which every line is seen.
const LIVE: RGBColor = RGBColor(0xc9, 0xdd, 0xec);
/// The fixed delays.
const LIGHT: RGBColor = RGBColor(0xb4, 0xb4, 0xb4);
/// From one entry of the legend to the next, and how many are in a row.
const COLUMN: i32 = 200;
const IN_ROW: usize = 6;

/// One policy's memory.
#[derive(Clone, Copy, Debug)]
pub struct Curve<'c> {
    /// Its name.
    pub name: &'c str,
    /// Memory over time; resident is what lives and what is idle.
    pub samples: &'c [Sample],
    /// How it is drawn.
    pub mark: super::Mark,
}

/// What is to be drawn.
#[derive(Clone, Copy, Debug)]
pub struct Curves<'c> {
    /// The title.
    pub title: &'c str,
    /// A line of explanation.
    pub below: &'c str,
    /// The policies; those that matter most last.
    pub curves: &'c [Curve<'c>],
    /// When the load ends, in milliseconds: what is right of it, if anything
    /// is, comes after everything was freed.
    pub end_ms: u64,
    /// Where the picture ends.
    pub to_ms: u64,
}

/// Draws memory over time as SVG.
///
/// # Errors
///
/// If plotters could not draw.
pub fn curves(what: &Curves<'_>) -> Result<String, DrawError> {
    svg(HEIGHT, |area| draw(area, what))
}

fn draw(area: &Area<'_>, what: &Curves<'_>) -> Result<(), DrawError> {
    let resident = |sample: &Sample| sample.live + sample.idle;
    let all = what.curves.iter().flat_map(|curve| curve.samples);
    let highest = all.map(resident).max().unwrap_or(0);
    let unit = unit_for(highest);
    let seconds = |ms: u64| ms.min(what.to_ms) as f64 / 1000.0;
    let chart = Chart {
        area,
        x: Axis::Linear(seconds(what.to_ms.max(1)).max(0.001)),
        y: Axis::Linear(highest.max(1) as f64 / unit.bytes as f64 * 1.06),
        rows: ROWS,
    };
    let points = |samples: &[Sample], value: &dyn Fn(&Sample) -> u64| -> Vec<(f64, f64)> {
        let within = samples.iter().filter(|sample| sample.at_ms <= what.to_ms);
        let point = |sample: &Sample| {
            let memory = value(sample) as f64 / unit.bytes as f64;
            (seconds(sample.at_ms), memory)
        };
        let mut points: Vec<_> = within.map(point).collect();
        // Nothing has changed since the last.
        if let Some(&(_, memory)) = points.last() {
            points.push((seconds(what.to_ms), memory));
        }
        points
    };
    heading(area, what.title, what.below)?;
    if let Some(first) = what.curves.first() {
        chart.below(&points(first.samples, &|sample| sample.live), LIVE)?;
    }
    chart.axes(Titles {
        x: "time in seconds",
        y: &format!("resident memory in {}", unit.name),
    })?;
    let mut entries = vec![(Key::Filled(LIVE), "live")];
    let mut family = false;
    for curve in what.curves {
        let (colour, width, dash) = style(curve.mark);
        let line = points(curve.samples, &resident);
        chart.line(line, colour, width, dash)?;
        if curve.mark == super::Mark::Fixed {
            if !std::mem::replace(&mut family, true) {
                entries.push((Key::Line(LIGHT), "fixed delays"));
            }
            continue;
        }
        let key = match dash {
            Some(_) => Key::Dashed(colour),
            None => Key::Line(colour),
        };
        entries.push((key, curve.name));
    }
    if what.end_ms < what.to_ms {
        let end = seconds(what.end_ms);
        let high = highest.max(1) as f64 / unit.bytes as f64;
        chart.line([(end, 0.0), (end, high)], FAINT, 1, Some(4))?;
    }
    rows(area, &entries)
}

/// Draws a legend of several rows.
pub(super) fn rows(area: &Area<'_>, entries: &[(Key, &str)]) -> Result<(), DrawError> {
    for (row, entries) in entries.chunks(IN_ROW).enumerate() {
        let placed = entries.iter().enumerate();
        let placed: Vec<_> = placed
            .map(|(column, &(key, name))| (LEFT + COLUMN * column as i32, key, name))
            .collect();
        legend(area, 108 + 32 * row as i32, &placed)?;
    }
    Ok(())
}

/// Returns a policy's colour, the width of its line, and its dashes.
pub(super) const fn style(mark: super::Mark) -> (RGBColor, u32, Option<u32>) {
    match mark {
        super::Mark::Fixed => (LIGHT, 1, None),
        super::Mark::Never => (INK, 2, Some(9)),
        super::Mark::Always => (FAINT, 2, Some(4)),
        super::Mark::Peer(0) => (ORANGE, 2, None),
        super::Mark::Peer(1) => (PURPLE, 2, None),
        super::Mark::Peer(_) => (SKY, 2, None),
        super::Mark::Ours(0) => (VERMILION, 3, None),
        super::Mark::Ours(1) => (BLUE, 3, None),
        super::Mark::Ours(_) => (GREEN, 3, None),
    }
}
