//! Full queues and slow readers: everything finishes, memory stays bounded,
//! nothing spins.

use faas_tests::Sandbox;
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

/// Messages of a burst.
const BURST: usize = 10_000;

/// Peak memory of a process so far, in KiB.
fn peak_kib(pid: i32) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap_or("0");
    line.trim().trim_end_matches(" kB").parse().unwrap_or(0)
}

/// Time on a processor that a process has had.
fn cpu_ticks(pid: i32) -> u64 {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    let after = stat.rsplit(") ").next().unwrap_or_default();
    after.split(' ').skip(11).take(2).filter_map(|word| word.parse::<u64>().ok()).sum()
}

/// Waits for a run; returns the highest peak of all our processes, in KiB.
fn watch(sandbox: &Sandbox, run: &mut Child) -> u64 {
    let (mut peak, patience) = (0, Instant::now() + Duration::from_secs(240));
    while !matches!(run.try_wait(), Ok(Some(_))) {
        let ours = sandbox.processes();
        let tools = ours.iter().filter(|(_, line)| line.contains("faas-"));
        peak = tools.map(|(pid, _)| peak_kib(*pid)).fold(peak, u64::max);
        assert!(Instant::now() < patience, "it hangs\n{}", sandbox.ok("faas-queue ls"));
        std::thread::sleep(Duration::from_millis(100));
    }
    peak
}

fn burst(sandbox: &Sandbox, chain: &str, lines: usize) -> (String, u64) {
    sandbox.file("chain.json", chain);
    let script = format!(
        "yes 1 | head -{lines} | faas-chain run --run $R -o lines chain.json 2>log | sort | uniq -c"
    );
    let mut run = sandbox.script(&script);
    let mut run = run.stdout(Stdio::piped()).spawn().expect("bash runs");
    let peak = watch(sandbox, &mut run);
    let came = sandbox.came(run.wait_with_output().expect("it ends"));
    let log = std::fs::read_to_string(sandbox.path().join("log")).expect("a log");
    println!("{}peak {peak} KiB", log);
    assert_eq!(sandbox.left_behind(), Vec::<String>::new(), "{log}");
    (came.stdout, peak)
}

#[test]
fn a_loop_of_two_invokers_on_queues_of_depth_one() {
    let sandbox = Sandbox::new();
    let chain = r#"{ "chain": "ring", "functions": {
        "a": { "run": ["sed", "s/$/a/"] }, "b": { "run": ["sed", "s/$/b/"] } },
      "start": "a", "rules": [
        { "from": "a", "to": "b" },
        { "from": "b", "when": "(. | tostring | length) < 4", "to": "a", "at_most": 5 },
        { "from": "b", "otherwise": true, "to": "@result" } ],
      "queues": { "*": { "capacity": 1 } } }"#;
    let (out, peak) = burst(&sandbox, chain, BURST);
    assert_eq!(out.trim(), format!("{BURST} 1abab"));
    assert!(peak < 64 << 10, "memory is bounded: {peak} KiB");
}

#[test]
fn a_fan_out_inside_a_loop() {
    let sandbox = Sandbox::new();
    let chain = r#"{ "chain": "fan", "functions": {
        "a": { "run": ["sh", "-c", "read -r n; echo $n$n; echo $n$n"], "emit": "lines" },
        "b": { "run": ["cat"] } },
      "start": "a", "rules": [
        { "from": "a", "to": "b" },
        { "from": "b", "when": ". < 1000", "to": "a", "at_most": 5 },
        { "from": "b", "otherwise": true, "to": "@result" } ],
      "queues": { "*": { "capacity": 1 } } }"#;
    let lines = BURST / 8;
    let (out, peak) = burst(&sandbox, chain, lines);
    assert_eq!(out.trim(), format!("{} 1111", lines * 4));
    assert!(peak < 64 << 10, "memory is bounded: {peak} KiB");
}

#[test]
fn dead_letters_past_the_capacity_of_their_queue() {
    let sandbox = Sandbox::new();
    let script = format!(
        "faas-queue new ${{P}}q; faas-invoke -q --from ${{P}}q --to ${{P}}q.out --idle 2s -j4 \
         -- sh -c 'exit 100' & seq {BURST} | faas-queue put -q ${{P}}q; wait $!; \
         faas-queue ls -o json | jq -c '[.depth, .held]'; du -sk state | cut -f1; \
         faas-queue get -n {BURST} -o lines --timeout 5s ${{P}}q.dead | sort -n | uniq | wc -l; \
         du -sk state | cut -f1; faas-queue rm --yes ${{P}}q ${{P}}q.out ${{P}}q.dead"
    );
    let out = sandbox.ok(&format!("faas-queue new ${{P}}q.out; {script}"));
    let lines: Vec<&str> = out.lines().collect();
    assert_eq!(&lines[..3], ["[0,0]", &format!("[{BURST},0]"), "[0,0]"], "{out}");
    let kib: Vec<u64> = [3, 5].iter().map(|i| lines[*i].parse().expect("a size")).collect();
    assert!(kib[0] < 16 << 10 && kib[1] < 1 << 10, "memory comes back: {kib:?} KiB");
    assert_eq!(lines[4], BURST.to_string(), "each letter once");
    assert_eq!(sandbox.left_behind(), Vec::<String>::new());
}

