//! Joins and loops where two hosts serve the same functions: parts meet
//! although no host knows of the other but by the broker.

use crate::common::{Place, Running, expected};
use faas_tests::services::{shared_kafka, shared_redis};
use std::collections::BTreeMap;

/// One of two hosts that serve all functions, with a state directory of its
/// own.
fn host(place: &Place, name: &str, example: &str, how: &str) -> Running {
    let serve = format!("faas-invoke --chain {example}/chain.json --run $R --via $U");
    place.start(name, &format!("env FAAS_STATE_DIR=$PWD/{name} {serve} --deliver {how}"))
}

fn comes_to_the_same(url: &str, example: &str, input: &str, how: &str) {
    let place = Place::new(url);
    place.sandbox.copy(&format!("examples/{example}"));
    let chain = format!("--run $R --via $U --chain {example}/chain.json");
    place.ok(&format!("faas-queue new {chain}"));
    let mut hosts = ["one", "two"].map(|name| host(&place, name, example, how));
    place.ok(&format!("FAAS_STATE_DIR=$PWD/three faas-trigger {chain} < {example}/{input}"));
    // Each end of a branch is told; what is no result has another verdict.
    let results = "jq -c 'select(.faasverdict == \"result\") | .id, .data'";
    let wanted = expected(&format!("{example}/expected.ndjson"));
    let ends = format!(
        "export FAAS_STATE_DIR=$PWD/four; (faas-queue get -n 100000 --timeout 8s -o json \
         $U/faas.$R._reply || [ $? -eq 75 ]) | {results}"
    );
    // By id: at least once the same one may come again.
    let (mut came, mut count) = (BTreeMap::new(), 0);
    place.until("all results are there", || {
        let text = place.ok(&ends);
        for pair in text.lines().collect::<Vec<_>>().chunks_exact(2) {
            came.insert(pair[0].to_owned(), pair[1].to_owned());
            count += 1;
        }
        came.len() >= wanted.len()
    });
    let told = || format!("{}{}", place.text("one.err"), place.text("two.err"));
    let mut data: Vec<String> = came.into_values().collect();
    data.sort();
    assert_eq!(data, wanted, "{}", told());
    assert!(count == wanted.len() || how == "at-least-once", "{count}: {}", told());
    place.ok("FAAS_STATE_DIR=$PWD/five faas-queue rm --yes --run $R --via $U");
    hosts.iter_mut().for_each(|host| assert_eq!(host.wait(), 0, "{}", told()));
}

#[test]
fn a_join_on_redis() {
    comes_to_the_same(&shared_redis(), "words", "carroll.txt", "at-least-once");
}

#[test]
fn a_loop_on_redis() {
    comes_to_the_same(&shared_redis(), "collatz", "numbers.txt", "at-least-once");
}

#[test]
fn a_join_on_kafka() {
    comes_to_the_same(&shared_kafka(), "words", "carroll.txt", "at-least-once");
    comes_to_the_same(&shared_kafka(), "words", "carroll.txt", "exactly-once");
}

#[test]
fn a_loop_on_kafka() {
    comes_to_the_same(&shared_kafka(), "collatz", "numbers.txt", "at-least-once");
    comes_to_the_same(&shared_kafka(), "collatz", "numbers.txt", "exactly-once");
}
