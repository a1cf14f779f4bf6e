//! Where a flag has its value from when the command line does not say.

use super::told;
use faas_tests::Sandbox;

#[test]
fn nearer_places_win() {
    let sandbox = Sandbox::new();
    let out = sandbox.ok("
        value() { echo 7 | faas-invoke --dead none \"$@\" -- cat | cut -c1-8; }
        value
        mkdir -p config/faas-tools
        printf '[faas-invoke]\\noutput = \"lines\"\\n' > config/faas-tools/config.toml
        value
        printf '[faas-invoke]\\noutput = \"frames\"\\n' > faas.toml
        value | od -An -tx1 | tr -d ' '
        export FAAS_INVOKE_OUTPUT=lines
        value
        value -o json");
    assert_eq!(out, "{\"specve\n7\n00000001370a\n7\n{\"specve\n");
}

#[test]
fn what_cannot_be_is_said_with_its_place() {
    told!(
        "
        says() { printf \"$1\" > faas.toml; shift; \"$@\" < /dev/null; echo \"-> $?\"; }
        says '[faas-invoke]\\njobs = 0\\n' faas-invoke -- cat
        says '[faas-invoke]\\njob = 2\\n' faas-invoke -- cat
        says '[faas-invoke]\\nrun = \"r\"\\n' faas-invoke -- cat
        says '[faas-queue.gett]\\ntimeout = \"1s\"\\n' faas-queue ls
        says '[faas-queue]\\ntimeout = \"1s\"\\n' faas-queue ls
        says '[faas-queue.rm]\\nyes = true\\n' faas-queue rm mq:/x
        says '[faas-queues.rm]\\nvia = \"mq:\"\\n' faas-queue ls
        says 'faas-queue = 3\\n' faas-queue ls
        says '[faas-queue.get]\\noutput = {}\\ntimeout = 2020-01-01\\n' faas-queue ls
        FAAS_INVOKE_JOBS=many says '' faas-invoke -- cat"
    );
}

#[test]
fn a_file_that_nobody_meant_is_left_out() {
    let sandbox = Sandbox::new();
    let came = sandbox.sh("run() { echo 7 | timeout 5 faas-invoke -o lines -- cat; echo $?; }
        mkfifo faas.toml; run; rm faas.toml; mkdir faas.toml; run; rmdir faas.toml
        echo '[faas-invoke]' > faas.toml; chmod o+w faas.toml; run
        faas-queue ls @prod; echo $?");
    assert_eq!(came.stdout, "7\n0\n7\n0\n7\n0\n2\n", "{came:?}");
    assert_eq!(came.stderr.matches("it is no regular file; it is left out").count(), 2, "{came:?}");
    assert!(came.stderr.contains("somebody else can write it; it is left out"), "{came:?}");
    assert!(came.stderr.contains("open @prod: faas.toml: somebody else"), "{came:?}");
}

#[test]
fn a_flag_leaves_out_what_it_excludes() {
    let sandbox = Sandbox::new();
    sandbox.file("faas.toml", "[faas-queue.cp]\nuntil = \"start\"\n");
    let came = sandbox.sh("faas-queue new ${P}a ${P}b; faas-queue cp --follow ${P}a ${P}b; echo $?
        FAAS_QUEUE_LS_VERBOSE=1 faas-queue ls | grep -c 'exactly once'
        FAAS_CHAIN_CHECK_VIA= FAAS_VIA=bogus faas-chain check none.json 2>&1 | grep -c bogus
        faas-queue rm ${P}a ${P}b");
    // A copy of a POSIX queue is refused, and not for its flags.
    assert!(came.stderr.contains("messages can only be taken"), "{came:?}");
    assert_eq!(came.stdout, "2\n1\n2\n", "{came:?}");
}

#[test]
fn a_run_is_not_changed_by_what_is_set_for_its_parts() {
    let sandbox = Sandbox::new();
    sandbox.file(
        "chain.json",
        r#"{"chain":"one","functions":{"a":{"run":["cat"]}},
        "start":"a","rules":[{"from":"a","to":"@result"}]}"#,
    );
    sandbox.file("faas.toml", "[faas-invoke]\ncount = 1\n[faas-chain.run]\noutput = \"lines\"\n");
    assert_eq!(sandbox.ok("seq 3 | faas-chain run -q chain.json | sort"), "1\n2\n3\n");
    // A variable for runs is none of a tool that has no run.
    assert_eq!(
        sandbox.ok("seq 1 | FAAS_VIA=redis://127.0.0.1:1/0 faas-invoke -o lines -- cat"),
        "1\n"
    );
    assert_eq!(sandbox.left_behind(), Vec::<String>::new());
}
