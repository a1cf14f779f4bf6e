//! Time per message when there are many queues, and many functions in a file.

use super::ROUNDS;
use crate::ours::Ours;
use crate::report::{Report, Series};
use crate::subject::{BODY, Subject, in_turn, middle, one_in_flight};
use faas_common::chain::condition::Conditions;
use faas_common::chain::route::{Router, branches};
use faas_common::chain::{Chain, Rules, Scopes, parse_text};
use faas_common::event::credit::Credit;
use faas_common::event::{Control, Event};
use std::time::{Duration, Instant};

/// As many queues as a host grants by default, but for a few.
const QUEUES: usize = 70;
/// Functions of a large file.
const FUNCTIONS: usize = 10_000;

/// Queues that one invoker serves, and functions in a file.
pub fn run(report: &mut Report) {
    report.title("scale: one invoker serves 70 queues, or 1; a message through one of them");
    // The reply queue is one more, and so is the queue of the first function.
    let mut many = Ours::open("70 queues", &star(QUEUES - 2), true);
    let mut one = Ours::open("2 queues", &star(1), true);
    let mut subjects: Vec<&mut dyn Subject> = vec![&mut many, &mut one];
    for subject in &mut subjects {
        one_in_flight(*subject, 50, Duration::ZERO);
    }
    let series = in_turn(&mut subjects, ROUNDS, |subject| {
        middle(&one_in_flight(subject, 300, Duration::ZERO))
    });
    report.compare("queues", &[("queues", QUEUES as u64)], "us", &series, Some("<=1.2"));

    report.title("scale: routing an output in a file of 10 000 functions, or of 1 (no queues)");
    let (many, one) = (chain(FUNCTIONS), chain(1));
    let mut series =
        [Series { name: "10 000", rounds: vec![] }, Series { name: "1", rounds: vec![] }];
    for _ in 0..ROUNDS {
        series[0].rounds.push(routing_us(&many));
        series[1].rounds.push(routing_us(&one));
    }
    let parameters = [("functions", FUNCTIONS as u64)];
    report.compare("functions", &parameters, "us", &series, Some("<=1.2"));
}

/// A first function whose output is the result, and others it never leads to.
fn star(others: usize) -> String {
    let function = "{ \"run\": [\"cat\"], \"worker\": \"filter\", \"keep\": \"always\" }";
    let idle = "{ \"run\": [\"cat\"], \"worker\": \"filter\" }";
    let functions: String = (1..=others).map(|i| format!(", \"f{i}\": {idle}")).collect();
    let names: Vec<String> = (1..=others).map(|i| format!("\"f{i}\"")).collect();
    format!(
        "{{ \"chain\": \"star\", \"functions\": {{ \"f0\": {function}{functions} }}, \
         \"start\": \"f0\", \"rules\": [ {{ \"from\": \"f0\", \"to\": \"@result\" }}, \
         {{ \"from\": \"f0\", \"when\": \".never\", \"to\": [{}] }} ], \
         \"queues\": {{ \"*\": {{ \"capacity\": 4 }} }} }}",
        names.join(", ")
    )
}

/// `count` functions in a row; the last one's output is a result.
fn chain(count: usize) -> Chain {
    let functions: Vec<String> =
        (0..count).map(|i| format!("\"f{i}\": {{ \"run\": [\"cat\"] }}")).collect();
    let rules: Vec<String> =
        (1..count).map(|i| format!("{{ \"from\": \"f{}\", \"to\": \"f{i}\" }}", i - 1)).collect();
    let text = format!(
        "{{ \"chain\": \"row\", \"functions\": {{ {} }}, \"start\": \"f0\", \"rules\": [ {} ] }}",
        functions.join(", "),
        rules.join(", ")
    );
    parse_text(&text, std::path::Path::new("/")).expect("the chain is valid")
}

/// Microseconds to judge and route an output of the function in the middle.
fn routing_us(chain: &Chain) -> f64 {
    let (scopes, rules, conditions) = (Scopes::of(chain), Rules::of(chain), Conditions::of(chain));
    let router = Router { chain, scopes: &scopes };
    let mut event = Event::bare("1".into(), "/bench".into(), "application/json", BODY.to_vec());
    event.control = Some(Box::new(Control { credit: Credit::whole(), ..Control::default() }));
    let function = chain.functions.len() / 2;
    let began = Instant::now();
    const TIMES: u32 = 2_000;
    for _ in 0..TIMES {
        let rules = rules.on(chain, function, false);
        let holds = conditions.judge(&rules, &event, |_| ()).map_err(|error| error.to_string());
        let branches = branches(&rules, &holds, &[]);
        std::hint::black_box(router.emit(function, &event, vec![(event.clone(), branches)]));
    }
    began.elapsed().as_secs_f64() * 1e6 / f64::from(TIMES)
}
