//! Programs that hold their output back when it goes to a pipe, and what
//! makes them print line by line.

use crate::chain::RunSpec;
use crate::chain::program;
use std::path::Path;

/// Programs that write through the C library's streams: `stdbuf -oL` tells
/// the library to flush after each line.
const BY_STDBUF: [&str; 17] = [
    "tr",
    "cut",
    "sed",
    "grep",
    "egrep",
    "fgrep",
    "rev",
    "nl",
    "fold",
    "fmt",
    "expand",
    "unexpand",
    "jq",
    "gawk",
    "original-awk",
    "paste",
    "column",
];

/// What was done about a program's buffering.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cure {
    /// Nothing: it may be fine, or there is no way from outside.
    None,
    /// Started under `stdbuf -oL`.
    Stdbuf,
    /// Given the flags that make mawk interactive.
    Mawk,
}

/// The cure for a program. It goes by the file the name leads to: `awk` is
/// mawk on Debian.
pub fn of(program: &Path) -> Cure {
    let real = program.canonicalize().unwrap_or_else(|_| program.to_owned());
    let is = |path: &Path, name: &str| path.file_name().is_some_and(|file| file == name);
    if is(&real, "mawk") {
        Cure::Mawk
    } else if BY_STDBUF.iter().any(|name| is(&real, name) || is(program, name)) {
        Cure::Stdbuf
    } else {
        Cure::None
    }
}

/// What a filter is started from: with its cure, and with Python's own.
pub fn applied(mut spec: RunSpec) -> RunSpec {
    match of(&spec.program) {
        Cure::None => {}
        Cure::Mawk => {
            spec.args.splice(0..0, ["-W".to_owned(), "interactive".to_owned()]);
        }
        Cure::Stdbuf => {
            // Where there is none, the filter is named when it holds back.
            if let Ok(stdbuf) = program::find("stdbuf", &spec.folder) {
                let program = std::mem::replace(&mut spec.program, stdbuf);
                let words = ["-oL".to_owned(), program.display().to_string()];
                spec.args.splice(0..0, words);
                spec.name = "stdbuf".to_owned();
            }
        }
    }
    let variable = "PYTHONUNBUFFERED";
    if !spec.env.iter().any(|(name, _)| name == variable) {
        spec.env.push((variable.to_owned(), "1".to_owned()));
    }
    spec
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::PathBuf;

    fn spec(program: &str, args: &[&str]) -> RunSpec {
        RunSpec {
            program: PathBuf::from(program),
            name: program.to_owned(),
            args: args.iter().map(|arg| (*arg).to_owned()).collect(),
            folder: PathBuf::from("/"),
            env: Vec::new(),
        }
    }

    #[test]
    fn programs_of_the_c_library_go_under_stdbuf() {
        let cured = applied(spec("/usr/bin/tr", &["a", "b"]));
        assert!(cured.program.ends_with("stdbuf"), "{cured:?}");
        assert_eq!(cured.args, ["-oL", "/usr/bin/tr", "a", "b"]);
    }

    #[test]
    fn others_are_left_alone() {
        let cured = applied(spec("/usr/bin/cat", &["-"]));
        assert_eq!((cured.program.as_path(), cured.args.len()), (Path::new("/usr/bin/cat"), 1));
        assert_eq!(of(Path::new("/usr/bin/mawk")), Cure::Mawk);
    }
}
