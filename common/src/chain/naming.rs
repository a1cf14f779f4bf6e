//! Names of a run's queues, so that two runs never meet.

use super::model::Chain;

/// Name of the queue that ended credit and results go to. No function can
/// have this name.
const REPLY: &str = "_reply";

/// Name of a function's input queue on the queues of this host.
pub fn input(run: &str, function: &str) -> String {
    format!("faas.{}.{run}.{function}", nix::unistd::geteuid())
}

/// Name of a run's reply queue.
pub fn reply(run: &str) -> String {
    input(run, REPLY)
}

/// Name of the reply queue of one trigger, which waits for its own results.
pub fn reply_of(run: &str, word: &str) -> String {
    format!("{}-{word}", reply(run))
}

/// All queues of a run, with the function each belongs to.
pub fn all(chain: &Chain, run: &str) -> Vec<(Option<usize>, String)> {
    let inputs = chain.functions.iter().enumerate();
    let mut names: Vec<_> =
        inputs.map(|(index, function)| (Some(index), input(run, &function.name))).collect();
    names.push((None, reply(run)));
    names
}

/// Whether a text can name a run.
pub fn is_run_name(text: &str) -> bool {
    super::source::is_name(text)
}

/// A name for a run that nobody chose one for: the chain's, and four letters.
pub fn new_run(chain: &str, chance: u64) -> String {
    const LETTERS: &[u8; 32] = b"abcdefghijkmnpqrstuvwxyz23456789";
    let tail: String =
        (0..5).map(|i| char::from(LETTERS[(chance >> (5 * i)) as usize & 31])).collect();
    let kept: String = chain.chars().take(57).collect();
    format!("{kept}-{tail}")
}
