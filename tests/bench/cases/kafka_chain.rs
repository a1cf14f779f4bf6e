//! A chain of 3 filters that do nothing over Kafka, at least once: ours, and
//! the bare loop that consumes, produces and commits, with records as long as
//! ours and with a body only.

use super::brokers::{self, HOPS, WINDOW};
use crate::bare_kafka::BareKafka;
use crate::ours::Ours;
use crate::program::Program;
use crate::report::Report;
use crate::subject::Subject;

/// Messages of a round, one in flight.
const COUNT: usize = 300;

/// One message in flight.
pub fn hop(report: &mut Report) {
    report.title("kafka-hop: chain of 3 filters (cat) over Kafka, one message in flight");
    let Some(kafka) = brokers::kafka(report) else { return };
    let (url, program) = (kafka.url(), Program::cat(true));
    let mut ours = Ours::start_via(&url, HOPS, &program);
    let mut bare = BareKafka::start(&url, HOPS, &program, 1, true);
    let mut short = BareKafka::start(&url, HOPS, &program, 1, false);
    let subjects = &mut [&mut ours as &mut dyn Subject, &mut bare, &mut short];
    brokers::hop(report, "kafka-hop", COUNT, subjects);
}

/// Many under way; the bare loop takes and commits many at once.
pub fn saturation(report: &mut Report) {
    for (program, what, goal) in brokers::functions() {
        report.title(&format!(
            "kafka-saturation: chain of 3 filters ({what}) over Kafka, 64 messages under way"
        ));
        let Some(kafka) = brokers::kafka(report) else { return };
        let url = kafka.url();
        let mut ours = Ours::start_via(&url, HOPS, &program);
        let mut bare = BareKafka::start(&url, HOPS, &program, WINDOW, true);
        let mut short = BareKafka::start(&url, HOPS, &program, WINDOW, false);
        let subjects = &mut [&mut ours as &mut dyn Subject, &mut bare, &mut short];
        brokers::saturation(report, "kafka-saturation", goal, subjects);
    }
}
