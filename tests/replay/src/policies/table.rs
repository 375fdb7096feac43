//! The report as tables for people: one for each load, a line for each policy.

use std::fmt;

use super::play::WAIT_MS;
use super::report::{LimitReport, LoadReport, PoliciesReport, PolicyReport};

/// A column: two lines of heading, the unit, and how wide it is.
type Column = (&'static str, &'static str, &'static str, usize);

/// What a load is told by.
const COLUMNS: [Column; 11] = [
    ("above", "live", "GiB s", 9),
    ("release", "", "ms", 8),
    ("take", "back", "ms", 9),
    ("CPU", "in all", "ms", 9),
    ("of the", "fixed", "", 7),
    ("drained", "after", "s", 8),
    ("longest", "stall", "us", 8),
    ("released", "", "GiB", 9),
    ("taken", "back", "GiB", 8),
    ("left", "", "MiB", 9),
    ("in huge", "pages", "%", 8),
];

/// And one that frees nothing before its end.
const AFTER: [Column; 4] = [
    ("drained", "after", "s", 8),
    ("CPU", "", "ms", 9),
    ("left", "", "MiB", 9),
    ("in huge", "pages", "%", 8),
];

/// What a limit on resident memory came to.
const LIMIT: [Column; 7] = [
    ("resident", "at most", "MiB", 10),
    ("over the", "limit", "KiB", 10),
    ("", "refused", "", 9),
    ("", "stalls", "", 9),
    ("longest", "stall", "us", 10),
    ("calls", "in it", "", 7),
    ("most", "calls", "", 7),
];

/// How wide the policies' names are.
const NAME: usize = 15;

impl fmt::Display for PoliciesReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let prices = &self.prices;
        let us = |ns: u64| ns as f64 / 1000.0;
        let heap = match self.heap {
            "page" => "PageHeap",
            _ => "SharedHeap",
        };
        writeln!(
            f,
            "policies of giving memory back, simulated on {heap}; charged in us:"
        )?;
        writeln!(
            f,
            "  to release 2 MiB {:.1}, 4 KiB {:.2}, a call {:.2}; to take back 2 MiB {:.1}, 4 KiB {:.2}",
            us(prices.release_huge_ns),
            us(prices.release_page_ns),
            us(prices.release_call_ns),
            us(prices.take_huge_ns),
            us(prices.take_page_ns)
        )?;
        self.loads.iter().try_for_each(|load| write!(f, "\n{load}"))
    }
}

impl fmt::Display for LoadReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}: {}", self.name, self.source)?;
        writeln!(
            f,
            "  {:.1} s; live: {:.2} GiB s, {:.1} MiB at the peak\n",
            self.ms as f64 / 1000.0,
            self.live_gib_s,
            mib(self.peak_live_bytes)
        )?;
        let columns: &[Column] = if self.is_drain { &AFTER } else { &COLUMNS };
        headings(f, columns)?;
        for policy in &self.policies {
            let cells = if self.is_drain {
                after(policy)
            } else {
                cells(policy)
            };
            row(f, policy, columns, &cells)?;
        }
        if !self.is_drain {
            self.verdicts(f)?;
        }
        self.cycles(f)?;
        self.limit(f)?;
        let bad = |policy: &&PolicyReport| policy.wrong + policy.refused > 0;
        for policy in self.policies.iter().filter(bad) {
            writeln!(
                f,
                "  {}: {} operations refused, {} pages WRONG",
                policy.policy, policy.refused, policy.wrong
            )?;
        }
        Ok(())
    }
}

