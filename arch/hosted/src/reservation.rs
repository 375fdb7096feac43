//! A range of address space, owned: reserved, committed, discarded, unmapped.
//!
//! The only file of this crate with `unsafe` in it. Everything outside speaks
//! of offsets from the reservation's start, which are checked here, so that no
//! number from outside can make a call reach memory that is not this
//! reservation's.
//!
//! One page without access lies before the first byte and one behind the last:
//! a write that runs off either end faults, and the kernel never merges the
//! committed part with a neighbour's mapping, which keeps `/proc/self/smaps`
//! exact about it.
//!
//! Addresses are integers here, and the mapping's provenance is exposed: a
//! heap names memory by address, so its users make pointers from integers too.
//!
//! `rustix` makes every call it knows: the error is a value there, and flags
//! have types. It has no `process_madvise`; that one goes through `libc`.
//!
//! Invariant: `base .. base + mapped` is mapped, privately and anonymously, by
//! this value alone, until it is dropped; `origin .. origin + len` lies inside
//! of it, a guard page away from both ends.

use std::ffi::c_void;
use std::ops::Range;
use std::ptr;

use rustix::io::Errno;
use rustix::mm::{Advice, MapFlags, MprotectFlags, ProtFlags};

use crate::error::{CallError, HostedError, SystemCall};

/// Names this process to `process_madvise`; the kernel's `PIDFD_SELF`. Unlike
/// a descriptor it costs no slot, and after a `fork` it means the child.
const PIDFD_SELF: i32 = -10_000;

/// The most ranges one [`Reservation::discard_many`] takes. Batches of 32 to
/// 128 get nearly all there is to gain, and the list is on the stack.
pub(crate) const BATCH: usize = 64;

/// Returns the system's page size in bytes.
pub(crate) fn system_page() -> usize {
    rustix::param::page_size()
}

/// A range of address space.
#[derive(Debug)]
pub(crate) struct Reservation {
    /// The mapping, guard pages included.
    base: usize,
    mapped: usize,
    /// What is usable of it.
    origin: usize,
    len: usize,
}

impl Reservation {
    /// Reserves `len` bytes, a multiple of the system's page, from a multiple
    /// of `align`, a power of two and a multiple of the system's page.
    ///
    /// Linux aligns a mapping to no more than its page (or by chance): more is
    /// reserved than is needed, and both ends are cut.
    pub(crate) fn new(len: usize, align: usize) -> Result<Self, HostedError> {
        let guard = system_page();
        let mapped = len
            .checked_add(align)
            .and_then(|bytes| bytes.checked_add(2 * guard))
            .ok_or(HostedError::TooLarge)?;
        // SAFETY: the address is the kernel's choice, so nothing is replaced.
        let base = unsafe {
            rustix::mm::mmap_anonymous(
                ptr::null_mut(),
                mapped,
                ProtFlags::empty(),
                MapFlags::PRIVATE | MapFlags::NORESERVE,
            )
        }
        .map_err(|errno| failed(SystemCall::Mmap, errno))?
        .expose_provenance();
        // No overflow: all of it lies inside of the mapping.
        let origin = (base + guard).next_multiple_of(align);
        let mut this = Self {
            base,
            mapped,
            origin,
            len,
        };
        this.trim(guard)?;
        Ok(this)
    }

    /// Gives back what lies before and behind the guard pages.
    fn trim(&mut self, guard: usize) -> Result<(), HostedError> {
        let first = self.origin - guard;
        let end = self.origin + self.len + guard;
        if first > self.base {
            unmap(self.base, first - self.base)?;
            self.mapped -= first - self.base;
            self.base = first;
        }
        let behind = self.base + self.mapped - end;
        if behind > 0 {
            unmap(end, behind)?;
            self.mapped -= behind;
        }
        Ok(())
    }

    /// Returns the address of the first byte.
    pub(crate) const fn origin(&self) -> usize {
        self.origin
    }

    /// Returns the addresses, as the kernel's tables of mappings name them.
    pub(crate) const fn addresses(&self) -> Range<usize> {
        self.origin..self.origin + self.len
    }

    /// Returns a pointer to the bytes at these offsets; `None` if some are not
    /// the reservation's.
    pub(crate) fn pointer(&self, bytes: &Range<usize>) -> Option<*mut u8> {
        let inside = bytes.start <= bytes.end && bytes.end <= self.len;
        inside.then(|| ptr::with_exposed_provenance_mut(self.origin + bytes.start))
    }

    /// Makes bytes readable and writable. Keeps what they hold.
    pub(crate) fn commit(&self, bytes: Range<usize>) -> Result<(), CallError> {
        let at = self.target(SystemCall::Mprotect, &bytes)?;
        let access = MprotectFlags::READ | MprotectFlags::WRITE;
        // SAFETY: `target` says that these pages are this reservation's; more
        // access to them breaks no reference.
        unsafe { rustix::mm::mprotect(at, bytes.len(), access) }
            .map_err(|errno| failed(SystemCall::Mprotect, errno))
    }

