//! Events in: from stdin or a queue to a queue, or to the start of a chain,
//! where each becomes an invocation.

mod redrive;
pub mod tick;
pub mod web;

use crate::chain::route::{Emission, Router};
use crate::chain::{Chain, Placement, Scopes, ending};
use crate::clock;
use crate::error::{Failure, Result};
use crate::event::credit::Credit;
use crate::event::{Control, Event, Verdict};
use crate::exit::Exit;
use crate::invoker::DeadSink;
use crate::invoker::dead::Obituary;
use crate::queue::{Desk, Port, Taken};
use crate::runner::places::Places;
use crate::transfer::{Edit, Report, Step, Transfer, strip};
use std::cell::RefCell;
use std::fs::File;
use std::io::Write;
use std::path::Path;

/// Where a trigger sends to.
pub enum Destination {
    /// A queue.
    Queue(Port),
    /// The start of a chain.
    Run(Box<RunStart>),
}

/// The start of a run.
pub struct RunStart {
    chain: Chain,
    scopes: Scopes,
    placement: Placement,
    inputs: Vec<Port>,
    reply: Port,
}

impl Destination {
    /// Opens the start queues of a run, and its reply queue for lines that
    /// are no events.
    ///
    /// # Errors
    /// A queue is not there.
    pub fn run(chain: &Chain, places: Places, desk: &mut Desk) -> Result<Self> {
        let (placement, connections) = places.into_desk(desk);
        let open = |(_, at, name): (Option<usize>, usize, &str)| -> Result<Port> {
            let connection = connections[at];
            let target = desk.connection(connection);
            let opened = target.open_send(name);
            let queue = opened.map_err(|error| error.failure("open", &target.url_of(name)))?;
            Ok(Port { connection, queue })
        };
        let mut inputs = placement.queues().into_iter().map(open).collect::<Result<Vec<_>>>()?;
        // The reply queue is the last.
        let home = Port { connection: connections[0], queue: crate::queue::QueueId(0) };
        let reply = inputs.pop().unwrap_or(home);
        Ok(Self::Run(Box::new(RunStart {
            chain: chain.clone(),
            scopes: Scopes::of(chain),
            placement,
            inputs,
            reply,
        })))
    }
}

/// Who is told how far the trigger is.
pub struct Progress {
    file: Option<File>,
}

impl Progress {
    /// A descriptor of this process, or nobody.
    ///
    /// # Errors
    /// There is no such descriptor.
    pub fn to(fd: Option<u32>) -> Result<Self> {
        let open = |fd: u32| {
            let path = format!("/proc/self/fd/{fd}");
            File::options().write(true).open(&path).map_err(|e| Failure::io("write to", path, &e))
        };
        Ok(Self { file: fd.map(open).transpose()? })
    }

    fn tell(&mut self, trigger: &str, accepted: u64) {
        if let Some(file) = &mut self.file {
            let line = format!("{{\"trigger\":\"{trigger}\",\"accepted\":{accepted}}}\n");
            // A runner that is gone ends this process by other means.
            let _ = file.write_all(line.as_bytes());
        }
    }
}

/// A trigger.
pub struct Trigger {
    destination: Destination,
    dead: DeadSink,
    progress: Progress,
    name: String,
    /// Whether what comes are dead letters.
    redrives: bool,
    edit: Edit,
}

impl Trigger {
    /// Lines that are no events go to the file `dead`, or in a run to its
    /// dead letters.
    pub fn new(destination: Destination, dead: &Path, progress: Progress) -> Self {
        let name = format!("{:012x}", clock::random_u64() & 0xFFFF_FFFF_FFFF);
        Self {
            destination,
            dead: DeadSink::file(dead),
            progress,
            name,
            redrives: false,
            edit: Edit::default(),
        }
    }

    /// What comes are dead letters, to be tried once more.
    #[must_use]
    pub fn redriving(self, redrives: bool) -> Self {
        Self { redrives, ..self }
    }

    /// Events get these attributes.
    #[must_use]
    pub fn editing(self, edit: Edit) -> Self {
        Self { edit, ..self }
    }

