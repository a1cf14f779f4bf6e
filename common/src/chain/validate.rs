//! What the parts of a chain mean together: reachable steps, bounded cycles,
//! conditions that compile, programs that are there.

use super::condition;
use super::flaw::Flaw;
use super::graph::Graph;
use super::model::{Chain, Emit, Failed, Function, FunctionInput, Join, Rule, Target, WorkerKind};
use super::program;
use super::scopes::Scopes;
use super::source::Source;
use crate::queue::{QueueUrl, UrlError};

/// Checks a chain whose keys and types are right.
pub(super) fn validate(chain: &Chain, text: &str) -> Vec<Flaw> {
    let mut source = Source::new(text);
    if chain.functions.is_empty() {
        source.flaw_at("functions", "there is no function", "{ \"NAME\": { \"run\": [...] } }");
    }
    if chain.start.is_empty() {
        source.flaw_at("start", "an invocation starts nowhere", "the name of the first function");
    }
    for function in &chain.functions {
        check_function(&mut source, chain, function);
    }
    if chain.deadline.is_zero() {
        let cure = "\"deadline\": \"1h\"";
        source.flaw_at("deadline", "no invocation could ever end in time", cure);
    }
    for (index, rule) in chain.rules.iter().enumerate() {
        check_rule(&mut source, index, rule);
    }
    let is_sound = check_graph(&mut source, chain);
    check_joins(&mut source, chain, is_sound);
    for (name, wish) in &chain.queues {
        if let Some(Err(error)) = wish.via.as_deref().map(parse_via) {
            source.flaw_at(&format!("queues.{name}.via"), error.to_string(), error.cure());
        }
    }
    source.flaws
}

/// A middleware's URL, not one of a queue.
fn parse_via(via: &str) -> Result<(), UrlError> {
    match QueueUrl::parse(via) {
        Ok(url) if url.scheme() == "mq" && !url.authority().is_empty() => {
            Err(of_place("POSIX queues have no server part"))
        }
        Ok(url) if !url.name().is_empty() => Err(of_place("a middleware, not one of its queues")),
        other => other.map(drop),
    }
}

fn of_place(why: &'static str) -> UrlError {
    UrlError::Name { why, example: "mq:".to_owned() }
}

fn check_function(source: &mut Source<'_>, chain: &Chain, function: &Function) {
    let path = format!("functions.{}", function.name);
    for (key, what, cure) in flaws_of(function) {
        let path = if key.is_empty() { path.clone() } else { format!("{path}.{key}") };
        source.flaw_at(&path, what, cure);
    }
    if let Some(run) = &function.run
        && let Err(missing) = program::find(&run[0], &chain.folder)
    {
        source.flaw_at(&format!("{path}.run"), missing.to_string(), missing.cure());
    }
}

/// What is wrong with a function in itself: the key, what, and the cure.
pub fn flaws_of(function: &Function) -> Vec<(&'static str, String, &'static str)> {
    let (run, url) = (function.run.is_some(), function.url.is_some());
    let is_http = function.worker == WorkerKind::Http;
    let url_error = function.url.as_deref().and_then(|url| url_flaw(url).err());
    let by_id = function.answers_by_id();
    let checks = [
        (is_http && !url, "worker", "an http worker needs a `url`", "\"url\": \"http://...\""),
        (!is_http && !run, "worker", "this worker needs a `run`", "\"worker\": \"http\""),
        (
            !is_http && run && url,
            "",
            "both `run` and `url`",
            "one of them, or \"worker\": \"http\"",
        ),
        (
            function.timeout.is_zero(),
            "timeout",
            "no call could ever end in time",
            "\"timeout\": \"60s\"",
        ),
        (
            function.failed == Failed::Skip && function.join.is_none(),
            "failed",
            "only a join can skip failed parts",
            "\"join\": \"all\"",
        ),
        (
            function.pipeline.is_some() && function.worker != WorkerKind::Filter,
            "pipeline",
            "only a filter has a pipeline",
            "\"worker\": \"filter\"",
        ),
        (
            by_id && function.input != FunctionInput::Event,
            "pipeline",
            "answers of several lines in flight are told apart by the event's id",
            "\"input\": \"event\"",
        ),
        (
            by_id && function.emit == Emit::Lines,
            "emit",
            "the answers of a pipeline are events",
            "\"emit\": \"events\"",
        ),
        (
            function.ahead && function.worker != WorkerKind::Exec,
            "ahead",
            "only exec starts processes ahead",
            "the file without `ahead`: what is kept warm needs none",
        ),
    ];
    let wrong = checks.into_iter().filter(|(is_wrong, ..)| *is_wrong);
    let wrong = wrong.map(|(_, key, what, cure)| (key, what.to_owned(), cure));
    wrong.chain(url_error.map(|(what, cure)| ("url", what, cure))).collect()
}

