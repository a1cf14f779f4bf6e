//! Style as a test: sizes of files and functions, mains, generated pages,
//! where unsafe code may be, and which way imports point.

use faas_tests::{repository, tools};
use std::path::{Path, PathBuf};
use std::process::Command;

const FILE_LINES_MAX: usize = 500;
const FUNCTION_LINES_MAX: usize = 70;
const MAIN_LINES_MAX: usize = 30;

/// Modules that may hold unsafe code.
const UNSAFE_IN: [&str; 13] = [
    "common/src/invoker/watchdog.rs",
    "common/src/queue/kafka/bell.rs",
    "common/src/queue/mqueue/slots.rs",
    "common/src/queue/mqueue/sys.rs",
    "common/src/queue/pipe/closed.rs",
    "common/src/runner/children.rs",
    "common/src/worker/guard/child.rs",
    "common/src/worker/guard/spawn.rs",
    "common/src/worker/guard/tether.rs",
    "common/src/worker/spool.rs",
    "tests/crash/main.rs",
    "tests/crash/tracer.rs",
    "tests/style.rs",
];

fn rust_files(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).expect("a folder").flatten() {
        let path = entry.path();
        if path.is_dir() && !path.ends_with("target") {
            rust_files(&path, found);
        } else if path.extension().is_some_and(|kind| kind == "rs") {
            found.push(path);
        }
    }
}

fn sources() -> Vec<(String, String)> {
    let top = repository();
    let mut files = Vec::new();
    for folder in ["common", "bins", "tests"] {
        rust_files(&top.join(folder), &mut files);
    }
    assert!(files.len() > 50, "the sources are found");
    files
        .into_iter()
        .map(|path| {
            let name = path.strip_prefix(&top).expect("below").to_string_lossy().into_owned();
            (name, std::fs::read_to_string(&path).expect("UTF-8"))
        })
        .collect()
}

#[test]
fn files_are_short() {
    let long: Vec<String> = sources()
        .into_iter()
        .map(|(name, text)| (name, text.lines().count()))
        .filter(|(name, lines)| {
            let max = if name.ends_with("/main.rs") && name.starts_with("bins") {
                MAIN_LINES_MAX
            } else {
                FILE_LINES_MAX
            };
            *lines > max
        })
        .map(|(name, lines)| format!("{name}: {lines} lines"))
        .collect();
    assert!(long.is_empty(), "too long:\n{}", long.join("\n"));
}

/// A function begins at a line with `fn ` and ends with the first line that
/// closes it at the same indentation: rustfmt makes that so.
#[test]
fn functions_are_short() {
    let mut long = Vec::new();
    for (name, text) in sources() {
        let lines: Vec<&str> = text.lines().collect();
        for (start, line) in lines.iter().enumerate() {
            let trimmed = line.trim_start();
            let is_fn = ["fn ", "pub fn ", "pub(super) fn ", "pub(crate) fn ", "extern \"C\" fn "]
                .iter()
                .any(|begin| trimmed.starts_with(begin));
            if !is_fn || trimmed.ends_with(';') || trimmed.ends_with("}") {
                continue;
            }
            let close = format!("{}}}", &line[..line.len() - trimmed.len()]);
            let len = lines[start..].iter().position(|l| *l == close).map_or(0, |end| end + 1);
            if len > FUNCTION_LINES_MAX {
                long.push(format!("{name}:{}: {len} lines", start + 1));
            }
        }
    }
    assert!(long.is_empty(), "too long:\n{}", long.join("\n"));
}

#[test]
fn unsafe_code_is_where_it_may_be_and_says_why() {
    let mut flaws = Vec::new();
    for (name, text) in sources() {
        let lines: Vec<&str> = text.lines().collect();
        for (number, line) in lines.iter().enumerate() {
            if !line.contains("unsafe {") || line.trim_start().starts_with("//") {
                continue;
            }
            if !UNSAFE_IN.contains(&name.as_str()) {
                flaws.push(format!("{name}:{}: unsafe code is not for this file", number + 1));
            }
            let before = &lines[number.saturating_sub(8)..number];
            if name != "tests/style.rs" && !before.iter().any(|line| line.contains("// SAFETY:")) {
                flaws.push(format!("{name}:{}: no SAFETY comment", number + 1));
            }
        }
    }
    assert!(flaws.is_empty(), "{}", flaws.join("\n"));
}

