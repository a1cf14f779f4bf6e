//! Redis and Kafka for the tests: real servers on ports of 127.0.0.1, which
//! end with the test process however that ends.

use crate::repository;
use nix::sys::signal::{Signal, kill};
use nix::sys::wait::{WaitPidFlag, waitpid};
use nix::unistd::Pid;
use std::fs::{self, File};
use std::hash::BuildHasher;
use std::io::{self, BufRead, BufReader, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;
use std::sync::mpsc::{Sender, channel};
use std::time::{Duration, Instant};
use tempfile::TempDir;

/// How long a server may take until it can be used.
const PATIENCE: Duration = Duration::from_secs(60);
/// How long one answer of Redis may take.
const ANSWER: Duration = Duration::from_secs(20);
/// Another program may take a port between its choice and its use.
const TRIES: usize = 5;
const PORT_IS_TAKEN: &str = "Address already in use";
const INSTALL: &str = "try: scripts/deps.sh test";

/// Below the ports that outgoing connections get: a client that tries again
/// and again cannot take the port of a server that is being restarted.
const PORTS: std::ops::Range<u64> = 10_000..32_768;

/// A port of 127.0.0.1 that nobody listens at.
pub fn free_port() -> u16 {
    loop {
        let chance = std::hash::RandomState::new().hash_one(());
        let port = PORTS.start + chance % (PORTS.end - PORTS.start);
        let port = u16::try_from(port).expect("ports are small");
        if TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok() {
            return port;
        }
    }
}

/// What is to be started, and where the answer goes.
type Order = (Command, Sender<io::Result<Child>>);

/// Starts a server from a thread that lives as long as the process: the kernel
/// ends a tethered child with the thread that started it, and a test's own
/// thread ends before a server that it shares with others.
fn keep(command: Command) -> Child {
    static KEEPER: OnceLock<Sender<Order>> = OnceLock::new();
    let keeper = KEEPER.get_or_init(|| {
        let (keeper, orders) = channel::<Order>();
        std::thread::spawn(move || {
            for (mut command, answer) in orders {
                let _ = answer.send(command.spawn());
            }
        });
        keeper
    });
    let (answer, started) = channel();
    keeper.send((command, answer)).expect("the keeper lives");
    let child = started.recv().expect("the keeper answers");
    child.unwrap_or_else(|error| panic!("setpriv cannot be started: {error}\n  {INSTALL}"))
}

/// A running server.
struct Server(Child);

impl Server {
    /// Starts a program, tethered to this process; what it says goes to `log`.
    fn start(program: &Path, arguments: &[String], log: &Path) -> Self {
        let log = File::options().create(true).append(true).open(log).expect("a log");
        let mut command = Command::new("setpriv");
        command.args(["--pdeathsig", "KILL", "--"]).arg(program).args(arguments);
        command.stdin(Stdio::null()).stdout(log.try_clone().expect("a descriptor")).stderr(log);
        Self(keep(command))
    }

    fn pid(&self) -> Pid {
        Pid::from_raw(i32::try_from(self.0.id()).expect("a pid is small"))
    }

    fn has_ended(&mut self) -> bool {
        !matches!(self.0.try_wait(), Ok(None))
    }

    /// Ends it as a crash would.
    fn kill(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }

    /// Returns when it has really stopped.
    fn pause(&self) {
        kill(self.pid(), Signal::SIGSTOP).expect("it runs");
        waitpid(self.pid(), Some(WaitPidFlag::WUNTRACED)).expect("it is our child");
    }

    fn resume(&self) {
        kill(self.pid(), Signal::SIGCONT).expect("it runs");
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.kill();
    }
}

fn folder(prefix: &str) -> TempDir {
    tempfile::Builder::new().prefix(prefix).tempdir().expect("a folder")
}

/// Removes a folder after the end of this process, as statics are not dropped.
/// It waits for the end of its stdin, which the returned child holds open.
fn sweep_at_end(folder: &Path) -> Child {
    // A ^C goes to this process too; the servers need a moment to be gone.
    let script = "trap '' INT TERM HUP; cat; sleep 0.5; rm -rf -- \"$0\"";
    let mut command = Command::new("sh");
    command.args(["-c", script]).arg(folder);
    command.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null());
    command.spawn().expect("sh runs")
}

