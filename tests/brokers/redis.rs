//! Chains and queues on Redis: the same results as anywhere else, on several
//! hosts, behind passwords and TLS, on a cluster, and nothing is left behind.

use crate::common::{Place, Seen, example, expected, sorted};
use faas_tests::services::{Redis, certificates, free_port, shared_redis};

/// Two branches and a join: `3n + 1` for each n. Each call notes its host.
const TWO: &str = r#"{ "chain": "two", "functions": {
    "a": { "run": ["sh", "-c", "read -r n; echo $HOST >> hosts; sleep 0.02; echo $((n * 2))"] },
    "b": { "run": ["sh", "-c", "read -r n; echo $((n + 1))"], "concurrency": 2 },
    "j": { "run": ["jq", "-c", ".a + .b"], "join": "all" } },
  "start": ["a", "b"], "rules": [ { "from": ["a", "b"], "to": "j" } ] }"#;

/// On the first "2" it takes its invoker along.
const KILLER: &str = "#!/bin/sh
read -r n
if [ $n = 2 ] && ! [ -e killed ]; then
    touch killed; kill -9 $(ps -o ppid= -p $PPID); sleep 9
fi
echo $n
";

fn place() -> Place {
    Place::new(&shared_redis())
}

/// Keys of a server that stay for ever.
fn lasting(redis: &Redis) -> Vec<String> {
    let keys = redis.command(&["KEYS", "*"]);
    let lasts = |key: &&str| redis.command(&["TTL", key]) == "-1";
    keys.lines().filter(lasts).map(str::to_owned).collect()
}

#[test]
fn orders_give_what_they_give_elsewhere() {
    for flags in ["", "--deliver exactly-once", "--invokers 2"] {
        let (lines, dead) = example(&place(), "orders", "orders.ndjson", flags);
        assert_eq!(lines, expected("orders/expected.ndjson"), "{flags}");
        assert_eq!(dead.lines().count(), 1, "{flags}: {dead}");
        assert!(dead.contains("\"faasfunction\":\"parse\""), "{flags}: {dead}");
    }
}

#[test]
fn joins_loops_and_filters_give_what_they_give_elsewhere() {
    let examples = [
        ("words", "carroll.txt", "expected.ndjson"),
        ("collatz", "numbers.txt", "expected.ndjson"),
        ("files", "files.txt", "expected.txt"),
        ("logs", "access.log", "expected.txt"),
    ];
    for (name, input, file) in examples {
        let (lines, dead) = example(&place(), name, input, "");
        assert_eq!(lines, expected(&format!("{name}/{file}")), "{name}");
        assert_eq!(dead, "", "{name}");
    }
}

#[test]
fn joins_and_loops_exactly_once() {
    for (name, input) in [("words", "carroll.txt"), ("collatz", "numbers.txt")] {
        let (lines, _) = example(&place(), name, input, "--deliver exactly-once");
        assert_eq!(lines, expected(&format!("{name}/expected.ndjson")), "{name}");
    }
}

/// The server's memory is for what is under way: a run takes all it had with
/// it, but for what ends by itself.
#[test]
fn nothing_of_a_run_stays_on_the_server() {
    let redis = Redis::start();
    for (name, flags) in [("words", ""), ("orders", "--deliver exactly-once")] {
        let input = if name == "words" { "carroll.txt" } else { "orders.ndjson" };
        example(&Place::new(&redis.url()), name, input, flags);
        assert_eq!(lasting(&redis), Vec::<String>::new());
    }
}

/// Two hosts are two processes that share no state: what they know of the run
/// is the broker's note of it.
#[test]
fn two_hosts_know_of_a_run_by_the_broker_alone() {
    let place = place();
    place.sandbox.file("chain.json", TWO);
    let on = |host: &str| format!("env HOST={host} FAAS_STATE_DIR=$PWD/{host}");
    let run = "--chain chain.json --run $R --via $U";
    place.ok(&format!("{} faas-queue new {run}", on("opener")));
    let mut hosts =
        ["one", "two"].map(|host| place.start(host, &format!("{} faas-invoke {run}", on(host))));
    place.ok(&format!("seq 60 | {} faas-trigger {run}", on("trigger")));
    let replies = "faas-queue get -n 60 --timeout 20s $U/faas.$R._reply";
    let got = Seen::of(&place.ok(&format!("{} {replies}", on("collector"))));
    let expected: Vec<String> =
        sorted(&(1..=60).map(|n| format!("{}\n", 3 * n + 1)).collect::<String>());
    let mut values: Vec<String> = got.values.keys().cloned().collect();
    values.sort();
    assert_eq!(values, expected);
    got.has_none_twice();
    let mut served = sorted(&place.text("hosts"));
    served.dedup();
    assert_eq!(served, ["one", "two"], "both took part");
    let ends: Vec<i32> = hosts.iter_mut().map(|host| host.stop()).collect();
    assert_eq!((ends, place.text("one.err") + &place.text("two.err")), (vec![0, 0], String::new()));
    place.ok(&format!("{} faas-queue rm --yes --run $R --via $U", on("opener")));
    let again = place.sh(&format!("{} faas-queue rm --yes --run $R --via $U", on("opener")));
    assert_eq!(again.code, 69, "it is gone for all hosts: {again:?}");
}

