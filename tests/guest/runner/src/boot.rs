//! One boot: QEMU, its serial line, its time limit, and its end.
//!
//! A thread passes on the lines of the guest, so that waiting for one can end.
//! QEMU is killed if anything here fails, and whatever happens.

use std::fmt;
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::thread;
use std::time::{Duration, Instant};

use rustix::thread::{disable_transparent_huge_pages, transparent_huge_pages_are_disabled};

use crate::discard::discard;
use crate::machines::{End, Machine};
use crate::qmp::Qmp;
use crate::recording::Counters;
use crate::wander::{self, Wander};

/// What the guest ends QEMU with when all has held.
const SUCCESS: i32 = 33;
/// And when something has not.
const PANIC: i32 = 255;

/// Why a boot was given up.
#[derive(Debug)]
pub(crate) enum Failure {
    /// Something of the host's failed.
    Host(std::io::Error),
    /// The guest asked for something that there is not.
    Question(String),
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Host(why) => write!(f, "the host: {why}"),
            Self::Question(line) => write!(f, "no answer to `{line}`"),
        }
    }
}

impl From<std::io::Error> for Failure {
    fn from(why: std::io::Error) -> Self {
        Self::Host(why)
    }
}

impl std::error::Error for Failure {}

/// Who follows a boot.
pub(crate) trait Watch {
    /// The guest has printed a line.
    fn line(&mut self, line: &str);

    /// The guest was measured: what it says of itself, and QEMU's share of the
    /// host's memory. It goes on when this returns.
    fn sample(&mut self, guest: Counters, pss: u64);
}

/// A QEMU that does not outlive this.
struct Qemu(Child);

