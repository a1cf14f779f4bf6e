//! Shared memory that is damaged, or was not made by these tools, is refused
//! and said; it is never trusted, and nothing else is lost with it.

use faas_tests::Sandbox;

const CHAIN: &str = r#"{ "chain": "c", "functions": { "a": { "run": ["cat"] }, "b": { "run": ["cat"] },
    "j": { "run": ["jq", "-c", "."], "join": "all" } },
  "start": ["a", "b"], "rules": [ { "from": ["a", "b"], "to": "j" } ] }"#;

const GARBAGE: &str = "garbage-garbage-garbage-garbage-garbage";

#[test]
fn a_ledger() {
    let sandbox = Sandbox::new();
    let script = format!(
        "faas-queue new ${{P}}q; head -c 9000 /dev/zero | faas-queue put -i raw ${{P}}q; \
         printf {GARBAGE} | dd of=$(echo state/bodies/*/ledger) conv=notrunc 2>dd; \
         faas-queue get -n1 ${{P}}q; echo $?; faas-queue rm --yes ${{P}}q"
    );
    let came = sandbox.sh(&script);
    assert!(came.stdout.ends_with("69\n") && !came.stdout.contains("\"data\""), "{came:?}");
    assert!(came.stderr.contains("ledger is damaged or was not made by these tools"), "{came:?}");
    assert_eq!(sandbox.left_behind(), Vec::<String>::new());
}

#[test]
fn a_spill_file() {
    let sandbox = Sandbox::new();
    sandbox.file("chain.json", CHAIN);
    let script = format!(
        "faas-queue new --chain chain.json --run $R; \
         echo 1 | faas-trigger --chain chain.json --run $R; \
         printf {GARBAGE} > $(echo state/spill/*.j); \
         faas-invoke --chain chain.json --run $R --functions a -n1; echo $?; \
         rm state/spill/*.j; faas-invoke --chain chain.json --run $R --functions a --idle 1s; \
         faas-queue ls -o json | jq -c 'select(.queue | endswith(\".j\")) | [.depth, .held]'; \
         faas-queue rm --yes --run $R"
    );
    let came = sandbox.sh(&script);
    assert_eq!(came.stdout, "69\n[1,0]\n", "{came:?}");
    assert!(came.stderr.contains("its header is wrong"), "{came:?}");
    assert_eq!(sandbox.left_behind(), Vec::<String>::new());
}

#[test]
fn a_journal_of_a_join() {
    let sandbox = Sandbox::new();
    sandbox.file("chain.json", CHAIN);
    let script = format!(
        "faas-queue new --chain chain.json --run $R; \
         echo 1 | faas-trigger --chain chain.json --run $R; \
         invoke() {{ faas-invoke --chain chain.json --run $R --functions \"$@\"; }}; \
         invoke a -n1; invoke j -n1; size=$(stat -c %s state/gather/*.j/00000001); \
         printf {GARBAGE} | dd of=$(echo state/gather/*.j/00000001) conv=notrunc 2>dd; \
         invoke b -n1; invoke j --idle 1s; echo $?; \
         [ $(stat -c %s state/gather/*.j/00000001) = $size ] && echo kept; \
         faas-queue ls -o json | jq -c 'select(.queue | endswith(\".j\")) | [.depth, .held]'; \
         faas-queue rm --yes --run $R"
    );
    let came = sandbox.sh(&script);
    assert_eq!(came.stdout, "69\nkept\n[1,0]\n", "{came:?}");
    assert!(came.stderr.contains("a record of its journal is damaged"), "{came:?}");
    assert_eq!(sandbox.left_behind(), Vec::<String>::new());
}

#[test]
fn slots() {
    let sandbox = Sandbox::new();
    let script = format!(
        "faas-queue new ${{P}}q; seq 3 | faas-queue put ${{P}}q; \
         mkdir -p state/slots/$(basename ${{P}}q); \
         printf {GARBAGE} > state/slots/$(basename ${{P}}q)/99999-0badcafe; \
         faas-queue get -n3 -o lines ${{P}}q; echo $?; faas-queue rm --yes ${{P}}q"
    );
    let came = sandbox.sh(&script);
    assert_eq!(came.stdout, "1\n2\n3\n0\n", "the others are not held up: {came:?}");
    assert!(came.stderr.contains("its length is wrong"), "{came:?}");
    assert_eq!(sandbox.left_behind(), Vec::<String>::new());
}
