//! Where the outputs of a call go. Pure: no clock, no queue, no die; what it
//! needs to know of the world is in its arguments.

use super::model::{Chain, Rule, Target};
use super::scopes::{Edge, Scopes};
use crate::event::credit::Credit;
use crate::event::{Control, Event, JoinShare, Token, Verdict, id};

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

/// Which branches an output takes. `holds` tells for each of `rules` whether
/// its condition holds, as [`super::condition`] found, or why that could not
/// be said; `counts` how often back edges were taken on the message's path.
pub fn branches(
    rules: &[(usize, &Rule)],
    holds: &Result<Vec<bool>, String>,
    counts: &[(u32, u32)],
) -> Vec<Branch> {
    if rules.is_empty() {
        return vec![Branch::Result { rule: None }];
    }
    let holds = match holds {
        Ok(holds) => holds,
        Err(cause) => return vec![Branch::Dead(format!("condition: {cause}"))],
    };
    let is_conditional = |rule: &Rule| rule.when.is_some() || rule.at_most.is_some();
    let may = |index: usize, rule: &Rule, holds: bool| {
        let taken = counts.iter().find(|(r, _)| *r as usize == index).map_or(0, |(_, n)| *n);
        (rule.when.is_none() || holds) && rule.at_most.is_none_or(|most| taken < most)
    };
    let judged = || rules.iter().zip(holds);
    let any_condition = judged().any(|((index, rule), holds)| {
        is_conditional(rule) && !rule.otherwise && may(*index, rule, *holds)
    });
    let mut taken = Vec::new();
    let mut fired = false;
    for ((index, rule), holds) in judged() {
        if may(*index, rule, *holds) && !(rule.otherwise && any_condition) {
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

/// Gives events their ids, their targets and their shares.
#[derive(Debug, Clone, Copy)]
pub struct Router<'a> {
    /// The chain.
    pub chain: &'a Chain,
    /// What follows from its shape.
    pub scopes: &'a Scopes,
}

impl Router<'_> {
    /// The messages an invocation starts with: one for each of `starts`. The
    /// joins ahead of them are opened.
    pub fn start(&self, event: &Event, control: &Control, starts: &[usize]) -> Vec<Emission> {
        let shares = control.credit.clone().split(starts.len());
        let mut emissions: Vec<Emission> = starts
            .iter()
            .zip(shares)
            .map(|(&to, credit)| {
                let mut event = event.clone();
                let step = self.chain.functions[to].name.clone();
                let joins = Vec::new();
                event.control = Some(Box::new(Control { step, credit, joins, ..control.clone() }));
                Emission { to: Some(to), event }
            })
            .collect();
        for join in (0..self.chain.functions.len()).filter(|&f| self.is_join(f)) {
            let reaching =
                |e: &&mut Emission| e.to.is_some_and(|to| self.scopes.ahead(to).contains(&join));
            let mut reaching: Vec<_> = emissions.iter_mut().filter(reaching).collect();
            let shares = Credit::whole().split(reaching.len().max(1));
            for (emission, share) in reaching.iter_mut().zip(shares) {
                hold(&mut emission.event, join, "", share);
            }
        }
        emissions
    }

    fn is_join(&self, function: usize) -> bool {
        self.chain.functions[function].join.is_some()
    }

    /// The events a call gives rise to: each output along each of its
    /// branches, ids derived, the invocation's share split among them, and
    /// each join's share among those from which that join can still be
    /// reached. No output at all ends the branch quietly.
    pub fn emit(
        &self,
        function: usize,
        parent: &Event,
        outputs: Vec<(Event, Vec<Branch>)>,
    ) -> Vec<Emission> {
        let control = parent.control.as_deref().cloned().unwrap_or_default();
        let way = Way { router: *self, function, parent, control: &control };
        let copies: Vec<(usize, &Event, &Branch)> = outputs
            .iter()
            .enumerate()
            .flat_map(|(at, (event, branches))| branches.iter().map(move |b| (at, event, b)))
            .collect();
        if copies.is_empty() {
            return way.end(Verdict::Dropped);
        }
        let shares = control.credit.clone().split(copies.len());
        let mut emissions: Vec<Emission> = copies
            .iter()
            .zip(shares)
            .map(|((position, event, branch), share)| way.send(event, branch, *position, share))
            .collect();
        let branches: Vec<&Branch> = copies.iter().map(|(_, _, branch)| *branch).collect();
        way.share_joins(&branches, &mut emissions);
        emissions
    }

    /// The replies for a message that ended in a dead letter: the letter
    /// itself, its id kept, with its share of the invocation; and to each join
    /// ahead, that this branch failed.
    pub fn dead(&self, function: usize, mut letter: Event) -> Vec<Emission> {
        let control = letter.control.take().map(|control| *control).unwrap_or_default();
        let parent = letter.clone();
        let way = Way { router: *self, function, parent: &parent, control: &control };
        letter.control = Some(Box::new(reply(&control, Verdict::Dead, control.credit.clone())));
        let mut emissions = vec![Emission { to: None, event: letter }];
        emissions.extend(control.joins.iter().map(|held| way.token(held, Token::Failed)));
        emissions
    }

    /// The replies for a part that came too late for its join: `rest` is what
    /// it carries that the join has not passed on.
    pub fn late(
        &self,
        join: usize,
        part: &Event,
        credit: Credit,
        joins: Vec<JoinShare>,
    ) -> Vec<Emission> {
        let control = part.control.as_deref().cloned().unwrap_or_default();
        let control = Control { credit, joins, ..control };
        let way = Way { router: *self, function: join, parent: part, control: &control };
        let mut emissions = way.end(Verdict::Dropped);
        if control.credit.is_empty() {
            emissions.retain(|emission| emission.to.is_some());
        }
        emissions
    }
}

/// From one call outwards.
struct Way<'a> {
    router: Router<'a>,
    function: usize,
    parent: &'a Event,
    control: &'a Control,
}

