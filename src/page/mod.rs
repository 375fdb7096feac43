//! Pages, counts and ranges of them, and the window that ties them to addresses.
//!
//! The only place where page arithmetic is written. A page is named by its
//! number from the window's origin, so that the heap above never sees an
//! address; bytes appear here and nowhere else.

mod geometry;
mod range;
mod window;

pub use geometry::{Geometry, GeometryError};
pub use range::{Page, PageCount, PageRange};
pub use window::{AddressError, Window, WindowError};
