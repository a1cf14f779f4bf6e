//! Events by HTTP into a queue: what a request may look like, what is turned
//! away, and who may hold up whom. The requests are written by hand, so that
//! they can be odd.

use faas_tests::Sandbox;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::os::unix::process::ExitStatusExt;
use std::process::{Child, ChildStderr, Stdio};
use std::time::Duration;

/// No wait of these tests takes longer, in seconds.
pub(crate) const PATIENCE: u64 = 20;

/// A trigger that listens.
pub(crate) struct Web {
    child: Child,
    stderr: BufReader<ChildStderr>,
    pub(crate) address: SocketAddr,
}

impl Web {
    /// Starts one that serves /in; `$P` and `$R` mean in `flags` what they
    /// mean in scripts.
    pub(crate) fn start(sandbox: &Sandbox, flags: &str) -> Self {
        Self::at(sandbox, "http://127.0.0.1:0/in", flags)
    }

    /// Starts one, and waits until it listens.
    pub(crate) fn at(sandbox: &Sandbox, url: &str, flags: &str) -> Self {
        let mut command = sandbox.script(&format!("exec faas-trigger {url} {flags}"));
        let mut child = command.stderr(Stdio::piped()).spawn().expect("bash runs");
        let mut stderr = BufReader::new(child.stderr.take().expect("piped"));
        let mut line = String::new();
        stderr.read_line(&mut line).expect("UTF-8");
        let url = line.trim_end().strip_prefix("faas-trigger: listening on http://");
        let address = url.and_then(|url| url.strip_suffix("/in")?.parse().ok());
        let address = address.unwrap_or_else(|| panic!("it said: {line}"));
        Self { child, stderr, address }
    }

    pub(crate) fn signal(&self, signal: Signal) {
        kill(Pid::from_raw(self.child.id() as i32), signal).expect("it is there");
    }

    /// Waits until nobody is received any more.
    pub(crate) fn wait_closed(&self, sandbox: &Sandbox) {
        assert!(sandbox.until(PATIENCE, || TcpStream::connect(self.address).is_err()));
    }

    /// Its exit code, and what it said since it listened.
    pub(crate) fn ended(mut self, sandbox: &Sandbox) -> (i32, String) {
        let mut status = None;
        let is_over = sandbox.until(PATIENCE, || {
            status = self.child.try_wait().expect("it is ours");
            status.is_some()
        });
        assert!(is_over, "it goes on");
        let status = status.expect("it ended");
        let mut said = String::new();
        self.stderr.read_to_string(&mut said).expect("UTF-8");
        (status.code().unwrap_or_else(|| 128 + status.signal().unwrap_or(0)), said)
    }

    /// Stops it with SIGTERM; it must have nothing to say.
    pub(crate) fn stop(self, sandbox: &Sandbox) {
        self.signal(Signal::SIGTERM);
        assert_eq!(self.ended(sandbox), (143, String::new()));
    }
}

/// A connection to a trigger.
pub(crate) struct Client(BufReader<TcpStream>);

/// What it was answered.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) head: String,
    pub(crate) body: String,
}

impl Client {
    pub(crate) fn of(web: &Web) -> Self {
        let stream = TcpStream::connect(web.address).expect("it listens");
        stream.set_read_timeout(Some(Duration::from_secs(PATIENCE))).expect("a time");
        Self(BufReader::new(stream))
    }

    pub(crate) fn send(&mut self, text: &str) {
        self.0.get_mut().write_all(text.as_bytes()).expect("it is sent");
    }

