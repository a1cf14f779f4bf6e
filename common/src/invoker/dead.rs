//! Where dead letters go when there is no run to take them: the queue
//! `NAME.dead`, made on first use, or a file of NDJSON.

use crate::error::{Failure, Result};
use crate::event::{Attr, CONTROL_PREFIX, Event, Show, print_envelope};
use crate::queue::{Desk, Port, QueueError, QueueSpec};
use std::fs::{File, OpenOptions};
use std::io::Write;
use std::path::{Path, PathBuf};

/// A place for dead letters; made when the first one comes.
#[derive(Debug)]
pub enum DeadSink {
    /// A queue of one of the connections.
    Queue {
        /// Index of the connection.
        connection: usize,
        /// The queue's name.
        name: String,
        /// Set once it is open.
        port: Option<Port>,
    },
    /// A file, appended to.
    File {
        /// Its path.
        path: PathBuf,
        /// Set once it is open.
        file: Option<File>,
        /// Letters written.
        count: u64,
    },
}

impl DeadSink {
    /// A file that is made with the first letter.
    pub fn file(path: impl Into<PathBuf>) -> Self {
        Self::File { path: path.into(), file: None, count: 0 }
    }

    /// Whether a file of letters could be written, without making it.
    ///
    /// # Errors
    /// It could not.
    pub fn check(path: &Path) -> Result<()> {
        use nix::unistd::{AccessFlags, access};
        let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
        let place = if path.exists() { path } else { folder.unwrap_or(Path::new(".")) };
        access(place, AccessFlags::W_OK).map_err(|errno| {
            Failure::io("keep dead letters in", path.display().to_string(), &errno.into())
                .cure("--dead FILE, somewhere you can write")
        })
    }

    /// A queue that is made with the first letter.
    pub fn queue(connection: usize, name: String) -> Self {
        Self::Queue { connection, name, port: None }
    }

    /// The queue's port, if this is a queue; made and opened if it is not yet.
    ///
    /// # Errors
    /// It cannot be made.
    pub fn port(&mut self, desk: &mut Desk) -> std::result::Result<Option<Port>, QueueError> {
        let Self::Queue { connection, name, port } = self else { return Ok(None) };
        let gone = port.is_some_and(|port| !desk.connection(port.connection).is_there(port.queue));
        if port.is_none() || gone {
            let target = desk.connection(*connection);
            let queue = match target.open_send(name) {
                Err(QueueError::NoSuchQueue) => {
                    let spill = Some(crate::limits::SPILL_MAX);
                    match target.create(name, &QueueSpec { spill, ..QueueSpec::default() }) {
                        // Another invoker may just have made it.
                        Ok(_) | Err(QueueError::Exists) => {}
                        Err(error) => return Err(error),
                    }
                    target.open_send(name)?
                }
                other => other?,
            };
            *port = Some(Port { connection: *connection, queue });
        }
        Ok(*port)
    }

    /// Where letters were written, once there are any, for a person to look.
    pub fn said(&self, desk: &mut Desk) -> Option<String> {
        match self {
            Self::Queue { name, port: Some(port), .. } => {
                let url = desk.connection(port.connection).url_of(name);
                Some(format!("dead letters are in {url}"))
            }
            Self::File { path, count: 1.., .. } => {
                Some(format!("dead letters are in {}", path.display()))
            }
            _ => None,
        }
    }

    /// Appends a letter to the file.
    ///
    /// # Errors
    /// The file cannot be written.
    pub fn append(&mut self, letter: &Event) -> Result<()> {
        let Self::File { path, file, count } = self else { return Ok(()) };
        let failed = |error: &std::io::Error| {
            Failure::io("keep a dead letter in", path.display().to_string(), error)
                .cure("--dead FILE, somewhere you can write")
        };
        if file.is_none() {
            let opened = OpenOptions::new().create(true).append(true).open(&*path);
            *file = Some(opened.map_err(|error| failed(&error))?);
        }
        let mut line = Vec::new();
        print_envelope(letter, Show { exact: true, control: false }, &mut line)
            .map_err(|error| failed(&error))?;
        if let Some(file) = file {
            file.write_all(&line).map_err(|error| failed(&error))?;
        }
        *count += 1;
        Ok(())
    }
}

/// What a failure adds to a message.
#[derive(Debug, Clone, Default)]
pub struct Obituary {
    /// Why.
    pub reason: String,
    /// The function that failed.
    pub function: String,
    /// How many attempts were made.
    pub attempts: u32,
    /// How the last one ended.
    pub exit: Option<String>,
    /// The end of what it said on stderr.
    pub stderr: String,
}

impl Obituary {
    /// Turns the message that failed into a dead letter.
    pub fn letter(self, mut event: Event) -> Event {
        // It may have failed before, in a function whose rules took it on.
        event.extensions.retain(|name, _| !name.starts_with(CONTROL_PREFIX));
        event.note("faasreason", self.reason);
        event.note("faasfunction", self.function);
        event.extensions.insert("faasattempts".to_owned(), Attr::Int(i64::from(self.attempts)));
        if let Some(exit) = self.exit {
            event.note("faasexit", exit);
        }
        if !self.stderr.is_empty() {
            event.note("faasstderr", self.stderr);
        }
        event
    }
}
