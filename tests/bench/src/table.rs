//! Medians of the rounds, for people and for programs.

use std::fmt;

use serde::Serialize;

use crate::contest::{Contender, Round};
use crate::work::Work;

/// One contender at one work.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Cell {
    /// What was done.
    pub work: Work,
    /// Who did it.
    pub contender: Contender,
    /// Nanoseconds for one operation: the median of the rounds.
    pub ns: f64,
    /// The least of the rounds.
    pub least_ns: f64,
    /// The most of the rounds.
    pub most_ns: f64,
    /// The median of the ratios to the buddy within a round.
    pub of_buddy: f64,
}

/// All cells: by work, then by contender.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Table {
    /// Pages of the range.
    pub pages: u32,
    /// Rounds that were counted.
    pub rounds: usize,
    /// The cells.
    pub cells: Vec<Cell>,
}

impl Table {
    /// Makes the table of at least one round.
    #[must_use]
    pub fn new(pages: u32, rounds: &[Round]) -> Self {
        let buddy = Contender::ALL.len() - 1;
        let mut cells = Vec::new();
        for (at, work) in Work::ALL.into_iter().enumerate() {
            for (who, contender) in Contender::ALL.into_iter().enumerate() {
                let times = sorted(rounds.iter().map(|round| round[who][at]));
                let ratios = sorted(rounds.iter().map(|round| round[who][at] / round[buddy][at]));
                cells.push(Cell {
                    work,
                    contender,
                    ns: middle(&times),
                    least_ns: times.first().copied().unwrap_or(f64::NAN),
                    most_ns: times.last().copied().unwrap_or(f64::NAN),
                    of_buddy: middle(&ratios),
                });
            }
        }
        Self {
            pages,
            rounds: rounds.len(),
            cells,
        }
    }
}

impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "ns for one operation (ratio to the buddy), medians of {} rounds, {} MiB",
            self.rounds,
            self.pages / 256
        )?;
        write!(f, "{:40}", "")?;
        for contender in Contender::ALL {
            write!(f, "{:>16}", contender.title())?;
        }
        for row in self.cells.chunks(Contender::ALL.len()) {
            let title = row.first().map_or("", |cell| cell.work.title());
            write!(f, "\n{title:40}")?;
            for cell in row {
                write!(f, "{:>9.1} ({:.2})", cell.ns, cell.of_buddy)?;
            }
        }
        writeln!(f)
    }
}

fn sorted(values: impl Iterator<Item = f64>) -> Vec<f64> {
    let mut values: Vec<_> = values.collect();
    values.sort_by(f64::total_cmp);
    values
}

fn middle(sorted: &[f64]) -> f64 {
    let upper = sorted.get(sorted.len() / 2);
    let lower = sorted.get(sorted.len().saturating_sub(1) / 2);
    match (lower, upper) {
        (Some(lower), Some(upper)) => f64::midpoint(*lower, *upper),
        _ => f64::NAN,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_ratio_is_made_within_a_round_not_of_the_medians() {
        let round = |ours: f64, buddy: f64| {
            let mut round = Round::default();
            round[1] = [ours; 4];
            round[4] = [buddy; 4];
            round
        };
        let table = Table::new(256, &[round(1.0, 2.0), round(30.0, 10.0), round(4.0, 20.0)]);
        let ours = table.cells[1];
        assert_eq!(
            (ours.contender, ours.ns, ours.of_buddy),
            (Contender::PageHeap, 4.0, 0.5)
        );
        assert_eq!((ours.least_ns, ours.most_ns), (1.0, 30.0));
    }
}
