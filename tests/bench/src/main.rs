//! The program: reads the options, runs the rounds, prints what came of them.

use std::env;
use std::fs::File;
use std::io::{self, ErrorKind, IsTerminal, Write};
use std::process::ExitCode;

use clap::Parser;
use serde::Serialize;
use spanheap_bench::adaptor::name::SHARED_HEAP;
use spanheap_bench::contest::run;
use spanheap_bench::count::{self, child};
use spanheap_bench::figure::Figure;
use spanheap_bench::memory;
use spanheap_bench::misuse;
use spanheap_bench::options::Options;
use spanheap_bench::picture::draw;
use spanheap_bench::table::Table;
use spanheap_bench::targets::{Targets, Verdict, verdicts};
use spanheap_bench::worst::{self, Heap, What};

/// An allocator did not do what it must.
const WRONG: u8 = 1;
/// An option or an output is not valid.
const INVALID: u8 = 2;

fn main() -> ExitCode {
    memory::keep();
    let options = Options::parse();
    let done = if let (Some(task), Some(who)) = (options.counted_task, &options.counted_contender) {
        child(task, who, options.counted_pages).and_then(|counts| tell_parent(&counts))
    } else if let (Some(scene), Some(heap)) = (options.worst_scene, options.worst_heap) {
        scene_for_parent(scene, heap, &options)
    } else if let Some(way) = options.checks_way {
        frees_for_parent(way, &options)
    } else if options.checks {
        checks(&options)
    } else if let Some(wanted) = &options.worst {
        worst_cases(wanted, &options)
    } else if options.instructions {
        instructions(&options)
    } else {
        contest(&options)
    };
    match done {
        Ok(code) => code,
        Err(why) => {
            // Nobody is left to hear of an error here.
            let _ = writeln!(io::stderr(), "bench: {why}");
            ExitCode::from(INVALID)
        }
    }
}

/// Runs the rounds.
fn contest(options: &Options) -> Result<ExitCode, String> {
    let jobs = options.jobs()?;
    let picture = options.svg.as_deref().map(|path| {
        let file = File::create(path);
        let file = file.map_err(|why| format!("{}: {why}", path.display()));
        file.map(|file| (path, file))
    });
    let picture = picture.transpose()?;
    let results = run(&jobs, &options.terms(), |place, lap| {
        progress(&format!("{place}: {lap}"));
    });
    if let Some((path, mut file)) = picture {
        let svg = draw(&results).map_err(|why| why.to_string())?;
        let written = file.write_all(svg.as_bytes());
        written.map_err(|why| format!("{}: {why}", path.display()))?;
    }
    if options.json {
        #[derive(Serialize)]
        struct All<R> {
            #[serde(flatten)]
            results: R,
            targets: Option<Vec<Verdict>>,
        }
        print_json(&All {
            results: results.json(),
            targets: verdicts(&results, SHARED_HEAP),
        })?;
    } else {
        print(&format!(
            "{}{}",
            Table(&results),
            Targets(&results, SHARED_HEAP)
        ))?;
    }
    Ok(match results.faults() {
        0 => ExitCode::SUCCESS,
        _ => ExitCode::from(WRONG),
    })
}

/// Counts instructions.
fn instructions(options: &Options) -> Result<ExitCode, String> {
    let program = env::current_exe().map_err(|why| why.to_string())?;
    let counts = count::run(&options.terms(), &options.plan(program)?, |about| {
        progress(&format!("counting {}", about.name));
    })?;
    if options.json {
        print_json(&counts)?;
    } else {
        print(&counts.to_string())?;
    }
    Ok(ExitCode::SUCCESS)
}

/// Counts the worst cases.
fn worst_cases(wanted: &str, options: &Options) -> Result<ExitCode, String> {
    let program = env::current_exe().map_err(|why| why.to_string())?;
    let worst = worst::run(&program, options.counted_pages, wanted, |scene| {
        progress(&format!("counting {scene}"));
    })?;
    if options.json {
        print_json(&worst)?;
    } else {
        print(&worst.to_string())?;
    }
    Ok(ExitCode::SUCCESS)
}

/// Counts what the checks of a free cost.
fn checks(options: &Options) -> Result<ExitCode, String> {
    let program = env::current_exe().map_err(|why| why.to_string())?;
    let checks = misuse::run(&program, options.counted_pages, |way| {
        progress(&format!("counting {way}"));
    })?;
    if options.json {
        print_json(&checks)?;
    } else {
        print(&checks.to_string())?;
    }
    Ok(ExitCode::SUCCESS)
}

/// Frees one way, and says what: a line for each call.
fn frees_for_parent(way: usize, options: &Options) -> Result<ExitCode, String> {
    let kinds = misuse::child(way, options.counted_pages)?;
    print(
        &kinds
            .iter()
            .map(|kind| format!("{kind}\n"))
            .collect::<String>(),
    )?;
    Ok(ExitCode::SUCCESS)
}

/// Plays one of them, and says how often the backing was called.
fn scene_for_parent(scene: usize, heap: Heap, options: &Options) -> Result<ExitCode, String> {
    let what = if options.worst_holds {
        What::Holds
    } else {
        What::Calls
    };
    let hooks = worst::child(scene, heap, what, options.counted_pages)?;
    print(&format!("{hooks}\n"))?;
    Ok(ExitCode::SUCCESS)
}

/// Says of how many operations each step was: a line for each.
fn tell_parent(counts: &[(Figure, u64)]) -> Result<ExitCode, String> {
    let lines = counts
        .iter()
        .map(|(_, operations)| format!("{operations}\n"));
    print(&lines.collect::<String>())?;
    Ok(ExitCode::SUCCESS)
}

fn progress(what: &str) {
    if io::stderr().is_terminal() {
        // Who cannot be told goes without.
        let _ = writeln!(io::stderr(), "{what}");
    }
}

fn print_json(what: &impl Serialize) -> Result<(), String> {
    let json = serde_json::to_string_pretty(what).map_err(|why| why.to_string())?;
    print(&(json + "\n"))
}

fn print(text: &str) -> Result<(), String> {
    let mut out = io::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        // A reader that closes early is no error.
        Err(why) if why.kind() == ErrorKind::BrokenPipe => Ok(()),
        done => done.map_err(|why| why.to_string()),
    }
}
