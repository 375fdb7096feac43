//! Exceptions: each is the end of the test, on a stack of its own.

use core::arch::global_asm;

global_asm!(
    r#"
.section .bss.trap, "aw", @nobits
.balign 16
    .skip 65536
trap_stack:

.section .text.trap, "ax"
.balign 4
.global vector
vector:
    la sp, trap_stack
    csrr a0, scause
    csrr a1, sepc
    csrr a2, stval
    call fatal
"#
);

#[unsafe(no_mangle)]
extern "C" fn fatal(cause: u64, instruction: u64, address: u64) -> ! {
    panic!("exception {cause} by {instruction:#x}, at {address:#x}")
}