/// The broker's note says which file the run was opened with.
#[test]
fn a_trigger_on_another_host_finds_the_run_and_its_file() {
    let place = place();
    place.sandbox.file("chain.json", TWO);
    let script = "faas-queue new --chain chain.json --run $R --via $U
        seq 3 | FAAS_STATE_DIR=$PWD/other faas-trigger --run $R --via $U; echo $?
        faas-queue stat -o json $U/faas.$R.a | jq .depth; faas-queue rm --yes --run $R";
    let came = place.sh(script);
    assert_eq!(came.stdout, "0\n3\n", "{came:?}");
}

/// Who serves a run that is removed ends quietly: it is over.
#[test]
fn invokers_end_with_their_run() {
    let place = place();
    place.sandbox.file("chain.json", TWO);
    place.ok("faas-queue new --chain chain.json --run $R --via $U");
    let mut invoker = place.start("invoker", "faas-invoke --chain chain.json --run $R --via $U");
    let readers = "faas-queue stat -o json $U/faas.$R.a | jq .readers";
    place.until("the invoker to read", || place.sh(readers).stdout == "1\n");
    place.ok("faas-queue rm --yes --run $R");
    assert_eq!((invoker.wait(), place.text("invoker.err")), (0, String::new()));
}

#[test]
fn the_plan_works_when_pasted() {
    let place = place();
    place.sandbox.copy("examples/files");
    let came = place.sh("cp -r files/data . &&
        faas-chain plan --run $R --via $U files/chain.json > plan.sh &&
        bash plan.sh < files/files.txt | jq -r .data | sort && wait");
    assert_eq!(sorted(&came.stdout), expected("files/expected.txt"), "{came:?}");
    assert_eq!(came.stderr, "");
    assert_eq!(place.sandbox.left_behind(), Vec::<String>::new());
}

#[test]
fn queues_from_the_shell() {
    let place = place();
    let script = "Q=$U/$R-q; faas-queue new $Q; faas-queue new $Q 2> /dev/null; echo $?
        seq 5 | faas-queue put $Q; faas-queue stat -o json $Q | jq -c '[.depth, .held, .capacity]'
        faas-queue ls -o json $U | jq -r .queue | grep -c -- $R-q
        faas-queue get -n 3 -o lines $Q; faas-queue get -n 9 --timeout 1s -o lines $Q; echo $?
        (sleep 0.3; echo late | faas-queue put $Q) & faas-queue get -o lines $Q; wait
        faas-queue rm --yes $Q; echo $?; faas-queue rm --yes $Q 2> /dev/null; echo $?";
    let told = "1\n[5,0,1000]\n1\n1\n2\n3\n4\n5\n75\nlate\n0\n69\n";
    assert_eq!(place.ok(&format!("{script}; exit 0")), told);
}

/// `--timeout 0` takes what is there, although it takes a question to the
/// server to know.
#[test]
fn get_takes_what_is_there_and_does_not_wait() {
    let place = place();
    let script = "Q=$U/$R-q; faas-queue new $Q; seq 3 | faas-queue put $Q
        faas-queue get --timeout 0 -o lines $Q; echo $?
        faas-queue get --timeout 0 -o lines $Q; echo $?; faas-queue rm --yes $Q";
    assert_eq!(place.ok(script), "1\n2\n3\n0\n75\n");
}

#[test]
fn a_full_queue_blocks_rejects_or_drops() {
    let place = place();
    let policies = [
        ("block", "75", "1\n2\n"),
        ("reject", "75", "1\n2\n"),
        ("drop-oldest", "0", "4\n5\n"),
        ("drop-newest", "0", "1\n2\n"),
    ];
    for (policy, code, kept) in policies {
        let script = format!(
            "Q=$U/$R-{policy}; faas-queue new --capacity 2 --when-full {policy} $Q
            seq 5 | faas-queue put --timeout 500ms $Q; echo $?
            faas-queue get -n 2 --timeout 5s -o lines $Q; faas-queue rm --yes $Q"
        );
        let came = place.sh(&script);
        assert_eq!(came.stdout, format!("{code}\n{kept}"), "{policy}: {came:?}");
        assert_eq!(came.stderr.is_empty(), code == "0", "{policy}: {came:?}");
    }
}

/// Four calls at once; what fails is beside the queue; all is settled.
#[test]
fn one_function_on_queues() {
    let redis = Redis::start();
    let place = Place::new(&redis.url());
    place.sandbox.file("f.sh", "#!/bin/sh\nread -r n; [ $n != 7 ] || exit 100; echo $((n * 2))\n");
    place.ok("faas-queue new $U/in $U/out");
    let mut invoker = place.start("invoker", "faas-invoke --from $U/in --to $U/out -j4 -- ./f.sh");
    let doubled = place.ok("seq 100 | faas-queue put $U/in
        faas-queue get -n 99 --timeout 20s $U/out | jq .data | awk '{ s += $1 } END { print s }'
        faas-queue get $U/in.dead | jq -c '[.data, .faasreason, .faasattempts]'");
    assert_eq!(doubled, "10086\n[7,\"exit 100\",1]\n");
    assert_eq!(invoker.stop(), 1, "some became dead letters");
    for queue in ["in", "out", "in.dead"] {
        assert_eq!(redis.command(&["XLEN", queue]), "0", "{queue}");
    }
    place.ok("faas-queue rm --yes $U/in $U/out $U/in.dead");
    assert_eq!(lasting(&redis), Vec::<String>::new());
}

#[test]
fn bodies_of_any_bytes_and_of_five_megabytes() {
    let place = place();
    let script = r#"I=$U/$R-in; O=$U/$R-out; faas-queue new $I $O
        head -c 5000000 /dev/urandom > big; printf 'a\n\0\377b\n' > odd
        for body in big odd; do
            faas-queue put --exact -i raw $I < $body
            faas-invoke --exact --from $I --to $O -n 1 -- cat
            faas-queue get --exact --timeout 20s -o raw $O | cmp - $body && echo $body
        done; faas-queue rm --yes $I $O"#;
    assert_eq!(place.ok(script), "big\nodd\n");
}

/// What a killed invoker had begun comes again, or does not, as was asked.
#[test]
fn at_most_once_and_at_least_once() {
    for (how, again) in [("at-most-once", "3\n"), ("at-least-once", "2\n3\n")] {
        let place = place();
        place.sandbox.file("killer.sh", KILLER);
        let script = format!(
            "Q=$U/$R-q; faas-queue new $Q; seq 3 | faas-queue put $Q
            invoke=\"faas-invoke --deliver {how} --from $Q?lease=2s -o lines\"
            $invoke -- ./killer.sh; echo $?; $invoke --idle 4s -- ./killer.sh | sort
            faas-queue stat -o json $Q | jq .depth,.held; faas-queue rm --yes $Q"
        );
        let came = place.sh(&script);
        assert_eq!(came.stdout, format!("1\n137\n{again}0\n0\n"), "{how}: {came:?}");
    }
}

#[test]
fn exactly_once_although_an_invoker_is_killed() {
    let place = Place::new(&format!("{}?lease=2s", shared_redis()));
    place.sandbox.file("killer.sh", KILLER);
    place.sandbox.file(
        "chain.json",
        r#"{ "chain": "c", "deliver": "exactly-once", "functions":
        { "f": { "run": ["./killer.sh"] }, "g": { "run": ["cat"] } }, "start": "f",
        "rules": [ { "from": "f", "to": "g" } ] }"#,
    );
    let came = place.sh("seq 20 | faas-chain run --run $R --via $U chain.json");
    assert_eq!(came.code, 0, "{came:?}");
    let seen = Seen::of(&came.stdout);
    seen.has_all(20);
    seen.has_none_twice();
    assert!(came.stderr.contains("killed by SIGKILL; started again"), "{}", came.stderr);
}

#[test]
fn passwords_and_users() {
    let redis = Redis::with(&["--requirepass", "s3cret"]);
    let user = ["ACL", "SETUSER", "ann", "on", ">annpw", "~*", "&*", "+@all"];
    assert_eq!(redis.command(&user), "OK");
    let place = Place::new(&redis.url());
    place.sandbox.file("chain.json", TWO);
    place.sandbox.file("secret", "s3cret\n");
    let run = "seq 2 | faas-chain run -q -o lines --run $R chain.json | sort";
    let ways = [
        ("FAAS_REDIS_PASSWORD=s3cret", redis.url()),
        ("FAAS_REDIS_PASSWORD_FILE=$PWD/secret", redis.url()),
        ("X=x", format!("{}?password-file=secret", redis.url())),
        ("FAAS_REDIS_PASSWORD=annpw", redis.url().replace("//", "//ann@")),
    ];
    for (environment, url) in ways {
        let came = place.sh(&format!("export {environment} FAAS_VIA='{url}'; {run}"));
        assert_eq!(came.stdout, "4\n7\n", "{environment} {url}: {came:?}");
    }
}

#[test]
fn over_tls() {
    let certificates = certificates();
    let file = |name: &str| certificates.path().join(name).display().to_string();
    let port = free_port().to_string();
    let (certificate, key, authority) = (file("server.crt"), file("server.key"), file("ca.crt"));
    let _redis = Redis::with(&[
        "--tls-port",
        &port,
        "--tls-cert-file",
        &certificate,
        "--tls-key-file",
        &key,
        "--tls-ca-cert-file",
        &authority,
        "--tls-auth-clients",
        "no",
    ]);
    for host in ["127.0.0.1", "localhost"] {
        let place = Place::new(&format!("rediss://{host}:{port}/0?tls-ca={authority}"));
        let (lines, _) = example(&place, "words", "carroll.txt", "");
        assert_eq!(lines, expected("words/expected.ndjson"), "{host}");
    }
}
