//! What a kernel is for, and what QEMU needs for that.

use std::ffi::OsString;
use std::fmt;
use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

/// An architecture that there are kernels for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Architecture {
    X86_64,
    Aarch64,
    Riscv64,
}

impl Architecture {
    /// Returns what a kernel is for, by the header of its file (ELF).
    pub(crate) fn of(kernel: &Path) -> io::Result<Self> {
        let mut header = [0; 20];
        File::open(kernel)?.read_exact(&mut header)?;
        let machine = u16::from_le_bytes([header[18], header[19]]);
        match (&header[..4], machine) {
            (b"\x7fELF", 62) => Ok(Self::X86_64),
            (b"\x7fELF", 183) => Ok(Self::Aarch64),
            (b"\x7fELF", 243) => Ok(Self::Riscv64),
            _ => Err(io::Error::other("no kernel for any machine")),
        }
    }

    /// Returns the name of its QEMU.
    pub(crate) fn qemu(self) -> String {
        format!("qemu-system-{self}")
    }

    /// Returns the processor, and by what the kernel ends the machine. It does
    /// so with a status of its own, and the same one on all of them.
    pub(crate) fn options(self) -> &'static [&'static str] {
        match self {
            Self::X86_64 => &[
                "-cpu",
                "max",
                "-device",
                "isa-debug-exit,iobase=0xf4,iosize=0x04",
            ],
            Self::Aarch64 => &["-cpu", "max", "-semihosting"],
            // A device that is always there.
            Self::Riscv64 => &["-cpu", "rv64"],
        }
    }

    /// Returns what QEMU is told to load a module. Where it would not tell the
    /// kernel about one, the command line does, as Linux's may.
    pub(crate) fn module(self, file: &Path, line: &mut String) -> io::Result<[OsString; 2]> {
        if self != Self::Aarch64 {
            return Ok(["-initrd".into(), file.into()]);
        }
        // 128 MiB into memory.
        const AT: u64 = 0x4800_0000;
        let bytes = file.metadata()?.len();
        line.push_str(&format!(" initrd={AT},{bytes}"));
        // A comma in an option's value is two.
        let file = file.to_string_lossy().replace(',', ",,");
        let loader = format!("loader,addr={AT},force-raw=on,file={file}");
        Ok(["-device".into(), loader.into()])
    }

    /// Returns the accelerator. Another than `tcg` is only for what most hosts
    /// are.
    pub(crate) fn accelerator(self) -> String {
        let wanted = std::env::var("SPANHEAP_ACCEL").ok();
        wanted
            .filter(|_| self == Self::X86_64)
            .unwrap_or_else(|| "tcg".into())
    }
}

impl fmt::Display for Architecture {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::X86_64 => "x86_64",
            Self::Aarch64 => "aarch64",
            Self::Riscv64 => "riscv64",
        })
    }
}
