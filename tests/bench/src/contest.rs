//! The rounds: in each, every contender does every work once.
//!
//! Whatever slows the machine down for a while meets them all. The first round
//! warms up and is not counted; what would take too long shows there, and is
//! not tried again. Then the same works run under check, which also counts
//! what does not depend on time; then the rounds that are timed.

use std::collections::BTreeMap;
use std::fmt;

use crate::adaptor::{About, Contender, Ground, Shareable, Side, Visitor, all, each};
use crate::check::Claims;
use crate::figure::Figure;
use crate::meter::{Effort, Meter, Mode, Stop};
use crate::results::{Cell, Check, Place, Results, Trouble};
use crate::run::{Run, alone, together};
use crate::work::mixed::SEEDS;
use crate::work::play::{self, Least, Recording};
use crate::work::{Work, mixed};

/// A place, and what is done there.
#[derive(Debug)]
pub struct Job {
    /// Where.
    pub place: Place,
    /// The pages.
    pub ground: Ground,
    /// The trace, if the place is one.
    pub recording: Option<Recording>,
    /// What.
    pub works: Vec<Work>,
    /// Rounds that are counted, after one that warms up.
    pub rounds: usize,
}

/// How it is done, and by whom.
#[derive(Clone, Debug)]
pub struct Terms {
    /// How much a run does.
    pub effort: Effort,
    /// Whether peers behind a lock also do what they do without.
    pub all_locked: bool,
    /// The names of the contenders; empty: all.
    pub contenders: Vec<String>,
}

impl Terms {
    /// Returns whether a contender takes part.
    #[must_use]
    pub fn takes_part(&self, about: &About) -> bool {
        self.contenders.is_empty() || self.contenders.iter().any(|name| name == about.name)
    }
}

/// Runs all jobs; `begins` hears of each round.
pub fn run(jobs: &[Job], terms: &Terms, mut begins: impl FnMut(&Place, Lap)) -> Results {
    let mut results = Results::default();
    for job in jobs {
        let mut least = BTreeMap::new();
        let rounds = (0..job.rounds).map(Lap::Round);
        for lap in [Lap::WarmUp, Lap::Check].into_iter().chain(rounds) {
            begins(&job.place, lap);
            for &work in &job.works {
                each(&mut Turn {
                    job,
                    terms,
                    work,
                    lap,
                    results: &mut results,
                    least: &mut least,
                });
            }
        }
        for (_, (about, least)) in least {
            for (figure, ns) in play::distribution(&least) {
                results.sample(&job.place, figure, about, 0, ns);
            }
        }
    }
    results
}

/// What a lap is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lap {
    /// To warm up.
    WarmUp,
    /// To check results.
    Check,
    /// To be timed, for the round of this number.
    Round(usize),
}

impl fmt::Display for Lap {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::WarmUp => f.write_str("warming up"),
            Self::Check => f.write_str("checking results"),
            Self::Round(round) => write!(f, "round {}", round + 1),
        }
    }
}

/// Everyone's turn at one work.
struct Turn<'t> {
    job: &'t Job,
    terms: &'t Terms,
    work: Work,
    lap: Lap,
    results: &'t mut Results,
    /// The least time of each operation of the trace, by contender.
    least: &'t mut BTreeMap<&'static str, (About, Least)>,
}

impl Visitor for Turn<'_> {
    fn owned<C: Contender>(&mut self) {
        if self.work.is_shared() || !self.may(C::ABOUT) {
            return;
        }
        self.turn(C::ABOUT, alone::<C>);
    }

    fn shared<C: Shareable>(&mut self) {
        if !self.may(C::ABOUT) {
            return;
        }
        if self.work.is_shared() {
            self.turn(C::ABOUT, together::<C>);
        } else {
            self.turn(C::ABOUT, alone::<C>);
        }
    }
}

