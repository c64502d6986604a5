//! The fuzzers' functions without a fuzzer: each gets its seeds and the same changes of them in every run. Changes have
//! numbers; `DOCMILL_FUZZ=TARGET:NUMBER` makes that one alone. The last input of each is left in the build's folder for
//! tests, as what overflows a stack tells nothing any more.
#![cfg(feature = "testing")]
#![allow(clippy::unwrap_used)]

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use docmill_worker::extract::fuzzing::{TARGETS, Target};

/// Where all changes begin.
const SEED: u64 = 0x5eed;
/// Changes of each target, if there is time.
const CHANGES: u64 = 20_000;
/// Time of each target.
const TIME: Duration = Duration::from_secs(10);
/// Longest input, in bytes.
const INPUT_BYTES_MAX: usize = 16 << 10;

/// What parsers look for.
const WORDS: &[&[u8]] = &[
    b"<",
    b">",
    b"</",
    b"/>",
    b"<!--",
    b"-->",
    b"<![CDATA[",
    b"]]>",
    b"<!DOCTYPE x [",
    b"&#0;",
    b"&amp",
    b"&#x10ffff;",
    b"<table>",
    b"</p>",
    b"<script>",
    b"<a href=\"",
    b"\"",
    b"'",
    b"\n\n",
    b"\r\n",
    b"\r",
    b"\0",
    b"\xff",
    b"\xef\xbb\xbf",
    b"\xff\xfe",
    b"\xed\xa0\x80",
    b"\xe2\x80\xae",
    b"--b",
    b"--b--",
    b"Content-Type: ",
    b"Content-Transfer-Encoding: base64",
    b"multipart/mixed; boundary=",
    b"=?utf-8?B?",
    b"?=",
    b"From ",
    b"=\n",
    b",",
    b";",
    b"\t",
    b"{\"",
    b"}",
    b"[[[[",
    b"\xff\xff\xff\xff",
    b"\x00\x00\x00\x80",
    b"-1",
    b"99999999999999999999",
    b"text:c=\"9999999\"",
    b"w:val=\"-7\"",
];

/// Numbers that look like any (splitmix64).
struct Numbers(u64);

impl Numbers {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut number = self.0;
        number = (number ^ (number >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        number = (number ^ (number >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        number ^ (number >> 31)
    }

    /// Below a bound that is not zero.
    fn below(&mut self, bound: usize) -> usize {
        (self.next() % bound as u64) as usize
    }

    /// A part of so many bytes, short ones more often than long ones.
    fn part(&mut self, length: usize) -> std::ops::Range<usize> {
        let start = self.below(length + 1);
        let shift = self.below(12);
        let end = length.min(start + self.below((1 << shift) + 1));
        start..end
    }
}

fn seeds(target: &str) -> Vec<Vec<u8>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../fuzz/seeds").join(target);
    let mut files: Vec<PathBuf> =
        std::fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    assert!(!files.is_empty(), "no seeds in {}", folder.display());
    files.iter().map(|file| std::fs::read(file).unwrap()).collect()
}

/// The change of this number, the same in every run.
fn change(seeds: &[Vec<u8>], number: u64) -> Vec<u8> {
    let mut numbers = Numbers(SEED ^ number.wrapping_mul(0x2545_f491_4f6c_dd1d));
    let mut bytes = seeds[numbers.below(seeds.len())].clone();
    for _ in 0..=numbers.below(6) {
        let part = numbers.part(bytes.len());
        let at = part.start;
        match numbers.below(8) {
            0 if at < bytes.len() => bytes[at] ^= 1 << numbers.below(8),
            1 if at < bytes.len() => bytes[at] = numbers.next() as u8,
            2 => drop(bytes.drain(part)),
            3 => {
                let again = bytes[part].repeat(1 + numbers.below(40));
                drop(bytes.splice(at..at, again));
            }
            4 => {
                let other = &seeds[numbers.below(seeds.len())];
                let from = numbers.part(other.len());
                drop(bytes.splice(part, other[from].iter().copied()));
            }
            5 => bytes.truncate(at),
            _ => {
                let word = WORDS[numbers.below(WORDS.len())];
                drop(bytes.splice(at..at, word.iter().copied()));
            }
        }
        bytes.truncate(INPUT_BYTES_MAX);
    }
    bytes
}

/// Gives one input to a target; a panic says which it was.
fn give(name: &str, target: Target, what: &str, bytes: &[u8]) {
    let last = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("fuzz-{name}"));
    std::fs::write(&last, bytes).unwrap();
    let given = catch_unwind(AssertUnwindSafe(|| target(bytes)));
    assert!(given.is_ok(), "{name} broke a rule over {what} of {SEED:#x}; it is in {}", last.display());
}

fn smoke(wanted: &str) {
    let (name, target) = *TARGETS.iter().find(|(name, _)| *name == wanted).unwrap();
    let seeds = seeds(name);
    let asked = std::env::var("DOCMILL_FUZZ").ok();
    if let Some(number) = asked.as_deref().and_then(|asked| asked.strip_prefix(name)?.strip_prefix(':')) {
        let number = number.parse().unwrap();
        return give(name, target, &format!("change {number}"), &change(&seeds, number));
    }
    for (at, seed) in seeds.iter().enumerate() {
        give(name, target, &format!("seed {at}"), seed);
    }
    let began = Instant::now();
    for number in 0..CHANGES {
        if began.elapsed() > TIME {
            println!("{name}: {number} changes, then the time was up");
            return;
        }
        give(name, target, &format!("change {number}"), &change(&seeds, number));
    }
}

#[test]
fn frames_keep_their_rules() {
    smoke("frames");
}

#[test]
fn office_documents_keep_their_rules() {
    smoke("ooxml");
}

#[test]
fn pages_keep_their_rules() {
    smoke("html");
}

#[test]
fn mails_keep_their_rules() {
    smoke("eml");
}

#[test]
fn rows_keep_their_rules() {
    smoke("csv");
}

#[test]
fn chunks_keep_their_rules() {
    smoke("chunker");
}

#[test]
fn every_target_is_tried_here_and_has_a_fuzzer() {
    let targets = Path::new(env!("CARGO_MANIFEST_DIR")).join("../fuzz/fuzz_targets");
    let mut programs: Vec<String> = std::fs::read_dir(targets)
        .unwrap()
        .map(|entry| entry.unwrap().path().file_stem().unwrap().to_string_lossy().into_owned())
        .collect();
    programs.sort();
    let mut names: Vec<&str> = TARGETS.iter().map(|(name, _)| *name).collect();
    names.sort_unstable();
    assert_eq!(programs, names);
    let tests = include_str!("fuzz_smoke.rs");
    assert!(names.iter().all(|name| tests.contains(&format!("smoke(\"{name}\")"))));
}

#[test]
fn the_same_number_is_the_same_change() {
    let seeds = [b"some bytes of a seed".to_vec(), b"others".to_vec()];
    let differing = (0..500).filter(|&number| change(&seeds, number) != seeds[0]).count();
    assert!(differing > 400, "{differing} of 500 differ");
    assert!((0..500).all(|number| change(&seeds, number) == change(&seeds, number)));
}
