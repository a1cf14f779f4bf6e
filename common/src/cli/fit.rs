//! Texts for a terminal: cut to a width, in letters that may be wide, and
//! without what a terminal acts on.

use unicode_width::{UnicodeWidthChar as _, UnicodeWidthStr as _};

/// What stands where something was cut.
const CUT: char = '…';
/// The least a column of a table is cut to.
const COLUMN_MIN: usize = 16;

/// How wide a text is on the screen.
pub fn width_of(text: &str) -> usize {
    text.width()
}

/// A text without what a terminal acts on.
pub fn clean(text: &str) -> String {
    text.chars().map(|c| if acts(c) { char::REPLACEMENT_CHARACTER } else { c }).collect()
}

/// Whether a terminal does something else with it than show it: control
/// characters, and those that turn around what follows (Unicode UAX #9).
pub fn acts(letter: char) -> bool {
    let turns = matches!(letter, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    letter.is_control() || turns
}

/// A text cut at its end.
pub fn fitted(text: &str, width: usize) -> String {
    if text.width() <= width {
        return text.to_owned();
    }
    let mut out: String = begin(text.chars(), width.saturating_sub(1)).collect();
    out.push(CUT);
    out
}

/// A text of which the end says more, cut at its begin.
pub fn fitted_start(text: &str, width: usize) -> String {
    if text.width() <= width {
        return text.to_owned();
    }
    let mut end: Vec<char> = begin(text.chars().rev(), width.saturating_sub(1)).collect();
    end.push(CUT);
    end.into_iter().rev().collect()
}

/// A text of which begin and end say more, cut in between; a URL.
pub fn fitted_middle(text: &str, width: usize) -> String {
    if text.width() <= width {
        return text.to_owned();
    }
    let rest = width.saturating_sub(1);
    let head: String = begin(text.chars(), rest / 3).collect();
    let tail: Vec<char> = begin(text.chars().rev(), rest - head.width()).collect();
    head.chars().chain([CUT]).chain(tail.into_iter().rev()).collect()
}

/// A text as lines of this width, of which the first has been used so far.
pub fn wrapped(text: &str, used: usize, width: usize) -> Vec<String> {
    let (mut lines, mut rest, mut used) = (Vec::new(), text, used);
    // Every letter has room on a line of its own.
    let width = width.max(2);
    while used + rest.width() > width {
        let line: String = begin(rest.chars(), width.saturating_sub(used)).collect();
        rest = &rest[line.len()..];
        lines.push(line);
        used = 0;
    }
    lines.push(rest.to_owned());
    lines
}

/// As many letters as have room.
fn begin(letters: impl Iterator<Item = char>, width: usize) -> impl Iterator<Item = char> {
    letters
        .scan(0, |used, letter| {
            *used += letter.width().unwrap_or(0);
            Some((*used, letter))
        })
        .take_while(move |(used, _)| *used <= width)
        .map(|(_, letter)| letter)
}

/// Cuts cells so that a table with gaps of `gap` has room; the widest column
/// gives way, and where that is not enough the last ones go.
pub fn fit(rows: &mut [Vec<String>], width_max: usize, gap: usize) {
    let columns = rows.iter().map(Vec::len).max().unwrap_or(0);
    let widest = |column: usize| {
        rows.iter().filter_map(|row| row.get(column)).map(|cell| cell.width()).max()
    };
    let mut widths: Vec<usize> = (0..columns).map(|column| widest(column).unwrap_or(0)).collect();
    let room = width_max.saturating_sub(gap * columns.saturating_sub(1));
    while widths.iter().sum::<usize>() > room {
        let Some(most) = widths.iter_mut().max_by_key(|width| **width) else { break };
        if *most <= COLUMN_MIN {
            break;
        }
        *most -= 1;
    }
    // The first has room in any case.
    widths.iter_mut().for_each(|width| *width = (*width).min(width_max));
    let mut used = 0;
    let has_room = |width: &&usize| {
        used += *width + gap;
        used <= width_max + gap
    };
    let kept = widths.iter().take_while(has_room).count().max(1);
    for row in rows {
        row.truncate(kept);
        for (cell, width) in row.iter_mut().zip(&widths) {
            *cell = fitted_middle(cell, *width);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cuts_by_width_on_the_screen() {
        assert_eq!(fitted("abc", 3), "abc");
        assert_eq!(fitted("abcd", 3), "ab…");
        assert_eq!(fitted("日本語", 6), "日本語");
        assert_eq!(fitted("日本語", 5), "日本…");
        assert_eq!(fitted("日本語", 4), "日…");
        assert_eq!(fitted_start("abcdef", 4), "…def");
        assert_eq!(fitted_start("日本語", 4), "…語");
        assert_eq!(fitted_middle("redis://h/0/orders", 10), "red…orders");
        assert_eq!(fitted_middle("redis://h/0/日本語", 10), "red…日本語");
        assert_eq!(fitted_middle("abc", 0), "…");
    }

    #[test]
    fn nothing_is_left_for_a_terminal_to_do() {
        assert_eq!(
            clean("a\u{1b}[2Jb\u{202e}c\u{2066}\n"),
            "a\u{fffd}[2Jb\u{fffd}c\u{fffd}\u{fffd}"
        );
    }

    #[test]
    fn wraps_wide_letters() {
        assert_eq!(wrapped("abcde", 0, 2), ["ab", "cd", "e"]);
        assert_eq!(wrapped("abcde", 1, 2), ["a", "bc", "de"]);
        assert_eq!(wrapped("日本語", 0, 5), ["日本", "語"]);
        assert_eq!(wrapped("日本語", 4, 5), ["", "日本", "語"]);
        assert_eq!(wrapped("日本語", 0, 1), ["日", "本", "語"]);
        assert_eq!(wrapped("", 0, 5), [""]);
    }

    #[test]
    fn the_widest_column_gives_way() {
        let row = |cells: [&str; 3]| cells.map(str::to_owned).to_vec();
        let mut rows = [row(["QUEUE", "DEPTH", "RUN"]), row(["redis://host/0/orders", "7", "-"])];
        fit(&mut rows, 28, 2);
        assert_eq!(rows, [row(["QUEUE", "DEPTH", "RUN"]), row(["redis…t/0/orders", "7", "-"])]);
        fit(&mut rows, 10, 2);
        assert_eq!(rows[1], ["red…orders"]);
    }
}
