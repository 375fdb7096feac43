//! The demonstration: the trace at its own pace, a line that shows guest and
//! host, the plot, and a summary.
//!
//! The guest has no clock. It waits for the answer whenever it is measured, and
//! is answered when the trace's time has come; so it is never early, and catches
//! up when it was late.

use std::fs;
use std::io::{IsTerminal, stdout};
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

use clap::Args;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use crate::Error;
use crate::architecture::Architecture;
use crate::boot::{Watch, boot};
use crate::machines::{self, End, Machine};
use crate::recording::{Counters, Mebibytes, Moment, Recording, seconds};
use crate::replayed::Replayed;

/// How long it may take altogether.
const LIMIT: Duration = Duration::from_secs(600);
/// How often a line is printed where no line can be drawn over.
const LINE_EVERY: Duration = Duration::from_secs(1);

/// Boots a guest in QEMU that replays a recorded page trace and gives what is
/// idle back to the host, and shows both sides.
///
/// The trace is of Linux's page allocator while a Redis server was filled,
/// forked, flushed and filled again. Every page is stamped when the guest's heap
/// hands it out, and verified when it is freed. Every 250 ms, everything idle is
/// released through the balloon: page by page, with the host's huge pages off
/// for this QEMU, so that each page is free again at once.
#[derive(Debug, Args)]
pub(crate) struct Options {
    /// Replay as fast as the guest can, and not at the pace of the trace.
    #[arg(long)]
    full_speed: bool,

    /// Leave the host's huge pages on, and let the scavenger release whole ones when
    /// it thinks right: nothing is split, but until it ends this trace leaves hardly
    /// any of them idle.
    #[arg(long)]
    huge_pages: bool,

    /// Where the plot goes.
    #[arg(long, value_name = "FILE.svg", default_value = "spanheap-demo.svg")]
    plot: PathBuf,

    /// The directory that a relative path is meant from.
    #[arg(long, value_name = "DIRECTORY", default_value = ".", hide = true)]
    from: PathBuf,
}

/// Runs it, and returns how the guest ended.
pub(crate) fn demo(kernel: &Path, options: &Options) -> Result<End, Error> {
    let path = options.from.join(&options.plot);
    // What cannot be written is known at the beginning.
    fs::File::create(&path).map_err(|why| format!("{}: {why}", path.display()))?;
    let name = machines::name_of(kernel);
    let line = if options.huge_pages {
        machines::SCAVENGE
    } else {
        machines::RELEASE_SINGLE_PAGES
    };
    let mut machines = machines::for_kernel(&name, Architecture::of(kernel)?).into_iter();
    let machine = machines.find(|machine| machine.line == line);
    let machine = Machine {
        limit: LIMIT,
        ..machine.ok_or("this kernel is for no such machine")?
    };
    let replayed = Replayed::by(&name, &machine)?.ok_or("this kernel replays no trace")?;
    println!("{machine}");
    let mut show = Show::new(replayed.ms(), !options.full_speed);
    let ended = boot(kernel, &machine, Some(&replayed.tape()), &mut show);
    show.bar.finish_and_clear();
    let end = ended?;
    if end == machine.end {
        fs::write(&path, replayed.draw(&machine, &show.recording)?)?;
        println!("{}", show.recording);
        println!("plot: {}", path.display());
    } else {
        println!("the guest failed: {end}");
    }
    Ok(end)
}

/// What is shown while the guest runs.
struct Show {
    recording: Recording,
    bar: ProgressBar,
    ms: u64,
    /// Whether the guest is kept at the pace of the trace.
    paced: bool,
    /// When the trace began.
    start: Option<Instant>,
    /// When a line was printed last.
    printed: Option<Instant>,
}

impl Show {
    fn new(ms: u64, paced: bool) -> Self {
        // Hidden if that is no terminal.
        let bar = ProgressBar::with_draw_target(Some(ms), ProgressDrawTarget::stdout());
        if let Ok(style) = ProgressStyle::with_template("  {bar:16} {msg}") {
            bar.set_style(style);
        }
        Self {
            recording: Recording::default(),
            bar,
            ms,
            paced,
            start: None,
            printed: None,
        }
    }

    fn show(&mut self, moment: &Moment) {
        let Moment { guest, host } = moment;
        let [uses, has] = [guest.in_use, *host].map(|bytes| Mebibytes(bytes).to_string());
        let line = format!(
            "{:4.1} of {:.1} s: the guest uses {uses:>9}, QEMU has {has:>9}",
            seconds(guest.at_ms),
            seconds(self.ms),
        );
        if stdout().is_terminal() {
            self.bar.set_position(guest.at_ms);
            self.bar.set_message(line);
        } else if self.printed.is_none_or(|last| last.elapsed() >= LINE_EVERY) {
            println!("  {line}");
            self.printed = Some(Instant::now());
        }
    }
}

impl Watch for Show {
    fn line(&mut self, line: &str) {
        self.bar.suspend(|| println!("{line}"));
    }

    fn sample(&mut self, guest: Counters, pss: u64) {
        let moment = self.recording.add(guest, pss);
        self.show(&moment);
        let start = *self.start.get_or_insert_with(Instant::now);
        if self.paced {
            let due = start + Duration::from_millis(guest.at_ms);
            thread::sleep(due.saturating_duration_since(Instant::now()));
        }
    }
}
