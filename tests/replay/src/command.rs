//! The command line: a trace to replay, or one of two commands beside it.

use clap::{Parser, Subcommand};

use crate::options::Options;
use crate::policies::{CalibrateOptions, PoliciesOptions};

/// Replays a recorded page trace against spanheap, with real memory under it.
///
/// Every page is stamped when it is handed out and verified when it is freed.
/// Then the heap's operations are timed without memory, in interleaved rounds.
/// Exit code 0: all is well; 1: the heap refused something or lost a page;
/// 2: the trace or an option is not valid, or an output cannot be written.
#[derive(Clone, Debug, Parser)]
#[command(
    name = "replay",
    version,
    args_conflicts_with_subcommands = true,
    subcommand_negates_reqs = true
)]
pub struct CommandLine {
    /// What is done instead of a replay.
    #[command(subcommand)]
    pub command: Option<Command>,

    /// The replay.
    #[command(flatten)]
    pub replay: Option<Options>,
}

/// What is done instead of a replay.
#[derive(Clone, Debug, Subcommand)]
pub enum Command {
    /// Simulates policies of giving idle memory back
    Policies(PoliciesOptions),
    /// Measures what it costs here to give memory back and to take it back
    Calibrate(CalibrateOptions),
}
