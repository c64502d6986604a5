//! The simulation as a test: sound seeds hold every rule, each planted fault is found, and the same
//! seed is the same run.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use docmill_tests::sim::run_seed;
use docmill_worker::delivery::PlantedFault;

/// Seeds that must hold every rule.
const SOUND: u64 = 200;
/// Seeds that are run twice.
const TWICE: u64 = 50;
/// Seeds within which a planted fault must be found.
const MUTANT_SEEDS: u64 = 1_000;

#[test]
fn sound_seeds_hold_every_rule() {
    for seed in 1..=SOUND {
        if let Err(violation) = run_seed(seed, None) {
            panic!("seed {seed}: {}", violation.what);
        }
    }
}

#[test]
fn the_same_seed_is_the_same_run() {
    for seed in 1..=TWICE {
        let hash = || run_seed(seed, None).map(|trace| trace.hash).expect("sound seeds hold every rule");
        assert_eq!(hash(), hash(), "seed {seed}");
    }
}

fn found(planted: PlantedFault) {
    let found = (1..=MUTANT_SEEDS).any(|seed| run_seed(seed, Some(planted)).is_err());
    assert!(found, "{} is not found within {MUTANT_SEEDS} seeds", planted.as_str());
}

#[test]
fn finds_an_early_ack() {
    found(PlantedFault::AckEarly);
}

#[test]
fn finds_a_commit_without_a_look_at_the_epoch() {
    found(PlantedFault::CommitWithoutEpoch);
}

#[test]
fn finds_a_write_that_skips_what_is_there() {
    found(PlantedFault::SkipIfPresent);
}

#[test]
fn finds_a_lowered_epoch() {
    found(PlantedFault::EpochLowered);
}

#[test]
fn finds_a_removal_without_a_look_at_the_epoch() {
    found(PlantedFault::DeleteWithoutEpoch);
}

#[test]
fn finds_uncounted_child_crashes() {
    found(PlantedFault::NoCrashCounter);
}

#[test]
fn finds_a_lease_extended_without_progress() {
    found(PlantedFault::BlindHeartbeat);
}

#[test]
fn finds_a_heartbeat_that_does_not_look_at_the_owner() {
    found(PlantedFault::HeartbeatWithoutOwner);
}

#[test]
fn finds_a_consumer_that_is_removed_with_what_it_has() {
    found(PlantedFault::ConsumerDeletedAtDrain);
}

#[test]
fn finds_a_commit_before_the_writes() {
    found(PlantedFault::CommitBeforeWrite);
}
