//! Queues come, go, and are looked at.

use super::spill::Spill;
use super::survey::{self, Survey};
use super::sys::{self, Mq, Way};
use super::{CAPABILITIES, MESSAGE_SIZE, MESSAGE_SIZE_MIN, MqConnection, owner, registry};
use crate::queue::{
    Granted, Order, QueueDetail, QueueError, QueueSpec, QueueStat, ReaderStat, WhenFull,
};

impl MqConnection {
    pub(super) fn create_queue(
        &mut self,
        name: &str,
        spec: &QueueSpec,
    ) -> Result<Granted, QueueError> {
        refuse_demands(spec)?;
        let (capacity_max, size_max) = sys::ceilings();
        let mut capacity = spec.capacity.unwrap_or(CAPABILITIES.capacity_default);
        let mut message_size = spec.message_size.unwrap_or(MESSAGE_SIZE);
        if !spec.demand {
            capacity = capacity.clamp(1, capacity_max);
            message_size = message_size.clamp(MESSAGE_SIZE_MIN, size_max);
        }
        // Names come and go one process at a time; a queue has its record
        // before it is there, so that none can be left unseen.
        let _lock = self.dirs.lock()?;
        match Mq::open(name, Way::Send) {
            Err(QueueError::NoSuchQueue) => {}
            Err(error) => return Err(error),
            Ok(_) => return Err(QueueError::Exists),
        }
        // State of an earlier queue of this name means nothing for this one.
        self.dirs.forget(name)?;
        registry::record_queue(&self.dirs, name, spec)?;
        let mq = match Mq::create(name, capacity, message_size) {
            Ok(mq) => mq,
            Err(error) => {
                self.dirs.forget(name)?;
                return Err(error);
            }
        };
        let attr = mq.attr()?;
        Ok(Granted { capacity: attr.capacity, message_size: attr.message_size })
    }

    pub(super) fn remove_queue(&mut self, name: &str) -> Result<(), QueueError> {
        let _lock = self.dirs.lock()?;
        match Mq::open(name, Way::Send) {
            Ok(_) => sys::unlink(name)?,
            // A record without a queue: somebody else unlinked it.
            Err(QueueError::NoSuchQueue) if registry::queue_record(&self.dirs, name).is_some() => {}
            Err(error) => return Err(error),
        }
        owner::forget_dead(&self.dirs);
        self.dirs.forget(name)
    }

    pub(super) fn list_queues(&mut self) -> Result<Vec<QueueStat>, QueueError> {
        let mut stats = Vec::new();
        let _lock = self.dirs.lock()?;
        for name in registry::queue_names(&self.dirs)? {
            match self.stat_queue(&name) {
                Ok(stat) => stats.push(stat),
                Err(QueueError::NoSuchQueue) => self.dirs.forget(&name)?,
                Err(error) => return Err(error),
            }
        }
        Ok(stats)
    }

    pub(super) fn stat_queue(&self, name: &str) -> Result<QueueStat, QueueError> {
        let attr = Mq::open(name, Way::Send)?.attr()?;
        Ok(self.stat_of(name, attr))
    }

    fn stat_of(&self, name: &str, attr: sys::Attr) -> QueueStat {
        let record = registry::queue_record(&self.dirs, name);
        let dir = self.dirs.root().join("slots").join(name);
        let survey = Survey::of(&dir, attr.message_size as usize);
        let spilled = record
            .as_ref()
            .and_then(|record| Spill::open(&self.dirs, name, record.spill?).ok()?.held().ok())
            .map_or(0, |(count, _)| count);
        let run = record.as_ref().and_then(|record| record.run.clone());
        QueueStat {
            name: name.to_owned(),
            depth: attr.depth + spilled + survey.left,
            held: survey.held(),
            capacity: attr.capacity,
            message_size: attr.message_size,
            readers: survey.readers.len() as u64,
            orphaned: run.as_deref().is_some_and(registry::is_orphaned),
            run,
            created: record.map(|record| record.created),
            sent_total: None,
            done_total: None,
        }
    }

    pub(super) fn detail_of(&self, name: &str) -> Result<QueueDetail, QueueError> {
        let attr = Mq::open(name, Way::Send)?.attr()?;
        let dir = self.dirs.root().join("slots").join(name);
        let readers = Survey::of(&dir, attr.message_size as usize).readers;
        let (order, when_full) = (Some(Order::Fifo), Some(WhenFull::Block));
        Ok(QueueDetail {
            redelivered: Some(readers.values().map(|reader| reader.again).sum()),
            readers: readers.into_iter().map(reader).collect(),
            order,
            when_full,
            ..QueueDetail::default()
        })
    }
}

/// A process that takes from a queue.
fn reader((pid, found): (u32, survey::Reader)) -> ReaderStat {
    let program = std::fs::read_to_string(format!("/proc/{pid}/comm"));
    ReaderStat {
        name: format!("pid {pid}"),
        place: program.ok().map(|program| program.trim_end().to_owned()),
        since_ms: found.since_ms,
        held: Some(found.held),
    }
}

/// Demands that a POSIX queue cannot keep.
fn refuse_demands(spec: &QueueSpec) -> Result<(), QueueError> {
    let refuse = |what: String, alternative: &str| {
        Err(QueueError::Refused { what, alternative: alternative.to_owned() })
    };
    match (spec.demand, spec.order, spec.when_full) {
        (true, Some(order @ Order::Lifo), _) => {
            refuse(format!("a POSIX queue cannot be {}", order.word()), "order fifo")
        }
        (true, _, Some(when_full)) if when_full != WhenFull::Block => refuse(
            format!("a POSIX queue cannot {} when it is full", when_full.word()),
            "when_full block",
        ),
        (true, _, _) if spec.message_size.is_some_and(|size| size < MESSAGE_SIZE_MIN) => refuse(
            format!("messages of fewer than {MESSAGE_SIZE_MIN} bytes are too small"),
            "--size 1024",
        ),
        _ => Ok(()),
    }
}
