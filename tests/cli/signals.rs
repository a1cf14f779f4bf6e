//! Signals to a single invoker.

use faas_tests::Sandbox;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use std::process::Stdio;

#[test]
fn sigterm_drains_an_invoker_on_queues() {
    let sandbox = Sandbox::new();
    sandbox.file("slow.sh", "#!/bin/sh\nsleep 0.5\ncat\n");
    sandbox.ok("faas-queue new ${P}q ${P}r; seq 8 | faas-queue put ${P}q");
    let (from, to) = (sandbox.url("q"), sandbox.url("r"));
    let mut invoker = sandbox.command("faas-invoke");
    invoker.args(["--from", &from, "--to", &to, "-j", "2", "--", "./slow.sh"]);
    let child = invoker.stdin(Stdio::null()).stderr(Stdio::piped()).spawn().expect("it starts");
    assert!(sandbox.until(10, || {
        sandbox.processes().iter().any(|(_, l)| l.contains("slow.sh") && !l.starts_with("faas"))
    }));
    kill(Pid::from_raw(child.id() as i32), Signal::SIGTERM).expect("it is there");
    let came = sandbox.came(child.wait_with_output().expect("it ends"));
    assert_eq!(came.code, 0, "{came:?}");
    let counts = sandbox
        .ok("faas-queue ls -o json | jq -c '[.depth, .held]'; faas-queue rm --yes ${P}q ${P}r");
    assert_eq!(counts, "[6,0]\n[2,0]\n", "what was begun is finished, the rest stays");
    assert_eq!(sandbox.left_behind(), Vec::<String>::new());
}

/// A Ctrl-C reaches every stage of a pipeline at once; stages that read a pipe
/// drain it, so that nothing already written is lost.
#[test]
fn ctrl_c_in_a_pipeline_loses_nothing() {
    let sandbox = Sandbox::new();
    sandbox.file("source.sh", "#!/bin/bash\ntrap 'exit 0' INT\ni=0; while :; do i=$((i+1)); echo $i; echo $i >> sent; sleep 0.01; done\n");
    let script = "./source.sh | faas-invoke -- cat | faas-invoke -o lines -- cat > got";
    let mut shell = sandbox.script(script);
    std::os::unix::process::CommandExt::process_group(&mut shell, 0);
    let mut shell = shell.spawn().expect("bash runs");
    let lines = |file: &str| {
        std::fs::read_to_string(sandbox.path().join(file)).unwrap_or_default().lines().count()
    };
    assert!(sandbox.until(20, || lines("got") > 20));
    let group = Pid::from_raw(-(shell.id() as i32));
    kill(group, Signal::SIGINT).expect("the group is there");
    shell.wait().expect("it ends");
    assert!(sandbox.until(10, || sandbox.processes().is_empty()));
    // The source may have been stopped between its two lines.
    let (sent, got) = (lines("sent"), lines("got"));
    assert!(got == sent || got == sent + 1, "{sent} sent, {got} came");
}

#[test]
fn a_second_signal_stops_at_once() {
    let sandbox = Sandbox::new();
    let mut invoker = sandbox.command("faas-invoke");
    invoker.args(["--", "sleep", "60"]).stdin(Stdio::piped()).stdout(Stdio::null());
    let mut child = invoker.spawn().expect("it starts");
    std::io::Write::write_all(child.stdin.as_mut().expect("piped"), b"x\n").expect("written");
    assert!(sandbox.until(10, || sandbox.processes().iter().any(|(_, l)| l == "sleep 60")));
    let pid = Pid::from_raw(child.id() as i32);
    kill(pid, Signal::SIGTERM).expect("it is there");
    std::thread::sleep(std::time::Duration::from_millis(100));
    kill(pid, Signal::SIGTERM).expect("it is there");
    assert_eq!(child.wait().expect("it ends").code(), Some(143));
    assert_eq!(sandbox.left_behind(), Vec::<String>::new());
}

#[test]
fn a_reader_that_is_slow_stalls_and_then_finishes() {
    let sandbox = Sandbox::new();
    let out = sandbox.ok("seq 20000 | faas-invoke -i raw --emit lines -o lines -- cat | (sleep 1; md5sum); seq 20000 | md5sum");
    let sums: Vec<&str> = out.lines().collect();
    assert_eq!(sums[0], sums[1]);
}
