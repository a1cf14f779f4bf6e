//! The loop: keys and news in, the screen out.

use super::Watched;
use super::draw::{self, Look};
use super::model::Model;
use super::parts::{Key, Source, Wish};
use super::watch::{self, News, Opening};
use crate::error::{Failure, Result};
use crate::exit::Exit;
use crate::queue::QueueUrl;
use crate::signals::Signals;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use ratatui::DefaultTerminal;
use ratatui::crossterm::event::{self, Event, KeyCode, KeyEvent, KeyEventKind, KeyModifiers};
use std::io::IsTerminal as _;
use std::os::fd::AsFd as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::{Duration, Instant};

/// How long the loop waits for a key, so that news come to the screen.
const TICK: Duration = Duration::from_millis(100);
/// How long the loop may take to end after a signal.
const END_MAX: Duration = Duration::from_secs(2);

/// Shows queues until somebody has seen enough.
///
/// # Errors
/// The terminal cannot be used.
pub fn show(watched: &Watched) -> Result<Exit> {
    let failed = |error: std::io::Error| Failure::io("use", "the terminal", &error);
    // Threads that begin later leave signals to the one that reads them.
    let signals = Signals::catch().map_err(failed)?;
    // Whoever asks for a password does so before the screen is ours.
    for profile in watched.urls.iter().filter_map(|url| url.option("profile")) {
        let _ = crate::config::password(profile);
    }
    let (told, news) = channel();
    let begin = Instant::now();
    let caught = told.clone();
    std::thread::spawn(move || tell_signals(signals, &caught));
    for source in 0..watched.urls.len() {
        let (watched, told) = (watched.clone(), told.clone());
        std::thread::spawn(move || watch::watch(&watched, source, begin, &told));
    }
    let mut terminal = ratatui::try_init().map_err(failed)?;
    let mut screen = Screen {
        model: Model::new(watched.urls.iter().map(source).collect()),
        look: Look { has_colours: std::env::var_os("NO_COLOR").is_none_or(|no| no.is_empty()) },
        urls: watched.urls.clone(),
        begin,
        told,
        news,
        opened: 0,
        signal: None,
        stop: Arc::default(),
        more: None,
    };
    let outcome = screen.run(&mut terminal).map_err(failed);
    // Some terminals that were resized keep what is above the cursor (tmux
    // 3.3). One that is gone needs no care.
    let _ = terminal.clear();
    let _ = terminal.set_cursor_position((0, 0));
    let _ = ratatui::try_restore();
    outcome
}

fn source(url: &QueueUrl) -> Source {
    Source { url: url.without_query().to_string(), is_queue: !url.name().is_empty() }
}

/// Tells the loop of a signal. A loop that does not end by it is stuck with a
/// terminal that is gone.
fn tell_signals(mut signals: Signals, told: &Sender<News>) {
    loop {
        let mut fds = [PollFd::new(signals.as_fd(), PollFlags::POLLIN)];
        let _ = poll(&mut fds, PollTimeout::NONE);
        if let Some(signal) = signals.next() {
            let _ = told.send(News::Signal(signal));
            std::thread::sleep(END_MAX);
            std::process::exit(128 + signal);
        }
    }
}

/// Waits for a key or the next tick; false when the terminal is gone. That is
/// not left to the library of keys, which reads the end of a terminal for ever.
fn is_there(wait: Duration) -> bool {
    let (stdin, stdout) = (std::io::stdin(), std::io::stdout());
    let has_keys = stdin.is_terminal();
    let wanted = if has_keys { PollFlags::POLLIN } else { PollFlags::empty() };
    let keys = if has_keys { stdin.as_fd() } else { stdout.as_fd() };
    let mut fds = [PollFd::new(keys, wanted), PollFd::new(stdout.as_fd(), PollFlags::empty())];
    let wait_ms = u8::try_from(wait.as_millis()).unwrap_or(u8::MAX);
    // An interrupted wait is one that ended early.
    let _ = poll(&mut fds, PollTimeout::from(wait_ms));
    let gone = PollFlags::POLLHUP | PollFlags::POLLERR;
    !fds.iter().any(|fd| fd.revents().is_some_and(|told| told.intersects(gone)))
}

/// Whether it is Ctrl-Z, which a terminal in raw mode leaves to its program.
fn is_stop(event: &Event) -> bool {
    let stop = KeyEvent::new(KeyCode::Char('z'), KeyModifiers::CONTROL);
    matches!(event, Event::Key(pressed) if *pressed == stop)
}

