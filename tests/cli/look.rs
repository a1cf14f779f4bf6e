//! Queues of this host looked into from the shell.

use faas_tests::Sandbox;
use faas_tests::screen::Screen;
use std::time::Duration;

#[test]
fn what_can_only_be_taken_is_refused_with_a_way_out() {
    let sandbox = Sandbox::new();
    sandbox.ok("faas-queue new ${P}q ${P}r");
    for (command, cure) in [
        ("peek ${P}q", "try: faas-queue get --hold 10s mq:/"),
        ("tail ${P}q", "try: faas-queue get --hold 10s mq:/"),
        ("cp ${P}q ${P}r", "try: faas-queue mv mq:/"),
        ("put --delay 5s ${P}q", "try: sleep before faas-queue put"),
        ("mv ${P}q ${P}q", "try: another queue"),
        ("redrive ${P}q", "try: --to URL"),
        ("put -H Region=eu ${P}q", "names are lower-case letters and digits"),
        ("put -H faasrun=r ${P}q", "names that begin with faas are ours"),
    ] {
        let came = sandbox.sh(&format!("faas-queue {command}"));
        assert_eq!(came.code, 2, "{command}: {came:?}");
        assert!(came.stderr.contains(cure), "{command}: {came:?}");
    }
    sandbox.ok("faas-queue rm ${P}q ${P}r");
    assert_eq!(sandbox.left_behind(), Vec::<String>::new());
}

