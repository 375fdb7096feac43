//! The program: reads the options, runs, prints.
//!
//! What a user can get wrong is one line on standard error and exit code 2. A
//! reader that closes the other end of standard output early is not an error.

use std::fmt::Display;
use std::io::{self, ErrorKind, Write};
use std::process::ExitCode;

use serde::Serialize;
use spanheap_replay::policies::{calibrate, run_policies};
use spanheap_replay::{Command, CommandLine, Error, run};

/// The heap did not do what it must.
const WRONG: u8 = 1;
/// The trace, an option or an output is not valid.
const INVALID: u8 = 2;

fn main() -> ExitCode {
    let asked = match CommandLine::read(std::env::args_os()) {
        Ok(asked) => asked,
        Err(told) if !told.use_stderr() => {
            // Help or version.
            return match print(&told.to_string()) {
                Ok(()) => ExitCode::SUCCESS,
                Err(error) => fail(&error.to_string()),
            };
        }
        Err(wrong) => return fail(&one_line(&wrong.to_string())),
    };
    match answer(&asked) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::from(WRONG),
        Err(error) => fail(&error.to_string()),
    }
}

/// Does what is asked and prints what came of it; says whether all was well.
fn answer(asked: &CommandLine) -> Result<bool, Error> {
    match asked {
        CommandLine::Replay(options) => {
            let report = run(options)?;
            tell(&report, options.json)?;
            Ok(report.is_good())
        }
        CommandLine::Command(Command::Policies(options)) => {
            let report = run_policies(options)?;
            tell(&report, options.json)?;
            Ok(report.is_good())
        }
        CommandLine::Command(Command::Calibrate(options)) => {
            tell(&calibrate(options)?, options.json)?;
            Ok(true)
        }
    }
}

fn tell(report: &(impl Serialize + Display), json: bool) -> Result<(), Error> {
    let text = if json {
        let json = serde_json::to_string_pretty(report);
        json.map_err(|error| Error::Print(error.into()))? + "\n"
    } else {
        report.to_string()
    };
    print(&text)
}

fn print(text: &str) -> Result<(), Error> {
    let mut out = io::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(()),
        done => done.map_err(Error::Print),
    }
}

fn fail(message: &str) -> ExitCode {
    // Nobody is left to hear of an error here.
    let _ = writeln!(io::stderr(), "replay: {}", message.replace('\n', " "));
    ExitCode::from(INVALID)
}

/// Keeps what clap says first, before its hints and the usage.
fn one_line(told: &str) -> String {
    let first = told.split("\n\n").next().unwrap_or(told);
    let words: Vec<_> = first.split_whitespace().collect();
    let line = words.join(" ");
    line.strip_prefix("error: ").unwrap_or(&line).into()
}
