//! What the checks of a free cost: the instructions of a good one, and of each that is
//! refused.
//!
//! Everything is checked before anything is changed. So what is refused by the last of
//! the checks has passed all others and done nothing else, and what it takes is more
//! than all of them cost a good call. Callgrind counts each call by itself.

mod calls;

use std::collections::BTreeMap;
use std::fmt;
use std::path::Path;

use serde::Serialize;

pub use calls::child;

use crate::callgrind;
use crate::held::MARKED;
use crate::results::Place;

/// A way to free.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub enum Way {
    /// `PageHeap::free`, one page.
    Handle,
    /// `PageHeap::free_at`, one page.
    Address,
    /// `LockedHeap::free`, one page.
    Locked,
    /// `SharedHeap::free`, one page.
    Page,
    /// `SharedHeap::free`, four pages.
    Run,
}

/// All of them.
pub const WAYS: [Way; 5] = [Way::Handle, Way::Address, Way::Locked, Way::Page, Way::Run];

impl Way {
    /// What is refused by the last check.
    const fn last(self) -> Kind {
        match self {
            Self::Handle | Self::Locked | Self::Page => Kind::Second,
            Self::Address | Self::Run => Kind::WrongLength,
        }
    }
}

impl fmt::Display for Way {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Handle => "by handle",
            Self::Address => "by address",
            Self::Locked => "behind a lock",
            Self::Page => "a shared page",
            Self::Run => "a shared run",
        })
    }
}

/// What is freed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub enum Kind {
    /// Nothing: what the harness takes.
    Nothing,
    /// What was handed out.
    Good,
    /// The same again.
    Second,
    /// By a handle from before the span was shrunk.
    Stale,
    /// By another heap's handle.
    Foreign,
    /// A part from within.
    Interior,
    /// A part from the beginning.
    WrongLength,
    /// Pages that are not the heap's.
    Outside,
    /// From an address within a page.
    Unaligned,
    /// No pages.
    ZeroPages,
}

/// All that can be freed, and nothing.
const KINDS: [Kind; 10] = [
    Kind::Nothing,
    Kind::Good,
    Kind::Second,
    Kind::Stale,
    Kind::Foreign,
    Kind::Interior,
    Kind::WrongLength,
    Kind::Outside,
    Kind::Unaligned,
    Kind::ZeroPages,
];

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Nothing => "nothing",
            Self::Good => "what was handed out",
            Self::Second => "the same again",
            Self::Stale => "a stale handle",
            Self::Foreign => "another heap's handle",
            Self::Interior => "from its middle on",
            Self::WrongLength => "less than it has",
            Self::Outside => "outside of the window",
            Self::Unaligned => "an unaligned address",
            Self::ZeroPages => "no pages",
        })
    }
}

/// Instructions of one call, by kind and way.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Checks {
    /// Of how many pages the range is.
    pub pages: u32,
    /// The median of good calls, and the most of each kind that is refused; less the
    /// harness's.
    pub rows: BTreeMap<Kind, BTreeMap<Way, u64>>,
}

/// Counts all of them in a range of so many pages.
///
/// # Errors
///
/// If valgrind is not installed, or a call does not end as it should, in a line.
pub fn run(program: &Path, pages: u32, mut begins: impl FnMut(Way)) -> Result<Checks, String> {
    if !callgrind::is_there() {
        return Err("valgrind is not installed: no instructions are counted".into());
    }
    let mut checks = Checks {
        pages,
        ..Checks::default()
    };
    for (index, way) in WAYS.into_iter().enumerate() {
        begins(way);
        let (index, pages) = (index.to_string(), pages.to_string());
        let arguments = ["--checks-way", &index, "--counted-pages", &pages];
        let counted = callgrind::run(program, &arguments, MARKED)?;
        let kinds: Vec<_> = counted.said.iter().filter_map(|said| kind(said)).collect();
        if kinds.len() != counted.said.len() || kinds.len() >= counted.calls.len() {
            return Err(format!("{way}: callgrind has not counted all of it"));
        }
        let mut of_kind = BTreeMap::<_, Vec<_>>::new();
        for (kind, instructions) in kinds.into_iter().zip(counted.calls) {
            of_kind.entry(kind).or_default().push(instructions);
        }
        let nothing = of_kind.remove(&Kind::Nothing).unwrap_or_default();
        let harness = nothing.into_iter().min().unwrap_or(0);
        for (kind, mut calls) in of_kind {
            calls.sort_unstable();
            let at = match kind {
                Kind::Good => calls.len() / 2,
                _ => calls.len() - 1,
            };
            let row = checks.rows.entry(kind).or_default();
            row.insert(way, calls[at].saturating_sub(harness));
        }
    }
    Ok(checks)
}

fn kind(said: &str) -> Option<Kind> {
    KINDS.into_iter().find(|kind| kind.to_string() == said)
}

impl Checks {
    /// Returns what was counted, if it is a call that there is.
    #[must_use]
    pub fn get(&self, way: Way, kind: Kind) -> Option<u64> {
        self.rows.get(&kind)?.get(&way).copied()
    }

    /// Returns the most that all checks of a good free cost, and what it takes with
    /// them.
    #[must_use]
    pub fn bound(&self, way: Way) -> Option<(u64, u64)> {
        let refused = self.get(way, way.last())?;
        Some((refused, self.get(way, Kind::Good)?))
    }

    /// Returns all bounds, in a line. Of no use is that of a shared page, which is looked
    /// at twice before it is refused.
    #[must_use]
    pub fn figures(&self) -> String {
        let bound = |way| {
            let of = match way {
                Way::Page | Way::Run => "of ",
                Way::Handle | Way::Address | Way::Locked => "",
            };
            let (checks, good) = self.bound(way).unwrap_or_default();
            if checks < good {
                format!("{checks} of {good} {of}{way}")
            } else {
                format!("{good} in all {of}{way}")
            }
        };
        let bounds = WAYS.map(bound).join(", ");
        format!("figures: checks: at most so many instructions of a free: {bounds}")
    }
}

impl fmt::Display for Checks {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "Instructions of a free, less the harness's: the median of those that are \
             good, the most of each that is refused; {}",
            Place::Range(self.pages)
        )?;
        write!(f, "{:<24}", "what is freed")?;
        for way in WAYS {
            write!(f, "{:>14}", way.to_string())?;
        }
        for (kind, row) in &self.rows {
            write!(f, "\n{:<24}", kind.to_string())?;
            for way in WAYS {
                match row.get(&way) {
                    Some(count) if kind == &way.last() => write!(f, "{:>14}", format!("*{count}"))?,
                    Some(count) => write!(f, "{count:>14}")?,
                    None => write!(f, "{:>14}", "-")?,
                }
            }
        }
        writeln!(
            f,
            "\n\nEverything is checked before anything is changed: what is refused by the last\n\
             check (*) has passed all others, so that all of them cost a good free no more\n\
             than that. A shared page is looked at twice before it is refused."
        )?;
        writeln!(f, "{}", self.figures())
    }
}
