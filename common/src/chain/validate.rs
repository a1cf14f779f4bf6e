//! What the parts of a chain mean together: reachable steps, bounded cycles,
//! conditions that compile, programs that are there.

use super::condition;
use super::flaw::Flaw;
use super::graph::Graph;
use super::model::{Chain, Failed, Function, Join, Rule, Target, WorkerKind};
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

/// Middlewares that are to come are for the gate.
fn parse_via(via: &str) -> Result<(), UrlError> {
    match QueueUrl::parse(via) {
        Err(UrlError::NotYet(_)) => Ok(()),
        Ok(QueueUrl::Queue { scheme, authority, .. })
            if scheme == "mq" && !authority.is_empty() =>
        {
            Err(UrlError::Name("POSIX queues have no server part"))
        }
        other => other.map(drop),
    }
}

fn check_function(source: &mut Source<'_>, chain: &Chain, function: &Function) {
    let path = format!("functions.{}", function.name);
    match (function.worker, &function.run, &function.url) {
        (WorkerKind::Http, _, None) => {
            source.flaw_at(
                &format!("{path}.worker"),
                "an http worker needs a `url`",
                "\"url\": \"http://...\"",
            );
        }
        (WorkerKind::Exec | WorkerKind::Filter, None, _) => {
            source.flaw_at(
                &format!("{path}.worker"),
                "this worker needs a `run`",
                "\"worker\": \"http\"",
            );
        }
        (WorkerKind::Exec | WorkerKind::Filter, Some(_), Some(_)) => {
            source.flaw_at(&path, "both `run` and `url`", "one of them, or \"worker\": \"http\"");
        }
        _ => {}
    }
    if let Some(url) = &function.url
        && !(url.starts_with("http://") || url.starts_with("https://"))
    {
        source.flaw_at(&format!("{path}.url"), "not an HTTP URL", "\"http://127.0.0.1:8080/\"");
    }
    if function.timeout.is_zero() {
        let cure = "\"timeout\": \"60s\"";
        source.flaw_at(&format!("{path}.timeout"), "no call could ever end in time", cure);
    }
    if function.failed == Failed::Skip && function.join.is_none() {
        source.flaw_at(
            &format!("{path}.failed"),
            "only a join can skip failed parts",
            "\"join\": \"all\"",
        );
    }
    if function.pipeline.is_some() && function.worker != WorkerKind::Filter {
        source.flaw_at(
            &format!("{path}.pipeline"),
            "only a filter has a pipeline",
            "\"worker\": \"filter\"",
        );
    }
    if let Some(run) = &function.run
        && let Err(missing) = program::find(&run[0], &chain.folder)
    {
        source.flaw_at(&format!("{path}.run"), missing.to_string(), missing.cure());
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
