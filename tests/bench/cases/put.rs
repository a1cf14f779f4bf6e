//! Many small lines into a queue: `faas-queue put` against the load generators
//! that come with the brokers. Ours counts from its start to its end; the
//! others tell their own figure, in which starting and connecting are not.

use super::brokers::{self, is_here};
use crate::bare_kafka::make_topics;
use crate::process::tool;
use crate::report::{Report, Series};
use faas_tests::repository;
use faas_tests::services::{Kafka, Redis};
use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Instant;

/// Lines into Redis.
const REDIS_LINES: u64 = 300_000;
/// Lines into Kafka: enough that its Java has come to speed.
const KAFKA_LINES: u64 = 400_000;
/// What each holds, a letter so often: as long as the other cases' body.
const LINE_LEN: usize = 46;
/// What an event with such a body has in a record: 111 bytes of names, ids and
/// a time in its headers.
const EVENT_LEN: usize = LINE_LEN + 111;
/// Rounds; one more comes before them and does not count.
const ROUNDS: usize = 5;
/// How long both producers for Kafka wait for a batch to fill.
const LINGER_MS: u32 = 5;
/// Bytes of a batch that is full.
const BATCH_BYTES: u32 = 65_536;

/// A file of lines.
pub fn lines(folder: &Path, count: u64) -> PathBuf {
    let path = folder.join("lines");
    let line = "x".repeat(LINE_LEN) + "\n";
    std::fs::write(&path, line.repeat(count as usize)).expect("a file");
    path
}

/// Lines a second.
fn put(url: &str, lines: &Path, count: u64) -> f64 {
    let mut command = tool("faas-queue");
    command.args(["put", "-q", url]).stdin(File::open(lines).expect("the lines"));
    let began = Instant::now();
    assert!(command.status().expect("it can be started").success(), "all are put");
    count as f64 / began.elapsed().as_secs_f64()
}

/// Runs a tool to its end: its stdout.
pub fn told(mut command: Command) -> String {
    command.stdin(Stdio::null()).stderr(Stdio::null());
    let output = command.output().expect("it can be started");
    assert!(output.status.success(), "{command:?} failed");
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// Measures in turn, round by round: who is first changes.
pub fn rounds(names: &[&'static str], mut measure: impl FnMut(usize, usize) -> f64) -> Vec<Series> {
    let series = names.iter().map(|&name| Series { name, rounds: Vec::new() });
    let mut series: Vec<Series> = series.collect();
    for round in 0..=ROUNDS {
        for turn in 0..names.len() {
            let index = (round + turn) % names.len();
            let figure = measure(index, round);
            if round > 0 {
                series[index].rounds.push(figure);
            }
        }
    }
    series
}

/// Into a stream, against `redis-benchmark` with as large a body, and with all
/// the fields that an event has.
pub fn into_redis(report: &mut Report) {
    report.title("redis-put: 300 000 lines of 46 bytes into a stream");
    let Some(redis) = brokers::redis(report) else { return };
    if !is_here("redis-benchmark") {
        report.note("left out: redis-benchmark is not here (try: scripts/deps.sh bench)");
        return;
    }
    let folder = tempfile::tempdir().expect("a folder");
    let lines = lines(folder.path(), REDIS_LINES);
    put_into_stream(&redis, &lines);
    let entry = redis.command(&["XRANGE", "ours", "-", "+", "COUNT", "1"]);
    // After its number: names and values in turn.
    let event: Vec<&str> = entry.lines().skip(1).collect();
    let body = "x".repeat(LINE_LEN);
    let series = rounds(&["ours", "redis-benchmark", "all fields"], |index, _| {
        redis.command(&["FLUSHALL"]);
        match index {
            0 => put_into_stream(&redis, &lines),
            1 => add(&redis, &["data", &body]),
            _ => add(&redis, &event),
        }
    });
    let parameters = [("lines", REDIS_LINES)];
    report.compare("redis-put", &parameters, "msg/s", &series, Some(">=0.8"));
}

/// Into an empty stream with room for all.
pub fn put_into_stream(redis: &Redis, lines: &Path) -> f64 {
    let queue = format!("{}/ours", redis.url());
    let mut new = tool("faas-queue");
    new.args(["new", "--capacity", &(2 * REDIS_LINES).to_string(), &queue]);
    told(new);
    let figure = put(&queue, lines, REDIS_LINES);
    assert_eq!(redis.command(&["XLEN", "ours"]), REDIS_LINES.to_string());
    figure
}

/// XADD by `redis-benchmark`, 256 on their way on each of its connections.
fn add(redis: &Redis, fields: &[&str]) -> f64 {
    let (port, count) = (redis.port().to_string(), REDIS_LINES.to_string());
    let mut command = Command::new("redis-benchmark");
    command.args(["-p", &port, "-n", &count, "-P", "256", "--csv", "XADD", "theirs", "*"]);
    command.args(fields);
    let text = told(command);
    // The command, which may hold anything; then the rate and six latencies.
    let rate = text.lines().next_back().and_then(|line| line.rsplit("\",\"").nth(6));
    rate.and_then(|rate| rate.parse().ok()).unwrap_or_else(|| panic!("no rate in {text}"))
}

/// Into a topic, against the ProducerPerformance of Kafka, which can send no
/// headers: with the body alone, and with as many bytes as an event has.
pub fn into_kafka(report: &mut Report) {
    report.title("kafka-put: 400 000 lines of 46 bytes into a topic");
    let Some(kafka) = brokers::kafka(report) else { return };
    let folder = tempfile::tempdir().expect("a folder");
    let lines = lines(folder.path(), KAFKA_LINES);
    let url = kafka.url();
    let names = ["ours", "Kafka's own", "as many bytes"];
    let series = rounds(&names, |index, round| {
        let topic = format!("put-{index}-{round}");
        make_topics(&url, std::iter::once(topic.as_str()));
        match index {
            0 => {
                let options = format!("acks=all&linger={LINGER_MS}ms&batch.size={BATCH_BYTES}");
                put(&format!("{url}/{topic}?{options}"), &lines, KAFKA_LINES)
            }
            1 => produce(&kafka, &topic, LINE_LEN),
            _ => produce(&kafka, &topic, EVENT_LEN),
        }
    });
    let parameters = [("lines", KAFKA_LINES)];
    report.compare("kafka-put", &parameters, "msg/s", &series, Some(">=0.8"));
}

/// What ProducerPerformance says of as many records. Its Java compiles for a
/// quick start, which suits a run this short: more thorough, it was slower.
fn produce(kafka: &Kafka, topic: &str, size: usize) -> f64 {
    let servers = kafka.url().replace("kafka://", "bootstrap.servers=");
    let (linger, batch) = (format!("linger.ms={LINGER_MS}"), format!("batch.size={BATCH_BYTES}"));
    let mut command = Command::new(repository().join("tests/services/kafka.sh"));
    command.args(["tool", "org.apache.kafka.tools.ProducerPerformance", "--topic", topic]);
    command.args(["--num-records", &KAFKA_LINES.to_string()]);
    command.args(["--record-size", &size.to_string(), "--throughput", "-1"]);
    command.args(["--producer-props", &servers, "acks=all", &linger, &batch]);
    let text = told(command);
    // `400000 records sent, 76452.6 records/sec (3.35 MB/sec), ...`: the last
    // line is of all of them.
    let line = text.lines().rfind(|line| line.contains(" records/sec "));
    let rate = line.and_then(|line| line.split(", ").nth(1)?.split(' ').next());
    rate.and_then(|rate| rate.parse().ok()).unwrap_or_else(|| panic!("no rate in {text}"))
}
