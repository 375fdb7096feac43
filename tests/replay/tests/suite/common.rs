//! What the suites share: traces made by hand, and the program.

use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use flate2::Compression;
use flate2::write::GzEncoder;
use roxmltree::{Document, Node};

/// A trace as it is written, event by event.
#[derive(Clone, Debug)]
pub(crate) struct Writer {
    pub(crate) page_size: u64,
    pub(crate) ms: u64,
    pub(crate) events: u64,
    pub(crate) allocs: u64,
    pub(crate) frees: u64,
    pub(crate) partial_frees: u64,
    live: u64,
    pub(crate) peak_live_pages: u64,
    pages: Vec<u64>,
    pub(crate) bytes: Vec<u8>,
}

impl Writer {
    pub(crate) fn new(page_size: u64) -> Self {
        Self {
            page_size,
            ms: 0,
            events: 0,
            allocs: 0,
            frees: 0,
            partial_frees: 0,
            live: 0,
            peak_live_pages: 0,
            pages: Vec::new(),
            bytes: Vec::new(),
        }
    }

    pub(crate) fn integer(&mut self, mut value: u64) {
        while value >= 0x80 {
            self.bytes.push(value as u8 | 0x80);
            value >>= 7;
        }
        self.bytes.push(value as u8);
    }

    /// Allocates a block, and returns its number.
    pub(crate) fn alloc(&mut self, pages: u64) -> u64 {
        self.integer(pages << 4 | 1 << 2);
        self.events += 1;
        self.live = self.live.saturating_add(pages);
        self.peak_live_pages = self.peak_live_pages.max(self.live);
        self.pages.push(pages);
        self.allocs += 1;
        self.allocs - 1
    }

    pub(crate) fn free(&mut self, block: u64) {
        self.integer((self.allocs - block) << 2 | 1);
        self.events += 1;
        self.frees += 1;
        self.live = self.live.saturating_sub(self.pages[block as usize]);
    }

    pub(crate) fn free_part(&mut self, block: u64, first: u64, pages: u64) {
        self.integer((self.allocs - block) << 2 | 2);
        self.integer(first);
        self.integer(pages);
        self.events += 1;
        self.frees += 1;
        self.partial_frees += 1;
        self.live = self.live.saturating_sub(pages);
    }

    pub(crate) fn tick(&mut self, ms: u64) {
        self.integer(ms << 3 | 3);
        self.events += 1;
        self.ms += ms;
    }

    pub(crate) fn cpu(&mut self, cpu: u64) {
        self.integer(cpu << 3 | 7);
        self.events += 1;
    }

    pub(crate) fn header(&self) -> String {
        format!(
            r#"{{"page_size":{},"events":{},"allocs":{},"frees":{},"partial_frees":{},"peak_live_pages":{},"ms":{},"source":"made by hand"}}"#,
            self.page_size,
            self.events,
            self.allocs,
            self.frees,
            self.partial_frees,
            self.peak_live_pages,
            self.ms
        )
    }

    /// The trace before it is compressed.
    pub(crate) fn plain(&self) -> Vec<u8> {
        let mut plain = format!("PAGETRACE 1\n{}\n", self.header()).into_bytes();
        plain.extend_from_slice(&self.bytes);
        plain
    }

    pub(crate) fn gzip(&self) -> Vec<u8> {
        gzip(&self.plain())
    }
}

pub(crate) fn gzip(plain: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(plain).unwrap();
    encoder.finish().unwrap()
}

/// A generator of numbers that are the same in every run.
pub(crate) struct Numbers(pub(crate) u64);

impl Numbers {
    pub(crate) fn below(&mut self, limit: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % limit
    }
}

/// A trace of `steps` random events: blocks of up to 40 pages, freed whole or
/// in parts, some of them never.
pub(crate) fn random_trace(seed: u64, page_size: u64, steps: u64) -> Writer {
    /// A live block: its number, its pages, and the pieces that remain.
    type Block = (u64, u64, Vec<(u64, u64)>);
    let mut numbers = Numbers(seed);
    let mut trace = Writer::new(page_size);
    let mut live: Vec<Block> = Vec::new();
    for _ in 0..steps {
        match numbers.below(10) {
            0..=3 => {
                let pages = 1 + numbers.below(40);
                let block = trace.alloc(pages);
                live.push((block, pages, vec![(0, pages)]));
            }
            4..=8 if !live.is_empty() => {
                let index = numbers.below(live.len() as u64) as usize;
                let (block, pages, remains) = &mut live[index];
                if remains[..] == [(0, *pages)] && numbers.below(2) == 0 {
                    trace.free(*block);
                    remains.clear();
                } else {
                    let piece = numbers.below(remains.len() as u64) as usize;
                    let (start, end) = remains.swap_remove(piece);
                    let first = start + numbers.below(end - start);
                    let count = 1 + numbers.below(end - first);
                    trace.free_part(*block, first, count);
                    let rests = [(start, first), (first + count, end)];
                    remains.extend(rests.into_iter().filter(|(start, end)| start < end));
                }
                if remains.is_empty() {
                    live.swap_remove(index);
                }
            }
            _ => {
                trace.tick(numbers.below(9));
                trace.cpu(numbers.below(4));
            }
        }
    }
    trace
}

