//! What follows from the shape of a chain for its joins and loops, worked out
//! once: which joins lie ahead of a function, what a turn of a loop opens
//! anew, which counts it resets, which sources of a join can send several.

use super::model::{Chain, Emit, Target};
use std::collections::{BTreeMap, BTreeSet};

/// One way from a function to a function.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Edge {
    /// Index of the rule.
    pub rule: usize,
    /// The function whose output takes it.
    pub from: usize,
    /// The function it leads to.
    pub to: usize,
}

/// See the module.
#[derive(Debug, Clone, Default)]
pub struct Scopes {
    /// Functions of the body of each back edge's loop.
    bodies: BTreeMap<Edge, BTreeSet<usize>>,
    /// For each function the joins whose open instance it can still reach.
    ahead: Vec<BTreeSet<usize>>,
    /// For each rule with a bound, the rules whose counts a turn resets.
    resets: BTreeMap<usize, Vec<usize>>,
    /// Pairs of a join and a source that can send it several parts.
    several: BTreeSet<(usize, usize)>,
    /// Functions that a message can come back to.
    cyclic: BTreeSet<usize>,
}

impl Scopes {
    /// Works it out. The chain is valid: without its back edges it has no cycle.
    pub fn of(chain: &Chain) -> Self {
        let graph = Edges::of(chain);
        let mut scopes = Self {
            bodies: graph.back.iter().map(|edge| (*edge, graph.body(*edge))).collect(),
            ahead: vec![BTreeSet::new(); chain.functions.len()],
            ..Self::default()
        };
        scopes.find_resets();
        let is_join = |function: &usize| chain.functions[*function].join.is_some();
        let joins: Vec<usize> = (0..chain.functions.len()).filter(is_join).collect();
        loop {
            scopes.look_ahead(&graph, &joins);
            if !scopes.part_joins_that_wait_for_each_other(&graph, &joins) {
                break;
            }
        }
        for &join in &joins {
            let kept = scopes.kept_by(&graph, join);
            scopes.find_several(chain, &kept, join);
        }
        scopes.find_cycles(&graph, chain.functions.len());
        scopes
    }

    /// Joins whose open instance a message at `function` can still reach,
    /// `function` itself included.
    pub fn ahead(&self, function: usize) -> &BTreeSet<usize> {
        &self.ahead[function]
    }

    /// Whether an output that goes along `edge` can still reach the instance
    /// of `join` that its parent knew.
    pub fn keeps(&self, edge: Edge, join: usize) -> bool {
        self.ahead[edge.to].contains(&join) && !self.is_inside(edge, join)
    }

    /// Whether going along `edge` begins a new instance of `join`: it is a
    /// turn of a loop that the join lies in.
    pub fn opens(&self, edge: Edge, join: usize) -> bool {
        self.ahead[edge.to].contains(&join) && self.is_inside(edge, join)
    }

    fn is_inside(&self, edge: Edge, function: usize) -> bool {
        self.bodies.get(&edge).is_some_and(|body| body.contains(&function))
    }

    /// Whether `edge` goes back.
    pub fn is_back(&self, edge: Edge) -> bool {
        self.bodies.contains_key(&edge)
    }

    /// Rules whose counts a turn by `rule` resets: their loops lie inside its own.
    pub fn resets(&self, rule: usize) -> &[usize] {
        self.resets.get(&rule).map_or(&[], Vec::as_slice)
    }

    /// Whether `source` can send several parts to one instance of `join`.
    pub fn sends_several(&self, join: usize, source: usize) -> bool {
        self.several.contains(&(join, source))
    }

    /// Whether a message can come back to `function`: its queue must never
    /// make a sender wait, or everyone around the cycle could.
    pub fn is_cyclic(&self, function: usize) -> bool {
        self.cyclic.contains(&function)
    }

    fn look_ahead(&mut self, graph: &Edges, joins: &[usize]) {
        self.ahead.iter_mut().for_each(BTreeSet::clear);
        for &join in joins {
            for function in reach(&self.kept_by(graph, join), &[join], |e| (e.to, e.from)) {
                self.ahead[function].insert(join);
            }
        }
    }