const ONE: &str = r#"{ "chain": "one", "functions": { "f": { "run": ["cat"], "concurrency": 4 } },
  "start": "f" }"#;

#[test]
fn replies_that_nobody_reads() {
    let sandbox = Sandbox::new();
    sandbox.file("chain.json", ONE);
    let uid = nix::unistd::geteuid();
    let script = format!(
        "faas-queue new --chain chain.json --run $R; faas-invoke -q --chain chain.json --run $R & \
         seq {BURST} | faas-trigger -q --chain chain.json --run $R; \
         until [ $(faas-queue stat -o json mq:/faas.{uid}.$R._reply | jq .depth) = {BURST} ]; \
         do sleep 0.1; done; kill $!; wait $!; \
         faas-queue get -n {BURST} --timeout 5s mq:/faas.{uid}.$R._reply | jq .data | sort -n | uniq | wc -l; \
         faas-queue rm --yes --run $R"
    );
    assert_eq!(sandbox.ok(&script).trim(), BURST.to_string());
    assert_eq!(sandbox.left_behind(), Vec::<String>::new());
}

#[test]
fn a_full_spill_stops_the_trigger_and_is_named() {
    let sandbox = Sandbox::new();
    sandbox.file("chain.json", ONE);
    let uid = nix::unistd::geteuid();
    let script = format!(
        "export FAAS_SPILL_MAX=20KiB; faas-queue new --chain chain.json --run $R; \
         faas-invoke -q --chain chain.json --run $R & \
         (seq 500 | faas-trigger --chain chain.json --run $R 2>said; echo $? >code) & \
         until grep -q spill said; do sleep 0.1; done; cat said; \
         faas-queue get -n 500 --timeout 5s mq:/faas.{uid}.$R._reply | jq .data | sort -n | uniq | wc -l; \
         kill %1; wait; cat code; faas-queue rm --yes --run $R"
    );
    let out = sandbox.ok(&script);
    let lines: Vec<&str> = out.lines().collect();
    let named = format!("waiting: {}/state/spill/faas.", sandbox.path().display());
    assert!(lines[0].contains(&named) && lines[0].contains(" is full ("), "{out}");
    assert_eq!(&lines[1..], ["500", "0"], "all of it comes when it is read again");
    assert_eq!(sandbox.left_behind(), Vec::<String>::new());
}

#[test]
fn a_stdout_that_nobody_reads_for_a_while() {
    let sandbox = Sandbox::new();
    sandbox.file("chain.json", ONE);
    let mut run = sandbox.command("faas-chain");
    run.args(["run", "-q", "--run", &sandbox.run(), "chain.json"]);
    let input = "yes 1 | head -4000 > input";
    sandbox.ok(input);
    let open = std::fs::File::open(sandbox.path().join("input")).expect("it is there");
    let mut run = run.stdin(open).stdout(Stdio::piped()).spawn().expect("it starts");
    // The pipe holds some hundred results; then everything comes to rest.
    std::thread::sleep(Duration::from_secs(3));
    let ours = sandbox.processes();
    let tools: Vec<i32> =
        ours.iter().filter(|(_, l)| l.contains("faas-")).map(|(pid, _)| *pid).collect();
    let ticks = || tools.iter().map(|pid| cpu_ticks(*pid)).collect::<Vec<u64>>();
    let rest = || {
        let before = ticks();
        std::thread::sleep(Duration::from_secs(2));
        let spent = ticks().into_iter().zip(before).map(|(now, then)| now.saturating_sub(then));
        spent.sum::<u64>() < 40
    };
    assert!(sandbox.until(60, rest), "they never come to rest");
    let peak = tools.iter().map(|pid| peak_kib(*pid)).max().unwrap_or(0);
    assert!(peak < 64 << 10, "memory is bounded: {peak} KiB");
    let mut read = String::new();
    let stdout = run.stdout.as_mut().expect("piped");
    std::io::Read::read_to_string(stdout, &mut read).expect("it is read");
    assert_eq!(read.lines().count(), 4_000);
    assert_eq!(run.wait().expect("it ends").code(), Some(0));
    assert_eq!(sandbox.left_behind(), Vec::<String>::new());
}

#[test]
fn no_more_are_under_way_than_asked() {
    let sandbox = Sandbox::new();
    sandbox.file("count.sh", "#!/bin/sh\ntouch now.$$; ls now.* | wc -l; sleep 0.02; rm now.$$\n");
    let chain = r#"{ "chain": "c", "functions": { "f": { "run": ["./count.sh"], "concurrency": 8 } },
      "start": "f" }"#;
    sandbox.file("chain.json", chain);
    let most = |flag: &str| {
        let script =
            format!("seq 60 | faas-chain run -q -o lines {flag} chain.json | sort -n | tail -1");
        sandbox.ok(&script).trim().parse::<usize>().expect("a number")
    };
    assert!(most("--max-in-flight 2") <= 2);
    assert!(most("") > 2, "without the bound there are more");
    assert_eq!(sandbox.left_behind(), Vec::<String>::new());
}
