//! Queues from the shell.

use faas_tests::Sandbox;
use std::time::{Duration, Instant};

#[test]
fn pipes() {
    let sandbox = Sandbox::new();
    let out = sandbox
        .ok("printf 'abc\\ndef\\n' | faas-invoke -- tr a-z A-Z | faas-invoke -o lines -- rev");
    assert_eq!(out, "CBA\nFED\n");
    // Two ids of two stages differ, and a second run gives others.
    let ids = "echo x | faas-invoke -- cat | faas-invoke -- cat | jq -r .id";
    assert_ne!(sandbox.ok(ids), sandbox.ok(ids));
}

#[test]
fn one_function_on_queues() {
    let sandbox = Sandbox::new();
    sandbox.file("price.sh", "#!/bin/sh\nread -r n; echo $((n * 2))\n");
    let script = "faas-queue new ${P}jobs && faas-queue new ${P}done
        seq 100 > numbers
        faas-trigger --to ${P}jobs < numbers &
        faas-invoke --from ${P}jobs --to ${P}done -j4 -- ./price.sh & invoker=$!
        faas-queue get -n 100 -o json ${P}done | jq .data | sort -n | paste -sd+ | bc
        kill $invoker; wait $invoker; echo $?
        faas-queue ls -o json | jq -c '[.depth, .held]'
        faas-queue rm --yes ${P}jobs ${P}done";
    let script = script.replace("paste -sd+ | bc", "awk '{ s += $1 } END { print s }'");
    assert_eq!(sandbox.ok(&script), "10100\n0\n[0,0]\n[0,0]\n");
    assert_eq!(sandbox.left_behind(), Vec::<String>::new());
}

#[test]
fn get_waits_gives_up_or_takes_what_is_there() {
    let sandbox = Sandbox::new();
    sandbox.ok("faas-queue new ${P}q");
    let came = sandbox.sh("faas-queue get --timeout 0 ${P}q");
    assert_eq!(came.code, 75, "an empty queue: {came:?}");
    let began = Instant::now();
    let came = sandbox.sh("faas-queue get --timeout 300ms ${P}q");
    assert_eq!(came.code, 75);
    assert!(began.elapsed() >= Duration::from_millis(300));
    sandbox.ok("seq 5 | faas-queue put ${P}q");
    let came = sandbox.sh("faas-queue get -n 3 -o lines ${P}q");
    assert_eq!((came.code, came.stdout.as_str()), (0, "1\n2\n3\n"));
    let came = sandbox.sh("faas-queue get -n 9 --timeout 200ms -o lines ${P}q");
    assert_eq!((came.code, came.stdout.as_str()), (75, "4\n5\n"));
    sandbox.ok("seq 3 | faas-queue put ${P}q");
    let came = sandbox.sh("faas-queue get --timeout 0 -o lines ${P}q");
    assert_eq!((came.code, came.stdout.as_str()), (0, "1\n2\n3\n"));
    let late = "(sleep 0.3; echo late | faas-queue put ${P}q) & faas-queue get -o lines ${P}q";
    assert_eq!(sandbox.ok(late), "late\n");
    sandbox.ok("faas-queue rm --yes ${P}q");
}

#[test]
fn a_sender_says_after_a_second_that_a_queue_is_full() {
    let sandbox = Sandbox::new();
    sandbox.ok("faas-queue new --capacity 2 ${P}q");
    let came = sandbox.sh("seq 3 | faas-queue put --timeout 1500ms ${P}q");
    assert_eq!(came.code, 75);
    let full = format!("{} is full (2 of 2), no reader", sandbox.url("q"));
    assert!(came.stderr.contains(&full), "{}", came.stderr);
    assert!(came.stderr.contains("no room after 2 messages"), "{}", came.stderr);
    let script = "seq 3 8 | faas-trigger -v --to ${P}q & sleep 1.3; faas-queue get -n 8 -o lines ${P}q; wait; faas-queue rm --yes ${P}q";
    let came = sandbox.sh(script);
    assert_eq!(came.stdout, "1\n2\n3\n4\n5\n6\n7\n8\n");
    assert!(came.stderr.contains("6 events sent"), "{}", came.stderr);
}

#[test]
fn bodies_of_any_bytes_and_sizes_pass_through_queues() {
    let sandbox = Sandbox::new();
    let script = "faas-queue new ${P}a ${P}b
        head -c 3000000 /dev/urandom > big; printf 'a\\0\\n\\n' > odd; : > empty
        faas-invoke --from ${P}a --to ${P}b --exact -n 3 -- cat & 
        for f in big odd empty; do faas-queue put -i raw ${P}a < $f; done; wait
        for f in big odd; do faas-queue get -o raw ${P}b | cmp - $f && echo same; done
        faas-queue ls -o json | jq -c '[.depth, .held]'
        faas-queue rm --yes ${P}a ${P}b";
    assert_eq!(sandbox.ok(script), "same\nsame\n[0,0]\n[0,0]\n");
    assert_eq!(sandbox.left_behind(), Vec::<String>::new());
}