/// Keys and certificates made by `tests/services/tls.sh`, which lists them.
pub fn certificates() -> TempDir {
    let folder = folder("faas-tls-");
    script("tls.sh", &[folder.path().display().to_string()]).unwrap_or_else(|why| panic!("{why}"));
    folder
}

/// Runs a script of `tests/services` to its end: its stdout, or its stderr if
/// it failed.
fn script(name: &str, arguments: &[String]) -> Result<String, String> {
    let path = repository().join("tests/services").join(name);
    let output = Command::new(&path).args(arguments).stdin(Stdio::null()).output();
    let output = output.map_err(|error| format!("{} cannot be run: {error}", path.display()))?;
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    if output.status.success() { Ok(text(&output.stdout)) } else { Err(text(&output.stderr)) }
}

/// A Redis server of a test's own. What it was told to keep is on disk: each
/// command is written to its log, which goes to the disk every second.
pub struct Redis {
    server: Server,
    port: u16,
    arguments: Vec<String>,
    primary: Option<u16>,
    // Last, so that it is removed when nobody writes to it.
    folder: TempDir,
}

impl Redis {
    /// A server with nothing special.
    pub fn start() -> Self {
        Self::with(&[])
    }

    /// A server with arguments of redis-server in addition, which win over the
    /// usual ones: `["--appendfsync", "always"]`. Its port without TLS stays;
    /// for a second one there is [`free_port`].
    pub fn with(arguments: &[&str]) -> Self {
        let arguments: Vec<String> = arguments.iter().map(ToString::to_string).collect();
        Self::begin(&arguments, None)
    }

    /// A server that copies another; returns when it has all of it.
    pub fn replica_of(primary: &Redis) -> Self {
        let mut arguments = Vec::new();
        if let Some(password) = primary.password() {
            let flags = ["--requirepass", password, "--masterauth", password];
            arguments.extend(flags.map(ToString::to_string));
        }
        let replica = Self::begin(&arguments, Some(primary.port));
        let linked = || replica.command(&["INFO", "replication"]).contains("link_status:up");
        let patience = Instant::now() + PATIENCE;
        while !linked() {
            assert!(Instant::now() < patience, "it does not copy:\n{}", replica.log());
            std::thread::sleep(Duration::from_millis(10));
        }
        replica
    }

    fn begin(arguments: &[String], primary: Option<u16>) -> Self {
        if let Err(error) = Command::new("redis-server").arg("--version").output() {
            panic!("redis-server cannot be started: {error}\n  {INSTALL}");
        }
        for _ in 0..TRIES {
            let (folder, port) = (folder("faas-redis-"), free_port());
            let server = Self::launch(folder.path(), port, arguments, primary);
            let mut redis = Self { server, port, arguments: arguments.to_vec(), primary, folder };
            match redis.ready() {
                Ok(()) => return redis,
                Err(why) if why.contains(PORT_IS_TAKEN) => {}
                Err(why) => panic!("redis-server cannot be used: {why}"),
            }
        }
        panic!("redis-server found its port taken {TRIES} times");
    }

    fn launch(folder: &Path, port: u16, arguments: &[String], primary: Option<u16>) -> Server {
        let mut all = format!(
            "--bind 127.0.0.1 --port {port} --appendonly yes --appendfsync everysec \
             --repl-diskless-sync-delay 0 --dir"
        );
        if let Some(primary) = primary {
            all = format!("--replicaof 127.0.0.1 {primary} {all}");
        }
        let mut all: Vec<String> = all.split(' ').map(ToString::to_string).collect();
        all.extend([folder.display().to_string(), "--save".into(), String::new()]);
        all.extend_from_slice(arguments);
        Server::start(Path::new("redis-server"), &all, &folder.join("log"))
    }

