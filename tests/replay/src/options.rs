//! What the program is asked to do.

use std::path::PathBuf;

use clap::{Parser, ValueEnum};

use crate::policies::Preset;

/// Which heap is replayed against.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum HeapKind {
    /// `PageHeap`, for one owner.
    Page,
    /// `LockedHeap`, behind a spin lock.
    Locked,
    /// `SharedHeap`, for many CPUs; blocks are freed by address.
    Shared,
}

/// How blocks are freed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum FreeBy {
    /// By the handle that came with them.
    Handle,
    /// By address and length.
    Address,
}

/// What the heap is timed beside.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Peer {
    /// `FrameAllocator` of `buddy_system_allocator`.
    Buddy,
}

/// Replays a recorded page trace against spanheap, with real memory under it.
///
/// Every page is stamped when it is handed out and verified when it is freed.
/// Then the heap's operations are timed without memory, in interleaved rounds.
/// Exit code 0: all is well; 1: the heap refused something or lost a page;
/// 2: the trace or an option is not valid, or an output cannot be written.
#[derive(Clone, Debug, Parser)]
#[command(name = "replay", version, after_help = crate::command::COMMANDS)]
pub struct Options {
    /// The trace, a .pagetrace.gz file.
    #[arg(value_name = "TRACE.pagetrace.gz")]
    pub trace: PathBuf,

    /// The heap.
    #[arg(long, value_enum, default_value = "page")]
    pub heap: HeapKind,

    /// How many threads share the heap, which has to be `shared`. The events are
    /// dealt to them by the trace's CPU; if that names one CPU only, by turns.
    #[arg(long, value_name = "N", default_value = "1", value_parser = clap::value_parser!(u16).range(1..=64))]
    pub threads: u16,

    /// How blocks are freed.
    #[arg(long, value_enum, default_value = "handle")]
    pub free: FreeBy,

    /// Release what has been idle for so much trace time (default: everything,
    /// once, at the end). At the end of each interval of MS milliseconds the
    /// least that lay idle at any moment of it is released.
    #[arg(long, value_name = "MS", value_parser = clap::value_parser!(u64).range(1..))]
    pub release_after: Option<u64>,

    /// Leave it to a scavenger of this policy when to release what, by trace time. At
    /// the end it is left alone until its deadline has passed.
    #[arg(long, value_enum, conflicts_with = "release_after")]
    pub scavenge: Option<Preset>,

    /// Time this allocator, too, over the same events.
    #[arg(long, value_enum)]
    pub peer: Option<Peer>,

    /// Print one JSON object instead of a table.
    #[arg(long)]
    pub json: bool,

    /// Draw live, idle, released and resident memory over time, as SVG.
    #[arg(long, value_name = "FILE.svg")]
    pub plot: Option<PathBuf>,

    /// Draw the heap's final layout page by page, as SVG.
    #[arg(long, value_name = "FILE.svg")]
    pub map: Option<PathBuf>,

    /// How many pages the heap manages (default: twice the trace's peak).
    #[arg(long, value_name = "PAGES", value_parser = clap::value_parser!(u32).range(1..))]
    pub range_pages: Option<u32>,

    /// How many spans the heap can name (default: two for each block alive at
    /// the peak, and one for 64 pages; never more than pages).
    #[arg(long, value_name = "SLOTS", value_parser = clap::value_parser!(u32).range(1..))]
    pub slots: Option<u32>,

    /// How many pages share an entry of the page map, which frees by address
    /// use: a power of two from 1 to 64.
    #[arg(long, value_name = "PAGES", default_value = "1", value_parser = grain)]
    pub map_grain: u32,

    /// How many rounds of timing passes; the median counts. 0: none.
    #[arg(long, value_name = "N", default_value = "5", value_parser = clap::value_parser!(u32).range(0..=1000))]
    pub rounds: u32,
}

fn grain(text: &str) -> Result<u32, String> {
    match text.parse::<u32>() {
        Ok(grain) if grain <= 64 && grain.is_power_of_two() => Ok(grain),
        _ => Err("a power of two from 1 to 64 is needed".into()),
    }
}

impl Options {
    /// Reads the options from the command line.
    ///
    /// # Errors
    ///
    /// What clap says, help and version included.
    pub fn from_command_line() -> Result<Self, clap::Error> {
        Self::try_parse()
    }
}
