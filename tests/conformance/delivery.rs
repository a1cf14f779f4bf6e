//! Taking, settling, coming back; room and the lack of it.

use crate::fixture::{Fixture, body, event};
use faas_common::event::control::Control;
use faas_common::event::credit::Credit;
use faas_common::queue::{QueueError, QueueSpec, Settled, WhenFull};
use std::collections::BTreeSet;
use std::time::{Duration, Instant};

const SOON: Duration = Duration::from_secs(5);

pub fn competing_consumers<F: Fixture>(middleware: &F) {
    let name = middleware.name("compete");
    let mut owner = middleware.user();
    owner.create(&name, &QueueSpec::default());
    let consumers: Vec<_> = (0..4)
        .map(|_| {
            let (middleware, name) = (middleware.clone(), name.clone());
            std::thread::spawn(move || {
                let mut user = middleware.user();
                let from = user.receiver(&name);
                user.connection.listen(from, true).expect("it listens");
                let (mut got, began) = (Vec::new(), Instant::now());
                loop {
                    assert!(began.elapsed() < Duration::from_secs(60), "no end came");
                    user.wait(Duration::from_millis(100));
                    for taken in user.take(from, 3) {
                        user.settle(&[&taken], Vec::new());
                        match body(&taken) {
                            end if end.is_empty() => return got,
                            other => got.push(other),
                        }
                    }
                }
            })
        })
        .collect();
    let to = owner.sender(&name);
    let send = |owner: &mut crate::fixture::User, message: &[u8]| {
        if owner.send(to, message) == Settled::Waiting {
            while owner.resume().is_empty() {
                owner.wait(Duration::from_millis(20));
            }
        }
    };
    let sent: BTreeSet<Vec<u8>> = (0..500_u16).map(|i| i.to_be_bytes().to_vec()).collect();
    sent.iter().for_each(|message| send(&mut owner, message));
    // A consumer takes up to three at once: more ends than consumers.
    (0..12).for_each(|_| send(&mut owner, b""));
    let got: Vec<Vec<u8>> =
        consumers.into_iter().flat_map(|thread| thread.join().expect("a consumer ends")).collect();
    assert_eq!(got.len(), 500, "each message once");
    assert_eq!(got.into_iter().collect::<BTreeSet<_>>(), sent);
}

pub fn unsettled_comes_back<F: Fixture>(middleware: &F) {
    let name = middleware.name("back");
    let mut owner = middleware.user();
    owner.create(&name, &QueueSpec::default());
    let to = owner.sender(&name);
    let large = vec![5; 100_000];
    owner.send(to, b"one");
    owner.send(to, &large);
    {
        let mut reader = middleware.user();
        let from = reader.receiver(&name);
        assert_eq!(reader.take(from, 9).len(), 2);
        let mut other = middleware.user();
        let from = other.receiver(&name);
        assert!(other.take(from, 9).is_empty(), "what is taken is not there");
    }
    let mut next = middleware.user();
    let from = next.receiver(&name);
    let mut came: Vec<Vec<u8>> = Vec::new();
    let patience = Instant::now() + SOON;
    while came.len() < 2 && Instant::now() < patience {
        came.extend(next.bodies(from, 9));
        next.connection.look_after().expect("it looks");
    }
    came.sort_by_key(Vec::len);
    assert_eq!(came, [b"one".to_vec(), large]);
}

pub fn settled_never_comes_back<F: Fixture>(middleware: &F) {
    let name = middleware.name("gone");
    let mut owner = middleware.user();
    owner.create(&name, &QueueSpec::default());
    let to = owner.sender(&name);
    (0..5).for_each(|i| _ = owner.send(to, &[i]));
    let mut left: Vec<Vec<u8>> = {
        let mut reader = middleware.user();
        let from = reader.receiver(&name);
        let taken = reader.take(from, 5);
        reader.settle(&[&taken[1], &taken[3]], Vec::new());
        [0, 2, 4].map(|index: usize| body(&taken[index])).to_vec()
    };
    let mut next = middleware.user();
    let from = next.receiver(&name);
    let mut came = next.bodies(from, 9);
    came.sort();
    left.sort();
    assert_eq!(came, left);
}

