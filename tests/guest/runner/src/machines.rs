//! Which kernel is booted on which machines, and for how long.

use std::fmt;
use std::path::Path;
use std::time::Duration;

use crate::architecture::Architecture;
use crate::wander;

/// A machine for QEMU.
#[derive(Clone, Debug)]
pub(crate) struct Machine {
    /// The architecture that it is of.
    pub(crate) architecture: Architecture,
    /// The kind of machine, with its options.
    pub(crate) kind: &'static str,
    /// Its memory.
    pub(crate) mebibytes: u32,
    /// Its balloon, and what else QEMU is told.
    pub(crate) options: &'static [&'static str],
    /// The kernel's command line.
    pub(crate) line: &'static str,
    /// Whether the host may put QEMU's memory in huge pages.
    pub(crate) huge_pages: bool,
    /// How long a boot may take.
    pub(crate) limit: Duration,
    /// How it is to end.
    pub(crate) end: End,
}

/// How a boot ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum End {
    /// All cases have held.
    Success,
    /// One has not, or a fault was nobody's.
    Panic,
    /// The machine gave up: faults as it took faults, for one.
    Reset,
    /// It did not end in time.
    Hang,
    /// QEMU ended on its own account.
    Other(i32),
}

impl fmt::Display for End {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Success => f.write_str("success"),
            Self::Panic => f.write_str("a panic"),
            Self::Reset => f.write_str("a reset, as after a triple fault"),
            Self::Hang => f.write_str("no end within the time limit"),
            Self::Other(code) => write!(f, "QEMU's code {code}"),
        }
    }
}

impl fmt::Display for Machine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            architecture,
            kind,
            mebibytes,
            ..
        } = self;
        write!(f, "{architecture} {kind} with {mebibytes} MiB")?;
        let told = |options: &[&str]| self.options.starts_with(options);
        f.write_str(match () {
            () if told(FOUR_CPUS_OVER_PCI) => ", four CPUs, balloon over PCI",
            () if told(OVER_PCI) => ", balloon over PCI",
            () if told(OVER_MMIO) => ", balloon over MMIO",
            () if told(OVER_LEGACY_MMIO) => ", balloon over legacy MMIO",
            () if told(FOUR_CPUS) => ", four CPUs",
            () => "",
        })?;
        if !self.line.is_empty() {
            write!(f, ", told to {}", self.line)?;
        }
        if !self.huge_pages {
            f.write_str(", on a host without huge pages")?;
        }
        Ok(())
    }
}

const PC: &str = "pc";
const Q35: &str = "q35";
const MICROVM: &str = "microvm,acpi=off";
/// The one machine of the other architectures.
const VIRT: &str = "virt";

const OVER_PCI: &[&str] = &[
    "-device",
    "virtio-balloon-pci,free-page-reporting=on,deflate-on-oom=on",
];
const OVER_MMIO: &[&str] = &[
    "-global",
    "virtio-mmio.force-legacy=false",
    "-device",
    "virtio-balloon-device,free-page-reporting=on,deflate-on-oom=on",
];
const OVER_LEGACY_MMIO: &[&str] = &[
    "-device",
    "virtio-balloon-device,free-page-reporting=on,deflate-on-oom=on",
];

const FOUR_CPUS: &[&str] = &["-smp", "4"];
const FOUR_CPUS_OVER_PCI: &[&str] = &[OVER_PCI[0], OVER_PCI[1], FOUR_CPUS[0], FOUR_CPUS[1]];

/// What the kernel that replays a trace is told. Single pages are tried where the
/// host has no huge pages either: only there is what is given back free at once.
pub(crate) const SCAVENGE: &str = "scavenge";
pub(crate) const SCAVENGE_CHURN: &str = "scavenge churn";
pub(crate) const RELEASE_SINGLE_PAGES: &str = "release single pages";

/// Returns a kernel's name: its file's, without what cargo adds.
pub(crate) fn name_of(kernel: &Path) -> String {
    let stem = kernel.file_stem().unwrap_or_default().to_string_lossy();
    stem.rsplit_once('-')
        .map_or(stem.as_ref(), |(name, _)| name)
        .to_owned()
}

/// Returns the machines that a kernel is meant for.
pub(crate) fn for_kernel(name: &str, architecture: Architecture) -> Vec<Machine> {
    let machine = |kind, mebibytes, options, seconds| Machine {
        architecture,
        kind,
        mebibytes,
        options,
        line: "",
        huge_pages: true,
        limit: Duration::from_secs(seconds),
        end: End::Success,
    };
    let broken = |kind, line, end, seconds| Machine {
        line,
        end,
        ..machine(kind, 64, &[], seconds)
    };
    let told = |line, machine| Machine { line, ..machine };
    let single = |machine| Machine {
        line: RELEASE_SINGLE_PAGES,
        huge_pages: false,
        ..machine
    };
    let x86 = architecture == Architecture::X86_64;
    match name {
        "broken" if x86 => vec![
            broken(PC, "panic", End::Panic, 30),
            broken(PC, "fault", End::Panic, 30),
            broken(PC, "reset", End::Reset, 30),
            broken(PC, "hang", End::Hang, 5),
        ],
        "broken" => vec![
            broken(VIRT, "panic", End::Panic, 30),
            broken(VIRT, "fault", End::Panic, 30),
            broken(VIRT, "hang", End::Hang, 5),
        ],
        // One of them with more than there is room for below 4 GiB: that takes long,
        // and is the same on all.
        "memory" if x86 => vec![
            machine(PC, 512, &[], 60),
            machine(Q35, 4352, &[], 240),
            machine(MICROVM, 512, &[], 60),
        ],
        "balloon" if x86 => vec![
            machine(PC, 1024, OVER_PCI, 90),
            machine(Q35, 1024, OVER_PCI, 90),
            machine(MICROVM, 1024, OVER_MMIO, 90),
            machine(MICROVM, 1024, OVER_LEGACY_MMIO, 90),
        ],
        "balloon" => vec![machine(VIRT, 1024, OVER_MMIO, 90)],
        // The trace has 1.24 GiB alive at its peak; the books, the table of
        // blocks and the tape come to less than 64 MiB.
        "replay" => {
            let pc = machine(PC, 2048, OVER_PCI, 180);
            vec![
                told(SCAVENGE, pc.clone()),
                told(SCAVENGE_CHURN, machine(PC, 1024, OVER_PCI, 180)),
                single(pc),
            ]
        }
        // Besides the time that it takes, some to begin and to end. No power of two of
        // memory, so that QEMU has no other mapping that is as long.
        "soak" => {
            let seconds = wander::seconds().unwrap_or_default();
            vec![single(machine(PC, 240, FOUR_CPUS_OVER_PCI, seconds + 60))]
        }
        // 1 GiB in pieces, and something beside it.
        "reporting" => vec![machine(PC, 1536, OVER_PCI, 90)],
        // So that a whole GiB is somewhere in it; most is never touched.
        "bringup" => vec![machine(PC, 2304, &[], 90), machine(MICROVM, 2304, &[], 90)],
        // Little memory, so that it is scarce for four at once.
        "many_cpus" => vec![
            machine(PC, 64, FOUR_CPUS, 90),
            machine(Q35, 64, FOUR_CPUS, 90),
        ],
        _ if x86 => vec![machine(PC, 512, &[], 60), machine(MICROVM, 512, &[], 60)],
        _ => vec![machine(VIRT, 512, &[], 60)],
    }
}