/// What a module may not import: arrows point one way.
#[test]
fn arrows_point_down() {
    let rules: [(&str, &[&str]); 7] = [
        (
            "common/src/event/",
            &[
                "crate::queue",
                "crate::chain",
                "crate::worker",
                "crate::invoker",
                "crate::runner",
                "crate::cli",
            ],
        ),
        (
            "common/src/queue/",
            &["crate::chain", "crate::worker", "crate::invoker", "crate::runner", "crate::cli"],
        ),
        ("common/src/chain/", &["crate::worker", "crate::invoker", "crate::runner", "crate::cli"]),
        ("common/src/worker/", &["crate::invoker", "crate::runner", "crate::queue"]),
        ("common/src/invoker/", &["crate::runner"]),
        (
            "common/src/chain/route.rs",
            &["crate::clock", "std::io", "std::fs", "std::time", "crate::queue"],
        ),
        (
            "common/src/chain/ending.rs",
            &["crate::clock", "std::io", "std::fs", "std::time", "crate::queue"],
        ),
    ];
    let mut wrong = Vec::new();
    for (name, text) in sources() {
        for (place, forbidden) in &rules {
            if name.starts_with(place) {
                wrong.extend(
                    forbidden
                        .iter()
                        .filter(|f| text.contains(*f))
                        .map(|f| format!("{name} uses {f}")),
                );
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn no_unwrap_on_what_the_world_can_break() {
    let marks = [
        concat!(".unwrap", "()"),
        concat!("todo", "!("),
        concat!("unimplemented", "!("),
        concat!("FIX", "ME"),
    ];
    let mut found = Vec::new();
    for (name, text) in sources().into_iter().filter(|(name, _)| !name.starts_with("tests/")) {
        let code = text.split("#[cfg(test)]").next().unwrap_or_default();
        for (number, line) in code.lines().enumerate() {
            found.extend(
                marks
                    .iter()
                    .filter(|m| line.contains(**m))
                    .map(|m| format!("{name}:{}: {m}", number + 1)),
            );
        }
    }
    assert!(found.is_empty(), "{}", found.join("\n"));
}

#[test]
fn generated_pages_are_not_stale() {
    let mut stale = Vec::new();
    for tool in ["faas-trigger", "faas-invoke", "faas-chain", "faas-queue"] {
        let pages = [
            ("man", format!("man/{tool}.1")),
            ("bash", format!("completions/{tool}.bash")),
            ("zsh", format!("completions/_{tool}")),
            ("fish", format!("completions/{tool}.fish")),
        ];
        for (kind, file) in pages {
            let made = Command::new(tools().join(tool)).args(["--generate", kind]).output();
            let made = made.expect("the tool runs").stdout;
            assert!(made.len() > 200, "{tool} --generate {kind} prints nothing much");
            if std::fs::read(repository().join(&file)).unwrap_or_default() != made {
                stale.push(file);
            }
        }
    }
    assert!(stale.is_empty(), "stale: {}; run `make man completions`", stale.join(", "));
}

#[test]
fn the_repository_speaks_of_the_project_alone() {
    let listed = Command::new("git").args(["ls-files"]).current_dir(repository()).output();
    let Ok(listed) = listed else {
        println!("skipped: no git here to list the files");
        return;
    };
    let words = [
        concat!("/wo", "rk/"),
        concat!("/ro", "ot/"),
        concat!("../sha", "red"),
        concat!(".lib", "rary"),
    ];
    let mut found = Vec::new();
    for file in String::from_utf8_lossy(&listed.stdout).lines() {
        let Ok(text) = std::fs::read_to_string(repository().join(file)) else { continue };
        found.extend(words.iter().filter(|w| text.contains(**w)).map(|w| format!("{file}: {w}")));
    }
    assert!(found.is_empty(), "{}", found.join("\n"));
}
