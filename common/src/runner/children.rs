//! The processes of a run: one trigger, and invokers. They are killed by the
//! kernel if the runner dies, however it does.

#![allow(unsafe_code)]

use super::Options;
use super::costs::Costs;
use super::progress::Progress;
use super::talk::{Talk, pipe_from_us, pipe_to_us};
use crate::chain::Chain;
use crate::error::{Failure, Result};
use crate::exit::Exit;
use crate::limits::RESTARTS_MAX;
use crate::queue::QueueUrl;
use nix::fcntl::{FcntlArg, FdFlag, fcntl};
use nix::sys::signal::{SigSet, SigmaskHow, Signal, kill, sigprocmask};
use nix::unistd::{Pid, getpid, getppid};
use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};

/// The children of a run.
pub(super) struct Children {
    trigger: Option<Child>,
    invokers: Vec<Invoker>,
    /// What the trigger says of its progress.
    pub(super) status: File,
    status_text: Vec<u8>,
    /// Where the trigger reads how many invocations have ended.
    window: Option<File>,
    /// What the children say, when their lines must go around something.
    pub(super) talk: Talk,
    /// Where invokers tell what their calls cost, as they end: our end, theirs.
    reports: (File, OwnedFd),
    /// Restarts an invoker may have without progress.
    restarts_max: u32,
}

struct Invoker {
    args: Vec<String>,
    child: Option<Child>,
    restarts: u32,
}

/// What the trigger said: its name, and how many events it has handed over.
#[derive(Debug, Clone, serde::Deserialize)]
pub(super) struct TriggerStatus {
    pub(super) trigger: String,
    pub(super) accepted: u64,
}

/// A child that ended.
pub(super) enum Gone {
    /// The trigger.
    Trigger(ExitStatus),
    /// An invoker that was started again.
    Restarted(String),
    /// An invoker that will not be started again.
    Invoker(String),
}

impl Children {
    pub(super) fn start(
        options: &Options,
        chain: &Chain,
        run: &str,
        via: &QueueUrl,
    ) -> Result<Self> {
        let file = options.chain.canonicalize().unwrap_or_else(|_| options.chain.clone());
        let (window, their_window) = match options.max_in_flight {
            Some(_) => pipe_from_us().map(|(ours, theirs)| (Some(ours), Some(theirs)))?,
            None => (None, None),
        };
        let via = via.to_string();
        let base = ["--chain", &file.display().to_string(), "--run", run, "--via", &via];
        let base = base.map(str::to_owned);
        let shares: Vec<Vec<String>> = match options.invokers {
            Some(count) => vec![Vec::new(); count.max(1)],
            None => {
                let own = |name: &str| vec!["--functions".to_owned(), name.to_owned()];
                chain.functions.iter().map(|function| own(&function.name)).collect()
            }
        };
        let retries = chain.functions.iter().map(|function| function.retries).max().unwrap_or(0);
        let restarts_max = RESTARTS_MAX.saturating_add(retries);
        let (status, their_status) = pipe_to_us()?;
        let talk = Talk::new(Progress::has_place(options.quiet))?;
        let mut children = Self {
            trigger: None,
            invokers: Vec::new(),
            status,
            status_text: Vec::new(),
            window,
            talk,
            reports: pipe_to_us()?,
            restarts_max,
        };
        for share in shares {
            let mut args = [base.as_slice(), &share].concat();
            args.extend(options.quiet.then(|| "--quiet".to_owned()));
            if let Some(deliver) = options.deliver {
                args.extend(["--deliver".to_owned(), deliver.word().to_owned()]);
            }
            let child = Some(children.invoker(&args)?);
            children.invokers.push(Invoker { args, child, restarts: 0 });
        }
        if options.resume.is_some() {
            return Ok(children);
        }
        let mut args = trigger_args(&base, options, &their_status);
        if let (Some(most), Some(theirs)) = (options.max_in_flight, &their_window) {
            let fd = theirs.as_raw_fd();
            args.extend(["--max-in-flight".to_owned(), most.to_string()]);
            args.extend(["--window-fd".to_owned(), fd.to_string()]);
        }
        let kept = std::iter::once(their_status).chain(their_window).collect();
        children.trigger = Some(spawn(
            "faas-trigger",
            &args,
            Stdio::inherit(),
            children.talk.stderr()?,
            false,
            kept,
        )?);
        Ok(children)
    }

