//! Completion, asked as a shell asks, and in the shells themselves.

use faas_tests::screen::Screen;
use faas_tests::{Sandbox, repository};

/// What the tool says could stand for the last word.
fn asked(sandbox: &Sandbox, words: &str) -> Vec<String> {
    let tool = words.split(' ').next().expect("a tool");
    let out = sandbox.ok(&format!("_FAAS_COMPLETE=last {tool} -- {words}"));
    out.lines().map(str::to_owned).collect()
}

#[test]
fn queues_runs_profiles_and_words_are_offered() {
    let sandbox = Sandbox::new();
    sandbox.ok("faas-queue new ${P}jobs ${P}jobs.dead; seq 2 | faas-queue put ${P}jobs
        faas-queue profile add here mq: 2> /dev/null
        faas-queue profile add vault redis://127.0.0.1:1/0 --password-command 'touch ran' 2>&1
        cat > chain.json <<< '{\"chain\":\"one\",\"functions\":{\"a\":{\"run\":[\"cat\"]}},
          \"start\":\"a\",\"rules\":[{\"from\":\"a\",\"to\":\"@result\"}]}'
        faas-queue new --chain chain.json --run $R");
    let both = asked(&sandbox, "faas-queue peek ${P}jo");
    assert!(both[0].ends_with("jobs\t2 messages") && both[1].ends_with("jobs.dead\t0 messages"));
    let run = asked(&sandbox, "faas-queue tail --chain $R");
    assert!(run.len() == 1 && run[0].ends_with("-run"), "{run:?}");
    for (words, wanted) in [
        ("faas-queue ls @h", "@here/\tmq:"),
        ("faas-queue profile rm he", "here\tmq:"),
        ("faas-queue top kaf", "kafka://\tApache Kafka topics"),
        ("faas-queue get -o fr", "frames\tBodies after their 32-bit big-endian lengths"),
        ("faas-queue red", "redrive\tSend dead letters back to where they failed"),
        ("faas-invoke --from @h", "@here/\tmq:"),
        ("faas-invoke -- ./ch", "./chain.json"),
        ("faas-trigger --chain ch", "chain.json"),
        ("faas-chain run ch", "chain.json"),
    ] {
        assert_eq!(asked(&sandbox, words), [wanted], "{words}");
    }
    // No program is run, no server that is not there is waited for.
    assert_eq!(asked(&sandbox, "faas-queue ls @vault/j"), Vec::<String>::new());
    assert_eq!(asked(&sandbox, "faas-queue ls redis://127.0.0.1:1/0/"), Vec::<String>::new());
    assert!(!sandbox.path().join("ran").exists());
    // A configuration that cannot be read offers nothing, and says nothing.
    sandbox.file("faas.toml", "x = [");
    assert_eq!(asked(&sandbox, "faas-queue ls @h"), Vec::<String>::new());
    std::fs::remove_file(sandbox.path().join("faas.toml")).expect("it is there");
    sandbox.ok("faas-queue rm --yes --run $R; faas-queue rm --yes ${P}jobs ${P}jobs.dead");
    assert_eq!(sandbox.left_behind(), Vec::<String>::new());
}

/// Sources the script in a shell, types the beginning of an address and
/// presses TAB, which must bring the rest.
fn completes_in(shell: &str, begin: &str) {
    let sandbox = Sandbox::new();
    sandbox.ok("faas-queue new ${P}jobs; faas-queue profile add here mq: 2> /dev/null");
    let screen = Screen::start(&sandbox, (120, 30), shell);
    screen.press(&[&begin.replace("REPOSITORY", &repository().display().to_string()), "Enter"]);
    screen.press(&["echo begun | tr a-z A-Z", "Enter"]);
    screen.shows("BEGUN");
    let queue = sandbox.url("jobs");
    for (typed, wanted) in [
        (format!("faas-queue peek {}", &queue[..queue.len() - 3]), format!("peek {queue}")),
        (
            format!("faas-queue peek @here/{}", &queue[4..queue.len() - 3]),
            "@here/".to_owned() + &queue[4..],
        ),
        ("faas-queue ls @he".to_owned(), "ls @here/".to_owned()),
        ("faas-queue get --outp".to_owned(), "get --output".to_owned()),
    ] {
        screen.press(&[&typed, "Tab"]);
        screen.shows(&wanted);
        screen.press(&["C-c"]);
        screen.press(&["clear", "Enter"]);
    }
    drop(screen);
    sandbox.ok("faas-queue rm ${P}jobs");
}

#[test]
fn bash_asks_the_tool() {
    completes_in("bash --norc --noprofile", "source REPOSITORY/completions/faas-queue.bash");
}

/// Names are chosen by others.
#[test]
fn bash_runs_nothing_that_is_in_a_name() {
    let sandbox = Sandbox::new();
    sandbox.ok("faas-queue new \"${P}j\\$(touch ran)\" \"${P}x y\"");
    let screen = Screen::start(&sandbox, (120, 30), "bash --norc --noprofile");
    let script = repository().join("completions/faas-queue.bash").display().to_string();
    screen.press(&[&format!("source {script}"), "Enter"]);
    for (begin, whole) in [("j", "$(touch ran)"), ("x", " y")] {
        let queue = sandbox.url(begin);
        screen.press(&[&format!("faas-queue stat {queue}"), "Tab"]);
        screen.shows("\\");
        screen.press(&["Enter"]);
        screen.shows(&format!("queue           {queue}{whole}"));
        screen.press(&["clear", "Enter"]);
    }
    drop(screen);
    assert!(!sandbox.path().join("ran").exists());
    sandbox.ok("faas-queue rm \"${P}j\\$(touch ran)\" \"${P}x y\"");
}

#[test]
fn zsh_asks_the_tool() {
    let begin = "fpath=(REPOSITORY/completions $fpath); autoload -U compinit; compinit -D -u";
    completes_in("zsh -f", begin);
}

#[test]
fn fish_asks_the_tool() {
    completes_in("fish --no-config", "source REPOSITORY/completions/faas-queue.fish");
}
