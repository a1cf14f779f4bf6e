//! What a person sees of functions that do not do what they should.

use crate::told;
use faas_tests::Sandbox;

#[test]
fn prints_nothing() {
    told!("seq 2 | faas-invoke -v -- true 2>&1 | head -n1");
}

#[test]
fn prints_half_a_line_and_dies() {
    told!(
        "echo x | faas-invoke --retries 1 --backoff 1ms -- sh -c 'printf half; kill -9 $$'; code=$?; jq -c '[.data, .faasreason, .faasattempts]' sh.dead.ndjson; exit $code"
    );
}

#[test]
fn never_reads_its_stdin() {
    told!("head -c 1000000 /dev/zero | faas-invoke -i raw -o lines -- echo done");
}

#[test]
fn forks_a_child_that_keeps_stdout_open() {
    told!("echo x | faas-invoke -o lines -- sh -c 'sleep 60 & echo answer'");
}

#[test]
fn ignores_sigterm() {
    told!("echo x | faas-invoke --timeout 200ms --retries 0 -- sh -c 'trap \"\" TERM; sleep 60'");
}

#[test]
fn floods_stderr() {
    told!(
        "(echo x | faas-invoke -o lines -- sh -c 'yes much to say | head -c 3000000 >&2; echo answer') 2>&1 | sort | uniq -c"
    );
}

#[test]
fn fails_for_good() {
    told!(
        "echo x | faas-invoke -- sh -c 'echo no good >&2; exit 100'; code=$?; jq -c '[.data, .faasreason, .faasattempts, .faasstderr]' sh.dead.ndjson; exit $code"
    );
}

#[test]
fn loses_its_program_meanwhile() {
    told!(
        "printf '#!/bin/sh\\nrm gone.sh; cat\\n' > gone.sh; chmod +x gone.sh; seq 2 | faas-invoke -o lines -- ./gone.sh"
    );
}

#[test]
fn is_a_script_that_names_no_interpreter() {
    told!(
        "echo 'echo plain $(cat)' > plain.sh; chmod +x plain.sh; echo x | faas-invoke -o lines -- ./plain.sh"
    );
}

#[test]
fn prints_a_bad_event() {
    told!("echo x | faas-invoke --emit events -- echo '{\"specversion\":\"1.0\"'");
}

#[test]
fn no_descriptors_left() {
    told!(
        "faas-queue new ${P}q; (ulimit -n 6; faas-queue get --timeout 0 ${P}q); code=$?; faas-queue rm --yes ${P}q; exit $code"
    );
}

#[test]
fn more_queues_than_the_host_allows() {
    if !nix::unistd::geteuid().is_root() {
        println!("skipped: only root can make a namespace with another limit");
        return;
    }
    let sandbox = Sandbox::new();
    let script = "unshare --ipc setpriv --reuid 65534 --clear-groups true 2>/dev/null || exit 9; chmod 777 .; cp $(command -v faas-queue) .; unshare --ipc bash -c 'echo 1 > /proc/sys/fs/mqueue/queues_max && exec setpriv --reuid 65534 --regid 65534 --clear-groups --bounding-set=-all bash -c \"./faas-queue new \\${P}a && ./faas-queue new \\${P}b; code=\\$?; ./faas-queue rm --yes \\${P}a; exit \\$code\"'";
    let told = sandbox.told(script);
    if told.contains("exit: 9\n") {
        println!("skipped: this root may not make namespaces or become another user");
        return;
    }
    insta::assert_snapshot!(told);
}
