//! Takes the replies of a run: prints results, keeps dead letters, and counts
//! the credit that comes back, until nothing is missing.

use super::book::Book;
use super::children::{Children, Gone, describe};
use super::costs::Costs;
use super::overdue::Overdue;
use super::parts::{Parts, Shown};
use super::progress::Progress;
use super::stillness::Stillness;
use super::summary::Summary;
use crate::chain::Chain;
use crate::chain::ending::{self, Endings};
use crate::cli::log::Log;
use crate::error::{Failure, Result};
use crate::event::{Control, Event, Verdict};
use crate::exit::Exit;
use crate::invoker::DeadSink;
use crate::limits::IDLE_LOOK_MS;
use crate::poll::{Interest, Poller};
use crate::queue::{Desk, Handed, Handoff, Port, QueueError, Taken, pipe};
use crate::signals::Signals;
use nix::sys::signal::Signal;
use std::collections::{HashMap, HashSet};
use std::rc::Rc;
use std::time::{Duration, Instant};

const SIGNALS: u64 = 1 << 60;
const STATUS: u64 = 1 << 61;
const TALK: u64 = 1 << 62;

/// Most replies taken at once, and most whose results wait to be written.
const BATCH: usize = 64;

/// How long everything must have been still before what is missing is lost.
const STILL: Duration = Duration::from_secs(2);

pub(super) struct Collector {
    desk: Desk,
    poller: Rc<Poller>,
    replies: Port,
    results: Port,
    children: Children,
    dead: DeadSink,
    log: Log,
    signals: Signals,
    progress: Progress,
    endings: Endings,
    summary: Summary,
    book: Book,
    /// What an earlier runner may have shown.
    doubtful: HashSet<String>,
    /// Whether this run was picked up, so that nobody says how much there is.
    resumed: bool,
    overdue: Overdue,
    stillness: Stillness,
    /// Name of our trigger, once it has said it.
    trigger: Option<String>,
    trigger_ended: bool,
    trigger_failed: bool,
    invoker_gone: bool,
    /// Replies whose results wait for stdout, by the ticket of the hand-off.
    waiting: HashMap<u64, Shown>,
    stopped_by: Option<i32>,
    stop_now: bool,
    closed: bool,
    looked: Instant,
    /// Whether nothing has moved for a while.
    is_at_rest: bool,
}

impl Collector {
    pub(super) fn new(parts: Parts, chain: &Chain, run: &str) -> Result<Self> {
        let catch = |error: std::io::Error| Failure::io("wait for", "the run", &error);
        let Parts { mut desk, poller, signals, replies, results, children, queues, .. } = parts;
        let (dead, log, book) = (parts.dead, parts.log, parts.book);
        let (resumed, past) = (parts.past.is_some(), parts.past.unwrap_or_default());
        let mut summary = Summary::new();
        summary.resumed = resumed;
        [summary.results, summary.dead, summary.dropped] = past.counts;
        let trigger = past.accepted.keys().next().cloned();
        summary.accepted = past.accepted.values().copied().max().unwrap_or(0);
        poller.add(&signals, SIGNALS, Interest::Read).map_err(catch)?;
        poller.add(&children.status, STATUS, Interest::Read).map_err(catch)?;
        if let Some(talk) = children.talk.ours() {
            poller.add(talk, TALK, Interest::Read).map_err(catch)?;
        }
        desk.listen(replies, true).map_err(|error| error.failure("wait for", "replies"))?;
        Ok(Self {
            desk,
            poller,
            replies,
            results,
            children,
            dead,
            signals,
            progress: Progress::new(run, log.is_quiet()),
            log,
            endings: past.endings,
            summary,
            book,
            doubtful: past.doubtful,
            resumed,
            overdue: Overdue::after(chain.deadline),
            stillness: Stillness::new(queues, STILL + parts.unseen),
            trigger,
            trigger_ended: resumed,
            trigger_failed: false,
            invoker_gone: false,
            waiting: HashMap::new(),
            stopped_by: None,
            stop_now: false,
            closed: false,
            looked: Instant::now(),
            is_at_rest: false,
        })
    }

