//! SIGKILL at every system call, and at every store to shared memory, of send,
//! receive, settle, gather and recovery: each stop in turn, none drawn at
//! random. Afterwards nothing that was acknowledged is lost, nothing settled
//! comes again, and no memory stays behind.

mod bench;
mod scenarios;
mod tracer;

use bench::Bench;
use scenarios::{ALL, QUEUES, Scenario, Seen};
use std::time::{Duration, Instant};
use tracer::End;

fn main() {
    if let Ok(name) = std::env::var("FAAS_CRASH_CHILD") {
        let prefix = std::env::var("FAAS_CRASH_PREFIX").expect("it is set");
        let scenario = ALL.iter().find(|s| s.name == name).expect("a scenario");
        faas_common::queue::mqueue::show_markers();
        (scenario.child)(&mut Bench::new(&prefix));
        return;
    }
    let only = std::env::args().nth(1).filter(|arg| !arg.starts_with('-'));
    let mut failed = 0;
    for scenario in ALL.iter().filter(|s| only.as_deref().is_none_or(|o| s.name == o)) {
        let began = Instant::now();
        match enumerate(scenario) {
            Ok((stops, redelivered, waited)) => println!(
                "{}: killed at {stops} stops, lost 0, {redelivered} redelivered under the same id, \
                 {waited} times a body was freed later; {:.1?}",
                scenario.name,
                began.elapsed()
            ),
            Err(flaw) => {
                failed += 1;
                println!("{}: FAILED {flaw}", scenario.name);
            }
        }
    }
    std::process::exit(i32::from(failed > 0));
}

/// Kills at each stop until the child comes to its end.
fn enumerate(scenario: &Scenario) -> Result<(u64, usize, usize), String> {
    let (mut redelivered, mut waited) = (0, 0);
    for stop in 1.. {
        let folder = tempfile::Builder::new().prefix("faas-crash-").tempdir_in("/dev/shm");
        let folder = folder.or_else(|_| tempfile::tempdir()).expect("a folder");
        let state = folder.path().join("state");
        set_state_dir(&state);
        let prefix = format!("k{}x{stop}", std::process::id());
        let mut bench = Bench::new(&prefix);
        (scenario.before)(&mut bench);
        drop(bench);
        let end = tracer::run(scenario.name, &state, &prefix, stop);
        let mut successor = Bench::new(&prefix);
        let seen = (scenario.after)(&mut successor, end == End::Finished);
        let clean = seen.and_then(|seen| look_for_leaks(&mut successor).map(|late| (seen, late)));
        QUEUES.iter().for_each(|queue| successor.remove(queue));
        let (Seen { redelivered: again }, late) =
            clean.map_err(|flaw| format!("at stop {stop}: {flaw}"))?;
        redelivered += again;
        waited += usize::from(late);
        if end == End::Finished {
            return Ok((stop - 1, redelivered, waited));
        }
    }
    unreachable!("the stops are counted without end")
}

/// All bodies are freed: at once, or for those whose sender died in the middle
/// of its send when it is clear that they are in no queue. Returns which.
fn look_for_leaks(successor: &mut Bench) -> Result<bool, String> {
    let left =
        |bench: &Bench| QUEUES.iter().flat_map(|queue| bench.left(queue)).collect::<Vec<_>>();
    let began = Instant::now();
    let mut late = false;
    loop {
        QUEUES.iter().for_each(|queue| _ = successor.from(queue));
        successor.connection.look_after().map_err(|error| error.to_string())?;
        let now = left(successor);
        if now.is_empty() {
            return Ok(late);
        }
        if began.elapsed() > Duration::from_secs(10) {
            return Err(format!("left behind: {now:?}"));
        }
        late = true;
        std::thread::sleep(Duration::from_millis(200));
    }
}

/// The state directory of this process and its children.
#[allow(unsafe_code)]
fn set_state_dir(state: &std::path::Path) {
    // SAFETY: this program has a single thread.
    unsafe { std::env::set_var("FAAS_STATE_DIR", state) };
}
