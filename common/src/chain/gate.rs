//! What a chain asks for and this version, or the middleware, does not do.

use super::flaw::Flaw;
use super::model::{Chain, Deliver, Function, Layout, QueueWish};
use super::source::Source;
use crate::queue::{Capabilities, Order, WhenFull};

/// A wish that is not kept; the run goes on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Note {
    /// The object, `queues.*.order`.
    pub object: String,
    /// What happens instead.
    pub what: String,
}

/// What is not built yet, and demands the middleware cannot keep. `text` is
/// the chain file's, for the places.
pub fn gate(chain: &Chain, text: &str, middleware: &Capabilities) -> Vec<Flaw> {
    let mut source = Source::new(text);
    let mut not_yet = |path: String, key: &str| {
        source.flaw_at(&path, format!("not yet: {key}"), "the file without it, or a newer version");
    };
    if chain.layout == Layout::Shared {
        not_yet("layout".to_owned(), "layout: shared");
    }
    for (name, wish) in &chain.queues {
        let path = format!("queues.{name}");
        if wish.via.as_deref().is_some_and(|via| via.split(':').next() != Some("mq")) {
            not_yet(format!("{path}.via"), "via");
        }
    }
    let asked =
        chain.queues.iter().map(|(name, wish)| (format!("queues.{name}.deliver"), wish.deliver));
    for (path, deliver) in asked.chain([("deliver".to_owned(), Some(chain.deliver))]) {
        if deliver == Some(Deliver::ExactlyOnce) {
            let (what, cure) = no_exactly_once(middleware);
            source.flaw_at(&path, what, cure);
        }
    }
    if !middleware.gather {
        for function in chain.functions.iter().filter(|function| function.join.is_some()) {
            let what = format!("{}: has no joins", middleware.scheme);
            source.flaw_at(&format!("functions.{}.join", function.name), what, "mq:");
        }
    }
    for (name, wish) in chain.queues.iter().filter(|(name, _)| *name != "*") {
        for (key, what, cure) in unkept(wish, middleware) {
            source.flaw_at(&format!("queues.{name}.{key}"), what, cure);
        }
    }
    source.flaws
}

/// Why a middleware delivers nothing exactly once, and what to do instead.
pub fn no_exactly_once(middleware: &Capabilities) -> (String, &'static str) {
    let what = format!(
        "{}: cannot deliver exactly once: sending and acknowledging are two steps",
        middleware.scheme
    );
    (what, "\"at-least-once\", and functions that know FAAS_IDEMPOTENCY_KEY")
}

/// What a person should know: functions that are started ahead, and wishes
/// under `*` that the middleware does not keep; `capacity_max` is what
/// it grants now.
pub fn notes(chain: &Chain, middleware: &Capabilities, capacity_max: u64) -> Vec<Note> {
    let mut notes: Vec<Note> = chain.functions.iter().filter(|f| f.ahead).map(ahead_note).collect();
    let Some(wish) = chain.queues.get("*") else { return notes };
    let capacity = wish.capacity.filter(|capacity| *capacity > capacity_max).map(|capacity| {
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

/// Key, what cannot be, and what can.
fn unkept(wish: &QueueWish, middleware: &Capabilities) -> Vec<(&'static str, String, String)> {
    let scheme = middleware.scheme;
    let mut unkept = Vec::new();
    if let Some(order) = wish.order.filter(|order| !middleware.orders.contains(order)) {
        let cure = middleware.orders.first().copied().unwrap_or(Order::Fifo).word().to_owned();
        unkept.push(("order", format!("{scheme}: queues cannot be {}", order.word()), cure));
    }
    if let Some(when_full) = wish.when_full.filter(|w| !middleware.when_full.contains(w)) {
        let cure =
            middleware.when_full.first().copied().unwrap_or(WhenFull::Block).word().to_owned();
        unkept.push(("when_full", format!("{scheme}: queues cannot {}", when_full.word()), cure));
    }
    unkept
}