impl Drop for Qemu {
    fn drop(&mut self) {
        // Both fail if it has ended, which is what they are for.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Boots a kernel, with a module if there is one, and returns how it ended.
pub(crate) fn boot(
    kernel: &Path,
    machine: &Machine,
    module: Option<&Path>,
    watch: &mut dyn Watch,
) -> Result<End, Failure> {
    let start = Instant::now();
    let socket = std::env::temp_dir().join(format!("spanheap-guest-{}", std::process::id()));
    let _none_is_fine = std::fs::remove_file(&socket);
    let architecture = machine.architecture;
    let mut line = machine.line.to_owned();
    let module = module.map(|module| architecture.module(module, &mut line));
    let mut command = Command::new(architecture.qemu());
    command
        .args(["-accel", &architecture.accelerator()])
        .args(["-machine", machine.kind])
        .args(architecture.options())
        .args(["-m", &machine.mebibytes.to_string()])
        .args([
            "-nodefaults",
            "-no-reboot",
            "-display",
            "none",
            "-serial",
            "stdio",
        ])
        .arg("-qmp")
        .arg(format!("unix:{},server=on,wait=off", socket.display()))
        .args(machine.options)
        .args(module.transpose()?.into_iter().flatten())
        .args(["-append", &line])
        .arg("-kernel")
        .arg(kernel)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped());
    let mut qemu = Qemu(spawn(&mut command, machine.huge_pages)?);
    let outcome = converse(&mut qemu, machine, start, &socket, watch);
    let _ = std::fs::remove_file(&socket);
    outcome
}

/// Starts a process, which inherits from this one whether it may have huge pages.
fn spawn(command: &mut Command, huge_pages: bool) -> std::io::Result<Child> {
    let disabled = transparent_huge_pages_are_disabled()?;
    disable_transparent_huge_pages(disabled || !huge_pages)?;
    let child = command.spawn();
    disable_transparent_huge_pages(disabled)?;
    child
}

/// Passes on what the guest prints, and answers what it asks, until it ends.
fn converse(
    qemu: &mut Qemu,
    machine: &Machine,
    start: Instant,
    socket: &Path,
    watch: &mut dyn Watch,
) -> Result<End, Failure> {
    let closed = || std::io::Error::from(std::io::ErrorKind::BrokenPipe);
    let output = qemu.0.stdout.take().ok_or_else(closed)?;
    let input = qemu.0.stdin.take().ok_or_else(closed)?;
    let mut host = Host {
        input,
        pid: qemu.0.id(),
        bytes: u64::from(machine.mebibytes) << 20,
        qmp: None,
        socket,
        wander: None,
    };
    let (send, lines) = mpsc::channel();
    thread::spawn(move || {
        for line in BufReader::new(output).split(b'\n').map_while(Result::ok) {
            let line = String::from_utf8_lossy(&line).trim_end().to_owned();
            if send.send(line).is_err() {
                break;
            }
        }
    });
    // What the firmware prints is of interest only if the kernel never begins.
    let mut firmware = Some(Vec::new());
    let hangs = loop {
        let left = machine.limit.saturating_sub(start.elapsed());
        let pause = host.pause();
        match lines.recv_timeout(left.min(pause)) {
            Ok(line) => match (line.strip_prefix('@'), &mut firmware) {
                (Some("begin"), _) => firmware = None,
                (Some(question), _) => host.answer(question, watch)?,
                (None, Some(before)) => before.push(line),
                (None, None) => watch.line(&line),
            },
            Err(RecvTimeoutError::Timeout) if pause < left => host.change_its_mind(),
            Err(RecvTimeoutError::Timeout) => break true,
            Err(RecvTimeoutError::Disconnected) => break false,
        }
    };
    for line in firmware.into_iter().flatten() {
        watch.line(&line);
    }
    if hangs {
        return Ok(End::Hang);
    }
    // Its line is closed, so its end is near; but not without a limit either.
    loop {
        match qemu.0.try_wait()? {
            Some(status) => {
                return Ok(match status.code() {
                    Some(SUCCESS) => End::Success,
                    Some(PANIC) => End::Panic,
                    // Without a reset, it is what QEMU ends with in its place.
                    Some(0) => End::Reset,
                    other => End::Other(other.unwrap_or(-1)),
                });
            }
            None if start.elapsed() > machine.limit => return Ok(End::Hang),
            None => thread::sleep(Duration::from_millis(10)),
        }
    }
}

/// The host, as the guest may ask about it.
struct Host<'a> {
    input: ChildStdin,
    pid: u32,
    /// The machine's memory.
    bytes: u64,
    qmp: Option<Qmp>,
    socket: &'a Path,
    wander: Option<Wander>,
}