    /// Until every invocation has ended, or what is missing is lost.
    pub(super) fn run(&mut self) -> (Result<Exit>, Summary) {
        let ended = loop {
            match self.turn() {
                Ok(true) => {}
                Ok(false) => break Ok(()),
                Err(QueueError::Closed) => {
                    self.closed = true;
                    break Ok(());
                }
                Err(error) => break Err(error.failure("collect", "replies")),
            }
        };
        self.write_what_waits();
        self.progress.end();
        if ended.is_err() {
            self.summary.lost = self.missing();
        }
        self.summary.abandoned = self.invoker_gone;
        let exit = ended.map(|()| self.exit());
        (exit, std::mem::replace(&mut self.summary, Summary::new()))
    }

    /// Ends trigger and invokers, and waits until they are gone.
    pub(super) fn end_children(&mut self) -> Costs {
        self.children.end(self.stop_now || self.closed);
        self.pass_on_talk();
        self.log.flush();
        self.children.costs()
    }

    fn turn(&mut self) -> std::result::Result<bool, QueueError> {
        if self.waiting.len() < BATCH {
            let mut taken = Vec::new();
            self.desk.receive(self.replies, BATCH - self.waiting.len(), &mut taken)?;
            for reply in taken {
                self.stillness.moved();
                self.take(reply)?;
            }
        }
        if self.is_over() {
            return Ok(false);
        }
        self.desk.listen(self.replies, self.waiting.len() < BATCH)?;
        self.desk.flush()?;
        let mut ready = Vec::new();
        let sleep = Duration::from_millis(IDLE_LOOK_MS).saturating_sub(self.looked.elapsed());
        self.poller.wait(sleep, &mut ready).map_err(QueueError::io("waiting"))?;
        for one in ready {
            match one.token {
                SIGNALS => self.on_signals(),
                STATUS => self.on_status(),
                TALK => self.pass_on_talk(),
                token if self.desk.owns(token) => self.desk.on_ready(one),
                _ => {}
            }
        }
        for ticket in self.desk.advance()? {
            if let Some(shown) = self.waiting.remove(&ticket) {
                self.acknowledge(shown)?;
            }
        }
        if self.looked.elapsed() >= Duration::from_millis(IDLE_LOOK_MS) {
            self.look_after()?;
        }
        Ok(!self.stop_now)
    }

    /// A reply is shown, then written down, then acknowledged: a crash between
    /// two of these shows it again, and whoever picks the run up says so.
    fn take(&mut self, reply: Taken) -> std::result::Result<(), QueueError> {
        let mut event = reply.event;
        if let Some(fault) = &reply.fault {
            event.note("faasreason", fault);
        }
        let key = ending::key(&event);
        let mut control = event.control.take().map(|control| *control).unwrap_or_default();
        if reply.fault.is_some() {
            // What cannot be read is not shown as if it were a result.
            control.verdict = Some(Verdict::Dead);
        }
        let told = self.endings.reply(&control, &key);
        if let Some(ended) = told.ended {
            self.summary.ended(control.started_us);
            self.summary.dropped += u64::from(ended.results == 0 && !ended.dead);
        }
        self.summary.redelivered += u64::from(!told.fresh);
        self.note_accepted(&control);
        if told.fresh {
            self.children.progressed();
        }
        let shows = told.fresh && (control.is_result() || control.is_dead());
        if shows {
            self.book.intend(&key).map_err(no_book)?;
        }
        if shows && self.doubtful.remove(&key) {
            self.summary.doubtful.push(event.id.clone());
        }
        let is_result = control.is_result();
        let ended = told.ended.is_some();
        let shown = Shown { receipt: reply.receipt, control, key, fresh: told.fresh, ended };
        match (shows, is_result) {
            (true, true) => self.show_result(event, shown)?,
            (true, false) => {
                self.keep_dead(&event)?;
                self.acknowledge(shown)?;
            }
            (false, _) => self.acknowledge(shown)?,
        }
        if ended {
            self.children.tell_ended(self.endings.count);
        }
        self.show();
        Ok(())
    }

