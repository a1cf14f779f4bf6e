//! The bare loop: a process for each hop that receives, runs the program or
//! asks it, and sends; nothing is kept, nothing is checked.

use crate::program::{Filter, Program, exe};
use crate::subject::{BODY, Subject};
use nix::mqueue::{MQ_OFlag, MqAttr, MqdT, mq_open, mq_receive, mq_send, mq_unlink};
use nix::sys::stat::Mode;
use std::io::Write;
use std::process::{Child, Command, Stdio};

/// Runs the program once: body in, output back.
pub fn spawn(program: &Program, body: &[u8]) -> Vec<u8> {
    let mut child = program.command().spawn().expect("it can be started");
    child.stdin.take().expect("piped").write_all(body).expect("it reads");
    child.wait_with_output().expect("it ends").stdout
}

fn open(name: &str, flags: MQ_OFlag) -> MqdT {
    mq_open(name, flags, Mode::empty(), None).expect("the queue is there")
}

/// A worker's life: `FROM TO filter|exec PROGRAM...`.
pub fn work(args: &[String]) -> ! {
    nix::sys::prctl::set_pdeathsig(nix::sys::signal::Signal::SIGKILL).expect("it can be set");
    let (from, to) = (open(&args[0], MQ_OFlag::O_RDONLY), open(&args[1], MQ_OFlag::O_WRONLY));
    let program =
        Program { argv: args[3..].to_vec(), is_filter: args[2] == "filter", is_ahead: false };
    if program.is_filter { ask(&from, &to, &program) } else { start_each(&from, &to, &program) }
}

fn start_each(from: &MqdT, to: &MqdT, program: &Program) -> ! {
    let mut buffer = [0; 1024];
    loop {
        let len = mq_receive(from, &mut buffer, &mut 0).expect("it receives");
        mq_send(to, &spawn(program, &buffer[..len]), 0).expect("it sends");
    }
}

fn ask(from: &MqdT, to: &MqdT, program: &Program) -> ! {
    let mut filter = Filter::start(program);
    let mut buffer = [0; 1024];
    loop {
        let len = mq_receive(from, &mut buffer, &mut 0).expect("it receives");
        mq_send(to, filter.ask(&buffer[..len]), 0).expect("it sends");
    }
}

/// A chain of bare workers.
pub struct Bare {
    names: Vec<String>,
    workers: Vec<Child>,
    first: MqdT,
    last: MqdT,
}

impl Bare {
    /// Starts a worker for each hop.
    pub fn start(hops: usize, program: &Program) -> Self {
        let names: Vec<String> =
            (0..=hops).map(|i| format!("/bench-{}-{i}", std::process::id())).collect();
        let attr = MqAttr::new(0, 10, 1024, 0);
        for name in &names {
            let flags = MQ_OFlag::O_CREAT | MQ_OFlag::O_EXCL | MQ_OFlag::O_RDWR;
            let mode = Mode::S_IRUSR | Mode::S_IWUSR;
            mq_open(name.as_str(), flags, mode, Some(&attr)).expect("a queue can be made");
        }
        let kind = if program.is_filter { "filter" } else { "exec" };
        let worker = |pair: &[String]| {
            let mut command = Command::new(exe());
            command.arg("bare-worker").args(pair).arg(kind).args(&program.argv);
            command.stdin(Stdio::null()).spawn().expect("a worker starts")
        };
        let workers = names.windows(2).map(worker).collect();
        let (first, last) = (
            open(&names[0], MQ_OFlag::O_WRONLY | MQ_OFlag::O_NONBLOCK),
            open(&names[hops], MQ_OFlag::O_RDONLY),
        );
        Self { names, workers, first, last }
    }
}

impl Subject for Bare {
    fn name(&self) -> &'static str {
        "bare"
    }

    fn try_send(&mut self) -> bool {
        match mq_send(&self.first, BODY, 0) {
            Ok(()) => true,
            Err(nix::errno::Errno::EAGAIN) => false,
            Err(errno) => panic!("it cannot send: {errno}"),
        }
    }

    fn receive(&mut self) -> Option<u64> {
        let mut buffer = [0; 1024];
        let len = mq_receive(&self.last, &mut buffer, &mut 0).expect("it receives");
        assert_eq!(&buffer[..len], BODY);
        None
    }
}

impl Drop for Bare {
    fn drop(&mut self) {
        for worker in &mut self.workers {
            let _ = worker.kill();
            let _ = worker.wait();
        }
        for name in &self.names {
            let _ = mq_unlink(name.as_str());
        }
    }
}
