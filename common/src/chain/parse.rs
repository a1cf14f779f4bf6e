//! From the text of a chain file to the model: every key, every type, every
//! default. What the parts mean together is [`super::validate`]'s.

use super::flaw::Flaw;
use super::model::*;
use super::source::{Source, join};
use crate::queue::{Order, WhenFull};
use jsonc_parser::ast::Value;
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

const TOP: [&str; 8] =
    ["chain", "functions", "start", "rules", "queues", "layout", "deadline", "deliver"];
const FUNCTION: [&str; 17] = [
    "run",
    "url",
    "worker",
    "input",
    "emit",
    "exit",
    "timeout",
    "retries",
    "backoff",
    "concurrency",
    "ahead",
    "keep",
    "env",
    "empty",
    "failed",
    "join",
    "pipeline",
];
const RULE: [&str; 6] = ["from", "to", "when", "otherwise", "on", "at_most"];
const QUEUE: [&str; 5] = ["via", "capacity", "order", "when_full", "deliver"];
const DELIVER: [(&str, Deliver); 3] = [
    ("at-most-once", Deliver::AtMostOnce),
    ("at-least-once", Deliver::AtLeastOnce),
    ("exactly-once", Deliver::ExactlyOnce),
];

/// Parses; flaws that leave no model at all are an error, others come with it.
pub(super) fn parse(text: &str) -> Result<(Chain, Vec<Flaw>), Vec<Flaw>> {
    let mut source = Source::new(text);
    let tree = source.tree()?;
    let Some(top) = tree.as_object() else {
        source.flaw(&tree, "", "not an object", "{ \"chain\": ... }");
        return Err(source.flaws);
    };
    let members = source.checked_keys(top, "", &TOP);
    let member = |key: &str| members.iter().find(|property| property.name.as_str() == key);
    for required in ["chain", "functions", "start"] {
        if member(required).is_none() {
            let cure = format!("\"{required}\": ...");
            source.flaw(top, required, "this key is missing", cure);
        }
    }
    let mut chain = Chain {
        name: String::new(),
        functions: Vec::new(),
        start: Vec::new(),
        rules: Vec::new(),
        layout: Layout::PerFunction,
        deadline: Duration::from_secs(3600),
        deliver: Deliver::AtLeastOnce,
        queues: BTreeMap::new(),
        digest: String::new(),
        file: None,
        folder: PathBuf::new(),
    };
    if let Some(functions) = member("functions") {
        chain.functions = parse_functions(&mut source, &functions.value);
    }
    for property in &members {
        top_member(&mut source, &mut chain, property.name.as_str(), &property.value);
    }
    Ok((chain, source.flaws))
}

fn top_member(source: &mut Source<'_>, chain: &mut Chain, key: &str, value: &Value<'_>) {
    match key {
        "chain" => {
            if let Some(text) = value.as_string_lit() {
                source.name(value, &text.value, key);
                chain.name = text.value.to_string();
            } else {
                source.flaw(value, key, "not a string", "\"orders\"");
            }
        }
        "start" => chain.start = function_names(source, chain, value, key),
        "rules" => parse_rules(source, chain, value),
        "queues" => parse_queues(source, chain, value),
        "layout" => {
            let words = [("per-function", Layout::PerFunction), ("shared", Layout::Shared)];
            chain.layout = source.word(value, key, &words).unwrap_or(chain.layout);
        }
        "deadline" => chain.deadline = source.duration(value, key).unwrap_or(chain.deadline),
        "deliver" => chain.deliver = source.word(value, key, &DELIVER).unwrap_or(chain.deliver),
        _ => {}
    }
}

fn parse_functions(source: &mut Source<'_>, value: &Value<'_>) -> Vec<Function> {
    let Some(object) = value.as_object() else {
        source.flaw(value, "functions", "not an object", "{ \"NAME\": { \"run\": [...] } }");
        return Vec::new();
    };
    let mut seen = std::collections::BTreeSet::new();
    let mut functions = Vec::new();
    for property in &object.properties {
        let name = property.name.as_str();
        let path = join("functions", name);
        source.name(&property.range, name, &path);
        if seen.insert(name.to_owned()) {
            functions.push(parse_function(source, name, &property.value, &path));
        } else {
            source.flaw(&property.range, &path, "this function stands twice", "another name");
        }
    }
    functions
}

