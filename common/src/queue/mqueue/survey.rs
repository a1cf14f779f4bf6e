//! Who reads from a queue, and what they hold: seen from outside, without
//! disturbing them.

use super::slots::{At, FILE_HEADER, MAGIC, SLOT_HEADER, SLOTS, State, file_len, files, stride};
use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

/// A process that has slots of a queue.
#[derive(Debug, Default)]
pub(super) struct Reader {
    pub(super) held: u64,
    /// Of those, how many were started before.
    pub(super) again: u64,
    /// When it made its file; unknown of one that it took over.
    pub(super) since_ms: Option<u64>,
}

/// Readers of one queue by their process ids, and what those that are gone
/// left for others to take over.
#[derive(Debug, Default)]
pub(super) struct Survey {
    pub(super) readers: BTreeMap<u32, Reader>,
    pub(super) left: u64,
}

impl Survey {
    /// Looks at all slot files of a queue.
    pub(super) fn of(dir: &Path, message_size: usize) -> Self {
        let mut survey = Self::default();
        let files = files(dir);
        let owners = if files.is_empty() { BTreeMap::new() } else { owners() };
        for path in files {
            let Some((held, again)) = held(&path, message_size) else { continue };
            let Ok(meta) = fs::metadata(&path) else { continue };
            let Some(pid) = owners.get(&meta.ino()) else {
                survey.left += held;
                continue;
            };
            let reader = survey.readers.entry(*pid).or_default();
            reader.held += held;
            reader.again += again;
            let made = meta.created().ok().filter(|_| maker(&path) == Some(*pid));
            let since = made.and_then(|made| made.duration_since(std::time::UNIX_EPOCH).ok());
            let since_ms = since.and_then(|since| u64::try_from(since.as_millis()).ok());
            reader.since_ms = reader.since_ms.or(since_ms);
        }
        survey
    }

    /// What living readers hold.
    pub(super) fn held(&self) -> u64 {
        self.readers.values().map(|reader| reader.held).sum()
    }
}

/// Messages in the slots of a file, and how many of them were started before.
fn held(path: &Path, message_size: usize) -> Option<(u64, u64)> {
    let bytes = fs::read(path).ok()?;
    if bytes.len() != file_len(message_size) || bytes[..8] != MAGIC {
        return None;
    }
    let (mut held, mut again) = (0, 0);
    for start in (0..SLOTS).map(|slot| FILE_HEADER + slot * stride(message_size)) {
        let buffer = &bytes[start + SLOT_HEADER..][..message_size];
        if bytes[start] != State::Settled as u8 && buffer.iter().any(|&byte| byte != 0) {
            let word = &bytes[start + At::Attempts as usize * 4..][..4];
            held += 1;
            again += u64::from(word.try_into().map_or(0, u32::from_ne_bytes) > 1);
        }
    }
    Some((held, again))
}

/// The process that made a file.
fn maker(path: &Path) -> Option<u32> {
    path.file_name()?.to_str()?.split('-').next()?.parse().ok()
}

/// Who holds the locks of this host's files, by inode, as the kernel lists
/// them (proc_locks(5)): trying one would keep it from somebody for a moment.
/// Inodes of two file systems may be the same; both of one queue are in one.
fn owners() -> BTreeMap<u64, u32> {
    let list = fs::read_to_string("/proc/locks").unwrap_or_default();
    let owner = |line: &str| {
        // `7: FLOCK  ADVISORY  WRITE 4711 00:1a:5678 0 EOF`
        let words: Vec<&str> = line.split_whitespace().collect();
        let ["FLOCK", _, "WRITE", pid, place, ..] = words.get(1..)? else { return None };
        let inode = place.rsplit(':').next()?.parse().ok()?;
        Some((inode, pid.parse().ok()?))
    };
    list.lines().filter_map(owner).collect()
}
