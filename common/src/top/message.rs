//! A message as rows of a screen: its attributes, then its body. What is too
//! long for a row goes on in the next.

use super::body;
use super::fold::Fold;
use super::json::Kind;
use crate::cli::fit::{clean, wrapped};
use crate::event::Event;

/// Width of the column of names.
const NAMES: usize = 16;

/// A row of the screen.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct ScreenRow {
    pub(super) pieces: Vec<(Kind, String)>,
    /// The line of the body that it belongs to.
    pub(super) line: Option<usize>,
}

/// All rows of a message on a screen of this width.
pub(super) fn rows(event: &Event, fold: &Fold, width: usize) -> Vec<ScreenRow> {
    let attributes = attributes(event).into_iter().map(|pieces| (pieces, None));
    let body = body::lines(event, fold).into_iter().map(|line| line.pieces);
    let body = body.enumerate().map(|(at, pieces)| (pieces, Some(at)));
    let row = |(pieces, line)| {
        cut(pieces, width).into_iter().map(move |pieces| ScreenRow { pieces, line })
    };
    attributes.chain(body).flat_map(row).collect()
}

fn attributes(event: &Event) -> Vec<Vec<(Kind, String)>> {
    let own = [("id", &event.id), ("source", &event.source), ("type", &event.kind)];
    let own = own.into_iter().map(|(name, value)| (name.to_owned(), value.clone()));
    let time = event.time.clone().map(|time| ("time".to_owned(), time));
    let kind = event.content_type.clone().map(|kind| ("datacontenttype".to_owned(), kind));
    let more = event.extensions.iter().map(|(name, value)| (name.clone(), value.to_string()));
    let line = |(name, value): (String, String)| {
        vec![(Kind::Name, format!("{name:<NAMES$} ")), (Kind::Mark, clean(&value))]
    };
    own.chain(time).chain(kind).chain(more).map(line).collect()
}

/// Pieces of one line as rows of this width.
fn cut(pieces: Vec<(Kind, String)>, width: usize) -> Vec<Vec<(Kind, String)>> {
    let (mut rows, mut used) = (vec![Vec::new()], 0);
    for (kind, text) in pieces {
        let mut parts = wrapped(&text, used, width.max(2)).into_iter();
        if let (Some(first), Some(row)) = (parts.next(), rows.last_mut()) {
            used += crate::cli::fit::width_of(&first);
            row.push((kind, first));
        }
        for part in parts {
            used = crate::cli::fit::width_of(&part);
            rows.push(vec![(kind, part)]);
        }
    }
    rows
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_lines_go_on_in_the_next_row() {
        let piece = |text: &str| (Kind::Text, text.to_owned());
        let texts = |pieces| {
            let row = |row: Vec<(Kind, String)>| row.into_iter().map(|(_, text)| text).collect();
            cut(pieces, 6).into_iter().map(row).collect::<Vec<String>>()
        };
        assert_eq!(texts(vec![piece("abc"), piece("def")]), ["abcdef"]);
        assert_eq!(texts(vec![piece("abc"), piece("defgh"), piece("i")]), ["abcdef", "ghi"]);
        assert_eq!(texts(vec![piece("日本"), piece("語語")]), ["日本語", "語"]);
        assert_eq!(texts(vec![piece("abcde"), piece("語")]), ["abcde", "語"]);
        assert_eq!(texts(vec![]), [""]);
    }
}
