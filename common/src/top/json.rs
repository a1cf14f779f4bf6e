//! A JSON text on lines of its own, with parts of it folded. It is cut at its
//! tokens and never parsed, so numbers stay what they are.

use super::fold::Fold;

/// What a piece of text is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// A name in an object.
    Name,
    /// A string.
    Text,
    /// A number, or true, false and null.
    Word,
    /// Brackets, commas, what is folded.
    Mark,
}

/// A line.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Line {
    /// What it is put together from.
    pub(super) pieces: Vec<(Kind, String)>,
    /// The object or array that begins on it, and can be folded.
    pub(super) part: Option<usize>,
}

/// The lines of a JSON text.
pub(super) fn lines(text: &str, fold: &Fold) -> Vec<Line> {
    let mut printer = Printer::new(fold);
    let mut tokens = Tokens(text).peekable();
    while let Some(token) = tokens.next() {
        let is_name = token.starts_with('"') && tokens.peek() == Some(&":");
        printer.take(token, is_name, tokens.peek().copied());
    }
    printer.end_line();
    printer.lines
}

/// The tokens of a JSON text, without the blanks between them.
struct Tokens<'a>(&'a str);

impl<'a> Iterator for Tokens<'a> {
    type Item = &'a str;

    fn next(&mut self) -> Option<&'a str> {
        self.0 = self.0.trim_start();
        let first = self.0.chars().next()?;
        let len = match first {
            '"' => string_len(self.0),
            '{' | '}' | '[' | ']' | ',' | ':' => 1,
            _ => self
                .0
                .find(|c: char| "{}[],:\"".contains(c) || c.is_whitespace())
                .unwrap_or(self.0.len()),
        };
        let (token, rest) = self.0.split_at(len);
        self.0 = rest;
        Some(token)
    }
}

fn string_len(text: &str) -> usize {
    let mut escaped = false;
    for (at, letter) in text.char_indices().skip(1) {
        match letter {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            '"' => return at + 1,
            _ => {}
        }
    }
    text.len()
}

struct Printer<'a> {
    fold: &'a Fold,
    lines: Vec<Line>,
    line: Line,
    level: usize,
    /// Objects and arrays that have begun.
    parts: usize,
    /// Members of what is folded, and how deep inside it we are.
    folded: Option<(usize, usize)>,
}

impl<'a> Printer<'a> {
    fn new(fold: &'a Fold) -> Self {
        let (lines, line) = (Vec::new(), Line::default());
        Self { fold, lines, line, level: 0, parts: 0, folded: None }
    }

    fn take(&mut self, token: &str, is_name: bool, next: Option<&str>) {
        if let Some((members, inside)) = self.folded {
            return self.inside_fold(token, members, inside);
        }
        let kind = match token.chars().next() {
            Some('"') if is_name => Kind::Name,
            Some('"') => Kind::Text,
            Some('{' | '}' | '[' | ']' | ',' | ':') => Kind::Mark,
            _ => Kind::Word,
        };
        match token {
            "{" | "[" => {
                self.push(kind, token);
                let is_empty = next == Some(if token == "{" { "}" } else { "]" });
                let part = self.parts;
                self.parts += 1;
                self.level += 1;
                if is_empty {
                    return;
                }
                self.line.part = Some(part);
                match self.fold.is_folded(part, self.level) {
                    true => self.folded = Some((1, 0)),
                    false => self.end_line(),
                }
            }
            "}" | "]" => {
                self.level = self.level.saturating_sub(1);
                let opened =
                    self.line.pieces.last().is_some_and(|(_, text)| text == "{" || text == "[");
                if !opened {
                    self.end_line();
                }
                self.push(kind, token);
            }
            "," => {
                self.push(kind, token);
                self.end_line();
            }
            ":" => self.push(kind, ": "),
            _ => self.push(kind, token),
        }
    }

    fn inside_fold(&mut self, token: &str, members: usize, inside: usize) {
        self.parts += usize::from(token == "{" || token == "[");
        self.folded = match token {
            "}" | "]" if inside == 0 => {
                self.level -= 1;
                self.push(Kind::Mark, &format!(" … {members} "));
                self.push(Kind::Mark, token);
                None
            }
            "{" | "[" => Some((members, inside + 1)),
            "}" | "]" => Some((members, inside - 1)),
            "," if inside == 0 => Some((members + 1, 0)),
            _ => Some((members, inside)),
        };
    }

    fn push(&mut self, kind: Kind, text: &str) {
        if self.line.pieces.is_empty() && self.level > 0 {
            self.line.pieces.push((Kind::Mark, "  ".repeat(self.level)));
        }
        let clean = text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
        self.line.pieces.push((kind, clean));
    }

    fn end_line(&mut self) {
        if !self.line.pieces.is_empty() {
            self.lines.push(std::mem::take(&mut self.line));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(text: &str, depth: usize) -> String {
        shown_as(text, &Fold::at(depth))
    }

    fn shown_as(text: &str, fold: &Fold) -> String {
        let line = |line: Line| line.pieces.into_iter().map(|(_, text)| text).collect::<String>();
        lines(text, fold).into_iter().map(line).collect::<Vec<_>>().join("\n")
    }

    #[test]
    fn folds_what_is_deep() {
        let text = r#"{"a":[1,{"b":2}],"c":{},"d":"x,\"y"}"#;
        assert_eq!(
            shown(text, 9),
            "{\n  \"a\": [\n    1,\n    {\n      \"b\": 2\n    }\n  ],\n  \"c\": {},\n  \"d\": \"x,\\\"y\"\n}"
        );
        assert_eq!(shown(text, 1), "{\n  \"a\": [ … 2 ],\n  \"c\": {},\n  \"d\": \"x,\\\"y\"\n}");
        assert_eq!(shown(text, 0), "{ … 3 }");
    }

    #[test]
    fn a_part_is_folded_by_itself() {
        let text = r#"{"a":{"b":[1,2]},"c":{"d":[3]}}"#;
        let mut fold = Fold::at(1);
        assert_eq!(shown_as(text, &fold), "{\n  \"a\": { … 1 },\n  \"c\": { … 1 }\n}");
        // What was begun inside of a fold is counted too.
        let parts: Vec<Option<usize>> = lines(text, &fold).iter().map(|line| line.part).collect();
        assert_eq!(parts, [Some(0), Some(1), Some(3), None]);
        fold.turn(3);
        assert_eq!(
            shown_as(text, &fold),
            "{\n  \"a\": { … 1 },\n  \"c\": {\n    \"d\": [ … 1 ]\n  }\n}"
        );
        fold.turn(3);
        fold.turn(0);
        assert_eq!(shown_as(text, &fold), "{ … 2 }");
        fold.deeper(8);
        assert_eq!(lines(text, &fold).len(), 13);
    }

    #[test]
    fn numbers_stay_what_they_are() {
        assert_eq!(shown("12345678901234567890.10", 1), "12345678901234567890.10");
        assert_eq!(shown("[1.0,-2e400]", 5), "[\n  1.0,\n  -2e400\n]");
    }

    #[test]
    fn what_is_cut_short_is_shown_as_far_as_it_goes() {
        for text in ["{\"a\":[1,", "\"abc", "]]", "{\"a\":\"\\", ""] {
            lines(text, &Fold::at(3));
        }
    }
}
