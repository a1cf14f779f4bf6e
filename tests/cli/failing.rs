//! What becomes of messages that fail, come too late, or may come but once.

use faas_tests::Sandbox;
use serde_json::{Value, json};

/// What a run came to: results in order of their text, and of each dead
/// letter function, reason, attempts and body.
struct Ran {
    results: Vec<String>,
    dead: Vec<Value>,
    stderr: String,
}

/// Writes a chain: functions, then whatever else is in `rest`.
fn chain(sandbox: &Sandbox, functions: &str, rest: &str) {
    let text = format!(r#"{{ "chain": "c", "functions": {{ {functions} }}, {rest} }}"#);
    sandbox.file("chain.json", &text);
}

/// Runs the chain on what the command `input` prints.
fn run(sandbox: &Sandbox, input: &str, functions: &str, rest: &str) -> Ran {
    chain(sandbox, functions, rest);
    let command = "faas-chain run --run $R -o lines --dead dead.ndjson chain.json";
    let came = sandbox.sh(&format!("{input} | {command}"));
    let mut results: Vec<String> = came.stdout.lines().map(str::to_owned).collect();
    results.sort();
    let path = sandbox.path().join("dead.ndjson");
    let text = std::fs::read_to_string(&path).unwrap_or_default();
    let _ = std::fs::remove_file(path);
    let letters = text.lines().map(|line| serde_json::from_str(line).expect("an envelope"));
    let told = |d: Value| json!([d["faasfunction"], d["faasreason"], d["faasattempts"], d["data"]]);
    let mut dead: Vec<Value> = letters.map(told).collect();
    dead.sort_by_key(Value::to_string);
    assert_eq!(came.code, i32::from(!dead.is_empty()), "{came:?}");
    assert!(came.stderr.contains(" 0 lost in "), "{}", came.stderr);
    Ran { results, dead, stderr: came.stderr }
}

/// 1 succeeds; 2 is refused with a word on stderr; 3 fails; 4 is killed.
const F: &str = r#""f": { "retries": 1, "backoff": "1ms", "run": ["sh", "-c",
    "read -r n; case $n in 2) echo no >&2; exit 100;; 3) exit 7;; 4) kill -9 $$;; esac; echo ok"]
    }"#;

#[test]
fn a_rule_on_dead_takes_what_failed_and_sees_why() {
    let sandbox = Sandbox::new();
    let why = "[.data, .faasreason, .faasfunction, .faasattempts, .faasexit, .faasstderr]";
    let functions = format!(r#"{F}, "why": {{ "run": ["jq", "-c", "{why}"], "input": "event" }}"#);
    let rest = r#""start": "f", "rules": [ { "from": "f", "on": "dead", "to": "why" } ]"#;
    let ran = run(&sandbox, "seq 4", &functions, rest);
    let expected = [
        r#"[2,"exit 100","f",1,"exit 100","no"]"#,
        r#"[3,"exit 7","f",2,"exit 7",null]"#,
        r#"[4,"killed by SIGKILL","f",2,"killed by SIGKILL",null]"#,
        "ok",
    ];
    assert_eq!((ran.results, ran.dead), (expected.map(str::to_owned).to_vec(), vec![]));
    assert!(ran.stderr.contains("4 in, 4 out, 0 dropped, 0 dead"), "{}", ran.stderr);
    assert_eq!(sandbox.left_behind(), Vec::<String>::new());
}

#[test]
fn conditions_on_dead_see_the_reason_and_what_none_takes_is_a_dead_letter() {
    let sandbox = Sandbox::new();
    let functions = format!(r#"{F}, "fix": {{ "run": ["sed", "s/^/fixed /"] }}"#);
    let refused = r#""when": "$event.faasreason == \"exit 100\" and . == 2""#;
    let killed = r#""when": "$event.faasexit | startswith(\"killed\")""#;
    let rest = format!(
        r#""start": "f", "rules": [ {{ "from": "f", "on": "dead", {refused}, "to": "fix" }},
             {{ "from": "f", "on": "dead", {killed}, "to": ["fix", "@result"] }} ]"#
    );
    let ran = run(&sandbox, "seq 4", &functions, &rest);
    assert_eq!(ran.results, ["4", "fixed 2", "fixed 4", "ok"]);
    assert_eq!(ran.dead, [json!(["f", "exit 7", 2, 3])]);
    // What cannot be judged is a dead letter too, for the reason it had.
    let rest = r#""start": "f", "rules": [
        { "from": "f", "on": "dead", "when": ".a.b", "to": "fix" } ]"#;
    let ran = run(&sandbox, "seq 3", &functions, rest);
    assert_eq!(ran.dead, [json!(["f", "exit 100", 1, 2]), json!(["f", "exit 7", 2, 3])]);
    assert_eq!(sandbox.left_behind(), Vec::<String>::new());
}

