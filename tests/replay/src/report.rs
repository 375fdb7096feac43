//! What came of a replay, as a table for people and as JSON for programs.
//!
//! The JSON is this struct, field by field: names end in their unit. Bytes are
//! bytes; times are nanoseconds for one event, an event being an allocation or
//! a free, whole or partial.

use std::fmt;

use serde::Serialize;

use crate::picture::grouped;

/// What came of a replay.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Report {
    /// The trace's file name.
    pub trace: String,
    /// What was recorded.
    pub source: String,
    /// `page`, `locked` or `shared`.
    pub heap: &'static str,
    /// How many threads shared it.
    pub threads: u16,
    /// How blocks were freed: `handle` or `address`.
    pub free: &'static str,
    /// A page in bytes.
    pub page_size: u64,
    /// The pages that the heap manages.
    pub range_pages: u32,
    /// Trace time in milliseconds.
    pub trace_ms: u64,
    /// After how much trace time idle memory was released; `null`: at the end.
    pub release_after_ms: Option<u64>,
    /// The policy of the scavenger that released idle memory, if one did.
    pub scavenge: Option<&'static str>,

    /// Events in the trace, time and CPU changes included.
    pub events: u64,
    /// Blocks allocated.
    pub allocs: u64,
    /// Blocks freed as a whole.
    pub frees: u64,
    /// Parts of blocks freed.
    pub partial_frees: u64,

    /// Allocations that the heap refused.
    pub refused: u64,
    /// Frees that the heap refused.
    pub refused_frees: u64,
    /// The first of either, in words.
    pub first_refusal: Option<String>,
    /// Pages whose stamp was not there any more.
    pub verify_errors: u64,
    /// Pages that were stamped.
    pub verified_pages: u64,
    /// How often the heap's count of pages in use was wrong.
    pub count_errors: u64,
    /// What the heap's own check found wrong.
    pub check_error: Option<String>,

    /// The median over the rounds, for the heap and the way to free asked for.
    pub ns_per_event: Option<f64>,
    /// The same for blocks freed by handle.
    pub ns_per_event_by_handle: Option<f64>,
    /// The same for blocks freed by address.
    pub ns_per_event_by_address: Option<f64>,
    /// The same for no allocator at all: what the harness costs.
    pub null_ns_per_event: Option<f64>,
    /// The peer's name.
    pub peer: Option<&'static str>,
    /// The same for the peer.
    pub peer_ns_per_event: Option<f64>,
    /// Operations that the peer refused.
    pub peer_refused: Option<u64>,
    /// By handle, as a part of the peer's: the median of the rounds' ratios.
    pub ratio_by_handle: Option<f64>,
    /// By address, as a part of the peer's.
    pub ratio_by_address: Option<f64>,
    /// How many rounds were timed.
    pub rounds: u32,

    /// The most bytes alive at once.
    pub peak_live_bytes: u64,
    /// The process's resident set before the first event.
    pub baseline_rss_bytes: u64,
    /// The largest that was seen.
    pub rss_peak_bytes: u64,
    /// And after everything idle was released.
    pub rss_end_bytes: u64,
    /// Bytes alive at the end.
    pub live_end_bytes: u64,
    /// Bytes that the backing holds nothing for, at the end; those that were
    /// never used included.
    pub released_bytes: u64,
    /// Bytes given back during the replay, each as often as it was.
    pub given_back_bytes: u64,
    /// Whole huge pages inside single free spans, at the end.
    pub free_huge_pages_end: u64,
    /// And how many of those have memory behind them.
    pub idle_huge_pages_end: u64,
    /// The most spans at once.
    pub spans_peak: u32,
    /// The heap's metadata.
    pub metadata_bytes: u64,
    /// Calls of the backing to commit memory.
    pub used_calls: u64,
    /// Calls of the backing to release memory.
    pub unused_calls: u64,
    /// Nodes ever inserted into the treap.
    pub treap_inserts: u64,
    /// Nodes ever removed from the treap.
    pub treap_removals: u64,
}

impl Report {
    /// Returns whether the heap did all that the trace asked for, and lost
    /// nothing; and whether a scavenger gave all whole huge pages back.
    #[must_use]
    pub const fn is_good(&self) -> bool {
        self.refused == 0
            && self.refused_frees == 0
            && self.verify_errors == 0
            && self.count_errors == 0
            && self.check_error.is_none()
            && (self.scavenge.is_none() || self.idle_huge_pages_end == 0)
    }
}

/// Writes a line of the table: a name, a value, its unit and a remark.
struct Line<'l>(&'l str, String, &'l str, String);

impl fmt::Display for Line<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self(name, value, unit, remark) = self;
        let line = format!("  {name:<30}{value:>14} {unit:<7} {remark}");
        writeln!(f, "{}", line.trim_end())
    }
}

