//! Every example runs on its own data and gives what it says.

use faas_tests::Sandbox;

fn results(example: &str, shape: &str, input: &str) -> (Vec<String>, String) {
    let sandbox = Sandbox::new();
    let folder = sandbox.copy(&format!("examples/{example}"));
    let script = format!(
        "cd {example}; faas-chain run -o {shape} --dead ../dead.ndjson chain.json < {input}"
    );
    let came = sandbox.sh(&script);
    assert!(came.code <= 1, "{came:?}");
    let dead = std::fs::read_to_string(sandbox.path().join("dead.ndjson")).unwrap_or_default();
    assert_eq!(came.code, i32::from(!dead.is_empty()));
    assert_eq!(sandbox.left_behind(), Vec::<String>::new());
    let mut lines: Vec<String> = came.stdout.lines().map(str::to_owned).collect();
    lines.sort();
    drop(folder);
    (lines, dead)
}

fn expected(file: &str) -> Vec<String> {
    let text = std::fs::read_to_string(faas_tests::repository().join("examples").join(file));
    let mut lines: Vec<String> = text.expect("it is there").lines().map(str::to_owned).collect();
    lines.sort();
    lines
}

#[test]
fn orders() {
    let (lines, dead) = results("orders", "lines", "orders.ndjson");
    assert_eq!(lines, expected("orders/expected.ndjson"));
    assert_eq!(dead.lines().count(), 1);
    assert!(dead.contains("\"faasfunction\":\"parse\"") && dead.contains("not an order"), "{dead}");
}

#[test]
fn words_map_and_reduce() {
    let (lines, dead) = results("words", "lines", "carroll.txt");
    assert_eq!(lines, expected("words/expected.ndjson"));
    assert_eq!(dead, "");
}

#[test]
fn collatz_loops() {
    let (lines, dead) = results("collatz", "lines", "numbers.txt");
    assert_eq!(lines, expected("collatz/expected.ndjson"));
    assert_eq!(dead, "");
}

#[test]
fn logs() {
    let (lines, dead) = results("logs", "lines", "access.log");
    assert_eq!(lines, expected("logs/expected.txt"));
    assert_eq!(dead, "");
}

#[test]
fn files() {
    let (lines, dead) = results("files", "lines", "files.txt");
    assert_eq!(lines, expected("files/expected.txt"));
    assert_eq!(dead, "");
}

#[test]
fn a_web_function_behind_a_filter() {
    let (lines, dead) = results("web", "lines", "orders.ndjson");
    assert_eq!(lines, expected("web/expected.ndjson"));
    assert_eq!(dead, "");
}

/// User namespaces are not granted everywhere: then the reason is printed.
#[test]
fn functions_in_a_sandbox() {
    let sandbox = Sandbox::new();
    let tried = sandbox.sh("bwrap --unshare-all --ro-bind / / true");
    if tried.code != 0 {
        eprintln!("the example sandbox is not run: {}", tried.stderr.trim());
        return;
    }
    let (lines, dead) = results("sandbox", "lines", "words.txt");
    assert_eq!(lines, expected("sandbox/expected.txt"));
    assert_eq!(dead, "");
}

#[test]
fn one_step_alone() {
    let sandbox = Sandbox::new();
    sandbox.copy("examples/orders");
    let script = "head -1 orders/orders.ndjson | faas-chain test orders/chain.json price";
    let came = sandbox.sh(script);
    assert_eq!(came.code, 0, "{came:?}");
    let output: serde_json::Value = serde_json::from_str(&came.stdout).expect("one event");
    assert_eq!(output["data"]["total"], 3.5);
    assert_eq!(output["faasto"], "ship (rules[2])");
    assert!(came.stderr.contains("price -> ship (rules[2])"), "{}", came.stderr);
    let document =
        sandbox.ok("faas-chain test -o lines orders/chain.json price < orders/one-order.json");
    assert!(document.contains("\"total\":59.97"), "a document on several lines: {document}");
    let refused = sandbox.sh("echo 5 | faas-chain test orders/chain.json parse");
    assert_eq!(refused.code, 1);
    assert!(refused.stderr.contains("the input would be a dead letter"), "{}", refused.stderr);
    let unknown = sandbox.sh("echo 5 | faas-chain test orders/chain.json pirce");
    assert_eq!(unknown.code, 2);
    assert!(unknown.stderr.contains("try: price"), "{}", unknown.stderr);
}

#[test]
fn pictures() {
    let sandbox = Sandbox::new();
    sandbox.copy("examples/orders");
    insta::assert_snapshot!("mermaid", sandbox.ok("faas-chain graph orders/chain.json"));
    insta::assert_snapshot!("dot", sandbox.ok("faas-chain graph -o dot orders/chain.json"));
    insta::assert_snapshot!("check", sandbox.ok("faas-chain check orders/chain.json"));
}

/// The plan is pasted into a shell, as it stands.
#[test]
fn the_plan_works_when_pasted() {
    let sandbox = Sandbox::new();
    sandbox.copy("examples/files");
    let plan = sandbox.ok("faas-chain plan --run $R files/chain.json");
    insta::assert_snapshot!("plan", sandbox.redacted(&plan));
    let pasted = "cp -r files/data . && faas-chain plan --run $R files/chain.json > plan.sh && bash plan.sh < files/files.txt | jq -r .data | sort && wait";
    let lines: Vec<String> = sandbox.ok(pasted).lines().map(str::to_owned).collect();
    assert_eq!(lines, expected("files/expected.txt"));
    assert_eq!(sandbox.left_behind(), Vec::<String>::new());
}
