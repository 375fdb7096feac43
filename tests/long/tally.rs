//! How often each verb was called, and how it ended.

use spanheap::{AllocAtError, AllocError, ResizeError};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verb {
    Alloc,
    AllocAligned,
    AllocWithin,
    AllocZeroed,
    AllocAt,
    Free,
    FreeAt,
    FreePart,
    FreePartAt,
    Shrink,
    Grow,
    Other,
    Misuse,
    Release,
    SetLimit,
}

const VERBS: usize = Verb::SetLimit as usize + 1;

/// Why a call was denied that was right in itself.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Denied {
    NoRun,
    NoSlot,
    Limit,
    Refused,
    /// Other pages are where these were to be.
    InTheWay,
}

const DENIALS: usize = Denied::InTheWay as usize + 1;

#[derive(Debug, Default)]
pub(crate) struct Tally {
    done: [u64; VERBS],
    denied: [u64; DENIALS],
}

impl Tally {
    pub(crate) fn note(&mut self, verb: Verb) {
        self.done[verb as usize] += 1;
    }

    /// Notes a denial.
    ///
    /// # Panics
    ///
    /// If it is one that no right call may meet with.
    pub(crate) fn deny(&mut self, why: impl TryInto<Denied, Error: core::fmt::Debug>) {
        self.denied[why.try_into().expect("a right call") as usize] += 1;
    }

    /// How many calls there were.
    pub(crate) fn calls(&self) -> u64 {
        self.done.iter().chain(&self.denied).sum()
    }

    pub(crate) fn add(&mut self, other: &Self) {
        let all = self.done.iter_mut().chain(&mut self.denied);
        for (mine, others) in all.zip(other.done.iter().chain(&other.denied)) {
            *mine += others;
        }
    }

    /// Fails unless everything has happened: a run that gets nowhere proves nothing.
    pub(crate) fn assert_saw_everything(&self, grows: bool) {
        let never = |verb: usize| self.done[verb] == 0;
        for verb in (0..VERBS).filter(|&verb| grows || verb != Verb::Grow as usize) {
            assert!(!never(verb), "verb {verb}: {self:?}");
        }
        assert!(!self.denied.contains(&0), "{self:?}");
    }
}

impl TryFrom<AllocError> for Denied {
    type Error = AllocError;

    fn try_from(why: AllocError) -> Result<Self, AllocError> {
        match why {
            AllocError::NoRun => Ok(Self::NoRun),
            AllocError::NoSlot => Ok(Self::NoSlot),
            AllocError::Limit => Ok(Self::Limit),
            AllocError::Refused(_) => Ok(Self::Refused),
            other => Err(other),
        }
    }
}

impl TryFrom<AllocAtError> for Denied {
    type Error = AllocAtError;

    fn try_from(why: AllocAtError) -> Result<Self, AllocAtError> {
        match why {
            AllocAtError::InUse | AllocAtError::Outside => Ok(Self::InTheWay),
            AllocAtError::NoSlot => Ok(Self::NoSlot),
            AllocAtError::Limit => Ok(Self::Limit),
            AllocAtError::Refused(_) => Ok(Self::Refused),
            other => Err(other),
        }
    }
}

impl TryFrom<ResizeError> for Denied {
    type Error = ResizeError;

    fn try_from(why: ResizeError) -> Result<Self, ResizeError> {
        match why {
            ResizeError::NoRoom => Ok(Self::InTheWay),
            ResizeError::NoSlot => Ok(Self::NoSlot),
            ResizeError::Limit => Ok(Self::Limit),
            ResizeError::Refused(_) => Ok(Self::Refused),
            other => Err(other),
        }
    }
}