    /// Nobody says how much a run that was picked up has accepted, but for
    /// the messages themselves.
    fn note_accepted(&mut self, control: &Control) {
        if !self.resumed || control.invocation.is_empty() {
            return;
        }
        let (trigger, _) = ending::split(&control.invocation);
        let highest = self.endings.highest(trigger);
        self.trigger.get_or_insert_with(|| trigger.to_owned());
        self.summary.accepted = self.summary.accepted.max(highest);
    }

    fn show_result(
        &mut self,
        mut event: Event,
        shown: Shown,
    ) -> std::result::Result<(), QueueError> {
        self.summary.results += 1;
        let outputs = vec![(self.results, event.clone())];
        match self.desk.hand_over(Handoff { taken: None, outputs })? {
            Handed::Done => self.acknowledge(shown),
            Handed::Later(ticket) | Handed::Sent(ticket) => {
                self.waiting.insert(ticket, shown);
                Ok(())
            }
            // A result that the asked shape cannot carry becomes a dead letter.
            Handed::Refused(error) => {
                self.summary.results -= 1;
                event.note("faasreason", error.to_string());
                self.keep_dead(&event)?;
                self.acknowledge(shown)
            }
        }
    }

    fn acknowledge(&mut self, shown: Shown) -> std::result::Result<(), QueueError> {
        let Shown { receipt, control, key, fresh, ended } = shown;
        self.book.reply(control, key, fresh, ended).map_err(no_book)?;
        let counts = [self.summary.results, self.summary.dead, self.summary.dropped];
        if self.waiting.is_empty() {
            self.book.keep_short(&self.endings, counts).map_err(no_book)?;
        }
        let taken = Some((self.replies.connection, receipt));
        self.desk.hand_over(Handoff { taken, outputs: Vec::new() }).map(drop)
    }

    fn keep_dead(&mut self, letter: &Event) -> std::result::Result<(), QueueError> {
        self.summary.dead += 1;
        self.dead.append(letter).map_err(|failure| {
            self.log.failure(&failure);
            QueueError::io("keeping a dead letter")(std::io::Error::other(failure.reason))
        })
    }

    fn on_status(&mut self) {
        if let Some(status) = self.children.read_status() {
            self.summary.accepted = status.accepted;
            self.overdue.note(status.accepted, Instant::now());
            // Nothing that could be resumed is lost with this line.
            let _ = self.book.accepted(&status.trigger, status.accepted);
            self.trigger = Some(status.trigger);
            self.show();
        }
        if self.trigger_ended {
            self.poller.remove(&self.children.status);
        }
    }

    /// First signal: the input ends and what is in flight drains. Ctrl-C
    /// reaches the trigger by itself, and whoever writes to it. Second: now.
    fn on_signals(&mut self) {
        while let Some(caught) = self.signals.next_caught() {
            if caught.signal == Signal::SIGCHLD as i32 {
                continue;
            }
            self.stop_now = self.stopped_by.is_some();
            self.stopped_by = Some(caught.signal);
            // A Ctrl-C has reached the trigger too, and whoever writes to it.
            let is_int = caught.signal == Signal::SIGINT as i32;
            if !is_int || !(caught.by_terminal || pipe::stdin_is_pipe()) {
                self.children.stop_trigger();
            }
        }
        for gone in self.children.reap(!self.stop_now) {
            self.on_gone(gone);
        }
    }

    fn on_gone(&mut self, gone: Gone) {
        match gone {
            Gone::Trigger(status) => {
                self.on_status();
                self.trigger_ended = true;
                self.poller.remove(&self.children.status);
                if !matches!(status.code(), Some(0 | 1)) && self.stopped_by.is_none() {
                    self.trigger_failed = true;
                    let last = match self.summary.accepted {
                        0 => "no line was accepted".to_owned(),
                        line => format!("the last line accepted is {line}"),
                    };
                    self.say(&format!("the trigger ended early ({}); {last}", describe(status)));
                }
            }
            Gone::Restarted(what) => self.say(&format!("{what}; started again")),
            // All are being ended.
            Gone::Invoker(_) if self.stop_now => {}
            Gone::Invoker(what) => {
                self.invoker_gone = true;
                self.stop_now = true;
                self.say(&format!("{what}; it is not started again, the run ends"));
            }
        }
    }

