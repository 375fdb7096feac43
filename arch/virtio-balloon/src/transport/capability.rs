//! Where a PCI device says that its registers are.
//!
//! Its capabilities are a linked list in a space that the device answers for,
//! so the walk has as many steps as there is room for capabilities, and a sum
//! that is no address is none. How large a region (BAR) is, is not asked: the
//! answer would be the device's, too, and to ask it is to take its registers
//! away for a moment. Which addresses are registers, the kernel knows, and is
//! asked.

use core::fmt;
use core::ops::Range;

use virtio_drivers::transport::pci::bus::{ConfigurationAccess, DeviceFunction, PCI_CAP_ID_VNDR};

const VENDOR: u16 = 0x1af4;
/// A balloon's device identifier, and that of one which is a legacy device too.
const DEVICES: [u16; 2] = [0x1045, 0x1002];

const COMMAND_AND_STATUS: u8 = 0x04;
/// In the word of command and status: there is a list.
const HAS_LIST: u32 = 1 << 20;
const FIRST_BAR: u8 = 0x10;
const BARS: u8 = 6;
const FIRST_CAPABILITY: u8 = 0x34;
/// Where the list begins. A capability is a word at the least, so there are at
/// most so many.
const LIST: u8 = 0x40;
const MOST: usize = (256 - LIST as usize) / 4;

/// A part of a virtio device's registers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Structure {
    /// Features, status and queues.
    Common,
    /// The doorbells of the queues.
    Notify,
    /// The balloon's own configuration.
    Config,
}

impl Structure {
    const fn code(self) -> u8 {
        match self {
            Self::Common => 1,
            Self::Notify => 2,
            Self::Config => 4,
        }
    }
}

impl fmt::Display for Structure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Common => "common configuration",
            Self::Notify => "notification",
            Self::Config => "balloon configuration",
        })
    }
}

/// Why a PCI function is no balloon to use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum PciError {
    /// It is something else.
    NotABalloon {
        /// The vendor's identifier.
        vendor: u16,
        /// The device's.
        device: u16,
    },
    /// It names no such registers in memory, or none that have an address.
    Missing(Structure),
    /// The registers are too few to be that.
    TooShort(Structure),
    /// The kernel has no registers there, or not so aligned.
    NotMapped(Structure),
}

impl fmt::Display for PciError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotABalloon { vendor, device } => {
                write!(f, "{vendor:04x}:{device:04x} is no balloon")
            }
            Self::Missing(what) => write!(f, "no {what} registers in memory"),
            Self::TooShort(what) => write!(f, "the {what} registers are too few"),
            Self::NotMapped(what) => write!(f, "the {what} registers are not mapped"),
        }
    }
}

impl core::error::Error for PciError {}

/// A structure of registers, as the device describes it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Place {
    /// Physical addresses.
    pub(crate) bytes: Range<u64>,
    /// What a queue's doorbell number is to be multiplied with.
    pub(crate) multiplier: u32,
}

/// The configuration space of one function.
pub(crate) struct Function<'c, C> {
    access: &'c C,
    function: DeviceFunction,
}

impl<'c, C: ConfigurationAccess> Function<'c, C> {
    /// The space of a balloon.
    pub(crate) fn of_balloon(access: &'c C, function: DeviceFunction) -> Result<Self, PciError> {
        let space = Self { access, function };
        let word = space.word(0);
        let (vendor, device) = (word as u16, (word >> 16) as u16);
        match vendor == VENDOR && DEVICES.contains(&device) {
            true => Ok(space),
            false => Err(PciError::NotABalloon { vendor, device }),
        }
    }

    /// Returns the first of the structures of a kind that is in memory, which
    /// has at least so many bytes.
    pub(crate) fn find(&self, what: Structure, least: u64) -> Result<Place, PciError> {
        let place = self
            .capabilities()
            .find_map(|(at, header)| self.place(what, at, header))
            .ok_or(PciError::Missing(what))?;
        match place.bytes.end - place.bytes.start >= least {
            true => Ok(place),
            false => Err(PciError::TooShort(what)),
        }
    }

    /// Returns the capabilities of the device's own kind: where each begins,
    /// and its first word.
    fn capabilities(&self) -> impl Iterator<Item = (u8, u32)> {
        let has_list = self.word(COMMAND_AND_STATUS) & HAS_LIST != 0;
        let mut next = match has_list {
            true => self.word(FIRST_CAPABILITY) as u8,
            false => 0,
        };
        let step = move || {
            // The low two bits are reserved, and to be ignored.
            let at = next & !3;
            if at < LIST {
                return None;
            }
            let header = self.word(at);
            next = (header >> 8) as u8;
            Some((at, header))
        };
        core::iter::from_fn(step)
            .take(MOST)
            .filter(|(_, header)| *header as u8 == PCI_CAP_ID_VNDR)
    }

    /// Reads a capability, if it is of this structure and names memory.
    fn place(&self, what: Structure, at: u8, header: u32) -> Option<Place> {
        let (len, code) = ((header >> 16) as u8, (header >> 24) as u8);
        let needed = match what {
            Structure::Notify => 20,
            _ => 16,
        };
        if code != what.code() || len < needed || at > u8::MAX - (needed - 1) {
            return None;
        }
        let base = self.base(self.word(at + 4) as u8)?;
        let start = base.checked_add(self.word(at + 8).into())?;
        let end = start.checked_add(self.word(at + 12).into())?;
        let multiplier = match what {
            Structure::Notify => self.word(at + 16),
            _ => 0,
        };
        Some(Place {
            bytes: start..end,
            multiplier,
        })
    }

    /// Returns where a region begins, if it is memory and has an address.
    fn base(&self, bar: u8) -> Option<u64> {
        if bar >= BARS {
            return None;
        }
        let register = |bar| u64::from(self.word(FIRST_BAR + bar * 4));
        let low = register(bar);
        let high = match low & 7 {
            0b000 | 0b010 => 0,
            // The next register holds the other half.
            0b100 if bar + 1 < BARS => register(bar + 1),
            // Ports, or nothing that is defined.
            _ => return None,
        };
        let base = high << 32 | low & !0xf;
        (base != 0).then_some(base)
    }

    fn word(&self, register: u8) -> u32 {
        self.access.read_word(self.function, register)
    }
}
