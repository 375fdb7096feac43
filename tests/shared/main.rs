//! The shared heap: one CPU after the other against a naive account, and many
//! at once.

mod common;
mod misuse;
mod naive;
mod pressure;
mod random;
mod threads;
