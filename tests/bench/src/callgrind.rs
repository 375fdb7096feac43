//! A program under valgrind's callgrind, which counts the instructions of one
//! of its functions, each call by itself.
//!
//! Callgrind writes down what it counted whenever the function is left, and begins
//! anew.

use std::fs::{self, File};
use std::io::{self, BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};

/// What a program said, and what callgrind counted of it.
#[derive(Debug)]
pub(crate) struct Counted {
    /// What it said, by the line.
    pub(crate) said: Vec<String>,
    /// The instructions of each call of the function, what it calls included; and
    /// last those after it, of which there are none.
    pub(crate) calls: Vec<u64>,
}

/// Says whether valgrind is installed.
#[must_use]
pub(crate) fn is_there() -> bool {
    let version = Command::new("valgrind").arg("--version").output();
    version.is_ok()
}

/// Runs `program`, and counts what `function` takes, by its name without arguments.
///
/// # Errors
///
/// If it fails, or valgrind does, in a line.
pub(crate) fn run(program: &Path, arguments: &[&str], function: &str) -> Result<Counted, String> {
    let directory = Scratch::new()?;
    let out = directory.0.join("out");
    let run = Command::new("valgrind")
        .arg("--tool=callgrind")
        .arg("--collect-atstart=no")
        .arg(format!("--toggle-collect={function}"))
        .arg(format!("--dump-after={function}"))
        .arg("--combine-dumps=yes")
        .arg(format!("--callgrind-out-file={}", out.display()))
        .arg(program)
        .args(arguments)
        .stdin(Stdio::null())
        .output()
        .map_err(|why| why.to_string())?;
    if !run.status.success() {
        let told = String::from_utf8_lossy(&run.stderr);
        let last = told.lines().rfind(|line| !line.starts_with("=="));
        return Err(last.unwrap_or("it failed under valgrind").into());
    }
    let calls = File::open(&out).and_then(|file| totals(BufReader::new(file)));
    let said = String::from_utf8_lossy(&run.stdout);
    Ok(Counted {
        said: said.lines().map(Into::into).collect(),
        calls: calls.map_err(|why| format!("{}: {why}", out.display()))?,
    })
}

/// Returns the instructions of each part of a file that callgrind wrote.
fn totals(file: impl BufRead) -> io::Result<Vec<u64>> {
    let total = |line: &str| line.strip_prefix("totals: ")?.trim().parse().ok();
    let totals = file.lines().map(|line| line.map(|line| total(&line)));
    totals.filter_map(Result::transpose).collect()
}

/// A directory that is gone afterwards.
struct Scratch(PathBuf);

impl Scratch {
    fn new() -> Result<Self, String> {
        static LAST: AtomicU32 = AtomicU32::new(0);
        // Alone: only that each number is given once matters.
        let number = LAST.fetch_add(1, Ordering::Relaxed);
        let unique = format!("spanheap-bench-{}-{number}", std::process::id());
        let path = std::env::temp_dir().join(unique);
        fs::create_dir_all(&path).map_err(|why| format!("{}: {why}", path.display()))?;
        Ok(Self(path))
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        // What is left of it harms nobody.
        let _ = fs::remove_dir_all(&self.0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_part_of_a_callgrind_file_has_its_sum() {
        let part =
            |sum| format!("part: 1\nevents: Ir\nsummary: {sum}\n\nfn=(1) x\n3 4\ntotals: {sum}\n");
        let two = part(1234) + &part(77);
        assert_eq!(totals(two.as_bytes()).expect("memory"), [1234, 77]);
    }
}
