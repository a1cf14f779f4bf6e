//! Bodies of every size, attributes, names.

use crate::fixture::{Fixture, body, event};
use faas_common::event::Attr;
use faas_common::queue::{QueueError, QueueSpec};

fn pattern(len: usize) -> Vec<u8> {
    (0..len).map(|i| (i * 31 % 251) as u8).collect()
}

/// A queue for large messages, where that has to be said.
fn roomy() -> QueueSpec {
    QueueSpec { message_size: Some(32 << 20), ..QueueSpec::default() }
}

/// Around the message size, wherever the frame's head puts the exact limit,
/// around a pipe, and around a page.
pub fn around_every_limit<F: Fixture>(middleware: &F) {
    let name = middleware.name("sizes");
    let mut user = middleware.user();
    user.create(&name, &roomy());
    let (to, from) = (user.sender(&name), user.receiver(&name));
    let around = |at: usize| at.saturating_sub(2)..at + 3;
    let sizes = (0..4)
        .chain(880..1030)
        .chain(around(4096))
        .chain(around(8192))
        .chain(around(64 << 10))
        .chain(around(1 << 20));
    for len in sizes {
        let sent = pattern(len);
        user.send(to, &sent);
        let taken = user.take(from, 1);
        assert_eq!(taken.len(), 1, "{len} bytes");
        assert_eq!(taken[0].fault, None, "{len} bytes");
        assert!(body(&taken[0]) == sent, "{len} bytes changed");
        user.settle(&[&taken[0]], Vec::new());
    }
    let stat = user.connection.stat(&name).expect("it is there");
    assert_eq!((stat.depth, stat.held), (0, 0));
}

pub fn large<F: Fixture>(middleware: &F) {
    let name = middleware.name("large");
    let mut user = middleware.user();
    user.create(&name, &roomy());
    let (to, from) = (user.sender(&name), user.receiver(&name));
    let sent = pattern(20 << 20);
    user.send(to, &sent);
    let taken = user.take(from, 1);
    assert!(body(&taken[0]) == sent);
    user.settle(&[&taken[0]], Vec::new());
}

pub fn large_attributes<F: Fixture>(middleware: &F) {
    let name = middleware.name("attributes");
    let mut user = middleware.user();
    user.create(&name, &roomy());
    let (to, from) = (user.sender(&name), user.receiver(&name));
    for (attribute, len) in [(900, 10), (5_000, 10), (5_000, 5_000), (300_000, 0)] {
        let mut sent = event(&pattern(len));
        sent.extensions.insert("long".into(), Attr::Text("é".repeat(attribute / 2)));
        user.settle(&[], vec![(to, sent.clone())]);
        let taken = user.take(from, 1);
        assert_eq!(taken[0].fault, None);
        assert!(taken[0].event == sent, "{attribute} and {len} bytes");
        user.settle(&[&taken[0]], Vec::new());
    }
}

/// As many queues as it is said to work with, or as the system grants.
pub fn many_queues<F: Fixture>(middleware: &F) {
    let mut user = middleware.user();
    let most = user.connection.capabilities().queues_tested;
    let names: Vec<String> =
        (0..most.unwrap_or(8)).map(|i| middleware.name(&format!("many{i}"))).collect();
    names.iter().for_each(|name| user.create(name, &QueueSpec::default()));
    let listed = user.connection.list().expect("it lists");
    let ours = listed.iter().filter(|queue| names.contains(&queue.name)).count();
    assert_eq!(ours, names.len());
    let ends: Vec<_> = names.iter().map(|name| (user.sender(name), user.receiver(name))).collect();
    for (index, (to, _)) in ends.iter().enumerate() {
        user.send(*to, index.to_string().as_bytes());
    }
    for (index, (_, from)) in ends.iter().enumerate() {
        assert_eq!(user.bodies(*from, 1), [index.to_string().into_bytes()]);
    }
    names.iter().for_each(|name| user.connection.remove(name).expect("it is removed"));
}

/// What a topic can be called.
fn is_topic(name: &str) -> bool {
    name.chars().all(|c| c.is_ascii_alphanumeric() || "._-".contains(c))
}

pub fn names<F: Fixture>(middleware: &F) {
    let mut user = middleware.user();
    let longest = "n".repeat(150);
    for odd in ["a b", "größe", "x'y\"z", "$HOME", "-n", "%00", "a.dead", longest.as_str()] {
        let name = middleware.name(odd);
        if user.connection.capabilities().scheme == "kafka" && !is_topic(&name) {
            let refused = user.connection.create(&name, &QueueSpec::default());
            assert!(matches!(refused, Err(QueueError::Refused { .. })), "{odd}: {refused:?}");
            println!("{odd}: refused");
            continue;
        }
        user.create(&name, &QueueSpec::default());
        let (to, from) = (user.sender(&name), user.receiver(&name));
        let sent = pattern(3_000);
        user.send(to, &sent);
        assert_eq!(user.bodies(from, 1), [sent], "{odd}");
        assert_eq!(user.connection.name_of(from), name);
        user.connection.remove(&name).expect("it is removed");
    }
}
