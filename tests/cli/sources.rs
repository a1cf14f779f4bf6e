//! Requests that wait for the results of their invocations, the clock as a
//! source, and runs by their names.

use crate::http_source::{Answer, Client, PATIENCE, Web, ask, post};
use faas_tests::Sandbox;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::process::{Child, Stdio};
use std::time::Duration;

/// What it does is the first word of its input. What is slow says in `log`
/// when it begins and when it is done, and waits for a file `go` in between.
const WORK: &str = "#!/bin/sh
read -r word rest
case $word in
drop) ;;
dead) exit 100 ;;
slow) echo begun >> log; until [ -e go ]; do sleep 0.02; done
    echo done $rest >> log; echo done $rest ;;
*) echo got $word $rest ;;
esac
";

const CHAIN: &str = r#"{ "chain": "c", "start": "work", "functions": {
    "work": { "run": ["./work.sh"], "concurrency": 4, "retries": 0 } } }"#;

/// An open run and its invokers.
struct Open {
    sandbox: Sandbox,
    invokers: Vec<Child>,
}

impl Open {
    fn new(chain: &str, invokers: usize) -> Self {
        let sandbox = Sandbox::new();
        sandbox.file("work.sh", WORK);
        sandbox.file("chain.json", chain);
        sandbox.ok("faas-queue new --chain chain.json --run $R");
        let invoker = |_| {
            let mut command = sandbox.script("exec faas-invoke --chain chain.json --run $R");
            command.stderr(Stdio::null()).spawn().expect("bash runs")
        };
        let invokers = (0..invokers).map(invoker).collect();
        Self { sandbox, invokers }
    }

    /// A trigger whose requests wait.
    fn web(&self, flags: &str) -> Web {
        Web::start(&self.sandbox, &format!("--run $R --wait {flags}"))
    }

    fn signal(&self, invoker: usize, signal: Signal) {
        let pid = Pid::from_raw(self.invokers[invoker].id() as i32);
        kill(pid, signal).expect("it is there");
    }

    /// Lets what is slow go on.
    fn go(&self) {
        self.sandbox.file("go", "");
    }

    /// Waits until the log says so many times what begins like this.
    fn wait_log(&self, begin: &str, count: usize) {
        let path = self.sandbox.path().join("log");
        let said = || {
            let text = std::fs::read_to_string(&path).unwrap_or_default();
            text.lines().filter(|line| line.starts_with(begin)).count()
        };
        assert!(self.sandbox.until(PATIENCE, || said() >= count), "{begin}: {}", said());
    }

    /// Removes the run; nothing of it is left.
    fn close(mut self) {
        for number in 0..self.invokers.len() {
            if self.invokers[number].try_wait().expect("it is ours").is_none() {
                self.signal(number, Signal::SIGTERM);
            }
            let invoker = &mut self.invokers[number];
            let is_over = || invoker.try_wait().expect("it is ours").is_some();
            assert!(self.sandbox.until(PATIENCE, is_over), "an invoker goes on");
        }
        self.sandbox.ok("faas-queue rm --yes --run $R");
        assert_eq!(self.sandbox.left_behind(), Vec::<String>::new());
    }
}

/// The bodies of the results in an answer, in order of their text.
fn results(answer: &Answer) -> Vec<String> {
    assert_eq!(answer.status, 200, "{answer:?}");
    let body = |line: &str| {
        let event: Value = serde_json::from_str(line).expect("an envelope");
        assert_eq!(event.get("faasinvocation"), None, "what is ours stays inside");
        event["data"].as_str().expect("text").to_owned()
    };
    let mut bodies: Vec<String> = answer.body.lines().map(body).collect();
    bodies.sort();
    bodies
}

/// Asks so many at once, each something else; each must get its own answer.
fn ask_many(web: &Web, name: &str, count: usize) {
    let mut clients: Vec<Client> = (0..count).map(|_| Client::of(web)).collect();
    for (number, client) in clients.iter_mut().enumerate() {
        client.send(&post(&[], &format!("{name} {number}")));
    }
    for (number, client) in clients.iter_mut().enumerate() {
        assert_eq!(results(&client.answer()), [format!("got {name} {number}")]);
    }
}

