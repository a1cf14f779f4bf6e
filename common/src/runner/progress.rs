//! The progress of a run, on a terminal only.

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use std::io::IsTerminal;
use std::time::Duration;

/// A line that moves, or nothing.
pub(super) struct Progress {
    bar: Option<ProgressBar>,
}

impl Progress {
    /// Whether there is a place for it: stderr is a terminal, results do not
    /// go there too, and nobody asked for quiet.
    pub(super) fn has_place(quiet: bool) -> bool {
        !quiet && std::io::stderr().is_terminal() && !std::io::stdout().is_terminal()
    }

    /// Shown where there is a place for it.
    pub(super) fn new(run: &str, quiet: bool) -> Self {
        if !Self::has_place(quiet) {
            return Self { bar: None };
        }
        let bar = ProgressBar::with_draw_target(None, ProgressDrawTarget::stderr_with_hz(10));
        if let Ok(style) = ProgressStyle::with_template("{spinner} {prefix} {msg} {elapsed}") {
            bar.set_style(style);
        }
        bar.set_prefix(run.to_owned());
        bar.enable_steady_tick(Duration::from_millis(100));
        Self { bar: Some(bar) }
    }

    /// Whether something is drawn, so that other lines must go around it.
    pub(super) fn is_shown(&self) -> bool {
        self.bar.is_some()
    }

    pub(super) fn update(&self, accepted: u64, ended: u64, results: u64, dead: u64) {
        if let Some(bar) = &self.bar {
            bar.set_message(format!("{ended} of {accepted} ended, {results} out, {dead} dead"));
        }
    }

    /// Prints a line above the bar.
    pub(super) fn line(&self, text: &str) {
        match &self.bar {
            Some(bar) => bar.suspend(|| eprintln!("{text}")),
            None => eprintln!("{text}"),
        }
    }

    /// Clears the line.
    pub(super) fn end(&self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}