pub fn settle_sends<F: Fixture>(middleware: &F) {
    let (a, b, c) = (middleware.name("a"), middleware.name("b"), middleware.name("c"));
    let mut user = middleware.user();
    [&a, &b, &c].into_iter().for_each(|name| user.create(name, &QueueSpec::default()));
    let to = [user.sender(&a), user.sender(&b), user.sender(&c)];
    let from = [user.receiver(&a), user.receiver(&b), user.receiver(&c)];
    user.send(to[0], b"in");
    let taken = user.take(from[0], 1);
    let outputs = vec![(to[1], event(b"x")), (to[2], event(b"y")), (to[1], event(b"z"))];
    assert_eq!(user.settle(&[&taken[0]], outputs), Settled::Done);
    let mut came = user.bodies(from[1], 9);
    // Order is shown on its own, where it was asked for.
    came.sort();
    assert_eq!(came, [b"x", b"z"]);
    assert_eq!(user.bodies(from[2], 9), [b"y"]);
    assert_eq!(user.connection.stat(&a).expect("it is there").held, 0);
}

pub fn attempts_are_counted<F: Fixture>(middleware: &F) {
    let name = middleware.name("attempts");
    let mut owner = middleware.user();
    owner.create(&name, &QueueSpec::default());
    let to = owner.sender(&name);
    owner.send(to, b"x");
    for expected in 0..3 {
        let mut reader = middleware.user();
        let from = reader.receiver(&name);
        let taken = reader.take(from, 1);
        assert_eq!(taken[0].attempts, expected);
        reader.connection.count_attempt(taken[0].receipt);
    }
}

pub fn readiness<F: Fixture>(middleware: &F) {
    let name = middleware.name("ready");
    let (mut reader, mut writer) = (middleware.user(), middleware.user());
    reader.create(&name, &QueueSpec::default());
    let (from, to) = (reader.receiver(&name), writer.sender(&name));
    reader.connection.listen(from, true).expect("it listens");
    assert!(reader.wait(Duration::from_millis(30)).is_empty(), "nothing is there");
    writer.send(to, b"x");
    let began = Instant::now();
    assert!(!reader.wait(SOON).is_empty());
    assert!(began.elapsed() < SOON, "it was told, it did not time out");
    assert_eq!(reader.bodies(from, 1), [b"x"]);
}

pub fn empty<F: Fixture>(middleware: &F) {
    let name = middleware.name("empty");
    let mut user = middleware.user();
    user.create(&name, &QueueSpec::default());
    let from = user.receiver(&name);
    assert!(user.take(from, 9).is_empty());
    assert!(!user.connection.is_exhausted(from), "more may come");
}

pub fn full_blocks<F: Fixture>(middleware: &F) {
    let name = middleware.name("full");
    let (mut writer, mut reader) = (middleware.user(), middleware.user());
    let spec = QueueSpec { capacity: Some(3), demand: true, ..QueueSpec::default() };
    if !writer.connection.capabilities().bounded {
        let refused = writer.connection.create(&name, &spec);
        assert!(matches!(refused, Err(QueueError::Refused { .. })), "{refused:?}");
        println!("a queue never fills, and a capacity is refused");
        return;
    }
    writer.create(&name, &spec);
    let (to, from) = (writer.sender(&name), reader.receiver(&name));
    for i in 0..3 {
        assert_eq!(writer.send(to, &[i]), Settled::Done);
    }
    assert_eq!(writer.send(to, &[3]), Settled::Waiting);
    assert_eq!(writer.connection.blocked(), [to]);
    assert!(writer.resume().is_empty(), "there is no room yet");
    assert_eq!(reader.bodies(from, 1), [[0]]);
    assert!(!writer.wait(SOON).is_empty(), "room is announced");
    assert_eq!(writer.resume(), [7]);
    assert!(writer.connection.blocked().is_empty());
    assert_eq!(reader.bodies(from, 9), [[1], [2], [3]]);
}

