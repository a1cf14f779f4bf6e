//! What things are called on the server. All keys of a run, and all of one
//! queue, have the same hash tag, so that they are on one node of a cluster.

use crate::queue::run_of;

/// The name of no reader: what was given back is under it until it is taken.
pub(super) const NOBODY: &str = "faas.nobody";

/// How names of queues of dead letters end.
const DEAD: &str = ".dead";

/// Where keys are: on one server, or on the nodes of a cluster.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Keys {
    pub(super) is_cluster: bool,
}

impl Keys {
    /// The stream of a queue: its name; in a cluster with the run as hash tag.
    pub(super) fn stream(self, name: &str) -> String {
        match run_of(name).filter(|_| self.is_cluster) {
            Some(run) => {
                let rest = &name["faas.".len() + run.len()..];
                format!("{{faas.{run}}}{rest}")
            }
            // Dead letters are on the node of what failed.
            None if self.is_cluster && tag(name).is_none() => match name.strip_suffix(DEAD) {
                Some(queue) => format!("{{{queue}}}{DEAD}"),
                None => name.to_owned(),
            },
            None => name.to_owned(),
        }
    }

    /// The queue of a stream.
    pub(super) fn name(self, stream: &str) -> String {
        match stream.strip_prefix("{faas.").and_then(|rest| rest.split_once('}')) {
            Some((run, rest)) if self.is_cluster => format!("faas.{run}{rest}"),
            _ => {
                let letters = stream.strip_prefix('{').and_then(|rest| rest.strip_suffix(DEAD));
                match letters.and_then(|rest| rest.strip_suffix('}')) {
                    Some(queue) if self.is_cluster => format!("{queue}{DEAD}"),
                    _ => stream.to_owned(),
                }
            }
        }
    }

    /// The note of a run.
    pub(super) fn run(self, run: &str) -> String {
        if self.is_cluster { format!("{{faas.{run}}}") } else { format!("faas.{run}") }
    }
}

/// Something that belongs to a stream, on the same node.
pub(super) fn beside(stream: &str, what: &str) -> String {
    match tag(stream) {
        Some(_) => format!("{stream}:{what}"),
        None => format!("{{{stream}}}:{what}"),
    }
}

/// The hash tag in a key, as a cluster reads it.
pub(super) fn tag(key: &str) -> Option<&str> {
    let (_, rest) = key.split_once('{')?;
    let (tag, _) = rest.split_once('}')?;
    (!tag.is_empty()).then_some(tag)
}

/// What of a key decides on its node.
pub(super) fn place(key: &str) -> &str {
    tag(key).unwrap_or(key)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_run_is_on_one_node() {
        let keys = Keys { is_cluster: true };
        let stream = keys.stream("faas.r7.parse");
        assert_eq!(stream, "{faas.r7}.parse");
        assert_eq!(keys.name(&stream), "faas.r7.parse");
        assert_eq!(place(&stream), place(&keys.stream("faas.r7._reply")));
        assert_eq!(place(&keys.run("r7")), "faas.r7");
        assert_eq!(keys.stream("jobs"), "jobs");
        assert_eq!(place(&keys.stream("jobs.dead")), "jobs");
        assert_eq!(keys.name(&keys.stream("jobs.dead")), "jobs.dead");
        assert_eq!(Keys::default().stream("faas.r7.parse"), "faas.r7.parse");
    }

    #[test]
    fn what_belongs_to_a_stream_is_on_its_node() {
        for stream in ["jobs", "{a}b", "x{y}z"] {
            assert_eq!(place(&beside(stream, "about")), place(stream));
        }
        assert_eq!(beside("jobs", "about"), "{jobs}:about");
    }
}
