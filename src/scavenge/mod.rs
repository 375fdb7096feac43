//! When to give memory back, and how much.
//!
//! Releasing memory is cheap; taking it back is not, and keeping it costs whoever
//! could use it. Which of the two costs more depends on how long the memory stays
//! idle, which nobody knows. So a huge page is held for as long as keeping it has
//! cost less than taking it back would, and then released: that is never worse than
//! twice what a prophet would pay (ski rental; Karlin et al. 1994). Three things
//! make it better than that:
//!
//! * One that was taken back later than that the last time is not waited for again:
//!   it goes as soon as it is not young. Of one that nothing is known of, the hold
//!   is 0.58 of it, the mean of the best random one.
//! * All of it is paid from a purse (a share of one CPU's time). The less is in
//!   it, the longer everything is held, so that what is left goes for what saves
//!   most; and in debt nothing is released.
//! * Whatever it has cost: what was idle for the whole deadline goes. An idle system
//!   shrinks, although nobody allocates.
//!
//! Only whole huge pages go, from the top down, where first fit comes last.
//!
//! There is no clock and no thread here: the caller says what time it is, and is
//! told when to call again.

mod amount;
mod clock;
mod demand;
mod heap;
mod measure;
mod peak;
mod policy;
mod purse;
mod scavenger;

pub use demand::Pressure;
pub use heap::Reclaim;
pub use policy::{Costs, Policy};
pub use scavenger::Scavenger;
