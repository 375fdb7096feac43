//! The harness: that its check finds what is wrong, that it drops nothing, and
//! that every contender does what it says it does.

mod check;
mod common;
mod count;
mod misuse;
mod program;
mod rounds;
mod shown;
mod worst;
