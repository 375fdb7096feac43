//! What can go wrong between a heap and the operating system.
//!
//! One type for all of it, because the same call is made for several verbs;
//! small and `Copy`, because a hook of the heap has no place for more and must
//! not allocate to report.

use std::fmt;

use spanheap::WindowError;

/// A system call.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum SystemCall {
    /// `mmap`: reserves address space.
    Mmap,
    /// `munmap`: cuts what was reserved for the alignment's sake.
    Munmap,
    /// `mprotect`: commits.
    Mprotect,
    /// `madvise`: releases one range, or sets the huge page policy.
    Madvise,
    /// `process_madvise`: releases many ranges at once.
    ProcessMadvise,
}

impl SystemCall {
    /// Returns the call's name.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Mmap => "mmap",
            Self::Munmap => "munmap",
            Self::Mprotect => "mprotect",
            Self::Madvise => "madvise",
            Self::ProcessMadvise => "process_madvise",
        }
    }
}

/// A system call that failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct CallError {
    /// Which one.
    pub call: SystemCall,
    /// The `errno` it left.
    pub errno: i32,
}

impl fmt::Display for CallError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let why = std::io::Error::from_raw_os_error(self.errno);
        write!(f, "{}: {why}", self.call.name())
    }
}

impl std::error::Error for CallError {}

/// Why the backing could not be made, or did not do what it was asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum HostedError {
    /// The geometry's physical page is no multiple of the system's page, so
    /// that the system cannot commit or release it alone.
    PhysicalPage {
        /// The geometry's physical page, in bytes.
        physical: u64,
        /// The system's page, in bytes.
        system: u64,
    },
    /// The reservation's size is no number of bytes or pages here.
    TooLarge,
    /// The window is none; with no pages, [`WindowError::BadLength`].
    Window(WindowError),
    /// The pages are not all in the window.
    OutsideWindow,
    /// The operating system refused.
    Call(CallError),
}

impl fmt::Display for HostedError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::PhysicalPage { physical, system } => write!(
                f,
                "a physical page of {physical} bytes is no multiple of the system's {system}"
            ),
            Self::TooLarge => f.write_str("the reservation is larger than the address space"),
            Self::Window(why) => why.fmt(f),
            Self::OutsideWindow => f.write_str("the pages are not all in the window"),
            Self::Call(why) => why.fmt(f),
        }
    }
}

impl std::error::Error for HostedError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Window(why) => Some(why),
            Self::Call(why) => Some(why),
            _ => None,
        }
    }
}

impl From<CallError> for HostedError {
    fn from(error: CallError) -> Self {
        Self::Call(error)
    }
}

impl From<WindowError> for HostedError {
    fn from(error: WindowError) -> Self {
        Self::Window(error)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_names_the_call_and_what_the_system_said() {
        let error = HostedError::from(CallError {
            call: SystemCall::Mprotect,
            errno: libc::ENOMEM,
        });
        let text = error.to_string();
        assert!(text.starts_with("mprotect: "), "{text}");
        assert!(text.contains("os error 12"), "{text}");
    }
}
