//! What is not everyday: odd names, large bodies, servers that restart while
//! somebody watches, screens.

use crate::common::Place;
use faas_tests::screen::Screen;
use faas_tests::services::{Kafka, Redis, shared_kafka, shared_redis};

fn places() -> [Place; 2] {
    [Place::new(&shared_redis()), Place::new(&shared_kafka())]
}

#[test]
fn odd_names_are_looked_into() {
    let [redis, kafka] = places();
    let names = ["a b", "größe", "x'y\"z", "日本語", "$HOME", "%00", "a;b|c", "*", "[a]"];
    let cases = names.map(|name| (&redis, name)).into_iter().chain([(&kafka, "a.b_c-d")]);
    for (place, name) in cases {
        place.sandbox.file("name", name);
        let out = place.ok(r#"Q="$U/$R-$(cat name)"; N="$R-$(cat name)"; faas-queue new --order fifo "$Q" "$Q-2"
            seq 3 | faas-queue put "$Q"; faas-queue peek -n 1 -o lines "$Q"
            faas-queue ls -o json $U | jq -r --arg n "$N" 'select(.queue | endswith("/" + $n)) | .depth'
            faas-queue cp -q "$Q" "$Q-2"; faas-queue mv -q -n 1 "$Q" "$Q-2"
            faas-queue stat -o json "$Q-2" | jq .depth
            faas-queue top -n 1 -o json "$Q" | jq .depth
            _FAAS_COMPLETE=last faas-queue -- faas-queue peek "$U/$R" | cut -f 2
            faas-queue rm --yes "$Q" "$Q-2""#);
        assert_eq!(out, "1\n3\n4\n2\n2 messages\n4 messages\n", "{name}");
    }
}

/// Ten mebibytes are shown, copied between the middlewares and moved, to the
/// byte.
#[test]
fn large_bodies_are_looked_at_and_moved() {
    let [redis, kafka] = places();
    let script = format!(
        "K='{}'; faas-queue new --size 12MiB $K/$R-b; faas-queue new $U/$R-a $U/$R-c ${{P}}d
        head -c 10485760 /dev/urandom > big
        faas-queue put -i raw --id big $U/$R-a < big
        faas-queue cp -q $U/$R-a $K/$R-b; faas-queue cp -q $K/$R-b $U/$R-c
        for q in $U/$R-a $K/$R-b $U/$R-c; do faas-queue peek -o raw $q | cmp - big && echo same; done
        faas-queue peek -o table $K/$R-b | tail -n 1 | wc -c
        faas-queue mv -q $K/$R-b ${{P}}d; faas-queue get -o raw ${{P}}d | cmp - big && echo moved
        faas-queue rm --yes $U/$R-a $K/$R-b $U/$R-c ${{P}}d",
        kafka.url
    );
    let came = redis.sh(&script);
    assert_eq!(came.code, 0, "{came:?}");
    let lines: Vec<&str> = came.stdout.lines().collect();
    assert_eq!((&lines[..3], lines[4]), (&["same"; 3][..], "moved"), "{came:?}");
    assert!(lines[3].trim().parse::<usize>().is_ok_and(|width| width < 300), "{came:?}");
    assert_eq!(redis.sandbox.left_behind(), Vec::<String>::new());
}

/// Somebody follows a queue, and somebody its depth on a screen, while the
/// server goes away and comes back with all it had.
fn a_restart_is_survived(place: &Place, away: impl FnOnce(), back: impl FnOnce()) {
    place.ok("faas-queue new --order fifo $U/$R-q; seq 3 | faas-queue put $U/$R-q");
    let screen = Screen::start(
        &place.sandbox,
        (100, 24),
        &format!("faas-queue top --every 200ms {}", place.url),
    );
    screen.shows("3 waiting");
    let mut tail = place.start("tail", "faas-queue tail --at start -o lines $U/$R-q");
    let mut rows = place.start("rows", "faas-queue top --every 200ms -o json $U");
    place.until_lines("tail.out", 3);
    place.until_lines("rows.out", 1);
    away();
    // It says that it does not know, and keeps what it knew.
    let is_told = |seen: &str| ["cannot", "no answer"].iter().any(|told| seen.contains(told));
    place.until("the screen tells of it", || is_told(&screen.now()));
    assert!(screen.now().contains("-q"), "{}", screen.now());
    place.until("the rows tell of it", || place.text("rows.err").contains("cannot look at"));
    back();
    place.until("it takes messages again", || {
        place.sh("echo 4 | faas-queue put --timeout 5s $U/$R-q").code == 0
    });
    place.until("they are shown", || place.text("tail.out").contains("4\n"));
    screen.shows("4 waiting");
    place.until("the rows go on", || place.text("rows.out").contains("\"depth\":4"));
    assert_eq!(place.text("rows.err").matches("cannot look at").count(), 1);
    rows.signal(nix::sys::signal::Signal::SIGTERM);
    rows.wait();
    place.until("the trouble is gone", || !is_told(&screen.now()));
    tail.stop();
    assert_eq!(place.text("tail.out"), "1\n2\n3\n4\n", "{}", place.text("tail.err"));
    drop(screen);
    place.ok("faas-queue rm --yes $U/$R-q");
}

#[test]
fn redis_restarts_while_it_is_watched() {
    let redis = std::cell::RefCell::new(Redis::with(&["--appendfsync", "always"]));
    let place = Place::new(&redis.borrow().url());
    a_restart_is_survived(&place, || redis.borrow_mut().kill(), || redis.borrow_mut().restart());
}

#[test]
fn kafka_restarts_while_it_is_watched() {
    let kafka = std::cell::RefCell::new(Kafka::start(1));
    let place = Place::new(&kafka.borrow().url());
    a_restart_is_survived(&place, || kafka.borrow_mut().kill(1), || kafka.borrow_mut().restart(1));
}

/// A queue is opened on the screen, its bodies unfolded part by part, what
/// comes is followed, and the queue goes away.
#[test]
fn a_screen_reads_messages() {
    for place in places() {
        place.ok(r#"faas-queue new --order fifo $U/$R-q; cat > body << 'END'
{"order":{"id":7,"lines":[{"sku":"a"},{"sku":"b"}]},"name":"日本語","ok":true}
END
            faas-queue put $U/$R-q < body"#);
        let queue = format!("{}/{}-q", place.url, place.sandbox.run());
        let command = format!("faas-queue top --every 200ms {queue}");
        let screen = Screen::start(&place.sandbox, (80, 24), &command);
        screen.shows("1 waiting");
        screen.press(&["f"]);
        let seen = screen.shows("\"name\": \"日本語\"");
        assert!(seen.contains("\"lines\": [ … 2 ]"), "{seen}");
        screen.press(&["Enter"]);
        screen.shows("Enter fold or unfold");
        screen.press(&["Down", "Down", "Down", "Enter"]);
        screen.shows("{ … 1 },");
        screen.press(&["Up", "Up", "Enter"]);
        screen.shows("\"order\": { … 2 },");
        screen.press(&["Escape"]);
        place.ok("seq 11 12 | faas-queue put $U/$R-q");
        screen.shows("3 messages, following");
        screen.shows("  12");
        place.ok("faas-queue rm --yes $U/$R-q");
        screen.shows("was removed");
    }
}

/// More messages than are shown at once, a body of one line that is longer
/// than the screen, and a queue that goes away while it is open.
#[test]
fn a_screen_reads_on_to_the_end() {
    for place in places() {
        place.ok(r#"faas-queue new --order fifo $U/$R-a $U/$R-b
            seq 900 | faas-queue put --timeout 20s $U/$R-a
            printf '{"text":"%s END"}' "$(head -c 2000 /dev/zero | tr '\0' x)" | faas-queue put $U/$R-b"#);
        let queues = format!("{0}/{1}-a {0}/{1}-b", place.url, place.sandbox.run());
        let command = format!("faas-queue top --every 200ms {queues}");
        let screen = Screen::start(&place.sandbox, (80, 24), &command);
        screen.shows("2 queues, 901 waiting");
        screen.press(&["Enter"]);
        screen.shows("1 to 500 of 900 messages");
        screen.press(&["End"]);
        screen.shows("  900 messages");
        screen.press(&["End"]);
        screen.shows("  900 ");
        screen.press(&["Escape"]);
        screen.shows("2 queues");
        screen.press(&["G", "Enter"]);
        let seen = screen.shows("  1 message");
        assert!(!seen.contains("END"), "{seen}");
        screen.press(&["Space", "Space", "Space", "Space", "Space"]);
        let seen = screen.shows("END\"");
        assert!(seen.lines().all(|line| line.chars().count() <= 80), "{seen}");
        screen.press(&["b"]);
        place.until("it scrolls back", || !screen.now().contains("END\""));
        place.ok("faas-queue rm --yes $U/$R-b");
        screen.shows("  1 message, removed");
        screen.press(&["f"]);
        screen.shows("-b is gone");
        drop(screen);
        place.ok("faas-queue rm --yes $U/$R-a");
    }
}

/// On a screen dead letters go back to their queue, and messages away, after a
/// question. Colours are there unless somebody wants none.
#[test]
fn a_screen_does_what_keys_say() {
    for place in places() {
        place.ok("faas-queue new $U/$R-q $U/$R-q.dead; seq 3 | faas-queue put $U/$R-q.dead");
        let run = place.sandbox.run();
        let command =
            format!("faas-queue top --every 200ms {0}/{run}-q {0}/{run}-q.dead", place.url);
        let screen = Screen::start(&place.sandbox, (80, 24), &format!("NO_COLOR= {command}"));
        screen.shows("2 queues, 3 waiting, by name");
        assert!(screen.tmux(&["capture-pane", "-e", "-p"]).contains("\u{1b}[1m\u{1b}[38;5;6m"));
        screen.press(&["r"]);
        screen.shows("by name reversed");
        screen.press(&["g", "R"]);
        screen.shows("again?");
        screen.press(&["y"]);
        screen.shows("3 messages redriven");
        let is_there = |line: &str| line.contains("-q ") && line.contains("   3 ");
        place.until("they are back", || screen.now().lines().any(is_there));
        screen.press(&["G", "P"]);
        screen.shows("Remove 3 messages");
        screen.press(&["y"]);
        screen.shows("3 messages removed");
        screen.shows("2 queues, 0 waiting");
        screen.press(&["q"]);
        let screen = Screen::start(&place.sandbox, (81, 24), &command);
        screen.shows("2 queues");
        let seen = screen.tmux(&["capture-pane", "-e", "-p"]);
        assert!(seen.contains("\u{1b}[1m") && !seen.contains("[38;5;6m"), "{seen}");
        drop(screen);
        place.ok("faas-queue rm --yes $U/$R-q $U/$R-q.dead");
    }
}

/// A reader dies of a message; who reads it again is told that it came before.
#[test]
fn a_message_that_comes_again_is_counted() {
    for place in places() {
        place.sandbox.file("slow.sh", "#!/bin/sh\necho begun >> begun\nexec sleep 60\n");
        place.ok("chmod +x slow.sh; faas-queue new $U/$R-q; echo 1 | faas-queue put $U/$R-q");
        let invoke = "faas-invoke --from $U/$R-q --dead dead.ndjson -- ./slow.sh";
        let mut first = place.start("one", invoke);
        place.until_lines("begun", 1);
        first.kill();
        let again = || place.ok("faas-queue stat -o json $U/$R-q | jq .redelivered");
        assert_eq!(again(), "0\n");
        let second = place.start("two", invoke);
        place.until_lines("begun", 2);
        place.until("it is counted", || again() == "1\n");
        drop(second);
        place.ok("faas-queue rm --yes $U/$R-q");
    }
}
