//! The command line: a trace to replay, or a command beside it.
//!
//! A command is a first word, and all else is a replay's: so every name of a
//! trace but these two is one, and what a replay is told has not changed by there
//! being commands.

use std::ffi::OsString;

use clap::Parser;

use crate::options::Options;
use crate::policies::{CalibrateOptions, PoliciesOptions};

/// What is said of the commands where a replay's options are explained.
pub(crate) const COMMANDS: &str = "\
Commands, instead of a trace (each has --help):
  replay policies   Simulates policies of giving idle memory back
  replay calibrate  Measures what it costs here to give memory back and take it back";

/// What is asked for.
#[derive(Clone, Debug)]
pub enum CommandLine {
    /// A replay.
    Replay(Options),
    /// A command.
    Command(Command),
}

/// What is done instead of a replay.
#[derive(Clone, Debug, Parser)]
#[command(name = "replay", version)]
pub enum Command {
    /// Simulates policies of giving idle memory back, on traces and on made loads.
    ///
    /// The heap is real, the memory is not: what it costs to give memory back and
    /// to take it back is charged, and how long it stays resident is counted, in
    /// the trace's own time. Exit code 0: all is well; 1: the heap refused
    /// something, or released what was in use; 2: a trace or an option is not
    /// valid, or an output cannot be written.
    Policies(PoliciesOptions),
    /// Measures on this machine what it costs to give memory back and to take it
    /// back: the prices of `replay policies`.
    Calibrate(CalibrateOptions),
}

impl CommandLine {
    /// Reads a command line, the program's name first.
    ///
    /// # Errors
    ///
    /// What clap says, help and version included.
    pub fn read(words: impl Iterator<Item = OsString>) -> Result<Self, clap::Error> {
        let words: Vec<_> = words.collect();
        let first = words.get(1).and_then(|word| word.to_str());
        match first {
            Some("policies" | "calibrate") => Command::try_parse_from(words).map(Self::Command),
            _ => Options::try_parse_from(words).map(Self::Replay),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(words: &[&str]) -> Result<CommandLine, clap::Error> {
        CommandLine::read(words.iter().map(OsString::from))
    }

    #[test]
    fn only_the_first_word_is_a_command() {
        assert!(matches!(
            read(&["replay", "policies"]),
            Ok(CommandLine::Command(_))
        ));
        assert!(matches!(
            read(&["replay", "policie"]),
            Ok(CommandLine::Replay(_))
        ));
        let trace = read(&["replay", "--heap", "page", "policies"]);
        assert!(matches!(trace, Ok(CommandLine::Replay(_))));
        assert!(read(&["replay"]).is_err());
    }
}
