//! Who gets what, in which order.

use crate::fixture::{Fixture, body};
use faas_common::queue::{Order, QueueError, QueueSpec, Waiting};
use std::sync::mpsc;
use std::time::Duration;

pub fn fifo<F: Fixture>(middleware: &F) {
    let name = middleware.name("fifo");
    let mut user = middleware.user();
    let spec = QueueSpec { order: Some(Order::Fifo), demand: true, ..QueueSpec::default() };
    user.create(&name, &spec);
    let (to, from) = (user.sender(&name), user.receiver(&name));
    for round in 0..3_u8 {
        for i in 0..8 {
            user.send(to, &[round, i]);
        }
        let expected: Vec<Vec<u8>> = (0..8).map(|i| vec![round, i]).collect();
        assert_eq!(user.bodies(from, 100), expected);
    }
}

pub fn lifo<F: Fixture>(middleware: &F) {
    let name = middleware.name("lifo");
    let mut user = middleware.user();
    let spec = QueueSpec { order: Some(Order::Lifo), demand: true, ..QueueSpec::default() };
    if !user.connection.capabilities().orders.contains(&Order::Lifo) {
        let refused = user.connection.create(&name, &spec);
        let Err(QueueError::Refused { alternative, .. }) = refused else {
            panic!("it should be refused: {refused:?}")
        };
        println!("refused; the alternative is {alternative}");
        return;
    }
    user.create(&name, &spec);
    let (to, from) = (user.sender(&name), user.receiver(&name));
    (0..5).for_each(|i| _ = user.send(to, &[i]));
    assert_eq!(user.bodies(from, 2), [[4], [3]]);
    user.send(to, &[9]);
    assert_eq!(user.bodies(from, 9), [[9], [2], [1], [0]]);
}

/// Readers wait in turn; each message goes to the one that has waited longest.
pub fn first_come_first_served<F: Fixture>(middleware: &F) {
    let name = middleware.name("turns");
    let mut owner = middleware.user();
    owner.create(&name, &QueueSpec::default());
    if owner.connection.capabilities().waiting != Waiting::FirstCome {
        println!("this middleware serves waiting readers in any order");
        return;
    }
    let to = owner.sender(&name);
    let (tell, told) = mpsc::channel();
    let readers: Vec<_> = (0..3)
        .map(|reader| {
            let (middleware, name, tell) = (middleware.clone(), name.clone(), tell.clone());
            let thread = std::thread::spawn(move || {
                let mut user = middleware.user();
                let from = user.receiver(&name);
                loop {
                    user.connection.listen(from, true).expect("it listens");
                    user.wait(Duration::from_secs(10));
                    // Who was served goes to the end of the line.
                    user.connection.listen(from, false).expect("it stops listening");
                    for taken in user.take(from, 1) {
                        user.settle(&[&taken], Vec::new());
                        let message = body(&taken);
                        if message == b"end" {
                            return;
                        }
                        tell.send(reader).expect("the test listens");
                    }
                }
            });
            // The next reader comes when this one waits.
            std::thread::sleep(Duration::from_millis(150));
            thread
        })
        .collect();
    let mut served = Vec::new();
    for i in 0..9_u8 {
        owner.send(to, &[i]);
        served.push(told.recv_timeout(Duration::from_secs(10)).expect("somebody is served"));
        std::thread::sleep(Duration::from_millis(60));
    }
    readers.iter().for_each(|_| _ = owner.send(to, b"end"));
    readers.into_iter().for_each(|thread| thread.join().expect("a reader ends"));
    assert_eq!(served, [0, 1, 2, 0, 1, 2, 0, 1, 2]);
}

pub fn a_busy_reader_is_not_woken<F: Fixture>(middleware: &F) {
    let name = middleware.name("busy");
    let (mut busy, mut free) = (middleware.user(), middleware.user());
    free.create(&name, &QueueSpec::default());
    if free.connection.capabilities().waiting == Waiting::ByPartition {
        println!("a message is for the reader of its partition, busy or not");
        return;
    }
    let (from_busy, from_free) = (busy.receiver(&name), free.receiver(&name));
    busy.connection.listen(from_busy, true).expect("it listens");
    free.connection.listen(from_free, true).expect("it listens");
    busy.connection.listen(from_busy, false).expect("it stops listening");
    let to = free.sender(&name);
    free.send(to, b"x");
    assert!(!free.wait(Duration::from_secs(5)).is_empty());
    assert_eq!(free.bodies(from_free, 1), [b"x"]);
    assert!(busy.wait(Duration::from_millis(50)).is_empty());
}