fn parse_function(source: &mut Source<'_>, name: &str, value: &Value<'_>, path: &str) -> Function {
    let mut function = Function::program(name, Vec::new());
    function.run = None;
    let Some(object) = value.as_object() else {
        source.flaw(value, path, "not an object", "{ \"run\": [\"./program\"] }");
        return function;
    };
    let mut worker = None;
    for property in source.checked_keys(object, path, &FUNCTION) {
        let key = property.name.as_str();
        let (here, value) = (join(path, key), &property.value);
        if key == "exit" {
            exits(source, &mut function, value, &here, object.get("url").is_some());
        } else if key == "worker" {
            let words = [
                ("exec", WorkerKind::Exec),
                ("filter", WorkerKind::Filter),
                ("http", WorkerKind::Http),
            ];
            worker = source.word(value, &here, &words);
        } else {
            function_member(source, &mut function, key, value, &here);
        }
    }
    let implied = if function.url.is_some() { WorkerKind::Http } else { WorkerKind::Exec };
    function.worker = worker.unwrap_or(implied);
    let has = |key: &str| object.get(key).is_some();
    if !has("run") && !has("url") {
        source.flaw(value, path, "neither `run` nor `url`", "\"run\": [\"./program\"]");
    }
    function
}

fn function_member(
    source: &mut Source<'_>,
    function: &mut Function,
    key: &str,
    value: &Value<'_>,
    here: &str,
) {
    match key {
        "run" => function.run = argv(source, value, here),
        "url" => function.url = text(source, value, here),
        "env" => environment(source, function, value, here),
        "join" => function.join = parse_join(source, value, here),
        "timeout" => set(&mut function.timeout, source.duration(value, here)),
        "backoff" => set(&mut function.backoff, source.duration(value, here)),
        "retries" => set(&mut function.retries, source.number(value, here, 0)),
        "concurrency" => {
            set(&mut function.concurrency, source.number(value, here, 1).map(|n| n as usize));
        }
        "pipeline" => function.pipeline = source.number(value, here, 1),
        "ahead" => set(&mut function.ahead, source.boolean(value, here)),
        "input" => {
            let words = [("body", FunctionInput::Body), ("event", FunctionInput::Event)];
            set(&mut function.input, source.word(value, here, &words));
        }
        "emit" => {
            let words = [("one", Emit::One), ("lines", Emit::Lines), ("events", Emit::Events)];
            set(&mut function.emit, source.word(value, here, &words));
        }
        "keep" => {
            let words = [
                ("adaptive", KeepWarm::Adaptive),
                ("always", KeepWarm::Always),
                ("never", KeepWarm::Never),
            ];
            set(&mut function.keep, source.word(value, here, &words));
        }
        "empty" => {
            set(
                &mut function.empty,
                source.word(value, here, &[("end", Empty::End), ("send", Empty::Send)]),
            );
        }
        "failed" => {
            let words = [("dead", Failed::Dead), ("skip", Failed::Skip)];
            set(&mut function.failed, source.word(value, here, &words));
        }
        _ => {}
    }
}

fn set<T>(place: &mut T, value: Option<T>) {
    if let Some(value) = value {
        *place = value;
    }
}

fn text(source: &mut Source<'_>, value: &Value<'_>, here: &str) -> Option<String> {
    let text = value.as_string_lit().map(|text| text.value.to_string());
    if text.is_none() {
        source.flaw(value, here, "not a string", "a string in double quotes");
    }
    text
}

fn argv(source: &mut Source<'_>, value: &Value<'_>, here: &str) -> Option<Vec<String>> {
    let cure = "[\"./program\", \"argument\"]";
    let array = value.as_array().filter(|array| !array.elements.is_empty());
    let Some(array) = array else {
        source.flaw(value, here, "not an array with at least a program", cure);
        return None;
    };
    let words: Vec<String> =
        array.elements.iter().filter_map(|word| text(source, word, here)).collect();
    if words.first().is_some_and(String::is_empty) || words.iter().any(|word| word.contains('\0')) {
        source.flaw(value, here, "an empty program, or a NUL byte", cure);
    }
    Some(words)
}

