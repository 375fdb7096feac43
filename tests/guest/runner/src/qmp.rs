//! As much of QEMU's monitor protocol as a balloon's target needs: a line of
//! JSON each way, and events between, which are skipped.

use std::io::{self, BufRead, BufReader, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::Duration;

/// A connection to the monitor.
pub(crate) struct Qmp {
    lines: BufReader<UnixStream>,
}

impl Qmp {
    pub(crate) fn connect(socket: &Path) -> io::Result<Self> {
        let stream = UnixStream::connect(socket)?;
        stream.set_read_timeout(Some(Duration::from_secs(10)))?;
        let mut qmp = Self {
            lines: BufReader::new(stream),
        };
        // The greeting.
        qmp.line()?;
        qmp.execute(r#"{"execute":"qmp_capabilities"}"#)?;
        Ok(qmp)
    }

    /// Sets the size in bytes that the machine shall have.
    pub(crate) fn want(&mut self, bytes: u64) -> io::Result<()> {
        let command = format!(r#"{{"execute":"balloon","arguments":{{"value":{bytes}}}}}"#);
        self.execute(&command).map(|_| ())
    }

    /// Returns the machine's size in bytes, as its balloon has told it.
    pub(crate) fn size(&mut self) -> io::Result<u64> {
        let answer = self.execute(r#"{"execute":"query-balloon"}"#)?;
        let digits = answer.split_once(r#""actual": "#).map(|(_, rest)| rest);
        let end = |rest: &str| {
            rest.find(|c: char| !c.is_ascii_digit())
                .unwrap_or(rest.len())
        };
        digits
            .and_then(|rest| rest[..end(rest)].parse().ok())
            .ok_or_else(|| io::Error::other(answer.clone()))
    }

    fn execute(&mut self, command: &str) -> io::Result<String> {
        let stream = self.lines.get_mut();
        stream.write_all(command.as_bytes())?;
        stream.write_all(b"\n")?;
        loop {
            let line = self.line()?;
            if line.contains(r#""return""#) {
                return Ok(line);
            }
            if line.contains(r#""error""#) {
                return Err(io::Error::other(line));
            }
        }
    }

    fn line(&mut self) -> io::Result<String> {
        let mut line = String::new();
        match self.lines.read_line(&mut line)? {
            0 => Err(io::ErrorKind::UnexpectedEof.into()),
            _ => Ok(line),
        }
    }
}
