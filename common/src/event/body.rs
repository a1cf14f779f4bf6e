//! Bodies are bytes, in memory or in a file beside the queue.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::sync::Arc;

/// The bytes of an event.
#[derive(Debug, Clone)]
pub enum Body {
    /// In memory.
    Inline(Vec<u8>),
    /// In a file that is complete and never written again.
    File(Arc<BodyFile>),
}

/// A body kept in a file: large bodies of a queue whose messages are small.
#[derive(Debug)]
pub struct BodyFile {
    /// Open for reading.
    pub file: File,
    /// Its length in bytes.
    pub len: u64,
}

impl Body {
    /// Length in bytes.
    pub fn len(&self) -> u64 {
        match self {
            Self::Inline(bytes) => bytes.len() as u64,
            Self::File(file) => file.len,
        }
    }

    /// Whether there is not a single byte.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The bytes, read from the file if they are there.
    ///
    /// # Errors
    /// The file cannot be read or is shorter than it said.
    pub fn load(&self) -> io::Result<std::borrow::Cow<'_, [u8]>> {
        match self {
            Self::Inline(bytes) => Ok(bytes.into()),
            Self::File(body) => {
                let mut bytes = vec![0; usize::try_from(body.len).map_err(io::Error::other)?];
                body.file.read_exact_at(&mut bytes, 0)?;
                Ok(bytes.into())
            }
        }
    }
}

impl PartialEq for Body {
    fn eq(&self, other: &Self) -> bool {
        match (self.load(), other.load()) {
            (Ok(a), Ok(b)) => a == b,
            _ => false,
        }
    }
}

/// How a media type's bodies are written on a pipe.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MediaKind {
    /// `data` is the JSON text itself.
    Json,
    /// `data` is a string, `data_base64` where the bytes are not UTF-8.
    Other,
}

/// Whether a media type means JSON: `*/json`, `*/*+json`, or none at all.
pub fn media_kind(content_type: Option<&str>) -> MediaKind {
    let Some(content_type) = content_type else { return MediaKind::Json };
    let essence = content_type.split(';').next().unwrap_or("").trim().to_ascii_lowercase();
    if essence.ends_with("/json") || essence.ends_with("+json") {
        MediaKind::Json
    } else {
        MediaKind::Other
    }
}

/// Whether `bytes` are exactly one JSON value, whatever the size of its
/// numbers or the depth of its nesting.
pub fn is_json(bytes: &[u8]) -> bool {
    // The validator skips strings without looking at their encoding.
    std::str::from_utf8(bytes).is_ok()
        && serde_json::from_slice::<serde::de::IgnoredAny>(bytes).is_ok()
}

/// The media type of a body that came without one.
pub fn detect_type(bytes: &[u8]) -> &'static str {
    if is_json(bytes) {
        "application/json"
    } else if std::str::from_utf8(bytes).is_ok() {
        "text/plain"
    } else {
        "application/octet-stream"
    }
}
