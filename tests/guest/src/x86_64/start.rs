//! The first instructions: from 32-bit mode without paging to `kernel_main`.
//!
//! The low 4 GiB are mapped one to one by four pages of 1 GiB, for good: the
//! image and the devices are used there. All else is mapped later, in Rust.

use core::arch::global_asm;

global_asm!(
    r#"
.section .note.pvh, "a", @note
    .long 4, 4, 18          // the name's length, the address's, its kind
    .asciz "Xen"
    .long _start

.section .data.start, "aw"
.balign 4096
.global boot_top
boot_top:
    .quad boot_giants + 3
    .fill 511, 8, 0
boot_giants:
    .quad 0x83, 0x40000083, 0x80000083, 0xc0000083
    .fill 508, 8, 0
boot_gdt:
    .quad 0, 0x00af9b000000ffff, 0x00cf93000000ffff
boot_gdt_pointer:
    .word 23
    .long boot_gdt

.section .bss.start, "aw", @nobits
.balign 16
    .skip 262144
boot_stack:

.section .text.start, "ax"
.code32
.global _start
_start:
    cli
    movl $boot_top, %eax
    movl %eax, %cr3
    movl %cr4, %eax
    orl $0x620, %eax        // physical address extension, SSE
    movl %eax, %cr4
    movl $0xc0000080, %ecx
    rdmsr
    orl $0x100, %eax        // long mode
    wrmsr
    movl %cr0, %eax
    orl $0x80010001, %eax   // paging, write protection, protected mode
    movl %eax, %cr0
    lgdt boot_gdt_pointer
    ljmp $8, $1f
.code64
1:
    movw $16, %ax
    movw %ax, %ds
    movw %ax, %es
    movw %ax, %ss
    movq $boot_stack, %rsp
    movl %ebx, %edi         // the start info
    call kernel_main
    ud2
"#,
    options(att_syntax)
);