impl Turn<'_> {
    /// Returns whether a contender has a turn; if it cannot do the work, notes why.
    fn may(&mut self, about: About) -> bool {
        if !self.terms.takes_part(&about) {
            return false;
        }
        let behind_lock = about.shared && about.side == Side::Peer;
        let trace = self.job.recording.as_ref().map(|it| &it.trace);
        let parted = trace.is_some_and(|trace| trace.counts.partial_frees > 0);
        let why = match self.work {
            Work::Mixed(_) | Work::Play if !about.runs => "single pages only",
            Work::Huge if !about.aligns => "no alignment",
            Work::Play if parted && !about.parts => "takes back whole blocks only",
            Work::SetUp if behind_lock => "as without the lock",
            Work::Mixed(_) | Work::Huge if behind_lock && !self.terms.all_locked => {
                "without the lock only; --full has both"
            }
            // Whoever stopped does not get another turn.
            _ if self.has_trouble(about) => return false,
            _ => match self.hopeless(about) {
                Some(why) => {
                    self.troubled(about, &Trouble::Hopeless(why));
                    return false;
                }
                None => return true,
            },
        };
        self.troubled(about, &Trouble::Unable(why.into()));
        false
    }

    fn troubled(&mut self, about: About, trouble: &Trouble) {
        for figure in self.work.figures() {
            let cell = self.results.cell_mut(&self.job.place, figure, about);
            cell.trouble = Some(trouble.clone());
        }
    }

    fn has_trouble(&self, about: About) -> bool {
        self.work.figures().into_iter().any(|figure| {
            let cell = self.results.cell(&self.job.place, figure, about.name);
            cell.is_some_and(|cell| cell.trouble.is_some())
        })
    }

    /// Says where a contender was too slow for something that is easier than
    /// this, if it was.
    fn hopeless(&self, about: About) -> Option<String> {
        let late = |place: &Place, work: Work, name: &str| {
            let cell = |figure| self.results.cell(place, figure, name);
            let mut cells = work.figures().into_iter().filter_map(cell);
            cells.any(Cell::is_late)
        };
        let here = &self.job.place;
        if let Some(plain) = all().iter().find(|other| other.locked == about.name)
            && late(here, self.work, plain.name)
        {
            return Some("without the lock".into());
        }
        if let Work::Mixed(full) = self.work {
            let mut easier = mixed::FULL.into_iter().filter(|other| *other < full);
            if let Some(other) = easier.find(|other| late(here, Work::Mixed(*other), about.name)) {
                return Some(format!("at {}%", other.0));
            }
        }
        let smaller = |place: &&Place| match (*place, here) {
            (Place::Range(one), Place::Range(other)) => one < other,
            _ => false,
        };
        let mut places = self
            .results
            .rows
            .iter()
            .map(|row| &row.place)
            .filter(smaller);
        let place = places.find(|place| late(place, self.work, about.name))?;
        Some(format!("in {place}"))
    }

    fn turn(&mut self, about: About, go: impl Fn(Run<'_>, &mut Meter) -> Result<(), Stop>) {
        match self.lap {
            Lap::WarmUp => self.timed(about, 0, true, &go),
            Lap::Round(round) => self.timed(about, round, false, &go),
            Lap::Check if !about.remembers => {}
            Lap::Check => match self.work {
                Work::Mixed(_) => {
                    for (round, seed) in SEEDS.into_iter().enumerate() {
                        self.checked(about, round, seed, &go);
                    }
                }
                _ => self.checked(about, 0, 0, &go),
            },
        }
    }

    fn timed(
        &mut self,
        about: About,
        round: usize,
        is_warm_up: bool,
        go: &impl Fn(Run<'_>, &mut Meter) -> Result<(), Stop>,
    ) {
        let mut meter = Meter::new(Mode::Time, self.terms.effort);
        let least = self.job.recording.as_ref().map(|it| {
            let all = || (about, Least::of(it.trace.ops.len()));
            let least = self.least.entry(about.name).or_insert_with(all);
            &mut least.1
        });
        let run = Run {
            job: self.job,
            work: self.work,
            seed: SEEDS[round % SEEDS.len()],
            claims: None,
            least,
        };
        let stop = go(run, &mut meter).err();
        if stop.is_some() {
            self.least.remove(about.name);
        }
        // Nothing else will be known of what stopped at the warm-up.
        if !is_warm_up || stop.is_some() {
            self.note(about, round, &meter, |figure| !figure.is_counted());
        }
        if let Some(stop) = stop {
            self.stopped(about, &meter, &stop);
        }
    }

    fn checked(
        &mut self,
        about: About,
        round: usize,
        seed: u64,
        go: &impl Fn(Run<'_>, &mut Meter) -> Result<(), Stop>,
    ) {
        // What takes its time unchecked takes more under check.
        let patience = self.terms.effort.patience * 10;
        let effort = Effort {
            patience,
            ..self.terms.effort
        };
        let mut meter = Meter::new(Mode::Check, effort);
        let claims = Claims::new(&self.job.ground);
        let run = Run {
            job: self.job,
            work: self.work,
            seed,
            claims: Some(&claims),
            least: None,
        };
        let stop = go(run, &mut meter).err();
        if let (Work::Mixed(full), None) = (self.work, &stop) {
            let lost = claims.taken() - claims.asked();
            let part = 100.0 * lost as f64 / claims.taken().max(1) as f64;
            meter.note(Figure::MixedWaste(full), part);
            meter.note(Figure::MixedHuge(full), f64::from(claims.free_huge()));
        }
        self.note(about, round, &meter, Figure::is_counted);
        if let Some(stop) = stop {
            self.stopped(about, &meter, &stop);
        }
        let (faults, first) = claims.faults();
        self.results.checks.push(Check {
            contender: about.name,
            figure: self.work.figures()[0],
            place: self.job.place.to_string(),
            blocks: claims.blocks(),
            faults,
            first: first.map(|fault| fault.to_string()),
        });
    }

    fn note(&mut self, about: About, round: usize, meter: &Meter, wanted: fn(Figure) -> bool) {
        for &(figure, value) in meter.taken().iter().filter(|(figure, _)| wanted(*figure)) {
            self.results
                .sample(&self.job.place, figure, about, round, value);
        }
    }

    /// Notes why there is no more than was taken.
    fn stopped(&mut self, about: About, meter: &Meter, stop: &Stop) {
        for figure in self.work.figures() {
            if !meter.taken().iter().any(|(taken, _)| *taken == figure) {
                let cell = self.results.cell_mut(&self.job.place, figure, about);
                cell.trouble = Some(Trouble::Stopped(stop.clone()));
            }
        }
    }
}
