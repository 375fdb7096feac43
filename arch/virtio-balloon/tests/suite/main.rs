//! The balloon over a fake device: a state machine that speaks the transport's
//! trait and works on real memory, which it fills with junk as soon as it may.

mod board;
mod case;
mod common;
mod fake;
mod hostile;
mod idle;
mod pattern;
mod pci;
mod random;
mod registers;
mod shared;
mod start;
mod target;
mod threads;
