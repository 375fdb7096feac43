//! What the program is asked to do.

use std::fs::File;
use std::path::PathBuf;
use std::time::Duration;

use clap::{Parser, ValueEnum};
use spanheap_replay::trace;

use crate::adaptor::{Ground, all};
use crate::contest::{Job, Terms};
use crate::count::{Plan, TASKS, Task};
use crate::meter::Effort;
use crate::results::Place;
use crate::work::Work;
use crate::work::mixed::FULL;
use crate::work::play::Recording;
use crate::worst::Heap;

/// A group of works.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Group {
    /// One page, freed at once; a stack of 64.
    W1,
    /// A quarter of the range page by page, freed at random.
    W2,
    /// Half of the range at random: pairs, before and after turnover.
    W3,
    /// Mixed sizes at 70, 90 and 97 %.
    W4,
    /// Aligned huge pages over a fragmented range.
    W5,
    /// Two threads.
    W6,
    /// Set-up and metadata, up to 1 TiB.
    W7,
    /// Recorded traces.
    W8,
}

/// Holds spanheap against its peers: works on page numbers, by turns.
///
/// Exit code 0: all is well; 1: an allocator handed out a page twice; 2: an
/// option is not valid, or an output cannot be written.
#[derive(Clone, Debug, Parser)]
#[command(name = "bench", version)]
pub struct Options {
    /// Which works.
    #[arg(
        long,
        value_enum,
        value_delimiter = ',',
        value_name = "W1,W2…",
        ignore_case = true
    )]
    pub works: Vec<Group>,

    /// Which contenders, by the names over the columns ("+lock" for those of
    /// the second table).
    #[arg(long, value_delimiter = ',', value_name = "NAMES", value_parser = contender)]
    pub contenders: Vec<String>,

    /// Which ranges, in GiB (default: 1 and 16).
    #[arg(long, value_delimiter = ',', value_name = "GIB", value_parser = clap::value_parser!(u32).range(1..=1024))]
    pub ranges: Vec<u32>,

    /// How many pages of a range W2, W3, W5 and W6 fill, at most (default:
    /// 1,048,576, which is 4 GiB; all of it is W3's range in a smaller one).
    #[arg(long, value_name = "PAGES", value_parser = clap::value_parser!(u32).range(4096..=1 << 28))]
    pub most_pages: Option<u32>,

    /// Rounds that are counted, after one that warms up (default: 5, and 3 in
    /// ranges of more than 4 GiB).
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=1000))]
    pub rounds: Option<u32>,

    /// How long one run of one contender at one work may take (default: 5).
    #[arg(long, value_name = "SECONDS", value_parser = clap::value_parser!(u64).range(1..=3600))]
    pub patience: Option<u64>,

    /// Everything: 256 GiB, too, and 16 GiB filled, seven rounds, a minute's
    /// patience, and every work of the peers behind a lock as well.
    #[arg(long)]
    pub full: bool,

    /// Where the recorded traces are (default: the repository's).
    #[arg(long, value_name = "DIR")]
    pub traces: Option<PathBuf>,

    /// Count instructions for W1 to W4 instead of time, by valgrind, in a range
    /// of 1 GiB; and those of the longest that a lock is held in W4.
    #[arg(long, conflicts_with_all = ["rounds", "ranges", "svg", "full"])]
    pub instructions: bool,

    /// Count the worst cases instead, by valgrind, in a range of 1 GiB: the longest
    /// call of each scene, and the longest that a lock is held in it. Only scenes
    /// whose name contains this, if it is given.
    #[arg(long, value_name = "SCENE", num_args = 0..=1, default_missing_value = "",
          conflicts_with_all = ["instructions", "works", "contenders", "rounds", "ranges", "svg", "full"])]
    pub worst: Option<String>,

    /// Count what the checks of a free cost instead, by valgrind, in a range of 1 GiB:
    /// a good one, and each that is refused.
    #[arg(long, conflicts_with_all = ["instructions", "worst", "works", "contenders", "rounds", "ranges", "svg", "full"])]
    pub checks: bool,

    /// Free one way, for whoever counts from outside.
    #[arg(long, hide = true)]
    pub checks_way: Option<usize>,

    /// Play one scene of these, for whoever counts from outside.
    #[arg(long, hide = true, requires = "worst_heap")]
    pub worst_scene: Option<usize>,

    /// On which heap.
    #[arg(long, hide = true, value_enum)]
    pub worst_heap: Option<Heap>,

    /// And mark where its lock is held, not the calls.
    #[arg(long, hide = true)]
    pub worst_holds: bool,

    /// Do one task of the counted ones, for whoever counts from outside.
    #[arg(long, hide = true, requires = "counted_contender")]
    pub counted_task: Option<usize>,

    /// Who does it.
    #[arg(long, hide = true)]
    pub counted_contender: Option<String>,

    /// In a range of how many pages.
    #[arg(long, hide = true, default_value_t = COUNTED_PAGES)]
    pub counted_pages: u32,

    /// Print one JSON object instead of tables.
    #[arg(long)]
    pub json: bool,

    /// Draw the times as SVG.
    #[arg(long, value_name = "FILE.svg")]
    pub svg: Option<PathBuf>,
}

fn contender(text: &str) -> Result<String, String> {
    let all = all();
    if all.iter().any(|about| about.name == text) {
        return Ok(text.into());
    }
    let names: Vec<_> = all.iter().map(|about| about.name).collect();
    Err(format!("there are {}", names.join(", ")))
}

