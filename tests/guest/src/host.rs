//! Questions to the runner on the host, and the end of the machine.
//!
//! A line that begins with `@` is a question, and the runner answers with a line
//! of decimal numbers. So a test reads like one, although half of what it is
//! about happens outside of the machine.

use crate::{arch, println, serial};

/// The status that QEMU ends with if the test has held: none that it ends with
/// on its own account.
const SUCCESS: u32 = 33;
/// And if it has not.
const FAILURE: u32 = 255;

/// What QEMU's share of the host's memory may change by for what is not the guest's
/// memory: the little that QEMU allocates meanwhile, and its 18 MiB of program and
/// libraries, of which another QEMU takes a share, and leaves it again.
pub const SLACK: i64 = 24 << 20;

/// The host's memory behind this machine.
#[derive(Clone, Copy, Debug)]
pub struct HostMemory {
    /// QEMU's share of the host's memory, in bytes.
    pub pss: u64,
    /// What of its private memory is in huge pages, in bytes.
    pub huge: u64,
    /// What the host could give to others, in bytes.
    pub available: u64,
}

impl HostMemory {
    fn answered() -> Self {
        Self {
            pss: number(),
            huge: number(),
            available: number(),
        }
    }
}

/// What a guest says of itself when it is measured, in bytes.
#[derive(Clone, Copy, Debug)]
pub struct Sample {
    /// Milliseconds since the beginning.
    pub at_ms: u64,
    /// Handed out.
    pub in_use: u64,
    /// Idle, and resident.
    pub idle: u64,
    /// Idle, and released.
    pub released: u64,
}

/// Asks for the host's memory behind this machine.
#[must_use]
pub fn memory() -> HostMemory {
    println!("@memory");
    HostMemory::answered()
}

/// Tells the runner how the guest is, for its records, and asks for the host's
/// memory behind this machine at the same moment. The runner may take its time.
#[must_use]
pub fn sample(sample: Sample) -> HostMemory {
    let Sample {
        at_ms,
        in_use,
        idle,
        released,
    } = sample;
    println!("@sample {at_ms} {in_use} {idle} {released}");
    HostMemory::answered()
}

/// Has the runner touch `pieces` pieces of `bytes` of its own memory, every
/// other one of a mapping, and discard them one by one with `madvise`. Returns
/// how many nanoseconds the latter took: what the host's own work costs.
#[must_use]
pub fn discard(pieces: u64, bytes: u64) -> u64 {
    println!("@discard {pieces} {bytes}");
    number()
}

/// Has the host set the size that it wants the machine to have, in bytes.
pub fn want(bytes: u64) {
    println!("@want {bytes}");
    assert_eq!(number(), 0, "the host refused");
}

/// Asks how large the host thinks the machine is, in bytes.
#[must_use]
pub fn size() -> u64 {
    println!("@size");
    number()
}

/// Has the host want another size every now and then, at random, but never less
/// than so many bytes. Returns for how many milliseconds that is to go on.
#[must_use]
pub fn wander(least: u64) -> u64 {
    println!("@wander {least}");
    number()
}

/// Asks how many milliseconds ago that began.
#[must_use]
pub fn wandered() -> u64 {
    println!("@wandered");
    number()
}

/// Ends that: the host wants the machine to be as large as it is. Returns how many
/// sizes it has wanted.
#[must_use]
pub fn settle() -> u64 {
    println!("@settle");
    number()
}

/// Asks how many bytes of the machine's memory the host has pages behind. Nothing
/// else that QEMU has is counted.
#[must_use]
pub fn backed() -> u64 {
    println!("@backed");
    number()
}

/// Reads a decimal number and the byte behind it.
fn number() -> u64 {
    let mut number = 0;
    loop {
        match serial::read() {
            digit @ b'0'..=b'9' => number = number * 10 + u64::from(digit - b'0'),
            _ => return number,
        }
    }
}

/// Ends the machine: the test has held.
pub fn succeed() -> ! {
    arch::exit(SUCCESS)
}

/// Ends the machine: the test has failed.
pub fn fail() -> ! {
    arch::exit(FAILURE)
}
