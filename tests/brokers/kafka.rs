//! Chains and single queues on Kafka, beside Kafka's own tools.

use crate::common::{Place, Running, Seen, example, expected, sorted};
use faas_tests::services::shared_kafka;
use faas_tests::{Came, repository};
use serde_json::Value;

/// Runs a script in which `tool CLASS ARG...` is a tool of Kafka's own, `$B`
/// the brokers as it wants them, and `read_all TOPIC FLAG...` prints what a
/// topic holds that is committed.
pub(crate) fn with_tools(place: &Place, script: &str) -> Came {
    let kafka = repository().join("tests/services/kafka.sh");
    place.sh(&format!(
        "tool() {{ sh '{}' tool \"$@\"; }}\nB=${{U#kafka://}}; B=${{B%%\\?*}}\n\
         read_all() {{ topic=$1; shift; tool org.apache.kafka.tools.consumer.ConsoleConsumer \
         --bootstrap-server $B --topic $topic --from-beginning --timeout-ms 4000 \
         --isolation-level read_committed \"$@\" 2>/dev/null; }}\n{script}",
        kafka.display()
    ))
}

/// What a topic holds that is committed, by value and by id. This is Kafka's
/// own reader: what it sees anybody sees.
pub(crate) fn effects(place: &Place, topic: &str) -> Seen {
    let came = with_tools(place, &format!("read_all {topic} --property print.headers=true"));
    let mut seen = Seen::default();
    for line in came.stdout.lines() {
        let (headers, value) = line.split_once('\t').expect("headers and a value");
        let id = headers.split(',').find_map(|header| header.strip_prefix("ce_id:"));
        *seen.ids.entry(id.expect("an id").to_owned()).or_default() += 1;
        *seen.values.entry(value.to_owned()).or_default() += 1;
    }
    seen
}

/// Topics of the place's run, also those that the tools do not show.
pub(crate) fn topics_left(place: &Place) -> String {
    let script = "tool org.apache.kafka.tools.TopicCommand --bootstrap-server $B --list \
                  | grep -F faas.$R. || true";
    with_tools(place, script).stdout
}

/// The events of `faas-queue get -o json`.
fn events(text: &str) -> Vec<Value> {
    text.lines().map(|line| serde_json::from_str(line).expect("an envelope")).collect()
}

const HOWS: [&str; 2] = ["at-least-once", "exactly-once"];

fn comes_to_the_same(name: &str, input: &str, dead_count: usize) {
    for how in HOWS {
        let place = Place::new(&shared_kafka());
        let (lines, dead) = example(&place, name, input, &format!("--deliver {how}"));
        assert_eq!(lines, expected(&format!("{name}/expected.ndjson")), "{how}");
        assert_eq!(dead.lines().count(), dead_count, "{how}: {dead}");
        assert_eq!(topics_left(&place), "", "{how}");
    }
}

#[test]
fn orders_come_to_the_same() {
    comes_to_the_same("orders", "orders.ndjson", 1);
}

#[test]
fn a_join_comes_to_the_same() {
    comes_to_the_same("words", "carroll.txt", 0);
}

#[test]
fn a_loop_comes_to_the_same() {
    comes_to_the_same("collatz", "numbers.txt", 0);
}

const TWO_STEPS: &str = r#"{
  "chain": "two", "functions": { "a": { "run": ["sed", "s/^/a/"] }, "b": { "run": ["sed", "s/^/b/"] } },
  "start": "a", "rules": [ { "from": "a", "to": "b" } ]
}"#;

fn invoker(place: &Place, host: &str) -> Running {
    place.start(
        host,
        &format!("env FAAS_STATE_DIR=$PWD/{host} faas-invoke --chain two.json --run $R --via $U"),
    )
}

