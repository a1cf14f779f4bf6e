//! What the invoker and its guard say to each other: one datagram each.

/// From the invoker.
pub(super) enum Order {
    /// Start a function; its stdin, stdout and stderr come as descriptors.
    Spawn(Spawn),
    /// Send a signal to a call's process group.
    Signal(u64, i32),
}

/// What to start.
pub(super) struct Spawn {
    pub(super) call: u64,
    pub(super) function: u32,
    pub(super) env: Vec<(String, String)>,
}

/// A process whose stdin is held has started.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Started {
    /// Which call it is for.
    pub call: u64,
    /// Its process id.
    pub pid: i32,
}

/// A call that ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ended {
    /// Which.
    pub call: u64,
    /// How.
    pub outcome: Outcome,
}

/// How a process ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// It exited with this code.
    Exit(i32),
    /// This signal ended it.
    Signal(i32),
    /// It could not be started; the system's error number.
    NotStarted(i32),
}

impl Order {
    pub(super) fn encode(&self) -> Vec<u8> {
        match self {
            Self::Signal(call, signal) => {
                [&[0_u8][..], &call.to_le_bytes(), &signal.to_le_bytes()].concat()
            }
            Self::Spawn(spawn) => {
                let mut bytes = vec![1_u8];
                bytes.extend_from_slice(&spawn.call.to_le_bytes());
                bytes.extend_from_slice(&spawn.function.to_le_bytes());
                for (name, value) in &spawn.env {
                    for text in [name, value] {
                        bytes.extend_from_slice(text.as_bytes());
                        bytes.push(0);
                    }
                }
                bytes
            }
        }
    }

    pub(super) fn decode(bytes: &[u8]) -> Option<Self> {
        let (kind, rest) = bytes.split_first()?;
        let (call, rest) = rest.split_first_chunk::<8>()?;
        let call = u64::from_le_bytes(*call);
        if *kind == 0 {
            return Some(Self::Signal(call, i32::from_le_bytes(*rest.first_chunk::<4>()?)));
        }
        let (function, rest) = rest.split_first_chunk::<4>()?;
        let mut texts = rest.split(|&byte| byte == 0);
        let mut env = Vec::new();
        let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).ok();
        while let (Some(name), Some(value)) = (texts.next(), texts.next()) {
            env.push((text(name)?, text(value)?));
        }
        Some(Self::Spawn(Spawn { call, function: u32::from_le_bytes(*function), env }))
    }
}

/// What the guard says.
#[derive(Clone, Copy)]
pub(super) enum Word {
    Started(Started),
    Ended(Ended),
}

impl Word {
    pub(super) fn encode(self) -> [u8; 13] {
        let (call, kind, value) = match self {
            Self::Ended(Ended { call, outcome: Outcome::Exit(code) }) => (call, 0, code),
            Self::Ended(Ended { call, outcome: Outcome::Signal(signal) }) => (call, 1, signal),
            Self::Ended(Ended { call, outcome: Outcome::NotStarted(errno) }) => (call, 2, errno),
            Self::Started(Started { call, pid }) => (call, 3, pid),
        };
        let mut bytes = [0; 13];
        bytes[..8].copy_from_slice(&call.to_le_bytes());
        bytes[8] = kind;
        bytes[9..].copy_from_slice(&value.to_le_bytes());
        bytes
    }

    pub(super) fn decode(bytes: &[u8]) -> Option<Self> {
        let (call, rest) = bytes.split_first_chunk::<8>()?;
        let (kind, rest) = rest.split_first()?;
        let call = u64::from_le_bytes(*call);
        let value = i32::from_le_bytes(*rest.first_chunk::<4>()?);
        let outcome = match kind {
            0 => Outcome::Exit(value),
            1 => Outcome::Signal(value),
            2 => Outcome::NotStarted(value),
            _ => return Some(Self::Started(Started { call, pid: value })),
        };
        Some(Self::Ended(Ended { call, outcome }))
    }
}