    /// Results that wait for stdout when the run ends early: their reader has
    /// two seconds more; what it does not take is not counted as out.
    fn write_what_waits(&mut self) {
        let patience = Instant::now() + STILL;
        while !self.waiting.is_empty() && !self.closed && Instant::now() < patience {
            let _ = self.desk.flush();
            let mut ready = Vec::new();
            let Ok(()) = self.poller.wait(Duration::from_millis(50), &mut ready) else { break };
            for one in ready {
                if self.desk.owns(one.token) {
                    self.desk.on_ready(one);
                }
            }
            let Ok(done) = self.desk.advance() else { break };
            for shown in
                done.iter().filter_map(|ticket| self.waiting.remove(ticket)).collect::<Vec<_>>()
            {
                if self.acknowledge(shown).is_err() {
                    break;
                }
            }
        }
        self.summary.results -= (self.waiting.len() as u64).min(self.summary.results);
        self.summary.unwritten = self.waiting.len() as u64;
    }

    fn pass_on_talk(&mut self) {
        for line in self.children.talk.lines() {
            self.progress.line(&line);
        }
    }

    fn say(&mut self, text: &str) {
        if self.progress.is_shown() {
            self.progress.line(&format!("faas-chain: {text}"));
        } else {
            self.log.line(text);
        }
    }

    fn show(&self) {
        let summary = &self.summary;
        self.progress.update(summary.accepted, self.endings.count, summary.results, summary.dead);
    }

    fn look_after(&mut self) -> std::result::Result<(), QueueError> {
        self.looked = Instant::now();
        for notice in self.desk.look_after()? {
            self.say(&notice);
        }
        for gone in self.children.reap(!self.stop_now) {
            self.on_gone(gone);
        }
        // What waits to be written is not still.
        if self.waiting.is_empty() && self.stillness.is_reached(&mut self.desk)? {
            self.come_to_rest();
        }
        let past = self.overdue.until(Instant::now());
        if self.trigger_ended && past > 0 && self.missing().last().is_some_and(|last| *last <= past)
        {
            self.summary.lost = self.missing();
        }
        Ok(())
    }

    /// Nothing has moved for long enough: what has no result is lost, and must
    /// not keep a window closed for ever.
    fn come_to_rest(&mut self) {
        if self.trigger_ended {
            self.summary.lost = self.missing();
            self.is_at_rest = true;
        } else if self.summary.accepted > self.endings.count {
            self.children.tell_ended(self.summary.accepted);
        }
    }

    fn missing(&self) -> Vec<u64> {
        let trigger = self.trigger.as_deref().unwrap_or_default();
        self.endings.missing(trigger, self.summary.accepted)
    }

    fn is_over(&self) -> bool {
        let all = self.trigger_ended && self.waiting.is_empty();
        let known = self.is_at_rest || !self.resumed;
        all && (!self.summary.lost.is_empty() || (known && self.all_ended()))
    }

    fn all_ended(&self) -> bool {
        match &self.trigger {
            None => true,
            // Counting is cheap; who else feeds the run is not ours to wait for.
            Some(_) if self.endings.count < self.summary.accepted => false,
            Some(trigger) => self.endings.missing(trigger, self.summary.accepted).is_empty(),
        }
    }

    fn exit(&mut self) -> Exit {
        if self.closed {
            self.summary.closed = true;
            return Exit::Done;
        }
        if self.stop_now {
            self.summary.lost = self.missing();
        }
        if self.stopped_by.is_some() && !self.invoker_gone {
            return Exit::by_signal(self.stopped_by.unwrap_or(2));
        }
        let failed = self.trigger_failed || self.invoker_gone || self.summary.dead > 0;
        if failed || !self.summary.lost.is_empty() { Exit::SomeFailed } else { Exit::Done }
    }
}

fn no_book(error: std::io::Error) -> QueueError {
    QueueError::io("writing the book of the run")(error)
}
