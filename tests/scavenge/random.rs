//! Anything in any order, on every kind of heap: after each step the books are sound
//! and agree with the backing, and in the end everything can be given back and had
//! again as one piece.

use spanheap::{AllocError, Policy, Pressure};

use crate::common::{KINDS, Kind, MS, PAGE, POLICY, Random, Rig, SECOND, Setup};

const STEPS: u32 = 250;

fn random_policy(random: &mut Random) -> Policy {
    Policy {
        minimum: u64::from(random.below(3)) << random.below(24),
        headroom: random.below(3) * 300,
        share: random.below(2) * 100_000,
        deadline_ns: u64::from(random.below(40)) * 100 * MS,
        young_ns: u64::from(random.below(100)) * MS,
        step: 1 << (12 + random.below(16)),
        calls: 1 + random.below(3),
        ..POLICY
    }
}

fn wander(setup: Setup, seed: u64) {
    let mut random = Random(seed);
    let mut rig = Rig::new(setup, random_policy(&mut random));
    let total = u64::from(setup.pages) * PAGE;
    let mut used = Vec::new();
    let mut limit = u64::MAX;
    for _ in 0..STEPS {
        match random.below(24) {
            0..=7 => {
                let longest = [1, 16, setup.pages / 4][random.below(3) as usize];
                let before = rig.resident();
                match rig.alloc(1 + random.below(longest)) {
                    Ok(range) => used.push(range),
                    Err(AllocError::Limit) => assert!(limit < u64::MAX),
                    Err(AllocError::Refused(_)) => assert!(rig.fake.has_failed()),
                    Err(AllocError::NoRun | AllocError::NoSlot) => {}
                    Err(other) => panic!("{other}"),
                }
                let after = rig.resident();
                assert!(after <= before.max(limit), "{after} of {limit}");
            }
            8..=13 if !used.is_empty() => {
                rig.free(used.swap_remove(random.below(used.len() as u32) as usize));
            }
            14..=18 => {
                let _ = rig.poll();
            }
            19 => rig.now = rig.now.wrapping_add(u64::from(random.below(3000)) * MS),
            20 => match random.below(3) {
                0 => rig.now = rig.now.saturating_sub(SECOND),
                1 => rig.fake.fail_nth(random.below(3), random.below(3) as usize),
                _ => {
                    let policy = random_policy(&mut random);
                    rig.scavenger.set_policy(policy);
                }
            },
            21 => {
                let _ = match random.below(3) {
                    0 => rig.sleep(),
                    1 => rig.pressure(Pressure::Moderate),
                    _ => rig.pressure(Pressure::Severe),
                };
            }
            22 => {
                let _ = rig.reclaim(u64::from(random.below(total as u32)));
            }
            23 => {
                limit = match random.below(3) {
                    0 => u64::from(random.below(total as u32)),
                    _ => u64::MAX,
                };
                let _ = rig.set_limit(limit);
            }
            _ => {}
        }
        rig.audit();
    }
    rig.fake.recover();
    used.into_iter().for_each(|range| rig.free(range));
    let _ = rig.set_limit(u64::MAX);
    let _ = rig.pressure(Pressure::Severe);
    assert_eq!(rig.resident(), 0);
    let _ = rig.alloc(setup.pages).expect("one piece again");
    rig.audit();
}

#[test]
fn a_small_heap_of_any_shape_survives_anything() {
    let mut seed = 1;
    for physical in [1, 4, 16] {
        for huge in [0, 16, 64] {
            if huge > 0 && huge < physical {
                continue;
            }
            for ages in [false, true] {
                for kind in [Kind::Page, Kind::Locked] {
                    seed += 1;
                    let setup = Setup {
                        kind,
                        physical: physical * PAGE,
                        huge: huge * PAGE,
                        ages,
                        pages: 256,
                        ..Setup::SMALL
                    };
                    wander(setup, seed);
                }
            }
        }
    }
}

#[test]
fn a_heap_of_any_kind_survives_anything() {
    for kind in KINDS {
        for seed in 100..103 {
            wander(Setup::of(kind), seed);
        }
    }
}
