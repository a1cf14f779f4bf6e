//! Queues looked into from the shell, on Redis and on Kafka: nothing is taken
//! by looking, and nothing is lost or doubled by copying and moving.

use crate::common::{Place, Seen};
use faas_tests::services::{Redis, shared_kafka, shared_redis};
use nix::sys::signal::Signal;

fn places() -> [Place; 2] {
    [Place::new(&shared_redis()), Place::new(&shared_kafka())]
}

/// Two readers share what is in a queue while three others look at it.
#[test]
fn looking_disturbs_nobody() {
    const COUNT: usize = 2_000;
    for place in places() {
        place.ok("faas-queue new $U/$R-q");
        let looking = ["tail $U/$R-q -o json", "tail --at start --grep 7 $U/$R-q -o lines"];
        let mut lookers: Vec<_> = looking
            .iter()
            .enumerate()
            .map(|(n, look)| place.start(&format!("look{n}"), &format!("faas-queue {look}")))
            .collect();
        let mut readers: Vec<_> = (0..2)
            .map(|n| {
                let get = format!("faas-queue get -n {COUNT} --timeout 100s $U/$R-q");
                place.start(&format!("got{n}"), &get)
            })
            .collect();
        let mut sender =
            place.start("sent", &format!("sh -c 'seq {COUNT} | faas-queue put $U/$R-q'"));
        for _ in 0..10 {
            place.ok("faas-queue peek -n 1000 $U/$R-q > /dev/null");
        }
        assert_eq!(sender.wait(), 0);
        let got = || place.text("got0.out") + &place.text("got1.out");
        place.until("all were taken", || got().lines().count() >= COUNT);
        lookers.iter_mut().for_each(|looker| _ = looker.stop());
        readers.iter_mut().for_each(|reader| _ = reader.stop());
        let seen = Seen::of(&got());
        seen.has_all(COUNT);
        seen.has_none_twice();
        assert_eq!(place.ok("faas-queue stat -o json $U/$R-q | jq '.depth + .held'"), "0\n");
        if place.url.starts_with("kafka") {
            // A log keeps all, so whoever follows sees all.
            Seen::of(&place.text("look0.out")).has_all(COUNT);
        }
        place.ok("faas-queue rm --yes $U/$R-q");
    }
}

#[test]
fn shows_what_is_asked_for() {
    for place in places() {
        place.ok(
            r#"faas-queue new --order fifo $U/$R-q
            for n in 1 2 3 4; do echo "{\"n\":$n,\"word\":\"kiwi-$n\"}"; done | faas-queue put $U/$R-q"#,
        );
        let cases = [
            ("-n 2 --jq .data.n", "1\n2\n"),
            ("--at -2 --jq .data.n", "3\n4\n"),
            ("--until -3 --jq .data.n", "1\n"),
            ("--at end", ""),
            ("--at -1h --where '.data.n > 3' -o lines", "{\"n\":4,\"word\":\"kiwi-4\"}\n"),
            ("--grep 'kiwi-[23]' -f '{{data.word}} {{size}};'", "kiwi-2 23;kiwi-3 23;"),
            ("--where .data.x", ""),
        ];
        for (flags, expected) in cases {
            assert_eq!(place.ok(&format!("faas-queue peek {flags} $U/$R-q")), expected, "{flags}");
        }
        // What is shown as its place is where to begin.
        let at = place.ok("faas-queue peek -o json $U/$R-q | jq -r .faasplace | sed -n 3p");
        let again = format!("faas-queue peek --at {} --jq .data.n $U/$R-q", at.trim());
        assert_eq!(place.ok(&again), "3\n4\n");
        let table = place.ok("faas-queue peek -n1 -o table $U/$R-q");
        assert!(table.starts_with("SENT ") && table.contains("kiwi-1"), "{table}");
        for (flags, wanted) in [
            ("--jq '.data['", "cannot read --jq"),
            ("--grep '('", "cannot read --grep"),
            ("-f '{{'", "cannot read -f"),
            ("--at x/y", "no position in a"),
        ] {
            let came = place.sh(&format!("faas-queue peek {flags} $U/$R-q"));
            assert_eq!(came.code, 2, "{flags}: {came:?}");
            assert!(came.stderr.contains(wanted), "{flags}: {came:?}");
        }
        let none = place.sh("faas-queue peek $U/$R-none");
        assert!(none.code == 69 && none.stderr.contains("no such queue"), "{none:?}");
        place.ok("faas-queue rm --yes $U/$R-q");
    }
}

