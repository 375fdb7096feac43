//! The progress bar, on standard error; silent where that is no terminal.

use std::borrow::Cow;

use indicatif::{ProgressBar, ProgressStyle};

/// A bar over all the stages of one run.
#[derive(Debug)]
pub(crate) struct Progress {
    bar: ProgressBar,
    /// Where the stage began.
    base: u64,
}

impl Progress {
    /// A bar of `length` operations, of all passes together.
    pub(crate) fn new(length: u64) -> Self {
        // Drawn on standard error; hidden if that is not a terminal.
        let bar = ProgressBar::new(length);
        let template = "{msg:24} {wide_bar} {percent:>3} %, {eta} left";
        if let Ok(style) = ProgressStyle::with_template(template) {
            bar.set_style(style);
        }
        Self { bar, base: 0 }
    }

    /// Begins a stage.
    pub(crate) fn stage(&mut self, what: impl Into<Cow<'static, str>>) {
        self.base = self.bar.position();
        self.bar.set_message(what);
    }

    /// Moves to `done` operations within the stage.
    pub(crate) fn done(&self, done: u64) {
        self.bar.set_position(self.base + done);
    }

    /// Removes the bar.
    pub(crate) fn clear(&self) {
        self.bar.finish_and_clear();
    }
}