    /// Asks for transparent huge pages, or for none, in the whole reservation.
    pub(crate) fn advise_huge(&self, huge: bool) -> Result<(), CallError> {
        let bytes = 0..self.len;
        let at = self.target(SystemCall::Madvise, &bytes)?;
        let advice = match huge {
            true => Advice::LinuxHugepage,
            false => Advice::LinuxNoHugepage,
        };
        // SAFETY: `target` says that these pages are this reservation's; the
        // advice changes no byte.
        unsafe { rustix::mm::madvise(at, bytes.len(), advice) }
            .map_err(|errno| failed(SystemCall::Madvise, errno))
    }

    /// Gives the memory behind these bytes back: they read as zero afterwards.
    pub(crate) fn discard(&self, bytes: Range<usize>) -> Result<(), CallError> {
        let at = self.target(SystemCall::Madvise, &bytes)?;
        // SAFETY: `target` says that these pages are this reservation's. Whoever
        // made a reference to them promised that nobody releases them.
        unsafe { rustix::mm::madvise(at, bytes.len(), Advice::LinuxDontNeed) }
            .map_err(|errno| failed(SystemCall::Madvise, errno))
    }

    /// [`discard`](Self::discard) for several ranges in one call, [`BATCH`] of
    /// them at most; returns how many bytes of them, in the order given, were
    /// given back.
    pub(crate) fn discard_many(&self, batch: &[Range<usize>]) -> Result<usize, CallError> {
        let call = SystemCall::ProcessMadvise;
        let mut list = [libc::iovec {
            iov_base: ptr::null_mut(),
            iov_len: 0,
        }; BATCH];
        for (entry, bytes) in list.iter_mut().zip(batch) {
            entry.iov_base = self.target(call, bytes)?;
            entry.iov_len = bytes.len();
        }
        // SAFETY: the kernel reads `list`, which outlives the call, no further
        // than its end; `target` says that every page it names is this
        // reservation's. Whoever made a reference to them promised that nobody
        // releases them.
        let done = unsafe {
            libc::syscall(
                libc::SYS_process_madvise,
                PIDFD_SELF,
                list.as_ptr(),
                batch.len().min(BATCH),
                libc::MADV_DONTNEED,
                0,
            )
        };
        usize::try_from(done).map_err(|_| CallError {
            call,
            errno: std::io::Error::last_os_error()
                .raw_os_error()
                .unwrap_or(libc::EIO),
        })
    }

    /// Writes zeroes to bytes.
    ///
    /// # Safety
    ///
    /// They are committed, and nobody else reads or writes them meanwhile.
    pub(crate) unsafe fn zero(&self, bytes: Range<usize>) {
        if let Some(at) = self.pointer(&bytes) {
            // SAFETY: `pointer` says that the bytes are this reservation's; the
            // caller, that they are committed and nobody else's.
            unsafe { at.write_bytes(0, bytes.len()) }
        }
    }

    /// Returns where a call shall act; an error if that is not all inside.
    fn target(&self, call: SystemCall, bytes: &Range<usize>) -> Result<*mut c_void, CallError> {
        match self.pointer(bytes) {
            Some(at) => Ok(at.cast()),
            None => Err(CallError {
                call,
                errno: libc::EFAULT,
            }),
        }
    }
}

impl Drop for Reservation {
    fn drop(&mut self) {
        // Nobody is left to tell; what fails to go stays reserved.
        let _ = unmap(self.base, self.mapped);
    }
}

/// Unmaps a part of a reservation that is made or dropped.
fn unmap(address: usize, len: usize) -> Result<(), CallError> {
    // SAFETY: both callers name a part of their own mapping that they give up;
    // pointers into it were promised to be used no longer than the backing
    // lives, or never existed.
    unsafe { rustix::mm::munmap(ptr::with_exposed_provenance_mut(address), len) }
        .map_err(|errno| failed(SystemCall::Munmap, errno))
}

fn failed(call: SystemCall, errno: Errno) -> CallError {
    CallError {
        call,
        errno: errno.raw_os_error(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MIB: usize = 1 << 20;

    #[test]
    fn a_reservation_is_aligned_and_guarded_on_both_sides() {
        let page = system_page();
        for align in [page, 2 * MIB, 64 * MIB] {
            let it = Reservation::new(4 * MIB, align).unwrap();
            assert_eq!(it.origin() % align, 0);
            assert_eq!(it.base, it.origin() - page);
            assert_eq!(it.mapped, 4 * MIB + 2 * page);
        }
    }

    #[test]
    fn offsets_that_are_not_all_inside_are_refused_by_every_verb() {
        let page = system_page();
        let it = Reservation::new(4 * page, page).unwrap();
        let outside = [
            0..5 * page,
            4 * page..5 * page,
            usize::MAX - page..usize::MAX,
        ];
        for bytes in outside {
            assert!(it.pointer(&bytes).is_none());
            assert!(it.commit(bytes.clone()).is_err());
            assert!(it.discard(bytes.clone()).is_err());
            let error = it.discard_many(&[0..page, bytes]).unwrap_err();
            assert_eq!(error.errno, libc::EFAULT);
        }
    }

    #[test]
    fn a_reservation_beyond_the_address_space_is_refused_with_the_errno() {
        let error = Reservation::new(1 << 62, system_page()).unwrap_err();
        let call = SystemCall::Mmap;
        let errno = libc::ENOMEM;
        assert_eq!(error, HostedError::Call(CallError { call, errno }));
        let error = Reservation::new(usize::MAX & !(MIB - 1), MIB).unwrap_err();
        assert_eq!(error, HostedError::TooLarge);
    }
}
