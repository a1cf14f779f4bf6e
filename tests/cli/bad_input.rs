//! Lines that are no events, addresses that lead nowhere.

use crate::told;

#[test]
fn not_json() {
    told!(
        "printf '{\"a\":1\\ngood\\n' | faas-invoke -o lines -- cat; code=$?; jq -c '[.faasreason, .data]' cat.dead.ndjson; exit $code"
    );
}

#[test]
fn truncated_envelope() {
    told!(
        "printf '{\"specversion\":\"1.0\",\"id\":\"a\",\"sour\\ngood\\n' | faas-invoke -o lines -- cat; code=$?; jq -c .data cat.dead.ndjson; exit $code"
    );
}

#[test]
fn newer_specversion() {
    told!(
        "echo '{\"specversion\":\"2.0\",\"id\":\"a\",\"source\":\"s\",\"type\":\"t\"}' | faas-invoke -- cat"
    );
}

#[test]
fn envelope_without_id() {
    told!("echo '{\"specversion\":\"1.0\",\"source\":\"s\",\"type\":\"t\"}' | faas-invoke -- cat");
}

#[test]
fn bare_line_where_envelopes_are_asked_for() {
    told!("echo hello | faas-invoke -i json -- cat");
}

#[test]
fn line_over_the_limit() {
    told!("printf 'short\\n%0100d\\nshort too\\n' 7 | faas-invoke --max-line 50 -o lines -- cat");
}

#[test]
fn nul_in_a_lines_body() {
    told!(
        "printf 'a\\0b' | faas-invoke -i raw -o lines -- cat; code=$?; jq -c '[.faasreason, .data]' cat.dead.ndjson; exit $code"
    );
}

#[test]
fn line_feed_in_a_lines_body() {
    told!("printf 'a\\nb' | faas-invoke -i raw -o lines -- cat");
}

#[test]
fn bad_lines_of_a_trigger() {
    told!(
        "faas-queue new ${P}q; printf 'one\\n{bad\\nthree\\n' | faas-trigger --to ${P}q; echo $?; faas-queue get --timeout 0 -o lines ${P}q; jq -r .data faas-trigger.dead.ndjson; faas-queue rm --yes ${P}q"
    );
}

#[test]
fn bad_lines_of_a_run() {
    told!(
        "printf '{\"chain\":\"c\",\"functions\":{\"f\":{\"run\":[\"cat\"]}},\"start\":\"f\"}' > c.json; printf 'one\\n{bad\\nthree\\n' | faas-chain run --run $R -o lines c.json 2>err | sort; echo ${PIPESTATUS[1]}; sed 's/ in [0-9.]*[a-z]*; p50.*//' err; jq -c '[.faasreason, .data]' $R.dead.ndjson"
    );
}

#[test]
fn no_such_queue() {
    told!("faas-queue get ${P}nowhere");
}

#[test]
fn no_such_queue_to_invoke_from() {
    told!("faas-invoke --from ${P}nowhere -- cat");
}

#[test]
fn no_such_queue_to_remove() {
    told!("faas-queue rm --yes ${P}nowhere");
}

#[test]
fn queue_that_exists() {
    told!(
        "faas-queue new ${P}q; faas-queue new ${P}q; code=$?; faas-queue rm --yes ${P}q; exit $code"
    );
}

#[test]
fn bad_url() {
    told!("faas-queue new jobs");
}

#[test]
fn url_with_a_slash_in_the_name() {
    told!("faas-queue new mq:/a/b");
}

#[test]
fn unknown_scheme() {
    told!("faas-queue new mqq:/jobs");
}

#[test]
fn middleware_that_is_not_built_yet() {
    told!("faas-queue ls dsmq://127.0.0.1");
}

#[test]
fn queues_inside_one_process() {
    told!("faas-queue new mem:/x");
}

#[test]
fn from_and_to_the_same_queue() {
    told!(
        "faas-queue new ${P}q; faas-invoke --from ${P}q --to ${P}q -- cat; code=$?; faas-queue rm --yes ${P}q; exit $code"
    );
}

#[test]
fn program_not_found() {
    told!("faas-invoke -- nosuchprogram < /dev/null");
}

#[test]
fn program_not_executable() {
    told!("echo hello > plain; faas-invoke -- ./plain < /dev/null");
}

#[test]
fn no_program_at_all() {
    told!("faas-invoke < /dev/null");
}

#[test]
fn empty_input() {
    told!(
        "faas-invoke -- cat < /dev/null && faas-queue new ${P}q && faas-trigger -v --to ${P}q < /dev/null; code=$?; faas-queue rm --yes ${P}q; exit $code"
    );
}

#[test]
fn stdin_closed() {
    told!("faas-invoke -- cat <&-");
}

#[test]
fn stdout_closed_early() {
    told!("seq 100000 | faas-invoke -o lines -- cat | head -1; echo ${PIPESTATUS[1]}");
}

#[test]
fn stdout_closed_early_on_a_queue() {
    told!(
        "faas-queue new ${P}q; seq 9 | faas-queue put ${P}q; faas-queue get -n 9 -o lines ${P}q | head -1; echo ${PIPESTATUS[0]}; faas-queue rm --yes ${P}q"
    );
}

#[test]
fn bad_duration() {
    told!("faas-invoke --timeout soon -- cat");
}

#[test]
fn unknown_flag() {
    told!("faas-queue ls --outptu json");
}

#[test]
fn run_that_is_not_open() {
    told!(
        "printf '{\"chain\":\"c\",\"functions\":{\"f\":{\"run\":[\"cat\"]}},\"start\":\"f\"}' > c.json; faas-invoke --chain c.json --run nope"
    );
}

#[test]
fn run_of_another_file() {
    told!(
        "printf '{\"chain\":\"c\",\"functions\":{\"f\":{\"run\":[\"cat\"]}},\"start\":\"f\"}' > c.json; faas-queue new --chain c.json --run $R; echo ' ' >> c.json; faas-invoke --chain c.json --run $R; code=$?; faas-queue rm --yes --run $R; exit $code"
    );
}
