//! Names of a run's queues, so that two runs never meet.

/// Name of the queue that ended credit and results go to. No function can
/// have this name.
const REPLY: &str = "_reply";

/// Name of a function's input queue: on the queues of one host with the user,
/// who has all others there to be told from.
pub fn input(on_one_host: bool, run: &str, function: &str) -> String {
    match on_one_host {
        true => format!("faas.{}.{run}.{function}", nix::unistd::geteuid()),
        false => format!("faas.{run}.{function}"),
    }
}

/// Name of a run's reply queue.
pub fn reply(on_one_host: bool, run: &str) -> String {
    input(on_one_host, run, REPLY)
}

/// Name of the queue of copies of a run, which is there while somebody looks.
pub fn tap(on_one_host: bool, run: &str) -> String {
    input(on_one_host, run, "_tap")
}

/// Name of the reply queue of one trigger, which waits for its own results;
/// `reply` is the run's own.
pub fn reply_of(reply: &str, word: &str) -> String {
    format!("{reply}-{word}")
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
