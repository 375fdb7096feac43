//! The first instructions: from the reset to `kernel_main`, with the MMU on.
//!
//! Without it all memory is a device's, where neither atomics nor unaligned
//! access is allowed. The table has an entry for each GiB: the first one is the
//! devices', and memory begins behind it.
//!
//! QEMU enters a kernel that is not Linux's without any argument, and puts the
//! device tree at the beginning of memory, if the image leaves room there.

use core::arch::global_asm;

/// Memory ends below this: enough for 6 GiB.
pub(super) const LIMIT: u64 = GIBIBYTES << 30;
const GIBIBYTES: u64 = 9;

global_asm!(
    r#"
.section .data.start, "aw"
.balign 4096
boot_table:
    .quad 0x0060000000000401        // a device's, never executed
    .set number, 1
    .rept {gibibytes} - 1
    .quad number << 30 | 0x705      // memory, shared, of the second kind below
    .set number, number + 1
    .endr
    .fill 512 - {gibibytes}, 8, 0

.section .bss.start, "aw", @nobits
.balign 16
    .skip 262144
boot_stack:

.section .text.start, "ax"
.global _start
_start:
    ldr x1, =0xff00                 // kinds of memory: a device's, and cached
    msr mair_el1, x1
    ldr x1, =0x200803519            // 39 bits from address 0 on, cached tables
    msr tcr_el1, x1
    ldr x1, =boot_table
    msr ttbr0_el1, x1
    dsb sy
    isb
    mrs x1, sctlr_el1
    mov x2, #0x1005                 // instructions cached, data cached, mapped
    orr x1, x1, x2
    bic x1, x1, #2                  // unaligned access is allowed
    msr sctlr_el1, x1
    mov x1, #3 << 20                // so are floating point and vectors
    msr cpacr_el1, x1
    ldr x1, =vectors
    msr vbar_el1, x1
    isb
    ldr x1, =boot_stack
    mov sp, x1
    mov x29, xzr
    mov x30, xzr
    mov x0, #0x40000000             // the device tree
    bl kernel_main
    b .
"#,
    gibibytes = const GIBIBYTES,
);