fn count<'l>(name: &'l str, value: u64, unit: &'l str) -> Line<'l> {
    Line(name, grouped(value), unit, String::new())
}

fn mib<'l>(name: &'l str, bytes: u64) -> Line<'l> {
    let value = format!("{:.1}", bytes as f64 / f64::from(1 << 20));
    Line(name, value, "MiB", String::new())
}

fn ns<'l>(name: &'l str, value: Option<f64>, ratio: Option<f64>, peer: &str) -> Line<'l> {
    let value = value.map_or_else(|| "-".into(), |ns| format!("{ns:.1}"));
    let ratio = ratio.map_or_else(String::new, |ratio| format!("{ratio:.2} of {peer}'s"));
    Line(name, value, "ns", ratio)
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let heap = match self.heap {
            "locked" => "LockedHeap",
            "shared" => "SharedHeap",
            _ => "PageHeap",
        };
        write!(f, "{} on {heap}, freed by {}", self.trace, self.free)?;
        if self.threads > 1 {
            write!(f, ", by {} threads", self.threads)?;
        }
        writeln!(f)?;
        writeln!(f, "{}", self.source)?;

        writeln!(f, "\nwork")?;
        let seconds = format!("{:.1}", self.trace_ms as f64 / 1000.0);
        write!(f, "{}", Line("trace time", seconds, "s", String::new()))?;
        write!(f, "{}", count("events", self.events, ""))?;
        write!(f, "{}", count("allocations", self.allocs, "blocks"))?;
        write!(f, "{}", count("frees", self.frees, "blocks"))?;
        write!(f, "{}", count("partial frees", self.partial_frees, "parts"))?;

        writeln!(f, "\ncorrectness")?;
        write!(
            f,
            "{}",
            count("pages stamped and verified", self.verified_pages, "pages")
        )?;
        write!(f, "{}", count("stamps lost", self.verify_errors, "pages"))?;
        write!(f, "{}", count("allocations refused", self.refused, ""))?;
        write!(f, "{}", count("frees refused", self.refused_frees, ""))?;
        if let Some(first) = &self.first_refusal {
            writeln!(f, "  first refusal: {first}")?;
        }
        write!(
            f,
            "{}",
            count("wrong counts of pages in use", self.count_errors, "")
        )?;
        let check = self.check_error.as_deref().unwrap_or("passed");
        writeln!(f, "  {:<30}{check:>14}", "the heap's own check")?;

        writeln!(f, "\nmemory")?;
        write!(f, "{}", mib("live at the peak", self.peak_live_bytes))?;
        write!(f, "{}", mib("live at the end", self.live_end_bytes))?;
        write!(f, "{}", mib("resident set before", self.baseline_rss_bytes))?;
        write!(
            f,
            "{}",
            mib("resident set at its peak", self.rss_peak_bytes)
        )?;
        let grown = self.rss_end_bytes as f64 - self.baseline_rss_bytes as f64;
        let remark = format!("{:+.1} MiB since before", grown / f64::from(1 << 20));
        let Line(name, value, unit, _) = mib("resident set at the end", self.rss_end_bytes);
        write!(f, "{}", Line(name, value, unit, remark))?;
        write!(
            f,
            "{}",
            mib("given back to the system", self.given_back_bytes)
        )?;
        write!(f, "{}", mib("released at the end", self.released_bytes))?;
        write!(
            f,
            "{}",
            count(
                "free huge pages at the end",
                self.free_huge_pages_end,
                "of 2 MiB"
            )
        )?;
        write!(
            f,
            "{}",
            count("of them not given back", self.idle_huge_pages_end, "")
        )?;
        write!(
            f,
            "{}",
            count("spans at the peak", u64::from(self.spans_peak), "")
        )?;
        write!(f, "{}", mib("metadata", self.metadata_bytes))?;
        write!(f, "{}", count("calls to commit", self.used_calls, ""))?;
        write!(f, "{}", count("calls to release", self.unused_calls, ""))?;

        if self.rounds == 0 {
            return Ok(());
        }
        writeln!(f, "\ntime for one event (median of {} rounds)", self.rounds)?;
        let peer = self.peer.unwrap_or("");
        write!(
            f,
            "{}",
            ns(
                "freed by handle",
                self.ns_per_event_by_handle,
                self.ratio_by_handle,
                peer
            )
        )?;
        write!(
            f,
            "{}",
            ns(
                "freed by address",
                self.ns_per_event_by_address,
                self.ratio_by_address,
                peer
            )
        )?;
        if self.peer.is_some() {
            write!(f, "{}", ns(peer, self.peer_ns_per_event, None, peer))?;
            if let Some(refused) = self.peer_refused.filter(|&refused| refused > 0) {
                write!(f, "{}", count("refused by the peer", refused, ""))?;
            }
        }
        write!(
            f,
            "{}",
            ns("no allocator (harness)", self.null_ns_per_event, None, peer)
        )
    }
}
