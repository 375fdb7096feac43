//! Fails on purpose, in the way that the command line names.
//!
//! The runner expects just that of it: it is the test of the other tests, that
//! none of these ends can be taken for success.

#![no_std]
#![no_main]

use core::hint::{black_box, spin_loop};

use spanheap_guest::memory::BootMemory;
use spanheap_guest::{direct_map, kernel, pointer};

kernel!(run);

fn run(memory: &BootMemory) {
    match memory.command_line() {
        line if line.contains("panic") => panic!("on purpose"),
        line if line.contains("hang") => loop {
            spin_loop();
        },
        line if line.contains("fault") => {
            let _mapper = direct_map(memory);
            let behind = memory.end().next_multiple_of(2 << 20);
            // SAFETY: none. There is nothing, and to end by that is the purpose.
            let _ = black_box(unsafe { pointer::<u64>(behind).read_volatile() });
        }
        #[cfg(target_arch = "x86_64")]
        line if line.contains("reset") => triple_fault(),
        other => panic!("not told how to fail, but `{other}`"),
    }
}

/// What no other architecture has: the processor gives up.
#[cfg(target_arch = "x86_64")]
fn triple_fault() {
    use x86_64::PhysAddr;
    use x86_64::registers::control::Cr3;
    use x86_64::structures::paging::PhysFrame;

    let nothing = PhysFrame::containing_address(PhysAddr::new(0xf_0000_0000));
    // SAFETY: none. Not even the handler of faults is mapped then, and to end by
    // that is the purpose.
    unsafe { Cr3::write(nothing, Cr3::read().1) };
}