fn exits(
    source: &mut Source<'_>,
    function: &mut Function,
    value: &Value<'_>,
    here: &str,
    is_url: bool,
) {
    let words = [
        ("ok", ExitAction::Ok),
        ("drop", ExitAction::Drop),
        ("retry", ExitAction::Retry),
        ("dead", ExitAction::Dead),
    ];
    let Some(object) = value.as_object() else {
        source.flaw(value, here, "not an object", "{ \"1\": \"drop\" }");
        return;
    };
    for property in &object.properties {
        let key = property.name.as_str();
        let path = join(here, key);
        let code = if key == "*" { Some(None) } else { key.parse::<u16>().ok().map(Some) };
        let range = if is_url { 100..=599 } else { 0..=255 };
        match code {
            Some(code) if code.is_none_or(|code| range.contains(&code)) => {
                if function.exit.iter().any(|(held, _)| *held == code) {
                    source.flaw(&property.range, &path, "this code stands twice", "one of them");
                }
                if let Some(action) = source.word(&property.value, &path, &words) {
                    function.exit.push((code, action));
                }
            }
            _ => source.flaw(
                &property.range,
                &path,
                "not an exit code",
                "a code from 0 to 255, or \"*\"",
            ),
        }
    }
}

fn environment(source: &mut Source<'_>, function: &mut Function, value: &Value<'_>, here: &str) {
    let Some(object) = value.as_object() else {
        source.flaw(value, here, "not an object", "{ \"NAME\": \"value\" }");
        return;
    };
    for property in &object.properties {
        let (key, path) = (property.name.as_str(), join(here, property.name.as_str()));
        if key.is_empty() || key.contains(['=', '\0']) {
            source.flaw(
                &property.range,
                &path,
                "not a variable's name",
                "letters, digits, underscores",
            );
        }
        let Some(value) = text(source, &property.value, &path) else { continue };
        if value.contains('\0') {
            source.flaw(&property.range, &path, "a NUL byte in it", "a value without");
        }
        if function.env.insert(key.to_owned(), value).is_some() {
            source.flaw(
                &property.range,
                &path,
                "this variable stands twice",
                format!("one `{key}`"),
            );
        }
    }
}

fn parse_join(source: &mut Source<'_>, value: &Value<'_>, here: &str) -> Option<Join> {
    if value.as_string_lit().is_some_and(|text| text.value == "all") {
        return Some(Join::All);
    }
    let of = value.as_object().filter(|object| object.properties.len() == 1);
    match of.and_then(|object| object.get("of")) {
        Some(property) => source.number(&property.value, here, 1).map(Join::Of),
        None => {
            source.flaw(value, here, "neither \"all\" nor { \"of\": K }", "\"all\"");
            None
        }
    }
}

/// Names of functions, as their indices.
fn function_names(
    source: &mut Source<'_>,
    chain: &Chain,
    value: &Value<'_>,
    here: &str,
) -> Vec<usize> {
    let mut indices = Vec::new();
    for (name, at) in texts(source, value, here) {
        match chain.find(name) {
            Some(index) if indices.contains(&index) => {
                source.flaw(at, here, format!("`{name}` stands twice"), "each function once");
            }
            Some(index) => indices.push(index),
            None => unknown_function(source, chain, at, here, name),
        }
    }
    indices
}

fn texts<'a, 't>(
    source: &mut Source<'_>,
    value: &'a Value<'t>,
    here: &str,
) -> Vec<(&'a str, &'a Value<'t>)> {
    let elements: Vec<&Value> = match value {
        Value::Array(array) => array.elements.iter().collect(),
        other => vec![other],
    };
    let mut texts = Vec::new();
    for element in elements {
        match element.as_string_lit() {
            Some(text) => texts.push((text.value.as_ref(), element)),
            None => source.flaw(element, here, "not a string", "a function's name"),
        }
    }
    texts
}

fn unknown_function(
    source: &mut Source<'_>,
    chain: &Chain,
    at: &Value<'_>,
    here: &str,
    name: &str,
) {
    let known = chain.functions.iter().map(|function| function.name.as_str());
    let cure = crate::units::nearest(name, known.clone())
        .unwrap_or_else(|| format!("one of {}", known.collect::<Vec<_>>().join(", ")));
    source.flaw(at, here, format!("no function `{name}`"), cure);
}

fn parse_rules(source: &mut Source<'_>, chain: &mut Chain, value: &Value<'_>) {
    let Some(array) = value.as_array() else {
        source.flaw(value, "rules", "not an array", "[ { \"from\": ..., \"to\": ... } ]");
        return;
    };
    for (index, element) in array.elements.iter().enumerate() {
        let rule = parse_rule(source, chain, element, &format!("rules[{index}]"));
        chain.rules.push(rule);
    }
}

