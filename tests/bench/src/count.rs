//! Instructions instead of time: the same works under valgrind's callgrind.
//!
//! A noisy machine does not change how many instructions a work takes. This
//! program runs itself under callgrind, once for each contender and task, in
//! a range of 1 GiB and with fewer pairs. Of a work, only what the meter measures
//! is counted, each step by itself; what the null allocator takes for the same is
//! the harness's, and is subtracted.
//!
//! Of the lock, every hold of it is counted by itself, from before it is taken
//! until after it is given back, while the range is filled as well; the longest
//! is how long the others may have to wait for one.

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use serde::Serialize;

use crate::adaptor::{About, Contender, Holds, Shareable, Visitor, all, each, name};
use crate::callgrind;
use crate::contest::Terms;
use crate::figure::{Figure, Full};
use crate::held::MARKED;
use crate::meter::{COUNTED, Effort, Meter, Mode, Stop};
use crate::options::range;
use crate::results::Place;
use crate::run;
use crate::work::Work;

/// What is counted of a contender in one run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Task {
    /// What an operation of this work takes.
    Operations(Work),
    /// The longest that a lock is held in W4, so full.
    Holds(Full),
}

/// All that can be counted.
pub const TASKS: [Task; 5] = [
    Task::Operations(Work::Hot),
    Task::Operations(Work::Bulk),
    Task::Operations(Work::Half),
    Task::Operations(Work::Mixed(Full(70))),
    Task::Holds(Full(70)),
];

impl Task {
    /// Returns whether a contender can do it.
    #[must_use]
    pub fn suits(self, about: &About) -> bool {
        match self {
            Self::Operations(Work::Mixed(_)) => about.runs,
            Self::Operations(_) => true,
            Self::Holds(_) => about.runs && about.holds != Holds::Never,
        }
    }

    /// Returns what it counts first.
    fn figure(self) -> Figure {
        match self {
            Self::Operations(work) => work.figures()[0],
            Self::Holds(full) => Figure::MixedHeld(full),
        }
    }
}

/// What is counted of which program, and where.
#[derive(Clone, Debug)]
pub struct Plan {
    /// This program.
    pub program: PathBuf,
    /// What it does under callgrind.
    pub tasks: Vec<Task>,
    /// In a range of so many pages.
    pub pages: u32,
}

/// How much is counted: callgrind is some fifty times slower than the machine.
const fn effort(pages: u32) -> Effort {
    Effort {
        pairs: 1 << 14,
        most_pages: pages,
        patience: Duration::from_secs(600),
    }
}

/// Instructions, by figure and contender.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Counts {
    /// Of how many pages the range is.
    pub pages: u32,
    /// Why there are none, or not all.
    pub troubles: Vec<String>,
    /// A row for each figure, a number for each contender.
    pub rows: Vec<(Figure, BTreeMap<&'static str, f64>)>,
}

/// Does one task with one contender in a range of so many pages, to be counted
/// from outside, and returns what was measured, and of how many operations.
///
/// # Errors
///
/// If there is no such contender or task, or it does not get through.
pub fn child(task: usize, contender: &str, pages: u32) -> Result<Vec<(Figure, u64)>, String> {
    struct Child<'c> {
        task: Task,
        contender: &'c str,
        pages: u32,
        done: Option<Result<Vec<(Figure, u64)>, String>>,
    }
    impl Visitor for Child<'_> {
        fn owned<C: Contender>(&mut self) {
            if C::ABOUT.name != self.contender {
                return;
            }
            let counted = || -> Result<_, String> {
                let job = range(self.pages, self.pages, Vec::new())?;
                let mut meter = Meter::new(Mode::Count, effort(self.pages));
                let done = match self.task {
                    Task::Operations(work) => run::count::<C>(&job, work, &mut meter),
                    Task::Holds(full) => run::mark::<C>(&job, full, &mut meter),
                };
                match done {
                    Ok(()) => Ok(meter.operations().to_vec()),
                    Err(Stop::Denied(why)) => Err(why),
                    Err(Stop::Late { what, .. }) => Err(format!("did not finish: {what}")),
                }
            };
            self.done = Some(counted());
        }
        fn shared<C: Shareable>(&mut self) {
            self.owned::<C>();
        }
    }
    let task = *TASKS.get(task).ok_or("there is no such task")?;
    let mut child = Child {
        task,
        contender,
        pages,
        done: None,
    };
    each(&mut child);
    child.done.ok_or("there is no such contender")?
}

