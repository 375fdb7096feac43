//! Worst cases: the longest that a verb takes, and the longest hold of the lock in it.
//!
//! Each scene leads a heap to where one of its bounds is come closest to, by means
//! that anybody has who may call it, and does the one verb. Callgrind counts each of
//! its calls by itself, and in a second run each hold of the lock within them, which is
//! how long a shared heap keeps interrupts off. The longest of either is shown, and
//! beside it what it grows with.

mod arena;
mod scene;

use std::fmt;
use std::path::Path;

use serde::Serialize;

pub use arena::Heap;
pub use scene::{SCENES, Scene};

use crate::callgrind;
use crate::held::MARKED;
use crate::results::Place;

/// What is counted in one run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum What {
    /// Each call of the verb.
    Calls,
    /// Each hold of the lock within them.
    Holds,
}

/// What was counted of one scene on one heap.
#[derive(Clone, Debug, Serialize)]
pub struct Row {
    /// Where the heap was led.
    pub scene: &'static str,
    /// Which heap.
    pub heap: Heap,
    /// What was called.
    pub verb: &'static str,
    /// What its time grows with.
    pub bound: &'static str,
    /// The instructions of the longest call.
    pub longest: u64,
    /// The instructions of the longest hold of the lock in one, if there is a lock.
    pub held: Option<u64>,
    /// The most calls of the backing in one.
    pub hooks: u64,
}

/// What was counted of all of them.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Worst {
    /// Of how many pages the range is.
    pub pages: u32,
    /// A row for each scene and heap.
    pub rows: Vec<Row>,
    /// Why some are not here.
    pub troubles: Vec<String>,
}

/// Plays one scene, to be counted from outside, and returns the most calls of the
/// backing in one call of the verb.
///
/// # Errors
///
/// If there is no such scene, or it does not go as it should.
pub fn child(scene: usize, heap: Heap, what: What, pages: u32) -> Result<u64, String> {
    let scene = SCENES.get(scene).ok_or("there is no such scene")?;
    arena::play(scene, heap, what, pages)
}

/// Counts all scenes whose name contains `wanted`, in a range of so many pages, a power
/// of two.
///
/// # Errors
///
/// If valgrind is not installed, in a line.
pub fn run(
    program: &Path,
    pages: u32,
    wanted: &str,
    mut begins: impl FnMut(&str),
) -> Result<Worst, String> {
    if !callgrind::is_there() {
        return Err("valgrind is not installed: no instructions are counted".into());
    }
    let mut worst = Worst {
        pages,
        ..Worst::default()
    };
    for (index, scene) in SCENES.iter().enumerate() {
        if !scene.name.contains(wanted) {
            continue;
        }
        begins(scene.name);
        for &heap in scene.heaps {
            match row(program, pages, index, scene, heap) {
                Ok(row) => worst.rows.push(row),
                Err(why) => {
                    let what = format!("{}, {heap}, {}: {why}", scene.name, scene.verb);
                    worst.troubles.push(what);
                }
            }
        }
    }
    Ok(worst)
}

fn row(program: &Path, pages: u32, index: usize, scene: &Scene, heap: Heap) -> Result<Row, String> {
    let (longest, hooks) = longest(program, pages, index, heap, What::Calls)?;
    if longest == 0 {
        return Err("nothing was counted".into());
    }
    let held = match heap {
        Heap::Page => None,
        Heap::Shared => Some(self::longest(program, pages, index, heap, What::Holds)?.0),
    };
    Ok(Row {
        scene: scene.name,
        heap,
        verb: scene.verb,
        bound: scene.bound,
        longest,
        held,
        hooks,
    })
}

/// Returns the instructions of the longest, and what the scene said.
fn longest(
    program: &Path,
    pages: u32,
    index: usize,
    heap: Heap,
    what: What,
) -> Result<(u64, u64), String> {
    let (index, pages) = (index.to_string(), pages.to_string());
    let heap = heap.to_string();
    let mut arguments = vec![
        "--worst-scene",
        &index,
        "--worst-heap",
        &heap,
        "--counted-pages",
        &pages,
    ];
    if what == What::Holds {
        arguments.push("--worst-holds");
    }
    let counted = callgrind::run(program, &arguments, MARKED)?;
    let hooks = counted.said.first().and_then(|line| line.parse().ok());
    Ok((
        counted.calls.into_iter().max().unwrap_or(0),
        hooks.ok_or("it did not say how often the backing was called")?,
    ))
}

impl fmt::Display for Worst {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "Instructions of the longest call, and of the longest hold of the lock in one; {}",
            Place::Range(self.pages)
        )?;
        writeln!(
            f,
            "{:<34}{:<12}{:<28}{:>12}{:>12}{:>8}  grows with",
            "scene", "heap", "verb", "longest", "held", "hooks"
        )?;
        for row in &self.rows {
            let held = row.held.map_or("-".into(), |held| held.to_string());
            writeln!(
                f,
                "{:<34}{:<12}{:<28}{:>12}{held:>12}{:>8}  {}",
                row.scene,
                row.heap.to_string(),
                row.verb,
                row.longest,
                row.hooks,
                row.bound
            )?;
        }
        for trouble in &self.troubles {
            writeln!(f, "not counted: {trouble}")?;
        }
        Ok(())
    }
}
