//! Whether a process waits for input: then all it had to say to the last line
//! is in its pipe, and the next line can be sent without fear that something
//! late is taken for its answer.
//!
//! The kernel tells in which system call a process is blocked
//! (`/proc/PID/syscall`, proc(5)); reading it takes under a microsecond.

use nix::libc;
use std::fs::File;
use std::io::ErrorKind;
use std::os::unix::fs::FileExt;
use std::path::Path;

/// What a process is at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stance {
    /// It waits for its stdin.
    Waits,
    /// It waits without end for any of several things, of which its stdin may
    /// be one.
    Several,
    /// It waits for any of several things, or for a time to pass: an event
    /// loop with a timer.
    Timed,
    /// It runs, or waits for a disk.
    Busy,
    /// It waits for something else, such as a child or a time.
    Elsewhere,
    /// It is gone; its end will be told.
    Gone,
    /// The kernel does not say.
    Unknown,
}

/// One process under watch.
#[derive(Debug)]
pub struct Watch {
    pid: i32,
    file: Option<File>,
    is_gone: bool,
}

impl Watch {
    /// Watches a process; one that cannot be watched is always unknown.
    pub fn of(pid: i32) -> Self {
        let opened = File::open(format!("/proc/{pid}/syscall"));
        let is_gone = opened.as_ref().is_err_and(|error| error.kind() == ErrorKind::NotFound)
            && !Path::new(&format!("/proc/{pid}")).exists();
        Self { pid, file: opened.ok(), is_gone }
    }

    /// Looks once.
    pub fn look(&self) -> Stance {
        let Some(file) = &self.file else {
            return if self.is_gone { Stance::Gone } else { Stance::Unknown };
        };
        let mut text = [0_u8; 256];
        match file.read_at(&mut text, 0) {
            Ok(len) => {
                let stance = std::str::from_utf8(&text[..len]).map_or(Stance::Unknown, read);
                // A sandbox's own process waits for everything; what matters
                // is the program inside.
                let heir = if stance == Stance::Several { self.heir_waits() } else { None };
                match heir {
                    Some(false) => Stance::Elsewhere,
                    Some(true) => Stance::Waits,
                    None if stance == Stance::Several => Stance::Waits,
                    None => stance,
                }
            }
            Err(error) if error.raw_os_error() == Some(libc::ESRCH) => Stance::Gone,
            Err(_) => Stance::Unknown,
        }
    }

    /// Whether a process that came from this one waits at the same stdin: the
    /// first of a pipeline in a shell, a program in a sandbox. None when no
    /// such process has that stdin.
    pub fn heir_waits(&self) -> Option<bool> {
        let mut family = children(self.pid);
        if family.is_empty() {
            return None;
        }
        let stdin = |pid: i32| std::fs::read_link(format!("/proc/{pid}/fd/0")).ok();
        let ours = stdin(self.pid)?;
        let (mut next, mut waits) = (0, None);
        while let Some(pid) = family.get(next).copied() {
            if stdin(pid).as_ref() == Some(&ours) {
                let text = std::fs::read_to_string(format!("/proc/{pid}/syscall"));
                let reads = text.is_ok_and(|text| read(&text) == Stance::Waits);
                waits = Some(waits.unwrap_or(false) || reads);
            }
            family.extend(children(pid));
            next += 1;
        }
        waits
    }
}

fn children(pid: i32) -> Vec<i32> {
    let text = std::fs::read_to_string(format!("/proc/{pid}/task/{pid}/children"));
    let text = text.unwrap_or_default();
    text.split_ascii_whitespace().filter_map(|pid| pid.parse().ok()).collect()
}

/// From the kernel's words: `running`, or the call's number and arguments.
pub fn read(text: &str) -> Stance {
    let mut words = text.split_ascii_whitespace();
    let Some(number) = words.next() else { return Stance::Unknown };
    let Ok(number) = number.parse::<i64>() else { return Stance::Busy };
    if number < 0 {
        return Stance::Busy;
    }
    // It is asked for each line: no more is read of it than what matters.
    if ON_A_DESCRIPTOR.contains(&number) {
        let is_stdin = words.next().is_none_or(|first| hex(first) == 0);
        return if is_stdin { Stance::Waits } else { Stance::Elsewhere };
    }
    let mut arguments = [0; 6];
    arguments.iter_mut().zip(words).for_each(|(argument, word)| *argument = hex(word));
    let Some((_, things, time, none)) = on_several(number) else { return Stance::Elsewhere };
    let is_endless = match none {
        Endless::Null => arguments[time] == 0,
        // An int: the upper half of the register means nothing.
        Endless::MinusOne => arguments[time] as u32 == u32::MAX,
    };
    match (is_endless, things.map(|at| arguments[at])) {
        (true, _) => Stance::Several,
        // Waiting for none of nothing is a way to sleep.
        (false, None | Some(0)) => Stance::Elsewhere,
        (false, Some(_)) => Stance::Timed,
    }
}

