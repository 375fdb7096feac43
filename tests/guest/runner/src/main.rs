//! Boots a test kernel in QEMU: once for each machine that it is meant for.
//!
//! The kernel's name and its architecture say which machines those are. A boot
//! has held if QEMU ends with the status that the kernel asks for when all of its
//! cases have, within the time limit. A panic ends it with another one; a triple
//! fault with 0, because it is told not to reset. One kernel is broken on
//! purpose, and each of its boots has held if it ends in its own way.
//!
//! `SPANHEAP_ACCEL` is QEMU's accelerator for x86-64, `tcg` if it is not set;
//! what other architectures do is always interpreted.

mod architecture;
mod boot;
mod discard;
mod machines;
mod qmp;

use std::path::Path;
use std::process::ExitCode;
use std::time::Instant;

use architecture::Architecture;

fn main() -> ExitCode {
    let mut arguments = std::env::args_os().skip(1);
    let Some(kernel) = arguments.next() else {
        eprintln!("usage: spanheap-guest-runner KERNEL");
        return ExitCode::from(2);
    };
    let kernel = Path::new(&kernel);
    let name = machines::name_of(kernel);
    let architecture = match Architecture::of(kernel) {
        Ok(architecture) => architecture,
        Err(why) => {
            eprintln!("{}: {why}", kernel.display());
            return ExitCode::from(2);
        }
    };
    let mut failed = 0;
    for machine in machines::for_kernel(&name, architecture) {
        println!("boot {name} on {machine}");
        let start = Instant::now();
        let ended = boot::boot(kernel, &machine);
        let seconds = start.elapsed().as_secs_f64();
        match ended {
            Ok(end) if end == machine.end => println!("boot {name}: ok, {end} in {seconds:.1} s"),
            Ok(end) => {
                println!("boot {name} on {machine}: FAILED: {end} in {seconds:.1} s");
                failed += 1;
            }
            Err(why) => {
                println!("boot {name} on {machine}: FAILED: {why}");
                failed += 1;
            }
        }
    }
    ExitCode::from(u8::from(failed > 0))
}