#[test]
fn a_queue_that_is_removed_while_it_is_tailed_is_told_of() {
    for place in places() {
        place.ok("faas-queue new $U/$R-q; seq 3 | faas-queue put $U/$R-q");
        let mut tail = place.start("tail", "faas-queue tail --at start -o lines $U/$R-q");
        place.until_lines("tail.out", 3);
        place.ok("faas-queue rm --yes $U/$R-q");
        assert_eq!(tail.wait(), 69);
        let said = place.text("tail.err");
        assert!(said.contains("was removed"), "{said}");
    }
}

/// Bodies of all kinds go there and back, between the two and the host's own.
#[test]
fn copies_and_moves_lose_nothing() {
    let [redis, kafka] = places();
    let script = format!(
        r#"K='{}'; faas-queue new $U/$R-a $U/$R-c $K/$R-b
        head -c 200000 /dev/urandom > big; printf 'a\0\n\n' > odd; : > empty; echo '日本語 1' > wide
        for f in big odd empty wide; do
            faas-queue put -i raw --id $f --key k -H region=eu $U/$R-a < $f; done
        faas-queue cp -q $U/$R-a $K/$R-b
        faas-queue cp $K/$R-b $U/$R-c
        for q in $U/$R-a $K/$R-b $U/$R-c; do
            faas-queue peek --exact -o json $q | jq -cS 'del(.faasplace, .faassent)' | sort | sha256sum
        done | sort -u | wc -l
        faas-queue peek -o json $U/$R-c | jq -r '[.id, .region, .partitionkey] | join(" ")' | sort
        faas-queue mv $K/$R-b $U/$R-a; faas-queue stat -o json $U/$R-a | jq .depth
        faas-queue stat -o json $K/$R-b | jq .depth
        for f in big odd empty wide; do
            faas-queue peek --where ".id == \"$f\"" -o raw -n 1 $U/$R-c | cmp - $f && echo same; done
        faas-queue rm --yes $U/$R-a $U/$R-c $K/$R-b"#,
        kafka.url
    );
    let came = redis.sh(&script);
    assert_eq!(came.code, 0, "{came:?}");
    let rows = "big eu k\nempty eu k\nodd eu k\nwide eu k\n";
    assert_eq!(came.stdout, format!("1\n{rows}8\n0\nsame\nsame\nsame\nsame\n"), "{}", came.stderr);
    assert!(came.stderr.contains("4 messages copied"), "{}", came.stderr);
    assert!(came.stderr.contains("4 messages moved"), "{}", came.stderr);
}

/// Two that go on with one copy would double it.
#[test]
fn a_copy_is_gone_on_with_by_one_alone() {
    let [redis, _] = places();
    let script = r#"faas-queue new --capacity 5 $U/$R-a $U/$R-b; seq 5 | faas-queue put $U/$R-a
        faas-queue cp --resume note --follow $U/$R-a $U/$R-b 2> first.err & pid=$!
        until [ "$(faas-queue stat -o json $U/$R-b | jq .depth)" = 5 ]; do sleep 0.05; done
        faas-queue cp --resume note $U/$R-a $U/$R-b; echo $?; kill $pid; wait $pid
        faas-queue cp --resume note $U/$R-a $U/$R-b; ls note*
        faas-queue stat -o json $U/$R-b | jq .depth; faas-queue rm --yes $U/$R-a $U/$R-b"#;
    let came = redis.sh(script);
    assert_eq!(came.stdout, "75\nnote\n5\n", "{}", came.stderr);
    assert!(came.stderr.contains("another copy goes on with it"), "{}", came.stderr);
}