impl LoadReport {
    /// Writes who is better than the project's own.
    fn verdicts(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f)?;
        for ours in self.policies.iter().filter(|policy| policy.is_ours) {
            let beaten = match &ours.beaten_by[..] {
                [] => "no other costs less and leaves less".into(),
                [one] => format!("{one} costs no more and leaves no more"),
                [first, .., last] => format!(
                    "{} others cost no more and leave no more, {first} to {last}",
                    ours.beaten_by.len()
                ),
            };
            writeln!(f, "  {}: {beaten}", ours.policy)?;
        }
        Ok(())
    }

    /// Writes what came of the limit on resident memory, if there is one.
    fn limit(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let limits = self.policies.iter();
        let limits = limits.filter_map(|policy| Some((policy, policy.limit.as_ref()?)));
        for (index, (policy, limit)) in limits.enumerate() {
            if index == 0 {
                let bytes = mib(limit.limit_bytes);
                writeln!(f, "\n  with no more than {bytes:.2} MiB resident\n")?;
                headings(f, &LIMIT)?;
            }
            row(f, policy, &LIMIT, &limited(limit))?;
        }
        Ok(())
    }

    /// Writes how many cycles are done under each policy.
    fn cycles(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let with_cycles = |policy: &&PolicyReport| !policy.cycles.is_empty();
        let Some(first) = self.policies.first().filter(with_cycles) else {
            return Ok(());
        };
        writeln!(
            f,
            "\n  cycles done in the time of never, in %, by the pause after each"
        )?;
        let pauses = first.cycles.iter();
        let pauses = pauses.map(|cycles| format!("{} ms", cycles.pause_ms));
        let pauses: Vec<_> = pauses.chain(["all".into()]).collect();
        line(f, "policy", pauses.iter().map(|pause| (&pause[..], 10)))?;
        for policy in &self.policies {
            let percent = |done: f64, never: u64| format!("{:.1}", 100.0 * done / never as f64);
            let cycles = policy.cycles.iter();
            let mut cells: Vec<_> = cycles
                .map(|cycles| percent(cycles.done, cycles.never.max(1)))
                .collect();
            let done = policy.cycles.iter().map(|cycles| cycles.done).sum();
            let never: u64 = policy.cycles.iter().map(|cycles| cycles.never).sum();
            cells.push(percent(done, never.max(1)));
            line(f, &policy.policy, cells.iter().map(|cell| (&cell[..], 10)))?;
        }
        Ok(())
    }
}

/// Writes what stands above columns.
fn headings(f: &mut fmt::Formatter<'_>, columns: &[Column]) -> fmt::Result {
    let above = columns.iter().map(|&(above, .., wide)| (above, wide));
    line(f, "", above)?;
    let below = columns.iter().map(|&(_, below, _, wide)| (below, wide));
    line(f, "policy", below)?;
    let units = columns.iter().map(|&(_, _, unit, wide)| (unit, wide));
    line(f, "", units)
}

/// Writes a policy's line.
fn row(
    f: &mut fmt::Formatter<'_>,
    policy: &PolicyReport,
    columns: &[Column],
    cells: &[String],
) -> fmt::Result {
    let wide = columns.iter().map(|&(.., wide)| wide);
    let cells = cells.iter().map(String::as_str).zip(wide);
    line(f, &policy.policy, cells)
}

/// Writes a line: a name, and cells that are so wide.
fn line<'l>(
    f: &mut fmt::Formatter<'_>,
    name: &str,
    cells: impl Iterator<Item = (&'l str, usize)>,
) -> fmt::Result {
    let mut text = format!("  {name:<NAME$}");
    for (cell, wide) in cells {
        text += &format!("{cell:>wide$}");
    }
    writeln!(f, "{}", text.trim_end())
}

fn cells(policy: &PolicyReport) -> Vec<String> {
    let of_fixed = policy.of_fixed.map(|ratio| format!("{ratio:.2}"));
    vec![
        format!("{:.3}", policy.above_gib_s),
        format!("{:.1}", policy.release_ms),
        format!("{:.1}", policy.take_ms),
        format!("{:.1}", policy.cpu_ms),
        of_fixed.unwrap_or_else(none),
        drained(policy),
        format!("{:.1}", policy.longest_stall_us),
        format!("{:.2}", gib(policy.released_bytes)),
        format!("{:.2}", gib(policy.taken_bytes)),
        format!("{:.1}", mib(policy.left_bytes)),
        whole(policy),
    ]
}

fn after(policy: &PolicyReport) -> Vec<String> {
    vec![
        drained(policy),
        format!("{:.1}", policy.drain_cpu_ms),
        format!("{:.1}", mib(policy.left_bytes)),
        whole(policy),
    ]
}

fn limited(limit: &LimitReport) -> Vec<String> {
    vec![
        format!("{:.2}", mib(limit.most_bytes)),
        format!("{:.1}", limit.over_bytes as f64 / 1024.0),
        limit.refused.to_string(),
        limit.stalls.to_string(),
        format!("{:.1}", limit.longest_stall_us),
        limit.longest_stall_calls.to_string(),
        limit.most_calls.to_string(),
    ]
}

fn drained(policy: &PolicyReport) -> String {
    match policy.drain_ms {
        Some(ms) => format!("{:.2}", ms as f64 / 1000.0),
        None => format!("> {}", WAIT_MS / 1000),
    }
}

fn whole(policy: &PolicyReport) -> String {
    let part = policy.whole_part.map(|part| format!("{:.1}", 100.0 * part));
    part.unwrap_or_else(none)
}

fn none() -> String {
    "-".into()
}

fn gib(bytes: u64) -> f64 {
    bytes as f64 / f64::from(1 << 30)
}

fn mib(bytes: u64) -> f64 {
    bytes as f64 / f64::from(1 << 20)
}