impl Way<'_> {
    fn name(&self, function: usize) -> &str {
        &self.router.chain.functions[function].name
    }

    fn send(&self, output: &Event, branch: &Branch, position: usize, credit: Credit) -> Emission {
        let (label, target, to, verdict) = match branch {
            Branch::Function { rule, to } => (rule.to_string(), self.name(*to), Some(*to), None),
            Branch::Result { rule } => {
                let label = rule.map_or_else(|| "result".to_owned(), |rule| rule.to_string());
                (label, "@result", None, Some(Verdict::Result))
            }
            Branch::Drop => ("drop".to_owned(), "", None, Some(Verdict::Dropped)),
            Branch::Dead(_) => ("dead".to_owned(), "", None, Some(Verdict::Dead)),
        };
        let mut event = output.clone();
        event.id = self.derive(&label, target, position);
        if let Branch::Dead(reason) = branch {
            event.note("faasreason", reason);
            event.note("faasfunction", self.name(self.function));
        }
        let control = match (to, verdict) {
            (Some(to), _) => self.onward(branch, to, credit),
            (None, verdict) => reply(self.control, verdict.unwrap_or(Verdict::Dropped), credit),
        };
        let hop = self.control.hop + 1;
        event.control = Some(Box::new(Control { hop, ..control }));
        Emission { to, event }
    }

    /// The control block of an output to a function; its joins come later.
    fn onward(&self, branch: &Branch, to: usize, credit: Credit) -> Control {
        let mut counts = self.control.counts.clone();
        if let Branch::Function { rule, .. } = branch
            && self.router.chain.rules[*rule].at_most.is_some()
        {
            let inner = self.router.scopes.resets(*rule);
            counts.retain(|(other, _)| !inner.contains(&(*other as usize)));
            let rule = *rule as u32;
            match counts.binary_search_by_key(&rule, |(other, _)| *other) {
                Ok(at) => counts[at].1 += 1,
                Err(at) => counts.insert(at, (rule, 1)),
            }
        }
        Control {
            step: self.name(to).to_owned(),
            credit,
            counts,
            joins: Vec::new(),
            sender: self.router.is_join(to).then_some(self.function as u32),
            token: None,
            gathered: false,
            verdict: None,
            ..self.control.clone()
        }
    }

    /// Gives each emission its shares of the joins ahead, and appends what
    /// goes to joins that none of them can reach any more.
    fn share_joins(&self, branches: &[&Branch], emissions: &mut Vec<Emission>) {
        let edges: Vec<Option<Edge>> = branches.iter().map(|branch| self.edge(branch)).collect();
        let mut tokens = Vec::new();
        for (at, held) in self.control.joins.iter().enumerate() {
            let join = held.join as usize;
            // Of two instances of one join only the younger is still open to
            // parts; a chain must cross its loops for that to happen at all.
            let younger = self.control.joins[at + 1..].iter().any(|other| other.join == held.join);
            let reaches = |edge: &Option<Edge>, branch: &Branch| match (edge, branch) {
                (Some(edge), _) => !younger && self.router.scopes.keeps(*edge, join),
                (None, Branch::Dead(_)) => true,
                (None, _) => false,
            };
            let heirs: Vec<usize> =
                (0..branches.len()).filter(|&i| reaches(&edges[i], branches[i])).collect();
            if heirs.is_empty() {
                tokens.push(self.token(held, Token::Absent));
                continue;
            }
            for (heir, share) in heirs.iter().zip(held.share.clone().split(heirs.len())) {
                match edges[*heir] {
                    Some(_) => hold(&mut emissions[*heir].event, join, &held.instance, share),
                    None => {
                        let mut token =
                            self.token(&JoinShare { share, ..held.clone() }, Token::Failed);
                        // Several failed outputs, several tokens.
                        token.event.id.push_str(&format!("-{heir}"));
                        tokens.push(token);
                    }
                }
            }
        }
        for (emission, edge) in emissions.iter_mut().zip(&edges) {
            if let Some(edge) = edge.filter(|edge| self.router.scopes.is_back(*edge)) {
                self.open_joins(edge, &mut emission.event);
            }
        }
        emissions.append(&mut tokens);
    }

    /// A turn of a loop opens the joins of its body, and such as were not
    /// ahead before.
    fn open_joins(&self, edge: Edge, event: &mut Event) {
        let instance = event.id.clone();
        for &join in self.router.scopes.ahead(edge.to) {
            let is_held = self.control.joins.iter().any(|held| held.join as usize == join);
            if self.router.scopes.opens(edge, join) || !is_held {
                hold(event, join, &instance, Credit::whole());
            }
        }
    }

    fn edge(&self, branch: &Branch) -> Option<Edge> {
        match branch {
            Branch::Function { rule, to } => {
                Some(Edge { rule: *rule, from: self.function, to: *to })
            }
            _ => None,
        }
    }

    /// The replies of a branch that ended quietly.
    fn end(&self, verdict: Verdict) -> Vec<Emission> {
        let event = Event {
            id: self.derive("drop", "", 0),
            source: self.parent.source.clone(),
            kind: "faas.end".to_owned(),
            control: Some(Box::new(reply(self.control, verdict, self.control.credit.clone()))),
            ..Event::default()
        };
        let mut emissions = vec![Emission { to: None, event }];
        emissions.extend(self.control.joins.iter().map(|held| self.token(held, Token::Absent)));
        emissions
    }

    /// Returns a share to its join.
    fn token(&self, held: &JoinShare, token: Token) -> Emission {
        let to = held.join as usize;
        let event = Event {
            id: self.derive(&format!("token {}", held.instance), self.name(to), 0),
            source: self.parent.source.clone(),
            kind: "faas.token".to_owned(),
            control: Some(Box::new(Control {
                step: self.name(to).to_owned(),
                joins: vec![held.clone()],
                token: Some(token),
                counts: Vec::new(),
                verdict: None,
                sender: None,
                gathered: false,
                credit: Credit::default(),
                ..self.control.clone()
            })),
            ..Event::default()
        };
        Emission { to: Some(to), event }
    }

    fn derive(&self, label: &str, target: &str, position: usize) -> String {
        let origin = id::Origin {
            invocation: &self.control.invocation,
            parent_source: &self.parent.source,
            parent_id: &self.parent.id,
            function: self.name(self.function),
        };
        id::derive(origin, label, target, position)
    }
}

/// The control block of a reply: what only matters on the way is left out.
fn reply(control: &Control, verdict: Verdict, credit: Credit) -> Control {
    Control {
        run: control.run.clone(),
        version: control.version.clone(),
        invocation: control.invocation.clone(),
        reply: control.reply.clone(),
        hop: control.hop,
        started_us: control.started_us,
        deadline_us: control.deadline_us,
        verdict: Some(verdict),
        credit,
        ..Control::default()
    }
}

fn hold(event: &mut Event, join: usize, instance: &str, share: Credit) {
    if let Some(control) = &mut event.control {
        let instance = instance.to_owned();
        control.joins.push(JoinShare { join: join as u32, instance, share });
    }
}
