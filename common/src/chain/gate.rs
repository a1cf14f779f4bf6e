//! What a chain asks for and this version, or the middleware, does not do.

use super::Placement;
use super::delivery::no_exactly_once;
use super::flaw::Flaw;
use super::model::{Chain, Deliver, Function, Layout, QueueWish};
use super::source::Source;
use crate::queue::{Capabilities, Order, WhenFull};
use crate::units::show_duration;

/// A wish that is not kept; the run goes on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Note {
    /// The object, `queues.*.order`.
    pub object: String,
    /// What happens instead.
    pub what: String,
}

/// What is not built yet, and demands the middlewares cannot keep. `text` is
/// the chain file's, for the places.
pub fn gate(chain: &Chain, text: &str, placement: &Placement) -> Vec<Flaw> {
    let mut source = Source::new(text);
    if chain.layout == Layout::Shared {
        let cure = "the file without it, or a newer version";
        source.flaw_at("layout", "not yet: layout: shared".to_owned(), cure);
    }
    refuse_exactly_once(&mut source, chain, placement);
    for (index, function) in chain.functions.iter().enumerate() {
        let middleware = placement.capabilities(index);
        if function.join.is_some() && !middleware.gather {
            let what = format!("{}: has no joins", middleware.scheme);
            source.flaw_at(&format!("functions.{}.join", function.name), what, "mq:");
        }
        let Some(wish) = chain.queues.get(&function.name) else { continue };
        for (key, what, cure) in unkept(wish, middleware) {
            source.flaw_at(&format!("queues.{}.{key}", function.name), what, cure);
        }
    }
    source.flaws
}

/// Wherever the file asks for it: for all, or for one function.
fn refuse_exactly_once(source: &mut Source<'_>, chain: &Chain, placement: &Placement) {
    for (index, function) in chain.functions.iter().enumerate() {
        let own = format!("queues.{}.deliver", function.name);
        let said = |name: &str| chain.queues.get(name).and_then(|wish| wish.deliver);
        let (path, deliver) = match (said(&function.name), said("*")) {
            (Some(deliver), _) => (own, deliver),
            (None, Some(deliver)) => ("queues.*.deliver".to_owned(), deliver),
            (None, None) => ("deliver".to_owned(), chain.deliver),
        };
        if deliver == Deliver::ExactlyOnce
            && let Some((what, cure)) = no_exactly_once(chain, placement, index)
        {
            source.flaw_at(&path, what, cure);
            if !path.contains(&function.name) {
                return;
            }
        }
    }
}

/// What a person should know: functions that are started ahead or may take
/// longer than a reader may be silent, and wishes
/// under `*` that the middleware of the reply queue does not keep;
/// `capacity_max` is what the queues of this host grant now.
pub fn notes(chain: &Chain, placement: &Placement, capacity_max: u64) -> Vec<Note> {
    let middleware = placement.home();
    let mut notes: Vec<Note> = chain.functions.iter().filter(|f| f.ahead).map(ahead_note).collect();
    notes.extend(
        (0..chain.functions.len()).filter_map(|index| silent_note(chain, placement, index)),
    );
    let Some(wish) = chain.queues.get("*") else { return notes };
    let most = if middleware.on_one_host { capacity_max } else { u64::MAX };
    let capacity = wish.capacity.filter(|capacity| *capacity > most).map(|capacity| {
        let what = format!("{}: queues cannot hold {capacity} messages", middleware.scheme);
        ("capacity", what, capacity_max.to_string())
    });
    notes.extend(unkept(wish, middleware).into_iter().chain(capacity).map(|(key, what, cure)| {
        let what = format!("{what}; it will be {cure}");
        Note { object: format!("queues.*.{key}"), what }
    }));
    notes
}

fn ahead_note(function: &Function) -> Note {
    let what = "it runs before there is a message, without the event's variables (CE_*): only for \
                programs that do nothing before they read";
    Note { object: format!("functions.{}.ahead", function.name), what: what.to_owned() }
}

/// A message that may take longer, with its retries, than a reader may be
/// silent. Invokers look meanwhile; other programs of the group may not.
fn silent_note(chain: &Chain, placement: &Placement, index: usize) -> Option<Note> {
    let function = &chain.functions[index];
    let silent_max = placement.silent_max(index)?;
    let longest = function.timeout.saturating_mul(function.retries.saturating_add(1));
    let [longest_text, max_text] = [longest, silent_max].map(show_duration);
    let what = format!(
        "a message may take {longest_text} with its retries, longer than max.poll.interval.ms \
         ({max_text}): invokers look for messages meanwhile, but one that is stopped for that \
         long loses its partitions"
    );
    let object = format!("functions.{}.timeout", function.name);
    (longest > silent_max).then_some(Note { object, what })
}

/// Key, what cannot be, and what can.
fn unkept(wish: &QueueWish, middleware: &Capabilities) -> Vec<(&'static str, String, String)> {
    let scheme = middleware.scheme;
    let mut unkept = Vec::new();
    if let Some(order) = wish.order.filter(|order| !middleware.orders.contains(order)) {
        let cure = middleware.orders.first().copied().unwrap_or(Order::Fifo).word().to_owned();
        unkept.push(("order", format!("{scheme}: queues cannot be {}", order.word()), cure));
    }
    if wish.capacity.is_some() && !middleware.bounded {
        unkept.push((
            "capacity",
            format!("{scheme}: queues have no capacity"),
            "without a bound".to_owned(),
        ));
    }
    // A policy for full queues is kept where a queue never fills.
    if let Some(when_full) =
        wish.when_full.filter(|w| middleware.bounded && !middleware.when_full.contains(w))
    {
        let cure =
            middleware.when_full.first().copied().unwrap_or(WhenFull::Block).word().to_owned();
        unkept.push(("when_full", format!("{scheme}: queues cannot {}", when_full.word()), cure));
    }
    unkept
}