/// Rules for what failed and rules for outputs are judged apart.
#[test]
fn otherwise_is_of_its_kind_and_an_empty_target_ends_quietly() {
    let sandbox = Sandbox::new();
    let rest = r#""start": "f", "rules": [
        { "from": "f", "when": ". == \"never\"", "to": [] },
        { "from": "f", "otherwise": true, "to": "@result" },
        { "from": "f", "on": "dead", "when": ". == 3", "to": "@result" },
        { "from": "f", "on": "dead", "otherwise": true, "to": [] } ]"#;
    let ran = run(&sandbox, "seq 4", F, rest);
    assert_eq!((ran.results, ran.dead), (vec!["3".to_owned(), "ok".to_owned()], vec![]));
    assert!(ran.stderr.contains("2 dropped"), "{}", ran.stderr);
    // An output for which there is no rule did not fail in its function.
    let functions = r#""f": { "run": ["cat"] }, "fix": { "run": ["cat"] }"#;
    let rest = r#""start": "f", "rules": [ { "from": "f", "when": ". == 1", "to": "@result" },
        { "from": "f", "on": "dead", "to": "fix" } ]"#;
    let ran = run(&sandbox, "seq 2", functions, rest);
    assert_eq!((ran.results, ran.dead), (vec!["1".into()], vec![json!(["f", "no rule", null, 2])]));
    assert_eq!(sandbox.left_behind(), Vec::<String>::new());
}

#[test]
fn what_failed_is_mended_and_comes_back() {
    let sandbox = Sandbox::new();
    let functions = r#"
        "f": { "run": ["sh", "-c", "read -r n; [ ${#n} -gt 2 ] || exit 100; echo $n"] },
        "mend": { "run": ["sed", "s/$/x/"] }"#;
    let rest = r#""start": "f", "rules": [ { "from": "f", "on": "dead", "to": "mend" },
        { "from": "mend", "to": "f", "at_most": 2 } ]"#;
    let ran = run(&sandbox, "printf 'abc\\nde\\nf\\n'", functions, rest);
    assert_eq!((ran.results, ran.dead), (["abc", "dex", "fxx"].map(String::from).into(), vec![]));
    // Or it is just tried again, so many times, and then it is a dead letter.
    let functions = r#""f": { "run": ["sh", "-c", "echo >> tries; exit 100"] }"#;
    let rest =
        r#""start": "f", "rules": [ { "from": "f", "on": "dead", "to": "f", "at_most": 3 } ]"#;
    let ran = run(&sandbox, "echo 1", functions, rest);
    assert_eq!(ran.dead, [json!(["f", "exit 100", 1, 1])]);
    assert_eq!(sandbox.ok("wc -l < tries"), "4\n");
    assert_eq!(sandbox.left_behind(), Vec::<String>::new());
}

#[test]
fn rules_on_dead_before_and_after_a_join() {
    let sandbox = Sandbox::new();
    let functions = r#"
        "a": { "run": ["sh", "-c", "read -r n; [ $n = 1 ] || exit 100; echo $n"] },
        "b": { "run": ["cat"] }, "mend": { "run": ["sed", "s/^/mended /"] },
        "j": { "run": ["sh", "-c", "read -r all; case $all in *3*) exit 100;; esac; echo $all"],
            "join": "all" },
        "why": { "run": ["jq", "-c", "[.data, .faasreason, .faasfunction]"], "input": "event" }"#;
    let rest = r#""start": ["a", "b"], "rules": [ { "from": ["a", "b", "mend"], "to": "j" },
        { "from": "a", "on": "dead", "when": ". == 2", "to": "mend" },
        { "from": "a", "on": "dead", "when": ". == 3", "to": [] },
        { "from": "j", "on": "dead", "to": "why" } ]"#;
    let ran = run(&sandbox, "seq 4", functions, rest);
    let expected = [
        // Gone elsewhere is absent; the join that then fails has a rule.
        r#"[{"b":3},"exit 100","j"]"#,
        // A part that is a dead letter fails the join, which has a rule.
        r#"[{"b":4},"join: a part failed","j"]"#,
        r#"{"a":1,"b":1}"#,
        r#"{"b":2,"mend":"mended 2"}"#,
    ];
    assert_eq!(ran.results, expected);
    assert_eq!(ran.dead, [json!(["a", "exit 100", 1, 4])]);
    assert_eq!(sandbox.left_behind(), Vec::<String>::new());
}

