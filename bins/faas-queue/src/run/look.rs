//! The verbs that look and take nothing.

use super::Outcome;
use crate::cli::look::{LookFlags, Peek, Tail, Top};
use faas_common::cli::log::Log;
use faas_common::cli::shared::{named_queue, queue_url, via};
use faas_common::clock;
use faas_common::config::Config;
use faas_common::error::Failure;
use faas_common::exit::Exit;
use faas_common::look::{Filter, Look, Printer, Template, look};
use faas_common::queue::{self, Position, QueueUrl, Range};
use faas_common::runner::orphans::middlewares_of;
use faas_common::runner::tap::Tap;
use faas_common::top::{Watched, print_rows};
use std::io::IsTerminal;

pub fn peek(flags: &Peek) -> Outcome {
    let range = Range { at: position(&flags.at), until: Some(position(&flags.until)) };
    show(&flags.url, &range, &flags.look, |look| Look { count: Some(flags.count), ..look })
}

pub fn tail(flags: &Tail) -> Outcome {
    let (count, timeout) = (flags.count, flags.timeout);
    if let Some(run) = &flags.chain {
        let plain = plain(run, &flags.look)?;
        let mut tap = Tap::open(run, via(flags.via.as_deref())?.as_ref())?;
        let mut log = Log::new("faas-queue", false);
        let exit = look(Look { count, timeout, ..plain }, &mut tap, &mut log)?;
        let exit = tap.signal().map_or(exit, Exit::by_signal);
        return tap.close().map(|()| exit);
    }
    let until = flags.until.as_deref().map(position);
    let range = Range { at: position(&flags.at), until };
    let url = flags.url.as_deref().unwrap_or_default();
    let keeps_on = range.until.is_none();
    show(url, &range, &flags.look, |look| Look { count, timeout, keeps_on, ..look })
}

/// A position as it was written, now.
pub fn position(text: &str) -> Position {
    Position::parse(text, clock::unix_us() / 1000)
}

pub fn top(flags: &Top) -> Outcome {
    let urls = match (&flags.run, flags.urls.is_empty()) {
        (_, false) => flags.urls.iter().map(|url| queue_url(url)).collect::<Result<_, _>>()?,
        (Some(run), true) => middlewares_of(run)?,
        (None, true) => vec![queue_url(&middleware()?)?],
    };
    if urls.contains(&QueueUrl::Pipe) {
        return Err(Failure::new(Exit::Usage, "watch", "-", "it is no middleware"));
    }
    let watched = Watched { urls, run: flags.run.clone(), every: flags.every };
    if flags.output.is_none() && flags.count.is_none() && std::io::stdout().is_terminal() {
        return faas_common::top::show(&watched);
    }
    print_rows(&watched, flags.count, flags.output.unwrap_or_default())
}

/// What is listed when no URL is given.
pub fn middleware() -> Result<String, Failure> {
    let config = Config::load().map_err(|error| {
        Failure::new(Exit::Usage, "read", "the configuration", &error.what).cure(error.cure)
    })?;
    Ok(config.middleware.unwrap_or_else(|| "mq:".to_owned()))
}

fn show(
    url: &str,
    range: &Range,
    flags: &LookFlags,
    limited: impl FnOnce(Look) -> Look,
) -> Outcome {
    let plain = plain(url, flags)?;
    let place = named_queue(url)?;
    let failed = |error: queue::QueueError| -> Failure { error.failure("look at", url) };
    let mut view = queue::view(&place, range).map_err(failed)?;
    look(limited(plain), view.as_mut(), &mut Log::new("faas-queue", false))
}

/// What the flags say, without an end.
fn plain(url: &str, flags: &LookFlags) -> Result<Look, Failure> {
    let filter = Filter::new(flags.grep.as_deref(), flags.pick.as_deref(), flags.jq.as_deref())?;
    let template = flags.template.as_deref().map(Template::new).transpose()?;
    let printer = Printer::new(flags.output, template, flags.exact);
    let url = url.to_owned();
    Ok(Look { filter, printer, count: None, timeout: None, keeps_on: false, url })
}
