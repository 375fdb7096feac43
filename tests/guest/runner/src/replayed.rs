//! The trace that a kernel replays: read, written to a tape, and later drawn
//! with what was recorded.

use std::fs::File;
use std::path::{Path, PathBuf};

use spanheap_replay::trace::{self, Trace};

use crate::Error;
use crate::machines::Machine;
use crate::recording::Recording;
use crate::tape::{RELEASE_EVERY_MS, Tape};

const TRACES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../replay/traces");

/// A trace, and the tape of it.
pub(crate) struct Replayed {
    name: &'static str,
    trace: Trace,
    tape: Tape,
}

impl Replayed {
    /// Reads the trace that a kernel replays, if it is one that does.
    pub(crate) fn by(kernel: &str) -> Result<Option<Self>, Error> {
        let name = match kernel {
            "replay" => "redis.pagetrace.gz",
            _ => return Ok(None),
        };
        let trace = trace::read(File::open(Path::new(TRACES).join(name))?)?;
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
        let title = format!(
            "{} in a guest, told to {} every {RELEASE_EVERY_MS} ms",
            self.name, machine.line
        );
        recording.draw(&title, &self.trace.header.source)
    }
}