/// A body that the target cannot carry ends a move; what was sent before it is
/// settled, and does not come again; the others go on.
#[test]
fn a_move_that_meets_too_large_a_body_doubles_nothing() {
    let [redis, kafka] = places();
    let script = format!(
        r#"K='{}'; faas-queue new $U/$R-a $K/$R-b
        (seq 50; head -c 3000000 /dev/zero | tr '\0' a; echo; echo last) | faas-queue put $U/$R-a
        faas-queue mv $U/$R-a $K/$R-b; echo $?; faas-queue mv $U/$R-a $K/$R-b; echo $?
        faas-queue stat -o json $U/$R-a | jq -c '[.depth, .held]'
        faas-queue peek -o lines $K/$R-b | sort | uniq -d | wc -l
        faas-queue stat -o json $K/$R-b | jq .depth; faas-queue rm --yes $U/$R-a $K/$R-b"#,
        kafka.url
    );
    let came = redis.sh(&script);
    assert_eq!(came.stdout, "1\n1\n[1,0]\n0\n51\n", "{}", came.stderr);
    for wanted in ["takes records up to", "51 messages moved, 1 left, 1 of them for a failure"] {
        assert!(came.stderr.contains(wanted), "{wanted}: {}", came.stderr);
    }
}

/// Presses Ctrl-C on the terminal of a move once it says how far it is.
const INTERRUPTED: &str = r#"
import os, pty, sys
pid, fd = pty.fork()
if pid == 0:
    os.execvp("faas-queue", ["faas-queue", "mv", *sys.argv[1:]])
said = b""
while b"moved" not in said:
    said += os.read(fd, 65536)
os.write(fd, b"\3")
try:
    while os.read(fd, 65536):
        pass
except OSError:
    pass
