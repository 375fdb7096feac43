//! The seeds, without a fuzzer: every target runs every file of its own in `seeds`.
//!
//! A seed is an input to begin with, so that not even the first second is spent on
//! nothing; or what a target once failed with, under the name of what was wrong. Those
//! to begin with are written by the last test here, and no two runs of it differ.

use std::fs;
use std::path::PathBuf;

use spanheap_fuzz::TARGETS;

fn folder(target: &str) -> PathBuf {
    PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/seeds")).join(target)
}

#[test]
fn no_target_fails_with_its_seeds() {
    let mut seeds = 0;
    for (target, run) in TARGETS {
        let files = fs::read_dir(folder(target)).expect("a folder of seeds");
        let mut count = 0;
        for file in files {
            let path = file.expect("an entry").path();
            println!("{}", path.display());
            run(&fs::read(path).expect("a file"));
            count += 1;
        }
        assert!(count > 0, "no seeds for {target}");
        seeds += count;
    }
    println!("figures: fuzz: {seeds} seeds of {} targets", TARGETS.len());
}

/// Marsaglia's xorshift.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }
}

/// Bytes that mean nothing: of them every target makes steps of all kinds.
fn noise(random: &mut Random, bytes: usize) -> Vec<u8> {
    (0..bytes).map(|_| (random.next() >> 32) as u8).collect()
}

/// A trace of one event of each kind, as it is before it is compressed.
const PLAIN: &[u8] = b"PAGETRACE 1\n{\"page_size\":4096,\"events\":6,\"allocs\":2,\
    \"frees\":2,\"partial_frees\":1,\"peak_live_pages\":9,\"ms\":5,\"source\":\"a seed\"}\n\
    \x84\x01\x2b\x14\x07\x0a\x01\x02\x05";

#[test]
#[ignore = "writes the seeds"]
fn seeds_are_written() {
    for (number, (target, _)) in TARGETS.into_iter().enumerate() {
        let mut random = Random(0x9e37_79b9_7f4a_7c15 ^ number as u64);
        let mut seeds = vec![
            noise(&mut random, 64),
            noise(&mut random, 256),
            noise(&mut random, 1024),
        ];
        if target == "trace" {
            // What the first byte says, see the target.
            seeds.iter_mut().for_each(|seed| seed[0] = 1);
            seeds.push([&[0], PLAIN].concat());
            seeds.push(spanheap_fuzz::trace::gzip(PLAIN));
        }
        fs::create_dir_all(folder(target)).expect("a folder");
        for (number, seed) in seeds.into_iter().enumerate() {
            let path = folder(target).join(format!("seed-{number}"));
            fs::write(path, seed).expect("a file");
        }
    }
}
