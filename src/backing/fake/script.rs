//! What a test told the fake to do: fail once, fail from now on, and the
//! regions it may grow by.
//!
//! Only hooks that *can* fail are counted: `sys_used`, `sys_unused` and `grow`.
//!
//! Invariant: a fault set with `fail_nth` fires once, and never again.

use std::collections::VecDeque;

use crate::backing::Growth;

/// Which calls fail.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fault {
    /// None.
    Never,
    /// The one after this many, and then none; of a release this many ranges
    /// are done first.
    Once { after: u32, done: usize },
    /// Every one.
    Always,
}

/// The orders a fake has been given, and how far it has come.
#[derive(Debug)]
pub(super) struct Script {
    fault: Fault,
    fired: bool,
    calls: u64,
    offers: VecDeque<Growth>,
}

impl Script {
    pub(super) const fn new() -> Self {
        Self {
            fault: Fault::Never,
            fired: false,
            calls: 0,
            offers: VecDeque::new(),
        }
    }

    pub(super) fn fail_nth(&mut self, after: u32, done: usize) {
        self.fault = Fault::Once { after, done };
        self.fired = false;
    }

    pub(super) fn fail_always(&mut self) {
        self.fault = Fault::Always;
        self.fired = false;
    }

    pub(super) fn recover(&mut self) {
        self.fault = Fault::Never;
    }

    pub(super) const fn fired(&self) -> bool {
        self.fired
    }

    pub(super) const fn calls(&self) -> u64 {
        self.calls
    }

    /// Counts one call that can fail. If it does: how many ranges are done.
    pub(super) fn next_call(&mut self) -> Option<usize> {
        self.calls += 1;
        let failed = match self.fault {
            Fault::Never => None,
            Fault::Always => Some(0),
            Fault::Once { after: 0, done } => {
                self.fault = Fault::Never;
                Some(done)
            }
            Fault::Once { after, done } => {
                self.fault = Fault::Once {
                    after: after - 1,
                    done,
                };
                None
            }
        };
        self.fired |= failed.is_some();
        failed
    }

    pub(super) fn offer(&mut self, growth: Growth) {
        self.offers.push_back(growth);
    }

    pub(super) fn next_offer(&mut self) -> Option<Growth> {
        self.offers.pop_front()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exactly_the_nth_call_fails() {
        let mut script = Script::new();
        script.fail_nth(2, 7);
        let failed: [_; 5] = core::array::from_fn(|_| script.next_call());
        assert_eq!(failed, [None, None, Some(7), None, None]);
        assert!(script.fired());
        assert_eq!(script.calls(), 5);
    }

    #[test]
    fn every_call_fails_until_the_backing_recovers() {
        let mut script = Script::new();
        script.fail_always();
        assert_eq!(script.next_call(), Some(0));
        assert_eq!(script.next_call(), Some(0));
        script.recover();
        assert_eq!(script.next_call(), None);
    }

    #[test]
    fn a_fault_that_has_not_fired_says_so() {
        let mut script = Script::new();
        script.fail_nth(1, 0);
        assert_eq!(script.next_call(), None);
        assert!(!script.fired());
    }
}
