//! Exceptions: each is the end of the test, on a stack of its own.

use core::arch::global_asm;

global_asm!(
    r#"
.section .bss.trap, "aw", @nobits
.balign 16
    .skip 65536
trap_stack:

.section .text.trap, "ax"
.balign 2048
.global vectors
vectors:
    .rept 16
    .balign 128
    ldr x3, =trap_stack
    mov sp, x3
    mrs x0, esr_el1
    mrs x1, elr_el1
    mrs x2, far_el1
    b fatal
    .endr
"#
);

#[unsafe(no_mangle)]
extern "C" fn fatal(syndrome: u64, instruction: u64, address: u64) -> ! {
    panic!("exception {syndrome:#x} by {instruction:#x}, at {address:#x}")
}
