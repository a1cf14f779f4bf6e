//! Joins: which parts meet, what is made of them, and when.

use faas_tests::{Came, Sandbox};
use serde_json::{Value, json};

/// What a run came to: results in order of their text, dead letters in the
/// order in which they came.
struct Ran {
    results: Vec<String>,
    dead: Vec<Value>,
    came: Came,
}

/// Runs a chain of these functions, with starts and rules in `rest`, on what
/// the command `input` prints.
fn run(sandbox: &Sandbox, flags: &str, input: &str, functions: &str, rest: &str) -> Ran {
    let text = format!(r#"{{ "chain": "c", "functions": {{ {functions} }}, {rest} }}"#);
    sandbox.file("chain.json", &text);
    let command = "faas-chain run --run $R -o lines --dead dead.ndjson";
    let came = sandbox.sh(&format!("{input} | {command} {flags} chain.json"));
    let mut results: Vec<String> = came.stdout.lines().map(str::to_owned).collect();
    results.sort();
    let path = sandbox.path().join("dead.ndjson");
    let letters = std::fs::read_to_string(&path).unwrap_or_default();
    let _ = std::fs::remove_file(path);
    let dead: Vec<Value> =
        letters.lines().map(|line| serde_json::from_str(line).expect("an envelope")).collect();
    assert_eq!(came.code, i32::from(!dead.is_empty()), "{came:?}");
    assert!(came.stderr.contains(" 0 lost in "), "{}", came.stderr);
    Ran { results, dead, came }
}

/// Function, reason and body of each dead letter.
fn told(dead: &[Value]) -> Vec<Value> {
    let mut told: Vec<Value> =
        dead.iter().map(|d| json!([d["faasfunction"], d["faasreason"], d["data"]])).collect();
    told.sort_by_key(Value::to_string);
    told
}

/// Nothing is left, the places where parts met included.
fn assert_clean(sandbox: &Sandbox) {
    assert_eq!(sandbox.left_behind(), Vec::<String>::new());
    let gathered = std::fs::read_dir(sandbox.path().join("state/gather"));
    let left: Vec<_> = gathered.into_iter().flatten().flatten().map(|e| e.path()).collect();
    assert!(left.is_empty(), "{left:?}");
}

const INVOKERS: [&str; 3] = ["", "--invokers 1", "--invokers 3"];

#[test]
fn parts_of_one_each_meet_by_the_names_of_their_functions() {
    let sandbox = Sandbox::new();
    let functions = r#"
        "parse": { "run": ["cat"] },
        "price": { "run": ["jq", "-c", "{total: (.qty * .unit)}"] },
        "stock": { "run": ["jq", "-c", "{left: (100 - .qty)}"] },
        "merge": { "run": ["jq", "-c", ".price + .stock"], "join": "all" }"#;
    let rest = r#""start": ["parse"], "rules": [
        { "from": "parse", "to": ["price", "stock"] },
        { "from": ["price", "stock"], "to": "merge" } ]"#;
    let input = r#"printf '{"qty":2,"unit":3}\n{"qty":5,"unit":7}\n'"#;
    for flags in INVOKERS {
        let ran = run(&sandbox, flags, input, functions, rest);
        assert_eq!(ran.results, [r#"{"total":35,"left":95}"#, r#"{"total":6,"left":98}"#]);
    }
    assert_clean(&sandbox);
}

/// The join goes on with the first two; the third part comes late, ends
/// quietly, and only then the invocation is over.
#[test]
fn the_first_two_of_three_do_not_wait_for_the_slow_one() {
    let sandbox = Sandbox::new();
    sandbox.file("slow.sh", "#!/bin/sh\nuntil [ -e go ]; do sleep 0.02; done\necho slow >> log\n");
    sandbox.file(
        "chain.json",
        r#"{ "chain": "c", "functions": {
            "a": { "run": ["sed", "s/$/a/"] }, "b": { "run": ["sed", "s/$/b/"] },
            "slow": { "run": ["./slow.sh"], "empty": "send" },
            "j": { "run": ["cat"], "join": { "of": 2 } } },
          "start": ["a", "b", "slow"], "rules": [ { "from": ["a", "b", "slow"], "to": "j" } ] }"#,
    );
    let came = sandbox.sh("
        echo x | faas-chain run --run $R -o lines chain.json > out & run=$!
        until [ -s out ]; do sleep 0.02; done
        [ ! -e log ]; echo $?; touch go; wait $run; echo $?; cat out log");
    assert_eq!(came.stdout, "0\n0\n{\"a\":\"xa\",\"b\":\"xb\"}\nslow\n", "{came:?}");
    assert!(came.stderr.contains("1 in, 1 out, 0 dropped, 0 dead, 0 lost"), "{}", came.stderr);
    assert_clean(&sandbox);
}

#[test]
fn of_as_many_as_come_the_first_go_on_and_too_few_are_a_dead_letter() {
    let sandbox = Sandbox::new();
    let functions = r#"
        "split": { "run": ["sh", "-c", "read -r n; seq $n"], "emit": "lines" },
        "j": { "run": ["cat"], "join": { "of": 3 } }"#;
    let rest = r#""start": "split", "rules": [ { "from": "split", "to": "j" } ]"#;
    let ran = run(&sandbox, "", "printf '5\\n3\\n2\\n0\\n'", functions, rest);
    assert_eq!(ran.results, [r#"{"split":[1,2,3]}"#; 2]);
    assert_eq!(told(&ran.dead), [json!(["j", "join: 2 of 3", {"split": [1, 2]}])]);
    assert!(ran.came.stderr.contains("4 in, 2 out, 1 dropped, 1 dead"), "{:?}", ran.came);
    // A part that failed, and one that was dropped, are not there.
    let functions = r#"
        "a": { "run": ["cat"] }, "dead": { "run": ["sh", "-c", "exit 100"] },
        "none": { "run": ["true"] }, "j": { "run": ["cat"], "join": { "of": 2 } }"#;
    let rest = r#""start": ["a", "dead", "none"],
        "rules": [ { "from": ["a", "dead", "none"], "to": "j" } ]"#;
    let ran = run(&sandbox, "", "echo 7", functions, rest);
    let expected = [json!(["dead", "exit 100", 7]), json!(["j", "join: 1 of 2", {"a": 7}])];
    assert_eq!(told(&ran.dead), expected);
    assert_clean(&sandbox);
}

#[test]
fn what_was_not_taken_dropped_or_sent_elsewhere_is_absent() {
    let sandbox = Sandbox::new();
    let functions = r#"
        "always": { "run": ["cat"] }, "mute": { "run": ["true"] },
        "drop": { "run": ["sh", "-c", "cat; exit 9"], "exit": { "9": "drop" } },
        "few": { "run": ["cat"] }, "end": { "run": ["cat"] },
        "j": { "run": ["cat"], "join": "all" }"#;
    let rest = r#""start": ["always", "mute", "drop", "few", "end"], "rules": [
        { "from": ["always", "mute", "drop"], "to": "j" },
        { "from": "few", "when": ". < 2", "to": "j" },
        { "from": "few", "otherwise": true, "to": "@result" },
        { "from": "end", "when": ". == 2", "to": "j" },
        { "from": "end", "otherwise": true, "to": [] } ]"#;
    let ran = run(&sandbox, "", "seq 3", functions, rest);
    let joined = [r#"{"always":1,"few":1}"#, r#"{"always":2,"end":2}"#, r#"{"always":3}"#];
    assert_eq!(ran.results, [&["2", "3"], &joined[..]].concat());
    assert_clean(&sandbox);
}

#[test]
fn a_part_that_failed_fails_a_join_of_all_unless_it_skips() {
    let sandbox = Sandbox::new();
    let part = json!(["bad", "exit 100", "x"]);
    let functions = |how: &str| {
        format!(
            r#""good": {{ "run": ["cat"] }}, "bad": {{ "run": ["sh", "-c", "exit 100"] }},
               "j": {{ "run": ["cat"], "join": "all" {how} }}"#
        )
    };
    let rest = r#""start": ["good", "bad"], "rules": [ { "from": ["good", "bad"], "to": "j" } ]"#;
    let ran = run(&sandbox, "", "echo x", &functions(""), rest);
    assert_eq!(ran.results, [""; 0]);
    let whole = json!(["j", "join: a part failed", {"good": "x"}]);
    assert_eq!(told(&ran.dead), [part.clone(), whole]);
    let ran = run(&sandbox, "", "echo x", &functions(r#", "failed": "skip""#), rest);
    assert_eq!((ran.results, told(&ran.dead)), (vec![r#"{"good":"x"}"#.to_owned()], vec![part]));
    assert_clean(&sandbox);
}

/// What failed on a way that could not reach the join any more is no part of
/// it, and where nothing came there is nothing to make a letter of.
#[test]
fn only_what_could_have_been_a_part_fails_a_join() {
    let sandbox = Sandbox::new();
    let functions = r#"
        "a": { "run": ["cat"] }, "side": { "run": ["false"], "retries": 0 },
        "b": { "run": ["sh", "-c", "read -r n; [ $n = 1 ] || exit 100; echo $n"] },
        "j": { "run": ["cat"], "join": "all" }"#;
    let rest = r#""start": "a", "rules": [
        { "from": "a", "to": ["b", "side"] }, { "from": "b", "to": "j" } ]"#;
    let ran = run(&sandbox, "", "seq 2", functions, rest);
    assert_eq!(ran.results, [r#"{"b":1}"#]);
    let side = |n| json!(["side", "exit 1", n]);
    assert_eq!(told(&ran.dead), [json!(["b", "exit 100", 2]), side(1), side(2)]);
    assert_clean(&sandbox);
}

#[test]
fn values_are_json_text_or_bytes_in_base64() {
    let sandbox = Sandbox::new();
    let functions = r#"
        "exact": { "run": ["echo", "{ \"n\": 1.50, \"big\": 12345678901234567890123 }"] },
        "number": { "run": ["echo", "7"] }, "null": { "run": ["echo", "null"] },
        "string": { "run": ["echo", "\"q\""] },
        "text": { "run": ["printf", "two\n\"lines\" é\n"] },
        "near": { "run": ["echo", "7 8"] }, "bytes": { "run": ["printf", "\\377\\000x"] },
        "void": { "run": ["true"], "empty": "send" },
        "j": { "run": ["cat"], "join": "all" }"#;
    let sources = r#"["exact", "number", "null", "string", "text", "near", "bytes", "void"]"#;
    let rest = format!(r#""start": {sources}, "rules": [ {{ "from": {sources}, "to": "j" }} ]"#);
    let ran = run(&sandbox, "", "echo x", functions, &rest);
    let exact = r#""exact":{ "n": 1.50, "big": 12345678901234567890123 }"#;
    let text = r#""number":7,"null":null,"string":"q","text":"two\n\"lines\" é","near":"7 8""#;
    let bytes = r#"{"data_base64":"/wB4","datacontenttype":"application/octet-stream"}"#;
    let expected = format!(r#"{{{exact},{text},"bytes":{bytes},"void":""}}"#);
    assert_eq!(ran.results, [expected]);
    assert_clean(&sandbox);
}

#[test]
fn whole_events_where_the_join_asks_for_them() {
    let sandbox = Sandbox::new();
    let event = r#"{"specversion":"1.0","id":"e","source":"/s","type":"t","region":"eu","data":1}"#;
    sandbox.file("in", &format!("{event}\n"));
    sandbox.file("out", &event.replace("\"t\"", "\"mine\"").replace("eu", "us"));
    let functions = r#"
        "plain": { "run": ["cat"] }, "bytes": { "run": ["printf", "\\377x"] },
        "events": { "run": ["cat", "out"], "emit": "events" },
        "j": { "run": ["cat"], "join": "all", "input": "event" }"#;
    let rest = r#""start": ["plain", "bytes", "events"],
        "rules": [ { "from": ["plain", "bytes", "events"], "to": "j" } ]"#;
    let ran = run(&sandbox, "", "cat in", functions, rest);
    let whole: Value = serde_json::from_str(&ran.results[0]).expect("JSON");
    assert_eq!((&whole["type"], &whole["region"]), (&json!("faas.join"), &json!("eu")));
    let parts = &whole["data"];
    assert_eq!((&parts["plain"]["data"], &parts["plain"]["region"]), (&json!(1), &json!("eu")));
    assert_eq!(parts["bytes"]["data_base64"], "/3g=");
    let mine = &parts["events"][0];
    assert_eq!((&mine["type"], &mine["region"]), (&json!("mine"), &json!("us")));
    assert_clean(&sandbox);
}

#[test]
fn lines_are_mapped_and_reduced_in_the_order_of_the_split() {
    let sandbox = Sandbox::new();
    // The later a line, the sooner it is done.
    sandbox.file("odd.sh", "#!/bin/sh\nread -r n\nsleep 0.0$((7 - n))\necho odd$n\n");
    let functions = r#"
        "split": { "run": ["sh", "-c", "read -r n; seq $n"], "emit": "lines" },
        "all": { "run": ["cat"], "concurrency": 4 },
        "odd": { "run": ["./odd.sh"], "concurrency": 3 },
        "j": { "run": ["cat"], "join": "all" }"#;
    let rest = r#""start": "split", "rules": [
        { "from": "split", "to": "all" }, { "from": "split", "when": ". % 2 == 1", "to": "odd" },
        { "from": ["split", "all", "odd"], "to": "j" } ]"#;
    for flags in INVOKERS {
        let ran = run(&sandbox, flags, "printf '5\\n1\\n0\\n'", functions, rest);
        let one = r#"{"split":[1],"all":[1],"odd":["odd1"]}"#;
        let five = r#"{"split":[1,2,3,4,5],"all":[1,2,3,4,5],"odd":["odd1","odd3","odd5"]}"#;
        assert_eq!(ran.results, [five, one]);
    }
    // A split of what was split before.
    let functions = r#"
        "a": { "run": ["seq", "3"], "emit": "lines" },
        "b": { "run": ["sh", "-c", "read -r n; seq ${n}1 ${n}3"], "emit": "lines" },
        "c": { "run": ["cat"], "concurrency": 3 }, "j": { "run": ["cat"], "join": "all" }"#;
    let rest = r#""start": "a", "rules": [ { "from": "a", "to": "b" },
        { "from": "b", "to": "c" }, { "from": "c", "to": "j" } ]"#;
    let ran = run(&sandbox, "--invokers 3", "echo x", functions, rest);
    assert_eq!(ran.results, [r#"{"c":[11,12,13,21,22,23,31,32,33]}"#]);
    assert_clean(&sandbox);
}

#[test]
fn joins_of_joins() {
    let sandbox = Sandbox::new();
    let functions = r#"
        "s": { "run": ["cat"] }, "x": { "run": ["cat"] },
        "lines": { "run": ["sh", "-c", "read -r n; seq $n"], "emit": "lines" },
        "m": { "run": ["cat"] },
        "inner": { "run": ["cat"], "join": "all" }, "outer": { "run": ["cat"], "join": "all" }"#;
    let rest = r#""start": "s", "rules": [ { "from": "s", "to": ["lines", "x", "outer"] },
        { "from": "lines", "to": ["m", "inner"] }, { "from": "m", "to": "inner" },
        { "from": "m", "when": ". == 2", "to": "outer" },
        { "from": ["inner", "x"], "to": "outer" } ]"#;
    for flags in INVOKERS {
        let ran = run(&sandbox, flags, "seq 2", functions, rest);
        let one = r#"{"s":1,"x":1,"inner":{"lines":[1],"m":[1]}}"#;
        let two = r#"{"s":2,"x":2,"m":[2],"inner":{"lines":[1,2],"m":[1,2]}}"#;
        assert_eq!(ran.results, [one, two]);
    }
    assert_clean(&sandbox);
}

#[test]
fn several_starts_meet_and_the_queues_hold_one_message() {
    let sandbox = Sandbox::new();
    let functions = r#"
        "a": { "run": ["sed", "s/^/a/"] }, "b": { "run": ["sed", "s/^/b/"] },
        "c": { "run": ["sed", "s/^/c/"] }, "j": { "run": ["cat"], "join": "all" },
        "k": { "run": ["cat"], "join": "all" }"#;
    let rest = r#""start": ["a", "b", "c"], "queues": { "*": { "capacity": 1 } },
        "rules": [ { "from": ["a", "b"], "to": "j" }, { "from": ["c", "j"], "to": "k" } ]"#;
    for flags in INVOKERS {
        let ran = run(&sandbox, flags, "seq 10 29", functions, rest);
        let one = |n| format!(r#"{{"c":"c{n}","j":{{"a":"a{n}","b":"b{n}"}}}}"#);
        assert_eq!(ran.results, (10..30).map(one).collect::<Vec<_>>());
    }
    assert_clean(&sandbox);
}

#[test]
fn a_join_in_a_loop_makes_one_message_each_turn() {
    let sandbox = Sandbox::new();
    let functions = r#"
        "a": { "run": ["cat"] }, "b": { "run": ["sed", "s/$/b/"] },
        "d": { "run": ["sed", "s/$/d/"] },
        "j": { "run": ["tr", "-d", "{}:,\""], "join": "all" }"#;
    let rest = r#""start": "a", "rules": [ { "from": "a", "to": ["b", "d"] },
        { "from": ["b", "d"], "to": "j" }, { "from": "j", "to": "a", "at_most": 2 },
        { "from": "j", "otherwise": true, "to": "@result" } ]"#;
    // A turn makes "b" XX "b" "d" XX "d" of XX.
    let turn = |text: &str| format!("b{text}bd{text}d");
    let expected = |text: &str| turn(&turn(&turn(text)));
    for flags in INVOKERS {
        let ran = run(&sandbox, flags, "printf 'x\\ny\\n'", functions, rest);
        assert_eq!(ran.results, [expected("x"), expected("y")]);
    }
    assert_clean(&sandbox);
}

#[test]
fn a_join_after_a_loop_takes_the_parts_of_all_turns() {
    let sandbox = Sandbox::new();
    let functions = r#"
        "a": { "run": ["sh", "-c", "read -r n; echo $((n + 1))"] }, "b": { "run": ["cat"] },
        "j": { "run": ["cat"], "join": "all" }"#;
    let rest = |before: &str, after: &str| {
        format!(
            r#""start": "a", "rules": [ {{ "from": "a", "to": "b" }}, {before}
               {{ "from": "b", "when": ". < 5", "to": "a", "at_most": 9 }} {after} ]"#
        )
    };
    let join = r#"{ "from": "b", "to": "j" }"#;
    let rising = run(&sandbox, "", "seq 2 5", functions, &rest(&format!("{join},"), ""));
    let parts = |list: &str| format!(r#"{{"b":[{list}]}}"#);
    assert_eq!(rising.results, ["3,4,5", "4,5", "5", "6"].map(parts));
    // The order is that of the rules: what the turns give comes first.
    let falling = run(&sandbox, "", "seq 2 5", functions, &rest("", &format!(", {join}")));
    assert_eq!(falling.results, ["5,4,3", "5,4", "5", "6"].map(parts));
    assert_clean(&sandbox);
}

#[test]
fn two_hundred_parts() {
    let sandbox = Sandbox::new();
    let functions = r#"
        "split": { "run": ["seq", "200"], "emit": "lines" },
        "w": { "run": ["sed", "s/^/w/"], "concurrency": 4 },
        "j": { "run": ["cat"], "join": "all" }"#;
    let rest = r#""start": "split",
        "rules": [ { "from": "split", "to": "w" }, { "from": "w", "to": "j" } ]"#;
    let ran = run(&sandbox, "--invokers 3", "echo x", functions, rest);
    let parts: Vec<String> = (1..=200).map(|n| format!("\"w{n}\"")).collect();
    assert_eq!(ran.results, [format!(r#"{{"w":[{}]}}"#, parts.join(","))]);
    assert_clean(&sandbox);
}

/// Every part is 100 KiB; each invoker must find what the others kept.
#[test]
fn large_parts() {
    let sandbox = Sandbox::new();
    sandbox.file("big.sh", "#!/bin/sh\nread -r n\nhead -c 102400 /dev/zero | tr '\\0' $n\n");
    let functions = r#"
        "split": { "run": ["printf", "a\nb\nc\n"], "emit": "lines" },
        "big": { "run": ["./big.sh"], "concurrency": 4 }, "j": { "run": ["cat"], "join": "all" }"#;
    let rest = r#""start": "split",
        "rules": [ { "from": "split", "to": "big" }, { "from": "big", "to": "j" } ]"#;
    let parts = ["a", "b", "c"].map(|letter| format!("\"{}\"", letter.repeat(102_400)));
    let expected = format!(r#"{{"big":[{}]}}"#, parts.join(","));
    for flags in INVOKERS {
        let ran = run(&sandbox, flags, "seq 12", functions, rest);
        assert_eq!(ran.results.len(), 12, "{flags}: {}", ran.came.stderr);
        assert!(ran.results.iter().all(|result| *result == expected), "{flags}");
    }
    assert_clean(&sandbox);
}

#[test]
fn a_failing_join_is_tried_again_with_the_same_parts() {
    let sandbox = Sandbox::new();
    sandbox.file(
        "j.sh",
        "#!/bin/sh\necho $FAAS_IDEMPOTENCY_KEY >> keys\n[ $FAAS_ATTEMPT = 3 ] || exit 1\n\
         read -r all\ncase $all in *2*) exit 100 ;; esac\necho \"$all\"\n",
    );
    let functions = r#"
        "a": { "run": ["cat"] }, "b": { "run": ["cat"] },
        "j": { "run": ["./j.sh"], "join": "all", "backoff": "1ms" }"#;
    let rest = r#""start": ["a", "b"], "rules": [ { "from": ["a", "b"], "to": "j" } ]"#;
    let ran = run(&sandbox, "", "seq 2", functions, rest);
    assert_eq!(ran.results, [r#"{"a":1,"b":1}"#]);
    assert_eq!(told(&ran.dead), [json!(["j", "exit 100", {"a": 2, "b": 2}])]);
    assert_eq!(ran.dead[0]["faasattempts"], 3);
    assert_eq!(sandbox.ok("sort keys | uniq -c | awk '{ print $1 }'"), "3\n3\n");
    assert_clean(&sandbox);
}

/// `$C` names chain and run; `quiet QUEUE` waits until nothing is in a queue
/// of the run, nor in work; `reply` prints the next reply's body.
const BY_HAND: &str = r#"
    C="--chain chain.json --run $R"; Q=mq:/faas.$(id -u).$R
    quiet() {
        until faas-queue stat -o json $Q.$1 | jq -e '.depth + .held == 0' > /dev/null
        do sleep 0.02; done
    }
    reply() { faas-queue get --timeout 5s -o lines $Q._reply; }
    faas-queue new $C
    faas-invoke $C --functions a,b & ab=$!
"#;

/// `a` sends `size` bytes. Until there is a file `go`, `b` waits with "y",
/// and `j` with "w", of which it says that it is `busy`.
fn by_hand(sandbox: &Sandbox, size: usize) {
    let make = format!("#!/bin/sh\nread -r n\nhead -c {size} /dev/zero | tr '\\0' $n\n");
    sandbox.file("make.sh", &make);
    let wait = "until [ -e go ]; do sleep 0.02; done";
    sandbox.file("wait.sh", &format!("#!/bin/sh\nread -r n\n[ $n != y ] || {wait}\necho $n\n"));
    sandbox.file(
        "join.sh",
        &format!(
            "#!/bin/sh\nout=$(jq -c '[(.a | length), .b]')\n\
             case $out in *w*) touch busy; {wait} ;; esac\necho \"$out\"\n"
        ),
    );
    sandbox.file(
        "chain.json",
        r#"{ "chain": "c", "functions": {
            "a": { "run": ["./make.sh"] }, "b": { "run": ["./wait.sh"] },
            "j": { "run": ["./join.sh"], "join": "all" } },
          "start": ["a", "b"], "rules": [ { "from": ["a", "b"], "to": "j" } ] }"#,
    );
}

/// The invoker of the join is killed when one part of the second message has
/// come; whoever is there for the other part knows of the first, whatever
/// has become of the parts of earlier messages.
#[test]
fn who_takes_over_a_join_has_the_parts_that_came_before() {
    for size in [5, 20_000] {
        let sandbox = Sandbox::new();
        by_hand(&sandbox, size);
        let script = "
            faas-invoke $C --functions j & j=$!
            printf 'x\\ny\\n' | faas-trigger $C
            reply; quiet a; quiet j
            kill -9 $j; wait $j
            faas-invoke $C --functions j & j=$!
            touch go; reply; came=$?
            kill $ab $j; wait; faas-queue rm --yes --run $R; exit $came";
        let came = sandbox.sh(&format!("{BY_HAND}{script}"));
        assert_eq!(came.stdout, format!("[{size},\"x\"]\n[{size},\"y\"]\n"), "{came:?}");
        assert_clean(&sandbox);
    }
}

/// So much was joined while an invoker was busy that the files it knew of are
/// gone; it must find those that came since.
#[test]
fn an_invoker_that_was_busy_for_long_finds_the_parts_that_came_since() {
    let sandbox = Sandbox::new();
    by_hand(&sandbox, 1_200_000);
    let script = "
        faas-invoke $C --functions j & old=$!
        echo w | faas-trigger $C
        until [ -e busy ]; do sleep 0.02; done
        faas-invoke $C --functions j & new=$!
        for turn in 1 2 3 4; do echo x | faas-trigger $C; reply; done
        echo y | faas-trigger $C; quiet a
        until faas-queue stat -o json $Q.j | jq -e '.depth == 0 and .held == 1' > /dev/null
        do sleep 0.02; done
        kill -9 $new; wait $new
        touch go; reply && reply; came=$?
        kill $ab $old; wait; faas-queue rm --yes --run $R; exit $came";
    let came = sandbox.sh(&format!("{BY_HAND}{script}"));
    let expected = format!("{}[1200000,\"w\"]\n[1200000,\"y\"]\n", "[1200000,\"x\"]\n".repeat(4));
    assert_eq!(came.stdout, expected, "{came:?}");
    assert_clean(&sandbox);
}

/// One source may send more than one part without `emit`: on two ways, or
/// once in each turn of a loop.
#[test]
fn a_join_may_wait_for_all_that_one_source_can_send() {
    let sandbox = Sandbox::new();
    let functions = r#"
        "s": { "run": ["cat"] }, "m": { "run": ["cat"] }, "n": { "run": ["cat"] },
        "x": { "run": ["cat"] }, "j": { "run": ["cat"], "join": { "of": 2 } }"#;
    let rest = r#""start": "s", "rules": [ { "from": "s", "to": ["m", "n"] },
        { "from": ["m", "n"], "to": "x" }, { "from": "x", "to": "j" } ]"#;
    let ran = run(&sandbox, "", "seq 2", functions, rest);
    assert_eq!(ran.results, [r#"{"x":[1,1]}"#, r#"{"x":[2,2]}"#]);
    assert_clean(&sandbox);
}
