//! The bare loop: a process for each hop that receives, runs the program,
//! and sends; nothing is kept, nothing is checked.

use super::Subject;
use nix::mqueue::{MQ_OFlag, MqAttr, MqdT, mq_open, mq_receive, mq_send, mq_unlink};
use nix::sys::stat::Mode;
use std::io::Write;
use std::process::{Child, Command, Stdio};

/// Runs the program once: body in, output back.
pub fn spawn(body: &[u8]) -> Vec<u8> {
    let mut child = Command::new("cat")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("cat can be started");
    child.stdin.take().expect("piped").write_all(body).expect("cat reads");
    child.wait_with_output().expect("cat ends").stdout
}

fn open(name: &str, flags: MQ_OFlag) -> MqdT {
    mq_open(name, flags, Mode::empty(), None).expect("the queue is there")
}

/// A worker's life.
pub fn work(from: &str, to: &str) -> ! {
    nix::sys::prctl::set_pdeathsig(nix::sys::signal::Signal::SIGKILL).expect("it can be set");
    let (from, to) = (open(from, MQ_OFlag::O_RDONLY), open(to, MQ_OFlag::O_WRONLY));
    let mut buffer = [0; 1024];
    loop {
        let len = mq_receive(&from, &mut buffer, &mut 0).expect("it receives");
        mq_send(&to, &spawn(&buffer[..len]), 0).expect("it sends");
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
    pub fn start(hops: usize) -> Self {
        let names: Vec<String> =
            (0..=hops).map(|i| format!("/hop-bench-{}-{i}", std::process::id())).collect();
        let attr = MqAttr::new(0, 10, 1024, 0);
        for name in &names {
            let flags = MQ_OFlag::O_CREAT | MQ_OFlag::O_EXCL | MQ_OFlag::O_RDWR;
            let mode = Mode::S_IRUSR | Mode::S_IWUSR;
            mq_open(name.as_str(), flags, mode, Some(&attr)).expect("a queue can be made");
        }
        let exe = std::env::current_exe().expect("it has a path");
        let worker = |pair: &[String]| {
            let mut command = Command::new(&exe);
            command.arg("bare-worker").args(pair).spawn().expect("a worker starts")
        };
        let workers = names.windows(2).map(worker).collect();
        let (first, last) =
            (open(&names[0], MQ_OFlag::O_WRONLY), open(&names[hops], MQ_OFlag::O_RDONLY));
        Self { names, workers, first, last }
    }
}

impl Subject for Bare {
    fn send(&mut self) {
        mq_send(&self.first, super::BODY, 0).expect("it sends");
    }

    fn receive(&mut self) {
        let mut buffer = [0; 1024];
        let len = mq_receive(&self.last, &mut buffer, &mut 0).expect("it receives");
        assert_eq!(&buffer[..len], super::BODY);
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
