//! A terminal to type into and to look at.

use crate::Sandbox;

/// How long something may take until it is on the screen.
const PATIENCE_SECS: u64 = 20;

/// A terminal of tmux, with a server of its own.
pub struct Screen<'a> {
    sandbox: &'a Sandbox,
    socket: String,
}

impl<'a> Screen<'a> {
    /// Runs a command in a terminal of so many columns and lines.
    pub fn start(sandbox: &'a Sandbox, size: (u32, u32), command: &str) -> Self {
        let screen = Self { sandbox, socket: format!("{}-{}", sandbox.run(), size.0) };
        let (width, height) = (size.0.to_string(), size.1.to_string());
        let size = ["-d", "-x", &width, "-y", &height];
        screen.tmux(&[&["-f", "/dev/null", "new-session"], &size[..], &[command]].concat());
        screen
    }

    /// Tells the server something; returns what it says.
    pub fn tmux(&self, words: &[&str]) -> String {
        let mut tmux = self.sandbox.command("tmux");
        let out = tmux.arg("-L").arg(&self.socket).args(words).output().expect("tmux is there");
        String::from_utf8_lossy(&out.stdout).into_owned()
    }

    /// Presses keys: text, or names such as `Enter`.
    pub fn press(&self, keys: &[&str]) {
        self.tmux(&[&["send-keys"], keys].concat());
    }

    /// What is on the screen.
    pub fn now(&self) -> String {
        self.tmux(&["capture-pane", "-p"])
    }

    /// What is on the screen, once it holds this.
    pub fn shows(&self, what: &str) -> String {
        let mut seen = String::new();
        let is = self.sandbox.until(PATIENCE_SECS, || {
            seen = self.now();
            seen.contains(what)
        });
        assert!(is, "`{what}` is not on the screen:\n{seen}");
        seen
    }
}

impl Drop for Screen<'_> {
    fn drop(&mut self) {
        self.tmux(&["kill-server"]);
    }
}
