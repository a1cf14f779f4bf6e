//! Two hosts and a cable between them that is cut for longer than a reader
//! may be silent: the other host's messages go to the first, and what it hands
//! over once it is back has no effect, or comes twice only at least once.

use crate::common::{Place, Seen};
use faas_tests::repository;

const COUNT: usize = 300;

/// Starts the server on the first host, `$U`; ends it at the end.
const REDIS: &str = "\
redis-server --bind 10.77.0.1 --port 7000 --protected-mode no --save '' >redis.log 2>&1 &
server=$!
stop() { kill $server; }
until redis-cli -h 10.77.0.1 -p 7000 ping 2>/dev/null | grep -q PONG; do sleep 0.1; done
U='redis://10.77.0.1:7000/0/%?lease=3s'
";

/// The same with a broker of Kafka's.
const KAFKA: &str = "\
export FAAS_TEST_KAFKA_HOST=10.77.0.1
port=$(sh $services/kafka.sh start 1 $PWD/kafka | cut -d' ' -f2)
stop() { sh $services/kafka.sh stop $PWD/kafka; }
U=\"kafka://10.77.0.1:$port/%\"
";

/// Both hosts work; the cable is cut for twelve seconds, and it is healed.
const WORK: &str = "\
url() { echo \"$U\" | sed \"s/%/$1/\"; }
faas-queue new $(url jobs)
faas-queue new $(url results)
work() { # NAME RUNNER...
    name=$1; shift
    \"$@\" faas-invoke -j2 --deliver $how --from $(url jobs) --to $(url results) \\
        -- sh -c \"touch $name; sleep 0.1; cat\" 2>$name.err &
}
work one env; one=$!
work two nsenter -n -t $other; two=$!
until [ -e one ] && [ -e two ]; do seq -f 'x%g' 4 | faas-queue put $(url jobs); sleep 0.3; done
seq $count | faas-queue put $(url jobs)
sleep 1
sever
rm one two
sleep 12
ls one >/dev/null
heal
left() { faas-queue stat -o json $(url jobs) | jq .depth; }
tries=0
until [ \"$(left)\" = 0 ]; do tries=$((tries + 1)); [ $tries -lt 100 ]; sleep 0.3; done
kill $one $two
wait $one || true
wait $two || true
faas-queue get -n 100000 --timeout 5s -o json $(url results) >results || [ $? -eq 75 ]
";

/// What came of it on a server, by value and id, without what was put first.
fn cut_and_healed(server: &str, how: &str) -> Seen {
    let place = Place::new("");
    let services = repository().join("tests/services");
    let variables = format!("services='{}'\nhow={how}\ncount={COUNT}\n", services.display());
    place.sandbox.file("script", &format!("{variables}{server}{WORK}"));
    let hosts = services.join("two_hosts.sh");
    let mut running = place.start("hosts", &format!("sh '{}' ./script", hosts.display()));
    let code = running.wait();
    let said = ["hosts.err", "one.err", "two.err"].map(|file| place.text(file));
    assert_eq!(code, 0, "{said:?}");
    let mut seen = Seen::of(&place.text("results"));
    seen.values.retain(|value, _| !value.contains('x'));
    println!(
        "{how}: {} of {COUNT} more than once",
        seen.values.values().filter(|n| **n > 1).count()
    );
    seen
}

#[test]
fn a_host_is_cut_off_from_redis() {
    let seen = cut_and_healed(REDIS, "at-least-once");
    seen.has_all(COUNT);
    assert!(seen.values.values().all(|times| *times == 1), "{:?}", seen.values);
}

#[test]
fn a_host_is_cut_off_from_kafka_at_least_once() {
    cut_and_healed(KAFKA, "at-least-once").has_all(COUNT);
}

#[test]
fn a_host_is_cut_off_from_kafka_exactly_once() {
    let seen = cut_and_healed(KAFKA, "exactly-once");
    seen.has_all(COUNT);
    assert!(seen.values.values().all(|times| *times == 1), "{:?}", seen.values);
}
