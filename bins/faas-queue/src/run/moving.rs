//! The verbs that take messages elsewhere, or away.

use super::look::position;
use super::{connect, desk};
use crate::cli::moving::{Cp, Mv, Pick, Purge, Redrive};
use faas_common::cli::confirm::{confirm, messages};
use faas_common::cli::log::Log;
use faas_common::cli::meter::Meter;
use faas_common::cli::shared::named_queue;
use faas_common::error::Failure;
use faas_common::exit::Exit;
use faas_common::look::Filter;
use faas_common::queue::{self, Desk, Port, QueueError, QueueId, QueueUrl, Range};
use faas_common::transfer::{
    Copier, CopyJournal, End, Errand, Origin, Outcome, Report, Transfer, Until, Viewed,
};
use std::cell::RefCell;

/// What is done with messages that are taken.
#[derive(Clone, Copy, PartialEq)]
enum Deed {
    /// They go to another queue as they are.
    Move,
    /// They go back to where they failed.
    Redrive,
    /// They go away.
    Remove,
}

impl Deed {
    /// As it is told afterwards.
    fn done(self) -> &'static str {
        match self {
            Self::Move => "moved",
            Self::Redrive => "redriven",
            Self::Remove => "removed",
        }
    }
}

pub fn mv(flags: &Mv) -> super::Outcome {
    let (from, to) = (named_queue(&flags.from)?, named_queue(&flags.to)?);
    refuse_same(&from, &to, "move")?;
    let mut task = Task::new(from, Some(to), &flags.pick, flags.jq.as_deref(), Deed::Move)?;
    task.errand.resumes = flags.resume.as_deref().map(position);
    task.run()
}

pub fn redrive(flags: &Redrive) -> super::Outcome {
    let from = named_queue(&flags.from)?;
    let to = match &flags.to {
        Some(to) => named_queue(to)?,
        None => {
            let name = from.name().strip_suffix(".dead").ok_or_else(|| {
                let reason = "its name does not end with .dead, so it does not say where to";
                Failure::new(Exit::Usage, "redrive", &flags.from, reason).cure("--to URL")
            })?;
            from.with_name(name)
        }
    };
    refuse_same(&from, &to, "redrive")?;
    Task::new(from, Some(to), &flags.pick, flags.jq.as_deref(), Deed::Redrive)?.run()
}

pub fn purge(flags: &Purge) -> super::Outcome {
    let from = named_queue(&flags.url)?;
    let task = Task::new(from, None, &flags.pick, None, Deed::Remove)?;
    let depth = task.errand.depth()?;
    if depth > 0 && !flags.pick.dry_run && !flags.yes {
        let meant = task.meant(depth)?;
        let what = meant.map_or_else(|| format!("those meant of {}", messages(depth)), messages);
        if meant != Some(0) && !confirm("purge", &flags.url, &what, flags.yes)? {
            return Ok(Exit::SomeFailed);
        }
    }
    task.run()
}

pub fn cp(flags: &Cp) -> super::Outcome {
    let (from, to) = (named_queue(&flags.from)?, named_queue(&flags.to)?);
    refuse_same(&from, &to, "copy")?;
    let pick = &flags.pick;
    let filter = Filter::new(pick.grep.as_deref(), pick.pick.as_deref(), flags.jq.as_deref())?;
    let mut log = Log::new("faas-queue", pick.quiet);
    let mut journal = open_journal(flags, &from, &to, &mut log)?;
    let mut viewed = look_at_source(flags, &from, journal.as_ref())?;
    if let Some(journal) = &mut journal {
        journal.follow(viewed.places(), viewed.began_behind())?;
    }
    let total = total_of(&mut viewed, pick);
    let (mut desk, poller) = desk()?;
    let from = Port { connection: desk.add(Box::new(viewed)), queue: QueueId(0) };
    // Also of a queue that is only looked at it must be there.
    let target = Some(open_target(&to, &mut desk)?).filter(|_| !pick.dry_run);
    let doing = if is_picky(pick) { "looked at" } else { "copied" };
    let meter = Meter::new(doing, total, pick.quiet);
    // A note says that all before it has arrived: nothing is passed over then.
    let passes_refused = journal.is_none();
    let until = Until { count: pick.count, passes_refused, ..Until::default() };
    let doing = ("copy to", to.to_string());
    let told = Log::new("faas-queue", pick.quiet);
    let mut transfer = Transfer { desk, poller, from, until, doing, log: told, window: None };
    let said = Log::new("faas-queue", false);
    let copier = RefCell::new(Copier { filter, to: target, journal, log: said });
    let outcome = transfer.run(
        |taken| copier.borrow_mut().step(taken),
        |arrived| {
            meter.set(arrived);
            copier.borrow_mut().arrived(arrived)
        },
    );
    meter.end();
    if let Some(journal) = &mut copier.borrow_mut().journal {
        let is_at_end = outcome.as_ref().is_ok_and(|report| report.end == End::Done);
        journal.end(is_at_end && pick.count.is_none())?;
    }
    let report = outcome?;
    let done = if pick.dry_run { "would be copied" } else { "copied" };
    log.line(&format!("{} {done}", messages(report.moved)));
    Ok(report.exit())
}

