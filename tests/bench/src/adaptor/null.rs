//! No allocator: what the harness itself costs.

use spanheap_replay::adaptor::Null as Nothing;

use super::{About, Contender, Ground, Side, Unable, name};

/// Answers every call, and keeps nothing.
#[derive(Debug)]
pub struct Null;

impl Contender for Null {
    const ABOUT: About = About {
        side: Side::Floor,
        remembers: false,
        ..About::peer(name::NULL, name::NULL_LOCKED)
    };
    type Books = ();
    type Runs<'b> = Nothing;

    fn books(_: &Ground) -> Result<(), Unable> {
        Ok(())
    }

    fn runs((): &mut (), _: &Ground) -> Result<Nothing, Unable> {
        Ok(Nothing::default())
    }
}
