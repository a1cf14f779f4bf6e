//! Dead letters, and trying them once more.

use faas_tests::Sandbox;

const CHAIN: &str = r#"{ "chain": "c", "functions": {
    "first":  { "run": ["cat"] },
    "second": { "run": ["./second.sh"], "retries": 1, "backoff": "1ms" },
    "third":  { "run": ["rev"] } },
  "start": "first", "rules": [
    { "from": "first", "to": "second" },
    { "from": "second", "when": "test(\"x\")", "to": "@result" },
    { "from": "second", "when": "test(\"y\")", "to": "third" } ] }"#;

const SECOND: &str = "#!/bin/sh\nread -r l\n[ -e mended ] || case $l in *3*) echo oops >&2; exit 9;; esac\necho $l\n";

#[test]
fn letters_enter_where_they_failed() {
    let sandbox = Sandbox::new();
    sandbox.file("chain.json", CHAIN);
    sandbox.file("second.sh", SECOND);
    let run = "printf 'x1\\ny2\\nx3\\nz4\\n{bad\\n' | faas-chain run -q --dead d1 -o lines chain.json | sort";
    assert_eq!(sandbox.sh(run).stdout, "2y\nx1\n");
    let seen = sandbox.ok("jq -c '[.faasfunction, .faasreason[:7], .faasattempts, .faasexit, .faasstderr, .data]' d1 | sort");
    let expected = concat!(
        "[\"@trigger\",\"line 5:\",0,null,null,\"{bad\"]\n",
        "[\"second\",\"exit 9\",2,\"exit 9\",\"oops\",\"x3\"]\n",
        "[\"second\",\"no rule\",null,null,null,\"z4\"]\n"
    );
    assert_eq!(seen, expected);
    sandbox.file("mended", "");
    sandbox.file("chain.json", &CHAIN.replace("\\\"y\\\"", "\\\"[yz]\\\""));
    let came = sandbox.sh(
        "faas-chain run --redrive d1 --dead d2 -o lines chain.json | sort; exit ${PIPESTATUS[0]}",
    );
    assert_eq!((came.code, came.stdout.as_str()), (1, "4z\nx3\n"), "{}", came.stderr);
    assert!(came.stderr.contains("cannot redrive line "), "{}", came.stderr);
    assert!(came.stderr.contains("mend the line, and feed it as input"), "{}", came.stderr);
    assert_eq!(sandbox.ok("jq -r .data d2"), "{bad\n", "what is refused is kept");
    assert_eq!(sandbox.left_behind(), Vec::<String>::new());
}

#[test]
fn a_join_ahead_is_refused_with_the_cure() {
    let sandbox = Sandbox::new();
    let chain = r#"{ "chain": "c", "functions": { "a": { "run": ["./a.sh"], "retries": 0 },
        "b": { "run": ["cat"] }, "j": { "run": ["./j.sh"], "join": "all", "retries": 0 } },
      "start": ["a", "b"], "rules": [ { "from": ["a", "b"], "to": "j" } ] }"#;
    sandbox.file("chain.json", chain);
    sandbox.file("a.sh", "#!/bin/sh\n[ -e a.ok ] && cat || exit 3\n");
    sandbox.file("j.sh", "#!/bin/sh\n[ -e j.ok ] && jq -c . || exit 4\n");
    sandbox.sh("echo 1 | faas-chain run -q --dead d1 chain.json");
    assert_eq!(sandbox.ok("jq -r .faasreason d1 | sort"), "exit 3\njoin: a part failed\n");
    let came = sandbox.sh("faas-chain run --redrive d1 --dead d2 chain.json");
    assert_eq!((came.code, came.stdout.as_str()), (1, ""), "{}", came.stderr);
    assert_eq!(came.stderr.matches("the join j is ahead").count(), 2, "{}", came.stderr);
    assert!(came.stderr.contains("try: feed the original input"), "{}", came.stderr);
    assert_eq!(
        sandbox.ok("wc -l < d2; jq -r .faasreason d2 | sort"),
        "2\nexit 3\njoin: a part failed\n"
    );
    // A join that itself failed has all of its parts in its letter.
    sandbox.file("a.ok", "");
    sandbox.sh("echo 2 | faas-chain run -q --dead d3 chain.json");
    assert_eq!(sandbox.ok("jq -r .faasfunction d3"), "j\n");
    sandbox.file("j.ok", "");
    let out = sandbox.ok("faas-chain run -q --redrive d3 -o lines chain.json");
    assert_eq!(out, "{\"a\":2,\"b\":2}\n");
    assert_eq!(sandbox.left_behind(), Vec::<String>::new());
}

#[test]
fn letters_go_to_a_queue_without_what_their_failure_added() {
    let sandbox = Sandbox::new();
    let script = "printf 'a\\nb\\n' | faas-invoke -q --retries 0 -- false; faas-queue new ${P}q; \
                  faas-trigger -v --redrive false.dead.ndjson --to ${P}q; \
                  faas-queue get -n 2 ${P}q | jq -c '[.data, ([keys[] | select(startswith(\"faas\"))] | length)]'; \
                  faas-queue rm --yes ${P}q";
    assert_eq!(sandbox.sh(script).stdout, "[\"a\",0]\n[\"b\",0]\n");
}

#[test]
fn what_cannot_be_redriven_says_why() {
    let sandbox = Sandbox::new();
    sandbox.file("chain.json", CHAIN);
    sandbox.file("second.sh", SECOND);
    sandbox.file("d", "{\"specversion\":\"1.0\",\"id\":\"1\",\"source\":\"s\",\"type\":\"t\",\"faasfunction\":\"nobody\",\"data\":1}\n{\"specversion\":\"1.0\",\"id\":\"2\",\"source\":\"s\",\"type\":\"t\",\"data\":2}\nplain\n");
    let came = sandbox.sh("faas-chain run --redrive d --dead d2 chain.json");
    assert_eq!(came.code, 1, "{came:?}");
    for said in ["chain c has no function nobody", "it names no function"] {
        assert!(came.stderr.contains(said), "{said}: {}", came.stderr);
    }
    assert_eq!(sandbox.ok("wc -l < d2"), "3\n", "nothing is lost");
    assert_eq!(sandbox.sh("faas-chain run --redrive nowhere chain.json").code, 1);
    let came = sandbox.sh("faas-chain run --redrive d --dead d chain.json");
    assert_eq!(came.code, 2, "{came:?}");
    assert_eq!(sandbox.left_behind(), Vec::<String>::new());
}