/// Writes a file that only this test uses.
pub(crate) fn file(name: &str, bytes: &[u8]) -> PathBuf {
    let path = scratch(name);
    fs::write(&path, bytes).unwrap();
    path
}

/// A path that only this test uses.
pub(crate) fn scratch(name: &str) -> PathBuf {
    Path::new(env!("CARGO_TARGET_TMPDIR")).join(name)
}

/// A trace that ships with this crate.
pub(crate) fn shipped(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("traces")
        .join(format!("{name}.pagetrace.gz"))
}

/// A trace that does not: in the directory that `SPANHEAP_TRACES` names, or
/// beside the repository. Says so if it is in neither.
pub(crate) fn shared(name: &str) -> Option<PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let folder = std::env::var_os("SPANHEAP_TRACES")
        .map_or_else(|| root.join("../shared/traces"), PathBuf::from);
    let path = folder.join(format!("{name}.pagetrace.gz"));
    if path.is_file() {
        return Some(path);
    }
    // Not by a macro: the test runner would keep it to itself.
    let _ = writeln!(
        io::stderr(),
        "skipped: the trace {name} is not in {folder:?} (SPANHEAP_TRACES names another folder)"
    );
    None
}

/// The program, not yet run.
pub(crate) fn replay(trace: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_replay"));
    command.arg(trace);
    command
}

/// Runs the program and returns its JSON, which must be alone on standard output.
pub(crate) fn json(trace: &Path, options: &[&str]) -> serde_json::Value {
    let done = replay(trace).arg("--json").args(options).output().unwrap();
    let told = String::from_utf8_lossy(&done.stderr);
    assert!(done.status.success(), "{trace:?} {options:?}: {told}");
    assert_eq!(told, "", "nothing on standard error");
    serde_json::from_slice(&done.stdout).unwrap()
}

/// Asserts that the program refused its input: exit code 2, nothing on standard
/// output, one line on standard error. Returns that line.
pub(crate) fn refused(done: &Output) -> String {
    let told = String::from_utf8(done.stderr.clone()).unwrap();
    assert_eq!(done.status.code(), Some(2), "{told}");
    assert_eq!(done.stdout, b"", "{told}");
    assert!(told.starts_with("replay: "), "{told}");
    assert_eq!(told.matches('\n').count(), 1, "one line: {told:?}");
    assert!(told.ends_with('\n'), "{told:?}");
    told
}

/// Returns a picture's width and height.
pub(crate) fn size(document: &Document<'_>) -> (f64, f64) {
    let root = document.root_element();
    assert_eq!(root.tag_name().name(), "svg");
    let side = |name| root.attribute(name).unwrap().parse().unwrap();
    (side("width"), side("height"))
}

/// Returns a node's attribute.
pub(crate) fn number(node: &Node<'_, '_>, name: &str) -> f64 {
    node.attribute(name).unwrap().parse().unwrap()
}

/// Asserts that every text lies inside of the picture, if a letter is no wider
/// than six tenths of the font's size.
pub(crate) fn assert_nothing_is_clipped(document: &Document<'_>) {
    let (width, height) = size(document);
    for node in document
        .descendants()
        .filter(|node| node.has_tag_name("text"))
    {
        let text = node.text().unwrap_or("").trim();
        if node.attribute("transform").is_some() {
            continue;
        }
        let long = text.len() as f64 * 0.6 * number(&node, "font-size");
        let (x, y) = (number(&node, "x"), number(&node, "y"));
        let (from, to) = match node.attribute("text-anchor") {
            Some("end") => (x - long, x),
            Some("middle") => (x - long / 2.0, x + long / 2.0),
            _ => (x, x + long),
        };
        assert!(
            from >= 0.0 && to <= width + 4.0,
            "{text:?} from {from} to {to}"
        );
        assert!((10.0..height).contains(&y), "{text:?} at {y}");
    }
}