    /// Where loops cross, a part at one join may hold a share of another and
    /// the other way round, and neither would ever fire. The loops between
    /// them are then taken as one: a turn begins both joins anew. Returns
    /// whether there were such joins.
    fn part_joins_that_wait_for_each_other(&mut self, graph: &Edges, joins: &[usize]) -> bool {
        let waits: Vec<Edge> = joins
            .iter()
            .flat_map(|&from| self.ahead[from].iter().map(move |&to| Edge { rule: 0, from, to }))
            .filter(|wait| wait.from != wait.to)
            .collect();
        let all: Vec<Edge> = graph.forward.iter().chain(&graph.back).copied().collect();
        let mut changed = false;
        for &join in joins {
            let after = reach(&waits, &[join], |wait| (wait.from, wait.to));
            let before = reach(&waits, &[join], |wait| (wait.to, wait.from));
            let circle: Vec<usize> = after.intersection(&before).copied().collect();
            if circle.len() < 2 {
                continue;
            }
            let onward = reach(&all, &circle, |edge| (edge.from, edge.to));
            let back = reach(&all, &circle, |edge| (edge.to, edge.from));
            let between = |edge: &Edge| onward.contains(&edge.from) && back.contains(&edge.to);
            for (_, body) in self.bodies.iter_mut().filter(|(edge, _)| between(edge)) {
                let size = body.len();
                body.extend(&circle);
                changed |= body.len() > size;
            }
        }
        changed
    }

    /// The edges that do not begin a new instance of `join`.
    fn kept_by(&self, graph: &Edges, join: usize) -> Vec<Edge> {
        let back = graph.back.iter().filter(|edge| !self.is_inside(**edge, join));
        graph.forward.iter().chain(back).copied().collect()
    }

    /// A loop is inside another when its body is a part of the other's, so
    /// that no two loops reset each other and every path ends.
    fn find_resets(&mut self) {
        let mut whole: BTreeMap<usize, BTreeSet<usize>> = BTreeMap::new();
        for (edge, body) in &self.bodies {
            whole.entry(edge.rule).or_default().extend(body);
        }
        for (outer, body) in &whole {
            let inner = whole.iter().filter(|(_, part)| {
                part.len() < body.len() && !part.is_empty() && part.is_subset(body)
            });
            self.resets.insert(*outer, inner.map(|(rule, _)| *rule).collect());
        }
    }

    fn find_cycles(&mut self, graph: &Edges, functions: usize) {
        if graph.back.is_empty() {
            return;
        }
        let all: Vec<Edge> = graph.forward.iter().chain(&graph.back).copied().collect();
        for edge in &graph.back {
            let after = reach(&all, &[edge.to], |edge| (edge.from, edge.to));
            let before = reach(&all, &[edge.from], |edge| (edge.to, edge.from));
            self.cyclic.extend((0..functions).filter(|f| after.contains(f) && before.contains(f)));
        }
    }

    /// Counts the paths on which parts come to `join`, from the start or from
    /// the turn of the loop that opened its instance.
    fn find_several(&mut self, chain: &Chain, kept: &[Edge], join: usize) {
        let opening = self.bodies.keys().filter(|edge| self.opens(**edge, join));
        let mut origins: Vec<Vec<usize>> = opening.map(|edge| vec![edge.to]).collect();
        origins.push(chain.start.clone());
        origins.sort();
        origins.dedup();
        for origin in origins {
            let counts = Paths::count(chain, kept, &origin, join);
            for edge in kept.iter().filter(|edge| edge.to == join) {
                let ways = kept.iter().filter(|e| e.to == join && e.from == edge.from).count();
                if counts.sent_by(chain, edge.from).saturating_mul(ways) > 1 {
                    self.several.insert((join, edge.from));
                }
            }
        }
    }
}

/// How many messages can come to each function, as far as the file tells:
/// none, one, or several.
struct Paths {
    come: Vec<usize>,
}

const SEVERAL: usize = 2;

impl Paths {
    fn count(chain: &Chain, kept: &[Edge], origin: &[usize], join: usize) -> Self {
        let reached = reach(kept, origin, |edge| (edge.from, edge.to));
        // What is sent on from the join itself has left its instance.
        let inner: Vec<Edge> =
            kept.iter().filter(|e| e.from != join && reached.contains(&e.from)).copied().collect();
        let functions = chain.functions.len();
        let mut paths = Self { come: vec![0; functions] };
        origin.iter().for_each(|&start| paths.come[start] += 1);
        // What comes round again and again comes several times; elsewhere
        // each function is counted after all that lead to it.
        let circles = circles(&inner, functions);
        circles.iter().for_each(|&function| paths.come[function] = SEVERAL);
        let mut into: Vec<Vec<usize>> = vec![Vec::new(); functions];
        inner.iter().for_each(|edge| into[edge.to].push(edge.from));
        let straight: Vec<Edge> = inner
            .iter()
            .filter(|e| !circles.contains(&e.from) && !circles.contains(&e.to))
            .copied()
            .collect();
        for function in peel(&straight, functions, |edge| (edge.from, edge.to)) {
            let sent: usize = into[function].iter().map(|&from| paths.sent_by(chain, from)).sum();
            let most = match (circles.contains(&function), chain.functions[function].join) {
                (true, _) => continue,
                // A join makes one message of whatever comes.
                (false, Some(_)) => 1,
                (false, None) => SEVERAL,
            };
            paths.come[function] = (paths.come[function] + sent).min(most);
        }
        paths
    }

