//! The verbs that look and take nothing.

use super::Outcome;
use crate::cli::look::{LookFlags, Peek, Tail};
use faas_common::cli::log::Log;
use faas_common::cli::shared::named_queue;
use faas_common::clock;
use faas_common::error::Failure;
use faas_common::look::{Filter, Look, Printer, Template, look};
use faas_common::queue::{self, Position, Range};

pub fn peek(flags: &Peek) -> Outcome {
    let range = Range { at: position(&flags.at), until: Some(position(&flags.until)) };
    show(&flags.url, &range, &flags.look, |look| Look { count: Some(flags.count), ..look })
}

pub fn tail(flags: &Tail) -> Outcome {
    let until = flags.until.as_deref().map(position);
    let range = Range { at: position(&flags.at), until };
    let (count, timeout) = (flags.count, flags.timeout);
    show(&flags.url, &range, &flags.look, |look| Look { count, timeout, ..look })
}

/// A position as it was written, now.
pub fn position(text: &str) -> Position {
    Position::parse(text, clock::unix_us() / 1000)
}

fn show(
    url: &str,
    range: &Range,
    flags: &LookFlags,
    limited: impl FnOnce(Look) -> Look,
) -> Outcome {
    let filter = Filter::new(flags.grep.as_deref(), flags.pick.as_deref(), flags.jq.as_deref())?;
    let template = flags.template.as_deref().map(Template::new).transpose()?;
    let printer = Printer::new(flags.output, template, flags.exact);
    let place = named_queue(url)?;
    let failed = |error: queue::QueueError| -> Failure { error.failure("look at", url) };
    let mut view = queue::view(&place, range).map_err(failed)?;
    let plain = Look { filter, printer, count: None, timeout: None, url: url.to_owned() };
    look(limited(plain), view.as_mut(), &mut Log::new("faas-queue", false))
}
