//! Random chains: branches, fan-outs, drops, several starts, loops that nest
//! and cross, joins of all and of K parts anywhere.

use crate::die::Die;
use faas_common::chain::{
    Chain, Deliver, Emit, Failed, Function, Join, Layout, Rule, Target, parse_text,
};
use std::collections::BTreeMap;
use std::path::Path;

fn rule(from: usize, to: Vec<Target>) -> Rule {
    Rule { from: vec![from], to, when: None, otherwise: false, on_dead: false, at_most: None }
}

/// A chain whose functions lead from lower to higher numbers, but for loops.
pub fn random(die: &mut Die) -> Chain {
    let count = 2 + die.below(8);
    let starts = if count > 2 && die.one_in(3) { 2 } else { 1 };
    let mut functions: Vec<Function> =
        (0..count).map(|i| Function::program(&format!("f{i}"), vec!["sh".to_owned()])).collect();
    for function in functions.iter_mut().skip(starts) {
        if die.one_in(3) {
            let of = Join::Of(1 + die.below(3) as u32);
            function.join = Some(if die.one_in(2) { of } else { Join::All });
            function.failed = if die.one_in(2) { Failed::Skip } else { Failed::Dead };
        }
    }
    for function in &mut functions {
        function.emit = if die.one_in(4) { Emit::Lines } else { Emit::One };
    }
    let mut rules = forward(die, count, starts);
    loops(die, &functions, &mut rules);
    Chain {
        name: "sim".to_owned(),
        functions,
        start: (0..starts).collect(),
        rules,
        layout: Layout::PerFunction,
        deadline: std::time::Duration::from_secs(1),
        deliver: Deliver::AtLeastOnce,
        queues: BTreeMap::new(),
        file: None,
        digest: String::new(),
        folder: Path::new("/").to_owned(),
    }
}

fn forward(die: &mut Die, count: usize, starts: usize) -> Vec<Rule> {
    let mut rules = Vec::new();
    for to in 1..count {
        // Every function but the starts has somebody who sends to it.
        let needed = if to < starts { None } else { Some(die.below(to)) };
        for from in 0..to {
            if needed != Some(from) && !die.one_in(5) {
                continue;
            }
            let mut targets = vec![Target::Function(to)];
            if die.one_in(5) {
                targets.push(Target::Result);
            }
            let mut rule = rule(from, targets);
            match die.below(4) {
                0 => rule.when = Some(".odd".to_owned()),
                1 => rule.otherwise = true,
                2 if die.one_in(3) => rule.on_dead = true,
                _ => {}
            }
            rules.push(rule);
        }
    }
    for from in 0..count {
        if die.one_in(8) {
            rules.push(rule(from, Vec::new()));
        }
    }
    rules
}

/// Back edges: at most three, between any two functions, to no join.
fn loops(die: &mut Die, functions: &[Function], rules: &mut Vec<Rule>) {
    for _ in 0..[0, 0, 1, 1, 2, 3][die.below(6)] {
        let from = die.below(functions.len());
        let to = die.below(from + 1);
        if functions[to].join.is_some() || !leads(rules, to, from) {
            continue;
        }
        let mut back = rule(from, vec![Target::Function(to)]);
        back.at_most = Some(1 + die.below(2) as u32);
        if die.one_in(2) {
            back.when = Some(".odd".to_owned());
        }
        rules.push(back);
    }
}

/// Whether one function leads to another, loops included.
fn leads(rules: &[Rule], from: usize, to: usize) -> bool {
    let (mut reached, mut waiting) = (vec![from], vec![from]);
    while let Some(at) = waiting.pop() {
        for rule in rules.iter().filter(|rule| rule.from.contains(&at)) {
            for target in &rule.to {
                if let Target::Function(next) = target
                    && !reached.contains(next)
                {
                    reached.push(*next);
                    waiting.push(*next);
                }
            }
        }
    }
    reached.contains(&to)
}

/// The chain as a file would have it, to see that the parser takes such chains.
pub fn as_file(chain: &Chain) -> Result<Chain, String> {
    let mut functions = serde_json::Map::new();
    for function in &chain.functions {
        let mut object = serde_json::json!({ "run": ["sh"] });
        match function.join {
            Some(Join::All) => object["join"] = "all".into(),
            Some(Join::Of(of)) => object["join"] = serde_json::json!({ "of": of }),
            None => {}
        }
        if function.join.is_some() && function.failed == Failed::Skip {
            object["failed"] = "skip".into();
        }
        if function.emit == Emit::Lines {
            object["emit"] = "lines".into();
        }
        functions.insert(function.name.clone(), object);
    }
    let name = |target: &Target| match target {
        Target::Function(to) => chain.functions[*to].name.clone(),
        Target::Result => "@result".to_owned(),
    };
    let rules: Vec<_> = chain
        .rules
        .iter()
        .map(|rule| {
            let to: Vec<_> = rule.to.iter().map(name).collect();
            let mut object = serde_json::json!({ "from": format!("f{}", rule.from[0]), "to": to });
            if let Some(when) = &rule.when {
                object["when"] = when.as_str().into();
            }
            if rule.otherwise {
                object["otherwise"] = true.into();
            }
            if rule.on_dead {
                object["on"] = "dead".into();
            }
            if let Some(bound) = rule.at_most {
                object["at_most"] = bound.into();
            }
            object
        })
        .collect();
    let start: Vec<_> = chain.start.iter().map(|start| format!("f{start}")).collect();
    let text = serde_json::json!({
        "chain": "sim", "functions": functions, "start": start, "rules": rules,
    });
    parse_text(&text.to_string(), Path::new("/")).map_err(|flaws| format!("{text}\n{flaws:?}"))
}
