//! What looking costs: a list of a thousand queues, and a watch beside work.

use super::brokers;
use super::put::{lines, put_into_stream, rounds, told};
use crate::bare_kafka::{make_topics, use_topics};
use crate::process::{Process, tool};
use crate::report::Report;
use nix::sys::resource::{UsageWho, getrusage};
use std::process::Stdio;
use std::time::{Duration, Instant};

/// Queues that are listed.
const QUEUES: usize = 1_000;
/// Lists of each kind.
const LISTS: usize = 7;
/// Lines put while somebody watches.
const LINES: u64 = 300_000;

/// Lists of a thousand queues: how long they take, and how much of it is our
/// own time.
pub fn list(report: &mut Report) {
    report.title("queue-list: 1 000 queues by faas-queue ls");
    if let Some(redis) = brokers::redis(report) {
        let url = redis.url();
        let queue = |number| format!("{url}/queue-{number}");
        let all: Vec<String> = (0..QUEUES).map(queue).collect();
        let mut new = tool("faas-queue");
        new.arg("new").args(&all);
        told(new);
        of(report, "Redis", &url);
    }
    if let Some(kafka) = brokers::kafka(report) {
        let names: Vec<String> = (0..QUEUES).map(|number| format!("queue-{number}")).collect();
        make_topics(&kafka.url(), names.iter().map(String::as_str));
        of(report, "Kafka, nobody has read", &kafka.url());
        use_topics(&kafka.url(), &names);
        of(report, "Kafka, read by 1 000 groups", &kafka.url());
    }
}

fn of(report: &mut Report, title: &str, url: &str) {
    let (mut took, mut own) = (Vec::new(), Vec::new());
    for _ in 0..LISTS {
        let (began, before) = (Instant::now(), own_ms());
        let mut list = tool("faas-queue");
        list.args(["ls", "-o", "json", url]);
        let count = told(list).lines().count();
        assert!(count >= QUEUES, "all are listed: {count}");
        took.push(began.elapsed().as_secs_f64() * 1e3);
        own.push(own_ms() - before);
    }
    report.figure("queue-list", &format!("{title}, from start to end"), "ms", took);
    report.figure("queue-list", &format!("{title}, our own time"), "ms", own);
}

/// Processor time of all programs that were started and have ended.
fn own_ms() -> f64 {
    let usage = getrusage(UsageWho::RUSAGE_CHILDREN).expect("it is told");
    let ms =
        |time: nix::sys::time::TimeVal| time.tv_sec() as f64 * 1e3 + time.tv_usec() as f64 / 1e3;
    ms(usage.user_time()) + ms(usage.system_time())
}

/// Lines put into a stream while somebody watches its server, and while nobody
/// does.
pub fn watch(report: &mut Report) {
    report.title("queue-watch: 300 000 lines into a stream, with and without a top beside it");
    let Some(redis) = brokers::redis(report) else { return };
    let folder = tempfile::tempdir().expect("a folder");
    let lines = lines(folder.path(), LINES);
    let series = rounds(&["watched", "alone"], |index, _| {
        redis.command(&["FLUSHALL"]);
        let watcher = (index == 0).then(|| {
            let mut top = tool("faas-queue");
            top.args(["top", "-o", "json", &redis.url()]).stdout(Stdio::null());
            Process::start(top)
        });
        // It has begun when it is measured.
        std::thread::sleep(Duration::from_millis(200));
        let figure = put_into_stream(&redis, &lines);
        drop(watcher);
        figure
    });
    report.compare("queue-watch", &[("lines", LINES)], "msg/s", &series, Some(">=0.95"));
}