    /// The next answer; none if the connection ends before it.
    pub(crate) fn next(&mut self) -> std::io::Result<Answer> {
        let mut head = String::new();
        while !head.ends_with("\r\n\r\n") {
            if self.0.read_line(&mut head)? == 0 {
                return Err(std::io::ErrorKind::UnexpectedEof.into());
            }
        }
        let length = head.lines().find_map(|line| line.strip_prefix("content-length: "));
        let length: usize = length.expect("a length").parse().expect("a number");
        let mut body = vec![0; length];
        self.0.read_exact(&mut body)?;
        let status = head.split(' ').nth(1).and_then(|status| status.parse().ok());
        let body = String::from_utf8(body).expect("UTF-8");
        Ok(Answer { status: status.expect("a status"), head, body })
    }

    pub(crate) fn answer(&mut self) -> Answer {
        self.next().expect("an answer")
    }
}

/// A request with these headers.
pub(crate) fn post(headers: &[&str], body: &str) -> String {
    let headers: String = headers.iter().map(|header| format!("{header}\r\n")).collect();
    let length = body.len();
    format!("POST /in HTTP/1.1\r\nhost: test\r\ncontent-length: {length}\r\n{headers}\r\n{body}")
}

/// One request on a connection of its own.
pub(crate) fn ask(web: &Web, headers: &[&str], body: &str) -> Answer {
    let mut client = Client::of(web);
    client.send(&post(headers, body));
    client.answer()
}

/// A queue `${P}q`, and a trigger to it.
fn to_queue(flags: &str) -> (Sandbox, Web) {
    let sandbox = Sandbox::new();
    sandbox.ok("faas-queue new --capacity 10 ${P}q");
    let web = Web::start(&sandbox, &format!("--to ${{P}}q {flags}"));
    (sandbox, web)
}

/// Everything that is in the queue.
fn taken(sandbox: &Sandbox) -> Vec<Value> {
    let text = sandbox.sh("faas-queue get --timeout 0 ${P}q").stdout;
    text.lines().map(|line| serde_json::from_str(line).expect("an envelope")).collect()
}

fn bodies(sandbox: &Sandbox) -> Vec<Value> {
    taken(sandbox).into_iter().map(|event| event["data"].clone()).collect()
}

fn assert_clean(sandbox: &Sandbox) {
    sandbox.ok("faas-queue rm --yes ${P}q");
    assert_eq!(sandbox.left_behind(), Vec::<String>::new());
}

