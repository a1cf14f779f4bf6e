//! What the lines on a filter's stdout mean. Pure: it sees bytes only.
//!
//! One line in flight: the next line is its answer, held back until the
//! filter asks for more, and void if another line follows it. Several in
//! flight: each answer is an event that carries the id of the one it answers.

use crate::limits::BODY_MAX;

/// Calls in flight, and what came back.
#[derive(Debug, Default)]
pub struct Lines {
    /// Whether answers carry ids.
    by_id: bool,
    /// Calls without an accepted answer, and the ids of their events.
    in_flight: Vec<(u64, String)>,
    answers: Vec<(u64, Vec<u8>)>,
    partial: Vec<u8>,
}

/// Breaks of the protocol: the filter cannot be trusted any more.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Breach {
    /// Output while nothing was asked.
    #[error("filter: it printed a line that answers nothing: {0}")]
    Stray(String),
    /// A second line for one.
    #[error("filter: it answered with more than a line: {0}")]
    Second(String),
    /// An answer without a known id.
    #[error("filter: an answer carries the id of no event in flight: {0}")]
    UnknownId(String),
    /// A line over the limit of a body.
    #[error("filter: a line over the limit of 1 GiB")]
    TooLong,
}

impl Lines {
    /// For a filter with one line in flight, or with several whose answers
    /// carry ids.
    pub fn new(by_id: bool) -> Self {
        Self { by_id, ..Self::default() }
    }

    /// A line was sent for this call.
    pub fn ask(&mut self, call: u64, id: &str) {
        self.in_flight.push((call, id.to_owned()));
    }

    /// Calls without an accepted answer.
    pub fn in_flight(&self) -> usize {
        self.in_flight.len()
    }

    /// Whether an answer waits to be accepted.
    pub fn has_answer(&self) -> bool {
        !self.answers.is_empty()
    }

    /// Takes in what the filter printed.
    ///
    /// # Errors
    /// It broke the protocol. Answers that carry ids and came before stay
    /// good; an answer that did not is void, its call still in flight.
    pub fn hear(&mut self, mut bytes: &[u8]) -> Result<(), Breach> {
        while let Some(end) = bytes.iter().position(|&byte| byte == b'\n') {
            self.partial.extend_from_slice(&bytes[..end]);
            bytes = &bytes[end + 1..];
            let line = std::mem::take(&mut self.partial);
            self.line(line)?;
        }
        self.partial.extend_from_slice(bytes);
        if self.partial.len() as u64 > BODY_MAX {
            return Err(Breach::TooLong);
        }
        // Half a line answers nothing either, if nothing is open.
        if !self.partial.is_empty() && self.open() == 0 {
            let said = excerpt(&self.partial);
            return Err(self.breach(said));
        }
        Ok(())
    }

    /// Accepts the answers that are there: the filter asks for more, or ended.
    pub fn accept(&mut self) -> Vec<(u64, Vec<u8>)> {
        let answers = std::mem::take(&mut self.answers);
        self.in_flight.retain(|(call, _)| !answers.iter().any(|(answered, _)| answered == call));
        answers
    }

    /// Gives up all calls in flight.
    pub fn abandon(&mut self) -> Vec<u64> {
        self.answers.clear();
        std::mem::take(&mut self.in_flight).into_iter().map(|(call, _)| call).collect()
    }

    /// Calls that wait for an answer.
    fn open(&self) -> usize {
        self.in_flight.len() - self.answers.len()
    }

    fn line(&mut self, line: Vec<u8>) -> Result<(), Breach> {
        if self.open() == 0 {
            return Err(self.breach(excerpt(&line)));
        }
        let call = if self.by_id {
            let known = id_of(&line).and_then(|id| {
                let open = |call: u64| !self.answers.iter().any(|(held, _)| *held == call);
                self.in_flight.iter().find(|(call, held)| *held == id && open(*call))
            });
            known.map(|(call, _)| *call).ok_or_else(|| Breach::UnknownId(excerpt(&line)))?
        } else {
            self.in_flight[0].0
        };
        self.answers.push((call, line));
        Ok(())
    }

