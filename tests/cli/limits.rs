//! What the system does not give.

use faas_tests::Sandbox;

/// Tests that need to be root (other users, mounts, namespaces) say so when
/// they cannot run.
fn is_root() -> bool {
    let root = nix::unistd::geteuid().is_root();
    if !root {
        println!("skipped: only root can become another user or mount a file system");
    }
    root
}

#[test]
fn a_queue_that_another_user_owns() {
    if !is_root() {
        return;
    }
    let sandbox = Sandbox::new();
    let name = sandbox.url("theirs").replace("mq:", "");
    // SAFETY-free way to be somebody else: another process makes the queue.
    let script = format!(
        "setpriv --reuid 65534 --regid 65534 --clear-groups python3 - <<'EOF' 2>/dev/null || exit 9
import ctypes, os
rt = ctypes.CDLL('librt.so.1', use_errno=True)
assert rt.mq_open(b'{name}', os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o600, None) >= 0
EOF"
    );
    let made = sandbox.sh(&script);
    if made.code == 9 {
        println!("skipped: no python3 to make a queue as another user");
        return;
    }
    let told = sandbox.told("faas-queue get ${P}theirs");
    nix::mqueue::mq_unlink(name.as_str()).expect("it is removed");
    insta::assert_snapshot!(told);
}

#[test]
fn no_memory_left_for_queues() {
    let sandbox = Sandbox::new();
    let script = "ulimit -q 1; faas-queue new ${P}q";
    insta::assert_snapshot!(sandbox.told(script));
}

/// Root may go over the ceiling, so root asks as somebody else.
#[test]
fn more_capacity_than_the_kernel_grants() {
    let sandbox = Sandbox::new();
    let ask = "faas-queue new --capacity 1000 ${P}q";
    let script = if nix::unistd::geteuid().is_root() {
        format!(
            "chmod 777 .; cp $(command -v faas-queue) .; setpriv --reuid 65534 --regid 65534 --clear-groups ./{ask}"
        )
    } else {
        ask.to_owned()
    };
    let told = sandbox.told(&script);
    insta::assert_snapshot!(told);
}

#[test]
fn no_descriptors_left_for_functions() {
    let sandbox = Sandbox::new();
    let script = "ulimit -n 24; seq 40 | faas-invoke -o lines -j 40 --retries 0 -- cat | sort -n | md5sum; seq 40 | md5sum";
    let out = sandbox.ok(script);
    let sums: Vec<&str> = out.lines().collect();
    assert_eq!(sums[0], sums[1], "all are answered, a few at a time");
}

#[test]
fn full_shared_memory() {
    if !is_root() {
        return;
    }
    let sandbox = Sandbox::new();
    let script = "unshare --mount true 2>/dev/null || exit 9; mkdir small && unshare --mount bash -c 'mount -t tmpfs -o size=1m,mode=700 none small || exit 9
        export FAAS_STATE_DIR=$PWD/small/state
        faas-queue new ${P}q
        head -c 500000 /dev/zero > small/ballast
        head -c 800000 /dev/zero | faas-queue put -i raw ${P}q; echo put: $?
        head -c 2000000 /dev/zero | faas-queue put -i raw ${P}q; echo put: $?
        echo small | faas-queue put ${P}q; echo put: $?
        faas-queue get --timeout 0 -o lines ${P}q; find small -type f | grep -c bodies/.*/f
        faas-queue rm --yes ${P}q; exit 0'";
    let told = sandbox.told(script);
    if told.contains("exit: 9") {
        println!("skipped: this root may not mount");
        return;
    }
    insta::assert_snapshot!(told);
}

/// An invoker whose output finds no room keeps it, says so, and goes on when
/// there is room again.
#[test]
fn shared_memory_that_is_full_for_a_while() {
    if !is_root() {
        return;
    }
    let sandbox = Sandbox::new();
    let script = "unshare --mount true 2>/dev/null || exit 9; mkdir small && unshare --mount bash -c 'mount -t tmpfs -o size=1m,mode=700 none small || exit 9
        export FAAS_STATE_DIR=$PWD/small/state
        faas-queue new ${P}q ${P}r
        head -c 900000 /dev/zero > small/ballast
        echo x | faas-queue put ${P}q
        faas-invoke --from ${P}q --to ${P}r -n 1 -- head -c 400000 /dev/zero 2>said &
        until grep -q room said; do sleep 0.05; done; cat said >&2; rm small/ballast; wait
        faas-queue get -o raw ${P}r | wc -c
        faas-queue rm --yes ${P}q ${P}r; exit 0'";
    let came = sandbox.sh(script);
    if came.code == 9 {
        println!("skipped: this root may not mount");
        return;
    }
    assert_eq!(came.stdout, "400000\n", "{came:?}");
    assert!(came.stderr.contains("no room for a body of 400000 bytes"), "{}", came.stderr);
}

/// An output that no waiting could ever make room for is a dead letter, and
/// the next message has its turn.
#[test]
fn an_output_larger_than_all_shared_memory() {
    if !is_root() {
        return;
    }
    let sandbox = Sandbox::new();
    let script = "unshare --mount true 2>/dev/null || exit 9; mkdir small && unshare --mount bash -c 'mount -t tmpfs -o size=1m,mode=700 none small || exit 9
        export FAAS_STATE_DIR=$PWD/small/state
        faas-queue new ${P}q ${P}r
        printf \"2000000\\n3\\n\" | faas-queue put ${P}q
        faas-invoke --from ${P}q --to ${P}r -n 2 -- sh -c \"read -r n; head -c \\$n /dev/zero | tr \\\\\\0 x\"
        faas-queue get --timeout 0 -o lines ${P}r; faas-queue get --timeout 0 ${P}q.dead | jq -c [.data,.faasreason]
        faas-queue rm --yes ${P}q ${P}r ${P}q.dead; exit 0'";
    let came = sandbox.sh(script);
    if came.code == 9 {
        println!("skipped: this root may not mount");
        return;
    }
    let expected = "xxx\n[2000000,\"2000000 bytes are more than";
    assert!(came.stdout.starts_with(expected), "{came:?}");
    assert!(came.stderr.contains("try: FAAS_STATE_DIR on a larger file system"), "{}", came.stderr);
}