pub fn full_policies<F: Fixture>(middleware: &F) {
    let policies = [WhenFull::Reject, WhenFull::DropOldest, WhenFull::DropNewest];
    for (index, policy) in policies.into_iter().enumerate() {
        let name = middleware.name(&format!("policy{index}"));
        let mut user = middleware.user();
        let spec = QueueSpec {
            capacity: Some(2),
            when_full: Some(policy),
            demand: true,
            ..QueueSpec::default()
        };
        let can = user.connection.capabilities();
        if !can.bounded || !can.when_full.contains(&policy) {
            let refused = user.connection.create(&name, &spec);
            assert!(matches!(refused, Err(QueueError::Refused { .. })), "{refused:?}");
            println!("{} is refused", policy.word());
            continue;
        }
        user.create(&name, &spec);
        let (to, from) = (user.sender(&name), user.receiver(&name));
        (0..2).for_each(|i| _ = user.send(to, &[i]));
        let settled = user.try_settle(&[], vec![(to, event(&[2]))]);
        let expected: &[[u8; 1]] = match policy {
            WhenFull::Reject => {
                assert!(settled.is_err());
                &[[0], [1]]
            }
            WhenFull::DropOldest => &[[1], [2]],
            _ => &[[0], [1]],
        };
        assert_eq!(user.bodies(from, 9), expected, "{}", policy.word());
    }
}

pub fn create_and_remove<F: Fixture>(middleware: &F) {
    let name = middleware.name("once");
    let mut user = middleware.user();
    user.create(&name, &QueueSpec::default());
    let again = user.connection.create(&name, &QueueSpec::default());
    assert!(matches!(again, Err(QueueError::Exists)), "{again:?}");
    let listed = user.connection.list().expect("it lists");
    assert!(listed.iter().any(|queue| queue.name == name));
    user.connection.remove(&name).expect("it is removed");
    let listed = user.connection.list().expect("it lists");
    assert!(!listed.iter().any(|queue| queue.name == name));
    user.create(&name, &QueueSpec::default());
    let from = user.receiver(&name);
    assert!(user.take(from, 9).is_empty(), "a new queue is empty");
}

pub fn no_such_queue<F: Fixture>(middleware: &F) {
    let name = middleware.name("nowhere");
    let mut user = middleware.user();
    assert!(matches!(user.connection.open_send(&name), Err(QueueError::NoSuchQueue)));
    assert!(matches!(user.connection.open_receive(&name), Err(QueueError::NoSuchQueue)));
    assert!(matches!(user.connection.remove(&name), Err(QueueError::NoSuchQueue)));
    assert!(matches!(user.connection.stat(&name), Err(QueueError::NoSuchQueue)));
}

pub fn stat_counts<F: Fixture>(middleware: &F) {
    let name = middleware.name("stat");
    let mut user = middleware.user();
    let can = user.connection.capabilities();
    let capacity = can.bounded.then_some(5);
    user.create(&name, &QueueSpec { capacity, demand: true, ..QueueSpec::default() });
    let to = user.sender(&name);
    (0..4).for_each(|i| _ = user.send(to, &[i]));
    let from = user.receiver(&name);
    let taken = user.take(from, 3);
    let stat = user.connection.stat(&name).expect("it is there");
    if can.counts_held {
        assert_eq!((stat.depth, stat.held, stat.capacity, stat.readers), (1, 3, 5, 1));
    } else {
        assert_eq!((stat.depth, stat.held), (4, 0), "what is in work counts as waiting");
    }
    user.settle(&taken.iter().collect::<Vec<_>>(), Vec::new());
    let stat = user.connection.stat(&name).expect("it is there");
    assert_eq!((stat.depth, stat.held), (1, 0));
}

/// More outputs than the target has room for: they go in parts, in order.
pub fn many_outputs<F: Fixture>(middleware: &F) {
    let (a, b) = (middleware.name("in"), middleware.name("out"));
    let (mut user, mut reader) = (middleware.user(), middleware.user());
    user.create(&a, &QueueSpec::default());
    let count = 60_u8;
    // All or nothing needs room for all of them.
    let can = user.connection.capabilities();
    let capacity = (can.bounded && can.atomic_settle).then_some(u64::from(count));
    let order = Some(can.orders[0]);
    user.create(&b, &QueueSpec { capacity, order, demand: true, ..QueueSpec::default() });
    let (to_a, to_b) = (user.sender(&a), user.sender(&b));
    let (from_a, from_b) = (user.receiver(&a), reader.receiver(&b));
    user.send(to_a, b"in");
    let taken = user.take(from_a, 1);
    let mut settled = user.settle(&[&taken[0]], (0..count).map(|i| (to_b, event(&[i]))).collect());
    let mut came = Vec::new();
    let patience = Instant::now() + SOON;
    while came.len() < usize::from(count) && Instant::now() < patience {
        came.extend(reader.bodies(from_b, 9));
        if settled != Settled::Done && !user.resume().is_empty() {
            settled = Settled::Done;
        }
    }
    assert_eq!(came, (0..count).map(|i| vec![i]).collect::<Vec<_>>());
    assert_eq!(settled, Settled::Done);
    assert_eq!(user.connection.stat(&a).expect("it is there").held, 0);
}