/// Counts instructions for everyone who takes part.
///
/// # Errors
///
/// If valgrind is not installed, in a line.
pub fn run(terms: &Terms, plan: &Plan, mut begins: impl FnMut(&About)) -> Result<Counts, String> {
    if !callgrind::is_there() {
        return Err("valgrind is not installed: no instructions are counted".into());
    }
    let mut counts = Counts {
        pages: plan.pages,
        ..Counts::default()
    };
    for about in all() {
        let is_null = about.name == name::NULL;
        if !is_null && !terms.takes_part(&about) {
            continue;
        }
        begins(&about);
        for &task in plan.tasks.iter().filter(|task| task.suits(&about)) {
            match counted(plan, task, about.name) {
                Ok(found) => counts.add(about.name, found),
                Err(why) => {
                    let what = task.figure();
                    counts
                        .troubles
                        .push(format!("{what}, {}: {why}", about.name));
                }
            }
        }
    }
    counts.subtract_null();
    Ok(counts)
}

impl Counts {
    fn add(&mut self, contender: &'static str, found: Vec<(Figure, f64)>) {
        for (figure, instructions) in found {
            let at = self.rows.iter().position(|(other, _)| *other == figure);
            let at = at.unwrap_or_else(|| {
                self.rows.push((figure, BTreeMap::new()));
                self.rows.len() - 1
            });
            self.rows[at].1.insert(contender, instructions);
        }
    }

    fn subtract_null(&mut self) {
        for (_, row) in &mut self.rows {
            let null = row.get(name::NULL).copied().unwrap_or(0.0);
            for (contender, instructions) in row {
                if *contender != name::NULL {
                    *instructions -= null;
                }
            }
        }
    }
}

/// Counts one task of one contender under callgrind.
fn counted(plan: &Plan, task: Task, contender: &str) -> Result<Vec<(Figure, f64)>, String> {
    let index = TASKS.iter().position(|&other| other == task);
    let index = index.ok_or("there is no such task")?.to_string();
    let pages = plan.pages.to_string();
    let arguments = [
        ["--counted-task", &index],
        ["--counted-contender", contender],
        ["--counted-pages", &pages],
    ];
    let arguments = arguments.as_flattened();
    match task {
        Task::Operations(work) => {
            let counted = callgrind::run(&plan.program, arguments, COUNTED)?;
            let operations = counted.said.iter().filter_map(|line| line.parse().ok());
            let operations: Vec<u64> = operations.collect();
            if counted.calls.len() <= operations.len() {
                return Err("callgrind has not counted all of it".into());
            }
            let each = operations.iter().zip(counted.calls);
            let each = each.map(|(&operations, all)| all as f64 / operations.max(1) as f64);
            Ok(work.figures().into_iter().zip(each).collect())
        }
        Task::Holds(full) => {
            let counted = callgrind::run(&plan.program, arguments, MARKED)?;
            match counted.calls.into_iter().max() {
                Some(longest) if longest > 0 => Ok(vec![(Figure::MixedHeld(full), longest as f64)]),
                _ => Err("no lock was held".into()),
            }
        }
    }
}

impl fmt::Display for Counts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "Instructions of one operation, less the harness's, and of a lock's longest hold; {}",
            Place::Range(self.pages)
        )?;
        for side in [false, true] {
            let columns: Vec<_> = all()
                .into_iter()
                .filter(|about| about.shared == side)
                .filter(|about| {
                    self.rows
                        .iter()
                        .any(|(_, row)| row.contains_key(about.name))
                })
                .collect();
            if columns.is_empty() {
                continue;
            }
            write!(f, "{:28}", if side { "shared" } else { "one owner" })?;
            for about in &columns {
                let name = about.name.strip_suffix("+lock").unwrap_or(about.name);
                write!(f, "{name:>12}")?;
            }
            for (figure, row) in &self.rows {
                write!(f, "\n{:28}", figure.to_string())?;
                for about in &columns {
                    match row.get(about.name) {
                        Some(count) => write!(f, "{count:>12.1}")?,
                        None => write!(f, "{:>12}", "-")?,
                    }
                }
            }
            writeln!(f, "\n")?;
        }
        for trouble in &self.troubles {
            writeln!(f, "not counted: {trouble}")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_null_allocator_is_subtracted_from_all_others() {
        let mut counts = Counts::default();
        counts.add(name::NULL, vec![(Figure::Pair, 10.0)]);
        counts.add(name::BUDDY, vec![(Figure::Pair, 110.0)]);
        counts.subtract_null();
        assert_eq!(counts.rows[0].1[name::NULL], 10.0);
        assert_eq!(counts.rows[0].1[name::BUDDY], 100.0);
    }
}