#[test]
fn a_request_is_answered_with_all_results_of_its_event() {
    let open = Open::new(
        r#"{ "chain": "c", "start": "a", "rules": [ { "from": "a", "to": ["b", "c", "big"] } ],
          "functions": { "a": { "run": ["sed", "s/^/a/"] }, "b": { "run": ["sed", "s/^/b/"] },
            "c": { "run": ["sed", "s/^/c/"] },
            "big": { "run": ["sh", "-c", "head -c 300000 /dev/zero | tr '\\0' z"] } } }"#,
        1,
    );
    let web = open.web("");
    let answer = ask(&web, &[], "x");
    assert_eq!(results(&answer), ["bax", "cax", "z".repeat(300_000).as_str()]);
    assert!(answer.head.contains("\r\ncontent-type: application/x-ndjson\r\n"), "{answer:?}");
    web.stop(&open.sandbox);
    open.close();
}

/// Idle is who takes nothing, not who takes long: reading here takes more time
/// than a connection may be idle.
#[test]
fn a_slow_reader_gets_its_whole_answer() {
    const SIZE: usize = 30_000_000;
    let make = format!("head -c {SIZE} /dev/zero | tr '\\\\0' z");
    let chain =
        r#"{ "chain": "c", "start": "f", "functions": { "f": { "run": ["sh", "-c", "MAKE"] } } }"#;
    let open = Open::new(&chain.replace("MAKE", &make), 1);
    let web = open.web("");
    let mut stream = TcpStream::connect(web.address).expect("it listens");
    stream.set_read_timeout(Some(Duration::from_secs(PATIENCE))).expect("a time");
    stream.write_all(post(&["connection: close"], "x").as_bytes()).expect("it is sent");
    let (mut came, mut part) = (Vec::new(), vec![0; 200_000]);
    for _ in 0..24 {
        let read = stream.read(&mut part).expect("a part");
        came.extend_from_slice(&part[..read]);
        std::thread::sleep(Duration::from_millis(500));
    }
    let rest = stream.read_to_end(&mut came);
    assert!(came.len() > SIZE && came.ends_with(b"zz\"}\n"), "{} bytes, {rest:?}", came.len());
    web.stop(&open.sandbox);
    open.close();
}

#[test]
fn nothing_for_what_is_dropped_and_the_letter_for_what_is_dead() {
    let open = Open::new(CHAIN, 1);
    let web = open.web("--dead letters");
    assert_eq!(results(&ask(&web, &[], "drop")), [""; 0]);
    let answer = ask(&web, &["idempotency-key: k"], "dead 1");
    assert_eq!(answer.status, 502);
    let letter: Value = serde_json::from_str(&answer.body).expect("one envelope");
    let told = ["faasreason", "faasfunction", "faasattempts", "data"].map(|name| &letter[name]);
    assert_eq!(json!(told), json!(["exit 100", "work", 1, "dead 1"]));
    assert_eq!(ask(&web, &[], "x y").status, 200, "the next one is not concerned");
    web.signal(Signal::SIGTERM);
    let (code, said) = web.ended(&open.sandbox);
    assert_eq!((code, said.as_str()), (143, "faas-trigger: dead letters are in letters\n"));
    let kept = std::fs::read_to_string(open.sandbox.path().join("letters")).expect("letters");
    assert_eq!(kept, answer.body);
    open.close();
}

#[test]
fn an_invocation_outlives_its_request() {
    let open = Open::new(CHAIN, 1);
    let hasty = open.web("--timeout 100ms");
    let answer = ask(&hasty, &[], "slow 1");
    assert_eq!(answer.status, 504);
    assert!(answer.body.contains("the invocation goes on"), "{answer:?}");
    hasty.stop(&open.sandbox);
    let web = open.web("");
    let mut client = Client::of(&web);
    client.send(&post(&[], "slow 2"));
    open.wait_log("begun", 2);
    drop(client);
    open.go();
    open.wait_log("done 1", 1);
    open.wait_log("done 2", 1);
    assert_eq!(results(&ask(&web, &[], "x y")), ["got x y"]);
    web.stop(&open.sandbox);
    open.close();
}

