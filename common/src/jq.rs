//! jq, without what would make an answer depend on anything but what it is
//! given (`input`, `env`, `now`, `debug` and their like).

use jaq_core::compile::{Compiler, Filter};
use jaq_core::load::{Arena, File, Loader};
use jaq_core::{Ctx, Native, Vars, data::JustLut, unwrap_valr};
use jaq_json::read;

pub use jaq_json::Val;

/// Names that would reach outside the event.
const FORBIDDEN: [&str; 13] = [
    "input",
    "inputs",
    "env",
    "now",
    "debug",
    "debug_empty",
    "stderr",
    "stderr_empty",
    "halt",
    "halt_error",
    "localtime",
    "strflocaltime",
    "input_filename",
];

/// Deepest nesting that is read: the parser calls itself for each level.
const DEPTH_MAX: usize = 1_000;

/// A compiled program. It sees its input and the variable `$event`.
pub struct Program(Filter<Native<JustLut<Val>>>);

impl Program {
    /// Compiles a program.
    ///
    /// # Errors
    /// What is wrong with it, in words.
    pub fn compile(text: &str) -> Result<Self, String> {
        compile(text).map(Self)
    }

    /// Its outputs, as they are asked for; each may be an error in words.
    pub fn run(&self, input: Val, event: Val) -> impl Iterator<Item = Result<Val, String>> + '_ {
        let ctx = Ctx::<JustLut<Val>>::new(&self.0.lut, Vars::new([event]));
        let outputs = self.0.id.run((ctx, input)).map(unwrap_valr);
        outputs.map(|output| output.map_err(|error| error.to_string()))
    }

    /// Whether its first output is neither false nor null; none counts as false.
    ///
    /// # Errors
    /// What the program said.
    pub fn holds(&self, input: Val, event: Val) -> Result<bool, String> {
        match self.run(input, event).next() {
            None => Ok(false),
            Some(value) => Ok(!matches!(value?, Val::Null | Val::Bool(false))),
        }
    }
}

/// Reads JSON as a value; null when it is none.
///
/// # Errors
/// It is nested too deep to be read.
pub fn parse(json: &[u8]) -> Result<Val, String> {
    if depth(json) > DEPTH_MAX {
        return Err(format!("the body is nested deeper than {DEPTH_MAX}"));
    }
    Ok(read::parse_single(json).unwrap_or(Val::Null))
}

/// How deep JSON is nested; its parser for conditions calls itself for each level.
fn depth(json: &[u8]) -> usize {
    let (mut depth, mut deepest, mut in_string, mut escaped) = (0_usize, 0, false, false);
    for byte in json {
        match (in_string, byte) {
            (true, _) if escaped => escaped = false,
            (true, b'\\') => escaped = true,
            (_, b'"') => in_string = !in_string,
            (false, b'[' | b'{') => {
                depth += 1;
                deepest = deepest.max(depth);
            }
            (false, b']' | b'}') => depth = depth.saturating_sub(1),
            _ => {}
        }
    }
    deepest
}

fn compile(text: &str) -> Result<Filter<Native<JustLut<Val>>>, String> {
    let allowed = |name: &str| !FORBIDDEN.contains(&name);
    let defs = jaq_core::defs().chain(jaq_std::defs()).chain(jaq_json::defs());
    let funs = jaq_core::funs().chain(jaq_std::funs()).chain(jaq_json::funs());
    let arena = Arena::default();
    let modules = Loader::new(defs.filter(|def| allowed(def.name)))
        .load(&arena, File { code: text, path: () })
        .map_err(|errors| {
            first_error(text, errors.into_iter().map(|(_, error)| load_error(error)))
        })?;
    Compiler::default()
        .with_funs(funs.filter(|fun| allowed(fun.0)))
        .with_global_vars(["$event"])
        .compile(modules)
        .map_err(|errors| {
            let undefined = errors.into_iter().flat_map(|(_, undefined)| undefined);
            first_error(text, undefined.map(|(name, kind)| unknown(name, kind.as_str())))
        })
}

fn unknown(name: &str, kind: &str) -> String {
    if FORBIDDEN.contains(&name) {
        format!("`{name}` is not allowed: jq sees the event alone")
    } else {
        format!("unknown {kind} `{name}`")
    }
}

fn first_error(text: &str, errors: impl Iterator<Item = String>) -> String {
    let first = errors.into_iter().next().unwrap_or_else(|| "it does not compile".to_owned());
    format!("bad jq `{text}`: {first}")
}

fn load_error(error: jaq_core::load::Error<&str>) -> String {
    use jaq_core::load::Error as E;
    let near = |found: &str| match found.chars().take(20).collect::<String>() {
        found if found.is_empty() => "at its end".to_owned(),
        found => format!("near `{found}`"),
    };
    match error {
        E::Io(errors) => errors.into_iter().next().map_or_else(String::new, |(_, error)| error),
        E::Lex(errors) => errors.first().map_or_else(String::new, |(expected, found)| {
            format!("{} expected {}", expected.as_str(), near(found))
        }),
        E::Parse(errors) => errors.first().map_or_else(String::new, |(expected, found)| {
            format!("{} expected {}", expected.as_str(), near(found))
        }),
    }
}