    fn invoker(&self, args: &[String]) -> Result<Child> {
        start_invoker(&self.talk, &self.reports.1, args)
    }

    /// What the invokers told as they ended.
    pub(super) fn costs(&mut self) -> Costs {
        let (mut told, mut chunk) = (Vec::new(), [0_u8; 4096]);
        while let Ok(len @ 1..) = self.reports.0.read(&mut chunk) {
            told.extend_from_slice(&chunk[..len]);
        }
        let mut costs = Costs::default();
        costs.add(&told);
        costs
    }

    /// Tells the trigger how many invocations have ended.
    pub(super) fn tell_ended(&mut self, count: u64) {
        if let Some(window) = &mut self.window {
            // A full pipe holds counts enough; a later one says more.
            let _ = window.write(&count.to_le_bytes());
        }
    }

    /// What the trigger has said since; the latest.
    pub(super) fn read_status(&mut self) -> Option<TriggerStatus> {
        let mut chunk = [0_u8; 4096];
        while let Ok(len @ 1..) = self.status.read(&mut chunk) {
            self.status_text.extend_from_slice(&chunk[..len]);
        }
        let end = self.status_text.iter().rposition(|&byte| byte == b'\n')?;
        let lines: Vec<u8> = self.status_text.drain(..=end).collect();
        let last = lines[..end].rsplit(|&byte| byte == b'\n').next()?;
        serde_json::from_slice(last).ok()
    }

    /// Children that ended since; invokers are started again while `restart`.
    pub(super) fn reap(&mut self, restart: bool) -> Vec<Gone> {
        let mut gone = Vec::new();
        if let Some(Ok(Some(status))) = self.trigger.as_mut().map(Child::try_wait) {
            self.trigger = None;
            gone.push(Gone::Trigger(status));
        }
        for invoker in &mut self.invokers {
            let Some(Ok(Some(status))) = invoker.child.as_mut().map(Child::try_wait) else {
                continue;
            };
            invoker.child = None;
            let what = format!("{} ended: {}", invoker.name(), describe(status));
            let hopeless = matches!(status.code(), Some(2 | 69 | 77));
            if !restart || hopeless || invoker.restarts >= self.restarts_max {
                gone.push(Gone::Invoker(what));
                continue;
            }
            invoker.restarts += 1;
            let started = start_invoker(&self.talk, &self.reports.1, &invoker.args);
            match started {
                Ok(child) => {
                    invoker.child = Some(child);
                    gone.push(Gone::Restarted(what));
                }
                Err(failure) => gone.push(Gone::Invoker(format!("{what}; {}", failure.reason))),
            }
        }
        gone
    }

    /// Something came back: whatever was killed before, the run goes on.
    pub(super) fn progressed(&mut self) {
        self.invokers.iter_mut().for_each(|invoker| invoker.restarts = 0);
    }

    /// Asks the trigger to stop.
    pub(super) fn stop_trigger(&self) {
        signal(self.trigger.as_ref(), Signal::SIGTERM);
    }

    /// Ends all of them: politely first, unless `now`.
    pub(super) fn end(&mut self, now: bool) {
        let how = if now { Signal::SIGKILL } else { Signal::SIGTERM };
        let all =
            || self.trigger.iter().chain(self.invokers.iter().filter_map(|i| i.child.as_ref()));
        all().for_each(|child| signal(Some(child), how));
        let patience = std::time::Instant::now() + std::time::Duration::from_secs(2);
        let children = self
            .trigger
            .iter_mut()
            .chain(self.invokers.iter_mut().filter_map(|i| i.child.as_mut()));
        for child in children {
            while matches!(child.try_wait(), Ok(None)) {
                if std::time::Instant::now() >= patience {
                    signal(Some(child), Signal::SIGKILL);
                }
                std::thread::sleep(std::time::Duration::from_millis(1));
            }
        }
    }
}

