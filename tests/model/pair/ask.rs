//! A request as data: what a test writes, and what is wrong with it.

use std::ops::Range;

use spanheap::{AllocError, PageCount, Request};

use crate::model::Wanted;

/// A request, as a test writes it.
#[derive(Clone, Debug, Default)]
pub(crate) struct Ask {
    pub(crate) pages: u32,
    /// In bytes.
    pub(crate) align: Option<u64>,
    /// In addresses.
    pub(crate) within: Option<Range<u64>>,
    pub(crate) zeroed: bool,
}

impl Ask {
    pub(crate) fn pages(pages: u32) -> Self {
        Self {
            pages,
            ..Self::default()
        }
    }

    pub(super) fn request(&self) -> Request {
        let mut request = Request::pages(PageCount::new(self.pages));
        if let Some(align) = self.align {
            request = request.aligned(align);
        }
        if let Some(within) = &self.within {
            request = request.within(within.clone());
        }
        if self.zeroed {
            request = request.zeroed();
        }
        request
    }

    pub(super) fn wanted(&self) -> Wanted {
        Wanted {
            pages: self.pages,
            align: self.align.unwrap_or(1),
            within: self.within.clone().unwrap_or(0..u64::MAX),
        }
    }

    /// Everything that is wrong with it.
    pub(super) fn facts(&self) -> Vec<AllocError> {
        let mut facts = Vec::new();
        if self.pages == 0 {
            facts.push(AllocError::ZeroPages);
        }
        if self.align.is_some_and(|align| !align.is_power_of_two()) {
            facts.push(AllocError::BadAlignment);
        }
        if self.within.as_ref().is_some_and(Range::is_empty) {
            facts.push(AllocError::BadWindow);
        }
        facts
    }

    /// On how many sides of the pages something may remain.
    pub(super) fn sides(&self) -> u32 {
        match (&self.align, &self.within) {
            (None, None) => 1,
            _ => 2,
        }
    }
}
