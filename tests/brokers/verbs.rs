//! Verbs of `faas-queue`, each to its edge.

use crate::common::Place;
use crate::kafka::with_tools;
use faas_tests::services::{shared_kafka, shared_redis};
use nix::sys::signal::Signal;

fn places() -> [Place; 2] {
    [Place::new(&shared_redis()), Place::new(&shared_kafka())]
}

/// What could not be written stays; what is in a pipe counts as written.
#[test]
fn a_closed_reader_leaves_what_was_not_written() {
    for place in places() {
        let out = place.ok("faas-queue new --order fifo $U/$R-q; seq 10 | faas-queue put $U/$R-q
            faas-queue get -n 10 -o lines $U/$R-q > /dev/full; [ $? -ne 0 ] && echo failed
            faas-queue get -n 10 --timeout 30s -o lines $U/$R-q | sort -n | tr '\\n' ' '
            faas-queue rm --yes $U/$R-q");
        assert_eq!(out, "failed\n1 2 3 4 5 6 7 8 9 10 ", "{}", place.url);
        // Lines as long as a pipe: some are in it when its reader goes.
        place.ok("faas-queue new --order fifo $U/$R-q
            for n in $(seq 8); do head -c 40000 /dev/zero | tr '\\0' $n; echo; done | faas-queue put -i lines $U/$R-q
            faas-queue get -n 8 -o lines $U/$R-q | head -n 1 | cut -c 1 > first
            faas-queue get -n 8 --timeout 5s -o lines $U/$R-q | cut -c 1 > rest");
        let (first, rest) = (place.text("first"), place.text("rest"));
        assert_eq!(first, "1\n");
        // A pipe holds two of them at most; all behind these are still there.
        assert!(rest.ends_with("4\n5\n6\n7\n8\n") && !rest.contains('1'), "{rest}");
        place.ok("faas-queue rm --yes $U/$R-q");
    }
}

/// How far groups are, whoever is asked for it and however the group is named.
#[test]
fn depths_are_those_of_the_group() {
    let place = Place::new(&shared_kafka());
    place.ok("faas-queue new $U/$R-q $U/$R-r; seq 9 | faas-queue put $U/$R-q; seq 5 | faas-queue put $U/$R-r");
    let depths = |options: &str| {
        place.ok(&format!(
            "for queue in q r; do faas-queue stat -o json \"$U/$R-$queue{options}\"; done | jq .depth | tr '\\n' ' '"
        ))
    };
    place.ok("faas-queue get -n 4 $U/$R-q; faas-queue get -n 2 \"$U/$R-q?group=others\"
        faas-queue get -n 1 \"$U/$R-q?group.id=more\"");
    assert_eq!(depths(""), "5 5 ");
    assert_eq!(depths("?group=others"), "7 5 ");
    assert_eq!(depths("?group.id=more"), "8 5 ", "by a client of its own");
    assert_eq!(depths("?client.id=x"), "5 5 ", "by a client of its own");
    place.ok("faas-queue rm --yes $U/$R-q $U/$R-r");
}

/// What a transaction has sent that is not over waits like all else, though
/// nobody can take it yet: a topic that looked empty would look done with.
#[test]
fn what_a_transaction_has_sent_waits() {
    let place = Place::new(&shared_kafka());
    place.ok("faas-queue new \"$U/$R-q?partitions=1\"; seq 3 | faas-queue put $U/$R-q");
    let seen = with_tools(
        &place,
        "depth() { faas-queue stat -o json $U/$R-q | jq .depth; }
         before=$(depth)
         tool org.apache.kafka.tools.ProducerPerformance --topic $R-q --num-records 12 --record-size 8 \
             --throughput 2 --transactional-id $R --transaction-duration-ms 60000 \
             --producer-props bootstrap.servers=$B > performance 2>&1 &
         until test $(depth) -gt 4 || ! kill -0 $!; do sleep 0.2; done
         faas-queue peek -n 99 -o lines $U/$R-q | tr '\\n' ' '
         wait $! || cat performance
         echo \"$before $(depth)\"",
    );
    assert_eq!(seen.stdout, "1 2 3 3 15\n", "{seen:?}");
    place.ok("faas-queue rm --yes $U/$R-q");
}

/// Beside a reader a move waits for its share of the partitions, takes it, and
/// says what it could not have.
#[test]
fn a_move_beside_a_reader_takes_its_share() {
    let place = Place::new(&shared_kafka());
    place.ok("faas-queue new $U/$R-q $U/$R-r; seq 3000 | faas-queue put $U/$R-q");
    let mut holder = place.start("held", "faas-queue get -n 1 --hold 1m $U/$R-q");
    place.until_lines("held.out", 1);
    let came = place.sh("faas-queue mv $U/$R-q $U/$R-r");
    let count = |before: &str| {
        let words = came.stderr.split(before).next().unwrap_or_default();
        words.rsplit(' ').next().and_then(|word| word.parse::<u64>().ok()).unwrap_or(0)
    };
    let (moved, others) = (count(" messages moved"), count(" held or taken"));
    assert!(moved > 0 && others > 0 && moved + others == 3_000, "{came:?}");
    holder.stop();
    let rest = place.sh("faas-queue mv $U/$R-q $U/$R-r");
    assert!(rest.stderr.contains(&format!("{others} messages moved")), "{rest:?}");
    assert_eq!(place.ok("faas-queue peek -n 9999 -o lines $U/$R-r | sort -u | wc -l"), "3000\n");
    place.ok("faas-queue rm --yes $U/$R-q $U/$R-r");
}

/// Whoever was stopped for longer than its lease is told that others have what
/// it held.
#[test]
fn a_lease_that_was_over_is_told_of() {
    let place = Place::new(&shared_redis());
    let url = "\"$U/$R-q?lease=2s\"";
    place.ok("faas-queue new $U/$R-q; seq 3 | faas-queue put $U/$R-q");
    let mut holder = place.start("held", &format!("faas-queue get -n 3 --hold 6s {url}"));
    place.until_lines("held.out", 3);
    holder.signal(Signal::SIGSTOP);
    let others = place.ok(&format!("faas-queue get -n 3 --timeout 20s -o lines {url}"));
    assert_eq!(others, "1\n2\n3\n");
    holder.signal(Signal::SIGCONT);
    assert_eq!(holder.wait(), 1);
    let told = place.text("held.err");
    let said = "the lease was over: others took over 3 that were held";
    assert_eq!(told.matches(said).count(), 1, "{told}");
    place.ok("faas-queue rm --yes $U/$R-q");
}

/// A reader that is slow is waited for: no timeout counts it, and no line is
/// torn.
#[test]
fn a_slow_reader_gets_all_of_it() {
    for place in places() {
        let kafka = place.url.starts_with("kafka");
        let capacity = if kafka { "" } else { "--capacity 5000" };
        let out = place.ok(&format!(
            "faas-queue new --order fifo {capacity} $U/$R-q; seq 5000 | faas-queue put $U/$R-q
            faas-queue get --timeout 0 $U/$R-q | (sleep 2; wc -l)
            for n in 1 2 3; do head -c 900000 /dev/zero | tr '\\0' $n; echo; done | faas-queue put -i lines $U/$R-q
            faas-queue get -n 3 --timeout 1s -o lines $U/$R-q | (sleep 3; wc -lc | tr -s ' ')
            faas-queue rm --yes $U/$R-q"
        ));
        assert_eq!(out, "5000\n 3 2700003\n", "{}", place.url);
    }
}

/// Stdout that is closed is not written to: nothing is taken.
#[test]
fn a_closed_stdout_takes_nothing() {
    for place in places() {
        let out = place.ok("faas-queue new --order fifo $U/$R-q; seq 3 | faas-queue put $U/$R-q
            faas-queue get -n1 $U/$R-q >&-; echo $?
            faas-queue get -n3 --timeout 20s -o lines $U/$R-q | tr '\\n' ' '; faas-queue rm --yes $U/$R-q");
        assert_eq!(out, "69\n1 2 3 ", "{}", place.url);
    }
}

/// More than one batch is left behind by a reader that dies.
#[test]
fn all_that_a_dead_reader_left_is_taken() {
    let place = Place::new(&shared_redis());
    let url = "\"$U/$R-q?lease=2s\"";
    place.ok("faas-queue new $U/$R-q $U/$R-r; seq 300 | faas-queue put $U/$R-q");
    for verb in ["mv", "purge"] {
        let mut holder = place.start(verb, &format!("faas-queue get -n 300 --hold 1m {url}"));
        place.until_lines(&format!("{verb}.out"), 300);
        let beside = place.sh(&format!("faas-queue purge --yes {url}"));
        let said = "0 messages removed, 300 held or taken by other readers";
        assert!(beside.code == 0 && beside.stderr.contains(said), "{beside:?}");
        let dry = place.sh(&format!("faas-queue purge --dry-run {url}"));
        assert!(dry.stderr.contains("unless readers finish the 300 that they hold"), "{dry:?}");
        holder.kill();
        let state =
            || place.ok(&format!("faas-queue stat -o json {url} | jq -c '[.depth, .held]'"));
        place.until("it is not heard of any more", || state() == "[300,0]\n");
        let flags = if verb == "mv" { "$U/$R-r" } else { "--yes" };
        let taken = place.sh(&format!("faas-queue {verb} {url} {flags}"));
        assert!(taken.code == 0 && taken.stderr.contains("300 messages"), "{taken:?}");
        assert!(!taken.stderr.contains("other readers"), "{taken:?}");
        if verb == "mv" {
            place.ok(&format!("faas-queue mv -q $U/$R-r {url}"));
        }
    }
    place.ok("faas-queue rm --yes $U/$R-q $U/$R-r");
}

/// Some tasks are refused by what they meet; it is said what that was, and a
/// look before says whether it can be done.
#[test]
fn refusals_name_what_they_met() {
    let [redis, kafka] = places();
    let script = format!(
        "K='{}'; faas-queue new --order fifo $U/$R-a; faas-queue new $K/$R-b
        seq 3 | faas-queue put $U/$R-a; head -c 3000000 /dev/zero | faas-queue put -i raw --id big $U/$R-a
        seq 4 5 | faas-queue put $U/$R-a
        for verb in cp mv; do
            faas-queue $verb --dry-run $U/$R-a $K/$R-none; echo $?
            faas-queue $verb $U/$R-a $K/$R-b; echo $?
        done
        faas-queue purge --dry-run --grep kiwi $U/$R-a; faas-queue purge --where '.id == 1' $U/$R-a
        faas-queue peek --jq 'repeat(1)' -n 1 $U/$R-a; echo $?
        faas-queue rm --yes $U/$R-a $K/$R-b",
        kafka.url
    );
    let came = redis.sh(&script);
    assert_eq!(came.stdout, "69\n1\n69\n1\n1\n", "{came:?}");
    for wanted in [
        "-none: no such queue",
        "message big: ",
        "5 messages copied",
        "5 messages moved, 1 left, 1 of them for a failure",
        "0 messages would be removed",
        "0 messages removed, 1 left",
        "jq makes more than 10000 values of it",
    ] {
        assert!(came.stderr.contains(wanted), "{wanted}: {came:?}");
    }
}

/// A copy that can be gone on with never says that it is done while something
/// has not arrived.
#[test]
fn a_copy_to_resume_passes_nothing_over() {
    let [redis, kafka] = places();
    let script = format!(
        "K='{}'; faas-queue new --order fifo $U/$R-a; faas-queue new $K/$R-b; seq 3 | faas-queue put $U/$R-a
        head -c 3000000 /dev/zero | faas-queue put -i raw --id big $U/$R-a; seq 4 5 | faas-queue put $U/$R-a
        for n in 1 2; do faas-queue cp --resume note $U/$R-a $K/$R-b; echo $?; done
        faas-queue cp -q --resume note --where '.id != \"big\"' $U/$R-a $K/$R-b; echo $?
        faas-queue peek -n 9 -o lines $K/$R-b | sort | tr '\n' ' '; faas-queue rm --yes $U/$R-a $K/$R-b",
        kafka.url
    );
    let came = redis.sh(&script);
    assert_eq!(came.stdout, "2\n2\n0\n1 2 3 4 5 ", "{came:?}");
    assert_eq!(came.stderr.matches("message big: ").count(), 2, "{came:?}");
}

/// A copy that follows goes on with what comes later, until it is ended.
#[test]
fn a_copy_follows() {
    for place in places() {
        place.ok("faas-queue new --order fifo $U/$R-a $U/$R-b; seq 3 | faas-queue put $U/$R-a");
        let mut copy = place.start("copy", "faas-queue cp --follow --resume note $U/$R-a $U/$R-b");
        let copied = || place.ok("faas-queue peek -n 9 -o lines $U/$R-b");
        place.until("the first are there", || copied() == "1\n2\n3\n");
        place.ok("seq 4 6 | faas-queue put $U/$R-a");
        place.until("those that came later are", || copied() == "1\n2\n3\n4\n5\n6\n");
        copy.signal(Signal::SIGTERM);
        assert_eq!(copy.wait(), 143, "{}", place.text("copy.err"));
        place
            .ok("seq 7 8 | faas-queue put $U/$R-a; faas-queue cp -q --resume note $U/$R-a $U/$R-b");
        assert_eq!(copied(), "1\n2\n3\n4\n5\n6\n7\n8\n");
        place.ok("faas-queue rm --yes $U/$R-a $U/$R-b");
    }
}

/// A place noted in a topic means nothing in a later one of its name.
#[test]
fn a_copy_of_a_topic_that_was_made_anew_is_not_gone_on_with() {
    let place = Place::new(&shared_kafka());
    place.ok("faas-queue new --order fifo $U/$R-a $U/$R-b; seq 3 | faas-queue put $U/$R-a
        faas-queue cp -q --resume note $U/$R-a $U/$R-b; faas-queue rm --yes $U/$R-a
        until faas-queue new --order fifo $U/$R-a; do sleep 0.2; done 2> none
        echo 9 | faas-queue put $U/$R-a");
    let came = place.sh("faas-queue cp --resume note $U/$R-a $U/$R-b");
    assert!(came.code == 2 && came.stderr.contains("it was made anew"), "{came:?}");
    place.ok("rm note; faas-queue cp -q --resume note $U/$R-a $U/$R-b");
    assert_eq!(place.ok("faas-queue peek -n 9 -o lines $U/$R-b"), "1\n2\n3\n9\n");
    place.ok("faas-queue rm --yes $U/$R-a $U/$R-b");
}

/// Round trips of a size, so many in a second.
#[test]
fn round_trips_have_a_size_and_a_rate() {
    for place in places() {
        let out = place.ok("faas-queue ping -n 20 --rate 20 --size 64KiB -o json $U |
            jq -c '[.count, .size, .rate, .took_s > 0.9, .first_us > 0, .min_us <= .max_us]'");
        assert_eq!(out, "[20,65536,20,true,true,true]\n");
    }
}

/// All that is known of a queue with a reader that holds one message, and with
/// traffic while it is looked at.
#[test]
fn a_portrait_has_all_that_is_known() {
    for place in places() {
        let is_redis = place.url.starts_with("redis");
        place.ok("faas-queue new --order fifo $U/$R-q $U/$R-q.dead; seq 5 | faas-queue put $U/$R-q
            echo 1 | faas-queue put $U/$R-q.dead; sleep 1.1");
        let mut reader = place.start("held", "faas-queue get --hold 1m $U/$R-q");
        place.until_lines("held.out", 1);
        let sender = place.start("sent", "sh -c 'sleep 1; seq 30 | faas-queue put $U/$R-q'");
        let seen = place.ok("faas-queue stat --over 3s -o json $U/$R-q | jq -c '
            [.dead, .order, .rate_in > 5, .rate_out, .oldest_s > 1, .readers, .held, .partitions,
             (.readers_are | length), (.readers_are[0].name | length > 0)]'");
        drop(sender);
        let wanted = match is_redis {
            true => "[1,\"fifo\",true,0,true,1,1,null,1,true]\n",
            false => "[1,\"fifo\",true,0,true,1,null,1,1,true]\n",
        };
        assert_eq!(seen, wanted, "{}", place.text("sent.err"));
        let shown = place.ok("faas-queue stat $U/$R-q");
        let reader_line = shown.lines().find(|line| line.starts_with("reader  "));
        let since = reader_line.is_some_and(|line| line.contains(" for ")) == is_redis;
        assert!(shown.contains("order           fifo\n") && since, "{shown}");
        reader.stop();
        place.ok("faas-queue rm --yes $U/$R-q $U/$R-q.dead");
    }
    let kafka = Place::new(&shared_kafka());
    let shown =
        kafka.ok("faas-queue new $U/$R-q; faas-queue stat $U/$R-q; faas-queue rm --yes $U/$R-q");
    assert!(shown.contains("fifo in each partition"), "{shown}");
}
