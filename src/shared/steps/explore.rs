//! The search: every state that can be reached, once, depth first.
//!
//! What was visited is known by a fingerprint of 128 bits. The states on the way to
//! where the search is are kept whole: they are the story of whatever goes wrong.

use core::hash::{BuildHasherDefault, Hasher};
use std::collections::HashSet;
use std::format;
use std::string::String;
use std::vec::Vec;

use super::atomic::{Plant, step};
use super::ops::{Kind, Op};
use super::rules::{self, Broken};
use super::state::State;
use super::world::{CPUS, Machine, Matters, STATE, World};

/// A CPU may begin any number of operations.
pub(super) const ANY: u8 = u8::MAX;

/// A defect that is put into the code.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Defect {
    None,
    /// `refill` claims, and does not see that the chunk was taken away.
    NoSecondLook,
    /// `stands` takes nothing back.
    NothingTakenBack,
}

/// What is searched.
pub(super) struct Search {
    machine: Machine,
    matters: Matters,
    kinds: &'static [Kind],
    /// How often the chunk may go back while an operation is in progress.
    pub(super) returns: u64,
    /// An operation begins only when no other is in progress.
    pub(super) in_turn: bool,
    pub(super) defect: Defect,
}

/// What was found.
#[derive(Debug, Default)]
pub(super) struct Found {
    pub(super) states: usize,
    pub(super) steps: usize,
    /// The states in which no operation was in progress.
    pub(super) at_rest: Vec<World>,
}

/// Who does what next.
type Choice = (usize, Op);

struct Frame {
    world: World,
    choices: Vec<Choice>,
    next: usize,
    /// One of the choices was no wait.
    went_on: bool,
}

impl Search {
    pub(super) fn new(matters: Matters, kinds: &'static [Kind]) -> Self {
        Self {
            machine: Machine::new(matters),
            matters,
            kinds,
            returns: 2,
            in_turn: false,
            defect: Defect::None,
        }
    }

    /// Searches from these states on, from which each CPU may begin so many operations.
    ///
    /// # Errors
    ///
    /// The rule that was broken, and how it came to that.
    pub(super) fn run(&self, starts: &[World], left: [u8; CPUS]) -> Result<Found, String> {
        let mut visited = Visited::default();
        let mut found = Found::default();
        for start in starts {
            let mut world = start.clone();
            for (cpu, left) in world.cpus.iter_mut().zip(left) {
                cpu.left = left;
            }
            self.from(world, &mut visited, &mut found)?;
        }
        found.states = visited.len();
        let mut known = Visited::default();
        found
            .at_rest
            .retain(|world| known.insert(fingerprint(world)));
        Ok(found)
    }

    fn from(&self, start: World, visited: &mut Visited, found: &mut Found) -> Result<(), String> {
        if !visited.insert(fingerprint(&start)) {
            return Ok(());
        }
        let mut path: Vec<Frame> = Vec::new();
        self.arrive(start, &mut path, found)
            .map_err(|broken| told(&path, broken))?;
        while let Some(frame) = path.last_mut() {
            let Some(&choice) = frame.choices.get(frame.next) else {
                let is_stuck = !frame.went_on && !frame.world.is_idle();
                if is_stuck {
                    return Err(told(&path, "somebody goes on"));
                }
                path.pop();
                continue;
            };
            frame.next += 1;
            let next = match self.advance(&frame.world, choice) {
                Ok(next) => next,
                Err(broken) => return Err(told(&path, broken)),
            };
            let Some(next) = next else { continue };
            frame.went_on = true;
            found.steps += 1;
            if visited.insert(fingerprint(&next)) {
                self.arrive(next, &mut path, found)
                    .map_err(|broken| told(&path, broken))?;
            }
        }
        Ok(())
    }

    /// Asks the rules of a state that is new, and lists what can be done from it.
    fn arrive(&self, world: World, path: &mut Vec<Frame>, found: &mut Found) -> Result<(), Broken> {
        let choices = self.choices(&world);
        let checked = self.check(&world);
        if checked.is_ok() && world.is_idle() {
            let mut world = world.clone();
            world.cpus = Default::default();
            found.at_rest.push(world);
        }
        path.push(Frame {
            world,
            choices,
            next: 0,
            went_on: false,
        });
        checked
    }

    fn check(&self, world: &World) -> Result<(), Broken> {
        rules::always(world, !self.kinds.contains(&Kind::FreeAgain))?;
        if world.is_idle() {
            rules::at_rest(world, &self.machine, self.matters == Matters::Runs)?;
        }
        Ok(())
    }

