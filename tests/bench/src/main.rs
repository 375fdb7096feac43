//! The program: reads the options, runs the rounds, prints the table.

use std::io::{self, ErrorKind, Write};
use std::process::ExitCode;

use clap::Parser;
use spanheap::PageCount;
use spanheap_bench::contest::run;
use spanheap_bench::table::Table;

/// Times the page heap and its peers on page numbers, by turns.
#[derive(Debug, Parser)]
#[command(version)]
struct Options {
    /// The range, in MiB of 4 KiB pages.
    #[arg(long, default_value_t = 1024, value_parser = clap::value_parser!(u32).range(4..=1 << 18))]
    mib: u32,
    /// Rounds that are counted, after one that warms up.
    #[arg(long, default_value_t = 7, value_parser = clap::value_parser!(u32).range(1..=1000))]
    rounds: u32,
    /// Print one JSON object instead of a table.
    #[arg(long)]
    json: bool,
}

fn main() -> ExitCode {
    let options = Options::parse();
    let pages = PageCount::new(options.mib * 256);
    let table = match run(pages, options.rounds) {
        Ok(rounds) => Table::new(pages.get(), &rounds),
        Err(why) => return fail(&why),
    };
    let text = if options.json {
        match serde_json::to_string_pretty(&table) {
            Ok(json) => json + "\n",
            Err(why) => return fail(&why.to_string()),
        }
    } else {
        table.to_string()
    };
    match io::stdout().write_all(text.as_bytes()) {
        // A reader that closes early is no error.
        Err(why) if why.kind() != ErrorKind::BrokenPipe => fail(&why.to_string()),
        _ => ExitCode::SUCCESS,
    }
}

fn fail(why: &str) -> ExitCode {
    // Nobody is left to hear of an error here.
    let _ = writeln!(io::stderr(), "bench: {why}");
    ExitCode::from(2)
}
