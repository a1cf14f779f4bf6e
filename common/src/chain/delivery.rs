//! What a message may suffer on its way through a chain, hop by hop: a hop is
//! from one function's queue to the next, or from outside to the first.

use super::Placement;
use super::model::{Chain, Deliver, Function, Target};
use crate::error::Failure;
use crate::exit::Exit;
use crate::queue::{Capabilities, Flaws};

/// One hop.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hop {
    /// The function it leaves; none for the trigger.
    pub from: Option<usize>,
    /// The function it goes to; none for the reply queue.
    pub to: Option<usize>,
    /// Schemes of the two middlewares.
    pub over: (&'static str, &'static str),
    /// When a process is killed.
    pub killed: Flaws,
    /// When a host or a broker is lost.
    pub lost: Flaws,
}

impl Hop {
    /// `price -> pack (mq -> kafka)`.
    pub fn describe(&self, chain: &Chain) -> String {
        let name = |function: Option<usize>, other: &str| {
            function.map_or(other.to_owned(), |index| chain.functions[index].name.clone())
        };
        let over = match self.over {
            (from, to) if from == to => from.to_owned(),
            (from, to) => format!("{from} -> {to}"),
        };
        format!("{} -> {} ({over})", name(self.from, "trigger"), name(self.to, "@result"))
    }
}

/// All hops between queues. `deliver` takes the place of what the chain says.
pub fn hops(chain: &Chain, placement: &Placement, deliver: Option<Deliver>) -> Vec<Hop> {
    let mut hops = Vec::new();
    for from in 0..chain.functions.len() {
        for to in targets(chain, from) {
            let deliver = deliver.unwrap_or_else(|| chain.deliver_to(from));
            hops.push(hop(placement, from, to, deliver));
        }
    }
    hops
}

/// Where a function's messages can go; none is the reply queue, where every
/// branch can end.
fn targets(chain: &Chain, function: usize) -> Vec<Option<usize>> {
    let mut targets = vec![None];
    for (_, rule) in chain.rules_of(function) {
        targets.extend(rule.to.iter().filter_map(|target| match target {
            Target::Function(to) => Some(Some(*to)),
            Target::Result => None,
        }));
    }
    targets.sort_unstable();
    targets.dedup();
    targets
}

fn hop(placement: &Placement, from: usize, to: Option<usize>, deliver: Deliver) -> Hop {
    let source = placement.capabilities(from);
    let target = to.map_or(placement.home(), |to| placement.capabilities(to));
    let is_across = placement.of[from] != to.map_or(0, |to| placement.of[to]);
    let killed = match deliver {
        Deliver::AtMostOnce => Flaws { may_lose: true, may_duplicate: false },
        Deliver::ExactlyOnce => Flaws { may_lose: false, may_duplicate: false },
        // Sent there, then settled here: between the two it may be done again.
        Deliver::AtLeastOnce if is_across => {
            Flaws { may_lose: false, may_duplicate: !target.drops_known_ids }
        }
        Deliver::AtLeastOnce => source.process_killed,
    };
    let (here, there) = (placement.host_lost(Some(from)), placement.host_lost(to));
    let lost = Flaws {
        may_lose: here.may_lose || there.may_lose,
        may_duplicate: here.may_duplicate || there.may_duplicate,
    };
    Hop { from: Some(from), to, over: (source.scheme, target.scheme), killed, lost }
}

/// What may happen on some path, and the first hop that is to blame for each.
pub fn worst(hops: &[Hop], of: impl Fn(&Hop) -> Flaws) -> (Flaws, Vec<&Hop>) {
    let may = |flaw: fn(Flaws) -> bool| hops.iter().find(|hop| flaw(of(hop)));
    let (lose, duplicate) = (may(|f| f.may_lose), may(|f| f.may_duplicate));
    let flaws = Flaws { may_lose: lose.is_some(), may_duplicate: duplicate.is_some() };
    let mut blamed: Vec<&Hop> = lose.into_iter().chain(duplicate).collect();
    blamed.dedup();
    (flaws, blamed)
}

/// Why a function cannot be delivered to exactly once: what, and what instead.
pub(super) fn no_exactly_once(
    chain: &Chain,
    placement: &Placement,
    function: usize,
) -> Option<(String, String)> {
    let own: &Capabilities = placement.capabilities(function);
    let cure = "\"at-least-once\", and functions that know FAAS_IDEMPOTENCY_KEY";
    if !own.exactly_once {
        let what = format!(
            "{}: cannot deliver exactly once: sending and acknowledging are two steps",
            own.scheme
        );
        return Some((what, format!("{cure}; or --via redis://... or kafka://...")));
    }
    let is_far = |to: &Option<usize>| to.map_or(0, |to| placement.of[to]) != placement.of[function];
    let far = targets(chain, function).into_iter().find(is_far)?;
    let name = |function: &Function| function.name.clone();
    let what = format!(
        "cannot deliver exactly once: what {} makes goes to {} on another middleware",
        name(&chain.functions[function]),
        far.map_or("the results".to_owned(), |to| name(&chain.functions[to])),
    );
    Some((what, cure.to_owned()))
}

/// Refuses a delivery, asked for on the command line, that cannot be kept.
///
/// # Errors
/// It is exactly once, and a middleware cannot.
pub fn check_deliver(
    chain: &Chain,
    placement: &Placement,
    deliver: Deliver,
) -> Result<(), Failure> {
    if deliver != Deliver::ExactlyOnce {
        return Ok(());
    }
    let mut functions = 0..chain.functions.len();
    match functions.find_map(|function| no_exactly_once(chain, placement, function)) {
        None => Ok(()),
        Some((what, cure)) => Err(Failure::new(Exit::Usage, "deliver", "exactly-once", what)
            .cure(format!("--deliver {}", cure.replace('"', "")))),
    }
}