    fn choices(&self, world: &World) -> Vec<Choice> {
        let mut choices = Vec::new();
        let may_open = State(world.words[STATE]).times_returned() < self.returns;
        for (at, cpu) in world.cpus.iter().enumerate() {
            if let Some(op) = cpu.op {
                choices.push((at, op));
            } else if cpu.left > 0 && (!self.in_turn || world.is_idle()) {
                let kinds = self
                    .kinds
                    .iter()
                    .filter(|&&kind| kind != Kind::Open || may_open);
                let ops = kinds.flat_map(|&kind| Op::of(kind, world));
                choices.extend(ops.map(|op| (at, op)));
            }
        }
        choices
    }

    /// Takes one step. `None` if it must wait.
    fn advance(&self, world: &World, (at, op): Choice) -> Result<Option<World>, Broken> {
        let mut next = world.clone();
        let others = world
            .cpus
            .iter()
            .enumerate()
            .any(|(other, cpu)| other != at && cpu.op.is_some());
        for (other, cpu) in next.cpus.iter_mut().enumerate() {
            let is_second = matches!(cpu.op, Some(Op::FreeAgain(_)));
            cpu.raced |= other != at && is_second;
        }
        if next.cpus[at].op.is_none() {
            let item = op.frees(&next);
            let bits = item.map_or(0, |(page, count)| ((1 << count) - 1) << page);
            next.held &= !bits;
            next.inside &= !bits;
            let cpu = &mut next.cpus[at];
            cpu.item = item;
            cpu.raced = others && matches!(op, Op::FreeAgain(_));
            cpu.left -= u8::from(cpu.left != ANY);
            cpu.op = Some(op);
        }
        self.machine.load(world);
        let plant = self.plant(at, op);
        let cpu = &mut next.cpus[at];
        let Some(step) = step(plant, &mut cpu.answers, || self.machine.run(op, at)) else {
            return Ok(None);
        };
        let (word, value) = step.taken;
        next.words[word] = value;
        if let Some(end) = step.end {
            let (item, raced) = (cpu.item.take(), core::mem::take(&mut cpu.raced));
            cpu.op = None;
            cpu.answers.clear();
            let end = end.ok_or("an operation that waits has not ended")?;
            rules::ended(&mut next, op, end, raced, item)?;
            if next.is_idle() {
                let state = State(next.words[STATE]);
                next.words[STATE] = state.never_returned().0;
            }
        }
        Ok(Some(next))
    }

    fn plant(&self, at: usize, op: Op) -> Plant {
        match self.defect {
            Defect::NoSecondLook => {
                Plant::BlindLook(State::TREAP.opened(0, self.machine.place(at).id).0)
            }
            Defect::NothingTakenBack if matches!(op, Op::Free(_) | Op::FreeAgain(_)) => {
                Plant::NotTakenBack
            }
            Defect::NothingTakenBack | Defect::None => Plant::Nothing,
        }
    }
}

impl State {
    const RETURNS: u64 = (u16::MAX as u64) << 16;

    fn times_returned(self) -> u64 {
        (self.0 & Self::RETURNS) >> 16
    }

    fn never_returned(self) -> Self {
        Self(self.0 & !Self::RETURNS)
    }
}

/// How it came to that: the steps of each turn of a CPU on a line.
fn told(path: &[Frame], broken: Broken) -> String {
    let mut text = format!("broken: {broken}\n");
    let mut last: Option<(Choice, u32)> = None;
    let taken = path
        .iter()
        .map(|frame| frame.choices.get(frame.next.wrapping_sub(1)).copied());
    for choice in taken.chain([None]) {
        last = match (last, choice) {
            (Some((old, steps)), Some(new)) if old == new => Some((old, steps + 1)),
            (old, new) => {
                if let Some(((cpu, op), steps)) = old {
                    text += &format!("  CPU {cpu}: {op:?}, {steps} steps\n");
                }
                new.map(|new| (new, 1))
            }
        };
    }
    let ends = [path.first(), path.last()];
    for frame in ends.into_iter().flatten() {
        text += &format!("{:?}\n", frame.world);
    }
    text
}

type Visited = HashSet<u128, BuildHasherDefault<Lower>>;

/// A fingerprint is as good as a hash of itself.
#[derive(Default)]
struct Lower(u64);

impl Hasher for Lower {
    fn finish(&self) -> u64 {
        self.0
    }
    fn write(&mut self, _: &[u8]) {}
    fn write_u128(&mut self, number: u128) {
        self.0 = number as u64;
    }
}

/// Two hashes of 64 bits, each by multiplying and folding.
fn fingerprint(world: &World) -> u128 {
    let (mut low, mut high) = (1_u64, 2_u64);
    world.numbers(|number| {
        low = folded(low ^ number, 0x9E37_79B9_7F4A_7C15) ^ number;
        high = folded(high ^ number, 0xD1B5_4A32_D192_ED03) ^ number;
    });
    u128::from(high) << 64 | u128::from(low)
}

const fn folded(number: u64, factor: u64) -> u64 {
    let wide = (number ^ factor) as u128 * factor as u128;
    (wide as u64 ^ (wide >> 64) as u64).rotate_left(23)
}
