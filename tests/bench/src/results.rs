//! What came of the rounds: a row for each figure in each place, a cell for
//! each contender.
//!
//! A cell keeps its samples by round, so that a ratio is made of two samples of
//! one round: whatever slowed the machine down then slowed both. What a
//! contender could not do, or not in time, stands in its cell.

use std::fmt;

use serde::Serialize;

use crate::adaptor::{About, Side};
use crate::figure::{Figure, Unit};
use crate::meter::Stop;

/// Where a work is done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Place {
    /// In a range of so many pages of 4 KiB.
    Range(u32),
    /// In a recorded trace's own range.
    Trace(String),
}

impl Place {
    /// A range of so many GiB.
    #[must_use]
    pub const fn gib(gib: u32) -> Self {
        Self::Range(gib << 18)
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Range(pages) if pages.is_multiple_of(1 << 28) => {
                write!(f, "{} TiB", pages >> 28)
            }
            Self::Range(pages) if pages.is_multiple_of(1 << 18) => {
                write!(f, "{} GiB", pages >> 18)
            }
            Self::Range(pages) => write!(f, "{pages} pages"),
            Self::Trace(name) => f.write_str(name),
        }
    }
}

/// Why a cell has no figure.
#[derive(Clone, Debug, PartialEq)]
pub enum Trouble {
    /// The contender cannot do this.
    Unable(String),
    /// It did not finish in time, or was refused what must be there.
    Stopped(Stop),
    /// It did not finish something easier, and was not asked.
    Hopeless(String),
}

impl fmt::Display for Trouble {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unable(why) => f.write_str(why),
            Self::Hopeless(why) => write!(f, "not tried: too slow {why}"),
            Self::Stopped(Stop::Denied(why)) => f.write_str(why),
            Self::Stopped(Stop::Late { what, done, of, ns }) => {
                write!(f, "{what}, {done} of {of}, {ns:.0} ns each")
            }
        }
    }
}

/// One contender's figure.
#[derive(Clone, Debug, PartialEq)]
pub struct Cell {
    /// Who.
    pub about: About,
    /// Its figures, by round; a round may be without.
    pub samples: Vec<Option<f64>>,
    /// Why there are none.
    pub trouble: Option<Trouble>,
}

impl Cell {
    fn new(about: About) -> Self {
        Self {
            about,
            samples: Vec::new(),
            trouble: None,
        }
    }

    fn sorted(&self) -> Vec<f64> {
        sorted(self.samples.iter().flatten().copied())
    }

    /// Returns the median of the rounds.
    #[must_use]
    pub fn median(&self) -> Option<f64> {
        middle(&self.sorted())
    }

    /// Returns the least and the most of the rounds.
    #[must_use]
    pub fn spread(&self) -> Option<(f64, f64)> {
        let sorted = self.sorted();
        Some((*sorted.first()?, *sorted.last()?))
    }

    /// Returns the sum of the rounds.
    #[must_use]
    pub fn total(&self) -> Option<f64> {
        let sum = self.samples.iter().flatten().sum();
        self.median().map(|_| sum)
    }

    /// Returns the median of the ratios to `other`, each within a round.
    #[must_use]
    pub fn ratio(&self, other: &Self) -> Option<f64> {
        let pairs = self.samples.iter().zip(&other.samples);
        let ratios = pairs.filter_map(|(one, other)| match (one, other) {
            (Some(one), Some(other)) if *other > 0.0 => Some(one / other),
            _ => None,
        });
        middle(&sorted(ratios))
    }

    /// Returns whether the contender had not enough time.
    #[must_use]
    pub const fn is_late(&self) -> bool {
        matches!(
            self.trouble,
            Some(Trouble::Stopped(Stop::Late { .. }) | Trouble::Hopeless(_))
        )
    }
}

fn sorted(values: impl Iterator<Item = f64>) -> Vec<f64> {
    let mut values: Vec<_> = values.collect();
    values.sort_by(f64::total_cmp);
    values
}

/// Returns the middle value, or the mean of the two in the middle.
fn middle(sorted: &[f64]) -> Option<f64> {
    let upper = sorted.get(sorted.len() / 2)?;
    let lower = sorted.get((sorted.len() - 1) / 2)?;
    Some(f64::midpoint(*lower, *upper))
}

/// A figure in a place, for all contenders.
#[derive(Clone, Debug, PartialEq)]
pub struct Row {
    /// What.
    pub figure: Figure,
    /// Where.
    pub place: Place,
    /// Everyone's, in the order of the columns.
    pub cells: Vec<Cell>,
}

/// What the check of one contender at one work found.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Check {
    /// Who.
    pub contender: &'static str,
    /// The work's first figure.
    pub figure: Figure,
    /// Where.
    pub place: String,
    /// Blocks that were looked at.
    pub blocks: u64,
    /// Blocks with something wrong.
    pub faults: u64,
    /// The first, in words.
    pub first: Option<String>,
}

/// All that came of it.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Results {
    /// The figures.
    pub rows: Vec<Row>,
    /// The checks.
    pub checks: Vec<Check>,
}

impl Results {
    /// Returns a contender's cell.
    #[must_use]
    pub fn cell(&self, place: &Place, figure: Figure, name: &str) -> Option<&Cell> {
        let row = self.row(place, figure)?;
        row.cells.iter().find(|cell| cell.about.name == name)
    }

    /// Returns a row.
    #[must_use]
    pub fn row(&self, place: &Place, figure: Figure) -> Option<&Row> {
        let mut rows = self.rows.iter();
        rows.find(|row| row.figure == figure && row.place == *place)
    }

