//! Spans: their records, the pool they live in, handles to them, and the map
//! from an address to them.

mod age;
mod handle;
mod map;
mod pool;
pub(crate) mod slot;
mod storage;

pub(crate) use age::Ages;
pub use age::{Hold, HugeAge};
pub use handle::{Span, SpanInfo, SpanState};
pub(crate) use map::PageMap;
pub(crate) use pool::Pool;
pub use slot::Slot;
pub(crate) use slot::{Kinds, Link, Marks, SlotId};
pub use storage::{MapEntry, Metadata, MetadataError, MetadataSize, StaticMetadata, metadata_size};
