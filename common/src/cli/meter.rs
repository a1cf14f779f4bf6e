//! How far something is, with its rate and the time that is left: on a
//! terminal's stderr, and nowhere else.

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressState, ProgressStyle};
use std::fmt::Write;
use std::io::IsTerminal;
use std::time::Duration;

/// A line that moves, or nothing.
pub struct Meter(Option<ProgressBar>);

impl Meter {
    /// Whether there is one to see.
    pub fn shows(quiet: bool) -> bool {
        !quiet && std::io::stderr().is_terminal()
    }

    /// Shown when stderr is a terminal and nobody asked for quiet.
    pub fn new(doing: &str, total: Option<u64>, quiet: bool) -> Self {
        if !Self::shows(quiet) {
            return Self(None);
        }
        let bar = ProgressBar::with_draw_target(total, ProgressDrawTarget::stderr_with_hz(10));
        let template = match total {
            Some(_) => "{prefix} [{wide_bar}] {pos}/{len} {rate} {eta} left",
            None => "{spinner} {prefix} {pos} {rate} {elapsed}",
        };
        if let Ok(style) = ProgressStyle::with_template(template) {
            let rate = |state: &ProgressState, to: &mut dyn Write| {
                // A line that cannot be drawn is drawn again soon.
                let _ = write!(to, "{:.0}/s", state.per_sec());
            };
            bar.set_style(style.progress_chars("=> ").with_key("rate", rate));
        }
        bar.set_prefix(doing.to_owned());
        bar.enable_steady_tick(Duration::from_millis(100));
        Self(Some(bar))
    }

    /// So many are done.
    pub fn set(&self, count: u64) {
        if let Some(bar) = &self.0 {
            bar.set_position(count);
        }
    }

    /// Takes the line away.
    pub fn end(&self) {
        if let Some(bar) = &self.0 {
            bar.finish_and_clear();
        }
    }
}
