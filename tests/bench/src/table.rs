//! The results for people: two tables, and what could not be measured.
//!
//! The first table is what one owner gets; the second what threads can share,
//! each peer behind a lock. Ours stand in both. Under a median in nanoseconds
//! stand the least and the most of the rounds; at the end of a row stands what
//! matters: ours, as a part of the best peer's and of the machine's limit.

use std::collections::BTreeMap;
use std::fmt::{self, Write};

use crate::adaptor::{About, Side, name};
use crate::figure::Unit;
use crate::results::{Cell, Results, Row, Trouble};

/// How wide a row's title is.
const TITLE: usize = 36;
/// How wide a column is.
const COLUMN: usize = 12;

/// Results as tables, shown by `Display`.
#[derive(Debug)]
pub struct Table<'r>(pub &'r Results);

impl fmt::Display for Table<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.part(
            f,
            "One thread, one owner",
            |about| !about.shared || about.side == Side::Ours,
            |_| true,
        )?;
        self.part(
            f,
            "Shared: every peer behind spin::Mutex",
            |about| about.shared,
            |row| row.figure.is_speed(),
        )?;
        self.troubles(f)?;
        self.checks(f)
    }
}

impl Table<'_> {
    fn part(
        &self,
        f: &mut fmt::Formatter<'_>,
        title: &str,
        belongs: impl Fn(&About) -> bool,
        shows: impl Fn(&Row) -> bool,
    ) -> fmt::Result {
        let mut rows: Vec<_> = self.0.rows.iter().filter(|row| shows(row)).collect();
        rows.sort_by_key(|row| row.figure);
        // A row that no peer is in says nothing, unless none was asked for.
        let is_peer = |about: &About| about.side == Side::Peer;
        let all = || self.0.rows.iter().flat_map(|row| &row.cells);
        let alone = !all().any(|cell| is_peer(&cell.about));
        rows.retain(|row| {
            let mut cells = row.cells.iter().filter(|cell| belongs(&cell.about));
            cells.any(|cell| {
                (alone || is_peer(&cell.about)) && (cell.median().is_some() || cell.is_late())
            })
        });
        let columns: Vec<_> = crate::adaptor::all()
            .into_iter()
            .filter(|about| belongs(about) && rows.iter().any(|row| row.has(about.name)))
            .collect();
        if rows.is_empty() {
            return Ok(());
        }
        writeln!(f, "{title}")?;
        write!(f, "{:TITLE$}", "")?;
        for about in &columns {
            let name = about.name.strip_suffix("+lock").unwrap_or(about.name);
            write!(f, "{name:>COLUMN$}")?;
        }
        writeln!(f, "{:>COLUMN$}{:>COLUMN$}", "ours/best", "ours/bare")?;
        for row in rows {
            line(f, row, &columns)?;
        }
        writeln!(f)
    }

    /// Says who did not finish, and who cannot do what: each once.
    fn troubles(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut stopped: Vec<String> = Vec::new();
        let mut unable: BTreeMap<(&str, &str), Vec<&str>> = BTreeMap::new();
        for row in &self.0.rows {
            for cell in row.cells.iter().filter(|cell| cell.median().is_none()) {
                let (work, name) = (row.figure.work(), cell.about.name);
                match &cell.trouble {
                    Some(Trouble::Unable(why)) => {
                        let names = unable.entry((work, why)).or_default();
                        if !names.contains(&name) {
                            names.push(name);
                        }
                    }
                    Some(why) => {
                        let told = format!("{work}, {}, {name}: {why}", row.place);
                        if !stopped.contains(&told) {
                            stopped.push(told);
                        }
                    }
                    None => {}
                }
            }
        }
        if !stopped.is_empty() {
            writeln!(f, "Did not finish (DNF)")?;
            for told in stopped {
                writeln!(f, "  {told}")?;
            }
        }
        if !unable.is_empty() {
            writeln!(f, "Not done (n/a)")?;
            for ((work, why), names) in unable {
                writeln!(f, "  {work}, {why}: {}", names.join(", "))?;
            }
        }
        writeln!(f)
    }

    fn checks(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let blocks: u64 = self.0.checks.iter().map(|check| check.blocks).sum();
        writeln!(
            f,
            "Checked for overlap, range and alignment: {blocks} blocks in {} runs, {} faults",
            self.0.checks.len(),
            self.0.faults()
        )?;
        for check in self.0.checks.iter().filter(|check| check.faults > 0) {
            let first = check.first.as_deref().unwrap_or("");
            writeln!(
                f,
                "  {}, {}, {}: {} faults, the first: {first}",
                check.figure, check.place, check.contender, check.faults
            )?;
        }
        writeln!(f)
    }
}

impl Row {
    fn has(&self, name: &str) -> bool {
        self.cells.iter().any(|cell| cell.about.name == name)
    }

    fn cell(&self, name: &str) -> Option<&Cell> {
        self.cells.iter().find(|cell| cell.about.name == name)
    }

