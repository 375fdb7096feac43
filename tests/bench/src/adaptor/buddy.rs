//! `buddy_system_allocator`'s `FrameAllocator`, over trees of free blocks.

use spanheap_replay::adaptor::Buddy as Frames;

use super::{About, Contender, Ground, Unable, name};

/// `buddy_system_allocator`; its books are from the system's malloc.
#[derive(Debug)]
pub struct Buddy;

impl Contender for Buddy {
    const ABOUT: About = About {
        rounds: true,
        ..About::peer(name::BUDDY, name::BUDDY_LOCKED)
    };
    type Books = ();
    type Runs<'b> = Frames;

    fn books(_: &Ground) -> Result<(), Unable> {
        Ok(())
    }

    fn runs((): &mut (), ground: &Ground) -> Result<Frames, Unable> {
        Ok(Frames::new(ground.range()))
    }
}
