//! Whether a process waits for input: then all it had to say to the last line
//! is in its pipe, and the next line can be sent without fear that something
//! late is taken for its answer.
//!
//! The kernel tells in which system call a process is blocked
//! (`/proc/PID/syscall`, proc(5)); reading it takes under a microsecond.

use nix::libc;
use std::fs::File;
use std::os::unix::fs::FileExt;

/// What a process is at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stance {
    /// It waits for its stdin, or for any of several things.
    Waits,
    /// It runs, or waits for a disk.
    Busy,
    /// It waits for something else, such as a child or a time.
    Elsewhere,
    /// The kernel does not say.
    Unknown,
}

/// One process under watch.
#[derive(Debug)]
pub struct Watch {
    file: Option<File>,
}

impl Watch {
    /// Watches a process; one that cannot be watched is always unknown.
    pub fn of(pid: i32) -> Self {
        Self { file: File::open(format!("/proc/{pid}/syscall")).ok() }
    }

    /// Looks once.
    pub fn look(&self) -> Stance {
        let Some(file) = &self.file else { return Stance::Unknown };
        let mut text = [0_u8; 256];
        match file.read_at(&mut text, 0) {
            Ok(len) => std::str::from_utf8(&text[..len]).map_or(Stance::Unknown, stance),
            Err(_) => Stance::Unknown,
        }
    }
}

/// From the kernel's words: `running`, or the call's number and arguments.
fn stance(text: &str) -> Stance {
    let mut words = text.split_ascii_whitespace();
    let Some(number) = words.next() else { return Stance::Unknown };
    let Ok(number) = number.parse::<i64>() else { return Stance::Busy };
    if number < 0 {
        return Stance::Busy;
    }
    let first =
        words.next().and_then(|word| u64::from_str_radix(word.trim_start_matches("0x"), 16).ok());
    if ON_A_DESCRIPTOR.contains(&number) {
        return if first == Some(0) { Stance::Waits } else { Stance::Elsewhere };
    }
    let several = ON_SEVERAL.contains(&number) || ON_SEVERAL_OLD.contains(&number);
    if several { Stance::Waits } else { Stance::Elsewhere }
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

/// Calls that may be waiting for input among other things: event loops, and
/// the main threads of programs that read in another one.
const ON_SEVERAL: [i64; 6] = [
    libc::SYS_ppoll,
    libc::SYS_pselect6,
    libc::SYS_epoll_pwait,
    libc::SYS_epoll_pwait2,
    libc::SYS_futex,
    libc::SYS_io_uring_enter,
];

/// Their older forms, which newer architectures never had.
#[cfg(target_arch = "x86_64")]
const ON_SEVERAL_OLD: [i64; 3] = [libc::SYS_poll, libc::SYS_select, libc::SYS_epoll_wait];
#[cfg(not(target_arch = "x86_64"))]
const ON_SEVERAL_OLD: [i64; 0] = [];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_the_kernels_words() {
        let read = libc::SYS_read;
        assert_eq!(
            stance(&format!("{read} 0x0 0x55e1 0x2000 0x7f2c 0x7 0x55e1 0x7ffe 0x7f2c\n")),
            Stance::Waits
        );
        assert_eq!(stance(&format!("{read} 0x3 0x55e1 0x2000\n")), Stance::Elsewhere);
        assert_eq!(stance(&format!("{} 0x1 0x1\n", libc::SYS_wait4)), Stance::Elsewhere);
        assert_eq!(stance(&format!("{} 0x4 0x1\n", libc::SYS_epoll_pwait)), Stance::Waits);
        assert_eq!(stance("running\n"), Stance::Busy);
        assert_eq!(stance("-1 0x7ffe 0x7f2c\n"), Stance::Busy);
        assert_eq!(stance(""), Stance::Unknown);
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
        assert_eq!(watch.look(), Stance::Unknown);
    }
}
