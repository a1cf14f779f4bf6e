//! Loops: rules with a bound, counted on each message's own path.

use faas_tests::{Came, Sandbox};

/// Runs a chain of these functions and rules that starts at `start`, on what
/// the command `input` prints; returns the results in order of their text.
fn run(sandbox: &Sandbox, start: &str, input: &str, functions: &str, rules: &str) -> Vec<String> {
    let came = run_to_end(sandbox, start, input, functions, rules);
    assert_eq!(came.code, 0, "{came:?}");
    let mut results: Vec<String> = came.stdout.lines().map(str::to_owned).collect();
    results.sort();
    results
}

fn run_to_end(sandbox: &Sandbox, start: &str, input: &str, functions: &str, rules: &str) -> Came {
    let text = format!(
        r#"{{ "chain": "c", "functions": {{ {functions} }}, "start": [{start}],
             "rules": [ {rules} ], "queues": {{ "*": {{ "capacity": 2 }} }} }}"#
    );
    sandbox.file("chain.json", &text);
    let command = "faas-chain run --run $R -o lines --dead dead.ndjson chain.json";
    let came = sandbox.sh(&format!("{input} | {command}"));
    assert!(came.stderr.contains(" 0 lost in "), "{came:?}");
    came
}

/// A function that puts its own name, a letter, behind what it gets.
fn letter(name: &str) -> String {
    format!(r#""{name}": {{ "run": ["sed", "s/$/{name}/"] }}"#)
}

fn letters(names: &str) -> String {
    names.chars().map(|name| letter(&name.to_string())).collect::<Vec<_>>().join(", ")
}

const NEXT: &str = r#"{ "run": ["sh", "-c", "read -r n; echo $((n + 1))"] }"#;

#[test]
fn a_bound_counts_the_turns_of_each_message_and_otherwise_follows() {
    let sandbox = Sandbox::new();
    let functions =
        format!(r#""f": {NEXT}, "g": {{ "run": ["cat"] }}, "out": {{ "run": ["sed", "s/^/=/"] }}"#);
    let rules = r#"{ "from": "f", "to": "g" },
        { "from": "g", "when": ". < 10", "to": "f", "at_most": 3 },
        { "from": "g", "otherwise": true, "to": "out" }"#;
    // 1 goes round three times, 7 twice, 8 once, 20 never.
    let results = run(&sandbox, "\"f\"", "printf '1\\n7\\n8\\n20\\n'", &functions, rules);
    assert_eq!(results, ["=10", "=10", "=21", "=5"]);
    assert_eq!(sandbox.left_behind(), Vec::<String>::new());
}

#[test]
fn a_bound_without_a_condition_is_one_and_rules_beside_it_fire_each_time() {
    let sandbox = Sandbox::new();
    let functions = format!(r#""f": {NEXT}"#);
    let turn = r#"{ "from": "f", "to": "f", "at_most": 3 }"#;
    let rules = format!(r#"{turn}, {{ "from": "f", "otherwise": true, "to": "@result" }}"#);
    let results = run(&sandbox, "\"f\"", "printf '1\\n50\\n'", &functions, &rules);
    assert_eq!(results, ["5", "54"]);
    let rules = format!(r#"{turn}, {{ "from": "f", "to": "@result" }}"#);
    let results = run(&sandbox, "\"f\"", "printf '1\\n50\\n'", &functions, &rules);
    assert_eq!(results, ["2", "3", "4", "5", "51", "52", "53", "54"]);
    assert_eq!(sandbox.left_behind(), Vec::<String>::new());
}

#[test]
fn nothing_to_do_after_the_last_turn_is_a_dead_letter() {
    let sandbox = Sandbox::new();
    let functions = format!(r#""f": {NEXT}"#);
    let turn = r#"{ "from": "f", "to": "f", "at_most": 3 }"#;
    let came = run_to_end(&sandbox, "\"f\"", "echo 1", &functions, turn);
    assert_eq!((came.code, came.stdout.as_str()), (1, ""), "{came:?}");
    let dead = sandbox.ok("jq -c '[.faasfunction, .faasreason, .data]' dead.ndjson");
    assert_eq!(dead, "[\"f\",\"no rule\",5]\n");
    assert_eq!(sandbox.left_behind(), Vec::<String>::new());
}

/// Tries of a function that fails are no turns.
#[test]
fn another_attempt_is_not_another_turn() {
    let sandbox = Sandbox::new();
    let functions = r#""f": { "run": ["sh", "-c",
        "read -r n; [ $FAAS_ATTEMPT = 3 ] && echo $((n + 1))"], "backoff": "1ms" }"#;
    let rules = r#"{ "from": "f", "to": "f", "at_most": 3 },
        { "from": "f", "otherwise": true, "to": "@result" }"#;
    assert_eq!(run(&sandbox, "\"f\"", "echo 1", functions, rules), ["5"]);
    assert_eq!(sandbox.left_behind(), Vec::<String>::new());
}

/// Two outputs each time: with three turns that makes sixteen paths, and each
/// has turns of its own.
#[test]
fn every_path_of_a_fan_out_has_its_own_count() {
    let sandbox = Sandbox::new();
    let functions = r#""f": { "run": ["sed", "h; s/$/a/p; g; s/$/b/"], "emit": "lines" },
        "g": { "run": ["cat"] }"#;
    let rules = r#"{ "from": "f", "to": "g" }, { "from": "g", "to": "f", "at_most": 3 },
        { "from": "g", "otherwise": true, "to": "@result" }"#;
    let results = run(&sandbox, "\"f\"", "echo x", functions, rules);
    let bit = |n: u32, i: u32| if (n >> i) & 1 == 0 { 'a' } else { 'b' };
    let path = |n| format!("x{}", (0..4).rev().map(|i| bit(n, i)).collect::<String>());
    assert_eq!(results, (0..16).map(path).collect::<Vec<_>>());
    assert_eq!(sandbox.left_behind(), Vec::<String>::new());
}

#[test]
fn a_turn_of_an_outer_loop_resets_the_inner_count() {
    let sandbox = Sandbox::new();
    let rules = r#"{ "from": "a", "to": "b" }, { "from": "b", "to": "b", "at_most": 2 },
        { "from": "b", "otherwise": true, "to": "c" },
        { "from": "c", "to": "a", "at_most": 2 },
        { "from": "c", "otherwise": true, "to": "@result" }"#;
    let results = run(&sandbox, "\"a\"", "echo x", &letters("abc"), rules);
    assert_eq!(results, ["xabbbcabbbcabbbc"]);
    // The inner loop leads through two functions, the outer one through four.
    let rules = r#"{ "from": "a", "to": "b" }, { "from": "b", "to": "c" },
        { "from": "c", "to": "b", "at_most": 1 },
        { "from": "c", "otherwise": true, "to": "d" },
        { "from": "d", "to": "a", "at_most": 2 },
        { "from": "d", "otherwise": true, "to": "@result" }"#;
    let results = run(&sandbox, "\"a\"", "printf 'x\\ny\\n'", &letters("abcd"), rules);
    assert_eq!(results, ["xabcbcdabcbcdabcbcd", "yabcbcdabcbcdabcbcd"]);
    assert_eq!(sandbox.left_behind(), Vec::<String>::new());
}

/// An inner and an outer turn at once: "xab" goes both ways. By the inner way
/// the outer turn is still to come, and by the outer way the inner one is.
#[test]
fn inner_and_outer_turns_at_once() {
    let sandbox = Sandbox::new();
    let rules = r#"{ "from": "a", "to": "b" }, { "from": "b", "to": "b", "at_most": 1 },
        { "from": "b", "to": "a", "at_most": 1 },
        { "from": "b", "otherwise": true, "to": "@result" }"#;
    let results = run(&sandbox, "\"a\"", "echo x", &letters("ab"), rules);
    assert_eq!(results, ["xababb", "xabbabb"]);
    assert_eq!(sandbox.left_behind(), Vec::<String>::new());
}

/// Two loops of one body leave each other's counts alone.
#[test]
fn loops_side_by_side_do_not_reset_each_other() {
    let sandbox = Sandbox::new();
    let rules = r#"{ "from": "a", "to": "b" },
        { "from": "b", "when": "length % 4 == 3", "to": "a", "at_most": 2 },
        { "from": "b", "when": "length % 4 == 1", "to": "a", "at_most": 1 },
        { "from": "b", "otherwise": true, "to": "@result" }"#;
    // Lengths after "b": 3 (first), 5 (second), 7 (first), 9 (no more).
    let results = run(&sandbox, "\"a\"", "echo x", &letters("ab"), rules);
    assert_eq!(results, ["xabababab"]);
    assert_eq!(sandbox.left_behind(), Vec::<String>::new());
}

#[test]
fn several_starts_into_one_loop() {
    let sandbox = Sandbox::new();
    let rules = r#"{ "from": "a", "to": "b" }, { "from": "b", "to": "c" },
        { "from": "c", "to": "a", "at_most": 2 },
        { "from": "c", "otherwise": true, "to": "@result" }"#;
    let results = run(&sandbox, r#""a", "b""#, "printf 'x\\ny\\n'", &letters("abc"), rules);
    assert_eq!(results, ["xabcabcabc", "xbcabcabc", "yabcabcabc", "ybcabcabc"]);
    assert_eq!(sandbox.left_behind(), Vec::<String>::new());
}

/// One rule goes back from `b` itself and from behind the join. When `b` has
/// taken it once, and `x` never, the join's message has taken it once; that
/// leaves two turns, one to `b` and one from `b`.
#[test]
fn a_join_takes_the_largest_count_of_its_parts() {
    let sandbox = Sandbox::new();
    let functions =
        format!(r#"{}, "j": {{ "run": ["tr", "-dc", "a-z"], "join": "all" }}"#, letters("axbk"));
    let rules = r#"{ "from": "a", "to": ["x", "b"] }, { "from": "x", "to": "j" },
        { "from": ["b", "k"], "when": "endswith(\"bb\") | not", "to": "b", "at_most": 3 },
        { "from": "b", "otherwise": true, "to": "j" },
        { "from": "j", "to": "k" }, { "from": "k", "otherwise": true, "to": "@result" }"#;
    // {"x":"nax","b":["nabb"]}, then {"b":["xnaxbnabbkbb"]}.
    let results = run(&sandbox, "\"a\"", "echo n", &functions, rules);
    assert_eq!(results, ["bxnaxbnabbkbbk"]);
    assert_eq!(sandbox.left_behind(), Vec::<String>::new());
}

/// Far more is under way than the queues around the loop hold.
#[test]
fn a_loop_whose_queues_are_full_goes_on() {
    let sandbox = Sandbox::new();
    let functions = r#""f": { "run": ["sed", "p"], "emit": "lines" }, "g": { "run": ["cat"] }"#;
    let rules = r#"{ "from": "f", "to": "g" }, { "from": "g", "to": "f", "at_most": 4 },
        { "from": "g", "otherwise": true, "to": "@result" }"#;
    let results = run(&sandbox, "\"f\"", "seq 4", functions, rules);
    let expected: Vec<String> = (1..=4).flat_map(|n| vec![n.to_string(); 32]).collect();
    assert_eq!(results, expected);
    assert_eq!(sandbox.left_behind(), Vec::<String>::new());
}