    /// How many outputs a function can send along one edge.
    fn sent_by(&self, chain: &Chain, function: usize) -> usize {
        match (self.come[function], chain.functions[function].emit) {
            (0, _) => 0,
            (count, Emit::One) => count,
            _ => SEVERAL,
        }
    }
}

/// Functions that lie on a circle of these edges, or on a way between two.
fn circles(edges: &[Edge], functions: usize) -> BTreeSet<usize> {
    let mut left: BTreeSet<usize> = (0..functions).collect();
    for function in peel(edges, functions, |edge| (edge.from, edge.to)) {
        left.remove(&function);
    }
    for function in peel(edges, functions, |edge| (edge.to, edge.from)) {
        left.remove(&function);
    }
    left
}

/// Functions in an order in which each comes after all that lead to it;
/// circles, and what follows them, are left out.
fn peel(edges: &[Edge], functions: usize, way: impl Fn(&Edge) -> (usize, usize)) -> Vec<usize> {
    let (mut leading, mut next) = (vec![0_usize; functions], vec![Vec::new(); functions]);
    for (from, to) in edges.iter().map(way) {
        leading[to] += 1;
        next[from].push(to);
    }
    let mut order: Vec<usize> = (0..functions).filter(|&f| leading[f] == 0).collect();
    let mut at = 0;
    while let Some(&function) = order.get(at) {
        at += 1;
        for &to in &next[function] {
            leading[to] -= 1;
            if leading[to] == 0 {
                order.push(to);
            }
        }
    }
    order
}

/// All edges of a chain, those that go back apart.
struct Edges {
    forward: Vec<Edge>,
    back: Vec<Edge>,
}

impl Edges {
    fn of(chain: &Chain) -> Self {
        let mut edges = Self { forward: Vec::new(), back: Vec::new() };
        for (index, rule) in chain.rules.iter().enumerate() {
            for &from in &rule.from {
                for target in &rule.to {
                    let Target::Function(to) = *target else { continue };
                    let kind =
                        if rule.at_most.is_some() { &mut edges.back } else { &mut edges.forward };
                    kind.push(Edge { rule: index, from, to });
                }
            }
        }
        edges
    }

    /// The body of a loop: all that lies between the target of its back edge
    /// and the function that goes back, loops within it included.
    fn body(&self, edge: Edge) -> BTreeSet<usize> {
        let after = reach(&self.forward, &[edge.to], |e| (e.from, e.to));
        let before = reach(&self.forward, &[edge.from], |e| (e.to, e.from));
        let mut body: BTreeSet<usize> = after.intersection(&before).copied().collect();
        loop {
            let size = body.len();
            for inner in &self.back {
                if body.contains(&inner.from) && !body.contains(&inner.to) {
                    self.take_in(edge, *inner, &mut body);
                }
            }
            if body.len() == size {
                return body;
            }
        }
    }

    /// Adds what an inner loop's back edge leads through, back into the body;
    /// nothing when that loop is around this one.
    fn take_in(&self, edge: Edge, inner: Edge, body: &mut BTreeSet<usize>) {
        let after = reach(&self.forward, &[inner.to], |e| (e.from, e.to));
        if after.contains(&edge.to) {
            return;
        }
        let goals: Vec<usize> = body.intersection(&after).copied().collect();
        let before = reach(&self.forward, &goals, |e| (e.to, e.from));
        body.extend(after.intersection(&before));
    }
}

