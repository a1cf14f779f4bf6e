//! The few primitives of our binary formats: unsigned LEB128 numbers and
//! length-prefixed byte strings. PROTOCOL.md describes them.

/// Why a binary block could not be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum FrameError {
    /// It ends before it should.
    #[error("it is cut short")]
    Short,
    /// A number is over 64 bits, a string is not UTF-8, a tag is unknown.
    #[error("it is damaged ({0})")]
    Damaged(&'static str),
    /// It was written by a newer version of these tools.
    #[error("it was written by a newer version (format {0})")]
    Newer(u8),
}

pub(crate) fn put_number(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push((value as u8) | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

pub(crate) fn put_bytes(out: &mut Vec<u8>, bytes: &[u8]) {
    put_number(out, bytes.len() as u64);
    out.extend_from_slice(bytes);
}

/// `None` is zero; otherwise the length plus one, then the bytes.
pub(crate) fn put_optional(out: &mut Vec<u8>, text: Option<&str>) {
    match text {
        None => put_number(out, 0),
        Some(text) => {
            put_number(out, text.len() as u64 + 1);
            out.extend_from_slice(text.as_bytes());
        }
    }
}

/// Takes values off the front of a slice; never reads past its end.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Reader<'a> {
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    pub(crate) fn new(bytes: &'a [u8]) -> Self {
        Self { rest: bytes }
    }

    pub(crate) fn rest(&self) -> &'a [u8] {
        self.rest
    }

    pub(crate) fn byte(&mut self) -> Result<u8, FrameError> {
        let (first, rest) = self.rest.split_first().ok_or(FrameError::Short)?;
        self.rest = rest;
        Ok(*first)
    }

    pub(crate) fn number(&mut self) -> Result<u64, FrameError> {
        let mut value = 0_u64;
        for shift in (0..64).step_by(7) {
            let byte = self.byte()?;
            let part = u64::from(byte & 0x7F);
            if shift == 63 && part > 1 {
                break;
            }
            value |= part << shift;
            if byte & 0x80 == 0 {
                return Ok(value);
            }
        }
        Err(FrameError::Damaged("a number over 64 bits"))
    }

    pub(crate) fn take(&mut self, len: u64) -> Result<&'a [u8], FrameError> {
        let len = usize::try_from(len).map_err(|_| FrameError::Short)?;
        if len > self.rest.len() {
            return Err(FrameError::Short);
        }
        let (taken, rest) = self.rest.split_at(len);
        self.rest = rest;
        Ok(taken)
    }

    pub(crate) fn bytes(&mut self) -> Result<&'a [u8], FrameError> {
        let len = self.number()?;
        self.take(len)
    }

    pub(crate) fn text(&mut self) -> Result<String, FrameError> {
        utf8(self.bytes()?)
    }

    pub(crate) fn optional(&mut self) -> Result<Option<String>, FrameError> {
        match self.number()? {
            0 => Ok(None),
            len => utf8(self.take(len - 1)?).map(Some),
        }
    }
}

fn utf8(bytes: &[u8]) -> Result<String, FrameError> {
    String::from_utf8(bytes.to_vec()).map_err(|_| FrameError::Damaged("text that is not UTF-8"))
}