    /// Waits until it answers, and makes sure that it is not somebody else's
    /// server that does.
    fn ready(&mut self) -> Result<(), String> {
        let own = format!("process_id:{}\r", self.server.0.id());
        let patience = Instant::now() + PATIENCE;
        loop {
            if self.server.has_ended() {
                return Err(format!("it has ended\n{}", self.log()));
            }
            let pong = self.ask(&["PING"]).is_ok_and(|answer| answer == "PONG");
            if pong && self.ask(&["INFO", "server"]).is_ok_and(|about| about.contains(&own)) {
                return Ok(());
            }
            if Instant::now() > patience {
                return Err(format!("it does not answer\n{}", self.log()));
            }
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    /// Where it is: `redis://127.0.0.1:PORT/0`.
    pub fn url(&self) -> String {
        format!("redis://127.0.0.1:{}/0", self.port)
    }

    /// Its port without TLS.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Its working directory, with its files.
    pub fn path(&self) -> &Path {
        self.folder.path()
    }

    /// What it said so far.
    pub fn log(&self) -> String {
        fs::read_to_string(self.folder.path().join("log")).unwrap_or_default()
    }

    /// Ends it at once, as a crash would.
    pub fn kill(&mut self) {
        self.server.kill();
    }

    /// Starts it again, on its port and with its files; ends it before if it
    /// runs.
    pub fn restart(&mut self) {
        self.kill();
        self.server = Self::launch(self.path(), self.port, &self.arguments, self.primary);
        self.ready().unwrap_or_else(|why| panic!("redis-server cannot be used again: {why}"));
    }

    /// Stops it where it is: connections stay open, nothing answers.
    pub fn pause(&self) {
        self.server.pause();
    }

    /// Lets a paused one go on.
    pub fn resume(&self) {
        self.server.resume();
    }

    /// Makes a replica a server that takes writes, also after a restart.
    pub fn promote(&mut self) {
        assert_eq!(self.command(&["REPLICAOF", "NO", "ONE"]), "OK");
        self.primary = None;
    }

    /// Has it do a command, on a connection of its own to database 0. The
    /// answer is as `redis-cli` prints it to a file, but for errors, which
    /// begin with `(error) `, and nothing, which is `(nil)`.
    pub fn command(&self, words: &[&str]) -> String {
        self.ask(words).unwrap_or_else(|error| panic!("{words:?}: {error}\n{}", self.log()))
    }

    fn password(&self) -> Option<&str> {
        let at = self.arguments.iter().position(|word| word == "--requirepass")?;
        self.arguments.get(at + 1).map(String::as_str)
    }

    fn ask(&self, words: &[&str]) -> io::Result<String> {
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, self.port));
        let mut stream = TcpStream::connect_timeout(&address, ANSWER)?;
        stream.set_read_timeout(Some(ANSWER))?;
        let mut answers = BufReader::new(stream.try_clone()?);
        if let Some(password) = self.password() {
            stream.write_all(&request(&["AUTH", password]))?;
            answer(&mut answers)?;
        }
        stream.write_all(&request(words))?;
        answer(&mut answers)
    }
}

/// A command as Redis reads it.
fn request(words: &[&str]) -> Vec<u8> {
    let mut bytes = format!("*{}\r\n", words.len());
    for word in words {
        bytes += &format!("${}\r\n{word}\r\n", word.len());
    }
    bytes.into_bytes()
}

/// Reads one answer: an array's elements are lines.
fn answer(from: &mut impl BufRead) -> io::Result<String> {
    let mut line = String::new();
    from.read_line(&mut line)?;
    let (kind, rest) = line.trim_end().split_at_checked(1).ok_or(io::ErrorKind::UnexpectedEof)?;
    match (kind, rest.parse::<usize>()) {
        ("+" | ":", _) => Ok(rest.to_owned()),
        ("-", _) => Ok(format!("(error) {rest}")),
        ("$", Ok(len)) => {
            let mut bytes = vec![0; len + 2];
            from.read_exact(&mut bytes)?;
            Ok(String::from_utf8_lossy(&bytes[..len]).into_owned())
        }
        ("*", Ok(len)) => {
            let elements: io::Result<Vec<String>> = (0..len).map(|_| answer(from)).collect();
            Ok(elements?.join("\n"))
        }
        ("$" | "*", Err(_)) if rest == "-1" => Ok("(nil)".to_owned()),
        _ => Err(io::Error::new(io::ErrorKind::InvalidData, format!("{line:?}"))),
    }
}

/// The URL of a Redis server that all tests of this process share, or of the
/// one that FAAS_TEST_REDIS names. Names of queues have to be a test's own.
pub fn shared_redis() -> String {
    static SHARED: OnceLock<(Redis, Child)> = OnceLock::new();
    let start = || {
        let redis = Redis::start();
        let sweeper = sweep_at_end(redis.path());
        (redis, sweeper)
    };
    std::env::var("FAAS_TEST_REDIS").unwrap_or_else(|_| SHARED.get_or_init(start).0.url())
}