fn url_flaw(url: &str) -> Result<(), (String, &'static str)> {
    let uri = url.parse::<hyper::Uri>().ok().filter(|uri| uri.authority().is_some());
    match uri.as_ref().and_then(|uri| uri.scheme_str()) {
        Some("http") => Ok(()),
        Some("https") => Err((
            "not yet: https".to_owned(),
            "\"http://...\", with something on this host that speaks TLS to it",
        )),
        _ => Err(("not an HTTP URL".to_owned(), "\"http://127.0.0.1:8080/\"")),
    }
}

fn check_rule(source: &mut Source<'_>, index: usize, rule: &Rule) {
    let path = format!("rules[{index}]");
    if rule.from.is_empty() {
        source.flaw_at(&format!("{path}.from"), "no function", "a function's name");
    }
    if let Some(Err(error)) = rule.when.as_deref().map(condition::check) {
        source.flaw_at(&format!("{path}.when"), error, "a jq condition, such as \".total > 100\"");
    }
    if rule.at_most.is_some() && rule.to.is_empty() {
        source.flaw_at(&format!("{path}.at_most"), "the rule leads nowhere", "a target");
    }
}

/// `is_sound`: without its back edges the chain has no cycle.
fn check_joins(source: &mut Source<'_>, chain: &Chain, is_sound: bool) {
    let scopes = is_sound.then(|| Scopes::of(chain));
    let graph = Graph::of(chain, |_| true);
    for (index, function) in chain.functions.iter().enumerate() {
        let Some(join) = function.join else { continue };
        let path = format!("functions.{}.join", function.name);
        if chain.start.contains(&index) {
            source.flaw_at(
                "start",
                format!("the join `{}` cannot be a start", function.name),
                "a function before it",
            );
        }
        if let Join::Of(k) = join
            && k as usize > graph.sources(index)
            && let Some(scopes) = &scopes
            && !(0..chain.functions.len()).any(|from| scopes.sends_several(index, from))
        {
            let count = graph.sources(index);
            source.flaw_at(
                &path,
                format!("it waits for {k} parts and has {count} sources"),
                format!("{{ \"of\": {count} }}"),
            );
        }
        let back = |rule: &&(usize, &Rule)| {
            rule.1.at_most.is_some() && rule.1.to.contains(&Target::Function(index))
        };
        if let Some((rule, _)) =
            chain.rules.iter().enumerate().collect::<Vec<_>>().iter().find(back)
        {
            source.flaw_at(
                &format!("rules[{rule}].to"),
                format!("the join `{}` cannot be the target of a back edge", function.name),
                "a function before it",
            );
        }
    }
}

fn check_graph(source: &mut Source<'_>, chain: &Chain) -> bool {
    let name = |index: usize| chain.functions[index].name.as_str();
    let all = Graph::of(chain, |_| true);
    let reached = all.reach(&chain.start);
    if !chain.start.is_empty() {
        for index in (0..chain.functions.len()).filter(|index| !reached.contains(index)) {
            let what = "unreachable: no start and no rule leads to it";
            let cure = format!("{{ \"from\": ..., \"to\": \"{}\" }}", name(index));
            source.flaw_at(&format!("functions.{}", name(index)), what, cure);
        }
    }
    let forward = Graph::of(chain, |rule| chain.rules[rule].at_most.is_none());
    if let Some(cycle) = forward.cycle() {
        let (first, last) = (cycle[0], cycle[cycle.len() - 1]);
        let closing = chain.rules.iter().position(|rule| {
            rule.at_most.is_none()
                && rule.from.contains(&last)
                && rule.to.contains(&Target::Function(first))
        });
        let mut names: Vec<&str> = cycle.iter().map(|&index| name(index)).collect();
        names.push(name(first));
        let path = closing.map_or_else(|| "rules".to_owned(), |index| format!("rules[{index}]"));
        source.flaw_at(
            &path,
            format!("a cycle without bound: {}", names.join(" -> ")),
            "\"at_most\": 3",
        );
        return false;
    }
    for (index, rule) in chain.rules.iter().enumerate().filter(|(_, rule)| rule.at_most.is_some()) {
        let leads_back = rule.to.iter().all(|target| match target {
            Target::Function(to) => {
                let reached = all.reach(&[*to]);
                rule.from.iter().all(|from| reached.contains(from))
            }
            Target::Result => false,
        });
        if !leads_back {
            source.flaw_at(
                &format!("rules[{index}].at_most"),
                "not a back edge: its target does not lead back to its `from`",
                "the rule without `at_most`",
            );
        }
    }
    true
}
