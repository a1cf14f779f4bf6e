//! Where the outputs of a call go. Pure: no clock, no queue, no die; what it
//! needs to know of the world is in its arguments.

use super::model::{Chain, Rule, Target};
use crate::event::credit::Credit;
use crate::event::{Control, Event, Verdict, id};

/// Where one copy of an output goes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Branch {
    /// To a function, by a rule.
    Function {
        /// Index of the rule.
        rule: usize,
        /// Index of the function.
        to: usize,
    },
    /// To the results, by a rule or because the function has none.
    Result {
        /// Index of the rule.
        rule: Option<usize>,
    },
    /// Nowhere, quietly.
    Drop,
    /// To the dead letters, for this reason.
    Dead(String),
}

/// An event on its way out of a call.
#[derive(Debug, Clone, PartialEq)]
pub struct Emission {
    /// The function it is for; `None` is the reply queue.
    pub to: Option<usize>,
    /// The event, with its control block.
    pub event: Event,
}

/// Which branches an output takes. `holds` tells for each of the function's
/// rules whether its condition holds, as [`super::condition`] found, or why
/// that could not be said.
pub fn branches(rules: &[(usize, &Rule)], holds: &Result<Vec<bool>, String>) -> Vec<Branch> {
    if rules.is_empty() {
        return vec![Branch::Result { rule: None }];
    }
    let holds = match holds {
        Ok(holds) => holds,
        Err(cause) => return vec![Branch::Dead(format!("condition: {cause}"))],
    };
    let judged = || rules.iter().zip(holds).filter(|((_, rule), _)| !rule.on_dead);
    let any_condition = judged().any(|((_, rule), holds)| rule.when.is_some() && *holds);
    let fires = |rule: &Rule, holds: bool| match (&rule.when, rule.otherwise) {
        (Some(_), _) => holds,
        (None, true) => !any_condition,
        (None, false) => true,
    };
    let mut taken = Vec::new();
    let mut fired = false;
    for ((index, rule), holds) in judged() {
        if fires(rule, *holds) {
            fired = true;
            taken.extend(rule.to.iter().map(|target| match target {
                Target::Function(to) => Branch::Function { rule: *index, to: *to },
                Target::Result => Branch::Result { rule: Some(*index) },
            }));
        }
    }
    match (fired, taken.is_empty()) {
        (false, _) => vec![Branch::Dead("no rule".to_owned())],
        (true, true) => vec![Branch::Drop],
        (true, false) => taken,
    }
}

/// The events a call gives rise to: each output along each of its branches,
/// ids derived, the invocation's credit split among them. No output at all
/// ends the branch quietly.
pub fn emit(
    chain: &Chain,
    function: usize,
    parent: &Event,
    outputs: Vec<(Event, Vec<Branch>)>,
) -> Vec<Emission> {
    let name = &chain.functions[function].name;
    let control = parent.control.as_deref().cloned().unwrap_or_default();
    let total: usize = outputs.iter().map(|(_, branches)| branches.len()).sum();
    if total == 0 {
        return vec![end(parent, &control, name, control.credit.clone())];
    }
    let mut shares = control.credit.clone().split(total).into_iter();
    let mut emissions = Vec::with_capacity(total);
    for (position, (output, branches)) in outputs.into_iter().enumerate() {
        for branch in branches {
            let credit = shares.next().unwrap_or_default();
            let way = Way { chain, name, parent, control: &control, position };
            emissions.push(way.send(&output, branch, credit));
        }
    }
    emissions
}

/// One output's way out.
struct Way<'a> {
    chain: &'a Chain,
    name: &'a str,
    parent: &'a Event,
    control: &'a Control,
    position: usize,
}

impl Way<'_> {
    fn send(&self, output: &Event, branch: Branch, credit: Credit) -> Emission {
        let (label, target, to, verdict) = match &branch {
            Branch::Function { rule, to } => {
                (rule.to_string(), self.chain.functions[*to].name.as_str(), Some(*to), None)
            }
            Branch::Result { rule } => {
                let label = rule.map_or_else(|| "result".to_owned(), |rule| rule.to_string());
                (label, "@result", None, Some(Verdict::Result))
            }
            Branch::Drop => ("drop".to_owned(), "", None, Some(Verdict::Dropped)),
            Branch::Dead(_) => ("dead".to_owned(), "", None, Some(Verdict::Dead)),
        };
        let mut event = output.clone();
        event.id = self.derive(&label, target);
        if let Branch::Dead(reason) = &branch {
            event.note("faasreason", reason);
            event.note("faasfunction", self.name);
        }
        event.control = Some(Box::new(Control {
            step: to.map(|to| self.chain.functions[to].name.clone()).unwrap_or_default(),
            credit,
            hop: self.control.hop + 1,
            verdict,
            ..self.control.clone()
        }));
        Emission { to, event }
    }

    fn derive(&self, label: &str, target: &str) -> String {
        id::derive(origin(self.parent, self.control, self.name), label, target, self.position)
    }
}

fn origin<'a>(parent: &'a Event, control: &'a Control, function: &'a str) -> id::Origin<'a> {
    id::Origin {
        invocation: &control.invocation,
        parent_source: &parent.source,
        parent_id: &parent.id,
        function,
    }
}

/// The reply of a branch that ended quietly.
fn end(parent: &Event, control: &Control, function: &str, credit: Credit) -> Emission {
    let event = Event {
        id: id::derive(origin(parent, control, function), "drop", "", 0),
        source: parent.source.clone(),
        kind: "faas.end".to_owned(),
        control: Some(Box::new(Control {
            step: String::new(),
            credit,
            verdict: Some(Verdict::Dropped),
            ..control.clone()
        })),
        ..Event::default()
    };
    Emission { to: None, event }
}

/// The reply for a branch that ended in a dead letter: the failed input
/// itself, its id kept, with all of its credit.
pub fn dead(mut letter: Event) -> Emission {
    let control = letter.control.take().map(|control| *control).unwrap_or_default();
    letter.control =
        Some(Box::new(Control { verdict: Some(Verdict::Dead), step: String::new(), ..control }));
    Emission { to: None, event: letter }
}

/// The messages an invocation starts with: one for each start.
pub fn start(chain: &Chain, event: &Event, control: &Control) -> Vec<Emission> {
    let shares = control.credit.clone().split(chain.start.len());
    let starts = chain.start.iter().zip(shares);
    starts
        .map(|(&to, credit)| {
            let mut event = event.clone();
            let step = chain.functions[to].name.clone();
            event.control = Some(Box::new(Control { step, credit, ..control.clone() }));
            Emission { to: Some(to), event }
        })
        .collect()
}
