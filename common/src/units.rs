//! What people write: durations and sizes (`250ms`, `2s`, `1h`, `64KiB`), and
//! words that are nearly right.

use std::time::Duration;

/// Why a duration or a size was not understood.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{text}` is not a {what}")]
pub struct UnitError {
    text: String,
    what: &'static str,
}

/// Reads `500us`, `250ms`, `2s`, `1.5m`, `1h`, `2d`; a bare `0` is zero.
///
/// # Errors
/// [`UnitError`] when there is no number, no unit, or the value is out of range.
pub fn duration(text: &str) -> Result<Duration, UnitError> {
    const UNITS: [(&str, f64); 6] =
        [("us", 1e-6), ("ms", 1e-3), ("s", 1.0), ("m", 60.0), ("h", 3600.0), ("d", 86_400.0)];
    let what = "duration (like 250ms, 2s or 1h)";
    let error = || UnitError { text: text.to_owned(), what };
    if text == "0" {
        return Ok(Duration::ZERO);
    }
    let (number, unit) = split(text).ok_or_else(error)?;
    let (_, seconds) = UNITS.iter().find(|(name, _)| *name == unit).ok_or_else(error)?;
    Duration::try_from_secs_f64(number * seconds).map_err(|_| error())
}

/// Reads `1024`, `64KiB`, `1MiB`, `1GiB`, `10kB`, `5MB`.
///
/// # Errors
/// [`UnitError`] when there is no number or the unit is unknown.
pub fn size(text: &str) -> Result<u64, UnitError> {
    const UNITS: [(&str, f64); 8] = [
        ("", 1.0),
        ("B", 1.0),
        ("kB", 1e3),
        ("KiB", 1024.0),
        ("MB", 1e6),
        ("MiB", 1_048_576.0),
        ("GB", 1e9),
        ("GiB", 1_073_741_824.0),
    ];
    let error = || UnitError { text: text.to_owned(), what: "size (like 1024, 64KiB or 1GiB)" };
    let (number, unit) = split(text).ok_or_else(error)?;
    let (_, factor) = UNITS.iter().find(|(name, _)| *name == unit).ok_or_else(error)?;
    let bytes = number * factor;
    if bytes.fract() != 0.0 || bytes > 9e15 { Err(error()) } else { Ok(bytes as u64) }
}

/// A duration as a person reads it: three significant figures and a unit.
pub fn show_duration(duration: Duration) -> String {
    let s = duration.as_secs_f64();
    match s {
        s if s < 1e-3 => format!("{:.0}us", s * 1e6),
        s if s < 0.01 => format!("{:.2}ms", s * 1e3),
        s if s < 1.0 => format!("{:.0}ms", s * 1e3),
        s if s < 10.0 => format!("{s:.2}s"),
        s if s < 120.0 => format!("{s:.0}s"),
        s if s < 7200.0 => format!("{:.0}m", s / 60.0),
        s => format!("{:.0}h", s / 3600.0),
    }
}

/// A size as a person reads it.
pub fn show_size(bytes: u64) -> String {
    const UNITS: [&str; 4] = ["B", "KiB", "MiB", "GiB"];
    let mut value = bytes as f64;
    let mut unit = 0;
    while value >= 1024.0 && unit + 1 < UNITS.len() {
        value /= 1024.0;
        unit += 1;
    }
    if value.fract() == 0.0 {
        format!("{value:.0} {}", UNITS[unit])
    } else {
        format!("{value:.1} {}", UNITS[unit])
    }
}

/// The known word nearest to `word`, if one is near enough to have been meant.
pub fn nearest<'a>(word: &str, known: impl Iterator<Item = &'a str>) -> Option<String> {
    known
        .map(|candidate| (strsim::damerau_levenshtein(word, candidate), candidate))
        .filter(|(distance, candidate)| *distance <= 1 + candidate.len() / 3)
        .min()
        .map(|(_, candidate)| candidate.to_owned())
}

fn split(text: &str) -> Option<(f64, &str)> {
    let end = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
    let number = text[..end].parse().ok()?;
    Some((number, text[end..].trim_start()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_durations() {
        assert_eq!(duration("250ms"), Ok(Duration::from_millis(250)));
        assert_eq!(duration("1.5m"), Ok(Duration::from_secs(90)));
        assert_eq!(duration("0"), Ok(Duration::ZERO));
        for bad in ["", "5", "s", "5 parsecs", "-1s", "1e3s", "99999999999999999999999d"] {
            assert!(duration(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn reads_sizes() {
        assert_eq!(size("64KiB"), Ok(65_536));
        assert_eq!(size("1GiB"), Ok(1 << 30));
        assert_eq!(size("7"), Ok(7));
        for bad in ["", "x", "1.5B", "5 elephants"] {
            assert!(size(bad).is_err(), "{bad}");
        }
    }
}
