//! What the tools say when Kafka cannot do what it is told, or cannot be
//! reached: each error names its cure.

use crate::common::{Place, sorted};
use faas_tests::Came;
use faas_tests::services::{Kafka, free_port, shared_kafka};
use serde_json::Value;

/// Asserts how something failed, and that its stderr has all of `parts`.
fn fails(came: &Came, code: i32, parts: &[&str]) {
    assert_eq!(came.code, code, "{came:?}");
    for part in parts {
        assert!(came.stderr.contains(part), "`{part}` is not said: {}", came.stderr);
    }
    assert!(came.stderr.contains("\n  try: "), "no cure: {}", came.stderr);
}

#[test]
fn nobody_listens() {
    let place = Place::new(&format!("kafka://127.0.0.1:{}", free_port()));
    let what = ["Connection refused", "try: start a broker there, or name another"];
    fails(&place.sh("faas-queue ls $U"), 69, &what);
    place.sandbox.file("chain.json", CAT);
    fails(&place.sh("seq 3 | faas-chain run --via $U chain.json"), 69, &what);
    assert_eq!(place.sandbox.left_behind(), Vec::<String>::new());
}

#[test]
fn a_name_that_is_none() {
    let place = Place::new("kafka://nowhere.invalid:9092");
    fails(&place.sh("faas-queue ls $U"), 69, &["nowhere.invalid", "try: another name"]);
    fails(&place.sh("faas-queue new kafka:///jobs"), 2, &["names no server"]);
    fails(&place.sh("faas-queue new $U"), 2, &["names no queue"]);
}

/// One that wants TLS is told that there is none.
#[test]
fn tls_against_a_plain_port() {
    let place = Place::new(&shared_kafka());
    let came = place.sh("faas-queue ls \"$U?security.protocol=SSL\"");
    fails(&came, 69, &["SSL", "security.protocol"]);
}

#[test]
fn a_topic_that_is_not_there() {
    let place = Place::new(&shared_kafka());
    let name = format!("{}-none", place.sandbox.run());
    let cure = format!("try: faas-queue new {}/{name}", place.url);
    let parts = ["no such queue", cure.as_str()];
    for script in [
        "faas-queue get --timeout 0 $U/$R-none",
        "echo x | faas-queue put $U/$R-none",
        "echo x | faas-trigger --to $U/$R-none",
        "timeout 20 faas-invoke --from $U/$R-none -- cat",
        "echo x | timeout 20 faas-invoke --to $U/$R-none -- cat",
    ] {
        fails(&place.sh(script), 69, &parts);
    }
    fails(&place.sh("faas-queue stat $U/$R-none"), 69, &["no such queue"]);
    fails(&place.sh("faas-queue rm --yes $U/$R-none"), 69, &["no such queue"]);
    let listed = place.ok("faas-queue ls $U");
    assert!(!listed.contains(&name), "asking for it made it: {listed}");
}

#[test]
fn what_a_topic_cannot() {
    let place = Place::new(&shared_kafka());
    for (flags, parts) in [
        ("--capacity 5 $U/$R-q", ["a topic has no capacity", "--max-in-flight"]),
        ("--order lifo $U/$R-q", ["in the order it was written", "try: fifo"]),
        ("--when-full reject $U/$R-q", ["a topic is never full", "try: "]),
        ("--size 200MiB $U/$R-q", ["a record has at most", "try: smaller messages"]),
        ("\"$U/a b\"", ["letters, digits, dots, dashes", "try: another name"]),
        ("\"$U/$R-q?replicas=3\"", ["fewer brokers than replicas", "?replicas=1"]),
    ] {
        fails(&place.sh(&format!("faas-queue new {flags}")), 2, &parts);
    }
    fails(&place.sh("faas-queue new $U/$R-q; faas-queue new $U/$R-q"), 1, &["it exists already"]);
    place.ok("faas-queue rm --yes $U/$R-q");
}

#[test]
fn options_that_there_are_not() {
    let place = Place::new(&shared_kafka());
    for (options, parts) in [
        ("partition=3", ["there is no option partition", "try: partitions"]),
        ("partitions=0", ["partitions=0 cannot be", "a whole number over 0"]),
        ("acks=2", ["acks=2 cannot be", "all, 1 or 0"]),
        ("batch-time=soon", ["batch-time=soon cannot be", "a time like 20ms"]),
        ("no.such=1", ["no such configuration property", "an option of librdkafka"]),
    ] {
        fails(&place.sh(&format!("faas-queue ls \"$U?{options}\"")), 2, &parts);
    }
}

