//! A plotting area with two axes, each of them linear or logarithmic.
//!
//! A logarithmic axis has a place for nothing, too: its lower end, which is set
//! off from the first decade.

use std::ops::Range;

use plotters::element::DashedPathElement;
use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, VPos};

use super::scale::{number, step};
use super::{Area, DrawError, GRID, INK, LEFT, TEXT, text, whole};

/// The plotting area, in pixels.
pub(super) const X: Range<i32> = 104..1240;
/// How wide the place for nothing is, in pixels.
const NOTHING: f64 = 50.0;

/// One axis.
#[derive(Clone, Copy, Debug)]
pub(super) enum Axis {
    /// From nothing to this.
    Linear(f64),
    /// From one power of ten to another.
    Decades(i32, i32),
}

impl Axis {
    /// Returns decades that hold all of these values but nothing.
    pub(super) fn decades(values: impl Iterator<Item = f64> + Clone) -> Self {
        let some = values.filter(|&value| value > 0.0);
        let least = some.clone().fold(f64::INFINITY, f64::min);
        let most = some.fold(0.0, f64::max);
        if !least.is_finite() || most <= 0.0 {
            return Self::Decades(0, 1);
        }
        let from = least.log10().floor() as i32;
        Self::Decades(from, (most.log10().ceil() as i32).max(from + 1))
    }

    /// Returns decades for values that span several, and a linear axis for others.
    pub(super) fn wide(values: impl Iterator<Item = f64> + Clone) -> Self {
        let most = values.clone().fold(0.0, f64::max);
        let some = values.clone().filter(|&value| value > 0.0);
        let least = some.fold(f64::INFINITY, f64::min);
        if most > 10.0 * least {
            return Self::decades(values);
        }
        Self::Linear(if most > 0.0 { most * 1.05 } else { 1.0 })
    }

    /// Returns where a value lies, from 0 to 1 of `length` pixels.
    fn part(self, value: f64, length: f64) -> f64 {
        match self {
            Self::Linear(most) => value / most,
            Self::Decades(from, to) => {
                let nothing = NOTHING / length;
                if value <= 0.0 {
                    return 0.0;
                }
                let part = (value.log10() - f64::from(from)) / f64::from(to - from);
                nothing + (1.0 - nothing) * part.max(0.0)
            }
        }
    }

    /// Returns the values that are labelled, each with its label.
    fn labels(self, most: u32) -> Vec<(f64, String)> {
        match self {
            Self::Linear(high) => {
                let every = step(high, most);
                let count = (high / every + 1e-9) as u32;
                let values = (0..=count).map(|index| f64::from(index) * every);
                values.map(|value| (value, number(value, every))).collect()
            }
            Self::Decades(from, to) => {
                let decades = (from..=to).map(|power| {
                    let value = 10_f64.powi(power);
                    (value, number(value, value))
                });
                [(0.0, "0".into())].into_iter().chain(decades).collect()
            }
        }
    }
}

/// What stands beside the axes.
#[derive(Clone, Copy, Debug)]
pub(super) struct Titles<'t> {
    pub(super) x: &'t str,
    pub(super) y: &'t str,
}

/// A plotting area.
pub(super) struct Chart<'c, 'a> {
    pub(super) area: &'c Area<'a>,
    pub(super) x: Axis,
    pub(super) y: Axis,
    /// The plotting area from top to bottom, in pixels.
    pub(super) rows: Range<i32>,
}

impl Chart<'_, '_> {
    /// Returns where a point lies.
    pub(super) fn at(&self, (x, y): (f64, f64)) -> (i32, i32) {
        let wide = f64::from(X.end - X.start);
        let high = f64::from(self.rows.end - self.rows.start);
        let across = wide * self.x.part(x, wide);
        let up = high * self.y.part(y, high);
        (
            X.start + across.round() as i32,
            self.rows.end - up.round() as i32,
        )
    }

