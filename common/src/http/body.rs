//! Bodies on their way out.

use crate::event::Body;
use bytes::Bytes;
use hyper::body::{Body as HttpBody, Frame, SizeHint};
use std::io;
use std::os::unix::fs::FileExt;
use std::pin::Pin;
use std::task::{Context, Poll};

/// How much of a file is sent at once.
const CHUNK: usize = 64 << 10;

/// A body that is sent whole, or from its file piece by piece.
#[derive(Debug)]
pub struct Outbound {
    body: Option<Body>,
    sent: u64,
}

impl Outbound {
    /// A body; none is an empty one.
    pub fn new(body: Option<Body>) -> Self {
        Self { body: body.filter(|body| !body.is_empty()), sent: 0 }
    }

    fn left(&self) -> u64 {
        self.body.as_ref().map_or(0, |body| body.len() - self.sent)
    }

    fn piece(&mut self) -> io::Result<Option<Bytes>> {
        let left = self.left();
        let piece = match &mut self.body {
            None => return Ok(None),
            Some(Body::Inline(bytes)) => Bytes::from(std::mem::take(bytes)),
            Some(Body::File(kept)) => {
                let mut chunk = vec![0; CHUNK.min(usize::try_from(left).unwrap_or(CHUNK))];
                kept.file.read_exact_at(&mut chunk, self.sent)?;
                Bytes::from(chunk)
            }
        };
        self.sent += piece.len() as u64;
        if piece.len() as u64 == left {
            self.body = None;
        }
        Ok(Some(piece))
    }
}

impl From<String> for Outbound {
    fn from(text: String) -> Self {
        Self::new(Some(Body::Inline(text.into_bytes())))
    }
}

impl HttpBody for Outbound {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, io::Error>>> {
        Poll::Ready(self.piece().transpose().map(|piece| piece.map(Frame::data)))
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_none()
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.left())
    }
}
