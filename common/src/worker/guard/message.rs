//! What the invoker and its guard say to each other: one datagram each.

/// From the invoker.
pub(super) enum Order {
    /// Start a function; its stdin, stdout and stderr come as descriptors.
    Spawn(Spawn),
    /// Kill a call.
    Kill(u64),
}

/// What to start.
pub(super) struct Spawn {
    pub(super) call: u64,
    pub(super) function: u32,
    pub(super) env: Vec<(String, String)>,
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
            Self::Kill(call) => [&[0_u8][..], &call.to_le_bytes()].concat(),
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
            return Some(Self::Kill(call));
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

impl Ended {
    pub(super) fn encode(self) -> [u8; 13] {
        let (kind, value) = match self.outcome {
            Outcome::Exit(code) => (0, code),
            Outcome::Signal(signal) => (1, signal),
            Outcome::NotStarted(errno) => (2, errno),
        };
        let mut bytes = [0; 13];
        bytes[..8].copy_from_slice(&self.call.to_le_bytes());
        bytes[8] = kind;
        bytes[9..].copy_from_slice(&value.to_le_bytes());
        bytes
    }

    pub(super) fn decode(bytes: &[u8]) -> Option<Self> {
        let (call, rest) = bytes.split_first_chunk::<8>()?;
        let (kind, rest) = rest.split_first()?;
        let value = i32::from_le_bytes(*rest.first_chunk::<4>()?);
        let outcome = match kind {
            0 => Outcome::Exit(value),
            1 => Outcome::Signal(value),
            _ => Outcome::NotStarted(value),
        };
        Some(Self { call: u64::from_le_bytes(*call), outcome })
    }
}
