//! `-`: stdin as a queue to take from, stdout as a queue to send to, so that
//! a pipe is one more place a function can hang between.

mod closed;
mod sink;
mod source;

pub use sink::SinkOptions;
pub use source::SourceOptions;

use super::{
    Capabilities, Connection, Flaws, Granted, Order, QueueError, QueueId, QueueSpec, QueueStat,
    Receipt, Settled, Settlement, Taken, Waiting, WhenFull,
};
use crate::poll::{Poller, Ready};
use sink::Sink;
use source::Source;
use std::collections::VecDeque;
use std::rc::Rc;

/// What a pipe can do.
pub static CAPABILITIES: Capabilities = Capabilities {
    scheme: "-",
    title: "stdin and stdout",
    between_processes: true,
    orders: &[Order::Fifo],
    when_full: &[WhenFull::Block],
    capacity_default: 0,
    waiting: Waiting::Any,
    acknowledge: false,
    delayed: false,
    peek: false,
    replay: false,
    atomic_settle: false,
    exactly_once: false,
    drops_known_ids: false,
    gather: false,
    on_one_host: true,
    bounded: true,
    counts_held: false,
    queues_tested: None,
    under_way_max: crate::limits::UNDER_WAY_SHORT,
    process_killed: Flaws { may_lose: true, may_duplicate: false },
    host_lost: Flaws { may_lose: true, may_duplicate: false },
};

const IN: QueueId = QueueId(0);
const OUT: QueueId = QueueId(1);

/// Stdin and stdout as a connection.
pub struct PipeConnection {
    source: Source,
    sink: Sink,
    /// Settlements whose bytes are not all written: ticket, and up to where.
    pending: VecDeque<(u64, u64)>,
    receipts: u64,
}

impl PipeConnection {
    /// Nothing is read before the first receive.
    pub fn new(source: SourceOptions, sink: SinkOptions) -> Self {
        Self {
            source: Source::new(source),
            sink: Sink::new(sink),
            pending: VecDeque::new(),
            receipts: 0,
        }
    }
}

/// Whether stdin comes from another program, which a Ctrl-C reaches too.
pub fn stdin_is_pipe() -> bool {
    use std::os::unix::fs::FileTypeExt;
    let kind = std::fs::metadata("/proc/self/fd/0").map(|meta| meta.file_type());
    kind.is_ok_and(|kind| kind.is_fifo() || kind.is_socket())
}

impl PipeConnection {
    /// Waits until all that was settled is written; for tools without a loop.
    ///
    /// # Errors
    /// Stdout cannot be written, or its reader is gone.
    pub fn write_out(&mut self) -> Result<(), QueueError> {
        let mut done = Vec::new();
        loop {
            self.resume(&mut done)?;
            if self.pending.is_empty() {
                return Ok(());
            }
            self.sink.wait();
        }
    }
}

fn no_queues<T>() -> Result<T, QueueError> {
    Err(QueueError::Refused {
        what: "- is a pipe, not a queue".to_owned(),
        alternative: "mq:/NAME".to_owned(),
    })
}

impl Connection for PipeConnection {
    fn capabilities(&self) -> &'static Capabilities {
        &CAPABILITIES
    }

    fn create(&mut self, _name: &str, _spec: &QueueSpec) -> Result<Granted, QueueError> {
        no_queues()
    }

    fn remove(&mut self, _name: &str) -> Result<(), QueueError> {
        no_queues()
    }

    fn list(&mut self) -> Result<Vec<QueueStat>, QueueError> {
        no_queues()
    }

    fn stat(&mut self, _name: &str) -> Result<QueueStat, QueueError> {
        no_queues()
    }

    fn open_send(&mut self, _name: &str) -> Result<QueueId, QueueError> {
        Ok(OUT)
    }

    fn open_receive(&mut self, _name: &str) -> Result<QueueId, QueueError> {
        Ok(IN)
    }

    fn attach(&mut self, poller: Rc<Poller>, base: u64) {
        self.source.attach(poller.clone(), base | u64::from(IN.0));
        self.sink.attach(poller, base | u64::from(OUT.0));
    }

    fn listen(&mut self, _queue: QueueId, on: bool) -> Result<(), QueueError> {
        self.source.listen(on)
    }

    fn try_receive(
        &mut self,
        queue: QueueId,
        max: usize,
        into: &mut Vec<Taken>,
    ) -> Result<(), QueueError> {
        for _ in 0..max {
            let Some((event, fault)) = self.source.next()? else { break };
            self.receipts += 1;
            let receipt = Receipt(self.receipts);
            into.push(Taken { receipt, queue, event, attempts: 0, fault });
        }
        Ok(())
    }

    fn count_attempt(&mut self, _receipt: Receipt) {}

    fn settle(&mut self, settlement: &mut Settlement) -> Result<Settled, QueueError> {
        let outputs = settlement.outputs.iter().map(|output| &output.event);
        let end = self.sink.append(outputs)?;
        settlement.outputs.clear();
        settlement.taken.clear();
        if self.sink.flush()? >= end {
            return Ok(Settled::Done);
        }
        self.pending.push_back((settlement.ticket, end));
        Ok(Settled::Waiting)
    }

    fn resume(&mut self, done: &mut Vec<u64>) -> Result<(), QueueError> {
        let written = self.sink.flush()?;
        while let Some((ticket, _)) = self.pending.front().filter(|(_, end)| *end <= written) {
            done.push(*ticket);
            self.pending.pop_front();
        }
        Ok(())
    }

    fn blocked(&self) -> Vec<QueueId> {
        if self.pending.is_empty() { Vec::new() } else { vec![OUT] }
    }

    fn stuck(&self) -> Vec<u64> {
        self.pending.iter().map(|(ticket, _)| *ticket).collect()
    }

    fn on_ready(&mut self, ready: Ready) {
        if ready.writable {
            self.sink.on_room();
        }
    }

    fn has_more(&self) -> bool {
        self.source.has_more()
    }

    fn is_exhausted(&self, _queue: QueueId) -> bool {
        self.source.is_exhausted()
    }

    fn name_of(&self, _queue: QueueId) -> String {
        "-".to_owned()
    }
}