const CAT: &str = r#"{
  "chain": "cat", "functions": { "f": { "run": ["cat"] } }, "start": "f"
}"#;

/// A demand under a function's name is kept or refused; under `*` it is a wish.
#[test]
fn a_chain_demands_what_a_topic_cannot() {
    let place = Place::new(&shared_kafka());
    let chain = |queues: &str| {
        let start = "\"start\": \"f\"";
        let text = CAT.replace(start, &format!("{start}, \"queues\": {{ {queues} }}"));
        place.sandbox.file("chain.json", &text);
    };
    let run = "seq 3 | faas-chain run --run $R --via $U -o lines chain.json";
    for (queues, parts) in [
        (
            r#""f": { "capacity": 5 }"#,
            ["queues.f.capacity: kafka: queues have no capacity", "try: "],
        ),
        (
            r#""f": { "order": "lifo" }"#,
            ["queues.f.order: kafka: queues cannot be lifo", "try: fifo"],
        ),
    ] {
        chain(queues);
        let came = place.sh(run);
        fails(&came, 2, &parts);
        assert!(!came.stderr.contains("try: none"), "no cure is named: {}", came.stderr);
        assert_eq!(place.sandbox.left_behind(), Vec::<String>::new());
    }
    chain(r#""*": { "capacity": 5, "order": "lifo" }, "f": { "order": "fifo" }"#);
    assert_eq!(sorted(&place.ok(run)), ["1", "2", "3"]);
}

#[test]
fn a_place_that_is_no_middleware() {
    let place = Place::new(&shared_kafka());
    place.sandbox.file("chain.json", CAT);
    fails(
        &place.sh("faas-chain run --via $U/topic chain.json < /dev/null"),
        2,
        &["not a middleware"],
    );
    let option = place.sh("faas-chain run --via \"$U?foo=1\" chain.json < /dev/null");
    fails(&option, 2, &["there is no option foo"]);
    assert_eq!(place.sandbox.left_behind(), Vec::<String>::new());
}

/// Makes a large body of the second message.
const BLOWN_UP: &str = r#"{
  "chain": "blown",
  "functions": {
    "f": { "run": ["sh", "-c", "read -r n; echo $n >> ran; if [ $n = 2 ]; then head -c 1200000 /dev/zero | tr '\\0' x; else echo $n; fi"] },
    "g": { "run": ["cat"] }
  },
  "start": "f", "rules": [ { "from": "f", "to": "g" } ]
}"#;

/// Trying again would give the same: it is a dead letter at once, and the rest
/// goes on.
#[test]
fn an_output_that_no_topic_takes() {
    for how in ["at-least-once", "exactly-once"] {
        let place = Place::new(&shared_kafka());
        place.sandbox.file("chain.json", BLOWN_UP);
        let came = place.sh(&format!(
            "seq 3 | faas-chain run --run $R --via $U --deliver {how} -o lines --dead dead chain.json"
        ));
        fails(&came, 1, &["takes records up to 1048588 bytes", "max.message.bytes"]);
        assert_eq!(sorted(&came.stdout), ["1", "3"], "{came:?}");
        let dead: Value = serde_json::from_str(&place.text("dead")).expect("one dead letter");
        assert_eq!(dead["data"], 2);
        assert_eq!(dead["faasfunction"], "f");
        let reason = dead["faasreason"].as_str().expect("a reason");
        assert!(reason.contains("takes records up to 1048588 bytes"), "{reason}");
        assert_eq!(sorted(&place.text("ran")), ["1", "2", "3"]);
        assert_eq!(place.sandbox.left_behind(), Vec::<String>::new());
    }
}

#[test]
fn an_input_that_no_topic_takes() {
    let place = Place::new(&shared_kafka());
    place.ok("head -c 1200000 /dev/zero > body; faas-queue new $U/$R-q");
    let came = place.sh("faas-queue put -i raw $U/$R-q < body");
    fails(&came, 2, &["takes records up to 1048588 bytes, not 12", "max.message.bytes"]);
    assert_eq!(
        place.ok("faas-queue stat -o json $U/$R-q | jq .depth; faas-queue rm --yes $U/$R-q"),
        "0\n"
    );
}

