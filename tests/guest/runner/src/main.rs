//! Boots a test kernel in QEMU: once for each machine that it is meant for.
//!
//! The kernel's name says which machines those are. A boot has held if QEMU ends
//! with the code that the kernel writes when all of its cases have, within the
//! time limit. A panic ends it with another code; a triple fault with 0, because
//! it is told not to reset. One kernel is broken on purpose, and each of its
//! boots has held if it ends in its own way.
//!
//! `SPANHEAP_ACCEL` is QEMU's accelerator, `tcg` if it is not set.

mod boot;
mod discard;
mod machines;
mod qmp;

use std::path::Path;
use std::process::ExitCode;
use std::time::Instant;

fn main() -> ExitCode {
    let mut arguments = std::env::args_os().skip(1);
    let Some(kernel) = arguments.next() else {
        eprintln!("usage: spanheap-guest-runner KERNEL");
        return ExitCode::from(2);
    };
    let kernel = Path::new(&kernel);
    let name = machines::name_of(kernel);
    let mut failed = 0;
    for machine in machines::for_kernel(&name) {
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