#[test]
fn fifty_at_once_get_their_own_answers() {
    let open = Open::new(CHAIN, 2);
    let web = open.web("");
    ask_many(&web, "one", 50);
    // One connection asks one after the other, whatever it has sent.
    let mut client = Client::of(&web);
    client.send(&["a 1", "b 2", "c 3"].map(|body| post(&[], body)).concat());
    for body in ["got a 1", "got b 2", "got c 3"] {
        assert_eq!(results(&client.answer()), [body]);
    }
    web.stop(&open.sandbox);
    open.close();
}

/// The first results are there before the last event has found room.
#[test]
fn a_batch_larger_than_the_first_queue_gets_all_of_its_results() {
    let open = Open::new(CHAIN, 1);
    let web = open.web("--timeout 15s");
    let events = (0..40).map(|number| {
        json!({ "specversion": "1.0", "id": format!("e{number}"), "source": "/s", "type": "t",
            "datacontenttype": "text/plain", "data": format!("e {number}") })
    });
    let batch = Value::from_iter(events).to_string();
    let answer = ask(&web, &["content-type: application/cloudevents-batch+json"], &batch);
    let expected: BTreeSet<String> = (0..40).map(|number| format!("got e {number}")).collect();
    assert_eq!(results(&answer), expected.into_iter().collect::<Vec<_>>());
    web.stop(&open.sandbox);
    open.close();
}

/// One start is done before the other has room: what it gave, and that it
/// failed, is part of the answer all the same.
#[test]
fn what_one_start_gives_is_not_lost_while_the_other_has_no_room() {
    for (first, status) in [("cat", 200_u16), ("exit 100", 502)] {
        let chain = r#"{ "chain": "c", "start": ["first", "slow"], "functions": {
            "first": { "run": ["sh", "-c", "FIRST"], "retries": 0 },
            "slow": { "run": ["sh", "-c", "sleep 0.05; cat"] } } }"#;
        let open = Open::new(&chain.replace("FIRST", first), 1);
        let web = open.web("--timeout 15s");
        let mut clients: Vec<Client> = (0..20).map(|_| Client::of(&web)).collect();
        clients.iter_mut().for_each(|client| client.send(&post(&[], "x")));
        let told = |client: &mut Client| {
            let answer = client.answer();
            (answer.status, answer.body.lines().count())
        };
        let answers: Vec<(u16, usize)> = clients.iter_mut().map(told).collect();
        assert_eq!(answers, [(status, 2_usize); 20]);
        web.signal(Signal::SIGTERM);
        assert_eq!(web.ended(&open.sandbox).0, 143);
        open.close();
    }
}

#[test]
fn two_triggers_and_a_runner_of_one_run_get_their_own() {
    let sandbox = Sandbox::new();
    sandbox.file("work.sh", WORK);
    sandbox.file("chain.json", CHAIN);
    let mut runner = sandbox.script("exec faas-chain run --run $R -o lines chain.json > out");
    let runner = runner.stdin(Stdio::piped()).stderr(Stdio::null());
    let mut runner = runner.spawn().expect("bash runs");
    let mut stdin = runner.stdin.take().expect("piped");
    let mut feed = |line: String| stdin.write_all(line.as_bytes()).expect("it reads");
    let out = || std::fs::read_to_string(sandbox.path().join("out")).unwrap_or_default();
    feed("run 0\n".to_owned());
    assert!(sandbox.until(PATIENCE, || out() == "got run 0\n"), "{}", out());
    let webs = [(); 2].map(|()| Web::start(&sandbox, "--run $R --wait"));
    std::thread::scope(|scope| {
        for (web, name) in webs.iter().zip(["one", "other"]) {
            scope.spawn(move || ask_many(web, name, 20));
        }
        (1..20).for_each(|number| feed(format!("run {number}\n")));
    });
    for web in webs {
        web.stop(&sandbox);
    }
    drop(stdin);
    let is_over = || runner.try_wait().expect("it is ours").is_some();
    assert!(sandbox.until(PATIENCE, is_over));
    assert!(runner.wait().expect("it ended").success());
    let mut came: Vec<String> = out().lines().map(str::to_owned).collect();
    came.sort();
    let expected: BTreeSet<String> = (0..20).map(|number| format!("got run {number}")).collect();
    assert_eq!(came, expected.into_iter().collect::<Vec<_>>());
    assert_eq!(sandbox.left_behind(), Vec::<String>::new());
}

