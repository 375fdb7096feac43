//! The trace that a kernel replays: read, written to a tape, and later drawn
//! with what was recorded.

use std::fs::File;
use std::path::{Path, PathBuf};

use spanheap_replay::policies::{Churn, Load};
use spanheap_replay::trace::{self, Trace};

use crate::Error;
use crate::machines::{Machine, RELEASE_SINGLE_PAGES, SCAVENGE_CHURN};
use crate::recording::Recording;
use crate::tape::{RELEASE_EVERY_MS, Tape};

const TRACES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../replay/traces");

/// What churns in a guest: half of its memory, with pauses that are waited for, that
/// are not, and one that is longer than the deadline.
const CHURN: Churn<'static> = Churn {
    pages: 512 << 20 >> 12,
    ramp_ms: 100,
    pauses_ms: &[100, 1000, 3000, 11_000],
    each_ms: 1000,
    least: 2,
};

/// A trace, and the tape of it.
pub(crate) struct Replayed {
    name: &'static str,
    trace: Trace,
    tape: Tape,
}

impl Replayed {
    /// Reads or makes the trace that a kernel replays on a machine, if it is one that
    /// does.
    pub(crate) fn by(kernel: &str, machine: &Machine) -> Result<Option<Self>, Error> {
        let (name, trace) = match (kernel, machine.line) {
            ("replay", SCAVENGE_CHURN) => ("churn", Load::churn(&CHURN).trace),
            ("replay", _) => {
                let name = "redis.pagetrace.gz";
                let file = File::open(Path::new(TRACES).join(name))?;
                (name, trace::read(file)?)
            }
            _ => return Ok(None),
        };
        let tape = Tape::write(&trace)?;
        Ok(Some(Self { name, trace, tape }))
    }

    /// Returns where QEMU finds the tape, while this lives.
    pub(crate) fn tape(&self) -> PathBuf {
        self.tape.path()
    }

    /// Returns how many milliseconds the trace takes.
    pub(crate) fn ms(&self) -> u64 {
        self.trace.header.ms
    }

    /// Draws what was recorded on a machine, as SVG.
    pub(crate) fn draw(&self, machine: &Machine, recording: &Recording) -> Result<String, Error> {
        let when = if machine.line == RELEASE_SINGLE_PAGES {
            format!(" every {RELEASE_EVERY_MS} ms")
        } else {
            String::new()
        };
        let title = format!("{} in a guest, told to {}{when}", self.name, machine.line);
        recording.draw(&title, &self.trace.header.source)
    }
}
