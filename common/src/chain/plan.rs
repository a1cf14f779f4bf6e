//! A run as shell commands: what `faas-chain run` does, spelled out, to be
//! pasted, changed and spread over terminals.

use super::Placement;
use super::model::Chain;
use std::path::Path;

/// The commands for a run of the chain in `file`, on the events of a file or
/// of stdin.
pub fn shell(chain: &Chain, file: &Path, placement: &Placement, events: Option<&Path>) -> String {
    let file = quote(&file.display().to_string());
    let (run, home) = (&placement.run, &placement.middlewares[0]);
    let reply = quote(&home.with_name(&placement.reply).to_string());
    let via = match placement.home().on_one_host {
        true => String::new(),
        false => format!(" --via {}", quote(&home.to_string())),
    };
    let mut text = format!(
        "# chain {}: {} functions, {} rules, run {run}\n\
         # queues\n\
         faas-queue new --chain {file} --run {run}{via}\n\
         # invokers, one for each function; any number may serve the same one\n",
        chain.name,
        chain.functions.len(),
        chain.rules.len(),
    );
    for function in &chain.functions {
        text += &format!(
            "faas-invoke --chain {file} --run {run}{via} --functions {} &\n",
            function.name
        );
    }
    // A shell gives what it puts into the background no stdin.
    let (keep_stdin, source) = match events {
        Some(events) => ("", quote(&events.display().to_string())),
        None => ("exec 3<&0\n", "&3".to_owned()),
    };
    text + &format!(
        "# events; in the background, for the queues are bounded\n\
         {keep_stdin}faas-trigger --chain {file} --run {run}{via} <{source} &\n\
         # results as they come, until none has come for 5 s (give it longer than the\n\
         # slowest function takes); every end of a branch is kept in a file\n\
         faas-queue get -n 1000000000 --timeout 5s {reply} |\n\
             tee {run}.ends.ndjson | jq -c 'select(.faasverdict == \"result\")'\n\
         jq -c 'select(.faasverdict == \"dead\")' {run}.ends.ndjson >{run}.dead.ndjson\n\
         # the end: the invokers see that the run is gone, and stop\n\
         faas-queue rm --run {run}{via}\n"
    )
}

/// A word for the shell.
fn quote(word: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "/._-+=:,@%".contains(c);
    if !word.is_empty() && word.chars().all(plain) {
        word.to_owned()
    } else {
        format!("'{}'", word.replace('\'', "'\\''"))
    }
}
