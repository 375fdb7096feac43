//! The other processors: how they are started, and what they do.
//!
//! One begins in real mode, in a page below 1 MiB that is nobody's yet, and is
//! then made as the first one is: 64-bit mode, the same page tables, a stack and
//! the tables of faults of its own. After that it waits for jobs, with interrupts
//! off.
//!
//! Invariant: a processor's number is its local APIC's, and the GS base is where
//! it is written.

use core::arch::{asm, global_asm};
use core::hint::spin_loop;
use core::ptr::{copy_nonoverlapping, with_exposed_provenance_mut};
use core::sync::atomic::{AtomicU32, AtomicU64, AtomicUsize, Ordering};

use spanheap::Cpu;
use spin::Mutex;
use x86_64::VirtAddr;
use x86_64::instructions::interrupts;
use x86_64::registers::control::Cr3;
use x86_64::registers::model_specific::GsBase;

use super::{apic, trap};
use crate::memory::BootMemory;

/// So many processors there can be, the first one among them.
pub const PROCESSORS: usize = 4;

/// Where the others begin.
const BEGIN: u64 = 0x8000;
const BEGIN_BYTES: u64 = 4096;

const STACK_BYTES: usize = 64 << 10;

#[repr(C, align(16))]
struct Stack([u8; STACK_BYTES]);

/// The first one has a stack from the beginning.
static mut STACKS: [Stack; PROCESSORS - 1] = [const { Stack([0; STACK_BYTES]) }; PROCESSORS - 1];

/// What the GS bases point to.
static NUMBERS: [usize; PROCESSORS] = [0, 1, 2, 3];

// What the one that is being started finds: read by the code below.
static TABLES: AtomicU32 = AtomicU32::new(0);
static STACK: AtomicU64 = AtomicU64::new(0);
static NUMBER: AtomicU64 = AtomicU64::new(0);

/// How many have come as far as to wait for jobs.
static STARTED: AtomicUsize = AtomicUsize::new(1);

global_asm!(
    r#"
.section .rodata.processors, "a"
.balign 16
processors_gdt:
    .quad 0, 0x00cf9b000000ffff, 0x00cf93000000ffff, 0x00af9b000000ffff

// Copied to a page below 1 MiB.
.code16
.global processors_begin
processors_begin:
    cli
    movw %cs, %ax
    movw %ax, %ds
    .set gdt_pointer, 1f - processors_begin
    lgdtl gdt_pointer
    movl $0x11, %eax        // protected mode
    movl %eax, %cr0
    ljmpl $8, $processors_protected
1:
    .word 31
    .long processors_gdt
.global processors_begin_end
processors_begin_end:

.section .text.processors, "ax"
.code32
processors_protected:
    movw $16, %ax
    movw %ax, %ds
    movw %ax, %es
    movw %ax, %ss
    movl {tables}, %eax
    movl %eax, %cr3
    movl $0x620, %eax       // as the first processor
    movl %eax, %cr4
    movl $0xc0000080, %ecx
    rdmsr
    orl $0x100, %eax        // long mode
    wrmsr
    movl $0x80010011, %eax  // paging, write protection, protected mode; caches
    movl %eax, %cr0
    ljmp $24, $1f
.code64
1:
    movq {stack}(%rip), %rsp
    movq {number}(%rip), %rdi
    call {enter}
    ud2
"#,
    tables = sym TABLES,
    stack = sym STACK,
    number = sym NUMBER,
    enter = sym enter,
    options(att_syntax)
);

unsafe extern "C" {
    // From the code above; only their addresses mean something.
    static processors_begin: u8;
    static processors_begin_end: u8;
}