#[test]
fn lists_for_people_and_for_programs() {
    let sandbox = Sandbox::new();
    sandbox.ok("faas-queue new ${P}one; faas-queue new --capacity 5 --size 2KiB ${P}two; echo x | faas-queue put ${P}two");
    insta::assert_snapshot!("ls", sandbox.redacted(&sandbox.ok("faas-queue ls -v")));
    let json = sandbox.ok("faas-queue ls -o json | jq -c 'del(.created)'");
    insta::assert_snapshot!("ls_json", sandbox.redacted(&json));
    let stat = sandbox.ok("faas-queue stat ${P}two | grep -v created");
    insta::assert_snapshot!("stat", sandbox.redacted(&stat));
    assert_eq!(sandbox.sh("faas-queue ls | head -1").code, 0);
    sandbox.ok("faas-queue rm --yes ${P}one ${P}two");
}

/// The timeout is that of the queue, not of whoever writes the lines.
#[test]
fn put_waits_for_a_silent_stdin_and_not_for_room() {
    let sandbox = Sandbox::new();
    let script = "faas-queue new --capacity 2 ${P}q
        (echo 1; sleep 0.3; echo 2) | faas-queue put --timeout 0 ${P}q; echo $?
        faas-queue get --timeout 0 -o lines ${P}q
        (echo 3; sleep 0.5; echo 4) | faas-queue put --timeout 200ms ${P}q; echo $?
        faas-queue get --timeout 0 -o lines ${P}q
        seq 5 | faas-queue put --timeout 0 ${P}q 2>&1 | head -1; faas-queue rm --yes ${P}q";
    let out = sandbox.ok(script);
    assert!(out.starts_with("0\n1\n2\n0\n3\n4\n"), "{out}");
    assert!(out.contains("no room after 2 messages"), "{out}");
}

#[test]
fn a_trigger_moves_events_from_queue_to_queue() {
    let sandbox = Sandbox::new();
    let script = "faas-queue new ${P}a ${P}b; seq 9 | faas-queue put ${P}a
        faas-trigger ${P}a --to ${P}b --timeout 0; faas-queue get --timeout 0 -o lines ${P}b | paste -sd,
        faas-queue rm --yes ${P}a ${P}b";
    assert_eq!(sandbox.ok(script), "1,2,3,4,5,6,7,8,9\n");
}

#[test]
fn dead_letters_go_to_a_queue_of_their_own() {
    let sandbox = Sandbox::new();
    let script = "faas-queue new ${P}q ${P}r; printf 'good\\nbad\\n' | faas-queue put ${P}q
        faas-invoke --from ${P}q --to ${P}r --retries 1 --backoff 1ms --idle 500ms -- grep -v bad; echo $?
        faas-queue get -o lines --timeout 0 ${P}r
        faas-queue get --timeout 0 ${P}q.dead | jq -c '[.data, .faasreason, .faasattempts, .faasfunction, .faasexit]'
        faas-queue rm --yes ${P}q ${P}r ${P}q.dead";
    let out = sandbox.ok(script);
    assert_eq!(out, "1\ngood\n[\"bad\",\"exit 1\",2,\"grep\",\"exit 1\"]\n");
}

/// What another program sent with mq_send is taken as a bare body.
#[test]
fn foreign_messages_are_bodies() {
    let sandbox = Sandbox::new();
    sandbox.ok("faas-queue new ${P}q");
    let name = sandbox.url("q").replace("mq:", "");
    let flags = nix::mqueue::MQ_OFlag::O_WRONLY;
    let mq = nix::mqueue::mq_open(name.as_str(), flags, nix::sys::stat::Mode::empty(), None);
    let mq = mq.expect("the queue opens");
    nix::mqueue::mq_send(&mq, b"from elsewhere", 0).expect("it takes the message");
    let out = sandbox
        .ok("faas-queue get ${P}q | jq -c '[.data, .datacontenttype]'; faas-queue rm --yes ${P}q");
    assert_eq!(out, "[\"from elsewhere\",\"text/plain\"]\n");
}

/// Several processes on one queue: each message goes to one of them.
#[test]
fn invokers_in_several_processes_compete() {
    let sandbox = Sandbox::new();
    sandbox.file("who.sh", "#!/bin/sh\nread -r n; echo $n $PPID; sleep 0.02\n");
    let script = "faas-queue new ${P}q ${P}r; seq 120 > numbers; faas-trigger --to ${P}q < numbers &
        for i in 1 2 3; do faas-invoke --from ${P}q --to ${P}r -j2 --idle 1s -- ./who.sh & done
        faas-queue get -n 120 -o lines ${P}r > got; wait; faas-queue rm --yes ${P}q ${P}r
        cut -d' ' -f1 got | sort -n | uniq | wc -l; cut -d' ' -f2 got | sort | uniq -c | awk '$1 > 10' | wc -l";
    assert_eq!(sandbox.ok(script), "120\n3\n", "120 different ones, and all three worked");
}

/// Whoever waits at a queue that is removed is told, instead of waiting for ever.
#[test]
fn a_queue_removed_under_its_reader() {
    let sandbox = Sandbox::new();
    let came = sandbox.sh("faas-queue new ${P}q; (sleep 0.5; faas-queue rm --yes ${P}q; faas-queue new ${P}q) & faas-invoke --from ${P}q -- cat; code=$?; wait; faas-queue rm --yes ${P}q; exit $code");
    assert_eq!(came.code, 69, "{came:?}");
    assert!(came.stderr.contains(&format!("{} was removed", sandbox.url("q"))), "{}", came.stderr);
}
