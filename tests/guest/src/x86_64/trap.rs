//! Faults: a page fault goes to the test's handler, on a stack of its own.
//!
//! A stack of its own, because a kernel whose stack is unmapped by mistake must
//! be able to say so. Every other fault, and a page fault that the handler does
//! not take, is the end of the test.
//!
//! The entry is in assembly: a function type for it needs a nightly compiler.

use core::arch::global_asm;
use core::sync::atomic::{AtomicU64, Ordering};

use spin::Once;
use x86_64::VirtAddr;
use x86_64::instructions::segmentation::{CS, DS, ES, SS, Segment};
use x86_64::instructions::tables::load_tss;
use x86_64::structures::gdt::{Descriptor, GlobalDescriptorTable, SegmentSelector};
use x86_64::structures::idt::InterruptDescriptorTable;
use x86_64::structures::tss::TaskStateSegment;

use super::apic;
use super::processors::PROCESSORS;

const STACK_BYTES: usize = 64 << 10;

#[repr(C, align(16))]
struct Stack([u8; STACK_BYTES]);

/// For each processor a stack for page faults, and one for all that is fatal.
static mut STACKS: [[Stack; 2]; PROCESSORS] =
    [const { [const { Stack([0; STACK_BYTES]) }; 2] }; PROCESSORS];

/// What a page fault was.
#[derive(Clone, Copy, Debug)]
pub struct PageFault {
    /// The address that was touched.
    pub address: u64,
    /// The processor's error code.
    pub code: u64,
    /// Whether the handler runs on the stack that is for it.
    pub on_own_stack: bool,
}

/// Takes a page fault, and returns whether the touch shall be tried again.
pub type Handler = fn(PageFault) -> bool;

static HANDLER: Once<Handler> = Once::new();
static TAKEN: AtomicU64 = AtomicU64::new(0);

/// Sets what takes page faults. The first one counts.
pub fn on_page_fault(handler: Handler) {
    HANDLER.call_once(|| handler);
}

/// Returns how many page faults were taken.
#[must_use]
pub fn page_faults() -> u64 {
    // Alone: a count.
    TAKEN.load(Ordering::Relaxed)
}

global_asm!(
    r#"
.section .text.trap, "ax"
.global page_fault_entry
page_fault_entry:
    push rax
    push rcx
    push rdx
    push rsi
    push rdi
    push r8
    push r9
    push r10
    push r11
    sub rsp, 8              // keeps it a multiple of 16
    mov rdi, cr2
    mov rsi, [rsp + 80]     // the error code
    mov rdx, [rsp + 88]     // the instruction
    mov rcx, rsp
    cld
    call page_fault
    add rsp, 8
    pop r11
    pop r10
    pop r9
    pop r8
    pop rdi
    pop rsi
    pop rdx
    pop rcx
    pop rax
    add rsp, 8              // the error code
    iretq

.global fatal_with_code
fatal_with_code:
    pop rdi
    mov rsi, [rsp]
    mov rdx, rsp
    and rsp, -16
    call fatal

.global fatal_without_code
fatal_without_code:
    xor edi, edi
    mov rsi, [rsp]
    mov rdx, rsp
    and rsp, -16
    call fatal
"#
);

unsafe extern "C" {
    fn page_fault_entry();
    fn fatal_with_code();
    fn fatal_without_code();
}

#[unsafe(no_mangle)]
extern "C" fn page_fault(address: u64, code: u64, instruction: u64, stack: u64) {
    // Alone: a count.
    TAKEN.fetch_add(1, Ordering::Relaxed);
    let is_own = |end| (end - STACK_BYTES as u64..end).contains(&stack);
    let fault = PageFault {
        address,
        code,
        on_own_stack: (0..PROCESSORS).any(|processor| is_own(stack_end(processor, 0))),
    };
    let taken = HANDLER.get().is_some_and(|handler| handler(fault));
    assert!(
        taken,
        "page fault at {address:#x}, code {code:#x}, by {instruction:#x}"
    );
}

#[unsafe(no_mangle)]
extern "C" fn fatal(code: u64, instruction: u64, stack: u64) -> ! {
    panic!("fault with code {code:#x} by {instruction:#x}, frame at {stack:#x}")
}

/// Returns the address behind a fault's stack.
fn stack_end(processor: usize, number: usize) -> u64 {
    let first = (&raw const STACKS).cast::<[Stack; 2]>();
    let own = first.wrapping_add(processor).cast::<Stack>();
    own.wrapping_add(number + 1).addr() as u64
}

fn address(entry: unsafe extern "C" fn()) -> VirtAddr {
    VirtAddr::new(entry as usize as u64)
}

fn table() -> InterruptDescriptorTable {
    let mut table = InterruptDescriptorTable::new();
    macro_rules! set {
        ($stack:literal, $entry:path, $($vector:ident)*) => {$(
            // SAFETY: the entry is made for such a fault, with or without a code.
            let options = unsafe { table.$vector.set_handler_addr(address($entry)) };
            // SAFETY: there is such a stack, and only such faults use it.
            unsafe { options.set_stack_index($stack) };
        )*};
    }
    set!(0, page_fault_entry, page_fault);
    set!(1, fatal_with_code, double_fault invalid_tss segment_not_present
        stack_segment_fault general_protection_fault alignment_check);
    set!(1, fatal_without_code, divide_error debug breakpoint overflow
        bound_range_exceeded invalid_opcode device_not_available);
    apic::add_to(&mut table);
    table
}

/// Makes the first processor's faults go where they should.
pub(crate) fn set_up() {
    set_up_on(0);
}

/// Makes a processor's faults go where they should; to be called on it, once.
pub(super) fn set_up_on(processor: usize) {
    static TASKS: [Once<TaskStateSegment>; PROCESSORS] = [const { Once::new() }; PROCESSORS];
    static GDTS: [Once<(GlobalDescriptorTable, [SegmentSelector; 3])>; PROCESSORS] =
        [const { Once::new() }; PROCESSORS];
    static IDT: Once<InterruptDescriptorTable> = Once::new();

    let task = TASKS[processor].call_once(|| {
        let mut task = TaskStateSegment::new();
        for number in 0..2 {
            task.interrupt_stack_table[number] = VirtAddr::new(stack_end(processor, number));
        }
        task
    });
    let (gdt, [code, data, task]) = GDTS[processor].call_once(|| {
        let mut gdt = GlobalDescriptorTable::new();
        let code = gdt.append(Descriptor::kernel_code_segment());
        let data = gdt.append(Descriptor::kernel_data_segment());
        let task = gdt.append(Descriptor::tss_segment(task));
        (gdt, [code, data, task])
    });
    gdt.load();
    // SAFETY: the table that was just loaded has code there.
    unsafe { CS::set_reg(*code) };
    // SAFETY: it has data there.
    unsafe { SS::set_reg(*data) };
    // SAFETY: as above.
    unsafe { DS::set_reg(*data) };
    // SAFETY: as above.
    unsafe { ES::set_reg(*data) };
    // SAFETY: it has the task there, which is static.
    unsafe { load_tss(*task) };
    IDT.call_once(table).load();
}
