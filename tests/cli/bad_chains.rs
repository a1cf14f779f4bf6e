//! Flaws of chain files: each with line, column, object and cure.

use faas_tests::Sandbox;

fn check(text: impl AsRef<str>) -> String {
    let sandbox = Sandbox::new();
    sandbox.file("chain.json", text.as_ref());
    sandbox.file("plain.sh", "not a script");
    sandbox.told("faas-chain check chain.json")
}

/// A chain around some of its parts.
fn chain(functions: &str, rest: &str) -> String {
    format!(
        "{{\n  \"chain\": \"c\",\n  \"functions\": {{\n    {functions}\n  }},\n  \"start\": \"a\"{rest}\n}}\n"
    )
}

const A: &str = r#""a": { "run": ["cat"] }"#;
const AB: &str = r#""a": { "run": ["cat"] },
    "b": { "run": ["cat"] }"#;
const A_TO_B: &str = r#"{ "from": "a", "to": "b" }"#;

fn rules(functions: &str, rules: &str) -> String {
    chain(functions, &format!(",\n  \"rules\": [\n    {rules}\n  ]"))
}

macro_rules! flaws {
    ($($name:ident: $text:expr,)*) => {
        $(#[test]
        fn $name() {
            insta::assert_snapshot!(check($text));
        })*
    };
}

flaws! {
    not_json: "{ \"chain\": \"c\", ",
    comma_at_the_end: "{ \"chain\": \"c\", }",
    not_an_object: "[]",
    nothing_in_it: "{}",
    unknown_key: chain(r#""a": { "run": ["cat"], "timeuot": "2s" }"#, ""),
    unknown_key_at_the_top: chain(A, ",\n  \"ruls\": []"),
    unknown_function: rules(AB, r#"{ "from": "a", "to": "bb" }"#),
    unreachable_step: chain(AB, ""),
    cycle_without_bound: rules(AB, &format!("{A_TO_B},\n    {{ \"from\": \"b\", \"to\": \"a\" }}")),
    bad_jq: rules(AB, r#"{ "from": "a", "when": ".x >", "to": "b" }"#),
    forbidden_jq: rules(AB, r#"{ "from": "a", "when": "env.HOME", "to": "b" }"#),
    unknown_jq_function: rules(AB, r#"{ "from": "a", "when": ".x | tset(1)", "to": "b" }"#),
    program_not_found: chain(r#""a": { "run": ["nosuchprogram"] }"#, ""),
    program_path_not_found: chain(r#""a": { "run": ["./nosuch.sh"] }"#, ""),
    program_not_executable: chain(r#""a": { "run": ["./plain.sh"] }"#, ""),
    wrong_types: chain(r#""a": { "run": "cat", "timeout": 2, "retries": -1, "concurrency": 0, "env": 1 }"#, ""),
    bad_words: chain(r#""a": { "run": ["cat"], "emit": "line", "input": "events", "exit": { "1": "dorp", "300": "ok" } }"#, ""),
    key_twice: chain(r#""a": { "run": ["cat"], "run": ["cat"] }"#, ""),
    function_twice: chain(&format!("{A},\n    {A}"), ""),
    bad_names: chain(r#""a": { "run": ["cat"] }, "1st": { "run": ["cat"] }"#, ""),
    neither_run_nor_url: chain(r#""a": {}"#, ""),
    when_and_otherwise: rules(AB, r#"{ "from": "a", "when": ".x", "otherwise": true, "to": "b" }"#),
    join_at_the_start: chain(r#""a": { "run": ["cat"], "join": "all" }"#, ""),
    not_a_back_edge: rules(AB, r#"{ "from": "a", "to": "b", "at_most": 3 }"#),
    join_of_more_than_it_has: rules(r#""a": { "run": ["cat"] },
    "b": { "run": ["cat"], "join": { "of": 3 } }"#, A_TO_B),
    join_behind_a_back_edge: rules(r#""a": { "run": ["cat"] },
    "b": { "run": ["cat"], "join": "all" }"#, &format!("{A_TO_B},\n    {{ \"from\": \"b\", \"to\": \"b\", \"at_most\": 3 }}")),
    not_yet_https: chain(r#""a": { "url": "https://127.0.0.1:1/" }"#, ""),
    not_a_url: chain(r#""a": { "url": "ftp://127.0.0.1/" }"#, ""),
    pipeline_without_ids: chain(r#""a": { "run": ["cat"], "worker": "filter", "pipeline": 4, "emit": "lines" }"#, ""),
    pipeline_of_exec: chain(r#""a": { "run": ["cat"], "pipeline": 4 }"#, ""),
    ahead_of_a_filter: chain(r#""a": { "run": ["cat"], "worker": "filter", "ahead": true }"#, ""),
    ahead_is_noted: chain(r#""a": { "run": ["cat"], "ahead": true, "keep": "always" }"#, ""),
    http_without_url: chain(r#""a": { "run": ["cat"], "worker": "http" }"#, ""),
    exactly_once_on_mq: chain(A, ",\n  \"deliver\": \"exactly-once\""),
    not_yet_layout: chain(A, ",\n  \"layout\": \"shared\""),
    not_yet_middleware: chain(A, ",\n  \"queues\": { \"*\": { \"via\": \"dsmq://127.0.0.1\" } }"),
    demand_that_cannot_be_kept: chain(A, ",\n  \"queues\": { \"a\": { \"order\": \"lifo\", \"when_full\": \"drop-oldest\" } }"),
    wish_that_is_not_kept: chain(A, ",\n  \"queues\": { \"*\": { \"order\": \"lifo\" } }"),
    queue_of_no_function: chain(A, ",\n  \"queues\": { \"aa\": { \"capacity\": 3 } }"),
}

#[test]
fn file_that_is_not_there() {
    insta::assert_snapshot!(Sandbox::new().told("faas-chain check nowhere.json"));
}

/// The whole format, with everything that is to come, parses and is valid:
/// only `not yet` stands in its way.
#[test]
fn the_whole_format_is_understood() {
    let text = include_str!("../corpus/chain/good-whole-format");
    insta::assert_snapshot!(check(text));
}