    /// Returns the best peer's cell, of these columns.
    fn best(&self, columns: &[About]) -> Option<&Cell> {
        let peers = columns.iter().filter(|about| about.side == Side::Peer);
        let cells = peers.filter_map(|about| self.cell(about.name));
        let measured = cells.filter(|cell| cell.median().is_some());
        let by = |cell: &&Cell| cell.median().unwrap_or(f64::NAN);
        if self.figure.less_is_better() {
            measured.min_by(|one, other| by(one).total_cmp(&by(other)))
        } else {
            measured.max_by(|one, other| by(one).total_cmp(&by(other)))
        }
    }

    /// Returns the cell of the heap of ours that is meant to be used.
    fn ours(&self, columns: &[About]) -> Option<&Cell> {
        let names = [name::SHARED_HEAP, name::PAGE_HEAP, name::LOCKED_HEAP];
        let shown = |name: &&&str| columns.iter().any(|about| about.name == **name);
        let mut cells = names
            .iter()
            .filter(shown)
            .filter_map(|name| self.cell(name));
        cells.find(|cell| cell.median().is_some())
    }
}

fn line(f: &mut fmt::Formatter<'_>, row: &Row, columns: &[About]) -> fmt::Result {
    let (figure, unit) = (row.figure, row.figure.unit());
    let title = format!("{figure}, {}", row.place);
    let (mut upper, mut lower) = (format!("{title:TITLE$}"), format!("{:TITLE$}", ""));
    for about in columns {
        let cell = row.cell(about.name);
        let (value, spread) = cell.map_or(("-".into(), String::new()), |cell| shown(cell, unit));
        write!(upper, "{value:>COLUMN$}")?;
        write!(lower, "{spread:>COLUMN$}")?;
    }
    let ours = row.ours(columns);
    let best = row.best(columns);
    let bare = row.cell(name::BARE).filter(|_| figure.is_speed());
    for other in [best, bare] {
        let ratio = ours.zip(other).and_then(|(ours, other)| ours.ratio(other));
        let ratio = ratio.map_or_else(|| "-".into(), |ratio| format!("{ratio:.2}"));
        write!(upper, "{ratio:>COLUMN$}")?;
    }
    writeln!(f, "{}", upper.trim_end())?;
    if lower.trim().is_empty() {
        return Ok(());
    }
    writeln!(f, "{}", lower.trim_end())
}

/// Returns a cell's median and its spread.
fn shown(cell: &Cell, unit: Unit) -> (String, String) {
    match (cell.median(), &cell.trouble) {
        (Some(median), _) => {
            let spread = match cell.spread() {
                Some((least, most)) if unit == Unit::Ns && least < most => {
                    format!("{}-{}", short(least), short(most))
                }
                _ => String::new(),
            };
            (value(median, unit), spread)
        }
        (None, Some(_)) if cell.is_late() => ("DNF".into(), String::new()),
        (None, Some(_)) => ("n/a".into(), String::new()),
        (None, None) => ("-".into(), String::new()),
    }
}

/// Writes a figure.
#[must_use]
pub fn value(value: f64, unit: Unit) -> String {
    match unit {
        Unit::Ns => short(value),
        Unit::Count if value.fract() == 0.0 => format!("{value:.0}"),
        Unit::Count => format!("{value:.1}"),
        Unit::Percent => format!("{value:.1}%"),
        Unit::Bytes => {
            let units = [("GiB", 30), ("MiB", 20), ("KiB", 10)];
            let fits = |&&(_, shift): &&(&str, u32)| value >= f64::from(1 << shift);
            match units.iter().find(fits) {
                Some(&(name, shift)) => format!("{:.1} {name}", value / f64::from(1 << shift)),
                None => format!("{value:.0} B"),
            }
        }
    }
}

/// Writes nanoseconds with three digits or so.
fn short(ns: f64) -> String {
    match ns {
        _ if ns < 99.95 => format!("{ns:.1}"),
        _ if ns < 9999.5 => format!("{ns:.0}"),
        _ if ns < 99_950.0 => format!("{:.1}k", ns / 1e3),
        _ if ns < 999_500.0 => format!("{:.0}k", ns / 1e3),
        _ => format!("{:.1}M", ns / 1e6),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_short() {
        for (ns, text) in [
            (0.53, "0.5"),
            (99.94, "99.9"),
            (99.96, "100"),
            (9_999.0, "9999"),
            (10_000.0, "10.0k"),
            (271_700.0, "272k"),
            (1_400_000.0, "1.4M"),
        ] {
            assert_eq!(value(ns, Unit::Ns), text);
        }
        assert_eq!(value(2048.0, Unit::Bytes), "2.0 KiB");
        assert_eq!(value(17.0, Unit::Bytes), "17 B");
        assert_eq!(value(281.25, Unit::Count), "281.2");
        assert_eq!(value(37.55, Unit::Percent), "37.5%");
    }
}