/// Four calls fit into one invoker, so with six the first has some.
#[test]
fn another_invoker_finishes_what_a_killed_one_had() {
    let mut open = Open::new(CHAIN, 2);
    let web = open.web("");
    let mut clients: Vec<Client> = (0..6).map(|_| Client::of(&web)).collect();
    for (number, client) in clients.iter_mut().enumerate() {
        client.send(&post(&[], &format!("slow {number}")));
    }
    open.wait_log("begun", 6);
    open.signal(0, Signal::SIGKILL);
    open.invokers[0].wait().expect("it ends");
    open.go();
    for (number, client) in clients.iter_mut().enumerate() {
        assert_eq!(results(&client.answer()), [format!("done {number}")]);
    }
    web.stop(&open.sandbox);
    open.close();
}

#[test]
fn after_a_killed_trigger_the_run_can_be_removed_whole() {
    let open = Open::new(CHAIN, 1);
    let web = open.web("");
    let mut client = Client::of(&web);
    client.send(&post(&[], "slow 1"));
    open.wait_log("begun", 1);
    web.signal(Signal::SIGKILL);
    assert_eq!(web.ended(&open.sandbox).0, 137);
    assert!(client.next().is_err(), "nobody answers");
    // Another one is not told what the first had asked.
    let web = open.web("");
    open.go();
    assert_eq!(results(&ask(&web, &[], "x y")), ["got x y"]);
    open.wait_log("done 1", 1);
    web.signal(Signal::SIGKILL);
    assert_eq!(web.ended(&open.sandbox).0, 137);
    open.close();
}

#[test]
fn sigterm_answers_what_was_accepted_and_a_second_one_nothing() {
    let open = Open::new(CHAIN, 1);
    let begin = |begun: usize| {
        let web = open.web("");
        let mut client = Client::of(&web);
        client.send(&post(&[], "slow 1"));
        open.wait_log("begun", begun);
        web.signal(Signal::SIGTERM);
        web.wait_closed(&open.sandbox);
        (web, client)
    };
    let (web, mut client) = begin(1);
    web.signal(Signal::SIGTERM);
    assert_eq!(web.ended(&open.sandbox).0, 143);
    assert!(client.next().is_err(), "it ended at once");
    let (web, mut client) = begin(2);
    open.go();
    assert_eq!(results(&client.answer()), ["done 1"]);
    assert_eq!(web.ended(&open.sandbox), (143, String::new()));
    open.close();
}

#[test]
fn wrong_addresses_times_and_flags_are_refused_with_a_cure() {
    let sandbox = Sandbox::new();
    sandbox.ok("faas-queue new ${P}q");
    let to = "--to ${P}q";
    let flags = [
        ("http://127.0.0.1:1x/", to, "this is no port"),
        ("http://127.0.0.1/in", to, "it names no port"),
        ("http://:0/in?a=b", to, "a path has no query"),
        ("every:0s", to, "a clock cannot tick so fast"),
        ("every:x", to, "not a duration"),
        ("cron:bad", to, "malformed"),
        ("'cron:61 * * * *'", to, "cannot open cron:61"),
        ("'cron:* * * * * No/Where'", to, "is no time zone"),
        ("http://:0/in --wait", to, "--run NAME"),
        ("--wait", to, ""),
        ("every:1s --wait", to, ""),
    ];
    for (source, to, reason) in flags {
        let came = sandbox.sh(&format!("timeout 20 faas-trigger {source} {to}"));
        assert_eq!((came.code, came.stdout.as_str()), (2, ""), "{source}: {came:?}");
        assert!(came.stderr.contains(reason), "{source}: {came:?}");
        let tells = ["\n  try: ", "--help"].iter().any(|cure| came.stderr.contains(cure));
        assert!(tells, "{source}: {came:?}");
    }
    assert_eq!(sandbox.sh("faas-queue get --timeout 0 ${P}q").code, 75, "nothing was sent");
    sandbox.ok("faas-queue rm --yes ${P}q");
    assert_eq!(sandbox.left_behind(), Vec::<String>::new());
}

