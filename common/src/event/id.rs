//! Ids of the events a function makes. They follow from what caused them, so
//! that a step done again sends the same ids again.

use sha2::{Digest, Sha256};

/// What an output's id is derived from.
#[derive(Debug, Clone, Copy)]
pub struct Origin<'a> {
    /// The invocation, or the run-less equivalent; may be empty.
    pub invocation: &'a str,
    /// Source of the message that was taken.
    pub parent_source: &'a str,
    /// Id of the message that was taken.
    pub parent_id: &'a str,
    /// The function that ran.
    pub function: &'a str,
}

/// The id of the output at `position` of a call that goes by `branch` (the
/// rule's index, or `result`) to `target`: 128 bits of SHA-256, in hex.
pub fn derive(origin: Origin<'_>, branch: &str, target: &str, position: usize) -> String {
    let mut hash = Sha256::new();
    for part in
        [origin.invocation, origin.parent_source, origin.parent_id, origin.function, branch, target]
    {
        // Lengths first: otherwise ("ab", "c") and ("a", "bc") would be one.
        hash.update((part.len() as u64).to_be_bytes());
        hash.update(part.as_bytes());
    }
    hash.update((position as u64).to_be_bytes());
    hex(&hash.finalize()[..16])
}

/// The digest of a chain file, as invokers compare it.
pub fn digest(bytes: &[u8]) -> String {
    hex(&Sha256::digest(bytes)[..16])
}

fn hex(bytes: &[u8]) -> String {
    const DIGITS: [char; 16] =
        ['0', '1', '2', '3', '4', '5', '6', '7', '8', '9', 'a', 'b', 'c', 'd', 'e', 'f'];
    let halves = bytes.iter().flat_map(|byte| [byte >> 4, byte & 0xf]);
    let mut text = String::with_capacity(bytes.len() * 2);
    halves.for_each(|half| text.push(DIGITS[usize::from(half)]));
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_part_counts() {
        let origin = |invocation, parent_id, function| Origin {
            invocation,
            parent_source: "s",
            parent_id,
            function,
        };
        let ids = [
            derive(origin("i", "p", "f"), "0", "t", 0),
            derive(origin("j", "p", "f"), "0", "t", 0),
            derive(origin("i", "q", "f"), "0", "t", 0),
            derive(origin("i", "p", "g"), "0", "t", 0),
            derive(origin("i", "p", "f"), "1", "t", 0),
            derive(origin("i", "p", "f"), "0", "u", 0),
            derive(origin("i", "p", "f"), "0", "t", 1),
            derive(origin("ip", "", "f"), "0", "t", 0),
        ];
        let distinct: std::collections::HashSet<_> = ids.iter().collect();
        assert_eq!(distinct.len(), ids.len());
        assert_eq!(ids[0], derive(origin("i", "p", "f"), "0", "t", 0));
        assert_eq!(hex(&[0, 0x7f, 0xa9]), "007fa9");
    }
}