pub fn control_travels<F: Fixture>(middleware: &F) {
    let name = middleware.name("control");
    let mut user = middleware.user();
    user.create(&name, &QueueSpec::default());
    let (to, from) = (user.sender(&name), user.receiver(&name));
    let mut sent = event(b"x");
    sent.control = Some(Box::new(Control {
        run: "r".into(),
        invocation: "t-9".into(),
        credit: Credit::whole().split(3).swap_remove(1),
        hop: 4,
        ..Control::default()
    }));
    sent.note("faasreason", "why");
    user.settle(&[], vec![(to, sent.clone())]);
    assert_eq!(user.take(from, 1)[0].event, sent);
}

/// A reader dies while its outputs wait for room. Either the message comes
/// again and nothing of it is out, or it does not and all of it will be.
pub fn half_sent_is_finished<F: Fixture>(middleware: &F) {
    let (a, b) = (middleware.name("half-in"), middleware.name("half-out"));
    let mut owner = middleware.user();
    if !owner.connection.capabilities().bounded {
        println!("a queue never fills, and nobody waits for room");
        return;
    }
    let atomic = owner.connection.capabilities().atomic_settle;
    owner.create(&a, &QueueSpec::default());
    let spec = QueueSpec { capacity: Some(4), demand: true, ..QueueSpec::default() };
    owner.create(&b, &spec);
    let (to, to_b, from_b) = (owner.sender(&a), owner.sender(&b), owner.receiver(&b));
    owner.send(to, b"in");
    // All or nothing waits for the first place; the others for the last.
    let filling = if atomic { 4 } else { 0 };
    (0..filling).for_each(|_| _ = owner.send(to_b, b"before"));
    // A large output has its body beside the queue.
    let large = |i: u8| vec![i; 5_000];
    {
        let mut reader = middleware.user();
        let (from, out) = (reader.receiver(&a), reader.sender(&b));
        let taken = reader.take(from, 1);
        let outputs = (0..9).map(|i| (out, event(&large(i)))).collect();
        assert_eq!(reader.settle(&[&taken[0]], outputs), Settled::Waiting);
    }
    let mut next = middleware.user();
    let from_a = next.receiver(&a);
    assert_eq!(next.take(from_a, 1).len(), usize::from(atomic), "the message comes again");
    let mut came = Vec::new();
    let patience = Instant::now() + Duration::from_millis(if atomic { 300 } else { 5_000 });
    while came.len() < filling + 9 && Instant::now() < patience {
        came.extend(owner.bodies(from_b, 9));
        next.resume();
    }
    let expected: Vec<Vec<u8>> =
        if atomic { vec![b"before".to_vec(); 4] } else { (0..9).map(large).collect() };
    assert_eq!(came, expected, "each once, in order");
    if !atomic {
        assert_eq!(next.connection.stat(&a).expect("it is there").held, 0);
    }
}

/// Recorded outputs for a queue that is gone do not stand in the way of the
/// other messages.
pub fn recorded_for_a_queue_that_is_gone<F: Fixture>(middleware: &F) {
    let (a, b) = (middleware.name("still"), middleware.name("gone-target"));
    let mut owner = middleware.user();
    if !owner.connection.capabilities().bounded {
        println!("a queue never fills, and nothing is recorded");
        return;
    }
    owner.create(&a, &QueueSpec::default());
    let spec = QueueSpec { capacity: Some(1), demand: true, ..QueueSpec::default() };
    owner.create(&b, &spec);
    let to = owner.sender(&a);
    owner.send(to, b"in");
    {
        let mut reader = middleware.user();
        let (from, out) = (reader.receiver(&a), reader.sender(&b));
        let taken = reader.take(from, 1);
        if reader.connection.capabilities().atomic_settle {
            reader.send(out, b"before");
        }
        let outputs = (0..2).map(|i| (out, event(&[i]))).collect();
        assert_eq!(reader.settle(&[&taken[0]], outputs), Settled::Waiting);
    }
    owner.connection.remove(&b).expect("it is removed");
    owner.send(to, b"next");
    let mut next = middleware.user();
    let from = next.receiver(&a);
    assert!(next.bodies(from, 9).contains(&b"next".to_vec()));
}