#[test]
fn times_that_never_come_are_refused_with_a_cure() {
    let sandbox = Sandbox::new();
    sandbox.ok("faas-queue new ${P}q");
    for source in ["every:99999999999h", "'cron:0 0 31 2 *'"] {
        let came = sandbox.sh(&format!("timeout 20 faas-trigger {source} --to ${{P}}q"));
        assert_eq!(came.code, 2, "{source}: {came:?}");
        assert!(came.stderr.contains("\n  try: "), "{source}: {came:?}");
    }
    sandbox.ok("faas-queue rm --yes ${P}q");
}

#[test]
fn a_clock_ticks_into_a_queue() {
    let sandbox = Sandbox::new();
    let out = sandbox.ok("faas-queue new ${P}q
        timeout 20 faas-trigger every:100ms -n 3 --to ${P}q
        faas-queue get -n 3 ${P}q | jq -c '[.type, .source, .data.tick, (.id / \"-\")[1]]'
        timeout 20 faas-trigger 'cron:0 0 1 1 * Asia/Tokyo' --timeout 0 --to ${P}q
        echo $?; faas-queue rm --yes ${P}q");
    let tick = |n: u32| format!("[\"faas.tick\",\"/faas-trigger/every\",{n},\"{n}\"]\n");
    let ticks: String = (1..=3).map(tick).collect();
    assert_eq!(out, ticks + "75\n", "the year does not begin just now");
    assert_eq!(sandbox.left_behind(), Vec::<String>::new());
}

/// The run knows its chain file, wherever the trigger is started.
#[test]
fn a_clock_ticks_into_a_run_by_its_name() {
    let chain =
        r#"{ "chain": "c", "start": "f", "functions": { "f": { "run": ["jq", ".tick"] } } }"#;
    let open = Open::new(chain, 1);
    let out = open.sandbox.ok("cd / && timeout 20 faas-trigger every:10ms -n 3 --run $R
        faas-queue get -n 3 -o lines --timeout 20s mq:/faas.$(id -u).$R._reply | sort");
    assert_eq!(out, "1\n2\n3\n");
    open.close();
}

#[test]
fn a_run_whose_file_was_changed_or_that_is_not_open_is_not_joined() {
    let open = Open::new(CHAIN, 0);
    let sources = ["every:1s", "http://:0/in", "http://:0/in --wait", "-"];
    let refused = |code: i32, reason: &str| {
        for source in sources {
            let came = open.sandbox.sh(&format!("timeout 20 faas-trigger {source} --run $R"));
            assert_eq!(came.code, code, "{source}: {came:?}");
            assert!(came.stderr.contains(reason), "{source}: {came:?}");
            assert!(came.stderr.contains("\n  try: "), "{source}: {came:?}");
        }
    };
    open.sandbox.file("chain.json", &CHAIN.replace("4", "5"));
    refused(2, "it was opened with another version of ");
    open.sandbox.file("chain.json", CHAIN);
    open.sandbox.ok("faas-queue rm --yes --run $R");
    refused(69, "it is not open");
    assert_eq!(open.sandbox.left_behind(), Vec::<String>::new());
}

/// Each has a reply queue of its own, which goes with it.
#[test]
fn triggers_that_come_and_go_leave_no_descriptors() {
    let open = Open::new(CHAIN, 1);
    let folder = format!("/proc/{}/fd", open.invokers[0].id());
    let held = || std::fs::read_dir(&folder).expect("it runs").count();
    let round = |number: usize| {
        let web = open.web("");
        let answer = ask(&web, &[], &format!("round {number}"));
        assert_eq!(results(&answer), [format!("got round {number}")]);
        web.stop(&open.sandbox);
    };
    round(0);
    let before = held();
    (1..8).for_each(round);
    assert!(held() <= before + 3, "{before} and then {}", held());
    open.close();
}
