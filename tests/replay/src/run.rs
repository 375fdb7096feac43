//! One run of the program, from a trace's file to a report.
//!
//! Everything that can be refused is refused before the long part: the trace
//! is read, the address space reserved, the memory looked for and the output
//! files opened first.

use std::fs::File;
use std::path::Path;

use spanheap_hosted::rss::process_rss_bytes;

use crate::books::Books;
use crate::contest::{self, CONTENDERS, Times};
use crate::error::Error;
use crate::options::{FreeBy, HeapKind, Options, Peer};
use crate::output::Output;
use crate::pass::{Ground, Outcome};
use crate::picture::{self, Captions, Layout, grouped};
use crate::plan::{Plan, enough_memory};
use crate::policies::Preset;
use crate::progress::Progress;
use crate::recorder::When;
use crate::report::Report;
use crate::trace::{self, Trace};
use crate::witness::witness;

/// Does what the options ask for.
///
/// # Errors
///
/// If the trace or an option is not valid, or an output cannot be written.
pub fn run(options: &Options) -> Result<Report, Error> {
    let shared = options.heap == HeapKind::Shared;
    if options.threads > 1 && !shared {
        return Err(Error::Threads);
    }
    if options.map.is_some() && shared {
        return Err(Error::Map);
    }
    let trace = read(&options.trace)?;
    let plan = Plan::new(options, &trace)?;
    enough_memory(plan.geometry.bytes(plan.pages).min(trace.peak_live_bytes()))?;
    let backing = plan.reserve()?;
    let plot = options.plot.as_deref().map(Output::open).transpose()?;
    let map = options.map.as_deref().map(Output::open).transpose()?;

    // With memory, an operation takes about as long as eight without.
    let operations = trace.ops.len() as u64;
    let passes = match options.rounds {
        0 => 0,
        rounds => u64::from((rounds + 1) * CONTENDERS),
    };
    let mut progress = Progress::new(operations * (8 + passes));
    progress.stage("replaying with memory");
    let window = backing.window();
    let mut books = plan.books(options, &window)?;
    let mut ground = Ground {
        rss: &mut process_rss_bytes,
        progress: &mut |done| progress.done(8 * done),
        when: match (options.scavenge, options.release_after) {
            (Some(preset), _) => When::Scavenged(preset.numbers()),
            (None, Some(ms)) => When::After(ms),
            (None, None) => When::AtTheEnd,
        },
        layouts: map.is_some().then(|| {
            let pages = window.pages().get();
            [Layout::new(pages), Layout::new(pages)]
        }),
    };
    let outcome = witness(options, &trace, backing, &mut books, &mut ground)?;
    let layouts = ground.layouts;

    progress.stage("timing");
    let mut passed = 0;
    let times = contest::rounds(options, &trace, &plan, &mut books, || {
        passed += operations;
        progress.done(passed);
    })?;
    progress.clear();

    let report = report(options, &trace, &plan, &books, &outcome, &times);
    let heap = match options.heap {
        HeapKind::Page => "PageHeap",
        HeapKind::Locked => "LockedHeap",
        HeapKind::Shared => "SharedHeap",
    };
    let on = format!("{} on {heap}", report.trace);
    if let Some(file) = plot {
        let when = match (options.scavenge, options.release_after) {
            (Some(preset), _) => format!("the scavenger's policy is {}", preset.name()),
            (None, None) => "idle memory released at the end".into(),
            (None, Some(ms)) => format!("memory released when idle for {} ms", grouped(ms)),
        };
        let captions = Captions {
            title: &format!("{on}: {when}"),
            below: &report.source,
            measured: "measured resident set",
            baseline: outcome.baseline_rss,
            given_back: Some("released after use"),
        };
        let svg = picture::plot(outcome.history.samples(), &captions);
        file.write(&svg.map_err(Error::Draw)?)?;
    }
    if let (Some(file), Some([before, after])) = (map, &layouts) {
        let title = format!("{on}: the layout of its pages");
        let svg = picture::map(before, after, &title, trace.page_bytes(), window.origin());
        file.write(&svg.map_err(Error::Draw)?)?;
    }
    Ok(report)
}

fn read(path: &Path) -> Result<Trace, Error> {
    let opened = File::open(path).map_err(|error| Error::Open {
        path: path.into(),
        error,
    })?;
    trace::read(opened).map_err(|error| Error::Trace {
        path: path.into(),
        error,
    })
}

fn report(
    options: &Options,
    trace: &Trace,
    plan: &Plan,
    books: &Books,
    outcome: &Outcome,
    times: &Times,
) -> Report {
    let page_bytes = trace.page_bytes();
    let stats = &outcome.stats;
    let name = |path: &Path| path.file_name().unwrap_or(path.as_os_str()).to_owned();
    let free = match options.heap {
        HeapKind::Shared => FreeBy::Address,
        HeapKind::Page | HeapKind::Locked => options.free,
    };
    let (by_handle, by_address) = (times.by_handle.median(), times.by_address.median());
    Report {
        trace: name(&options.trace).to_string_lossy().into_owned(),
        source: trace.header.source.clone(),
        heap: match options.heap {
            HeapKind::Page => "page",
            HeapKind::Locked => "locked",
            HeapKind::Shared => "shared",
        },
        threads: options.threads,
        free: match free {
            FreeBy::Handle => "handle",
            FreeBy::Address => "address",
        },
        page_size: page_bytes,
        range_pages: plan.pages.get(),
        trace_ms: trace.header.ms,
        release_after_ms: options.release_after,
        scavenge: options.scavenge.map(Preset::name),
        events: trace.counts.events,
        allocs: trace.counts.allocs,
        frees: trace.counts.frees,
        partial_frees: trace.counts.partial_frees,
        refused: outcome.refused,
        refused_frees: outcome.refused_frees,
        first_refusal: outcome
            .first_denied
            .map(|(number, why)| format!("operation {number}: {why}")),
        verify_errors: outcome.verify_errors,
        verified_pages: outcome.stamped_pages,
        count_errors: outcome.count_errors,
        check_error: outcome
            .check
            .err()
            .map(|wrong| format!("{} at page {}", wrong.rule, wrong.page.number())),
        ns_per_event: match free {
            FreeBy::Handle => by_handle,
            FreeBy::Address => by_address,
        },
        ns_per_event_by_handle: by_handle,
        ns_per_event_by_address: by_address,
        null_ns_per_event: times.null.median(),
        peer: options.peer.map(|Peer::Buddy| "buddy"),
        peer_ns_per_event: times.peer.median(),
        peer_refused: options.peer.map(|_| times.peer.refused()),
        ratio_by_handle: times.by_handle.ratio_to(&times.peer),
        ratio_by_address: times.by_address.ratio_to(&times.peer),
        rounds: options.rounds,
        peak_live_bytes: outcome.peak_live_pages * page_bytes,
        baseline_rss_bytes: outcome.baseline_rss,
        rss_peak_bytes: outcome.rss_peak,
        rss_end_bytes: outcome.rss_end,
        live_end_bytes: outcome.live_end_pages * page_bytes,
        released_bytes: stats.bytes(stats.released),
        given_back_bytes: outcome.given_back_pages * page_bytes,
        idle_huge_pages_end: stats.huge_resident.into(),
        free_huge_pages_end: u64::from(stats.huge_resident) + u64::from(stats.huge_released),
        spans_peak: stats.spans_peak,
        metadata_bytes: books.bytes() as u64,
        used_calls: stats.used_calls,
        unused_calls: stats.unused_calls,
        treap_inserts: stats.treap_inserts,
        treap_removals: stats.treap_removals,
    }
}
