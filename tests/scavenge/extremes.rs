//! Policies that no one means: nothing and everything, in each number and in all.

use spanheap::{Costs, Policy, Pressure};

use crate::common::{Kind, POLICY, Random, Rig, SECOND, Setup};

/// A policy with one number changed: the one of this index.
fn with(policy: Policy, index: usize, value: u64) -> Policy {
    let small = u32::try_from(value).unwrap_or(u32::MAX);
    let Costs {
        release_ns,
        take_back_ns,
    } = policy.costs;
    match index {
        0 => Policy {
            price_ns: value,
            ..policy
        },
        1 => Policy {
            costs: Costs {
                release_ns: value,
                take_back_ns,
            },
            ..policy
        },
        2 => Policy {
            costs: Costs {
                release_ns,
                take_back_ns: value,
            },
            ..policy
        },
        3 => Policy {
            share: small,
            ..policy
        },
        4 => Policy {
            minimum: value,
            ..policy
        },
        5 => Policy {
            headroom: small,
            ..policy
        },
        6 => Policy {
            deadline_ns: value,
            ..policy
        },
        7 => Policy {
            young_ns: value,
            ..policy
        },
        8 => Policy {
            step: value,
            ..policy
        },
        _ => Policy {
            calls: small,
            ..policy
        },
    }
}

const NUMBERS: usize = 10;
const VALUES: [u64; 6] = [0, 1, 1_000_000, 1 << 32, u64::MAX / 2, u64::MAX];

/// Uses a heap for a while, with every verb now and then.
fn use_for_a_while(policy: Policy, seed: u64) {
    let setup = Setup {
        pages: 128,
        slots: 128,
        ..Setup::SMALL
    };
    let mut rig = Rig::new(setup, policy);
    let mut random = Random(seed | 1);
    let mut used = Vec::new();
    for step in 0..40 {
        match random.below(4) {
            0 => used.extend(rig.alloc(1 + random.below(40)).ok()),
            1 if !used.is_empty() => {
                let at = random.below(used.len() as u32) as usize;
                rig.free(used.swap_remove(at));
            }
            _ => {}
        }
        let _ = rig.poll();
        match step {
            13 => drop(rig.fake.take_log()),
            20 => {
                let _ = rig.pressure(Pressure::Moderate);
            }
            26 => {
                let _ = rig.sleep();
            }
            32 => {
                let _ = rig.reclaim(u64::from(random.below(1 << 20)));
            }
            _ => {}
        }
        if random.below(8) == 0 {
            rig.now = rig
                .now
                .wrapping_add(u64::from(random.below(u32::MAX)) << random.below(20));
        }
    }
    used.into_iter().for_each(|range| rig.free(range));
    let _ = rig.pressure(Pressure::Severe);
    assert_eq!(rig.resident(), 0, "{policy:?}");
}

#[test]
fn any_number_may_be_nothing_or_everything() {
    for policy in [Policy::EAGER, Policy::BALANCED, Policy::KEEP, POLICY] {
        for index in 0..NUMBERS {
            for value in VALUES {
                use_for_a_while(with(policy, index, value), value ^ (index as u64 * 77));
            }
        }
    }
}

#[test]
fn so_may_all_of_them_together() {
    let mut random = Random(41);
    for _ in 0..300 {
        let policy = (0..NUMBERS).fold(POLICY, |policy, index| {
            with(policy, index, VALUES[random.below(6) as usize])
        });
        use_for_a_while(policy, u64::from(random.below(u32::MAX)));
    }
}

#[test]
fn a_policy_that_lets_nothing_go_is_looked_at_once_a_second() {
    for policy in [
        Policy { step: 0, ..POLICY },
        Policy { step: 1, ..POLICY },
        Policy { calls: 0, ..POLICY },
        Policy {
            minimum: u64::MAX,
            ..POLICY
        },
        Policy {
            share: 0,
            deadline_ns: u64::MAX,
            headroom: u32::MAX,
            young_ns: u64::MAX,
            ..POLICY
        },
        Policy {
            price_ns: 0,
            deadline_ns: u64::MAX,
            ..POLICY
        },
    ] {
        let mut rig = Rig::new(Setup::of(Kind::Page), policy);
        let used = rig.alloc(900).expect("memory");
        let _ = rig.poll();
        rig.free(used);
        let polls = rig.poll_until(100 * SECOND);
        assert!(polls < 120, "{polls}: {policy:?}");
        assert_eq!(rig.idle(), 8);
    }
}

#[test]
fn what_is_young_stays_although_the_deadline_is_shorter() {
    let policy = Policy {
        deadline_ns: 0,
        young_ns: 2 * SECOND,
        ..POLICY
    };
    let mut rig = Rig::new(Setup::SMALL, policy);
    let gone = rig.until_release();
    assert!((2 * SECOND..=3 * SECOND).contains(&gone));
}

#[test]
fn a_policy_that_holds_nothing_releases_at_the_first_look() {
    let policy = Policy {
        deadline_ns: 0,
        young_ns: 0,
        ..POLICY
    };
    let mut rig = Rig::new(Setup::SMALL, policy);
    let _ = rig.poll();
    assert_eq!(rig.idle(), 0);
}

#[test]
fn a_policy_may_change_at_any_time() {
    let mut rig = Rig::new(Setup::SMALL, POLICY);
    let mut random = Random(7);
    for _ in 0..300 {
        let policy = with(
            *rig.scavenger.policy(),
            random.below(NUMBERS as u32) as usize,
            VALUES[random.below(6) as usize],
        );
        rig.scavenger.set_policy(policy);
        let _ = rig.poll();
    }
    rig.scavenger.set_policy(POLICY);
    rig.poll_until(rig.now + 20 * SECOND);
    assert_eq!(rig.idle(), 0);
}
