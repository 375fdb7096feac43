//! Two pictures of a load: memory over time, and memory against CPU time. Of one
//! that frees nothing before its end there is only the first.

use std::fs;
use std::path::Path;

use super::load::Load;
use super::play::Outcome;
use super::policy::Kind;
use super::report::{family, point};
use crate::error::Error;
use crate::output::Output;
use crate::picture::{self, Costs, Curve, Curves, Mark};

/// The fixed delays of which the memory is drawn: every fifth.
const EVERY: usize = 5;
/// The end of a load is shown with so much of what comes after, if it is short.
const SHORT_MS: u64 = 5_000;
const AFTER_MS: u64 = 20_000;

/// The files of a load's pictures, open.
pub(super) struct Pictures {
    memory: Output,
    costs: Option<Output>,
}

impl Pictures {
    /// Opens the files of the load at `index`.
    pub(super) fn open(folder: &Path, loads: &[Load], index: usize) -> Result<Self, Error> {
        fs::create_dir_all(folder).map_err(|error| Error::Output {
            path: folder.into(),
            error,
        })?;
        let load = &loads[index];
        let name = &load.name;
        let before = loads[..index].iter().filter(|load| load.name == *name);
        let name = match before.count() {
            0 => name.clone(),
            others => format!("{name}-{}", others + 1),
        };
        let open = |kind| Output::open(&folder.join(format!("{name}-{kind}.svg")));
        Ok(Self {
            memory: open("memory")?,
            costs: (!load.is_drain()).then(|| open("costs")).transpose()?,
        })
    }

    /// Draws both.
    pub(super) fn draw(self, load: &Load, outcomes: &[(Kind, Outcome)]) -> Result<(), Error> {
        let names: Vec<_> = outcomes.iter().map(|(kind, _)| kind.name()).collect();
        let marks = marks(outcomes);
        let source = &load.trace.header.source;

        let mut fixed = 0;
        let mut curves: Vec<_> = outcomes
            .iter()
            .zip(names.iter().zip(&marks))
            .filter(|(_, (_, mark))| {
                let is_fixed = **mark == Mark::Fixed;
                fixed += usize::from(is_fixed);
                !is_fixed || (fixed - 1).is_multiple_of(EVERY)
            })
            .map(|((_, outcome), (name, &mark))| Curve {
                name,
                samples: outcome.history.samples(),
                mark,
            })
            .collect();
        // What is drawn lightly comes first.
        curves.sort_by_key(|curve| match curve.mark {
            Mark::Fixed => 0,
            Mark::Never | Mark::Always => 1,
            Mark::Peer(_) => 2,
            Mark::Ours(_) => 3,
        });
        let end_ms = load.trace.header.ms;
        let svg = picture::curves(&Curves {
            title: &format!("{}: resident memory under each policy", load.name),
            below: source,
            curves: &curves,
            end_ms,
            to_ms: match end_ms {
                0..SHORT_MS => end_ms + AFTER_MS,
                _ => end_ms,
            },
        });
        self.memory.write(&svg.map_err(Error::Draw)?)?;

        let Some(file) = self.costs else {
            return Ok(());
        };
        let points = outcomes.iter().zip(names.iter().zip(&marks));
        let points: Vec<_> = points
            .map(|((_, outcome), (name, &mark))| {
                let point = point(outcome);
                (&name[..], mark, point.cpu_ms, point.above)
            })
            .collect();
        let family = family(outcomes);
        let svg = picture::costs(&Costs {
            title: &format!("{}: what each policy costs, and what it leaves", load.name),
            below: source,
            points: &points,
            family: &|cpu_ms| family.at(cpu_ms),
        });
        file.write(&svg.map_err(Error::Draw)?)
    }
}

/// Says how each policy is drawn.
fn marks(outcomes: &[(Kind, Outcome)]) -> Vec<Mark> {
    let (mut peers, mut ours) = (0, 0);
    let count = |counter: &mut usize| {
        *counter += 1;
        *counter - 1
    };
    outcomes
        .iter()
        .map(|(kind, _)| match kind {
            Kind::Never => Mark::Never,
            Kind::Always => Mark::Always,
            Kind::Fixed(_) => Mark::Fixed,
            _ if kind.is_ours() => Mark::Ours(count(&mut ours)),
            _ => Mark::Peer(count(&mut peers)),
        })
        .collect()
}