/// Each has a state directory of its own, as on hosts of their own: all they
/// know of each other is on the broker.
#[test]
fn hosts_meet_at_the_broker() {
    let place = Place::new(&shared_kafka());
    place.sandbox.file("two.json", TWO_STEPS);
    place.ok("faas-queue new --chain two.json --run $R --via $U");
    let mut hosts = [invoker(&place, "host1"), invoker(&place, "host2")];
    let readers = "faas-queue stat -o json $U/faas.$R.a | jq .readers";
    place.until("both read", || place.ok(readers).trim() == "2");
    let on = |host: &str, command: &str| {
        place.ok(&format!("export FAAS_STATE_DIR=$PWD/{host}; {command}"))
    };
    on("host3", "seq 30 | faas-trigger --run $R --via $U --chain two.json");
    let got = on("host4", "faas-queue get -n 30 --timeout 20s -o json $U/faas.$R._reply");
    let mut data: Vec<String> =
        events(&got).iter().map(|event| event["data"].to_string()).collect();
    data.sort();
    let mut wanted: Vec<String> = (1..=30).map(|n| format!("\"ba{n}\"")).collect();
    wanted.sort();
    assert_eq!(data, wanted);
    on("host5", "faas-queue rm --yes --run $R --via $U");
    for host in &mut hosts {
        assert_eq!(host.wait(), 0, "{}{}", place.text("host1.err"), place.text("host2.err"));
    }
    assert_eq!(topics_left(&place), "");
}

#[test]
fn another_chain_cannot_join() {
    let place = Place::new(&shared_kafka());
    place.sandbox.file("two.json", TWO_STEPS);
    place.ok("faas-queue new --chain two.json --run $R --via $U");
    place.sandbox.file("two.json", &TWO_STEPS.replace("s/^/b/", "s/^/c/"));
    let script = "FAAS_STATE_DIR=$PWD/b timeout 20 faas-invoke --chain two.json --run $R --via $U";
    let came = place.sh(script);
    assert_eq!(came.code, 2, "{came:?}");
    place.ok("faas-queue rm --yes --run $R --via $U");
    assert_eq!(topics_left(&place), "");
}

#[test]
fn the_life_of_a_topic() {
    let place = Place::new(&shared_kafka());
    place.ok("faas-queue new \"$U/$R-q?partitions=3&replicas=1&min-isr=1\"");
    let described = with_tools(
        &place,
        "tool org.apache.kafka.tools.TopicCommand --bootstrap-server $B --describe --topic $R-q",
    );
    for part in ["PartitionCount: 3", "ReplicationFactor: 1", "min.insync.replicas=1"] {
        assert!(described.stdout.contains(part), "{described:?}");
    }
    place.ok("seq 5 | faas-queue put $U/$R-q");
    let stat = "faas-queue stat -o json $U/$R-q | jq -c '[.depth, .held, .capacity, .readers]'";
    assert_eq!(place.ok(stat), "[5,null,null,0]\n");
    assert!(place.ok("faas-queue ls $U").contains(&format!("/{}-q  ", place.sandbox.run())));
    let got = place.ok("faas-queue get -n 5 -o lines $U/$R-q");
    assert_eq!(sorted(&got), ["1", "2", "3", "4", "5"]);
    assert_eq!(place.ok(stat), "[0,null,null,0]\n");
    let empty = place.sh("faas-queue get --timeout 0 $U/$R-q");
    assert_eq!((empty.code, empty.stdout.as_str()), (75, ""));
    assert_eq!(place.sh("faas-queue new $U/$R-q").code, 1);
    place.ok("faas-queue rm --yes $U/$R-q");
    assert_eq!(place.sh("faas-queue stat $U/$R-q").code, 69);
    place.ok("faas-queue new $U/$R-q");
    assert_eq!(place.ok(stat), "[0,null,null,0]\n", "made again, it is empty");
    place.ok("faas-queue rm --yes $U/$R-q");
}

/// Ends of transactions are records too; nobody should take them for messages.
#[test]
fn an_empty_topic_is_empty_after_transactions() {
    let place = Place::new(&shared_kafka());
    place.ok("faas-queue new $U/$R-in $U/$R-out; seq 30 | faas-queue put $U/$R-in");
    let come = "faas-invoke --deliver exactly-once --from $U/$R-in --to $U/$R-out -n 30 -- cat";
    place.ok(come);
    let stat = "faas-queue stat -o json $U/$R-out | jq .depth";
    assert_eq!(place.ok(stat), "30\n");
    place.ok("faas-queue get -n 25 $U/$R-out");
    for _ in 0..5 {
        assert_eq!(place.ok(stat), "5\n");
    }
    place.ok("faas-queue get -n 5 $U/$R-out");
    for _ in 0..5 {
        assert_eq!(place.ok(stat), "0\n");
    }
    place.ok("faas-queue rm --yes $U/$R-in $U/$R-out");
}

