//! The kernel's message queues: open, send, receive, and what its errors mean.

#![allow(unsafe_code)]

use crate::queue::QueueError;
use nix::errno::Errno;
use nix::mqueue::{MQ_OFlag, MqAttr, MqdT, mq_getattr, mq_open, mq_receive, mq_send, mq_unlink};
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use nix::sys::stat::{Mode, fstat};
use nix::unistd::{Uid, User, geteuid};
use std::ffi::CString;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd};

/// An open message queue, never blocking, closed when dropped.
#[derive(Debug)]
pub(super) struct Mq {
    mqd: MqdT,
    fd: OwnedFd,
}

/// Capacity, message size and depth as the kernel has them.
#[derive(Debug, Clone, Copy)]
pub(super) struct Attr {
    pub(super) capacity: u64,
    pub(super) message_size: u64,
    pub(super) depth: u64,
}

/// Which way a queue is opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Way {
    Send,
    Receive,
}

impl Mq {
    /// Opens a queue that exists and is ours.
    pub(super) fn open(name: &str, way: Way) -> Result<Self, QueueError> {
        let flags = match way {
            Way::Send => MQ_OFlag::O_WRONLY,
            // A reader moves what was spilled into the room that it makes.
            Way::Receive => MQ_OFlag::O_RDWR,
        };
        let flags = flags | MQ_OFlag::O_NONBLOCK | MQ_OFlag::O_CLOEXEC;
        let mqd = mq_open(kernel_name(name)?.as_c_str(), flags, Mode::empty(), None)
            .map_err(|errno| open_error(name, errno))?;
        let mq = Self::own(mqd);
        mq.check_owner()?;
        Ok(mq)
    }

    /// Creates a queue of exactly this size, mode 0600.
    pub(super) fn create(name: &str, capacity: u64, message_size: u64) -> Result<Self, QueueError> {
        let flags = MQ_OFlag::O_CREAT
            | MQ_OFlag::O_EXCL
            | MQ_OFlag::O_RDWR
            | MQ_OFlag::O_NONBLOCK
            | MQ_OFlag::O_CLOEXEC;
        let clamp = |value: u64| i64::try_from(value).unwrap_or(i64::MAX);
        let attr = MqAttr::new(0, clamp(capacity), clamp(message_size), 0);
        let mode = Mode::S_IRUSR | Mode::S_IWUSR;
        mq_open(kernel_name(name)?.as_c_str(), flags, mode, Some(&attr))
            .map(Self::own)
            .map_err(|errno| create_error(errno, capacity, message_size))
    }

    fn own(mqd: MqdT) -> Self {
        // SAFETY: `mqd` was just opened and has no owner: `MqdT` does not
        // close itself. From here on `fd` is the only owner.
        let fd = unsafe { OwnedFd::from_raw_fd(mqd.as_raw_fd()) };
        Self { mqd, fd }
    }

    fn check_owner(&self) -> Result<(), QueueError> {
        let stat = fstat(&self.fd).map_err(|e| QueueError::io("reading its owner")(e.into()))?;
        if stat.st_uid == geteuid().as_raw() {
            return Ok(());
        }
        let user = User::from_uid(Uid::from_raw(stat.st_uid)).ok().flatten();
        Err(QueueError::NotOurs {
            owner: user.map_or_else(|| stat.st_uid.to_string(), |user| user.name),
        })
    }

    /// Whether the queue that has this name now is another one, or none.
    pub(super) fn is_removed(&self, name: &str) -> Result<bool, QueueError> {
        let inode = |mq: &Self| fstat(&mq.fd).map(|stat| stat.st_ino).ok();
        match Self::open(name, Way::Send) {
            Ok(now) => Ok(inode(&now) != inode(self)),
            Err(QueueError::NoSuchQueue | QueueError::NotOurs { .. }) => Ok(true),
            Err(error) => Err(error),
        }
    }

    pub(super) fn attr(&self) -> Result<Attr, QueueError> {
        let attr =
            mq_getattr(&self.mqd).map_err(|e| QueueError::io("reading its size")(e.into()))?;
        Ok(Attr {
            capacity: attr.maxmsg() as u64,
            message_size: attr.msgsize() as u64,
            depth: attr.curmsgs() as u64,
        })
    }

    /// `Ok(false)`: it is full.
    pub(super) fn try_send(&self, message: &[u8]) -> Result<bool, QueueError> {
        loop {
            match mq_send(&self.mqd, message, 0) {
                Ok(()) => return Ok(true),
                Err(Errno::EAGAIN) => return Ok(false),
                Err(Errno::EINTR) => {}
                Err(errno) => return Err(QueueError::io("sending")(errno.into())),
            }
        }
    }

