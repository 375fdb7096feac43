//! Policies by what they cost and what they leave: CPU time across, memory up.
//!
//! The best is at the lower left. The line is what the fixed delays leave for
//! each CPU time: whatever lies below it beats them all. CPU time is logarithmic,
//! with a place for none at all, if there is more than one decade of it.

use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, VPos};

use super::chart::{Axis, Chart, Titles, X};
use super::curves::{rows, style};
use super::{Area, DrawError, FAINT, Key, heading, svg, text, whole};

const HEIGHT: u32 = 760;
const ROWS: std::ops::Range<i32> = 182..684;
const LABEL: u32 = 14;
/// The radius of a mark, in pixels.
const RADIUS: i32 = 9;

/// What a policy is, and so how it is drawn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mark {
    /// Gives nothing back.
    Never,
    /// Gives everything back at once.
    Always,
    /// One of the fixed delays.
    Fixed,
    /// What others do.
    Peer(usize),
    /// The project's own.
    Ours(usize),
}

/// What is to be drawn.
pub struct Costs<'c> {
    /// The title.
    pub title: &'c str,
    /// A line of explanation.
    pub below: &'c str,
    /// The policies: name, mark, CPU time in milliseconds, memory in GiB·s.
    pub points: &'c [(&'c str, Mark, f64, f64)],
    /// What the fixed delays leave, by CPU time.
    pub family: &'c dyn Fn(f64) -> Option<f64>,
}

impl std::fmt::Debug for Costs<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Costs")
            .field("title", &self.title)
            .field("points", &self.points)
            .finish_non_exhaustive()
    }
}

/// Draws cost and memory as SVG.
///
/// # Errors
///
/// If plotters could not draw.
pub fn costs(what: &Costs<'_>) -> Result<String, DrawError> {
    svg(HEIGHT, |area| draw(area, what))
}

fn draw(area: &Area<'_>, what: &Costs<'_>) -> Result<(), DrawError> {
    let costs = what.points.iter().map(|&(.., cpu_ms, _)| cpu_ms);
    let highest = what.points.iter().map(|&(.., above)| above);
    let highest = highest.fold(0.0, f64::max);
    let x = Axis::wide(costs);
    let chart = Chart {
        area,
        x,
        y: Axis::Linear(highest.max(0.001) * 1.08),
        rows: ROWS,
    };
    heading(area, what.title, what.below)?;
    chart.axes(Titles {
        x: "CPU time to give back and to take back, in milliseconds",
        y: "resident above live, in GiB s",
    })?;
    chart.line(family(what, x), FAINT, 2, None)?;
    let mut entries = vec![(Key::Line(FAINT), "fixed delays")];
    let mut labels: Vec<(i32, i32)> = Vec::new();
    let mut marks: Vec<(i32, i32)> = Vec::new();
    for &(name, mark, cpu_ms, above) in what.points {
        let at = chart.at((cpu_ms, above));
        let (colour, ..) = style(mark);
        if mark == Mark::Fixed {
            whole(area.draw(&Circle::new(at, 4, FAINT.filled())))?;
            // Inside of the frame, and beside no other.
            let place = ((at.0 + 7).min(X.end - 60), at.1 - 5);
            let near = |other: &(i32, i32)| {
                (place.0 - other.0).abs() < 62 && (place.1 - other.1).abs() < LABEL as i32
            };
            if !labels.iter().any(near) {
                let label = text(LABEL, FAINT, HPos::Left, VPos::Bottom);
                area.draw_text(name.trim_start_matches("after "), &label, place)?;
                labels.push(place);
            }
            continue;
        }
        // What lies on another is smaller, so that both are seen.
        let near = |other: &&(i32, i32)| (at.0 - other.0).abs().max((at.1 - other.1).abs()) < 4;
        let over = marks.iter().filter(near).count() as i32;
        marks.push(at);
        let radius = (RADIUS - 2 * over).max(2);
        whole(area.draw(&Circle::new(at, radius + 1, WHITE.filled())))?;
        whole(area.draw(&Circle::new(at, radius, colour.filled())))?;
        entries.push((Key::Filled(colour), name));
    }
    rows(area, &entries)
}

/// Returns the family's line, with more points than the family has: what is
/// straight by CPU time is not so on an axis of decades.
fn family(what: &Costs<'_>, x: Axis) -> Vec<(f64, f64)> {
    const STEPS: i32 = 400;
    let fixed = what
        .points
        .iter()
        .filter(|(_, mark, ..)| *mark == Mark::Fixed);
    let most = fixed.clone().map(|&(.., cpu_ms, _)| cpu_ms);
    let most = most.fold(0.0, f64::max);
    let mut costs: Vec<_> = match x {
        Axis::Linear(_) => Vec::new(),
        Axis::Decades(from, to) => {
            let steps = (0..=STEPS).map(|index| {
                let part = f64::from(index) / f64::from(STEPS);
                10_f64.powf(f64::from(from) + f64::from(to - from) * part)
            });
            steps.collect()
        }
    };
    costs.extend(fixed.map(|&(.., cpu_ms, _)| cpu_ms));
    costs.push(0.0);
    costs.retain(|&cost| cost <= most);
    costs.sort_by(f64::total_cmp);
    let points = costs.into_iter();
    points
        .filter_map(|cost| Some((cost, (what.family)(cost)?)))
        .collect()
}
