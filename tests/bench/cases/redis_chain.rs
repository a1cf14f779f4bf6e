//! A chain of 3 filters that do nothing over Redis Streams: ours, and the bare
//! loop with the same reads and the same script.

use super::brokers::{self, HOPS, WINDOW};
use crate::bare_redis::BareRedis;
use crate::ours::Ours;
use crate::program::Program;
use crate::report::Report;
use crate::subject::Subject;

/// Messages of a round, one in flight.
const COUNT: usize = 1_000;

/// One message in flight.
pub fn hop(report: &mut Report) {
    report.title("redis-hop: chain of 3 filters (cat) over Redis, one message in flight");
    let Some(redis) = brokers::redis(report) else { return };
    let (url, program) = (redis.url(), Program::cat(true));
    let mut ours = Ours::start_via(&url, HOPS, &program);
    let mut bare = BareRedis::start("bare", &url, HOPS, &program, 1);
    let subjects = &mut [&mut ours as &mut dyn Subject, &mut bare];
    brokers::hop(report, "redis-hop", COUNT, subjects);
}

/// Many under way. The bare loop that counts reads and settles many at once
/// where they are there, as ours does; the other one by one.
pub fn saturation(report: &mut Report) {
    for (program, what, goal) in brokers::functions() {
        report.title(&format!(
            "redis-saturation: chain of 3 filters ({what}) over Redis, 64 messages under way"
        ));
        let Some(redis) = brokers::redis(report) else { return };
        let url = redis.url();
        let mut ours = Ours::start_via(&url, HOPS, &program);
        let mut bare = BareRedis::start("bare", &url, HOPS, &program, WINDOW);
        let mut single = BareRedis::start("one by one", &url, HOPS, &program, 1);
        let subjects = &mut [&mut ours as &mut dyn Subject, &mut bare, &mut single];
        brokers::saturation(report, "redis-saturation", goal, subjects);
    }
}