    /// Receives into `buffer`, at least the queue's message size long.
    /// `Ok(None)`: it is empty.
    pub(super) fn try_receive(&self, buffer: &mut [u8]) -> Result<Option<usize>, QueueError> {
        loop {
            match mq_receive(&self.mqd, buffer, &mut 0) {
                Ok(len) => return Ok(Some(len)),
                Err(Errno::EAGAIN) => return Ok(None),
                Err(Errno::EINTR) => {}
                Err(errno) => return Err(QueueError::io("receiving")(errno.into())),
            }
        }
    }
}

impl AsFd for Mq {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

/// Removes the name; who has the queue open keeps it.
pub(super) fn unlink(name: &str) -> Result<(), QueueError> {
    mq_unlink(kernel_name(name)?.as_c_str()).map_err(|errno| open_error(name, errno))
}

/// Uses all of RLIMIT_MSGQUEUE that the hard limit allows.
pub(super) fn raise_limit() {
    if let Ok((soft, hard)) = getrlimit(Resource::RLIMIT_MSGQUEUE)
        && soft < hard
    {
        // Without it fewer queues fit; creating them says so.
        let _ = setrlimit(Resource::RLIMIT_MSGQUEUE, hard, hard);
    }
}

/// The system's ceiling for `capacity` and `message_size` of new queues.
pub(super) fn ceilings() -> (u64, u64) {
    let read = |file: &str, default| {
        std::fs::read_to_string(format!("/proc/sys/fs/mqueue/{file}"))
            .ok()
            .and_then(|text| text.trim().parse().ok())
            .unwrap_or(default)
    };
    (read("msg_max", 10), read("msgsize_max", 8192))
}

fn kernel_name(name: &str) -> Result<CString, QueueError> {
    CString::new(format!("/{name}")).map_err(|_| QueueError::NoSuchQueue)
}

fn open_error(name: &str, errno: Errno) -> QueueError {
    match errno {
        Errno::ENOENT => QueueError::NoSuchQueue,
        Errno::EACCES => QueueError::NotOurs { owner: owner_by_listing(name) },
        Errno::EMFILE | Errno::ENFILE => no_descriptors(),
        errno => QueueError::io("opening it")(errno.into()),
    }
}

/// Whose queue it is, where the queue file system is mounted.
fn owner_by_listing(name: &str) -> String {
    use std::os::unix::fs::MetadataExt;
    std::fs::metadata(format!("/dev/mqueue/{name}"))
        .map_or_else(|_| "another user".to_owned(), |meta| meta.uid().to_string())
}

fn create_error(errno: Errno, capacity: u64, message_size: u64) -> QueueError {
    let (capacity_max, size_max) = ceilings();
    match errno {
        Errno::EEXIST => QueueError::Exists,
        Errno::EINVAL => QueueError::Refused {
            what: format!(
                "{capacity} messages of {message_size} bytes are more than the kernel allows \
                 ({capacity_max} of {size_max})"
            ),
            alternative: format!(
                "--capacity {} --size {}, or raise /proc/sys/fs/mqueue/msg_max and msgsize_max",
                capacity.clamp(1, capacity_max),
                message_size.clamp(super::MESSAGE_SIZE_MIN, size_max)
            ),
        },
        // The kernel says EMFILE for both of these limits.
        Errno::EMFILE if std::fs::File::open("/dev/null").is_err() => no_descriptors(),
        Errno::EMFILE | Errno::ENOMEM => QueueError::Limit {
            limit: "the memory this user may have in POSIX queues (RLIMIT_MSGQUEUE)".to_owned(),
            cure: "faas-queue rm queues you do not need (faas-queue ls), or raise ulimit -q"
                .to_owned(),
        },
        Errno::ENOSPC => QueueError::Limit {
            limit: "the number of POSIX queues on this host (/proc/sys/fs/mqueue/queues_max)"
                .to_owned(),
            cure: "faas-queue rm queues you do not need, or raise queues_max".to_owned(),
        },
        Errno::EACCES => QueueError::NotOurs { owner: "another user".to_owned() },
        errno => QueueError::io("creating it")(errno.into()),
    }
}

fn no_descriptors() -> QueueError {
    QueueError::Limit {
        limit: "the number of open files (RLIMIT_NOFILE)".to_owned(),
        cure: "ulimit -n 4096".to_owned(),
    }
}
