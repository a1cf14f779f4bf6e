//! Much put into a stream at once: transactions that check themselves. What
//! has no room, was there before, or comes to the wrong place is not there in
//! the end, and everything else is there once.

use crate::common::Place;
use faas_tests::services::Redis;
use std::time::Duration;

/// The script at the end of a transaction.
const ADDED: &str = include_str!("../../common/src/queue/redis/scripts/added.lua");

/// Adds two messages as batch 7 of a sender, and tells its script of them:
/// what the script says, and how many are in the stream.
fn add_two(redis: &Redis, stream: &str, capacity: &str) -> (String, String) {
    for id in ["a", "b"] {
        redis.command(&["XADD", stream, "NOMKSTREAM", "*", "ce_id", id]);
    }
    (end_of_two(redis, stream, capacity), redis.command(&["XLEN", stream]))
}

/// What the script says of the two.
fn end_of_two(redis: &Redis, stream: &str, capacity: &str) -> String {
    let keys = ["sent", stream, "about", "wants"];
    let words = ["7", "2", capacity, "ann", "b"];
    redis.command(&[&["EVAL", ADDED, "4"], &keys[..], &words].concat())
}

/// One message of somebody else's is there before.
fn with_one() -> Redis {
    let redis = Redis::start();
    redis.command(&["XADD", "q", "*", "ce_id", "other"]);
    redis
}

fn said(answer: &str, length: &str) -> (String, String) {
    (answer.to_owned(), length.to_owned())
}

#[test]
fn what_has_no_room_is_taken_out_again() {
    for (capacity, answer, length) in [("0", "d,d", "3"), ("3", "d,d", "3"), ("2", "d,f2", "2")] {
        let redis = with_one();
        assert_eq!(add_two(&redis, "q", capacity), said(answer, length), "{capacity}");
        let waits = redis.command(&["SMEMBERS", "wants"]);
        assert_eq!(waits, if answer == "d,f2" { "ann" } else { "" }, "{capacity}");
    }
    let redis = with_one();
    assert_eq!(add_two(&redis, "q", "1"), said("f2,f2", "1"));
    let left = redis.command(&["XRANGE", "q", "-", "+"]);
    assert!(left.ends_with("ce_id\nother"), "{left}");
}

#[test]
fn what_was_done_before_is_not_done_again() {
    let redis = with_one();
    assert_eq!(add_two(&redis, "q", "0"), said("d,d", "3"));
    // As a connection that broke may bring it once more.
    assert_eq!(add_two(&redis, "q", "0"), said("d,d", "3"));
    assert_eq!(redis.command(&["HGET", "about", "taken_back"]), "2");
    // A later one was.
    redis.command(&["SET", "sent", "8:d"]);
    assert_eq!(add_two(&redis, "q", "0"), said("d", "3"));
    // Somebody removed the queue meanwhile.
    redis.command(&["DEL", "q"]);
    assert_eq!(add_two(&redis, "q", "0"), said("d", "0"));
}

/// Whatever refused the entries: others' stay, and nothing is kept of it.
#[test]
fn where_none_was_added_nothing_is_said() {
    let redis = with_one();
    for capacity in ["0", "1"] {
        assert_eq!(end_of_two(&redis, "q", capacity), "");
        assert_eq!(redis.command(&["XLEN", "q"]), "1");
        assert_eq!(redis.command(&["EXISTS", "sent"]), "0");
    }
    redis.command(&["SET", "sent", "7:d,d"]);
    assert_eq!(end_of_two(&redis, "q", "0"), "d,d");
    assert_eq!(redis.command(&["XLEN", "q"]), "1");
}

#[test]
fn where_no_stream_is_nothing_is_added() {
    let redis = Redis::start();
    assert_eq!(add_two(&redis, "q", "0"), said("g2,g2", "0"));
    let redis = Redis::start();
    redis.command(&["SET", "q", "a text"]);
    let (answer, _) = add_two(&redis, "q", "0");
    let why = "eWRONGTYPE Operation against a key holding the wrong kind of value";
    assert_eq!(answer, format!("{why},{why}"));
}