/// How many there are to copy, or to look at. What cannot be counted is copied
/// all the same; where nobody looks, nothing is counted.
fn total_of(viewed: &mut Viewed, pick: &Pick) -> Option<u64> {
    let left = if Meter::shows(pick.quiet) { viewed.left().ok().flatten() } else { None };
    match pick.count.filter(|_| !is_picky(pick)) {
        Some(count) => Some(left.map_or(count, |left| left.min(count))),
        None => left,
    }
}

/// Whether only some of the messages are meant.
fn is_picky(pick: &Pick) -> bool {
    pick.grep.is_some() || pick.pick.is_some()
}

/// How far an earlier copy came, where that is to be noted.
fn open_journal(
    flags: &Cp,
    from: &QueueUrl,
    to: &QueueUrl,
    log: &mut Log,
) -> Result<Option<CopyJournal>, Failure> {
    let Some(path) = flags.resume.as_deref().filter(|_| !flags.pick.dry_run) else {
        return Ok(None);
    };
    let (from, target) = (from.without_query().to_string(), to.without_query().to_string());
    let mut journal = CopyJournal::open(path, Origin { from, to: target })?;
    if journal.position().is_some() {
        log.line(&format!("goes on behind the {} of before", messages(journal.copied())));
    }
    if !journal.look_at(to)? {
        log.line(&format!("{to} cannot be looked at: it may get the last few twice"));
    } else if journal.position().is_some() && was_taken_from(to)? {
        log.line(&format!("others took messages from {to}: some of them may come twice"));
    }
    Ok(Some(journal))
}

/// Whether what was taken from a queue is gone from it, and something was.
fn was_taken_from(url: &QueueUrl) -> Result<bool, Failure> {
    let mut connection = connect(url)?;
    let stat = connection.stat(url.name());
    let stat = stat.map_err(|error| error.failure("look at", &url.to_string()))?;
    Ok(!connection.capabilities().replay && stat.done_total.is_some_and(|count| count > 0))
}

fn look_at_source(
    flags: &Cp,
    from: &QueueUrl,
    journal: Option<&CopyJournal>,
) -> Result<Viewed, Failure> {
    let until = (!flags.follow).then(|| position(&flags.until));
    let at = journal.and_then(CopyJournal::position);
    let range = Range { at: at.unwrap_or_else(|| position(&flags.at)), until };
    let view = queue::view(from, &range);
    let view = view.map_err(|error| match error {
        QueueError::Refused { what, .. } if !can_be_looked_at(from) => {
            let alternative = format!("faas-queue mv {} {}", flags.from, flags.to);
            QueueError::Refused { what, alternative }
        }
        other => other,
    });
    let view = view.map_err(|error| error.failure("copy", &flags.from))?;
    Ok(Viewed::new(view, from.name()))
}

fn can_be_looked_at(url: &QueueUrl) -> bool {
    queue::find(url.scheme()).is_some_and(|middleware| middleware.capabilities.peek)
}

/// An errand, and what is said of it.
struct Task<'a> {
    errand: Errand,
    pick: &'a Pick,
    deed: Deed,
}

impl<'a> Task<'a> {
    fn new(
        from: QueueUrl,
        to: Option<QueueUrl>,
        pick: &'a Pick,
        jq: Option<&str>,
        deed: Deed,
    ) -> Result<Self, Failure> {
        let filter = Filter::new(pick.grep.as_deref(), pick.pick.as_deref(), jq)?;
        let strips = deed == Deed::Redrive;
        let errand = Errand { from, to, filter, count: pick.count, strips, resumes: None };
        Ok(Self { errand, pick, deed })
    }