impl Host<'_> {
    fn answer(&mut self, question: &str, watch: &mut dyn Watch) -> Result<(), Failure> {
        let unknown = || Failure::Question(question.into());
        let answer = match question.split_once(' ').unwrap_or((question, "")) {
            ("memory", _) => {
                let [pss, huge] = self.memory()?;
                format!("{pss}\n{huge}\n{}\n", available()?)
            }
            ("sample", numbers) => {
                let guest = Counters::parse(numbers).ok_or_else(unknown)?;
                let [pss, huge] = self.memory()?;
                let answer = format!("{pss}\n{huge}\n{}\n", available()?);
                watch.sample(guest, pss);
                answer
            }
            ("discard", numbers) => {
                let [pieces, bytes] = two(numbers).ok_or_else(unknown)?;
                let took = discard(pieces as usize, bytes as usize)?;
                format!("{}\n", took.as_nanos())
            }
            ("want", bytes) => {
                let bytes = bytes.parse().map_err(|_| unknown())?;
                self.want(bytes)?;
                "0\n".into()
            }
            ("size", _) => format!("{}\n", self.qmp()?.size()?),
            ("backed", _) => format!("{}\n", self.backed()?),
            ("wander", least) => {
                let least = least.parse().map_err(|_| unknown())?;
                self.wander = Some(Wander::new(least..self.bytes));
                format!("{}\n", wander::seconds()? * 1000)
            }
            ("wandered", _) => {
                let passed = self.wander.as_ref().ok_or_else(unknown)?.passed();
                format!("{}\n", passed.as_millis())
            }
            ("settle", _) => {
                let wander = self.wander.take().ok_or_else(unknown)?;
                self.want(self.bytes)?;
                format!("{}\n", wander.wanted)
            }
            _ => return Err(unknown()),
        };
        self.input.write_all(answer.as_bytes())?;
        Ok(self.input.flush()?)
    }

    fn qmp(&mut self) -> Result<&mut Qmp, Failure> {
        if self.qmp.is_none() {
            self.qmp = Some(Qmp::connect(self.socket)?);
        }
        self.qmp.as_mut().ok_or(Failure::Question("qmp".into()))
    }

    fn want(&mut self, bytes: u64) -> Result<(), Failure> {
        Ok(self.qmp()?.want(bytes)?)
    }

    /// How long it is until this changes its mind: without end, if it does not.
    fn pause(&self) -> Duration {
        self.wander.as_ref().map_or(Duration::MAX, Wander::pause)
    }

    /// Wants another size. A QEMU that has ended is told nothing: its line is about
    /// to say so, and the guest's last words are still in it.
    fn change_its_mind(&mut self) {
        if let Some(mut wander) = self.wander.take() {
            let told = self.want(wander.next());
            wander.wanted += u64::from(told.is_ok());
            self.wander = Some(wander);
        }
    }

    /// How many bytes of the guest's memory there are pages behind: of the one
    /// mapping that is as long.
    fn backed(&self) -> Result<u64, Failure> {
        let maps = std::fs::read_to_string(format!("/proc/{}/smaps", self.pid))?;
        let missing = || Failure::Question("no mapping is the guest's memory".into());
        let is_its = |line: &&str| mapped(line) == Some(self.bytes);
        let from = maps.lines().find(is_its).ok_or_else(missing)?;
        let (_, its) = maps.split_once(from).ok_or_else(missing)?;
        field(its, "Rss:")
    }

    /// QEMU's share of the host's memory, and what of it is in huge pages.
    fn memory(&self) -> Result<[u64; 2], Failure> {
        let text = std::fs::read_to_string(format!("/proc/{}/smaps_rollup", self.pid))?;
        Ok([field(&text, "Pss:")?, field(&text, "AnonHugePages:")?])
    }
}

/// What the host could give to others, in bytes: what its kernel says, and what
/// it keeps in lists of each CPU, where much of what was just freed waits for a
/// second or two without being counted.
fn available() -> Result<u64, Failure> {
    let zones = std::fs::read_to_string("/proc/zoneinfo")?;
    let in_lists: u64 = zones
        .lines()
        .filter_map(|line| {
            line.trim()
                .strip_prefix("count:")?
                .trim()
                .parse::<u64>()
                .ok()
        })
        .sum();
    let counted = field(&std::fs::read_to_string("/proc/meminfo")?, "MemAvailable:")?;
    Ok(counted + in_lists * rustix::param::page_size() as u64)
}

/// How many bytes a line of `smaps` says are mapped, if it begins a mapping.
fn mapped(line: &str) -> Option<u64> {
    let (start, end) = line.split_whitespace().next()?.split_once('-')?;
    let [start, end] = [start, end].map(|digits| u64::from_str_radix(digits, 16).ok());
    end?.checked_sub(start?)
}

/// Two decimal numbers with a space between.
fn two(numbers: &str) -> Option<[u64; 2]> {
    let (first, second) = numbers.split_once(' ')?;
    Some([first.parse().ok()?, second.parse().ok()?])
}

/// The number behind a name, which the kernel counts in KiB, in bytes.
fn field(text: &str, name: &str) -> Result<u64, Failure> {
    let line = text.lines().find_map(|line| line.strip_prefix(name));
    let kibibytes = line.and_then(|line| line.split_whitespace().next()?.parse::<u64>().ok());
    let bytes = kibibytes.map(|number| number << 10);
    bytes.ok_or_else(|| Failure::Question(format!("{name} is missing in {text}")))
}