print(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
"#;

/// Ctrl-C on a terminal ends a move once what is on its way has arrived.
#[test]
fn a_move_on_a_terminal_ends_well_with_ctrl_c() {
    let [redis, kafka] = places();
    redis.sandbox.file("interrupted.py", INTERRUPTED);
    let script = format!(
        r#"K='{}'; faas-queue new --capacity 50000 $U/$R-a; faas-queue new $K/$R-b
        seq 50000 | faas-queue put $U/$R-a
        python3 interrupted.py $U/$R-a $K/$R-b; faas-queue mv -q $U/$R-a $K/$R-b
        faas-queue stat -o json $K/$R-b | jq .depth; faas-queue rm --yes $U/$R-a $K/$R-b"#,
        kafka.url
    );
    let came = redis.sh(&script);
    assert_eq!(came.stdout, "130\n50000\n", "{}", came.stderr);
}

/// A copy of a hundred thousand messages is killed twice on its way.
fn a_copy_that_was_killed_goes_on(from: &str, to: &str) {
    const COUNT: usize = 100_000;
    let place = Place::new(to);
    let urls = format!("FROM={from}/$R-from TO=$U/$R-to;");
    let room = |url: &str| if url.starts_with("redis") { "--capacity 200000" } else { "" };
    place.ok(&format!(
        "{urls} faas-queue new {} $FROM && faas-queue new {} $TO && seq {COUNT} | faas-queue put $FROM",
        room(from),
        room(to)
    ));
    let depth = || {
        let depth =
            place.ok(&format!("{urls} set -o pipefail; faas-queue stat -o json $TO | jq .depth"));
        depth.trim().parse::<usize>().expect("a number")
    };
    let copy = format!("sh -c '{urls} exec faas-queue cp --resume copied.json $FROM $TO'");
    for wanted in [COUNT / 5, COUNT / 2] {
        let mut copying = place.start("copy", &copy);
        place.until("some are copied", || depth() >= wanted);
        copying.kill();
        assert!(depth() < COUNT, "it was killed on its way");
    }
    assert_eq!(place.start("copy", &copy).wait(), 0, "{}", place.text("copy.err"));
    let peek = format!("{urls} faas-queue peek -n {} -o json $TO", 2 * COUNT);
    let seen = Seen::of(&place.ok(&peek));
    seen.has_none_twice();
    seen.has_all(COUNT);
    assert_eq!(depth(), COUNT);
    let other = place.sh(&format!(
        "{urls} faas-queue new $TO-2; faas-queue cp --resume copied.json $FROM $TO-2"
    ));
    assert!(other.code == 2 && other.stderr.contains("it is of a copy from"), "{other:?}");
    place.ok(&format!("{urls} faas-queue rm --yes $FROM $TO $TO-2"));
}

/// A move is killed on its way; what had arrived and was not settled is
/// not sent again.
fn a_move_that_was_killed_goes_on(from: &str, to: &str) {
    const COUNT: usize = 30_000;
    let place = Place::new(to);
    let urls = format!("FROM={from}/$R-mf TO=$U/$R-mt;");
    let room = |url: &str| if url.starts_with("redis") { "--capacity 50000" } else { "" };
    place.ok(&format!(
        "{urls} faas-queue new {} $FROM && faas-queue new {} $TO && seq {COUNT} | faas-queue put $FROM",
        room(from),
        room(to)
    ));
    let count = |queue: &str| {
        let stat = format!(
            "{urls} set -o pipefail; faas-queue stat -o json {queue} | jq '.depth + .held'"
        );
        place.ok(&stat).trim().parse::<usize>().expect("a number")
    };
    let mv = format!("sh -c '{urls} exec faas-queue mv -q --resume start $FROM $TO'");
    let mut moving = place.start("move", &mv);
    place.until("some are moved", || count("$TO") >= COUNT / 10);
    moving.kill();
    // What the dead one held is had only later.
    place.until("all are moved", || {
        assert_eq!(place.start("move", &mv).wait(), 0, "{}", place.text("move.err"));
        count("$FROM") == 0
    });
    let seen = Seen::of(&place.ok(&format!("{urls} faas-queue peek -n {} -o json $TO", 2 * COUNT)));
    seen.has_none_twice();
    seen.has_all(COUNT);
    place.ok(&format!("{urls} faas-queue rm --yes $FROM $TO"));
}

#[test]
fn a_move_from_redis_to_kafka_goes_on() {
    a_move_that_was_killed_goes_on(&shared_redis(), &shared_kafka());
}

#[test]
fn a_move_from_kafka_to_redis_goes_on() {
    a_move_that_was_killed_goes_on(&shared_kafka(), &shared_redis());
}

/// What another copy left in doubt says nothing of this one.
#[test]
fn a_copy_that_begins_anew_copies_all() {
    let place = Place::new(&shared_redis());
    let out = place.ok("for q in s t u; do faas-queue new --capacity 5000 $U/$R-$q; done
        seq 3000 | faas-queue put $U/$R-s
        for n in 1000 500; do faas-queue cp -q --resume f -n $n $U/$R-s $U/$R-t; done
        rm f; faas-queue cp -q --resume f -n 500 $U/$R-s $U/$R-u
        faas-queue cp -q --resume f $U/$R-s $U/$R-u; faas-queue stat -o json $U/$R-u | jq .depth
        ls f*; faas-queue rm --yes $U/$R-s $U/$R-t $U/$R-u");
    assert_eq!(out, "3000\nf\n");
}

#[test]
fn a_copy_within_redis_goes_on() {
    let redis = Redis::start();
    a_copy_that_was_killed_goes_on(&redis.url(), &redis.url());
}

#[test]
fn a_copy_from_redis_to_kafka_goes_on() {
    let redis = Redis::start();
    a_copy_that_was_killed_goes_on(&redis.url(), &shared_kafka());
}

#[test]
fn a_copy_from_kafka_to_redis_goes_on() {
    let redis = Redis::start();
    a_copy_that_was_killed_goes_on(&shared_kafka(), &redis.url());
}

#[test]
fn a_copy_within_kafka_goes_on() {
    a_copy_that_was_killed_goes_on(&shared_kafka(), &shared_kafka());
}

#[test]
fn dead_letters_go_back_without_what_the_failure_added() {
    for place in places() {
        place.sandbox.file("fail.sh", "#!/bin/sh\n[ -e mended ] || exit 100\ncat\n");
        let out = place.ok(r#"Q=$U/$R-q; faas-queue new $Q $U/$R-out
            faas-queue new $Q.dead
            seq 3 | faas-queue put -H region=eu $Q
            faas-invoke -n 3 --from $Q --to $U/$R-out -- ./fail.sh
            faas-queue redrive --dry-run $Q.dead
            faas-queue peek -o json $Q.dead | jq -c '[.region, .faasreason != null]' | sort -u
            touch mended
            faas-queue redrive --where '.data != 2' $Q.dead
            faas-queue stat -o json $Q.dead | jq '.depth + .held'
            faas-queue peek -o json $Q | jq -c 'select(.faasreason) // empty'
            faas-invoke -n 2 --from $Q --to $U/$R-out -- ./fail.sh
            faas-queue get -n 2 -o lines $U/$R-out | sort
            faas-queue rm --yes $Q $Q.dead $U/$R-out"#);
        // A log shows what was settled, too.
        let out: Vec<&str> = out.lines().collect();
        assert_eq!(out, ["[\"eu\",true]", "1", "1", "3"], "{}", place.url);
    }
}

#[test]
fn purge_and_rm_ask_before_messages_go() {
    for place in places() {
        place.ok("faas-queue new $U/$R-q; seq 5 | faas-queue put $U/$R-q");
        for command in ["purge", "rm"] {
            let asked = place.sh(&format!("faas-queue {command} $U/$R-q"));
            assert_eq!(asked.code, 2, "{asked:?}");
            assert!(asked.stderr.contains("that removes 5 messages"), "{asked:?}");
            let dry = place.sh(&format!("faas-queue {command} --dry-run $U/$R-q"));
            assert!(dry.code == 0 && dry.stderr.contains("5 messages would be removed"), "{dry:?}");
        }
        let some = place.sh("faas-queue purge --yes --where '.data > 3' $U/$R-q");
        assert!(some.stderr.contains("2 messages removed, 3 left"), "{some:?}");
        let all = place.sh("faas-queue purge --yes $U/$R-q");
        assert!(all.stderr.contains("3 messages removed"), "{all:?}");
        place.ok("faas-queue rm --yes $U/$R-q");
    }
}

#[test]
fn who_looks_at_messages_puts_them_back() {
    for place in places() {
        place.ok("faas-queue new --order fifo $U/$R-q; seq 5 | faas-queue put $U/$R-q");
        assert_eq!(place.ok("faas-queue get -n2 --nack -o lines $U/$R-q"), "1\n2\n");
        let state = place.ok("faas-queue stat -o json $U/$R-q | jq -c '[.depth, .held // 0]'");
        assert_eq!(state, "[5,0]\n", "what was put back waits");
        assert_eq!(place.ok("faas-queue get -n2 --hold 500ms -o lines $U/$R-q"), "1\n2\n");
        // A reader that closes its end takes one line, and the others stay.
        assert_eq!(place.ok("faas-queue get -n1 -o lines $U/$R-q | head -n1"), "1\n");
        let rest = place.ok("faas-queue get -n4 --timeout 20s -o lines $U/$R-q");
        assert_eq!(rest, "2\n3\n4\n5\n", "{}", place.url);
        place.ok("faas-queue rm --yes $U/$R-q");
    }
}

#[test]
fn a_run_is_followed_from_step_to_step() {
    for place in places() {
        let functions = r#"{"chain":"two","functions":{"a":{"run":["cat"]},"b":{"run":["cat"]}},
            "start":"a","rules":[{"from":"a","to":"b"},{"from":"b","to":"@result"}]}"#;
        place.sandbox.file("chain.json", functions);
        let run = "sh -c 'while sleep 0.1; do echo 7; done | faas-chain run --run $R --via $U -o lines chain.json'";
        let mut running = place.start("run", run);
        place.until_lines("run.out", 1);
        let mut tail = place.start(
            "tail",
            "faas-queue tail --chain $R --via $U -f '{{faasto}} {{faashop}} {{data}}\\n'",
        );
        let has = |what: &str| place.text("tail.out").lines().any(|line| line.ends_with(what));
        place.until("all steps are seen", || has("a 0 7") && has("b 1 7") && has("._reply 2 7"));
        let second = place.sh("faas-queue tail --chain $R --via $U");
        assert!(second.code == 1 && second.stderr.contains("looks at it already"), "{second:?}");
        tail.signal(Signal::SIGINT);
        assert_eq!(tail.wait(), 130);
        let before = place.text("run.out").lines().count();
        place.until_lines("run.out", before + 5);
        // Its own `seq` ends with it: the run is given up by its name.
        running.kill();
        place.sandbox.until(20, || place.sandbox.processes().is_empty());
        let listed = place.ok("faas-queue ls -o json $U");
        assert!(!listed.contains("_tap"), "the queue of copies is gone: {listed}");
        place.sh("faas-queue rm --yes --run $R --via $U");
    }
}

#[test]
fn rows_for_a_pipe_and_round_trips() {
    for place in places() {
        place.ok("faas-queue new $U/$R-q; seq 3 | faas-queue put $U/$R-q");
        let rows = place
            .ok("faas-queue top -n 2 --every 100ms -o json $U/$R-q | jq -c '[.depth, .readers]'");
        assert_eq!(rows, "[3,0]\n[3,0]\n");
        let pings =
            place.ok("faas-queue ping -n 20 -o json $U | jq '.count, .quantiles_us.p99 > 0'");
        assert_eq!(pings, "20\ntrue\n");
        assert!(!place.ok("faas-queue ls -o json $U").contains("faas-ping"));
        place.ok("faas-queue rm --yes $U/$R-q");
    }
}

/// A thousand queues, all of them.
#[test]
fn a_thousand_queues_are_listed() {
    let place = Place::new(&shared_redis());
    let out = place.ok("all() { seq 1000 | sed \"s#.*#$U/$R-&#\"; }
        all | xargs faas-queue new; echo 7 | faas-queue put $U/$R-1000
        faas-queue ls -o json $U | jq -r --arg n $R 'select(.queue | contains($n)) | .depth' | sort | uniq -c
        faas-queue top -n 1 -o json $U | grep -c $R; all | xargs faas-queue rm --yes
        faas-queue ls $U | grep -c $R || true");
    let words: Vec<&str> = out.split_whitespace().collect();
    assert_eq!(words, ["999", "0", "1", "1", "1000", "0"], "{out}");
}

/// A copy on a terminal shows how far it is, with its rate and what is left,
/// from any position of any queue.
#[test]
fn a_copy_shows_how_far_it_is() {
    for place in places() {
        place.ok("faas-queue new --order fifo $U/$R-a $U/$R-b; seq 900 | faas-queue put $U/$R-a");
        for (at, total) in [("start", 900), ("-300", 300)] {
            let copy = format!("faas-queue cp --at {at} $U/$R-a $U/$R-b");
            let seen = place.ok(&format!("script -q -e -c \"{copy}\" /dev/null < /dev/null"));
            let bar = format!("/{total} ");
            assert!(
                seen.contains(&bar) && seen.contains("/s ") && seen.contains(" left"),
                "{seen:?}"
            );
            place.ok("faas-queue purge -q --yes $U/$R-b");
        }
        place.ok("faas-queue rm --yes $U/$R-a $U/$R-b");
    }
}