    /// Draws grid, axes, labels and titles.
    pub(super) fn axes(&self, titles: Titles<'_>) -> Result<(), DrawError> {
        let area = self.area;
        let (top, bottom) = (self.rows.start, self.rows.end);
        let label = text(TEXT, INK, HPos::Right, VPos::Center);
        for (value, name) in self.y.labels(9) {
            let (_, y) = self.at((0.0, value));
            area.draw(&PathElement::new(vec![(X.start, y), (X.end, y)], GRID))?;
            area.draw_text(&name, &label, (X.start - 10, y))?;
        }
        let label = text(TEXT, INK, HPos::Center, VPos::Top);
        for (value, name) in self.x.labels(12) {
            let (x, _) = self.at((value, 0.0));
            if matches!(self.x, Axis::Decades(..)) {
                area.draw(&PathElement::new(vec![(x, top), (x, bottom)], GRID))?;
            }
            area.draw(&PathElement::new(vec![(x, bottom), (x, bottom + 6)], INK))?;
            area.draw_text(&name, &label, (x, bottom + 10))?;
        }
        let frame = vec![(X.start, top), (X.start, bottom), (X.end, bottom)];
        area.draw(&PathElement::new(frame, INK))?;
        let title = text(TEXT, INK, HPos::Center, VPos::Top);
        area.draw_text(titles.x, &title, ((X.start + X.end) / 2, bottom + 40))?;
        let title = text(TEXT, INK, HPos::Center, VPos::Top).transform(FontTransform::Rotate270);
        area.draw_text(titles.y, &title, (LEFT, (top + bottom) / 2))?;
        Ok(())
    }

    /// Draws a line; each dash, if it has some, so many pixels long.
    pub(super) fn line(
        &self,
        points: impl IntoIterator<Item = (f64, f64)>,
        colour: RGBColor,
        width: u32,
        dash: Option<u32>,
    ) -> Result<(), DrawError> {
        let points = thinned(points.into_iter().map(|point| self.at(point)));
        let style = colour.stroke_width(width);
        whole(match dash {
            None => self.area.draw(&PathElement::new(points, style)),
            Some(size) => {
                let dashes = DashedPathElement::new(points, size, size / 2 + 1, style);
                self.area.draw(&dashes)
            }
        })
    }

    /// Fills what lies below a line.
    pub(super) fn below(&self, points: &[(f64, f64)], colour: RGBColor) -> Result<(), DrawError> {
        let (Some(first), Some(last)) = (points.first(), points.last()) else {
            return Ok(());
        };
        let ends = [(last.0, 0.0), (first.0, 0.0)];
        let outline = points.iter().chain(&ends).map(|&point| self.at(point));
        let outline: Vec<_> = outline.collect();
        whole(self.area.draw(&Polygon::new(outline, colour.filled())))
    }
}

/// Leaves out what lies on a level or upright line between its neighbours.
fn thinned(points: impl Iterator<Item = (i32, i32)>) -> Vec<(i32, i32)> {
    let between =
        |from: i32, at: i32, to: i32| (from..=to).contains(&at) || (to..=from).contains(&at);
    let mut kept: Vec<(i32, i32)> = Vec::new();
    for to in points {
        if let [.., from, at] = kept[..] {
            let upright = from.0 == at.0 && at.0 == to.0 && between(from.1, at.1, to.1);
            let level = from.1 == at.1 && at.1 == to.1 && between(from.0, at.0, to.0);
            if upright || level {
                kept.pop();
            }
        }
        kept.push(to);
    }
    kept
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_keeps_its_corners() {
        let line = [
            (0, 0),
            (0, 5),
            (0, 9),
            (0, 2),
            (3, 2),
            (3, 2),
            (8, 2),
            (8, 4),
        ];
        let corners = [(0, 0), (0, 9), (0, 2), (8, 2), (8, 4)];
        assert_eq!(thinned(line.into_iter()), corners);
    }

    #[test]
    fn decades_hold_everything_and_have_a_place_for_nothing() {
        let axis = Axis::decades([0.0, 0.3, 45.0].into_iter());
        assert!(matches!(axis, Axis::Decades(-1, 2)));
        assert_eq!(axis.part(0.0, 1000.0), 0.0);
        assert!((axis.part(0.1, 1000.0) - 0.05).abs() < 1e-9);
        assert!((axis.part(100.0, 1000.0) - 1.0).abs() < 1e-9);
        let labels: Vec<_> = axis.labels(9).into_iter().map(|(_, name)| name).collect();
        assert_eq!(labels, ["0", "0.1", "1", "10", "100"]);
        assert!(matches!(
            Axis::decades([0.0].into_iter()),
            Axis::Decades(0, 1)
        ));
    }
}