/// What comes in the order of its keys, and where it lies.
#[test]
fn a_key_is_a_partition_and_an_order() {
    let place = Place::new(&shared_kafka());
    let input = "for i in $(seq 60); do echo '{\"specversion\":\"1.0\",\"id\":\"'i$i'\",\"source\":\"/s\",\
                 \"type\":\"t\",\"partitionkey\":\"'k$((i % 5))'\",\"data\":'$i'}'; done";
    place.ok(&format!(
        "faas-queue new \"$U/$R-k?partitions=3\"; ({input}) | faas-queue put $U/$R-k"
    ));
    let flags = "--property print.key=true --property print.partition=true";
    let seen = with_tools(&place, &format!("read_all $R-k {flags} | cut -f1,2 | sort -u"));
    let keys: Vec<&str> = seen.stdout.lines().filter_map(|line| line.split('\t').nth(1)).collect();
    assert_eq!(sorted(&keys.join("\n")), ["k0", "k1", "k2", "k3", "k4"], "{seen:?}");
    let got = events(&place.ok("faas-queue get -n 60 -o json $U/$R-k"));
    let mut last = std::collections::BTreeMap::new();
    for event in &got {
        let number = event["data"].as_u64().expect("a number");
        let before = last.insert(event["partitionkey"].to_string(), number).unwrap_or(0);
        assert!(before < number, "{number} came after {before}");
    }
    assert_eq!(got.len(), 60);
    place.ok("faas-queue rm --yes $U/$R-k");
}

#[test]
fn others_read_our_events() {
    let place = Place::new(&shared_kafka());
    let event = r#"{"specversion":"1.0","id":"a1","source":"/shop","type":"order","subject":"naïve","partitionkey":"k7","datacontenttype":"application/json","data":{"n": 1}}"#;
    place.sandbox.file("event", &format!("{event}\nplain\n"));
    place.ok("faas-queue new \"$U/$R-h?partitions=1\"; faas-queue put $U/$R-h < event");
    let flags = "--property print.headers=true --property print.key=true";
    let seen = with_tools(&place, &format!("read_all $R-h {flags}"));
    let lines: Vec<Vec<&str>> =
        seen.stdout.lines().map(|line| line.split('\t').collect()).collect();
    assert_eq!(lines[0][1..], ["k7", "{\"n\": 1}"], "{seen:?}");
    assert_eq!(lines[1][1..], ["null", "plain"], "{seen:?}");
    let headers: Vec<&str> = lines[0][0].split(',').collect();
    for header in [
        "ce_specversion:1.0",
        "ce_id:a1",
        "ce_source:/shop",
        "ce_type:order",
        "ce_subject:naïve",
        "content-type:application/json",
    ] {
        assert!(headers.contains(&header), "{header} is not in {headers:?}");
    }
    place.ok("faas-queue rm --yes $U/$R-h");
}

/// Records with `ce_` headers are events whoever sent them; others are dead
/// letters with all they had.
#[test]
fn records_of_others() {
    let place = Place::new(&shared_kafka());
    place.ok("faas-queue new \"$U/$R-h?partitions=1\" $U/$R-out");
    let send = "printf 'ce_specversion:1.0,ce_id:x9,ce_source:/else,ce_type:t.x,ce_own:7,content-type:text/plain\\t\
                hello there\\n' | tool org.apache.kafka.tools.ConsoleProducer --bootstrap-server $B --topic $R-h \
                --property parse.headers=true && printf 'naked\\n' | \
                tool org.apache.kafka.tools.ConsoleProducer --bootstrap-server $B --topic $R-h";
    let sent = with_tools(&place, send);
    assert_eq!(sent.code, 0, "{sent:?}");
    let came = place
        .sh("faas-invoke --from $U/$R-h --to $U/$R-out -n 2 -v --event -- jq -c '.own + .data'");
    assert_eq!(came.code, 1, "{came:?}");
    assert!(came.stderr.contains("it is no event: no ce_id header"), "{came:?}");
    let out = events(&place.ok("faas-queue get -o json $U/$R-out"));
    assert_eq!(out[0]["data"], "7hello there");
    let dead = events(&place.ok("faas-queue get -o json $U/$R-h.dead"));
    assert_eq!(dead[0]["data"], "naked");
    assert_eq!(dead[0]["faasreason"], "it is no event: no ce_id header");
    place.ok("faas-queue rm --yes $U/$R-h $U/$R-h.dead $U/$R-out");
}

