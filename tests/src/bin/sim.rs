//! Runs the simulation: `--seeds N [--from K] [--counts-only]`, `--seed N [--trace] [--planted NAME]`, `--mutants`.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::process::ExitCode;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use docmill_tests::sim::{run_seed, run_seed_traced};
use docmill_worker::delivery::PlantedFault;

/// Threads that run seeds.
const THREADS: u64 = 2;
/// Seeds that are run twice.
const TWICE: u64 = 1_000;
/// Seeds within which every planted fault must be found.
const MUTANT_SEEDS: u64 = 1_000;
/// Seeds a second below which a run falls short, unless counts alone are asked for.
const SEEDS_PER_S_MIN: f64 = 200.0;

#[derive(Default)]
struct Total {
    failures: AtomicU64,
    effects: AtomicU64,
    faults: AtomicU64,
    answers: AtomicU64,
    swept: AtomicU64,
    equal: AtomicU64,
    twice: AtomicU64,
}

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let value = |name: &str| {
        let at = args.iter().position(|arg| arg == name)?;
        args.get(at + 1).cloned()
    };
    let number = |name: &str| value(name).and_then(|text| text.parse::<u64>().ok());
    let has = |name: &str| args.iter().any(|arg| arg == name);
    if let Some(seed) = number("--seed") {
        let planted = value("--planted").and_then(|name| PlantedFault::parse(&name));
        return one(seed, planted, has("--trace"));
    }
    let seeds = number("--seeds");
    if seeds.is_none() && !has("--mutants") {
        eprintln!(
            "usage: sim --seeds N [--from K] [--counts-only] [--mutants] | --mutants | --seed N [--trace] [--planted NAME]"
        );
        return ExitCode::from(2);
    }
    let mut good = true;
    let mut closing = "sim:".to_owned();
    if let Some(seeds) = seeds {
        let rate_min = if has("--counts-only") { 0.0 } else { SEEDS_PER_S_MIN };
        let (line, held) = many(number("--from").unwrap_or(1), seeds, rate_min);
        closing.push_str(&line);
        good &= held;
    }
    if has("--mutants") {
        let found = mutants();
        closing.push_str(&format!(" mutants_found={found}/{}", PlantedFault::ALL.len()));
        good &= found == PlantedFault::ALL.len();
    }
    println!("{closing}");
    if good { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn one(seed: u64, planted: Option<PlantedFault>, traced: bool) -> ExitCode {
    let (trace, violation) = match run_seed_traced(seed, planted, traced) {
        Ok(trace) => (trace, None),
        Err(violation) => (violation.trace.clone(), Some(violation.what)),
    };
    trace.lines.iter().for_each(|line| println!("{line}"));
    println!(
        "seed {seed}: hash {:016x}, {} effects, {} faults, {} searches, {} swept, {} virtual ms",
        trace.hash, trace.effects, trace.faults, trace.answers, trace.swept, trace.virtual_ms
    );
    match violation {
        Some(what) => {
            println!("violation: {what}");
            ExitCode::FAILURE
        }
        None => ExitCode::SUCCESS,
    }
}

fn many(from: u64, seeds: u64, rate_min: f64) -> (String, bool) {
    let total = Total::default();
    let begun = Instant::now();
    std::thread::scope(|scope| {
        for thread in 0..THREADS {
            let total = &total;
            scope.spawn(move || {
                for n in (thread..seeds).step_by(THREADS as usize) {
                    seed_of_many(total, from + n, n < TWICE);
                }
            });
        }
    });
    let seconds = begun.elapsed().as_secs_f64();
    let get = |count: &AtomicU64| count.load(Ordering::Relaxed);
    let (failures, equal, twice) = (get(&total.failures), get(&total.equal), get(&total.twice));
    let rate = (seeds + twice) as f64 / seconds;
    let line = format!(
        " seeds={seeds} failures={failures} seeds_per_s={rate:.0} effects={} faults_per_seed={:.1} searches={} swept={} traces_equal={equal}/{twice}",
        get(&total.effects),
        get(&total.faults) as f64 / seeds as f64,
        get(&total.answers),
        get(&total.swept),
    );
    (line, failures == 0 && equal == twice && rate >= rate_min)
}

fn seed_of_many(total: &Total, seed: u64, twice: bool) {
    let add = |count: &AtomicU64, n: u64| count.fetch_add(n, Ordering::Relaxed);
    match run_seed(seed, None) {
        Ok(trace) => {
            add(&total.effects, trace.effects);
            add(&total.faults, trace.faults);
            add(&total.answers, trace.answers);
            add(&total.swept, trace.swept);
            if twice {
                add(&total.twice, 1);
                let equal = run_seed(seed, None).is_ok_and(|again| again.hash == trace.hash);
                add(&total.equal, u64::from(equal));
            }
        }
        Err(violation) => {
            add(&total.failures, 1);
            println!("seed {seed}: {}", violation.what);
        }
    }
}

fn mutants() -> usize {
    let mut found = 0;
    for planted in PlantedFault::ALL {
        let hits: Vec<u64> =
            (1..=MUTANT_SEEDS).filter(|seed| run_seed(*seed, Some(planted)).is_err()).collect();
        let first = hits.first().map_or("none".to_owned(), u64::to_string);
        let percent = hits.len() as f64 * 100.0 / MUTANT_SEEDS as f64;
        println!("{:<22} first seed {first:>5}, {percent:5.1} % of seeds", planted.as_str());
        found += usize::from(!hits.is_empty());
    }
    found
}
