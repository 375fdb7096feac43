//! The scavenger with any policy, on any clock, over every kind of heap and the fake.
//!
//! After every step the books are sound and agree with the backing. Each poll keeps to
//! its step and its calls, and asks to be called again in a millisecond at the
//! earliest and a second at the latest, so that nobody can be kept busy by it: that is
//! the rig's to check. No limit is passed by an allocation, and in the end everything
//! goes back and is had again as one piece.

use spanheap::{AllocError, Costs, PageRange, Policy, Pressure, Residency};

use crate::input::Input;
use crate::scavenge_suite::{Books, KINDS, Kind, MS, PAGE, Place, RigOver, Setup, range};

/// Runs one input.
pub fn run(data: &[u8]) {
    let mut input = Input::new(data);
    let setup = setup(&mut input);
    let mut books = Books::new(&setup);
    let place = Place::default();
    let mut rig = RigOver::over(setup, policy(&mut input), &mut books, &place);
    rig.add(range(0, setup.pages), setup.residency);
    let mut play = Play {
        rig,
        setup,
        used: Vec::new(),
        limit: u64::MAX,
    };
    while input.has_more() {
        play.step(&mut input);
        play.rig.audit();
    }
    play.finish();
}

fn setup(input: &mut Input<'_>) -> Setup {
    let kind = input.pick(&KINDS);
    if kind == Kind::Shared {
        return Setup {
            pages: 512 * input.up_to(2),
            ages: input.any(),
            residency: residency(input),
            ..Setup::of(kind)
        };
    }
    let physical = 1 << input.below(6);
    let huge = match input.below(4) {
        0 => 0,
        shift => (4 << shift).max(physical),
    };
    let pages = input.up_to(256).next_multiple_of(physical as u32);
    Setup {
        kind,
        physical: physical * PAGE,
        huge: huge * PAGE,
        pages,
        slots: match input.below(4) {
            0 => input.up_to(24),
            _ => pages,
        },
        ages: input.any(),
        residency: residency(input),
        ..Setup::SMALL
    }
}

fn residency(input: &mut Input<'_>) -> Residency {
    input.pick(&[Residency::Resident, Residency::Released])
}

/// Of each number, what a preset says or anything.
fn policy(input: &mut Input<'_>) -> Policy {
    let base = input.pick(&[Policy::BALANCED, Policy::EAGER, Policy::KEEP]);
    let mut policy = base;
    for _ in 0..input.below(12) {
        let value = input.number();
        let small = value as u32;
        match input.below(11) {
            0 => policy.price_ns = value,
            1 => {
                policy.costs = Costs {
                    release_ns: value,
                    ..policy.costs
                }
            }
            2 => {
                policy.costs = Costs {
                    take_back_ns: value,
                    ..policy.costs
                }
            }
            3 => policy.unknown = small,
            4 => policy.share = small,
            5 => policy.minimum = value,
            6 => policy.headroom = small,
            7 => policy.deadline_ns = value,
            8 => policy.young_ns = value,
            9 => policy.step = value,
            _ => policy.calls = small,
        }
    }
    policy
}

struct Play<'a, 'm> {
    rig: RigOver<'a, 'm>,
    setup: Setup,
    used: Vec<PageRange>,
    limit: u64,
}

impl Play<'_, '_> {
    fn step(&mut self, input: &mut Input<'_>) {
        let rig = &mut self.rig;
        match input.below(32) {
            0..=7 => self.alloc(input),
            8..=13 => {
                if let Some(at) = input.index(&self.used) {
                    rig.free(self.used.swap_remove(at));
                }
            }
            14..=19 => drop(rig.poll()),
            // Before it asked for that.
            20 => drop(rig.poll_early()),
            21 => {
                let end = rig.now.saturating_add(u64::from(input.below(3000)) * MS);
                // A millisecond is the least that it may ask for.
                for _ in 0..16 {
                    if rig.now < end {
                        let _ = rig.poll();
                    }
                }
            }
            22 => rig.now = rig.now.saturating_add(u64::from(input.below(30_000)) * MS),
            23 => rig.now = rig.now.saturating_sub(input.number()),
            24 => rig.now = input.number(),
            25 => {
                let nth = input.below(3);
                rig.fake.fail_nth(nth, input.below(3) as usize);
            }
            26 => {
                let policy = policy(input);
                rig.scavenger.set_policy(policy);
            }
            27 => drop(rig.sleep()),
            28 => drop(rig.pressure(Pressure::Moderate)),
            29 => drop(rig.pressure(Pressure::Severe)),
            30 => drop(rig.reclaim(input.number())),
            _ => {
                self.limit = match input.below(3) {
                    0 => u64::MAX,
                    1 => input.number(),
                    _ => u64::from(input.below(self.setup.pages + 1)) * PAGE,
                };
                let _ = rig.set_limit(self.limit);
            }
        }
    }

    fn alloc(&mut self, input: &mut Input<'_>) {
        let rig = &mut self.rig;
        let longest = input.pick(&[1, 16, 64, self.setup.pages]);
        let before = rig.resident();
        match rig.alloc(input.up_to(longest)) {
            Ok(range) => self.used.push(range),
            Err(AllocError::Limit) => assert!(self.limit < u64::MAX),
            Err(AllocError::Refused(_)) => assert!(rig.fake.has_failed()),
            Err(AllocError::NoRun | AllocError::NoSlot) => {}
            Err(other) => panic!("{other}"),
        }
        let after = rig.resident();
        assert!(after <= before.max(self.limit), "{after} of {}", self.limit);
    }

    fn finish(mut self) {
        let rig = &mut self.rig;
        rig.fake.recover();
        self.used.into_iter().for_each(|range| rig.free(range));
        let _ = rig.set_limit(u64::MAX);
        let _ = rig.pressure(Pressure::Severe);
        assert_eq!(rig.resident(), 0);
        let _ = rig.alloc(self.setup.pages).expect("one piece again");
        rig.audit();
    }
}
