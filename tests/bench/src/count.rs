//! Instructions instead of time: the same works under valgrind's callgrind.
//!
//! A noisy machine does not change how many instructions a work takes. This
//! program runs itself under callgrind, once for each contender and work, in
//! a range of 1 GiB and with fewer pairs. Only what the meter measures is
//! counted, each step by itself; what the null allocator takes for the same is
//! the harness's, and is subtracted.

use std::collections::BTreeMap;
use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use serde::Serialize;

use crate::adaptor::{About, Contender, Shareable, Visitor, all, each, name};
use crate::contest::Terms;
use crate::figure::{Figure, Full};
use crate::meter::{COUNTED, Effort, Meter, Mode, Stop};
use crate::options::range;
use crate::run;
use crate::work::Work;

/// The works that are counted.
pub const WORKS: [Work; 4] = [Work::Hot, Work::Bulk, Work::Half, Work::Mixed(Full(70))];

/// 1 GiB.
const PAGES: u32 = 1 << 18;

/// How much is counted: callgrind is some fifty times slower than the machine.
const EFFORT: Effort = Effort {
    pairs: 1 << 14,
    most_pages: PAGES,
    patience: Duration::from_secs(600),
};

/// Instructions of one operation, by figure and contender.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Counts {
    /// Why there are none, or not all.
    pub troubles: Vec<String>,
    /// A row for each figure, a number for each contender.
    pub rows: Vec<(Figure, BTreeMap<&'static str, f64>)>,
}

/// Does one work of one contender, to be counted from outside, and returns
/// what was measured, and of how many operations.
///
/// # Errors
///
/// If there is no such contender or work, or it does not get through.
pub fn child(work: usize, contender: &str) -> Result<Vec<(Figure, u64)>, String> {
    struct Child<'c> {
        work: Work,
        contender: &'c str,
        done: Option<Result<Vec<(Figure, u64)>, String>>,
    }
    impl Visitor for Child<'_> {
        fn owned<C: Contender>(&mut self) {
            if C::ABOUT.name != self.contender {
                return;
            }
            let counted = || -> Result<_, String> {
                let job = range(PAGES, PAGES, vec![self.work])?;
                let mut meter = Meter::new(Mode::Count, EFFORT);
                match run::count::<C>(&job, self.work, &mut meter) {
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
    let work = *WORKS.get(work).ok_or("there is no such work")?;
    let mut child = Child {
        work,
        contender,
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
pub fn run(
    terms: &Terms,
    program: &Path,
    mut begins: impl FnMut(&About),
) -> Result<Counts, String> {
    let version = Command::new("valgrind").arg("--version").output();
    if version.is_err() {
        return Err("valgrind is not installed: no instructions are counted".into());
    }
    let mut counts = Counts::default();
    for about in all() {
        let is_null = about.name == name::NULL;
        if !is_null && !terms.takes_part(&about) {
            continue;
        }
        begins(&about);
        for (index, work) in WORKS.into_iter().enumerate() {
            if matches!(work, Work::Mixed(_)) && !about.runs {
                continue;
            }
            match counted(program, index, about.name) {
                Ok(found) => counts.add(about.name, found),
                Err(why) => {
                    let figure = work.figures()[0];
                    counts
                        .troubles
                        .push(format!("{figure}, {}: {why}", about.name));
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

/// Runs one contender at one work under callgrind.
fn counted(program: &Path, work: usize, contender: &str) -> Result<Vec<(Figure, f64)>, String> {
    let directory = Scratch::new()?;
    let run = Command::new("valgrind")
        .arg("--tool=callgrind")
        .arg("--collect-atstart=no")
        .arg(format!("--toggle-collect={COUNTED}"))
        .arg(format!("--dump-after={COUNTED}"))
        .arg(format!(
            "--callgrind-out-file={}/out",
            directory.0.display()
        ))
        .arg(program)
        .args(["--counted-work", &work.to_string()])
        .args(["--counted-contender", contender])
        .stdin(Stdio::null())
        .output()
        .map_err(|why| why.to_string())?;
    if !run.status.success() {
        let told = String::from_utf8_lossy(&run.stderr);
        let last = told.lines().rfind(|line| !line.starts_with("=="));
        return Err(last.unwrap_or("it failed under valgrind").into());
    }
    let told = String::from_utf8_lossy(&run.stdout);
    let operations = told.lines().filter_map(|line| line.parse::<u64>().ok());
    let figures = WORKS[work].figures().into_iter();
    let mut found = Vec::new();
    for (part, (figure, operations)) in figures.zip(operations).enumerate() {
        // A part for each time that the function was left, from 1.
        let path = directory.0.join(format!("out.{}", part + 1));
        let text = fs::read_to_string(&path).map_err(|why| format!("{}: {why}", path.display()))?;
        let all = total(&text).ok_or("callgrind says no sum")?;
        found.push((figure, all as f64 / operations.max(1) as f64));
    }
    Ok(found)
}

/// Returns the instructions in a file that callgrind wrote.
fn total(text: &str) -> Option<u64> {
    let sum = |line: &str| {
        let line = line
            .strip_prefix("summary: ")
            .or(line.strip_prefix("totals: "))?;
        line.split_whitespace().next()?.parse().ok()
    };
    text.lines().find_map(sum)
}

/// A directory that is gone afterwards.
struct Scratch(PathBuf);

impl Scratch {
    fn new() -> Result<Self, String> {
        let unique = format!("spanheap-bench-{}", std::process::id());
        let path = std::env::temp_dir().join(unique);
        fs::create_dir_all(&path).map_err(|why| format!("{}: {why}", path.display()))?;
        Ok(Self(path))
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        // What is left of it harms nobody.
        let _ = fs::remove_dir_all(&self.0);
    }
}

impl fmt::Display for Counts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "Instructions of one operation, less the harness's; 1 GiB"
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
    fn the_sum_of_a_callgrind_file_is_found() {
        let text = "version: 1\nevents: Ir\nfn=(1) x\n3 4\nsummary: 1234\n";
        assert_eq!(total(text), Some(1234));
        assert_eq!(total("totals: 77\n"), Some(77));
        assert_eq!(total("fn=(1)\n"), None);
    }

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