/// How often a server ran a command.
fn calls(redis: &Redis, command: &str) -> u64 {
    let stats = redis.command(&["INFO", "commandstats"]);
    let line = stats.lines().find_map(|line| line.strip_prefix(&format!("cmdstat_{command}:")));
    let calls = line.and_then(|line| line.strip_prefix("calls=")?.split(',').next());
    calls.map_or(0, |calls| calls.parse().expect("a number"))
}

#[test]
fn a_queue_never_has_more_than_it_may() {
    let redis = Redis::start();
    let place = Place::new(&redis.url());
    place.ok("faas-queue new --capacity 1000 $U/q; seq 20000 > all
        seq 1 2 20000 > odd; seq 2 2 20000 > even");
    let mut senders =
        ["odd", "even"].map(|name| place.start(name, &format!("faas-queue put -q $U/q < {name}")));
    let mut reader = place.start("get", "faas-queue get -n 20000 --timeout 60s -o lines $U/q");
    let mut most = 0;
    place.until("all is taken", || {
        let length: u64 = redis.command(&["XLEN", "q"]).parse().expect("a number");
        most = most.max(length);
        place.text("get.out").lines().count() >= 20_000
    });
    senders.iter_mut().for_each(|sender| assert_eq!(sender.wait(), 0));
    assert_eq!(reader.wait(), 0);
    assert!((1..=1000).contains(&most), "{most}");
    let sent = place.ok("faas-queue stat -o json $U/q | jq .sent_total");
    assert_eq!(sent, "20000\n", "what had no room does not count");
    assert!(calls(&redis, "exec") > 2, "transactions are used");
    place.ok("sort -n get.out | cmp - all; grep '[13579]$' get.out | cmp - odd");
}

#[test]
fn connections_that_break_cost_nothing_and_double_nothing() {
    let redis = Redis::start();
    let place = Place::new(&redis.url());
    place.ok("faas-queue new --capacity 1000000 $U/q; seq 200000 > all");
    let mut sender = place.start("put", "faas-queue put -q $U/q < all");
    let mut broken = 0;
    while !sender.is_over() {
        let killed = redis.command(&["CLIENT", "KILL", "TYPE", "normal"]);
        broken += killed.parse::<u32>().expect("a number");
        std::thread::sleep(Duration::from_millis(70));
    }
    assert_eq!(sender.wait(), 0, "{}", place.text("put.err"));
    assert!(broken > 2, "{broken}");
    assert!(calls(&redis, "exec") > 20, "transactions are used");
    place.ok("faas-queue peek -n 200000 -o lines $U/q | cmp - all");
}

#[test]
fn a_server_whose_memory_fills_up_meanwhile() {
    let redis = Redis::start();
    let place = Place::new(&redis.url());
    place.ok("faas-queue new --capacity 1000000 $U/q; seq 100000 > all");
    redis.command(&["CONFIG", "SET", "maxmemory", "5mb"]);
    let mut sender = place.start("put", "faas-queue put $U/q < all");
    place.until("the notice", || place.text("put.err").contains("memory is full"));
    redis.command(&["CONFIG", "SET", "maxmemory", "0"]);
    assert_eq!(sender.wait(), 0, "{}", place.text("put.err"));
    assert!(calls(&redis, "exec") > 20, "transactions are used");
    place.ok("faas-queue peek -n 100000 -o lines $U/q | cmp - all");
}

#[test]
fn who_may_not_have_transactions_does_without() {
    for denied in ["-multi", "-exec", "-eval", "-xrevrange", "-xdel"] {
        let redis = Redis::start();
        let user = ["ACL", "SETUSER", "ann", "on", "nopass", "~*", "&*", "+@all", denied];
        assert_eq!(redis.command(&user), "OK");
        let place = Place::new(&redis.url().replace("//", "//ann@"));
        place.ok("faas-queue new --capacity 100000 $U/q; seq 5000 | faas-queue put -q $U/q");
        let place = Place::new(&redis.url());
        place.ok("faas-queue get -n 5000 -o lines $U/q > came; seq 5000 | cmp - came");
        assert_eq!(calls(&redis, "xadd"), 5000, "{denied}");
    }
}
