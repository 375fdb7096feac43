//! The local APIC: starts other processors, and interrupts its own by a timer.
//!
//! Its registers are at one address on every processor, each of which sees its
//! own there. The low 4 GiB are mapped one to one, and so are they.

use core::arch::global_asm;
use core::hint::spin_loop;
use core::ptr::with_exposed_provenance_mut;

use spin::Once;
use x86_64::VirtAddr;
use x86_64::instructions::port::Port;
use x86_64::structures::idt::InterruptDescriptorTable;

const REGISTERS: usize = 0xfee0_0000;
const ID: usize = 0x20;
const END_OF_INTERRUPT: usize = 0xb0;
const SPURIOUS: usize = 0xf0;
const COMMAND: usize = 0x300;
const COMMAND_TO: usize = 0x310;
const TIMER: usize = 0x320;
const TIMER_BEGIN: usize = 0x380;
const TIMER_NOW: usize = 0x390;
const TIMER_DIVIDE: usize = 0x3e0;

const ENABLED: u32 = 1 << 8;
const MASKED: u32 = 1 << 16;
const PERIODIC: u32 = 1 << 17;
const BY_ONE: u32 = 0b1011;
const INIT: u32 = 0x4500;
const START_UP: u32 = 0x4600;
const SENDING: u32 = 1 << 12;

const TIMER_VECTOR: u8 = 32;
const SPURIOUS_VECTOR: u8 = 255;

/// The timer's counts in a microsecond: QEMU's has one in a nanosecond.
const MICROSECOND: u32 = 1000;

static ON_TICK: Once<fn()> = Once::new();

global_asm!(
    r#"
.section .text.apic, "ax"
.global timer_entry
timer_entry:
    push rax
    push rcx
    push rdx
    push rsi
    push rdi
    push r8
    push r9
    push r10
    push r11                // with the frame, 14 words: a multiple of 16
    cld
    call timer
    pop r11
    pop r10
    pop r9
    pop r8
    pop rdi
    pop rsi
    pop rdx
    pop rcx
    pop rax
.global spurious_entry
spurious_entry:
    iretq
"#
);

unsafe extern "C" {
    fn timer_entry();
    fn spurious_entry();
}

#[unsafe(no_mangle)]
extern "C" fn timer() {
    if let Some(handler) = ON_TICK.get() {
        handler();
    }
    write(END_OF_INTERRUPT, 0);
}

/// Makes the two interrupts go where they should.
pub(super) fn add_to(table: &mut InterruptDescriptorTable) {
    let entry = VirtAddr::new(timer_entry as *const () as u64);
    // SAFETY: the entry is made for an interrupt, and puts back all it changes.
    unsafe { table[TIMER_VECTOR].set_handler_addr(entry) };
    let entry = VirtAddr::new(spurious_entry as *const () as u64);
    // SAFETY: as above.
    unsafe { table[SPURIOUS_VECTOR].set_handler_addr(entry) };
}

/// Turns on this processor's, and keeps the old controller's interrupts, whose
/// numbers are those of faults, off all of them.
pub(super) fn enable() {
    for port in [0x21, 0xa1] {
        // SAFETY: it masks interrupts, and has no effect on memory.
        unsafe { Port::<u8>::new(port).write(0xff) }
    }
    write(SPURIOUS, ENABLED | u32::from(SPURIOUS_VECTOR));
    write(TIMER_DIVIDE, BY_ONE);
    stop_timer();
}

/// Returns the number of this processor's.
pub(super) fn id() -> usize {
    (read(ID) >> 24) as usize
}

/// Has another processor begin at `page`, a page below 1 MiB.
///
/// # Safety
///
/// What is there is code for a processor in real mode, and it may run.
pub(super) unsafe fn start(processor: usize, page: u64) {
    send(processor, INIT);
    delay(10_000);
    for _ in 0..2 {
        send(processor, START_UP | (page >> 12) as u32);
        delay(200);
    }
}

fn send(processor: usize, command: u32) {
    write(COMMAND_TO, (processor as u32) << 24);
    write(COMMAND, command);
    while read(COMMAND) & SENDING != 0 {
        spin_loop();
    }
}

/// Waits, while the timer is not used otherwise.
pub(super) fn delay(microseconds: u32) {
    write(TIMER_BEGIN, microseconds * MICROSECOND);
    while read(TIMER_NOW) != 0 {
        spin_loop();
    }
}

/// Sets what every tick of every processor's timer calls. The first one counts.
pub fn on_tick(handler: fn()) {
    ON_TICK.call_once(|| handler);
}

/// Has this processor's timer tick, while interrupts are on.
pub fn start_timer(microseconds: u32) {
    write(TIMER, PERIODIC | u32::from(TIMER_VECTOR));
    write(TIMER_BEGIN, microseconds * MICROSECOND);
}

/// Stops this processor's timer. A tick that is due comes all the same.
pub fn stop_timer() {
    write(TIMER, MASKED);
    write(TIMER_BEGIN, 0);
}

fn register(offset: usize) -> *mut u32 {
    with_exposed_provenance_mut(REGISTERS + offset)
}

fn read(offset: usize) -> u32 {
    // SAFETY: it is a register, mapped for good.
    unsafe { register(offset).read_volatile() }
}

/// Writes a register: has no effect on memory, but for what [`start`] may do.
fn write(offset: usize, value: u32) {
    // SAFETY: it is a register, mapped for good.
    unsafe { register(offset).write_volatile(value) }
}