impl Invoker {
    fn name(&self) -> String {
        match self.args.iter().position(|arg| arg == "--functions") {
            Some(at) => format!("the invoker of {}", self.args[at + 1]),
            None => "an invoker".to_owned(),
        }
    }
}

fn start_invoker(talk: &Talk, reports: &OwnedFd, args: &[String]) -> Result<Child> {
    let theirs = reports.try_clone().map_err(|error| Failure::io("open", "a pipe", &error))?;
    let fd = ["--report-fd".to_owned(), theirs.as_raw_fd().to_string()];
    let args = [args, fd.as_slice()].concat();
    spawn("faas-invoke", &args, Stdio::null(), talk.stderr()?, true, vec![theirs])
}

fn trigger_args(base: &[String], options: &Options, status: &OwnedFd) -> Vec<String> {
    let mut args = base.to_vec();
    let shape = clap::ValueEnum::to_possible_value(&options.pipe.input);
    args.extend(["--status-fd".to_owned(), status.as_raw_fd().to_string()]);
    args.extend([
        "--input".to_owned(),
        shape.map_or_else(String::new, |v| v.get_name().to_owned()),
    ]);
    if let Some(limit) = options.pipe.max_line {
        args.extend(["--max-line".to_owned(), limit.to_string()]);
    }
    if options.quiet {
        args.push("--quiet".to_owned());
    }
    if let Some(file) = &options.redrive {
        args.extend(["--redrive".to_owned(), file.display().to_string()]);
    }
    args
}

/// What became of a process, in words.
pub(super) fn describe(status: ExitStatus) -> String {
    match (status.code(), status.signal().map(Signal::try_from)) {
        (Some(code), _) => format!("exit {code}"),
        (None, Some(Ok(signal))) => format!("killed by {signal}"),
        _ => "killed".to_owned(),
    }
}

fn signal(child: Option<&Child>, signal: Signal) {
    if let Some(child) = child {
        // A child that is not reaped keeps its id, so this hits nobody else.
        let _ = kill(Pid::from_raw(child.id() as i32), signal);
    }
}

/// Invokers get a process group of their own, so that a Ctrl-C reaches the
/// runner, which drains them; the trigger may read from the terminal and stays.
fn spawn(
    tool: &str,
    args: &[String],
    stdin: Stdio,
    stderr: Stdio,
    own_group: bool,
    kept: Vec<OwnedFd>,
) -> Result<Child> {
    let runner = getpid();
    let mut command = Command::new(beside_us(tool));
    command.args(args).stdin(stdin).stdout(Stdio::null()).stderr(stderr);
    if own_group {
        command.process_group(0);
    }
    // SAFETY: between fork and exec only async-signal-safe calls are made:
    // prctl, getppid, sigprocmask, fcntl. The forking thread is the main
    // thread, so PR_SET_PDEATHSIG fires when the process ends and not before.
    unsafe {
        command.pre_exec(move || {
            nix::sys::prctl::set_pdeathsig(Signal::SIGKILL)?;
            if getppid() != runner {
                return Err(io::ErrorKind::BrokenPipe.into());
            }
            for kept in &kept {
                fcntl(kept, FcntlArg::F_SETFD(FdFlag::empty()))?;
            }
            Ok(sigprocmask(SigmaskHow::SIG_SETMASK, Some(&SigSet::empty()), None)?)
        });
    }
    command.spawn().map_err(|error| started(tool, &error))
}

fn started(tool: &str, error: &io::Error) -> Failure {
    let failure = Failure::io("start", tool, error);
    Failure { exit: Exit::Unreachable, ..failure }
        .cure("make install, so that all tools are in one place")
}

/// The tool in our own folder, else wherever PATH has it.
fn beside_us(tool: &str) -> PathBuf {
    let ours = std::env::current_exe().ok();
    let beside = ours.as_deref().and_then(Path::parent).map(|folder| folder.join(tool));
    beside.filter(|path| path.is_file()).unwrap_or_else(|| PathBuf::from(tool))
}