/// Kafka brokers of a test's own. Their ids begin with 1; with three of them
/// one may fail.
pub struct Kafka {
    brokers: Vec<Server>,
    ports: Vec<u16>,
    // Last, so that it is removed when nobody writes to it.
    folder: TempDir,
}

impl Kafka {
    /// One broker, or three.
    pub fn start(brokers: usize) -> Self {
        Self::with(brokers, &[])
    }

    /// One broker that wants a login: SASL_PLAINTEXT, PLAIN, `test` and
    /// `test-secret`.
    pub fn start_sasl() -> Self {
        Self::with(1, &["--sasl"])
    }

    fn with(brokers: usize, flags: &[&str]) -> Self {
        for _ in 0..TRIES {
            let folder = folder("faas-kafka-");
            let mut arguments = vec!["prepare".to_owned(), brokers.to_string()];
            arguments.push(folder.path().display().to_string());
            arguments.extend(flags.iter().map(ToString::to_string));
            let told = script("kafka.sh", &arguments).unwrap_or_else(|why| panic!("{why}"));
            let port = |line: &str| -> Option<u16> { line.split(' ').nth(1)?.parse().ok() };
            let ports: Vec<u16> = told.lines().map(|line| port(line).expect("ID PORT")).collect();
            let brokers: Vec<Server> =
                (1..=brokers).map(|id| Self::launch(folder.path(), id)).collect();
            let kafka = Self { brokers, ports, folder };
            match kafka.ready(None) {
                Ok(()) => return kafka,
                Err(why) if why.contains(PORT_IS_TAKEN) => {}
                Err(why) => panic!("{why}"),
            }
        }
        panic!("Kafka found its ports taken {TRIES} times");
    }

    fn launch(folder: &Path, id: usize) -> Server {
        // That of a killed one would tell `ready` that this one has ended.
        let _ = fs::remove_file(folder.join(id.to_string()).join("pid"));
        let arguments = ["run".to_owned(), id.to_string(), folder.display().to_string()];
        let script = repository().join("tests/services/kafka.sh");
        Server::start(&script, &arguments, &folder.join("log"))
    }

    fn ready(&self, id: Option<usize>) -> Result<(), String> {
        let mut arguments = vec!["ready".to_owned(), self.path().display().to_string()];
        arguments.extend(id.map(|id| id.to_string()));
        script("kafka.sh", &arguments).map(drop)
    }

    /// Where they are: `kafka://127.0.0.1:PORT,127.0.0.1:PORT`.
    pub fn url(&self) -> String {
        let brokers: Vec<String> =
            self.ports.iter().map(|port| format!("127.0.0.1:{port}")).collect();
        format!("kafka://{}", brokers.join(","))
    }

    /// Where their settings, logs and data are, a folder for each id.
    pub fn path(&self) -> &Path {
        self.folder.path()
    }

    /// Ends a broker at once, as a crash would.
    pub fn kill(&mut self, id: usize) {
        self.brokers[id - 1].kill();
    }

    /// Starts a broker again, on its ports and with its data; ends it before if
    /// it runs. It takes some seconds until the others forget that it was there.
    pub fn restart(&mut self, id: usize) {
        self.kill(id);
        self.brokers[id - 1] = Self::launch(self.path(), id);
        self.ready(Some(id)).unwrap_or_else(|why| panic!("{why}"));
    }

    /// Stops a broker where it is: connections stay open, nothing answers.
    pub fn pause(&self, id: usize) {
        self.brokers[id - 1].pause();
    }

    /// Lets a paused one go on.
    pub fn resume(&self, id: usize) {
        self.brokers[id - 1].resume();
    }
}

/// The URL of a Kafka broker that all tests of this process share, or of the
/// brokers that FAAS_TEST_KAFKA names. Names of topics have to be a test's own.
pub fn shared_kafka() -> String {
    static SHARED: OnceLock<(Kafka, Child)> = OnceLock::new();
    let start = || {
        let kafka = Kafka::start(1);
        let sweeper = sweep_at_end(kafka.path());
        (kafka, sweeper)
    };
    std::env::var("FAAS_TEST_KAFKA").unwrap_or_else(|_| SHARED.get_or_init(start).0.url())
}