    /// How many are meant of so many; none where that cannot be told without
    /// taking them.
    fn meant(&self, depth: u64) -> Result<Option<u64>, Failure> {
        match is_picky(self.pick) && !can_be_looked_at(&self.errand.from) {
            true => Ok(None),
            false => self.errand.count_meant(depth).map(Some),
        }
    }

    /// Whether depths are of messages alone: in a topic ends of transactions
    /// count too.
    fn is_exact(&self) -> bool {
        let middleware = queue::find(self.errand.from.scheme());
        middleware.is_none_or(|one| one.capabilities.counts_held)
    }

    /// What would be done.
    fn tell(&self) -> Result<String, Failure> {
        self.errand.check_target()?;
        let stat = self.errand.stat()?;
        let depth = stat.depth + stat.held;
        let held = match (stat.readers, stat.held) {
            (0, _) | (_, 0) => String::new(),
            (_, held) => format!(", unless readers finish the {held} that they hold"),
        };
        let about = if self.is_exact() || is_picky(self.pick) { "" } else { "at most " };
        let meant = match self.meant(depth)? {
            Some(meant) => format!("{about}{}", messages(meant)),
            None => format!("those meant of {}", messages(depth)),
        };
        Ok(format!("{meant} would be {}{held}", self.deed.done()))
    }

    fn run(self) -> super::Outcome {
        let mut log = Log::new("faas-queue", self.pick.quiet);
        if self.pick.dry_run {
            log.line(&self.tell()?);
            return Ok(Exit::Done);
        }
        let is_exact = self.is_exact();
        let Self { errand, pick, deed } = self;
        let (depth, from, done) = (errand.depth()?, errand.from.to_string(), deed.done());
        if depth == 0 {
            log.line(&format!("{} {done}", messages(0)));
            return Ok(Exit::Done);
        }
        let total = pick.count.map_or(depth, |count| count.min(depth));
        // The meter has a thread: it leaves signals to this one.
        faas_common::signals::block();
        let meter = Meter::new(done, Some(total), pick.quiet);
        let mut told = Log::new("faas-queue", false);
        let tell = Box::new(move |failure: &Failure| told.failure(failure));
        let mut count = 0;
        let outcome = errand.run(pick.quiet, tell, |arrived| {
            meter.set(arrived);
            count = arrived;
        });
        meter.end();
        if outcome.is_err() && count > 0 {
            log.line(&format!("{} {done} before that", messages(count)));
        }
        let outcome = outcome?;
        log.line(&said(&outcome, done, is_exact));
        let exit = match outcome.report.end {
            // All that is there was taken.
            End::TimedOut => Exit::Done,
            End::GaveUp => {
                let reason = "the middleware did not say whether the last of them arrived";
                let failure = Failure::new(Exit::TryAgain, "move from", from, reason);
                return Err(failure.cure("the same again, with --resume -1h"));
            }
            _ => outcome.report.exit(),
        };
        Ok(if outcome.failed > 0 { exit.worst(Exit::SomeFailed) } else { exit })
    }
}

/// `12 messages moved, 3 left`.
fn said(outcome: &Outcome, done: &str, is_exact: bool) -> String {
    let some = |count: u64, text: String| if count == 0 { String::new() } else { text };
    let Outcome { report: Report { moved, kept, .. }, failed, missed, there } = outcome;
    let left = some(*kept, format!(", {kept} left"));
    let failures = some(*failed, format!(", {failed} of them for a failure"));
    // Where only places are counted, ends of transactions count.
    let about = if is_exact { "" } else { "at most " };
    let others = some(*missed, format!(", {about}{missed} held or taken by other readers"));
    let there = some(*there, format!(", {there} had arrived before"));
    format!("{} {done}{there}{left}{failures}{others}", messages(*moved))
}

fn refuse_same(from: &QueueUrl, to: &QueueUrl, action: &str) -> Result<(), Failure> {
    if from.without_query() == to.without_query() {
        let reason = "it is the queue that is read from";
        return Err(Failure::new(Exit::Usage, action, to.to_string(), reason).cure("another queue"));
    }
    Ok(())
}

fn open_target(to: &QueueUrl, desk: &mut Desk) -> Result<Port, Failure> {
    let mut connection = connect(to)?;
    let queue = connection.open_send(to.name());
    let queue = queue.map_err(|error| error.failure("open", &to.to_string()))?;
    Ok(Port { connection: desk.add(connection), queue })
}