    /// Sends all events that come.
    ///
    /// # Errors
    /// A queue failed for good; the events handed over until then are named.
    pub fn run(self, mut transfer: Transfer) -> Result<Report> {
        let Self { destination, mut dead, mut progress, name, redrives, edit } = self;
        let mut number = 0;
        let said =
            RefCell::new(crate::cli::log::Log::new(transfer.log.tool(), transfer.log.is_quiet()));
        let mut accepted = 0;
        let outcome = transfer.run(
            |mut taken| {
                number += 1;
                edit.apply(&mut taken.event, number);
                if let Some(failure) = taken.failure() {
                    said.borrow_mut().failure(&failure);
                }
                if redrives && taken.fault.is_none() {
                    return Ok(redriven(&destination, &name, number, taken.event, &said));
                }
                step(&destination, &mut dead, &name, number, taken)
            },
            |count| {
                accepted = count;
                progress.tell(&name, count);
                Ok(())
            },
        );
        if let Some(kept) = dead.said(&mut transfer.desk) {
            said.borrow_mut().line(&kept);
        }
        outcome.map_err(|failure| match accepted {
            0 => failure,
            count => {
                let reason = format!("{} (the last line sent is {count})", failure.reason);
                Failure { reason, ..failure }
            }
        })
    }
}

fn step(
    destination: &Destination,
    dead: &mut DeadSink,
    trigger: &str,
    number: u64,
    taken: Taken,
) -> Result<Step> {
    match (destination, taken.fault) {
        (Destination::Queue(port), None) => Ok(Step::Send(vec![(*port, taken.event)])),
        (Destination::Queue(_), Some(fault)) => {
            dead.append(&letter(taken.event, fault))?;
            Ok(Step::Bad(Vec::new()))
        }
        (Destination::Run(start), fault) => {
            let control = start.control(trigger, number);
            Ok(match fault {
                None => Step::Send(start.begin(&taken.event, &control)),
                Some(fault) => {
                    Step::Bad(vec![(start.reply, start.dead_line(taken.event, fault, control))])
                }
            })
        }
    }
}

/// What becomes of a dead letter that is sent again.
fn redriven(
    destination: &Destination,
    trigger: &str,
    number: u64,
    letter: Event,
    said: &RefCell<crate::cli::log::Log>,
) -> Step {
    let start = match destination {
        Destination::Queue(port) => return Step::Send(vec![(*port, stripped(letter))]),
        Destination::Run(start) => start,
    };
    let control = start.control(trigger, number);
    match start.redrive(letter.clone(), &control) {
        Ok(messages) => Step::Send(messages),
        Err(refusal) => {
            let object = format!("line {number}");
            let failure = Failure::new(Exit::SomeFailed, "redrive", object, refusal.reason);
            said.borrow_mut().failure(&failure.cure(refusal.cure));
            Step::Bad(vec![(start.reply, redrive::kept(letter, control))])
        }
    }
}

fn stripped(mut letter: Event) -> Event {
    strip(&mut letter);
    letter
}

fn letter(event: Event, reason: String) -> Event {
    Obituary { reason, function: "@trigger".to_owned(), ..Obituary::default() }.letter(event)
}

impl RunStart {
    fn control(&self, trigger: &str, number: u64) -> Control {
        let now_us = clock::unix_us();
        let deadline_us = u64::try_from(self.chain.deadline.as_micros()).unwrap_or(u64::MAX);
        Control {
            run: self.placement.run.clone(),
            version: self.chain.digest.clone(),
            invocation: ending::name(trigger, number),
            credit: Credit::whole(),
            started_us: now_us,
            deadline_us: now_us.saturating_add(deadline_us),
            ..Control::default()
        }
    }

    fn begin(&self, event: &Event, control: &Control) -> Vec<(Port, Event)> {
        self.addressed(self.router().start(event, control, &self.chain.start))
    }

    fn router(&self) -> Router<'_> {
        Router { chain: &self.chain, scopes: &self.scopes }
    }

    fn addressed(&self, emissions: Vec<Emission>) -> Vec<(Port, Event)> {
        let port = |to: Option<usize>| to.map_or(self.reply, |to| self.inputs[to]);
        emissions.into_iter().map(|emission| (port(emission.to), emission.event)).collect()
    }

    fn dead_line(&self, event: Event, fault: String, control: Control) -> Event {
        let mut event = letter(event, fault);
        event.control = Some(Box::new(Control { verdict: Some(Verdict::Dead), ..control }));
        event
    }
}