fn parse_rule(source: &mut Source<'_>, chain: &Chain, value: &Value<'_>, path: &str) -> Rule {
    let mut rule = Rule {
        from: Vec::new(),
        to: Vec::new(),
        when: None,
        otherwise: false,
        on_dead: false,
        at_most: None,
    };
    let Some(object) = value.as_object() else {
        source.flaw(value, path, "not an object", "{ \"from\": ..., \"to\": ... }");
        return rule;
    };
    let members = source.checked_keys(object, path, &RULE);
    for property in &members {
        let (here, value) = (join(path, property.name.as_str()), &property.value);
        match property.name.as_str() {
            "from" => rule.from = function_names(source, chain, value, &here),
            "to" => rule.to = targets(source, chain, value, &here),
            "when" => rule.when = text(source, value, &here),
            "otherwise" => set(&mut rule.otherwise, source.boolean(value, &here)),
            "on" => {
                set(&mut rule.on_dead, source.word(value, &here, &[("ok", false), ("dead", true)]))
            }
            "at_most" => rule.at_most = source.number(value, &here, 1),
            _ => {}
        }
    }
    for required in ["from", "to"] {
        if !members.iter().any(|property| property.name.as_str() == required) {
            source.flaw(
                value,
                path,
                format!("`{required}` is missing"),
                format!("\"{required}\": ..."),
            );
        }
    }
    if rule.when.is_some() && rule.otherwise {
        source.flaw(value, path, "both `when` and `otherwise`", "one of them");
    }
    rule
}

fn targets(source: &mut Source<'_>, chain: &Chain, value: &Value<'_>, here: &str) -> Vec<Target> {
    let mut targets = Vec::new();
    for (name, at) in texts(source, value, here) {
        let target = match (name, chain.find(name)) {
            ("@result", _) => Target::Result,
            (_, Some(index)) => Target::Function(index),
            (_, None) => {
                unknown_function(source, chain, at, here, name);
                continue;
            }
        };
        if targets.contains(&target) {
            source.flaw(at, here, format!("`{name}` stands twice"), "each target once");
        }
        targets.push(target);
    }
    targets
}

fn parse_queues(source: &mut Source<'_>, chain: &mut Chain, value: &Value<'_>) {
    let Some(object) = value.as_object() else {
        source.flaw(value, "queues", "not an object", "{ \"*\": { \"capacity\": 10 } }");
        return;
    };
    for property in &object.properties {
        let name = property.name.as_str();
        let path = join("queues", name);
        if name != "*" && chain.find(name).is_none() {
            let known = chain.functions.iter().map(|function| function.name.as_str());
            let cure = crate::units::nearest(name, known).unwrap_or_else(|| "\"*\"".to_owned());
            source.flaw(&property.range, &path, format!("no function `{name}`"), cure);
        }
        let wish = parse_queue(source, &property.value, &path);
        if chain.queues.insert(name.to_owned(), wish).is_some() {
            source.flaw(&property.range, &path, "this key stands twice", format!("one `{name}`"));
        }
    }
}

fn parse_queue(source: &mut Source<'_>, value: &Value<'_>, path: &str) -> QueueWish {
    let mut wish = QueueWish::default();
    let Some(object) = value.as_object() else {
        source.flaw(value, path, "not an object", "{ \"capacity\": 10 }");
        return wish;
    };
    for property in source.checked_keys(object, path, &QUEUE) {
        let (here, value) = (join(path, property.name.as_str()), &property.value);
        match property.name.as_str() {
            "via" => wish.via = text(source, value, &here),
            "capacity" => wish.capacity = source.number(value, &here, 1).map(u64::from),
            "order" => {
                wish.order =
                    source.word(value, &here, &[("fifo", Order::Fifo), ("lifo", Order::Lifo)]);
            }
            "when_full" => {
                let words = [
                    ("block", WhenFull::Block),
                    ("reject", WhenFull::Reject),
                    ("drop-oldest", WhenFull::DropOldest),
                    ("drop-newest", WhenFull::DropNewest),
                ];
                wish.when_full = source.word(value, &here, &words);
            }
            "deliver" => wish.deliver = source.word(value, &here, &DELIVER),
            _ => {}
        }
    }
    wish
}