/// How many spans a work can make, besides one for each page that is filled.
const SPANS: u32 = 1 << 20;
/// Ranges in which allocators are set up, in GiB.
const SET_UP: [u32; 4] = [1, 16, 256, 1024];
/// The range in which instructions are counted: 1 GiB.
pub const COUNTED_PAGES: u32 = 1 << 18;
/// How many pairs the works do that have no natural end.
pub const PAIRS: u32 = 1 << 18;

impl Options {
    /// Returns how the works are done.
    #[must_use]
    pub fn terms(&self) -> Terms {
        let patience = self.patience.unwrap_or(if self.full { 60 } else { 5 });
        Terms {
            effort: Effort {
                pairs: PAIRS,
                most_pages: self.most_pages(),
                patience: Duration::from_secs(patience),
            },
            all_locked: self.full,
            contenders: self.contenders.clone(),
        }
    }

    fn most_pages(&self) -> u32 {
        let most = if self.full { 1 << 23 } else { 1 << 20 };
        self.most_pages.unwrap_or(most)
    }

    /// Returns how many rounds are counted in a place.
    fn rounds(&self, pages: u32) -> usize {
        let usual = match (self.full, pages > 1 << 20) {
            (true, _) => 7,
            (false, false) => 5,
            (false, true) => 3,
        };
        self.rounds.unwrap_or(usual) as usize
    }

    /// Returns what is done.
    ///
    /// # Errors
    ///
    /// If a trace cannot be read, in words.
    pub fn jobs(&self) -> Result<Vec<Job>, String> {
        let wants = |group| self.works.is_empty() || self.works.contains(&group);
        let mut ranges = match (self.ranges.is_empty(), self.full) {
            (false, _) => self.ranges.clone(),
            (true, false) => vec![1, 16],
            (true, true) => vec![1, 16, 256],
        };
        let timed = ranges.clone();
        if wants(Group::W7) && self.ranges.is_empty() {
            ranges.extend(SET_UP);
        }
        ranges.sort_unstable();
        ranges.dedup();
        let mut jobs = Vec::new();
        for gib in ranges {
            let mut works = Vec::new();
            if timed.contains(&gib) {
                works.extend(self.timed_works());
            }
            if wants(Group::W7) {
                works.push(Work::SetUp);
            }
            if !works.is_empty() {
                let pages = gib << 18;
                jobs.push(Job {
                    rounds: self.rounds(pages),
                    ..range(pages, self.most_pages(), works)?
                });
            }
        }
        if wants(Group::W8) {
            jobs.extend(self.recordings()?);
        }
        Ok(jobs)
    }

    /// Returns what is counted of `program`.
    ///
    /// # Errors
    ///
    /// If nothing of these works is, in words.
    pub fn plan(&self, program: PathBuf) -> Result<Plan, String> {
        let group = |task: &Task| match task {
            Task::Operations(Work::Hot) => Group::W1,
            Task::Operations(Work::Bulk) => Group::W2,
            Task::Operations(Work::Half) => Group::W3,
            Task::Operations(_) | Task::Holds(_) => Group::W4,
        };
        let mut tasks = TASKS.to_vec();
        tasks.retain(|task| self.works.is_empty() || self.works.contains(&group(task)));
        if tasks.is_empty() {
            return Err("instructions are counted for W1 to W4 only".into());
        }
        Ok(Plan {
            program,
            tasks,
            pages: COUNTED_PAGES,
        })
    }

    fn timed_works(&self) -> Vec<Work> {
        let wants = |group| self.works.is_empty() || self.works.contains(&group);
        let mut works = Vec::new();
        for (group, of_it) in [
            (Group::W1, vec![Work::Hot]),
            (Group::W2, vec![Work::Bulk]),
            (Group::W3, vec![Work::Half]),
            (Group::W4, FULL.map(Work::Mixed).to_vec()),
            (Group::W5, vec![Work::Huge]),
            (Group::W6, vec![Work::PairTwo, Work::RandomTwo, Work::Pass]),
        ] {
            if wants(group) {
                works.extend(of_it);
            }
        }
        works
    }

    fn recordings(&self) -> Result<Vec<Job>, String> {
        let here = concat!(env!("CARGO_MANIFEST_DIR"), "/../replay/traces");
        let directory = self.traces.clone().unwrap_or_else(|| here.into());
        let mut jobs = Vec::new();
        for name in ["build", "redis", "files", "compiler"] {
            let path = directory.join(format!("{name}.pagetrace.gz"));
            if !path.exists() {
                continue;
            }
            let fail = |why: &dyn std::fmt::Display| format!("{}: {why}", path.display());
            let file = File::open(&path).map_err(|why| fail(&why))?;
            let trace = trace::read(file).map_err(|why| fail(&why))?;
            let recording = Recording::new(name.into(), trace).map_err(|why| fail(&why))?;
            jobs.push(Job {
                place: Place::Trace(name.into()),
                ground: recording.ground,
                recording: Some(recording),
                works: vec![Work::Play],
                rounds: self.rounds(0),
            });
        }
        if jobs.is_empty() && (self.traces.is_some() || self.works.contains(&Group::W8)) {
            return Err(format!("there are no traces in {}", directory.display()));
        }
        Ok(jobs)
    }
}

/// Makes a job of works in a range of so many pages, of which at most so many
/// are filled page by page; a single round.
///
/// # Errors
///
/// If the range is too large, in words.
pub fn range(pages: u32, most_pages: u32, works: Vec<Work>) -> Result<Job, String> {
    let spans = most_pages.saturating_add(SPANS);
    let ground = Ground::new(pages, 4096, spans).map_err(|why| why.to_string())?;
    Ok(Job {
        place: Place::Range(pages),
        ground,
        recording: None,
        works,
        rounds: 1,
    })
}