/// A message that failed twice tells of the second time alone.
#[test]
fn a_dead_letter_tells_of_the_function_that_failed_last() {
    let sandbox = Sandbox::new();
    let functions = r#"
        "f": { "run": ["sh", "-c", "echo of f >&2; exit 100"] },
        "g": { "run": ["sh", "-c", "exit 100"] }"#;
    chain(
        &sandbox,
        functions,
        r#""start": "f", "rules": [ { "from": "f", "on": "dead", "to": "g" } ]"#,
    );
    let came = sandbox.sh("echo 1 | faas-chain run --run $R --dead dead.ndjson chain.json");
    assert_eq!(came.code, 1, "{came:?}");
    let told = sandbox.ok("jq -c '[.faasfunction, .faasreason, .faasstderr]' dead.ndjson");
    assert_eq!(told, "[\"g\",\"exit 100\",null]\n");
    assert_eq!(sandbox.left_behind(), Vec::<String>::new());
}

#[test]
fn after_the_deadline_calls_are_cut_and_messages_expire() {
    let sandbox = Sandbox::new();
    let functions = r#""f": { "run": ["sleep", "50"] }, "g": { "run": ["cat"] }"#;
    let rest = r#""deadline": "1s", "start": "f", "rules": [ { "from": "f", "to": "g" } ]"#;
    let began = std::time::Instant::now();
    // The first is cut off in its call; the others wait behind it.
    let ran = run(&sandbox, "seq 3", functions, rest);
    let mut told: Vec<Value> = ran.dead.iter().map(|d| json!([d[3], d[0], d[1]])).collect();
    told.sort_by_key(Value::to_string);
    assert_eq!(told, [1, 2, 3].map(|n| json!([n, "f", "expired"])));
    assert!(began.elapsed().as_secs() < 20, "nothing slept its 50 s");
    assert_eq!(sandbox.left_behind(), Vec::<String>::new());
    // Within the deadline nothing is cut.
    let ran =
        run(&sandbox, "seq 3", r#""f": { "run": ["cat"] }"#, r#""deadline": "1m", "start": "f""#);
    assert_eq!(ran.results, ["1", "2", "3"]);
    assert_eq!(sandbox.left_behind(), Vec::<String>::new());
}

/// A message does not wait for another attempt that it cannot have.
#[test]
fn a_back_off_ends_with_the_deadline() {
    let sandbox = Sandbox::new();
    let functions = r#""f": { "run": ["false"], "retries": 9, "backoff": "30s" }"#;
    let rest = r#""deadline": "300ms", "start": "f""#;
    let began = std::time::Instant::now();
    let ran = run(&sandbox, "seq 8", functions, rest);
    assert!(began.elapsed().as_secs() < 10, "nothing waited out 30 s");
    assert_eq!(ran.dead.len(), 8, "{}", ran.stderr);
    assert!(ran.dead.iter().all(|letter| letter[1] == "expired"), "{:?}", ran.dead);
    assert_eq!(sandbox.left_behind(), Vec::<String>::new());
}

/// Logs what it gets; on the first "2" it takes its invoker along.
const KILLER: &str = "#!/bin/sh
read -r n
echo $n >> log
if [ $n = 2 ] && ! [ -e killed ]; then
    touch killed; kill -9 $(ps -o ppid= -p $PPID); sleep 9
fi
echo $n
";

#[test]
fn at_most_once_does_not_come_again_after_its_invoker_was_killed() {
    for (how, again) in [("at-most-once", "3\n"), ("at-least-once", "2\n3\n")] {
        let sandbox = Sandbox::new();
        sandbox.file("killer.sh", KILLER);
        let script = format!(
            "invoke=\"faas-invoke --deliver {how} --from ${{P}}in -o lines\"
             faas-queue new ${{P}}in; seq 3 | faas-queue put ${{P}}in
             $invoke -- ./killer.sh; echo $?; $invoke --idle 700ms -- ./killer.sh | sort
             faas-queue ls -o json | jq .depth,.held; faas-queue rm --yes ${{P}}in"
        );
        let came = sandbox.sh(&script);
        assert_eq!(came.stdout, format!("1\n137\n{again}0\n0\n"), "{came:?}");
        assert_eq!(sandbox.left_behind(), Vec::<String>::new());
    }
}

#[test]
fn at_most_once_in_the_file_for_all_or_for_one_queue() {
    let all = r#""deliver": "at-most-once""#;
    let one = r#""queues": { "f": { "deliver": "at-most-once" } }"#;
    let other = r#""queues": { "g": { "deliver": "at-most-once" } }"#;
    for (deliver, calls) in [(all, "1\n"), (one, "1\n"), (other, "2\n")] {
        let sandbox = Sandbox::new();
        sandbox.file("killer.sh", KILLER);
        let functions = r#""f": { "run": ["./killer.sh"] }, "g": { "run": ["cat"] }"#;
        let rules = r#""start": "f", "rules": [ { "from": "f", "to": "g" } ]"#;
        chain(&sandbox, functions, &format!("{deliver}, {rules}"));
        let script = r#"
            C="--chain chain.json --run $R"; faas-queue new $C; echo 2 | faas-trigger $C
            invoke="faas-invoke $C --functions f -n 1 --idle 700ms"
            $invoke; echo $?; $invoke; echo $?; wc -l < log; faas-queue rm --yes --run $R"#;
        let came = sandbox.sh(script);
        assert_eq!(came.stdout, format!("137\n0\n{calls}"), "{deliver}: {came:?}");
        assert_eq!(sandbox.left_behind(), Vec::<String>::new());
    }
}

#[test]
fn at_most_once_is_not_tried_again() {
    let sandbox = Sandbox::new();
    let script = "sh -c 'read n; echo $n >> log; [ $n != 2 ] && echo $n'";
    let flags = "--deliver at-most-once --retries 5 --backoff 1ms --dead dead.ndjson";
    let came = sandbox.sh(&format!("seq 3 | faas-invoke {flags} -o lines -- {script}"));
    assert_eq!((came.code, came.stdout.as_str()), (1, "1\n3\n"), "{came:?}");
    let told = "jq -c '[.faasreason, .faasattempts, .data]' dead.ndjson; rm dead.ndjson; cat log";
    assert_eq!(sandbox.ok(told), "[\"exit 1\",1,2]\n1\n2\n3\n");
    // The queue of one function; the others are delivered as ever.
    let once = r#""run": ["sh", "-c", "read -r n; [ $n != 2 ] && echo $n"], "backoff": "1ms""#;
    let ever = once.replace('2', "3");
    let functions = format!(r#""f": {{ {once} }}, "g": {{ {ever} }}"#);
    let rest = r#""start": "f", "rules": [ { "from": "f", "to": "g" } ],
        "queues": { "f": { "deliver": "at-most-once" } }"#;
    let ran = run(&sandbox, "seq 3", &functions, rest);
    assert_eq!(ran.results, ["1"]);
    assert_eq!(ran.dead, [json!(["f", "exit 1", 1, 2]), json!(["g", "exit 1", 4, 3])]);
    assert_eq!(sandbox.left_behind(), Vec::<String>::new());
}

/// Refused wherever it is said, with what can be had instead.
#[test]
fn exactly_once_is_refused() {
    let sandbox = Sandbox::new();
    let refused = |script: &str| {
        let came = sandbox.sh(script);
        assert_eq!((came.code, came.stdout.as_str()), (2, ""), "{script}: {came:?}");
        let is_said = came.stderr.contains("mq: cannot deliver exactly once")
            || came.stderr.contains("stdin and stdout are outside of any middleware");
        assert!(is_said, "{}", came.stderr);
        let cure = came.stderr.lines().find(|line| line.starts_with("  try: "));
        let cure = cure.unwrap_or_default().to_owned();
        assert!(cure.contains("at-least-once") && cure.contains("FAAS_IDEMPOTENCY_KEY"), "{cure}");
        came.stderr
    };
    let places = [
        (r#""deliver": "exactly-once""#, "deliver: "),
        (r#""queues": { "f": { "deliver": "exactly-once" } }"#, "queues.f.deliver: "),
        (r#""queues": { "*": { "deliver": "exactly-once" } }"#, "queues.*.deliver: "),
    ];
    for (said, place) in places {
        chain(&sandbox, r#""f": { "run": ["cat"] }"#, &format!(r#""start": "f", {said}"#));
        for command in ["faas-chain check", "faas-chain run", "faas-queue new --run $R --chain"] {
            let stderr = refused(&format!("echo 1 | {command} chain.json"));
            assert!(stderr.contains(&format!(": {place}")), "{stderr}");
        }
    }
    refused("echo 1 | faas-invoke --deliver exactly-once -- cat");
    refused("faas-invoke --deliver exactly-once --from ${P}none -- cat");
    refused("faas-invoke --deliver exactly-once --chain chain.json --run $R");
    assert_eq!(sandbox.left_behind(), Vec::<String>::new());
}

/// 1 waits until 3 has been done, and 5 fails until 7 has been: what is done
/// early is held back until its turn. 9 is refused, 11 gives nothing.
const UNEVEN: &str = "#!/bin/bash
read -r n
case $n in
    1) until [ -e done3 ]; do sleep 0.02; done ;;
    5) [ -e done7 ] || exit 1 ;;
    9) exit 100 ;;
    11) exit 0 ;;
    *) sleep 0.0$((RANDOM % 5)) ;;
esac
touch done$n
echo $n
";

#[test]
fn kept_order_is_that_of_the_input_through_sleeps_and_retries() {
    let sandbox = Sandbox::new();
    sandbox.file("uneven.sh", UNEVEN);
    let flags = "-k -j4 --retries 1000 --backoff 10ms -o lines";
    let numbers = (1..=40).filter(|n| ![9, 11].contains(n));
    let expected: String = numbers.map(|n| format!("{n}\n")).collect();
    let came = sandbox.sh(&format!("seq 40 | faas-invoke {flags} -- ./uneven.sh; rm done*"));
    assert_eq!(came.stdout, expected, "{came:?}");
    // Of a queue, and to one.
    let script = format!(
        "faas-queue new ${{P}}in ${{P}}out; seq 40 | faas-queue put ${{P}}in &
         faas-invoke {flags} -n 40 --from ${{P}}in --to ${{P}}out -- ./uneven.sh &
         faas-queue get -n 38 -o lines ${{P}}out; wait
         faas-queue rm --yes ${{P}}in ${{P}}out ${{P}}in.dead"
    );
    let came = sandbox.sh(&script);
    assert_eq!(came.stdout, expected, "{came:?}");
    assert_eq!(sandbox.left_behind(), Vec::<String>::new());
}

#[test]
fn kept_order_holds_for_each_function_of_a_chain_and_all_outputs_of_a_call() {
    let sandbox = Sandbox::new();
    let nap = "read -r n; sleep 0.0$((n % 3))";
    let script = format!("sh -c '{nap}; seq $n'");
    let flags = "-k -j4 --emit lines -o lines";
    let out = sandbox.ok(&format!("seq 12 | faas-invoke {flags} -- {script}"));
    let expected: String = (1..=12).flat_map(|n| 1..=n).map(|n| format!("{n}\n")).collect();
    assert_eq!(out, expected);
    let functions =
        format!(r#""f": {{ "run": ["sh", "-c", "{nap}; echo $n"] }}, "g": {{ "run": ["cat"] }}"#);
    chain(&sandbox, &functions, r#""start": "f", "rules": [ { "from": "f", "to": "g" } ]"#);
    let script = r#"
        C="--chain chain.json --run $R"; faas-queue new $C
        faas-invoke $C -k -j4 & invoker=$!
        seq 12 | faas-trigger $C &
        faas-queue get -n 12 -o lines mq:/faas.$(id -u).$R._reply
        kill $invoker; wait; faas-queue rm --yes --run $R"#;
    let expected: String = (1..=12).map(|n| format!("{n}\n")).collect();
    assert_eq!(sandbox.ok(script), expected);
    assert_eq!(sandbox.left_behind(), Vec::<String>::new());
}
