//! Boots a test kernel in QEMU: once for each machine that it is meant for.
//!
//! The kernel's name and its architecture say which machines those are. A boot
//! has held if QEMU ends with the status that the kernel asks for when all of its
//! cases have, within the time limit. A panic ends it with another one; a triple
//! fault with 0, because it is told not to reset. One kernel is broken on
//! purpose, and each of its boots has held if it ends in its own way.
//!
//! A kernel that replays a trace is handed a tape of it, and what it says of
//! itself meanwhile is drawn. It is also what the demonstration boots.
//!
//! `SPANHEAP_SOAK_SECONDS` is for how long the soak goes on, 20 if it is not set.
//! `SPANHEAP_ACCEL` is QEMU's accelerator for x86-64, `tcg` if it is not set;
//! what other architectures do is always interpreted.

mod architecture;
mod boot;
mod demo;
mod discard;
mod machines;
mod qmp;
mod recording;
mod replayed;
mod tape;
mod wander;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Instant;

use clap::{Parser, Subcommand};

use architecture::Architecture;
use boot::Watch;
use machines::{End, Machine};
use recording::{Counters, Recording};
use replayed::Replayed;

/// Whatever can go wrong outside of a guest, as a line for people.
pub(crate) type Error = Box<dyn std::error::Error + Send + Sync>;

/// Boots a test kernel in QEMU, on each machine that it is meant for.
#[derive(Debug, Parser)]
struct Arguments {
    /// The kernel.
    kernel: PathBuf,

    /// What `cargo bench` adds; it changes nothing.
    #[arg(long, hide = true)]
    bench: bool,

    #[command(subcommand)]
    instead: Option<Instead>,
}

#[derive(Debug, Subcommand)]
enum Instead {
    #[command(override_usage = "demo [OPTIONS]")]
    Demo(demo::Options),
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let kernel = &arguments.kernel;
    let good = match &arguments.instead {
        None => test(kernel),
        Some(Instead::Demo(options)) => demo::demo(kernel, options).map(|end| end == End::Success),
    };
    match good {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(why) => {
            eprintln!("{why}");
            ExitCode::from(2)
        }
    }
}

/// Boots a kernel on all its machines, and returns whether all boots have held.
fn test(kernel: &Path) -> Result<bool, Error> {
    let name = machines::name_of(kernel);
    let mut held = true;
    for machine in machines::for_kernel(&name, Architecture::of(kernel)?) {
        println!("boot {name} on {machine}");
        let start = Instant::now();
        let ended = one(kernel, &name, &machine);
        let seconds = start.elapsed().as_secs_f64();
        let failed = match ended {
            Ok(end) if end == machine.end => {
                println!("boot {name}: ok, {end} in {seconds:.1} s");
                continue;
            }
            Ok(end) => format!("{end} in {seconds:.1} s"),
            Err(why) => why.to_string(),
        };
        println!("boot {name} on {machine}: FAILED: {failed}");
        held = false;
    }
    Ok(held)
}

/// One boot, and the picture of what was recorded.
fn one(kernel: &Path, name: &str, machine: &Machine) -> Result<End, Error> {
    let replayed = Replayed::by(name, machine)?;
    let mut print = Print::default();
    let tape = replayed.as_ref().map(Replayed::tape);
    let end = boot::boot(kernel, machine, tape.as_deref(), &mut print)?;
    if let Some(replayed) = replayed
        && !print.recording.is_empty()
    {
        let name = machine.line.replace(' ', "-");
        let picture = kernel.with_file_name(name).with_extension("svg");
        fs::write(&picture, replayed.draw(machine, &print.recording)?)?;
        println!("{}", print.recording);
        println!("plot: {}", picture.display());
    }
    Ok(end)
}

/// Prints what the guest prints.
#[derive(Default)]
struct Print {
    recording: Recording,
}

impl Watch for Print {
    fn line(&mut self, line: &str) {
        println!("{line}");
    }

    fn sample(&mut self, guest: Counters, pss: u64) {
        self.recording.add(guest, pss);
    }
}
