//! Why the program could not do what it was asked: one line, exit code 2.

use std::io;
use std::path::PathBuf;

use spanheap::{MetadataError, RegionError};
use spanheap_hosted::HostedError;
use spanheap_hosted::rss::RssError;
use thiserror::Error;

use crate::picture::DrawError;
use crate::trace::TraceError;

/// Why there is no report.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum Error {
    /// The trace file could not be opened.
    #[error("{path:?} cannot be opened: {error}")]
    Open {
        /// The file.
        path: PathBuf,
        /// What the system says.
        error: io::Error,
    },
    /// The trace file is no trace.
    #[error("{path:?}: {error}")]
    Trace {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        error: TraceError,
    },
    /// An output file could not be written.
    #[error("{path:?} cannot be written: {error}")]
    Output {
        /// The file.
        path: PathBuf,
        /// What the system says.
        error: io::Error,
    },
    /// The replay would need more memory than the machine has to give.
    #[error(
        "the trace needs {needed} MiB of memory at its peak, and {available} MiB are available"
    )]
    Memory {
        /// What it needs, in MiB.
        needed: u64,
        /// What there is, in MiB.
        available: u64,
    },
    /// The window has more pages than can be numbered.
    #[error("a window of {pages} pages is larger than a heap can manage")]
    Window {
        /// How many.
        pages: u64,
    },
    /// The trace's pages are smaller than a simulation counts in.
    #[error("pages of {bytes} bytes: the policies are simulated on pages of 4 KiB or more")]
    SmallPages {
        /// How many bytes.
        bytes: u64,
    },
    /// The system took or gave no memory while it was measured.
    #[error("the system refuses what is to be measured (code {code})")]
    Refused {
        /// What it says.
        code: i32,
    },
    /// The system reserves no address space, or not like this.
    #[error("no memory for the pages: {0}")]
    Hosted(HostedError),
    /// The heap could not be set up.
    #[error("the heap cannot be set up: {0}")]
    Metadata(MetadataError),
    /// The heap did not take its pages.
    #[error("the heap does not take its pages: {0}")]
    Region(RegionError),
    /// More threads than one, on a heap that they cannot share.
    #[error("--threads needs --heap shared")]
    Threads,
    /// The layout of a heap that does not list its spans.
    #[error("--map draws spans, which the shared heap does not list")]
    Map,
    /// The resident set is not known.
    #[error("the resident set cannot be measured: {0}")]
    Rss(RssError),
    /// A picture could not be drawn.
    #[error("the picture cannot be drawn: {0}")]
    Draw(DrawError),
    /// The result could not be printed.
    #[error("the result cannot be printed: {0}")]
    Print(io::Error),
}