fn hex(word: &str) -> u64 {
    u64::from_str_radix(word.strip_prefix("0x").unwrap_or(word), 16).unwrap_or(0)
}

/// Calls that read from the descriptor in their first argument.
const ON_A_DESCRIPTOR: [i64; 7] = [
    libc::SYS_read,
    libc::SYS_readv,
    libc::SYS_recvfrom,
    libc::SYS_recvmsg,
    libc::SYS_splice,
    libc::SYS_copy_file_range,
    libc::SYS_pread64,
];

/// How a call says that it waits without end.
#[derive(Debug, Clone, Copy)]
enum Endless {
    Null,
    MinusOne,
}

/// A call that may be waiting for input among other things: event loops, and
/// the main threads of programs that read in another one. Which argument
/// counts the things (none: it is no event loop), and which is the time.
type Several = (i64, Option<usize>, usize, Endless);

const ON_SEVERAL: [Several; 5] = [
    (libc::SYS_ppoll, Some(1), 2, Endless::Null),
    (libc::SYS_pselect6, Some(0), 4, Endless::Null),
    (libc::SYS_epoll_pwait, Some(2), 3, Endless::MinusOne),
    (libc::SYS_epoll_pwait2, Some(2), 3, Endless::Null),
    (libc::SYS_futex, None, 3, Endless::Null),
];

/// Their older forms, which newer architectures never had.
#[cfg(target_arch = "x86_64")]
const ON_SEVERAL_OLD: [Several; 3] = [
    (libc::SYS_poll, Some(1), 2, Endless::MinusOne),
    (libc::SYS_select, Some(0), 4, Endless::Null),
    (libc::SYS_epoll_wait, Some(2), 3, Endless::MinusOne),
];
#[cfg(not(target_arch = "x86_64"))]
const ON_SEVERAL_OLD: [Several; 0] = [];

fn on_several(number: i64) -> Option<Several> {
    ON_SEVERAL.iter().chain(&ON_SEVERAL_OLD).find(|(call, ..)| *call == number).copied()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_the_kernels_words() {
        let number = libc::SYS_read;
        assert_eq!(
            read(&format!("{number} 0x0 0x55e1 0x2000 0x7f2c 0x7 0x55e1 0x7ffe 0x7f2c\n")),
            Stance::Waits
        );
        assert_eq!(read(&format!("{number} 0x3 0x55e1 0x2000\n")), Stance::Elsewhere);
        assert_eq!(read(&format!("{} 0x1 0x1\n", libc::SYS_wait4)), Stance::Elsewhere);
        let epoll = libc::SYS_epoll_pwait;
        assert_eq!(read(&format!("{epoll} 0x4 0x1 0x8 0xffffffff 0x0 0x8")), Stance::Several);
        assert_eq!(read(&format!("{epoll} 0x4 0x1 0x8 0x14 0x0 0x8")), Stance::Timed);
        let pselect = libc::SYS_pselect6;
        assert_eq!(read(&format!("{pselect} 0x0 0x0 0x0 0x0 0x7ffe 0x0")), Stance::Elsewhere);
        assert_eq!(read(&format!("{pselect} 0x1 0x7ffe 0x0 0x0 0x0 0x0")), Stance::Several);
        let futex = libc::SYS_futex;
        assert_eq!(read(&format!("{futex} 0x7f 0x189 0x0 0x7ffe 0x0 0x0")), Stance::Elsewhere);
        assert_eq!(read("running\n"), Stance::Busy);
        assert_eq!(read("-1 0x7ffe 0x7f2c\n"), Stance::Busy);
        assert_eq!(read(""), Stance::Unknown);
    }

    #[test]
    fn a_process_is_told_apart() {
        let mut sleeper = std::process::Command::new("sleep").arg("10").spawn().expect("sleep");
        let watch = Watch::of(sleeper.id() as i32);
        let began = std::time::Instant::now();
        while watch.look() != Stance::Elsewhere && began.elapsed().as_secs() < 5 {
            std::thread::yield_now();
        }
        assert_eq!(watch.look(), Stance::Elsewhere);
        sleeper.kill().expect("it is ours");
        sleeper.wait().expect("it ends");
        assert_eq!(watch.look(), Stance::Gone);
    }
}
