//! Functions behind URLs: what they are asked, and what their answers mean.

use super::fed::{PATIENCE, dead, text};
use faas_tests::{Came, Sandbox};
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::process::Child;

/// The function that behaves as its path says.
pub(super) const WEB: &str = include_str!("web.py");

/// It runs by itself.
struct Server {
    child: Child,
    url: String,
}

impl Server {
    fn new(sandbox: &Sandbox) -> Self {
        sandbox.file("web.py", WEB);
        let child = sandbox.script("exec ./web.py > log 2>&1").spawn().expect("bash runs");
        assert!(sandbox.until(PATIENCE, || !text(sandbox, "port").is_empty()), "it listens");
        let url = format!("http://127.0.0.1:{}", text(sandbox, "port").trim());
        Self { child, url }
    }

    /// Gives it what the command `input` prints.
    fn asked(&self, sandbox: &Sandbox, input: &str, path: &str, flags: &str) -> Came {
        let _ = std::fs::remove_file(sandbox.path().join("dead.ndjson"));
        let flags = format!("-v --backoff 1ms --dead dead.ndjson {flags}");
        sandbox.sh(&format!("{input} | faas-invoke {flags} --url {}/{path}", self.url))
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn numbers(count: u64) -> String {
    (1..=count).map(|n| format!("{n}\n")).collect()
}

fn sorted(text: &str) -> Vec<&str> {
    let mut lines: Vec<&str> = text.lines().collect();
    lines.sort_unstable();
    lines
}

#[test]
fn an_event_is_a_post_in_binary_mode() {
    let sandbox = Sandbox::new();
    let server = Server::new(&sandbox);
    let trace = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
    let event = json!({ "specversion": "1.0", "id": "e1", "source": "/s", "type": "t",
        "datacontenttype": "application/json", "own": "7", "subject": "über x",
        "traceparent": trace, "data": { "a": 1 } });
    let came = server.asked(&sandbox, &format!("echo '{event}'"), "echo?q=1", "-o lines");
    let told: Value = serde_json::from_str(&came.stdout).expect("JSON");
    let headers = [
        ("ce-id", "e1"),
        ("ce-source", "/s"),
        ("ce-type", "t"),
        ("ce-specversion", "1.0"),
        ("ce-own", "7"),
        ("ce-subject", "%C3%BCber%20x"),
        ("content-type", "application/json"),
        ("content-length", "7"),
        ("idempotency-key", "e1"),
        ("faas-attempt", "1"),
        ("traceparent", trace),
    ];
    for (name, value) in headers {
        assert_eq!(told["headers"][name], value, "{name}: {told}");
    }
    assert_eq!((&told["path"], &told["body"]), (&json!("/echo?q=1"), &json!(r#"{"a":1}"#)));
    assert_eq!(told["headers"].get("ce-datacontenttype"), None);
}

/// In the JSON format data without a content type is JSON, and that has to be
/// said where it is not implied.
#[test]
fn the_content_type_is_always_said() {
    let sandbox = Sandbox::new();
    let server = Server::new(&sandbox);
    let envelope = r#"{"specversion":"1.0","id":"e","source":"/s","type":"t","data":{"a":1}}"#;
    let inputs = [
        (format!("echo '{envelope}'"), "application/json"),
        ("echo '{\"a\":1}'".to_owned(), "application/json"),
        ("echo text".to_owned(), "text/plain"),
    ];
    for (input, media) in inputs {
        let came = server.asked(&sandbox, &input, "echo", "-o lines");
        let told: Value = serde_json::from_str(&came.stdout).expect("JSON");
        assert_eq!(told["headers"]["content-type"], media, "{input}: {told}");
    }
}

#[test]
fn the_whole_event_is_a_post_in_structured_mode() {
    let sandbox = Sandbox::new();
    let server = Server::new(&sandbox);
    let event = r#"{"specversion":"1.0","id":"e1","source":"/s","type":"t","own":"7","data":5}"#;
    let came = server.asked(&sandbox, &format!("echo '{event}'"), "echo", "--event -o lines");
    let told: Value = serde_json::from_str(&came.stdout).expect("JSON");
    let media = told["headers"]["content-type"].as_str().expect("it is said");
    assert!(media.starts_with("application/cloudevents+json"), "{media}");
    assert_eq!(told["headers"].get("ce-id"), None);
    assert_eq!(told["headers"]["idempotency-key"], "e1");
    let body: Value = serde_json::from_str(told["body"].as_str().expect("text")).expect("JSON");
    let expected: Value = serde_json::from_str(event).expect("JSON");
    for (name, value) in expected.as_object().expect("an object") {
        assert_eq!(&body[name], value, "{name}: {body}");
    }
}

#[test]
fn the_status_is_the_verdict() {
    let sandbox = Sandbox::new();
    let server = Server::new(&sandbox);
    let came = server.asked(&sandbox, "printf '200\\n204\\n201\\n'", "status", "-o lines");
    assert_eq!((came.code, came.stdout.as_str()), (0, "said 200\nsaid 201\n"), "{came:?}");
    assert!(came.stderr.contains("2 done, 1 dropped"), "{}", came.stderr);
    let cases = [(302, 1), (400, 1), (404, 1), (408, 2), (429, 2), (500, 2), (503, 2)];
    for (status, attempts) in cases {
        let input = format!("echo {status}");
        let came = server.asked(&sandbox, &input, "status", "--retries 1 -o lines");
        assert_eq!((came.code, came.stdout.as_str()), (1, ""), "{came:?}");
        let expected = (status.to_string(), format!("status {status}"), attempts);
        assert_eq!(dead(&sandbox), [expected]);
        let stderr = sandbox.ok("jq -r .faasstderr dead.ndjson");
        assert_eq!(stderr, format!("said {status}\n"), "what it said is in the dead letter");
    }
}

#[test]
fn the_exit_map_of_a_url_is_over_statuses() {
    let sandbox = Sandbox::new();
    let server = Server::new(&sandbox);
    let exit = r#"{ "404": "drop", "500": "dead", "400": "retry", "201": "dead", "*": "ok" }"#;
    let function = format!(
        r#"{{ "url": "{}/status", "exit": {exit}, "retries": 1, "backoff": "1ms" }}"#,
        server.url
    );
    let chain = format!(r#"{{ "chain": "c", "functions": {{ "f": {function} }}, "start": "f" }}"#);
    sandbox.file("chain.json", &chain);
    let statuses = "printf '404\\n500\\n400\\n201\\n200\\n418\\n'";
    let run = "faas-chain run --run $R -o lines --dead dead.ndjson chain.json";
    let came = sandbox.sh(&format!("{statuses} | {run}"));
    assert_eq!(sorted(&came.stdout), ["said 200", "said 418"], "{came:?}");
    assert!(came.stderr.contains("1 dropped, 3 dead, 0 lost"), "{}", came.stderr);
    let letter =
        |status: &str, attempts: u64| (status.to_owned(), format!("status {status}"), attempts);
    assert_eq!(dead(&sandbox), [letter("201", 1), letter("400", 2), letter("500", 1)]);
    drop(server);
    assert_eq!(sandbox.left_behind(), Vec::<String>::new());
}

#[test]
fn retry_after_is_waited_for() {
    for status in ["429", "503"] {
        let sandbox = Sandbox::new();
        let server = Server::new(&sandbox);
        let came = server.asked(&sandbox, &format!("echo {status}"), "later", "-o lines");
        assert_eq!((came.code, came.stdout), (0, format!("{status}\n")), "{}", came.stderr);
        let times = text(&sandbox, "times");
        let times: Vec<u64> = times.lines().map(|ns| ns.parse().expect("a number")).collect();
        assert_eq!(times.len(), 2);
        assert!(times[1] - times[0] >= 1_000_000_000, "{times:?}");
    }
}

#[test]
fn connections_are_kept_alive() {
    for (jobs, most) in [(1, 1), (3, 3)] {
        let sandbox = Sandbox::new();
        let server = Server::new(&sandbox);
        let came = server.asked(&sandbox, "seq 100", "upper", &format!("-o lines -j{jobs}"));
        let got: BTreeSet<u64> =
            came.stdout.lines().map(|n| n.parse().expect("a number")).collect();
        assert_eq!((came.code, got.len()), (0, 100), "{came:?}");
        let connections = text(&sandbox, "connections").lines().count();
        assert!((1..=most).contains(&connections), "{connections} connections with -j{jobs}");
    }
}

/// It does not say that it will close: the request that finds out has lost no
/// attempt, and was not taken.
#[test]
fn a_server_may_close_after_each_answer() {
    let sandbox = Sandbox::new();
    let server = Server::new(&sandbox);
    let came = server.asked(&sandbox, "seq 100", "closes", "--retries 0 -o lines");
    assert_eq!((came.code, came.stdout), (0, numbers(100)), "{}", came.stderr);
    assert_eq!(text(&sandbox, "calls"), numbers(100), "none was asked twice");
}

#[test]
fn no_whole_answer_is_no_answer() {
    let cases = [
        ("silent", "60s", "http: closed without an answer"),
        ("never", "300ms", "timeout"),
        ("short", "60s", "http: end of file before message length reached"),
    ];
    let sandbox = Sandbox::new();
    let server = Server::new(&sandbox);
    for (path, timeout, reason) in cases {
        let flags = format!("--timeout {timeout} --retries 1 -o lines");
        let came = server.asked(&sandbox, "seq 2", path, &flags);
        assert_eq!((came.code, came.stdout.as_str()), (1, ""), "{path}: {came:?}");
        let letter = |body: &str| (body.to_owned(), reason.to_owned(), 2);
        assert_eq!(dead(&sandbox), [letter("1"), letter("2")], "{path}");
    }
    let url = server.url.clone();
    drop(server);
    let flags = "--retries 1 --backoff 1ms --dead dead.ndjson";
    let came = sandbox.sh(&format!("rm dead.ndjson; echo 1 | faas-invoke {flags} --url {url}/"));
    assert_eq!(came.code, 1, "{came:?}");
    assert_eq!(dead(&sandbox), [("1".to_owned(), "http: connection refused".to_owned(), 2)]);
    assert_eq!(sandbox.left_behind(), Vec::<String>::new());
}

#[test]
fn an_answer_may_come_byte_by_byte_and_ends_where_it_says() {
    let sandbox = Sandbox::new();
    let server = Server::new(&sandbox);
    let came = server.asked(&sandbox, "printf 'slow\\nly\\n'", "slow", "-o lines");
    assert_eq!((came.code, came.stdout.as_str()), (0, "slow\nly\n"), "{came:?}");
    // What follows answers nothing.
    let came = server.asked(&sandbox, "seq 50", "long", "--retries 0 -o lines");
    assert_eq!((came.code, came.stdout), (0, numbers(50)), "{}", came.stderr);
}

#[test]
fn large_bodies_go_both_ways() {
    let sandbox = Sandbox::new();
    let server = Server::new(&sandbox);
    sandbox.ok("head -c 15000000 /dev/urandom | base64 -w0 > body");
    let came = server.asked(&sandbox, "cat body", "upper", "-i raw -o raw > got");
    assert_eq!(came.code, 0, "{came:?}");
    sandbox.ok("tr a-z A-Z < body | cmp - got");
    assert!(sandbox.ok("wc -c < got").trim().parse::<u64>().expect("a number") >= 20_000_000);
}

#[test]
fn an_answer_may_be_an_event_or_several() {
    let sandbox = Sandbox::new();
    let server = Server::new(&sandbox);
    let event = |data: u64| {
        json!({ "specversion": "1.0", "id": "forged", "source": "forged", "type": "mine",
            "own": 1, "faasrun": "forged", "data": data })
    };
    let headers = json!({ "ce-specversion": "1.0", "ce-id": "forged", "ce-source": "forged",
        "ce-type": "mine", "ce-own": "1", "ce-faasrun": "forged" });
    let structured = "application/cloudevents+json; charset=utf-8";
    let batch = "application/cloudevents-batch+json";
    let replies = [
        (json!({ "media": "application/json", "body": "5", "headers": headers }), vec![5_u64]),
        (json!({ "media": structured, "body": event(6).to_string() }), vec![6]),
        (json!({ "media": batch, "body": json!([event(7), event(8)]).to_string() }), vec![7, 8]),
        (json!({ "media": batch, "body": "[]" }), vec![]),
    ];
    for (reply, expected) in replies {
        let came = server.asked(&sandbox, &format!("echo '{reply}'"), "reply", "");
        assert_eq!(came.code, 0, "{reply}: {came:?}");
        let mut got = Vec::new();
        for line in came.stdout.lines() {
            let output: Value = serde_json::from_str(line).expect("an envelope");
            assert_eq!(output["type"], "mine");
            assert!(output["own"] == 1 || output["own"] == "1", "{output}");
            assert_eq!(output.get("faasrun"), None);
            assert!(output["id"] != "forged" && output["source"] != "forged", "{output}");
            got.push(output["data"].as_u64().expect("a number"));
        }
        assert_eq!(got, expected, "{reply}");
    }
    let reply = json!({ "media": structured, "body": "{no" });
    let came = server.asked(&sandbox, &format!("echo '{reply}'"), "reply", "--retries 0");
    assert_eq!((came.code, came.stdout.as_str()), (1, ""), "{came:?}");
    assert!(dead(&sandbox)[0].1.starts_with("http: not valid JSON"), "{:?}", dead(&sandbox));
}

/// What a framework puts on everything means nothing; other types are kept.
#[test]
fn the_content_type_of_an_answer_is_that_of_the_output() {
    let sandbox = Sandbox::new();
    let server = Server::new(&sandbox);
    let cases = [
        ("text/plain", "5", "application/json", json!(5)),
        ("text/html; charset=utf-8", "hi", "text/plain", json!("hi")),
        ("application/json; charset=utf-8", "[1]", "application/json", json!([1])),
        ("image/svg+xml", "<svg/>", "image/svg+xml", json!("<svg/>")),
        ("text/csv", "1", "text/csv", json!("1")),
    ];
    for (media, body, kept, data) in cases {
        let reply = json!({ "media": media, "body": body });
        let came = server.asked(&sandbox, &format!("echo '{reply}'"), "reply", "");
        let output: Value = serde_json::from_str(&came.stdout).expect("an envelope");
        let found = output["datacontenttype"].as_str().unwrap_or_default();
        assert!(found.starts_with(kept), "{media}: {output}");
        assert_eq!(output["data"], data, "{media}");
    }
}
