//! What a chain asks for and this version, or the middleware, does not do.

use super::flaw::Flaw;
use super::model::{Chain, Deliver, KeepWarm, Layout, QueueWish, WorkerKind};
use super::source::Source;
use crate::queue::{Capabilities, Order, WhenFull};
use std::time::Duration;

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
    for function in &chain.functions {
        let path = format!("functions.{}", function.name);
        let asked = [
            (function.join.is_some(), "join"),
            (function.url.is_some(), "url"),
            (function.worker == WorkerKind::Filter, "worker: filter"),
            (function.ahead, "ahead"),
            (function.keep != KeepWarm::Adaptive, "keep"),
            (function.pipeline.is_some(), "pipeline"),
        ];
        for (_, key) in asked.iter().filter(|(asked, _)| *asked) {
            let member = key.split(':').next().unwrap_or(key);
            not_yet(format!("{path}.{member}"), key);
        }
    }
    for (index, rule) in chain.rules.iter().enumerate() {
        if rule.at_most.is_some() {
            not_yet(format!("rules[{index}].at_most"), "at_most");
        }
        if rule.on_dead {
            not_yet(format!("rules[{index}].on"), "on: dead");
        }
    }
    if chain.layout == Layout::Shared {
        not_yet("layout".to_owned(), "layout: shared");
    }
    if chain.deadline != Duration::from_secs(3600) {
        not_yet("deadline".to_owned(), "deadline");
    }
    if chain.deliver != Deliver::AtLeastOnce {
        not_yet("deliver".to_owned(), "deliver");
    }
    for (name, wish) in &chain.queues {
        let path = format!("queues.{name}");
        if wish.via.as_deref().is_some_and(|via| via.split(':').next() != Some("mq")) {
            not_yet(format!("{path}.via"), "via");
        }
        if wish.deliver.is_some_and(|deliver| deliver != Deliver::AtLeastOnce) {
            not_yet(format!("{path}.deliver"), "deliver");
        }
    }
    for (name, wish) in chain.queues.iter().filter(|(name, _)| *name != "*") {
        for (key, what, cure) in unkept(wish, middleware) {
            source.flaw_at(&format!("queues.{name}.{key}"), what, cure);
        }
    }
    source.flaws
}

/// Wishes under `*` that the middleware does not keep; `capacity_max` is what
/// it grants now.
pub fn notes(chain: &Chain, middleware: &Capabilities, capacity_max: u64) -> Vec<Note> {
    let Some(wish) = chain.queues.get("*") else { return Vec::new() };
    let capacity = wish.capacity.filter(|capacity| *capacity > capacity_max).map(|capacity| {
        let what = format!("{}: queues cannot hold {capacity} messages", middleware.scheme);
        ("capacity", what, capacity_max.to_string())
    });
    unkept(wish, middleware)
        .into_iter()
        .chain(capacity)
        .map(|(key, what, cure)| Note {
            object: format!("queues.*.{key}"),
            what: format!("{what}; it will be {cure}"),
        })
        .collect()
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
