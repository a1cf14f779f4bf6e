//! The centralised way: the same functions behind HTTP, called hop by hop
//! through a proxy by whoever wants the result.

use crate::process::Process;
use crate::program::exe;
use crate::subject::{BODY, Subject};
use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// Which proxy, and what is behind it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// nginx, in front of a function that answers with what it got.
    Nginx,
    /// HAProxy, in front of the same.
    Haproxy,
    /// nginx, in front of an of-watchdog that starts `cat` for each call.
    Watchdog,
}

/// Calls through a proxy.
pub struct Proxied {
    kind: Kind,
    hops: usize,
    listen: u16,
    _processes: Vec<Process>,
    _folder: tempfile::TempDir,
    connection: BufReader<TcpStream>,
}

impl Proxied {
    /// Starts the function and its proxy; why not, if that cannot be.
    pub fn start(kind: Kind, hops: usize) -> Result<Self, String> {
        let folder = tempfile::tempdir().expect("a folder");
        let (listen, upstream) = (free_port(), free_port());
        let function = match kind {
            Kind::Watchdog => watchdog(upstream)?,
            Kind::Nginx | Kind::Haproxy => {
                let mut command = Command::new(exe());
                command.args(["echo-server", &upstream.to_string()]);
                command
            }
        };
        let proxy = match kind {
            Kind::Haproxy => haproxy(folder.path(), listen, upstream)?,
            Kind::Nginx | Kind::Watchdog => nginx(folder.path(), listen, upstream)?,
        };
        let quiet = |mut command: Command| {
            command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
            Process::start(command)
        };
        let processes = vec![quiet(function), quiet(proxy)];
        wait_for(upstream)?;
        let connection = wait_for(listen)?;
        let connection = BufReader::new(connection);
        Ok(Self { kind, hops, listen, _processes: processes, _folder: folder, connection })
    }

    fn call(&mut self) {
        let head = format!(
            "POST / HTTP/1.1\r\nHost: function\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n",
            BODY.len()
        );
        let request = [head.as_bytes(), BODY].concat();
        // Proxies close a connection after some requests, or some idle time.
        for _ in 0..2 {
            if self.connection.get_mut().write_all(&request).is_ok()
                && let Some(body) = read_message(&mut self.connection)
            {
                assert_eq!(body, BODY);
                return;
            }
            self.connection = BufReader::new(wait_for(self.listen).expect("it listens"));
        }
        panic!("{} does not answer", self.name());
    }
}

impl Subject for Proxied {
    fn name(&self) -> &'static str {
        match self.kind {
            Kind::Nginx => "through nginx",
            Kind::Haproxy => "through haproxy",
            Kind::Watchdog => "nginx+watchdog",
        }
    }

    fn try_send(&mut self) -> bool {
        true
    }

    fn receive(&mut self) -> Option<u64> {
        (0..self.hops).for_each(|_| self.call());
        None
    }
}

fn services() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("services")
}

fn template(folder: &Path, name: &str, listen: u16, upstream: u16) -> PathBuf {
    let text = std::fs::read_to_string(services().join(format!("{name}.in"))).expect("a template");
    let text = text
        .replace("@DIR@", &folder.display().to_string())
        .replace("@LISTEN@", &listen.to_string())
        .replace("@UPSTREAM@", &upstream.to_string());
    let path = folder.join(name);
    std::fs::write(&path, text).expect("a file");
    path
}

fn found(program: &str) -> Result<String, String> {
    let paths = std::env::var("PATH").unwrap_or_default() + ":/usr/sbin";
    let mut places = paths.split(':').map(|dir| format!("{dir}/{program}"));
    places
        .find(|path| Path::new(path).exists())
        .ok_or_else(|| format!("{program} is not here (Debian: apt install {program})"))
}

fn nginx(folder: &Path, listen: u16, upstream: u16) -> Result<Command, String> {
    let mut command = Command::new(found("nginx")?);
    let file = template(folder, "nginx.conf", listen, upstream);
    command.arg("-p").arg(folder).args(["-e", "stderr", "-c"]).arg(file);
    Ok(command)
}

fn haproxy(folder: &Path, listen: u16, upstream: u16) -> Result<Command, String> {
    let mut command = Command::new(found("haproxy")?);
    let file = template(folder, "haproxy.cfg", listen, upstream);
    command.args(["-db", "-f"]).arg(file);
    Ok(command)
}

fn watchdog(port: u16) -> Result<Command, String> {
    let script = services().join("web.sh");
    let made = Command::new("sh").arg(script).arg("watchdog").output();
    let made = made.map_err(|error| error.to_string())?;
    if !made.status.success() {
        return Err(String::from_utf8_lossy(&made.stderr).trim().replace('\n', "; "));
    }
    let mut command = Command::new(String::from_utf8_lossy(&made.stdout).trim());
    command.env("port", port.to_string()).env("mode", "streaming").env("fprocess", "cat");
    Ok(command)
}

fn free_port() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    listener.local_addr().expect("an address").port()
}

fn wait_for(port: u16) -> Result<TcpStream, String> {
    let began = Instant::now();
    loop {
        match TcpStream::connect(("127.0.0.1", port)) {
            Ok(stream) => {
                stream.set_nodelay(true).map_err(|error| error.to_string())?;
                return Ok(stream);
            }
            Err(error) if began.elapsed() > Duration::from_secs(10) => {
                return Err(format!("nothing listens on port {port}: {error}"));
            }
            Err(_) => std::thread::sleep(Duration::from_millis(5)),
        }
    }
}

/// The body of a message with a length, or in chunks.
fn read_message(from: &mut impl BufRead) -> Option<Vec<u8>> {
    let (mut length, mut chunked, mut line) = (0, false, String::new());
    loop {
        line.clear();
        from.read_line(&mut line).ok().filter(|len| *len > 0)?;
        let lower = line.trim().to_ascii_lowercase();
        if lower.is_empty() {
            break;
        }
        if let Some(value) = lower.strip_prefix("content-length:") {
            length = value.trim().parse().ok()?;
        }
        chunked |= lower == "transfer-encoding: chunked";
    }
    let mut body = vec![0; length];
    if !chunked {
        from.read_exact(&mut body).ok()?;
        return Some(body);
    }
    loop {
        line.clear();
        from.read_line(&mut line).ok()?;
        let len = usize::from_str_radix(line.trim(), 16).ok()?;
        let start = body.len();
        body.resize(start + len + 2, 0);
        from.read_exact(&mut body[start..]).ok()?;
        body.truncate(start + len);
        if len == 0 {
            return Some(body);
        }
    }
}

/// The function behind the proxy: it answers with what it got.
pub fn echo(port: u16) -> ! {
    nix::sys::prctl::set_pdeathsig(nix::sys::signal::Signal::SIGKILL).expect("it can be set");
    let listener = TcpListener::bind(("127.0.0.1", port)).expect("a free port");
    for stream in listener.incoming().map_while(Result::ok) {
        std::thread::spawn(move || {
            let _ = stream.set_nodelay(true);
            let mut stream = BufReader::new(stream);
            while let Some(body) = read_message(&mut stream) {
                let head = format!(
                    "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n",
                    body.len()
                );
                if stream.get_mut().write_all(&[head.as_bytes(), &body].concat()).is_err() {
                    return;
                }
            }
        });
    }
    std::process::exit(0)
}
