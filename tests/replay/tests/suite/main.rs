//! The replay as a whole: the program, its input, its output, and the pass
//! that must notice when an allocator is wrong.

mod bad_traces;
mod command_line;
mod common;
mod pictures;
mod policies;
mod policies_command;
mod policies_limit;
mod traces;
mod verification;
