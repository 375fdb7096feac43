//! What can be wrong with a device: at the start, and later.
//!
//! Invariant: a fault is final. The device was reset, or is asked to be, and no
//! request is made to it any more.

use core::fmt;

use virtio_drivers::transport::DeviceType;

/// A queue of the balloon.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Queue {
    /// Pages that go into the balloon.
    Inflate,
    /// Pages that come out of it.
    Deflate,
    /// The guest's numbers.
    Stats,
    /// Free pages.
    Reporting,
}

impl fmt::Display for Queue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Inflate => "inflate",
            Self::Deflate => "deflate",
            Self::Stats => "statistics",
            Self::Reporting => "reporting",
        })
    }
}

/// What a device did that ended its use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Fault {
    /// It did not answer within the machine's patience.
    Silent(Queue),
    /// It answered so many requests at once, of one or none.
    Index {
        /// On which queue.
        queue: Queue,
        /// How many, modulo 2¹⁶.
        ahead: u16,
    },
    /// It answered a request that was not made.
    Id {
        /// On which queue.
        queue: Queue,
        /// The number it gave.
        id: u32,
    },
    /// Its configuration space ends before what it must hold.
    Config,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Silent(queue) => write!(f, "no answer on the {queue} queue"),
            Self::Index { queue, ahead } => {
                write!(f, "{ahead} answers at once on the {queue} queue")
            }
            Self::Id { queue, id } => {
                write!(f, "an answer to request {id} on the {queue} queue")
            }
            Self::Config => f.write_str("the configuration space is too small"),
        }
    }
}

impl core::error::Error for Fault {}

/// How a balloon is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Health {
    /// It has no device yet.
    NotStarted,
    /// The device does what it should.
    Working,
    /// The device is not used any more.
    Broken {
        /// Why.
        fault: Fault,
        /// Whether it has acknowledged its reset. Until it does, it may still
        /// act on what it was last given, so those pages are not used.
        let_go: bool,
    },
}

/// Why a balloon was not started. It is as it was; the device was reset, or not
/// touched, and the shared memory is free again, but after
/// [`NoReset`](Self::NoReset).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum StartError {
    /// It was started before.
    AlreadyStarted,
    /// The device is of another type.
    NotABalloon(DeviceType),
    /// The shared memory does not begin at a multiple of 4096, or ends above
    /// what a device can address.
    SharedMemory,
    /// The window's physical pages are no multiple of 4096 bytes, the unit that
    /// the device counts in.
    PhysicalPage,
    /// The window ends above 2⁴⁴, the end of what page frame numbers can name.
    WindowTooHigh,
    /// The window's physical pages are smaller than its huge pages, and
    /// [`Pieces::Any`](crate::Pieces::Any) was not asked for.
    SmallPieces,
    /// The device did not acknowledge its reset. It may act on whatever it was
    /// told before, and for as long as that is so, nothing may use the shared
    /// memory.
    NoReset,
    /// The device does not speak version 1 over a transport that requires it.
    NotVersion1,
    /// The device refused features that it had offered.
    FeaturesRefused,
    /// A queue is absent, or shorter than 32.
    NoQueue(Queue),
    /// A queue is to be notified outside of the device's own registers.
    NoDoorbell(Queue),
    /// The device failed.
    Fault(Fault),
}

impl fmt::Display for StartError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::AlreadyStarted => f.write_str("the balloon was started before"),
            Self::NotABalloon(what) => write!(f, "the device is no balloon but {what:?}"),
            Self::SharedMemory => f.write_str("the shared memory is unaligned or too high"),
            Self::PhysicalPage => f.write_str("a physical page is no multiple of 4096 bytes"),
            Self::WindowTooHigh => f.write_str("the window ends above 2^44"),
            Self::SmallPieces => {
                f.write_str("a physical page is smaller than a huge page, which was not asked for")
            }
            Self::NoReset => f.write_str("the device did not acknowledge its reset"),
            Self::NotVersion1 => f.write_str("the device does not speak version 1"),
            Self::FeaturesRefused => f.write_str("the device refused features it had offered"),
            Self::NoQueue(queue) => write!(f, "no {queue} queue of 32 descriptors"),
            Self::NoDoorbell(queue) => {
                write!(f, "the {queue} queue has no doorbell among the registers")
            }
            Self::Fault(fault) => fault.fmt(f),
        }
    }
}

impl core::error::Error for StartError {
    fn source(&self) -> Option<&(dyn core::error::Error + 'static)> {
        match self {
            Self::Fault(fault) => Some(fault),
            _ => None,
        }
    }
}
