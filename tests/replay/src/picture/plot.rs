//! Memory over trace time.
//!
//! What is in use and what is idle and resident are stacked: their upper edge
//! is what the heap says it holds, and what was measured, a line, must lie on
//! it. What was given back is a line of its own, where it is known. Behind the
//! end of the trace a narrow strip shows what is left when everything idle was
//! released at last.

use plotters::element::DashedPathElement;
use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, VPos};

use super::scale::{number, step, unit_for};
use super::{
    Area, BLUE, DrawError, FAINT, GRID, INK, Key, LEFT, ORANGE, TEXT, VERMILION, heading, legend,
    svg, text, whole,
};
use crate::history::Sample;

const HEIGHT: u32 = 720;
/// The plotting area, in pixels.
const X: std::ops::Range<i32> = 104..1250;
const Y: std::ops::Range<i32> = 142..644;

/// What is said around the plot.
#[derive(Clone, Debug)]
pub struct Captions<'c> {
    /// The trace's name, and the heap.
    pub title: &'c str,
    /// What was recorded.
    pub below: &'c str,
    /// What was measured.
    pub measured: &'c str,
    /// How much that was before the first event, in bytes.
    pub baseline: u64,
    /// What was given back, if that is to be drawn.
    pub given_back: Option<&'c str>,
}

/// Draws memory over time as SVG.
///
/// The last of `samples` is what was left after everything idle was released.
///
/// # Errors
///
/// If plotters could not draw.
pub fn plot(samples: &[Sample], captions: &Captions<'_>) -> Result<String, DrawError> {
    svg(HEIGHT, |area| draw(area, samples, captions))
}

fn draw(area: &Area<'_>, samples: &[Sample], captions: &Captions<'_>) -> Result<(), DrawError> {
    let top = |sample: &Sample| {
        let given_back = captions.given_back.map_or(0, |_| sample.given_back);
        (sample.live + sample.idle)
            .max(sample.measured)
            .max(given_back)
    };
    let highest = samples.iter().map(top).max().unwrap_or(0);
    let unit = unit_for(highest);
    let memory = |bytes: u64| bytes as f64 / unit.bytes as f64;
    let seconds = |ms: u64| ms as f64 / 1000.0;

    let end = samples.last().map_or(0.0, |last| seconds(last.at_ms));
    let end = if end > 0.0 { end } else { 0.001 };
    let after = end * 1.03;
    let high = memory(highest.max(1)) * 1.06;
    let canvas = Canvas { area, after, high };

    canvas.axes(end, unit.name)?;
    heading(area, captions.title, captions.below)?;
    let baseline = unit_for(captions.baseline);
    let less = number(captions.baseline as f64 / baseline.bytes as f64, 1.0);
    let measured = format!(
        "{}, less the {less} {} before the first event",
        captions.measured, baseline.name
    );
    let mut entries = vec![
        (LEFT, Key::Filled(BLUE), "in use"),
        (LEFT + 126, Key::Filled(ORANGE), "idle, resident"),
    ];
    let mut next = LEFT + 322;
    if let Some(given_back) = captions.given_back {
        entries.push((next, Key::Dashed(VERMILION), given_back));
        next += 228;
    }
    entries.push((next, Key::Line(INK), &measured));
    legend(area, 112, &entries)?;

    let (during, last) = match samples {
        [during @ .., last] => (during, *last),
        [] => return Ok(()),
    };
    let level = |value: &dyn Fn(&Sample) -> u64| -> Vec<(f64, f64)> {
        let mut points: Vec<_> = during
            .iter()
            .map(|sample| (seconds(sample.at_ms), memory(value(sample))))
            .collect();
        points.push((end, memory(value(&last))));
        points.push((after, memory(value(&last))));
        points
    };
    let live = level(&|sample| sample.live);
    let held = level(&|sample| sample.live + sample.idle);
    canvas.between(&[(0.0, 0.0), (after, 0.0)], &live, BLUE)?;
    canvas.between(&live, &held, ORANGE)?;
    if captions.given_back.is_some() {
        let given_back = level(&|sample| sample.given_back);
        // On a white one, to be seen on any colour.
        canvas.line(&given_back, WHITE, 7, None)?;
        canvas.line(&given_back, VERMILION, 3, Some(9))?;
    }
    canvas.line(&level(&|sample| sample.measured), INK, 2, None)?;
    canvas.line(&[(end, 0.0), (end, high)], FAINT, 1, Some(4))?;
    Ok(())
}

/// The plotting area and what it spans.
struct Canvas<'c, 'a> {
    area: &'c Area<'a>,
    after: f64,
    high: f64,
}

impl Canvas<'_, '_> {
    fn at(&self, (x, y): (f64, f64)) -> (i32, i32) {
        let across = f64::from(X.end - X.start) * x / self.after;
        let up = f64::from(Y.end - Y.start) * y / self.high;
        (X.start + across.round() as i32, Y.end - up.round() as i32)
    }

    fn axes(&self, end: f64, unit: &str) -> Result<(), DrawError> {
        let area = self.area;
        let label = text(TEXT, INK, HPos::Right, VPos::Center);
        let every = step(self.high, 9);
        for index in 0..=(self.high / every) as u32 {
            let value = f64::from(index) * every;
            let (_, y) = self.at((0.0, value));
            area.draw(&PathElement::new(vec![(X.start, y), (X.end, y)], GRID))?;
            area.draw_text(&number(value, every), &label, (X.start - 10, y))?;
        }
        let label = text(TEXT, INK, HPos::Center, VPos::Top);
        let every = step(end, 12);
        for index in 0..=(end / every + 1e-9) as u32 {
            let value = f64::from(index) * every;
            let (x, _) = self.at((value, 0.0));
            area.draw(&PathElement::new(vec![(x, Y.end), (x, Y.end + 6)], INK))?;
            area.draw_text(&number(value, every), &label, (x, Y.end + 10))?;
        }
        let frame = vec![(X.start, Y.start), (X.start, Y.end), (X.end, Y.end)];
        area.draw(&PathElement::new(frame, INK))?;
        let title = text(TEXT, INK, HPos::Center, VPos::Top);
        let middle = (X.start + X.end) / 2;
        let what =
            "trace time in seconds; right of the dotted line: after everything idle was released";
        area.draw_text(what, &title, (middle, Y.end + 40))?;
        let title = text(TEXT, INK, HPos::Center, VPos::Top).transform(FontTransform::Rotate270);
        let middle = (Y.start + Y.end) / 2;
        area.draw_text(&format!("memory in {unit}"), &title, (LEFT, middle))?;
        Ok(())
    }

    /// Fills what lies between two lines that have the same x.
    fn between(
        &self,
        lower: &[(f64, f64)],
        upper: &[(f64, f64)],
        colour: RGBColor,
    ) -> Result<(), DrawError> {
        let outline: Vec<_> = upper
            .iter()
            .chain(lower.iter().rev())
            .map(|&point| self.at(point))
            .collect();
        whole(self.area.draw(&Polygon::new(outline, colour.filled())))
    }

    fn line(
        &self,
        points: &[(f64, f64)],
        colour: RGBColor,
        width: u32,
        dash: Option<u32>,
    ) -> Result<(), DrawError> {
        let points: Vec<_> = points.iter().map(|&point| self.at(point)).collect();
        let style = colour.stroke_width(width);
        whole(match dash {
            None => self.area.draw(&PathElement::new(points, style)),
            Some(size) => {
                self.area
                    .draw(&DashedPathElement::new(points, size, size / 2 + 1, style))
            }
        })
    }
}