    fn breach(&mut self, said: String) -> Breach {
        if self.by_id || self.answers.is_empty() {
            Breach::Stray(said)
        } else {
            self.answers.clear();
            Breach::Second(said)
        }
    }
}

/// The id of an event on a line.
fn id_of(line: &[u8]) -> Option<String> {
    #[derive(serde::Deserialize)]
    struct Id {
        id: String,
    }
    serde_json::from_slice::<Id>(line).ok().map(|found| found.id)
}

/// The beginning of what it said, for people.
fn excerpt(bytes: &[u8]) -> String {
    const LONGEST: usize = 40;
    let text: String = String::from_utf8_lossy(&bytes[..bytes.len().min(4 * LONGEST)])
        .chars()
        .map(|c| if c.is_control() { ' ' } else { c })
        .collect();
    match text.char_indices().nth(LONGEST) {
        Some((end, _)) => format!("`{}...`", &text[..end]),
        None => format!("`{text}`"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn asked(by_id: bool, calls: &[u64]) -> Lines {
        let mut lines = Lines::new(by_id);
        calls.iter().for_each(|call| lines.ask(*call, &format!("e{call}")));
        lines
    }

    #[test]
    fn a_line_answers_the_one_in_flight() {
        let mut lines = asked(false, &[7]);
        assert_eq!(lines.hear(b"ab"), Ok(()));
        assert!(!lines.has_answer());
        assert_eq!(lines.hear(b"c\n"), Ok(()));
        assert_eq!(lines.accept(), [(7, b"abc".to_vec())]);
        assert_eq!(lines.in_flight(), 0);
    }

    #[test]
    fn a_second_line_voids_the_first() {
        for second in [&b"x\ny\n"[..], b"x\ny"] {
            let mut lines = asked(false, &[7]);
            assert!(matches!(lines.hear(second), Err(Breach::Second(said)) if said == "`y`"));
            assert!(!lines.has_answer());
            assert_eq!(lines.abandon(), [7]);
        }
        let mut lines = asked(false, &[7]);
        assert_eq!(lines.hear(b"x\n"), Ok(()));
        assert!(matches!(lines.hear(b"y"), Err(Breach::Second(_))));
        assert_eq!(lines.abandon(), [7]);
    }

    #[test]
    fn output_before_a_question_is_a_breach() {
        assert!(matches!(Lines::new(false).hear(b"ready> "), Err(Breach::Stray(_))));
        let mut lines = asked(false, &[1]);
        lines.hear(b"one\n").expect("an answer");
        lines.accept();
        assert!(matches!(lines.hear(b"\n"), Err(Breach::Stray(_))));
    }

    #[test]
    fn answers_with_ids_come_in_any_order() {
        let mut lines = asked(true, &[1, 2, 3]);
        let said = b"{\"id\":\"e3\",\"x\":1}\n{\"id\":\"e1\"}\n{\"id\":\"e9\"}\n";
        assert!(matches!(lines.hear(said), Err(Breach::UnknownId(_))));
        let answered: Vec<u64> = lines.accept().into_iter().map(|(call, _)| call).collect();
        assert_eq!(answered, [3, 1]);
        assert_eq!(lines.abandon(), [2]);
    }

    #[test]
    fn an_id_answers_once() {
        let mut lines = asked(true, &[1, 2]);
        assert!(lines.hear(b"{\"id\":\"e1\"}\n{\"id\":\"e1\"}\n").is_err());
    }

    proptest! {
        /// However the bytes are cut, the same is heard.
        #[test]
        fn chunks_do_not_matter(said in "[a-c\n]{0,12}", cuts in prop::collection::vec(0_usize..12, 0..4)) {
            let mut whole = asked(false, &[1]);
            let at_once = whole.hear(said.as_bytes()).is_ok();
            let mut cuts: Vec<usize> = cuts.into_iter().map(|cut| cut.min(said.len())).collect();
            cuts.extend([0, said.len()]);
            cuts.sort_unstable();
            let mut pieces = asked(false, &[1]);
            let ok = cuts.windows(2).all(|cut| pieces.hear(&said.as_bytes()[cut[0]..cut[1]]).is_ok());
            prop_assert_eq!(ok, at_once);
            prop_assert_eq!(pieces.accept(), whole.accept());
        }
    }
}