    /// Returns a contender's median.
    #[must_use]
    pub fn median(&self, place: &Place, figure: Figure, name: &str) -> Option<f64> {
        self.cell(place, figure, name)?.median()
    }

    /// Returns the median of the ratios of two contenders.
    #[must_use]
    pub fn ratio(&self, place: &Place, figure: Figure, one: &str, other: &str) -> Option<f64> {
        let other = self.cell(place, figure, other)?;
        self.cell(place, figure, one)?.ratio(other)
    }

    /// Returns a contender's cell, to be filled.
    pub(crate) fn cell_mut(&mut self, place: &Place, figure: Figure, about: About) -> &mut Cell {
        let same = |row: &Row| row.figure == figure && row.place == *place;
        let at = self.rows.iter().position(same).unwrap_or_else(|| {
            self.rows.push(Row {
                figure,
                place: place.clone(),
                cells: Vec::new(),
            });
            self.rows.len() - 1
        });
        let cells = &mut self.rows[at].cells;
        let same = |cell: &Cell| cell.about.name == about.name;
        let at = cells.iter().position(same).unwrap_or_else(|| {
            cells.push(Cell::new(about));
            cells.len() - 1
        });
        &mut cells[at]
    }

    /// Notes a contender's figure in a round.
    pub(crate) fn sample(
        &mut self,
        place: &Place,
        figure: Figure,
        about: About,
        round: usize,
        value: f64,
    ) {
        let samples = &mut self.cell_mut(place, figure, about).samples;
        samples.resize(samples.len().max(round + 1), None);
        samples[round] = Some(value);
    }

    /// Returns the number of faults that the checks found.
    #[must_use]
    pub fn faults(&self) -> u64 {
        self.checks.iter().map(|check| check.faults).sum()
    }

    /// Returns the results as programs read them.
    #[must_use]
    pub fn json(&self) -> impl Serialize + use<> {
        let cell = |cell: &Cell| JsonCell {
            contender: cell.about.name,
            side: cell.about.side,
            shared: cell.about.shared,
            median: cell.median(),
            least: cell.spread().map(|(least, _)| least),
            most: cell.spread().map(|(_, most)| most),
            samples: cell.samples.clone(),
            trouble: cell.trouble.as_ref().map(ToString::to_string),
        };
        let row = |row: &Row| JsonRow {
            work: row.figure.work(),
            figure: row.figure,
            unit: row.figure.unit(),
            place: row.place.to_string(),
            cells: row.cells.iter().map(cell).collect(),
        };
        Json {
            rows: self.rows.iter().map(row).collect(),
            checks: self.checks.clone(),
        }
    }
}

#[derive(Serialize)]
struct Json {
    rows: Vec<JsonRow>,
    checks: Vec<Check>,
}

#[derive(Serialize)]
struct JsonRow {
    work: &'static str,
    figure: Figure,
    unit: Unit,
    place: String,
    cells: Vec<JsonCell>,
}

#[derive(Serialize)]
struct JsonCell {
    contender: &'static str,
    side: Side,
    shared: bool,
    median: Option<f64>,
    least: Option<f64>,
    most: Option<f64>,
    samples: Vec<Option<f64>>,
    trouble: Option<String>,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cell(samples: &[f64]) -> Cell {
        Cell {
            samples: samples.iter().copied().map(Some).collect(),
            ..Cell::new(About::peer("one", "one+lock"))
        }
    }

    #[test]
    fn the_median_of_any_number_of_rounds_is_the_one_in_the_middle() {
        assert_eq!(cell(&[]).median(), None);
        assert_eq!(cell(&[7.0]).median(), Some(7.0));
        assert_eq!(cell(&[9.0, 1.0, 5.0, 100.0, 2.0]).median(), Some(5.0));
        assert_eq!(cell(&[4.0, 1.0, 2.0, 100.0]).median(), Some(3.0));
        assert_eq!(cell(&[4.0, 1.0, 100.0]).spread(), Some((1.0, 100.0)));
        assert_eq!(cell(&[4.0, 1.0, 100.0]).total(), Some(105.0));
    }

    #[test]
    fn a_ratio_is_made_within_a_round_not_of_the_medians() {
        let (ours, peer) = (cell(&[1.0, 30.0, 4.0]), cell(&[2.0, 10.0, 20.0]));
        assert_eq!(ours.ratio(&peer), Some(0.5));
        assert_eq!(ours.ratio(&cell(&[])), None);
    }

    #[test]
    fn a_round_without_a_sample_has_no_ratio() {
        let (mut ours, peer) = (cell(&[1.0, 9.0, 4.0]), cell(&[2.0, 1.0, 8.0]));
        ours.samples[1] = None;
        assert_eq!(ours.ratio(&peer), Some(0.5));
    }

    #[test]
    fn samples_find_their_row_and_their_round() {
        let mut results = Results::default();
        let (place, about) = (Place::gib(1), About::peer("one", "one+lock"));
        results.sample(&place, Figure::Pair, about, 2, 7.0);
        results.sample(&place, Figure::Stack, about, 0, 8.0);
        results.sample(&place, Figure::Pair, about, 0, 5.0);
        let cell = results.cell(&place, Figure::Pair, "one").expect("a cell");
        assert_eq!(cell.samples, [Some(5.0), None, Some(7.0)]);
        assert_eq!(results.rows.len(), 2);
        assert_eq!(results.median(&Place::gib(2), Figure::Pair, "one"), None);
    }
}
