//! Help fits on a screen and has examples.

use faas_tests::Sandbox;

#[test]
fn help_of_every_tool() {
    let sandbox = Sandbox::new();
    let calls = [
        "faas-invoke -h",
        "faas-trigger -h",
        "faas-queue -h",
        "faas-queue get -h",
        "faas-queue peek -h",
        "faas-queue tail -h",
        "faas-queue top -h",
        "faas-queue ping -h",
        "faas-queue put -h",
        "faas-queue cp -h",
        "faas-queue mv -h",
        "faas-queue redrive -h",
        "faas-queue purge -h",
        "faas-queue rm -h",
        "faas-queue profile -h",
        "faas-chain -h",
        "faas-chain run -h",
    ];
    for call in calls {
        let text = sandbox.ok(call);
        assert!(text.contains("Examples:"), "{call} shows no example:\n{text}");
        assert!(text.lines().all(|line| line.chars().count() <= 100), "{call} is too wide");
        insta::assert_snapshot!(call.replace([' ', '-'], "_"), text);
    }
}

#[test]
fn versions() {
    let sandbox = Sandbox::new();
    for tool in ["faas-invoke", "faas-trigger", "faas-queue", "faas-chain"] {
        assert_eq!(sandbox.ok(&format!("{tool} --version")), format!("{tool} 0.1.0\n"));
    }
}
