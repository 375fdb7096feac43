//! The hosted backing with real memory under it.
//!
//! What is resident is read for the reservation alone, so that tests beside it
//! in the same process disturb nothing; what changes the whole process runs in
//! a child.

mod common;

mod backing;
mod children;
mod failure;
mod heap;