const LOGIN: &str = "security.protocol=SASL_PLAINTEXT&sasl.mechanism=PLAIN&sasl.username=test";

/// A broker that wants a login.
#[test]
fn names_and_passwords() {
    let kafka = Kafka::start_sasl();
    let place = Place::new(&kafka.url());
    place.sandbox.file("chain.json", CAT);
    let with = |password: &str, script: &str| {
        place.sh(&format!("{password} export L='{LOGIN}'; {script}"))
    };
    let right = "export FAAS_KAFKA_PASSWORD=test-secret;";
    let run = "seq 3 | faas-chain run --run $R --via \"$U?$L\" -o lines chain.json";
    let came = with(right, run);
    assert_eq!(sorted(&came.stdout), ["1", "2", "3"], "{came:?}");
    let came = with(right, &format!("{run} --deliver exactly-once"));
    assert_eq!(sorted(&came.stdout), ["1", "2", "3"], "{came:?}");
    place.sandbox.file("password", "test-secret\n");
    let file = "export FAAS_KAFKA_PASSWORD_FILE=$PWD/password;";
    let came = with(file, "faas-queue ls \"kafka://test@${U#kafka://}?${L%&*}\"");
    assert_eq!(came.code, 0, "a user's name before the @: {came:?}");
    let some = "export Q=\"$U/$R-q?$L\"; faas-queue new \"$Q\" && seq 5 | faas-queue put \"$Q\" && \
        faas-queue get -n2 \"$Q\" && faas-queue stat -o json \"$Q\" | jq .depth";
    let came = with(right, some);
    assert_eq!(came.stdout.lines().last(), Some("3"), "how far its group is: {came:?}");
    let wrong = "export FAAS_KAFKA_PASSWORD=geheim;";
    for script in ["faas-queue ls \"$U?$L\"", run] {
        let came = with(wrong, script);
        fails(&came, 77, &["Authentication failed", "FAAS_KAFKA_PASSWORD"]);
        assert!(!came.stderr.contains("geheim"), "it prints the password: {}", came.stderr);
    }
    fails(&with("", "faas-queue ls \"$U?$L\""), 2, &["sasl.password", "FAAS_KAFKA_PASSWORD"]);
    let none = with("", "faas-queue ls $U");
    fails(&none, 69, &["try: "]);
    assert_eq!(place.sandbox.left_behind(), Vec::<String>::new());
}

/// Whoever writes a password into a URL all the same does not find it again in
/// messages or in the run's note, which others can read.
#[test]
fn a_password_in_a_url_is_not_told() {
    let place = Place::new(&shared_kafka());
    place.sandbox.file("chain.json", CAT);
    for script in [
        "faas-queue get --timeout 0 \"$U/$R-none?sasl.password=geheim\"",
        "faas-queue new --chain chain.json --run $R --via \"$U?sasl.password=geheim\"; grep -r geheim state; \
         faas-queue get --timeout 3s \"$U/faas.$R._run\"",
    ] {
        let came = place.sh(script);
        assert!(!format!("{came:?}").contains("geheim"), "{came:?}");
    }
    place.sh("faas-queue rm --yes --run $R --via $U");
}

/// `timeout x (retries + 1)` against `max.poll.interval.ms`.
#[test]
fn a_message_that_may_take_longer_than_a_member_may_be_silent() {
    let place = Place::new("kafka://127.0.0.1:1");
    let chain = r#"{ "chain": "long", "functions": { "a": { "run": ["cat"], "timeout": "2m", "retries": 3 } },
        "start": "a", "rules": [] }"#;
    place.sandbox.file("long.json", chain);
    let said = place.ok("faas-chain check --via $U long.json");
    let note = "note: functions.a.timeout: a message may take 8m with its retries, longer than \
                max.poll.interval.ms (5m)";
    assert!(said.contains(note), "{said}");
    let said = place.ok("faas-chain check --via \"$U?max.poll.interval.ms=500000\" long.json");
    assert!(!said.contains("note:"), "{said}");
}