#[test]
fn events_keep_their_attributes_in_every_mode() {
    let (sandbox, web) = to_queue("");
    let binary = [
        "ce-specversion: 1.0",
        "ce-id: b 1",
        "ce-source: /shop",
        "ce-type: order",
        "ce-subject: 50%20%25%20%C3%A9",
        "ce-traceparent: 00-1-2-01",
        "ce-faasrun: forged",
        "ce-faas: forged",
        "content-type: application/json",
    ];
    let answer = ask(&web, &binary, r#"{"a":1}"#);
    assert_eq!((answer.status, answer.body.as_str()), (202, "{\"ids\":[\"b 1\"]}\n"));
    let envelope = |id: &str, data: u32| {
        json!({ "specversion": "1.0", "id": id, "source": "/shop", "type": "order", "own": 7,
            "faasverdict": "dead", "data": data })
    };
    let media = ["content-type: application/cloudevents+json; charset=utf-8"];
    assert_eq!(ask(&web, &media, &envelope("s", 1).to_string()).status, 202);
    let batch = json!([envelope("t1", 2), envelope("t2", 3), envelope("t3", 4)]);
    let media = ["content-type: application/cloudevents-batch+json"];
    let answer = ask(&web, &media, &batch.to_string());
    assert_eq!(answer.body, "{\"ids\":[\"t1\",\"t2\",\"t3\"]}\n");
    let first = json!({ "specversion": "1.0", "id": "b 1", "source": "/shop", "type": "order",
        "datacontenttype": "application/json", "subject": "50 % \u{e9}",
        "traceparent": "00-1-2-01", "data": { "a": 1 } });
    let plain = |id: &str, data: u32| {
        json!({ "specversion": "1.0", "id": id, "source": "/shop", "type": "order", "own": 7,
            "data": data })
    };
    let rest = [plain("s", 1), plain("t1", 2), plain("t2", 3), plain("t3", 4)];
    assert_eq!(taken(&sandbox), [vec![first], rest.to_vec()].concat());
    web.stop(&sandbox);
    assert_clean(&sandbox);
}

#[test]
fn bare_bodies_become_events() {
    let (sandbox, web) = to_queue("");
    let headers = ["idempotency-key: order-1", "traceparent: 00-1-2-01", "faasrun: forged"];
    assert_eq!(ask(&web, &headers, r#"{"x":1}"#).body, "{\"ids\":[\"order-1\"]}\n");
    // What a client says of every form and file tells nothing.
    let form = ["content-type: application/x-www-form-urlencoded"];
    let answer: Value = serde_json::from_str(&ask(&web, &form, "plain").body).expect("JSON");
    assert_eq!(ask(&web, &["content-type: text/html"], "<p>").status, 202);
    let events = taken(&sandbox);
    let kept = ["id", "source", "type", "datacontenttype", "traceparent", "faasrun", "data"];
    let told = |event: &Value| Value::from_iter(kept.map(|name| event[name].clone()));
    let source = "/faas-trigger/in";
    let (json, id) = ("application/json", "order-1");
    let first = json!([id, source, "faas.event", json, "00-1-2-01", null, { "x": 1 }]);
    assert_eq!(told(&events[0]), first);
    let second = json!([answer["ids"][0], source, "faas.event", "text/plain", null, null, "plain"]);
    assert_eq!(told(&events[1]), second);
    assert_eq!(events[2]["datacontenttype"], "text/html");
    web.stop(&sandbox);
    assert_clean(&sandbox);
}

/// An event without an id is none: nobody could read it back.
#[test]
fn an_empty_key_is_no_id() {
    let (sandbox, web) = to_queue("");
    let answer = ask(&web, &["idempotency-key: "], "x");
    let events = taken(&sandbox);
    assert_eq!(answer.status == 202, events.len() == 1, "{answer:?}");
    assert!(events.iter().all(|event| event["id"] != ""), "{events:?}");
    web.stop(&sandbox);
    assert_clean(&sandbox);
}

#[test]
fn what_is_wrong_with_a_request_is_said() {
    let (sandbox, web) = to_queue("--max-body 1KiB");
    let batch = ["content-type: application/cloudevents-batch+json"];
    let envelope = ["content-type: application/cloudevents+json"];
    let binary = ["ce-specversion: 1.0", "ce-source: /s", "ce-type: t"];
    let no_id = r#"{"specversion":"1.0","source":"/s","type":"t"}"#;
    let large = "x".repeat(1025);
    let chunk = format!("200\r\n{}\r\n", "x".repeat(512));
    let chunked = post(&["transfer-encoding: chunked"], "").replace("content-length: 0\r\n", "");
    let requests = [
        (post(&[], "x").replace("/in", "/other"), 404, "only /in is served here"),
        (post(&[], "").replace("POST", "GET"), 405, "an event is a POST"),
        (post(&binary, "x"), 400, "ce-id is missing"),
        (post(&["ce-specversion: 2.0", "ce-id: 1"], "x"), 400, "2.0 is not understood"),
        (post(&batch, "[]"), 400, "no event in it"),
        (post(&batch, "{}"), 400, "no batch of events"),
        (post(&batch, &format!("[{no_id}]")), 400, "`id` is missing"),
        (post(&envelope, no_id), 400, "`id` is missing"),
        (post(&envelope, "{"), 400, "not valid JSON"),
        (post(&[], &large), 413, "the body is over 1 KiB"),
        (format!("{chunked}{}0\r\n\r\n", chunk.repeat(3)), 413, "the body is over 1 KiB"),
    ];
    for (request, status, reason) in requests {
        let mut client = Client::of(&web);
        client.send(&request);
        let answer = client.answer();
        assert_eq!(answer.status, status, "{request}");
        assert!(answer.body.contains(reason), "{request}: {}", answer.body);
    }
    assert_eq!(taken(&sandbox), Vec::<Value>::new());
    // Neither what fits exactly nor pieces are turned away.
    assert_eq!(ask(&web, &[], &large[1..]).status, 202);
    let mut client = Client::of(&web);
    client.send(&format!("{chunked}3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n"));
    assert_eq!(client.answer().status, 202);
    assert_eq!(bodies(&sandbox), [json!(&large[1..]), json!("abcde")]);
    web.stop(&sandbox);
    assert_clean(&sandbox);
}

#[test]
fn a_connection_serves_many_requests() {
    let (sandbox, web) = to_queue("");
    let mut client = Client::of(&web);
    for body in ["a", "b", "c"] {
        client.send(&post(&[], body));
        assert_eq!(client.answer().status, 202);
    }
    // After what was wrong, too.
    client.send(&post(&[], "x").replace("/in", "/other"));
    assert_eq!(client.answer().status, 404);
    let keys = ["p1", "p2", "p3", "p4"];
    let pipelined = keys.map(|key| post(&[&format!("idempotency-key: {key}")], key));
    client.send(&pipelined.concat());
    for key in keys {
        assert_eq!(client.answer().body, format!("{{\"ids\":[\"{key}\"]}}\n"));
    }
    assert_eq!(bodies(&sandbox), ["a", "b", "c", "p1", "p2", "p3", "p4"]);
    web.stop(&sandbox);
    assert_clean(&sandbox);
}

/// Each goes on when the one before it is answered, not when the trigger
/// looks around by itself.
#[test]
fn pipelined_requests_do_not_wait_for_the_clock() {
    let (sandbox, web) = to_queue("");
    let mut client = Client::of(&web);
    let began = std::time::Instant::now();
    client.send(&post(&[], "x").replace("/in", "/other").repeat(500));
    for _ in 0..500 {
        assert_eq!(client.answer().status, 404);
    }
    assert!(began.elapsed() < Duration::from_secs(PATIENCE), "{:?}", began.elapsed());
    web.stop(&sandbox);
    assert_clean(&sandbox);
}

#[test]
fn slow_clients_hold_up_nobody() {
    let (sandbox, web) = to_queue("");
    let request = post(&[], "slow body");
    let (mut slow, mut slower) = (Client::of(&web), Client::of(&web));
    slow.send(&request[..12]);
    slower.send(&request[..request.len() - 4]);
    let mut gone = Client::of(&web);
    gone.send(&request[..request.len() - 4]);
    assert_eq!(ask(&web, &[], "quick").status, 202);
    drop(gone);
    // Two that are open at once take turns.
    let (mut one, mut other) = (Client::of(&web), Client::of(&web));
    for turn in ["1", "2"] {
        one.send(&post(&[], &format!("one {turn}")));
        other.send(&post(&[], &format!("other {turn}")));
        assert_eq!((other.answer().status, one.answer().status), (202, 202));
    }
    slow.send(&request[12..]);
    slower.send(&request[request.len() - 4..]);
    assert_eq!((slow.answer().status, slower.answer().status), (202, 202));
    web.stop(&sandbox);
    let mut came = bodies(&sandbox);
    came.sort_by_key(Value::to_string);
    let expected = ["one 1", "one 2", "other 1", "other 2", "quick", "slow body", "slow body"];
    assert_eq!(came, expected, "of who went away half-way nothing is there");
    assert_clean(&sandbox);
}

/// Of fifteen events ten find room; the rest is turned away, or waits until
/// there is room.
#[test]
fn a_full_queue_turns_away_and_loses_nothing() {
    let (sandbox, web) = to_queue("");
    let (tell, told) = std::sync::mpsc::channel();
    for number in 0..15 {
        let (mut client, tell, key) = (Client::of(&web), tell.clone(), format!("k{number}"));
        std::thread::spawn(move || {
            client.send(&post(&[&format!("idempotency-key: {key}")], "x"));
            // Who is not answered is missed below.
            client.next().map(|answer| tell.send((key, answer)))
        });
    }
    let next = || told.recv_timeout(Duration::from_secs(PATIENCE)).expect("an answer");
    let mut answers: Vec<(String, Answer)> = (0..14).map(|_| next()).collect();
    let mut came = taken(&sandbox);
    answers.push(next());
    came.extend(taken(&sandbox));
    let (accepted, away): (Vec<_>, Vec<_>) =
        answers.into_iter().partition(|(_, answer)| answer.status == 202);
    assert!(away.len() >= 4, "{away:?}");
    for (_, answer) in away {
        assert_eq!(answer.status, 503);
        assert!(answer.head.contains("\r\nretry-after: "), "{}", answer.head);
    }
    let ids: BTreeSet<String> =
        came.iter().map(|event| event["id"].as_str().expect("text").to_owned()).collect();
    assert_eq!(ids.len(), came.len(), "nothing came twice");
    let keys: BTreeSet<String> = accepted.into_iter().map(|(key, _)| key).collect();
    assert_eq!(ids, keys);
    assert_eq!(ask(&web, &[], "again").status, 202);
    assert_eq!(bodies(&sandbox), ["again"]);
    web.signal(Signal::SIGTERM);
    let (code, said) = web.ended(&sandbox);
    let full = format!("{} is full (10 of 10), no reader", sandbox.url("q"));
    assert!(code == 143 && said.contains(&full), "{code}: {said}");
    assert_clean(&sandbox);
}

#[test]
fn it_stops_after_its_count() {
    let (sandbox, web) = to_queue("-n 3 -v");
    for body in ["a", "b", "c"] {
        assert_eq!(ask(&web, &[], body).status, 202);
    }
    web.wait_closed(&sandbox);
    assert_eq!(web.ended(&sandbox), (0, "faas-trigger: 3 events sent\n".to_owned()));
    assert_eq!(bodies(&sandbox), ["a", "b", "c"]);
    assert_clean(&sandbox);
}

/// Six requests are there before it can look at any.
#[test]
fn it_accepts_no_more_than_its_count_at_once() {
    let (sandbox, web) = to_queue("-n 3");
    web.signal(Signal::SIGSTOP);
    let mut clients: Vec<Client> = (0..6).map(|_| Client::of(&web)).collect();
    for (number, client) in clients.iter_mut().enumerate() {
        client.send(&post(&[], &format!("n{number}")));
    }
    web.signal(Signal::SIGCONT);
    let is_accepted = |client: &mut Client| client.next().is_ok_and(|a| a.status == 202);
    let accepted = clients.iter_mut().map(is_accepted).filter(|is| *is).count();
    assert_eq!(web.ended(&sandbox), (0, String::new()));
    assert_eq!((accepted, bodies(&sandbox).len()), (3, 3));
    assert_clean(&sandbox);
}

#[test]
fn without_a_host_it_listens_on_loopback_only() {
    let sandbox = Sandbox::new();
    sandbox.ok("faas-queue new ${P}q");
    let web = Web::at(&sandbox, "http://:0/in", "--to ${P}q --ready-fd 3 3> ready");
    assert_eq!(web.address.ip().to_string(), "127.0.0.1");
    let ready = || std::fs::read_to_string(sandbox.path().join("ready")).unwrap_or_default();
    assert!(sandbox.until(PATIENCE, || ready() == "ready\n"));
    let port = web.address.port();
    let came = sandbox.sh(&format!("faas-trigger http://127.0.0.1:{port}/ --to ${{P}}q"));
    assert_eq!(came.code, 69, "{came:?}");
    assert!(came.stderr.contains("address already in use\n  try: another port"), "{came:?}");
    web.stop(&sandbox);
    assert_clean(&sandbox);
}