#[test]
fn messages_are_held_moved_and_removed() {
    let sandbox = Sandbox::new();
    let out =
        sandbox.ok("faas-queue new ${P}a ${P}b; seq 5 | faas-queue put --key k -H region=eu ${P}a
        faas-queue get -n2 --nack -o lines ${P}a; faas-queue get --hold 200ms -o lines ${P}a
        faas-queue mv --where '.data > 2' --jq '.data += 100' ${P}a ${P}b
        faas-queue get -n3 ${P}b | jq -c '[.data, .region, .partitionkey]'
        faas-queue purge --yes -n1 ${P}a; faas-queue get --timeout 0 -o lines ${P}a | wc -l
        echo x | faas-queue put --id order-7 ${P}a; faas-queue get ${P}a | jq -r .id");
    let moved = "[103,\"eu\",\"k\"]\n[104,\"eu\",\"k\"]\n[105,\"eu\",\"k\"]\n";
    assert_eq!(out, format!("1\n2\n1\n{moved}1\norder-7\n"));
    // What cannot be made stays where it is, and is told of.
    let came = sandbox
        .sh("seq 2 | faas-queue put ${P}a; faas-queue mv --jq '.data.x' ${P}a ${P}b; echo $?
        faas-queue get --timeout 0 -o lines ${P}a | sort; faas-queue rm ${P}a ${P}b");
    assert_eq!(came.stdout, "1\n1\n2\n", "{came:?}");
    assert!(came.stderr.contains("2 left, 2 of them for a failure"), "{came:?}");
    assert_eq!(sandbox.left_behind(), Vec::<String>::new());
}

/// What a reader left is not held by anybody: it waits. Who takes it over
/// holds it, under its own name.
#[test]
fn what_was_put_back_waits() {
    let sandbox = Sandbox::new();
    let out = sandbox.ok("faas-queue new ${P}q; seq 5 | faas-queue put ${P}q
        state() { faas-queue stat -o json ${P}q | jq -c '[.depth, .held, .readers]'; }
        faas-queue get -n3 --nack ${P}q > none; state
        faas-queue get -n5 --hold 1m ${P}q > held & holder=$!
        until [ \"$(wc -l < held)\" = 5 ]; do sleep 0.05; done; state
        [ \"$(faas-queue stat -o json ${P}q | jq -r '.readers_are[].name')\" = \"pid $holder\" ] && echo its own
        kill -9 $holder; wait $holder 2> none; state; faas-queue rm --yes ${P}q");
    assert_eq!(out, "[5,0,0]\n[0,5,1]\nits own\n[5,0,0]\n");
}

#[test]
fn a_message_that_is_started_again_is_counted() {
    let sandbox = Sandbox::new();
    sandbox.file("slow.sh", "#!/bin/sh\necho begun >> begun\nexec sleep 60\n");
    let out = sandbox.ok("faas-queue new ${P}q; echo 1 | faas-queue put ${P}q
        again() { faas-queue stat -o json ${P}q | jq .redelivered; }
        for n in 1 2; do
            faas-invoke --from ${P}q --dead dead.ndjson -- sh ./slow.sh > none & invoker=$!
            until [ \"$(wc -l < begun)\" = $n ]; do sleep 0.05; done 2> none
            again; kill -9 $invoker; wait $invoker
        done 2> none
        faas-queue rm --yes ${P}q");
    assert_eq!(out, "0\n1\n");
    assert_eq!(sandbox.left_behind(), Vec::<String>::new());
}

#[test]
fn a_closed_reader_leaves_what_was_not_written() {
    let sandbox = Sandbox::new();
    let out = sandbox.ok("faas-queue new --capacity 10 ${P}q; seq 10 | faas-queue put ${P}q
        faas-queue get -n10 -o lines ${P}q > /dev/full; echo $?
        faas-queue get --timeout 0 -o lines ${P}q | sort -n | tr '\\n' ' '
        faas-queue rm ${P}q");
    let mut lines = out.lines();
    assert_ne!(lines.next(), Some("0"), "{out}");
    assert_eq!(lines.next(), Some("1 2 3 4 5 6 7 8 9 10 "), "{out}");
}

#[test]
fn a_run_is_followed_from_step_to_step() {
    let sandbox = Sandbox::new();
    let chain = r#"{"chain":"two","functions":{"a":{"run":["cat"]},"b":{"run":["cat"]}},
        "start":"a","rules":[{"from":"a","to":"b"},{"from":"b","to":"@result"}]}"#;
    sandbox.file("chain.json", chain);
    let out = sandbox.ok("(for n in $(seq 80); do echo 7; sleep 0.1; done) |
            faas-chain run --run $R -o lines chain.json > results &
        sleep 1; faas-queue tail --chain $R -f '{{faasto}} {{faashop}} {{data}}\\n' > seen
        wait; wc -l < results; sed 's/.*[.]\\(.*\\) \\(.*\\) 7/\\1 \\2/' seen | sort -u");
    assert_eq!(out, "80\n_reply 2\na 0\nb 1\n");
    assert_eq!(sandbox.left_behind(), Vec::<String>::new());
    let none = sandbox.sh("faas-queue tail --chain never-opened");
    assert!(none.code == 69 && none.stderr.contains("it is not open here"), "{none:?}");
}

#[test]
fn top_ends_with_its_terminal() {
    for shell in ["exec", "trap '' HUP; exec"] {
        let sandbox = Sandbox::new();
        let screen =
            Screen::start(&sandbox, (80, 24), &format!("{shell} faas-queue top --every 200ms"));
        screen.shows("DEPTH");
        let is_top = |(_, command): &(i32, String)| command.starts_with("faas-queue top");
        assert!(sandbox.processes().iter().any(is_top), "{:?}", sandbox.processes());
        drop(screen);
        assert!(sandbox.until(5, || sandbox.processes().is_empty()), "{:?}", sandbox.processes());
    }
}

/// A shell stops it and lets it go on; of a screen that was resized nothing is
/// left behind.
#[test]
fn top_stops_goes_on_and_leaves_nothing() {
    let sandbox = Sandbox::new();
    sandbox.ok("faas-queue new ${P}q");
    let screen = Screen::start(&sandbox, (80, 24), "bash --norc -i");
    screen.press(&["echo before; faas-queue top --every 200ms", "Enter"]);
    screen.shows("HISTORY");
    screen.press(&["C-z"]);
    let seen = screen.shows("Stopped");
    assert!(!seen.contains("HISTORY") && seen.contains("\nbefore\n"), "{seen}");
    screen.press(&["fg", "Enter"]);
    screen.shows("HISTORY");
    screen.tmux(&["resize-window", "-x", "120", "-y", "40"]);
    std::thread::sleep(Duration::from_millis(500));
    screen.press(&["q"]);
    let seen = screen.shows("\nbefore\n");
    assert!(!seen.contains("HISTORY"), "{seen}");
    drop(screen);
    sandbox.ok("faas-queue rm ${P}q");
}

#[test]
fn top_fills_a_screen_and_does_what_keys_say() {
    let sandbox = Sandbox::new();
    sandbox
        .ok("faas-queue new ${P}jobs ${P}jobs.dead ${P}other; seq 3 | faas-queue put ${P}jobs.dead
        seq 2 | faas-queue put ${P}other");
    let top = "faas-queue top --every 200ms; echo left with $?; sleep 60";
    let screen = Screen::start(&sandbox, (80, 24), top);
    let seen = screen.shows("3 queues, 5 waiting, by name");
    let lines: Vec<&str> = seen.lines().collect();
    assert!(lines[1].starts_with("QUEUE") && lines[1].contains("DEPTH"), "{seen}");
    assert!(lines[3].contains("jobs.dead") && lines[3].contains(" 3 "), "{seen}");
    assert!(lines.len() <= 24 && lines.iter().all(|line| line.chars().count() <= 80), "{seen}");
    screen.press(&["s"]);
    screen.shows("by depth");
    screen.press(&["?"]);
    screen.shows("send dead letters again (asks first)");
    screen.press(&["x"]);
    screen.press(&["/", "other", "Enter"]);
    screen.shows("1 queue, 2 waiting");
    // A question first; no is no.
    screen.press(&["P"]);
    screen.shows("Remove 2 messages");
    screen.press(&["n"]);
    screen.press(&["P"]);
    screen.shows("Remove 2 messages");
    screen.press(&["y"]);
    screen.shows("2 messages removed");
    screen.press(&["Escape"]);
    screen.shows("3 queues");
    screen.press(&["/", "dead", "Enter"]);
    screen.shows("1 queue, 3 waiting");
    screen.press(&["R"]);
    screen.shows("again?");
    screen.press(&["y"]);
    screen.shows("3 messages redriven");
    // Messages of these queues can only be taken, and it says so.
    screen.press(&["Enter"]);
    screen.shows("messages can only be taken");
    screen.tmux(&["resize-window", "-x", "120", "-y", "40"]);
    screen.press(&["Escape"]);
    screen.shows("HISTORY");
    sandbox.ok("faas-queue rm ${P}other");
    screen.shows("2 queues");
    screen.press(&["q"]);
    screen.shows("left with 0");
    drop(screen);
    std::thread::sleep(Duration::from_millis(200));
    assert_eq!(sandbox.ok("faas-queue get -n3 -o lines ${P}jobs"), "1\n2\n3\n");
    sandbox.ok("faas-queue rm ${P}jobs ${P}jobs.dead");
    assert_eq!(sandbox.left_behind(), Vec::<String>::new());
}
