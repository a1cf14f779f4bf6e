//! Load on Kafka: a quick invoker beside a slow one, with partitions that are
//! shared evenly and with partitions that are shared by rate.

use crate::common::Place;
use crate::kafka::effects;
use faas_tests::services::shared_kafka;
use std::collections::BTreeSet;

/// How many messages the quick one of two invokers did, and how often all
/// messages were done in total.
fn quick_ones_share(count: usize, options: &str, how: &str) -> (usize, usize) {
    let place = Place::new(&shared_kafka());
    let url = |name: &str| format!("'{}/'$R-{name}'?{options}'", place.url);
    let (jobs, results) = (url("jobs"), url("results"));
    place.ok(&format!("faas-queue new {jobs} {results}"));
    let invoker = |name: &str, function: &str| {
        let flags = format!("-j1 --deliver {how} --from {jobs} --to {results}");
        place.start(name, &format!("faas-invoke {flags} -- {function}"))
    };
    let mut hosts = [
        invoker("quick", "sed 's/^/quick /'"),
        invoker("slow", "sh -c 'touch at-work; sleep 0.1; sed \"s/^/slow /\"'"),
    ];
    place.until("both work", || {
        place.ok(&format!("echo before | faas-queue put {jobs}"));
        place.sandbox.path().join("at-work").exists()
    });
    place.ok(&format!("seq {count} | faas-queue put {jobs}"));
    let depth = format!("faas-queue stat -o json {jobs} | jq .depth");
    place.until("all is done", || place.ok(&depth) == "0\n");
    hosts.iter_mut().for_each(|host| assert_eq!(host.stop(), 143));
    let seen = effects(&place, &format!("{}-results", place.sandbox.run()));
    place.ok(&format!("faas-queue rm --yes {jobs} {results}"));
    let (mut numbers, mut quick, mut all) = (BTreeSet::new(), 0, 0);
    for (value, times) in &seen.values {
        let (host, message) = value.split_once(' ').expect("who, and what");
        let Ok(number) = message.parse::<usize>() else { continue };
        numbers.insert(number);
        all += times;
        quick += if host == "quick" { *times } else { 0 };
    }
    assert_eq!(numbers, (1..=count).collect(), "none is lost");
    println!("{options}, {how}: the quick one did {quick} of {all}");
    (quick, all)
}

/// Half of the partitions each, whatever they are able to do.
#[test]
fn even_shares_are_blind_to_load() {
    let (quick, _) = quick_ones_share(200, "balance=static&partitions=64", "at-least-once");
    assert!((60..=140).contains(&quick), "{quick} of 200");
}

#[test]
fn who_is_quick_gets_more_by_rate() {
    let (quick, _) = quick_ones_share(600, "balance=rate", "at-least-once");
    assert!(quick > 420, "{quick} of 600");
}

#[test]
fn by_rate_nothing_is_done_twice_where_that_is_asked() {
    let (quick, all) = quick_ones_share(600, "balance=rate", "exactly-once");
    assert_eq!(all, 600);
    assert!(quick > 420, "{quick} of 600");
}