/// Everything that can be reached along `edges` from `from`, those included;
/// `way` tells start and end of an edge.
fn reach(edges: &[Edge], from: &[usize], way: impl Fn(&Edge) -> (usize, usize)) -> BTreeSet<usize> {
    let mut next: BTreeMap<usize, Vec<usize>> = BTreeMap::new();
    for (start, end) in edges.iter().map(way) {
        next.entry(start).or_default().push(end);
    }
    let mut reached = BTreeSet::new();
    let mut waiting = from.to_vec();
    while let Some(function) = waiting.pop() {
        if reached.insert(function) {
            waiting.extend(next.get(&function).into_iter().flatten());
        }
    }
    reached
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::chain::parse_text;
    use std::path::Path;

    fn chain(functions: &str, rules: &str) -> Chain {
        let text = format!(
            r#"{{ "chain": "c", "functions": {{ {functions} }}, "start": "a", "rules": [ {rules} ] }}"#
        );
        parse_text(&text, Path::new("/")).unwrap_or_else(|flaws| panic!("{text}: {flaws:?}"))
    }

    const ORDERS: &str = r#""a": {"run":["cat"]}, "price": {"run":["cat"]}, "stock": {"run":["cat"]},
        "merge": {"run":["cat"], "join": "all"}, "review": {"run":["cat"]}"#;

    #[test]
    fn a_loop_opens_its_joins_anew_and_sources_send_one_each() {
        let chain = chain(
            ORDERS,
            r#"{"from":"a","to":["price","stock"]}, {"from":["price","stock"],"to":"merge"},
               {"from":"merge","to":"review"}, {"from":"review","when":".again","to":"a","at_most":3},
               {"from":"review","otherwise":true,"to":"@result"}"#,
        );
        let scopes = Scopes::of(&chain);
        let back = Edge { rule: 3, from: 4, to: 0 };
        assert!(scopes.is_back(back) && scopes.opens(back, 3) && !scopes.keeps(back, 3));
        assert!(scopes.ahead(0).contains(&3) && !scopes.ahead(4).contains(&3));
        assert!(!scopes.sends_several(3, 1) && !scopes.sends_several(3, 2));
        assert!((0..5).all(|function| scopes.is_cyclic(function)));
    }

    #[test]
    fn emit_lines_and_second_paths_make_several() {
        let chain = chain(
            r#""a": {"run":["cat"], "emit":"lines"}, "b": {"run":["cat"]}, "x": {"run":["cat"]},
               "j": {"run":["cat"], "join":"all"}, "c": {"run":["cat"]}, "k": {"run":["cat"],"join":"all"}"#,
            r#"{"from":"a","to":"b"}, {"from":"b","to":"j"}, {"from":"a","to":"x"},
               {"from":"j","to":["c","k"]}, {"from":"c","to":"k"}, {"from":"x","to":"k"}"#,
        );
        let scopes = Scopes::of(&chain);
        assert!(scopes.sends_several(3, 1), "every line makes a part");
        assert!(!scopes.sends_several(5, 4), "a join makes one message");
        assert!(!scopes.sends_several(5, 3) && scopes.sends_several(5, 2));
    }

    #[test]
    fn a_join_outside_a_loop_takes_all_turns() {
        let chain = chain(
            r#""a": {"run":["cat"]}, "b": {"run":["cat"]}, "j": {"run":["cat"],"join":"all"}"#,
            r#"{"from":"a","to":"b"}, {"from":"b","to":"j"}, {"from":"b","to":"a","at_most":2}"#,
        );
        let scopes = Scopes::of(&chain);
        let back = Edge { rule: 2, from: 1, to: 0 };
        assert!(scopes.keeps(back, 2) && !scopes.opens(back, 2));
        assert!(scopes.sends_several(2, 1));
        assert!(!scopes.is_cyclic(2));
    }

    #[test]
    fn an_outer_turn_resets_the_inner_count_and_not_the_other_way() {
        let chain = chain(
            r#""a": {"run":["cat"]}, "b": {"run":["cat"]}, "c": {"run":["cat"]}, "d": {"run":["cat"]}"#,
            r#"{"from":"a","to":"b"}, {"from":"b","to":"c"}, {"from":"c","to":"d"},
               {"from":"c","to":"b","at_most":2}, {"from":"d","to":"a","at_most":2},
               {"from":"d","when":".x","to":"a","at_most":1}"#,
        );
        let scopes = Scopes::of(&chain);
        assert_eq!(scopes.resets(4), [3]);
        assert_eq!(scopes.resets(3), [] as [usize; 0]);
        assert_eq!(scopes.resets(5), [3], "loops of the same body leave each other alone");
    }
}
