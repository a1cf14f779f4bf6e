//! The body of a message as lines.

use super::fold::Fold;
use super::json::{self, Kind, Line};
use crate::cli::fit::acts;
use crate::event::{Body, Event, MediaKind, media_kind};
use crate::units::show_size;

/// Bytes of a body that are shown.
const BODY_MAX: usize = 64 << 10;

/// JSON folded, text as it is, anything else as hexadecimal figures.
pub(super) fn lines(event: &Event, fold: &Fold) -> Vec<Line> {
    let Some(body) = &event.body else { return vec![plain("(no body)")] };
    let Ok(bytes) = body.load() else { return vec![plain("(its body cannot be read)")] };
    let cut = &bytes[..bytes.len().min(BODY_MAX)];
    let text = String::from_utf8_lossy(cut);
    let is_text = std::str::from_utf8(cut).is_ok() || bytes.len() > BODY_MAX;
    let mut lines: Vec<Line> = match media_kind(event.content_type.as_deref()) {
        MediaKind::Json => json::lines(&text, fold),
        MediaKind::Other if is_text => text.lines().map(plain).collect(),
        MediaKind::Other => cut.chunks(16).map(|some| plain(&hex(some))).collect(),
    };
    if Body::len(body) > BODY_MAX as u64 {
        lines.push(plain(&format!("… {} in all", show_size(body.len()))));
    }
    lines
}

fn plain(text: &str) -> Line {
    let clean = text.chars().map(|c| if acts(c) { ' ' } else { c }).collect();
    Line { pieces: vec![(Kind::Mark, clean)], part: None }
}

/// Sixteen bytes as hexadecimal figures and as letters.
fn hex(bytes: &[u8]) -> String {
    let figures: String = bytes.iter().map(|byte| format!("{byte:02x} ")).collect();
    let letter = |byte: &u8| if byte.is_ascii_graphic() { *byte as char } else { '.' };
    format!("{figures:<49}{}", bytes.iter().map(letter).collect::<String>())
}
