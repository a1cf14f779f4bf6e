//! A seeded simulation of the pure core: random graphs, random answers,
//! random order, crashes, messages delivered again. Each invocation must end
//! exactly once and never early, no branch may be lost or doubled, and each
//! join must fire once.

mod die;
mod graph;
mod world;

use std::sync::atomic::{AtomicU64, Ordering};
use world::{Bug, History, World};

/// Graphs that are simulated; `FAAS_TEST_GRAPHS` asks for another number.
const GRAPHS: u64 = 100_000;

/// Seeds within which each bug must be found.
const SEEDS_PER_BUG: u64 = 1_000;

fn graphs() -> u64 {
    std::env::var("FAAS_TEST_GRAPHS").ok().and_then(|text| text.parse().ok()).unwrap_or(GRAPHS)
}

fn simulate(seed: u64, bug: Bug) -> Result<History, String> {
    World::new(seed, bug).run().map_err(|flaw| format!("seed {seed}: {flaw}"))
}

#[test]
fn every_invocation_ends_exactly_once() {
    let (next, graphs) = (AtomicU64::new(0), graphs());
    let sums: Vec<(History, usize)> = std::thread::scope(|scope| {
        let worker = || {
            let (mut sum, mut storms) = (History::default(), 0);
            loop {
                let seed = next.fetch_add(1, Ordering::Relaxed);
                if seed >= graphs {
                    return (sum, storms);
                }
                let history = simulate(seed, Bug::None).unwrap_or_else(|flaw| panic!("{flaw}"));
                sum.fired += history.fired;
                sum.late += history.late;
                sum.messages += history.messages;
                sum.turns += history.turns;
                storms += usize::from(history.stormy);
            }
        };
        let cores = std::thread::available_parallelism().map_or(2, usize::from);
        let workers: Vec<_> = (0..cores).map(|_| scope.spawn(worker)).collect();
        workers.into_iter().map(|worker| worker.join().expect("no flaw")).collect()
    });
    let total = |of: fn(&History) -> usize| sums.iter().map(|(sum, _)| of(sum)).sum::<usize>();
    let storms: usize = sums.iter().map(|(_, storms)| storms).sum();
    let (fired, turns) = (total(|h| h.fired), total(|h| h.turns));
    println!(
        "{graphs} graphs: {} messages, {fired} joins fired, {} parts too late, {turns} turns of loops; {storms} worlds given up as storms",
        total(|h| h.messages),
        total(|h| h.late),
    );
    assert!(storms as u64 <= graphs / 50, "nearly all come to rest");
    assert!(fired as u64 > graphs / 4 && turns as u64 > graphs / 4, "joins and loops were met");
}

#[test]
fn the_same_seed_gives_the_same_run() {
    for seed in [3, 77, 100, 1_000_003] {
        assert_eq!(simulate(seed, Bug::None), simulate(seed, Bug::None));
    }
}

#[test]
fn bugs_put_back_on_purpose_are_found() {
    let bugs =
        [Bug::CountedCredit, Bug::AcknowledgedBeforeGathered, Bug::RandomIds, Bug::ScopeNotClosed];
    for bug in bugs {
        let found = (0..SEEDS_PER_BUG).find_map(|seed| simulate(seed, bug).err());
        let found = found.unwrap_or_else(|| panic!("{bug:?} is not found"));
        println!("{bug:?}: {found}");
    }
}

/// The chains of the simulation are such as the parser takes.
#[test]
fn such_chains_can_be_written_as_files() {
    let mut taken = 0;
    for seed in 0..300 {
        let chain = World::new(seed, Bug::None).chain().clone();
        match graph::as_file(&chain) {
            Ok(mut read) => {
                read.digest.clear();
                read.deadline = chain.deadline;
                assert_eq!(read.rules, chain.rules, "seed {seed}");
                assert_eq!(read.functions.len(), chain.functions.len());
                taken += 1;
            }
            // A join of more parts than it has sources is refused, rightly.
            Err(flaws) => assert!(flaws.contains("parts and has"), "seed {seed}: {flaws}"),
        }
    }
    println!("{taken} of 300 chains");
    assert!(taken > 150);
}