#[test]
fn the_plan_works_when_pasted() {
    let place = Place::new(&shared_kafka());
    place.sandbox.copy("examples/files");
    let plan = "cp -r files/data . && faas-chain plan --via $U --run $R files/chain.json > plan.sh";
    place.ok(plan);
    let run = "bash plan.sh < files/files.txt 2> log | jq -r .data; wait; cat log >&2";
    let came = place.sh(run);
    assert_eq!(sorted(&came.stdout), expected("files/expected.txt"), "{came:?}");
    assert_eq!(place.sandbox.left_behind(), Vec::<String>::new());
    assert_eq!(topics_left(&place), "");
}

/// Fails for good on each fourth, and each time on each fifth.
const FAILING: &str = r#"{
  "chain": "failing",
  "functions": {
    "f": { "run": ["sh", "-c", "read -r n; echo $n >> ran; [ $((n % 4)) != 0 ] || exit 100; [ $((n % 5)) != 0 ] || exit 7; echo f$n"],
           "retries": 1, "backoff": "1ms" },
    "g": { "run": ["sed", "s/$/g/"] }
  },
  "start": "f", "rules": [ { "from": "f", "to": "g" } ]
}"#;

fn what_fails_is_a_dead_letter(how: &str, attempts_of_fives: usize) {
    let place = Place::new(&shared_kafka());
    place.sandbox.file("chain.json", FAILING);
    let came = place.sh(&format!(
        "seq 10 | faas-chain run --run $R --via $U --deliver {how} -o lines --dead dead chain.json"
    ));
    assert_eq!(came.code, 1, "{came:?}");
    assert_eq!(sorted(&came.stdout), ["f1g", "f2g", "f3g", "f6g", "f7g", "f9g"], "{came:?}");
    let dead = place.ok("jq -c '[.data, .faasfunction, .faasreason, .faasattempts]' dead");
    let mut wanted =
        vec!["[4,\"f\",\"exit 100\",1]".to_owned(), "[8,\"f\",\"exit 100\",1]".to_owned()];
    wanted.extend([5, 10].map(|n| format!("[{n},\"f\",\"exit 7\",{attempts_of_fives}]")));
    assert_eq!(sorted(&dead), sorted(&wanted.join("\n")));
    let ran = place.text("ran").lines().count();
    assert_eq!(ran, 8 + 2 * attempts_of_fives);
    assert_eq!(place.sandbox.left_behind(), Vec::<String>::new());
    assert_eq!(topics_left(&place), "");
}

#[test]
fn dead_letters_at_most_once() {
    what_fails_is_a_dead_letter("at-most-once", 1);
}

#[test]
fn dead_letters_at_least_once() {
    what_fails_is_a_dead_letter("at-least-once", 2);
}

#[test]
fn dead_letters_exactly_once() {
    what_fails_is_a_dead_letter("exactly-once", 2);
}

const THROUGH_TWO: &str = r#"{
  "chain": "through", "functions": { "f": { "run": ["cat"] }, "g": { "run": ["cat"] } },
  "start": "f", "rules": [ { "from": "f", "to": "g" } ]
}"#;

#[test]
fn a_large_binary_body() {
    let place = Place::new(&shared_kafka());
    place.sandbox.file("chain.json", THROUGH_TWO);
    place.ok("head -c 900000 /dev/urandom > body");
    let run = "faas-chain run --run $R --via $U --exact -i raw -o raw chain.json";
    for how in HOWS {
        place.ok(&format!("{run} --deliver {how} < body | cmp - body"));
    }
    place.ok("faas-queue new --size 2MiB $U/$R-big; head -c 2000000 /dev/urandom > body2");
    place.ok(
        "faas-queue put -i raw $U/$R-big < body2; faas-queue get -o raw $U/$R-big | cmp - body2",
    );
    place.ok("faas-queue rm --yes $U/$R-big");
}

/// The end of what there is to read is no news, nor is anything else that
/// librdkafka has to say while all is well.
#[test]
fn a_quiet_run_says_nothing() {
    let place = Place::new(&shared_kafka());
    place.sandbox.file(
        "chain.json",
        r#"{ "chain": "c", "functions": { "f": { "run": ["sh", "-c", "sleep 3; cat"], "concurrency": 4 } }, "start": "f" }"#,
    );
    for how in HOWS {
        let came = place.sh(&format!(
            "seq 4 | faas-chain run --run $R --via $U --deliver {how} -o lines chain.json"
        ));
        assert_eq!(sorted(&came.stdout), ["1", "2", "3", "4"], "{came:?}");
        assert_eq!(came.stderr.lines().count(), 1, "only the account: {came:?}");
    }
}