/// Starts all the other processors, one by one.
///
/// The direct map must be there, and no page may have been handed out: where they
/// begin is memory like any other when this returns.
pub fn start(memory: &BootMemory) {
    let page = BEGIN..BEGIN + BEGIN_BYTES;
    let covers = |range: &core::ops::Range<u64>| range.start <= page.start && page.end <= range.end;
    let touches = |range: &core::ops::Range<u64>| range.start < page.end && page.start < range.end;
    assert!(memory.usable().iter().any(covers), "no memory to begin in");
    assert!(!memory.taken().iter().any(touches), "it is in use");

    set_number(0);
    apic::enable();
    assert_eq!(apic::id(), 0, "the first processor's number");
    let from = &raw const processors_begin;
    let bytes = (&raw const processors_begin_end).addr() - from.addr();
    let to = with_exposed_provenance_mut::<u8>(BEGIN as usize);
    // SAFETY: the code is as long, and fits; the page is memory that is nobody's,
    // and the low 4 GiB are mapped one to one.
    unsafe { copy_nonoverlapping(from, to, bytes) };
    // The tables are the image's, so they are below 4 GiB. Relaxed, as below: the
    // other begins by what is sent to it, after these.
    let tables = Cr3::read().0.start_address().as_u64() as u32;
    TABLES.store(tables, Ordering::Relaxed);
    for number in 1..PROCESSORS {
        let stacks = (&raw const STACKS).cast::<Stack>();
        let stack = stacks.wrapping_add(number).expose_provenance() as u64;
        STACK.store(stack, Ordering::Relaxed);
        NUMBER.store(number as u64, Ordering::Relaxed);
        // SAFETY: the code is there, and what it reads was written for it.
        unsafe { apic::start(number, BEGIN) };
        // Acquire: pairs with the Release of `enter`; it reads no more of these.
        while STARTED.load(Ordering::Acquire) != number + 1 {
            spin_loop();
        }
    }
}

/// Where another processor goes on, with its number.
extern "C" fn enter(number: usize) -> ! {
    trap::set_up_on(number);
    set_number(number);
    apic::enable();
    assert_eq!(apic::id(), number, "the number that it was started by");
    // Release: pairs with the Acquire of `start`.
    STARTED.store(number + 1, Ordering::Release);
    for round in 1.. {
        // Acquire: pairs with the Release of `on_all`.
        while ROUND.load(Ordering::Acquire) != round {
            spin_loop();
        }
        let job = *JOB.lock();
        job(number);
        // Release: pairs with the Acquire of `on_all`.
        DONE.fetch_add(1, Ordering::Release);
    }
    unreachable!("rounds without end")
}

/// What is to be done, how often there was something, and how many have done it.
static JOB: Mutex<fn(usize)> = Mutex::new(|_| ());
static ROUND: AtomicUsize = AtomicUsize::new(0);
static DONE: AtomicUsize = AtomicUsize::new(0);

/// Returns how many processors have started.
#[must_use]
pub fn started() -> usize {
    // Alone: a count.
    STARTED.load(Ordering::Relaxed)
}

/// Does a job on all processors at once, given their numbers, and waits until all
/// have done it. To be called on the first one.
pub fn on_all(job: fn(usize)) {
    *JOB.lock() = job;
    DONE.store(0, Ordering::Relaxed);
    // Release: pairs with the Acquire of `enter`.
    ROUND.fetch_add(1, Ordering::Release);
    job(0);
    // Acquire: pairs with the Release of `enter`.
    while DONE.load(Ordering::Acquire) != started() - 1 {
        spin_loop();
    }
}

fn set_number(number: usize) {
    let at = &raw const NUMBERS[number];
    GsBase::write(VirtAddr::new(at.expose_provenance() as u64));
}

/// Returns the number of this processor, once it is started.
#[must_use]
pub fn number() -> usize {
    let number;
    // SAFETY: the GS base is where the number is written, for good.
    unsafe {
        asm!("mov {}, gs:[0]", out(reg) number, options(nostack, readonly, preserves_flags));
    }
    number
}

/// The processors, as a heap asks about them.
#[derive(Clone, Copy, Debug)]
pub struct Processors;

impl Cpu for Processors {
    fn index(&self) -> usize {
        number()
    }

    fn without_interrupts<R>(&self, critical: impl FnOnce() -> R) -> R {
        interrupts::without_interrupts(critical)
    }
}
