//! The first instructions: from the firmware's jump to `kernel_main`.
//!
//! Paging is off, and memory is cached and takes atomics all the same.

use core::arch::global_asm;

global_asm!(
    r#"
.section .bss.start, "aw", @nobits
.balign 16
    .skip 262144
boot_stack:

.section .text.start, "ax"
.global _start
_start:
    csrw sie, zero
    csrw satp, zero
    la t0, vector
    csrw stvec, t0
    li t0, 3 << 13          // floating point is allowed
    csrs sstatus, t0
    la sp, boot_stack
    mv ra, zero
    mv a0, a1               // the device tree
    call kernel_main
    j .
"#
);
