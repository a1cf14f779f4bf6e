//! Numbers that a computer's numbers cannot hold, in JSON.

/// Digits that a binary64 keeps of every number.
const DIGITS_KEPT: usize = 15;

/// The same JSON with numbers that would lose digits as texts.
pub(super) fn kept(json: &[u8]) -> Vec<u8> {
    let (mut out, mut at) = (Vec::with_capacity(json.len()), 0);
    while let Some(&byte) = json.get(at) {
        let len = match byte {
            b'"' => string_len(&json[at..]),
            b'-' | b'0'..=b'9' => number_len(&json[at..]),
            _ => 1,
        };
        let token = &json[at..at + len];
        let is_number = byte != b'"' && (len > 1 || byte.is_ascii_digit());
        if is_number && is_lost(token) {
            out.push(b'"');
            out.extend_from_slice(token);
            out.push(b'"');
        } else {
            out.extend_from_slice(token);
        }
        at += len;
    }
    out
}

fn string_len(json: &[u8]) -> usize {
    let mut escaped = false;
    for (at, byte) in json.iter().enumerate().skip(1) {
        match byte {
            _ if escaped => escaped = false,
            b'\\' => escaped = true,
            b'"' => return at + 1,
            _ => {}
        }
    }
    json.len()
}

fn number_len(json: &[u8]) -> usize {
    let is_part = |byte: &u8| byte.is_ascii_digit() || b"+-.eE".contains(byte);
    json.iter().position(|byte| !is_part(byte)).unwrap_or(json.len())
}

fn is_lost(number: &[u8]) -> bool {
    let Ok(text) = std::str::from_utf8(number) else { return false };
    if text.parse::<i64>().is_ok() || text.parse::<u64>().is_ok() {
        return false;
    }
    let mantissa = text.split(['e', 'E']).next().unwrap_or_default();
    let digits: String = mantissa.chars().filter(char::is_ascii_digit).collect();
    let digits = digits.trim_start_matches('0').trim_end_matches('0').len();
    // Its value is 0 although it is none, or beyond all.
    let value = text.parse::<f64>().unwrap_or(f64::INFINITY);
    digits > DIGITS_KEPT || !value.is_finite() || (value == 0.0 && digits > 0)
}

#[cfg(test)]
mod tests {
    use super::kept;

    #[test]
    fn keeps_what_would_be_lost_as_text() {
        for (json, wanted) in [
            (r#"{"a":1,"b":[1.5,-2e3]}"#, r#"{"a":1,"b":[1.5,-2e3]}"#),
            ("18446744073709551615", "18446744073709551615"),
            ("18446744073709551616", r#""18446744073709551616""#),
            ("[1e400,1e-400,0.0]", r#"["1e400","1e-400",0.0]"#),
            ("0.1234567890123456789", r#""0.1234567890123456789""#),
            (r#"["1e400 \" 1e400",1]"#, r#"["1e400 \" 1e400",1]"#),
        ] {
            assert_eq!(String::from_utf8_lossy(&kept(json.as_bytes())), wanted, "{json}");
        }
    }
}
