//! How much memory is really resident: the kernel's own count, to compare with
//! the heap's.
//!
//! Two views. `statm` is one line for the whole process, cheap to read, and
//! moves with everything the process does; since Linux 6.2 it may lag by some
//! pages for each CPU. `smaps` is exact and says it for each mapping, for which
//! the kernel walks the page tables: milliseconds for a large process.
//!
//! Neither counts the zero page that a *read* of untouched memory maps.

use std::fmt;
use std::fs;
use std::ops::Range;

use crate::reservation::system_page;

const STATM: &str = "/proc/self/statm";
const SMAPS: &str = "/proc/self/smaps";

/// Why the kernel's count is not known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum RssError {
    /// The file could not be read.
    Unreadable {
        /// Which file.
        file: &'static str,
        /// The `errno`, if the system gave one.
        errno: Option<i32>,
    },
    /// The file does not say what it says on Linux.
    Malformed {
        /// Which file.
        file: &'static str,
    },
}

impl fmt::Display for RssError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::Unreadable { file, errno } => {
                write!(f, "{file} cannot be read")?;
                match errno {
                    Some(errno) => write!(f, ": {}", std::io::Error::from_raw_os_error(errno)),
                    None => Ok(()),
                }
            }
            Self::Malformed { file } => write!(f, "{file} is not understood"),
        }
    }
}

impl std::error::Error for RssError {}

/// What is resident of one mapping or several.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Usage {
    /// Resident bytes.
    pub resident_bytes: u64,
    /// Those of them in transparent huge pages.
    pub huge_bytes: u64,
    /// How many mappings the kernel keeps for it; there is a limit to all
    /// mappings of a process, 65,530 by default.
    pub mappings: u32,
}

/// Returns the resident set of this process in bytes.
///
/// # Errors
///
/// If `/proc` is not mounted, or not Linux's.
pub fn process_rss_bytes() -> Result<u64, RssError> {
    let pages = resident_pages(&read(STATM)?).ok_or(RssError::Malformed { file: STATM })?;
    Ok(pages * system_page() as u64)
}

/// Returns what is resident of the mappings that lie within these addresses.
pub(crate) fn usage_of(addresses: &Range<usize>) -> Result<Usage, RssError> {
    usage_in(&read(SMAPS)?, addresses).ok_or(RssError::Malformed { file: SMAPS })
}

fn read(file: &'static str) -> Result<String, RssError> {
    fs::read_to_string(file).map_err(|error| RssError::Unreadable {
        file,
        errno: error.raw_os_error(),
    })
}

/// Reads the second number of `statm`.
fn resident_pages(statm: &str) -> Option<u64> {
    statm.split_ascii_whitespace().nth(1)?.parse().ok()
}

/// Sums up the mappings of `smaps` that lie within `addresses`.
fn usage_in(smaps: &str, addresses: &Range<usize>) -> Option<Usage> {
    let mut usage = Usage::default();
    let mut ours = false;
    for line in smaps.lines() {
        let mut words = line.split_ascii_whitespace();
        let first = words.next()?;
        // "Rss:    12 kB", or else "7f00-7f80 rw-p 00000000 00:00 0".
        match first.strip_suffix(':') {
            None => {
                let (start, end) = first.split_once('-')?;
                let start = usize::from_str_radix(start, 16).ok()?;
                let end = usize::from_str_radix(end, 16).ok()?;
                ours = addresses.start <= start && end <= addresses.end;
                usage.mappings += u32::from(ours);
            }
            Some("Rss") if ours => usage.resident_bytes += kib(words.next()?)?,
            Some("AnonHugePages") if ours => usage.huge_bytes += kib(words.next()?)?,
            Some(_) => {}
        }
    }
    Some(usage)
}

fn kib(number: &str) -> Option<u64> {
    number.parse::<u64>().ok()?.checked_mul(1 << 10)
}

#[cfg(test)]
mod tests {
    use super::*;

    const EXAMPLE: &str = "\
10000-20000 rw-p 00000000 00:00 0 
Size:                 64 kB
Rss:                  64 kB
AnonHugePages:         0 kB
20000-40000 rw-p 00000000 00:00 0 
Rss:                 100 kB
AnonHugePages:        32 kB
VmFlags: rd wr mr mw me ac
40000-48000 ---p 00000000 00:00 0 
Rss:                   8 kB
48000-60000 r-xp 00000000 08:01 77 /usr/lib/a library.so
Rss:                  16 kB
";

    #[test]
    fn only_the_mappings_within_the_addresses_are_summed_up() {
        let usage = usage_in(EXAMPLE, &(0x20000..0x48000)).unwrap();
        assert_eq!(usage.resident_bytes, 108 << 10);
        assert_eq!(usage.huge_bytes, 32 << 10);
        assert_eq!(usage.mappings, 2);
        let cut = usage_in(EXAMPLE, &(0x20000..0x47fff)).unwrap();
        assert_eq!(cut.resident_bytes, 100 << 10);
    }

    #[test]
    fn what_is_no_table_of_mappings_is_an_error_and_not_a_zero() {
        for text in [
            "no addresses here",
            "1000-zz rw-p",
            "1000-2000 rw-p\nRss: many kB",
        ] {
            assert_eq!(usage_in(text, &(0..usize::MAX)), None, "{text}");
        }
        assert_eq!(resident_pages("123 45 6 7"), Some(45));
        assert_eq!(resident_pages("123"), None);
        assert_eq!(resident_pages("a b"), None);
    }

    #[test]
    fn a_process_has_some_resident_memory() {
        assert!(process_rss_bytes().unwrap() > 100 << 10);
    }
}