/// Gives the terminal back until somebody wants to go on.
fn rest(terminal: &mut DefaultTerminal) -> std::io::Result<()> {
    ratatui::try_restore()?;
    // A shell without jobs, or none, lets it go on at once.
    nix::sys::signal::raise(nix::sys::signal::Signal::SIGTSTP)?;
    *terminal = ratatui::try_init()?;
    terminal.clear()
}

struct Screen {
    model: Model,
    look: Look,
    urls: Vec<QueueUrl>,
    begin: Instant,
    told: Sender<News>,
    news: Receiver<News>,
    /// Number of the queue that is open: news of an earlier one are late.
    opened: u64,
    signal: Option<i32>,
    /// Ends the thread that shows it.
    stop: Arc<AtomicBool>,
    /// Asks it for more.
    more: Option<Sender<()>>,
}

impl Screen {
    fn run(&mut self, terminal: &mut DefaultTerminal) -> std::io::Result<Exit> {
        loop {
            let mut room = self.model.opened.room;
            terminal.draw(|frame| room = draw::draw(frame, &self.model, self.look))?;
            self.model.opened.room = room;
            if !is_there(TICK) {
                return Ok(Exit::by_signal(nix::libc::SIGHUP));
            }
            while event::poll(Duration::ZERO)? {
                let event = event::read()?;
                if is_stop(&event) {
                    rest(terminal)?;
                    continue;
                }
                if let Event::Key(pressed) = event
                    && let Some(key) = key_of(pressed)
                {
                    self.model.notice = None;
                    let wish = self.model.press(key);
                    if wish == Wish::Leave {
                        return Ok(Exit::Done);
                    }
                    self.fulfil(wish);
                }
            }
            while let Ok(news) = self.news.try_recv() {
                self.hear(news);
            }
            self.model.tick(u64::try_from(self.begin.elapsed().as_millis()).unwrap_or(u64::MAX));
            if let Some(signal) = self.signal {
                return Ok(Exit::by_signal(signal));
            }
        }
    }

    fn hear(&mut self, news: News) {
        match news {
            News::Asking(source, at_ms) => _ = self.model.asked.insert(source, at_ms),
            News::Sample(sample) => self.model.see(sample),
            News::Messages(number, seen, ahead) if number == self.opened => {
                self.model.opened.see(seen, ahead);
            }
            News::Closed(number, why) if number == self.opened => self.model.fail_to_open(why),
            News::Done(said) => {
                self.model.busy = self.model.busy.saturating_sub(1);
                self.model.notice = Some(said);
            }
            News::Signal(signal) => self.signal = Some(signal),
            News::Messages(..) | News::Closed(..) => {}
        }
    }

    fn fulfil(&mut self, wish: Wish) {
        match wish {
            Wish::Nothing | Wish::Leave => {}
            Wish::Close => self.close(),
            Wish::Open { url, follows } => {
                self.close();
                let Some(url) = self.address(&url) else { return };
                let (number, stop, told) = (self.opened, self.stop.clone(), self.told.clone());
                let (sender, more) = channel();
                self.more = Some(sender);
                let opening = Opening { url, number, follows, stop, more };
                std::thread::spawn(move || opening.show(&told));
            }
            // A thread that has ended has shown all.
            Wish::More => _ = self.more.as_ref().map(|more| more.send(())),
            Wish::Do(deed) => {
                let Some(url) = self.address(deed.url()) else { return };
                let told = self.told.clone();
                self.model.busy += 1;
                std::thread::spawn(move || watch::act(&deed, &url, &told));
            }
        }
    }

    fn close(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        self.stop = Arc::default();
        self.more = None;
        self.opened += 1;
    }

    /// The queue of a row, with the options its middleware was watched with.
    fn address(&self, url: &str) -> Option<QueueUrl> {
        let row = self.model.rows.get(url)?;
        Some(self.urls.get(row.source)?.with_name(&row.stat.name))
    }
}

fn key_of(pressed: KeyEvent) -> Option<Key> {
    if pressed.kind == KeyEventKind::Release {
        return None;
    }
    let is_control = pressed.modifiers.contains(KeyModifiers::CONTROL);
    Some(match pressed.code {
        KeyCode::Char('c') if is_control => Key::Interrupt,
        KeyCode::Char(_) if is_control => return None,
        KeyCode::Char(letter) => Key::Letter(letter),
        KeyCode::Up => Key::Up,
        KeyCode::Down => Key::Down,
        KeyCode::PageUp => Key::PageUp,
        KeyCode::PageDown => Key::PageDown,
        KeyCode::Home => Key::Home,
        KeyCode::End => Key::End,
        KeyCode::Enter => Key::Enter,
        KeyCode::Esc => Key::Back,
        KeyCode::Backspace => Key::Erase,
        _ => return None,
    })
}
