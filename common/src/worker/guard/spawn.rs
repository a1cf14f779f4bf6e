//! Starting a process the cheap way: the child borrows the guard's memory
//! until it executes the program (as posix_spawn does), so that nothing is
//! copied, and still sets what posix_spawn cannot: PR_SET_PDEATHSIG.

#![allow(unsafe_code)]

use crate::chain::RunSpec;
use crate::worker::environment;
use nix::errno::Errno;
use nix::libc;
use nix::sched::{CloneFlags, clone};
use nix::unistd::Pid;
use std::collections::BTreeMap;
use std::ffi::{CStr, CString, OsString};
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::ffi::OsStringExt;

/// A stack for the child until it executes the program.
const STACK: usize = 64 << 10;

/// A function's process, prepared as far as it can be before a message comes.
pub(super) struct Prepared {
    program: CString,
    /// `argv`, and the same for a script that names no interpreter.
    argv: [Vec<CString>; 2],
    folder: CString,
    /// The invoker's environment with the function's laid over it.
    env: Vec<CString>,
}

impl Prepared {
    pub(super) fn new(spec: &RunSpec) -> Result<Self, Errno> {
        let program = c_string(spec.program.as_os_str().to_owned())?;
        let mut argv = vec![c_string(spec.name.clone().into())?];
        for arg in &spec.args {
            argv.push(c_string(arg.clone().into())?);
        }
        let mut by_shell = vec![c"sh".to_owned(), program.clone()];
        by_shell.extend_from_slice(&argv[1..]);
        let mut env: BTreeMap<OsString, OsString> = std::env::vars_os().collect();
        // What our own environment says of some other event is not for this one.
        env.retain(|name, _| !environment::is_of_an_event(&name.to_string_lossy()));
        env.extend(spec.env.iter().map(|(name, value)| (name.into(), value.into())));
        let env = env.into_iter().map(|(name, value)| variable(name, value));
        Ok(Self {
            program,
            argv: [argv, by_shell],
            folder: c_string(spec.folder.as_os_str().to_owned())?,
            env: env.collect::<Result<_, _>>()?,
        })
    }

    /// Starts it: `guard` is the caller, whose death is to kill it.
    pub(super) fn start(
        &self,
        env: Vec<(String, String)>,
        fds: &[OwnedFd; 3],
        guard: Pid,
    ) -> Result<Pid, Errno> {
        let more: Vec<CString> = env
            .into_iter()
            .map(|(name, value)| variable(name.into(), value.into()))
            .collect::<Result<_, _>>()?;
        let envp = pointers(self.env.iter().chain(&more));
        let [argv, by_shell] = &self.argv;
        let child = Child {
            program: &self.program,
            argv: pointers(argv.iter()),
            envp,
            folder: &self.folder,
            fds: [fds[0].as_raw_fd(), fds[1].as_raw_fd(), fds[2].as_raw_fd()],
            guard: guard.as_raw(),
        };
        match child.start() {
            // As a shell does it: a script that names no interpreter is one of sh.
            Err(Errno::ENOEXEC) => {
                Child { program: c"/bin/sh", argv: pointers(by_shell.iter()), ..child }.start()
            }
            other => other,
        }
    }
}

/// All that the child needs, in the memory it borrows.
struct Child<'a> {
    program: &'a CStr,
    argv: Vec<*const libc::c_char>,
    envp: Vec<*const libc::c_char>,
    folder: &'a CStr,
    fds: [i32; 3],
    guard: i32,
}

impl Child<'_> {
    fn start(&self) -> Result<Pid, Errno> {
        let mut stack = vec![0_u8; STACK];
        let mut failed: i32 = 0;
        let failure = &raw mut failed;
        let body = Box::new(move || -> isize {
            // SAFETY: the parent sleeps until this child has executed the
            // program or exited (CLONE_VFORK), so the borrowed memory does
            // not change; only system calls are made here.
            unsafe {
                *failure = self.become_program();
                libc::_exit(127)
            }
        });
        let flags = CloneFlags::CLONE_VM | CloneFlags::CLONE_VFORK;
        // SAFETY: the process has a single thread, the stack is this child's
        // alone and lives until the parent goes on, and the callback never
        // returns into memory it shares.
        let pid = unsafe { clone(body, &mut stack, flags, Some(libc::SIGCHLD))? };
        // SAFETY: written, if at all, by the child before the parent went on.
        match unsafe { std::ptr::read_volatile(&raw const failed) } {
            0 => Ok(pid),
            errno => {
                let _ = nix::sys::wait::waitpid(pid, None);
                Err(Errno::from_raw(errno))
            }
        }
    }

    /// In the child: returns only with the number of an error.
    ///
    /// # Safety
    /// Must be called in a child that shares nothing but memory with a
    /// sleeping parent.
    unsafe fn become_program(&self) -> i32 {
        // SAFETY: system calls with pointers that the parent keeps alive.
        // Signal dispositions and descriptors are the child's own copies.
        unsafe {
            libc::setpgid(0, 0);
            libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL, 0, 0, 0);
            if libc::getppid() != self.guard {
                return libc::ESRCH;
            }
            if libc::chdir(self.folder.as_ptr()) != 0 {
                return Errno::last_raw();
            }
            for (target, fd) in self.fds.iter().enumerate() {
                if libc::dup2(*fd, target as i32) < 0 {
                    return Errno::last_raw();
                }
            }
            let mut none = std::mem::MaybeUninit::uninit();
            libc::sigemptyset(none.as_mut_ptr());
            libc::sigprocmask(libc::SIG_SETMASK, none.as_ptr(), std::ptr::null_mut());
            libc::signal(libc::SIGPIPE, libc::SIG_DFL);
            libc::execve(self.program.as_ptr(), self.argv.as_ptr(), self.envp.as_ptr());
            Errno::last_raw()
        }
    }
}

/// Pointers to C strings with a null at the end.
fn pointers<'a>(strings: impl Iterator<Item = &'a CString>) -> Vec<*const libc::c_char> {
    strings.map(|string| string.as_ptr()).chain([std::ptr::null()]).collect()
}

fn c_string(text: OsString) -> Result<CString, Errno> {
    CString::new(text.into_vec()).map_err(|_| Errno::EINVAL)
}

fn variable(name: OsString, value: OsString) -> Result<CString, Errno> {
    let mut text = name;
    text.push("=");
    text.push(value);
    c_string(text)
}
