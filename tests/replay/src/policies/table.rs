//! The report as a table for people: one for each load, a line for each policy.

use std::fmt;

use super::report::{LoadReport, PoliciesReport, PolicyReport};

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
            "memory-return policies on {heap}, simulated; charged in us:"
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
            "  {:.1} s; live: {:.2} GiB s, {:.1} MiB at the peak",
            self.ms as f64 / 1000.0,
            self.live_gib_s,
            self.peak_live_bytes as f64 / f64::from(1 << 20)
        )?;
        writeln!(
            f,
            "\n  {:<15} {:>9} {:>9} {:>9} {:>9} {:>6} {:>7} {:>9} {:>8} {:>8} {:>8} {:>7}",
            "",
            "above",
            "release",
            "take",
            "CPU",
            "of the",
            "drained",
            "longest",
            "released",
            "taken",
            "left",
            "in"
        )?;
        writeln!(
            f,
            "  {:<15} {:>9} {:>9} {:>9} {:>9} {:>6} {:>7} {:>9} {:>8} {:>8} {:>8} {:>7}",
            "policy",
            "live",
            "",
            "back",
            "in all",
            "fixed",
            "after",
            "stall",
            "",
            "back",
            "",
            "huge"
        )?;
        writeln!(
            f,
            "  {:<15} {:>9} {:>9} {:>9} {:>9} {:>6} {:>7} {:>9} {:>8} {:>8} {:>8} {:>7}",
            "", "GiB s", "ms", "ms", "ms", "", "s", "us", "GiB", "GiB", "MiB", "%"
        )?;
        self.policies
            .iter()
            .try_for_each(|policy| writeln!(f, "{}", Row(policy)))?;
        for ours in self.policies.iter().filter(|policy| policy.is_ours) {
            let beaten = match &ours.beaten_by[..] {
                [] => "no other is better in both".into(),
                by => format!("beaten in both by {}", by.join(", ")),
            };
            writeln!(f, "  {}: {beaten}", ours.policy)?;
        }
        self.cycles(f)?;
        for policy in self
            .policies
            .iter()
            .filter(|policy| policy.wrong + policy.refused > 0)
        {
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
    /// Writes how many cycles are done under each policy.
    fn cycles(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Some(first) = self
            .policies
            .first()
            .filter(|policy| !policy.cycles.is_empty())
        else {
            return Ok(());
        };
        writeln!(
            f,
            "\n  cycles done in the time of never, in %, by the pause after each"
        )?;
        write!(f, "  {:<15}", "policy")?;
        for cycles in &first.cycles {
            write!(f, " {:>9}", format!("{} ms", cycles.pause_ms))?;
        }
        writeln!(f, " {:>9}", "all")?;
        for policy in &self.policies {
            write!(f, "  {:<15}", policy.policy)?;
            let percent = |done: f64, never: u64| 100.0 * done / never.max(1) as f64;
            for cycles in &policy.cycles {
                write!(f, " {:>9.1}", percent(cycles.done, cycles.never))?;
            }
            let done = policy.cycles.iter().map(|cycles| cycles.done).sum();
            let never = policy.cycles.iter().map(|cycles| cycles.never).sum();
            writeln!(f, " {:>9.1}", percent(done, never))?;
        }
        Ok(())
    }
}

/// One line.
struct Row<'r>(&'r PolicyReport);

impl fmt::Display for Row<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self(policy) = self;
        let gib = |bytes: u64| bytes as f64 / (1_u64 << 30) as f64;
        let or_none = |text: Option<String>| text.unwrap_or_else(|| "-".into());
        let drained = policy
            .drain_ms
            .map(|ms| format!("{:.2}", ms as f64 / 1000.0));
        let drained = drained.unwrap_or_else(|| "> 120".into());
        write!(
            f,
            "  {:<15} {:>9.3} {:>9.1} {:>9.1} {:>9.1} {:>6} {:>7} {:>9.1} {:>8.2} {:>8.2} {:>8.1} {:>7}",
            policy.policy,
            policy.above_gib_s,
            policy.release_ms,
            policy.take_ms,
            policy.cpu_ms,
            or_none(policy.of_fixed.map(|ratio| format!("{ratio:.2}"))),
            drained,
            policy.longest_stall_us,
            gib(policy.released_bytes),
            gib(policy.taken_bytes),
            policy.left_bytes as f64 / f64::from(1 << 20),
            or_none(policy.whole_part.map(|part| format!("{:.1}", 100.0 * part))),
        )
    }
}
