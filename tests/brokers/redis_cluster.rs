//! Runs on a Redis cluster: all keys of a run are on one node, whichever node
//! the tools were told of.

use crate::common::{Place, example, expected};
use faas_tests::services::{Redis, free_port};

const CHAIN: &str = r#"{ "chain": "c", "functions": { "a": { "run": ["cat"] },
    "b": { "run": ["cat"] }, "j": { "run": ["jq", "-c", ".a + .b"], "join": "all" } },
  "start": ["a", "b"], "rules": [ { "from": ["a", "b"], "to": "j" } ] }"#;

/// Hash slots of a cluster.
const SLOTS: u16 = 16_384;

/// A node with its share of the slots, and the port of its bus.
fn node(first: u16, last: u16) -> (Redis, u16) {
    let bus = free_port();
    let redis = Redis::with(&["--cluster-enabled", "yes", "--cluster-port", &bus.to_string()]);
    let (first, last) = (first.to_string(), last.to_string());
    assert_eq!(redis.command(&["CLUSTER", "ADDSLOTSRANGE", &first, &last]), "OK");
    (redis, bus)
}

fn until_ready(place: &Place, node: &Redis) {
    place.until("the cluster to be ready", || {
        let info = node.command(&["CLUSTER", "INFO"]);
        let slots = format!("cluster_slots_ok:{SLOTS}");
        info.contains("cluster_state:ok") && info.contains(&slots)
    });
}

/// A cluster of one node, and a place beside it.
fn one() -> (Redis, Place) {
    let (redis, _) = node(0, SLOTS - 1);
    let place = Place::new(&redis.url());
    until_ready(&place, &redis);
    (redis, place)
}

/// A cluster of two nodes that have half of the slots each; the place knows
/// of the first one only.
fn two() -> (Redis, Redis, Place) {
    let half = SLOTS / 2;
    let ((first, _), (second, bus)) = (node(0, half - 1), node(half, SLOTS - 1));
    let (port, bus) = (second.port().to_string(), bus.to_string());
    assert_eq!(first.command(&["CLUSTER", "MEET", "127.0.0.1", &port, &bus]), "OK");
    let place = Place::new(&first.url());
    until_ready(&place, &first);
    until_ready(&place, &second);
    place.sandbox.file("chain.json", CHAIN);
    (first, second, place)
}

/// A name whose keys are on the second of two nodes.
fn name_on_second(node: &Redis, place: &Place) -> String {
    let slot = |name: &str| node.command(&["CLUSTER", "KEYSLOT", &format!("{{faas.{name}}}")]);
    let mut names = (0..).map(|n| format!("{}-{n}", place.sandbox.run()));
    let is_there = |name: &String| slot(name).parse::<u16>().expect("a slot") >= SLOTS / 2;
    names.find(is_there).expect("half of all names are")
}

#[test]
fn all_keys_of_a_run_have_one_tag() {
    let (redis, place) = one();
    place.sandbox.file("chain.json", CHAIN);
    place.ok("faas-queue new --chain chain.json --run $R --via $U");
    let tag = format!("{{faas.{}}}", place.sandbox.run());
    let keys = redis.command(&["KEYS", "*"]);
    assert!(keys.lines().count() > 4, "{keys}");
    assert!(keys.lines().all(|key| key.starts_with(&tag)), "{keys}");
    let listed = place.ok("faas-queue ls -o json $U | jq -r .queue | sed 's/.*[.]//' | sort");
    assert_eq!(listed, "_reply\na\nb\nj\n");
    place.ok("faas-queue rm --yes --run $R");
    assert_eq!(redis.command(&["DBSIZE"]), "0");
}

#[test]
fn runs_give_what_they_give_elsewhere() {
    let (redis, place) = one();
    let (lines, _) = example(&place, "words", "carroll.txt", "--deliver exactly-once");
    assert_eq!(lines, expected("words/expected.ndjson"));
    assert_eq!(redis.command(&["DBSIZE"]), "0");
}

#[test]
fn a_run_is_on_the_node_of_its_slot() {
    let (first, second, place) = two();
    let name = name_on_second(&first, &place);
    let script = format!("seq 20 | faas-chain run -q -o lines --run {name} --via $U chain.json");
    let came = place.sh(&format!("{script} | sort -n | tail -1"));
    assert_eq!(came.stdout, "40\n", "{came:?}");
    place.ok(&format!("faas-queue new --chain chain.json --run {name} --via $U"));
    assert_eq!(first.command(&["DBSIZE"]), "0");
    assert_ne!(second.command(&["DBSIZE"]), "0");
}

/// Listing asks all nodes, and so does removing a run.
#[test]
fn queues_of_all_nodes_are_listed_and_removed() {
    let (first, second, place) = two();
    let name = name_on_second(&first, &place);
    place.ok(&format!("faas-queue new --chain chain.json --run {name} --via $U"));
    let listed = place.ok("faas-queue ls -o json $U | jq -r .queue | wc -l");
    assert_eq!(listed.trim(), "4");
    place.ok(&format!("faas-queue rm --yes --run {name}"));
    assert_eq!((first.command(&["DBSIZE"]), second.command(&["DBSIZE"])), ("0".into(), "0".into()));
}

/// Queues without a run are wherever their names lead.
#[test]
fn queues_on_two_nodes() {
    let (_first, _second, place) = two();
    for queue in ["q1", "q2", "q3", "q4"] {
        let script =
            "faas-queue new $Q; seq 3 | faas-queue put $Q; faas-queue get -n 3 -o lines $Q";
        assert_eq!(place.ok(&format!("Q=$U/{queue}; {script}")), "1\n2\n3\n", "{queue}");
    }
}

/// What a hand-off cannot do on two nodes at once is refused, done in two
/// steps, or a dead letter; it is not tried for ever, and nothing is lost.
#[test]
fn from_one_node_to_another() {
    let (redis, place) = one();
    let came = place.sh("faas-queue new $U/q $U/p; seq 3 | faas-queue put $U/q
        timeout -s KILL 10 faas-invoke --from $U/q --to $U/p --idle 2s -- cat 2> err; echo $?");
    assert!(["0\n", "1\n", "2\n"].contains(&came.stdout.as_str()), "{came:?}");
    let told = place.text("err");
    assert!(told.lines().count() < 10, "{} lines of complaints", told.lines().count());
    let length = |queue| redis.command(&["XLEN", queue]).parse::<u64>().expect("a number");
    assert_eq!(["q", "p", "{q}.dead"].map(length).iter().sum::<u64>(), 3, "{told}");
}
