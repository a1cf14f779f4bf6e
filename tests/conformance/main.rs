//! One suite for every middleware. A test that needs an ability a middleware
//! does not have checks that asking for it is refused, and says so.

mod delivery;
mod fixture;
mod joins;
mod order;
mod sizes;
mod views;

use fixture::{Fixture, Kafka, Mem, Mq, Redis};

/// Makes a module of tests for each middleware.
macro_rules! suite {
    ($($middleware:ident: $fixture:ty { $($test:path as $name:ident,)* })*) => {
        $(mod $middleware {
            use super::*;
            $(#[test]
            fn $name() {
                $test(&<$fixture>::new());
            })*
        })*
    };
}

macro_rules! suites {
    ($($middleware:ident: $fixture:ty,)*) => {
        suite! { $($middleware: $fixture {
            order::fifo as keeps_first_in_first_out,
            order::lifo as keeps_last_in_first_out_or_refuses,
            order::first_come_first_served as wakes_the_reader_that_waited_longest,
            order::a_busy_reader_is_not_woken as leaves_a_reader_alone_that_does_not_listen,
            delivery::competing_consumers as gives_each_message_to_one_consumer,
            delivery::unsettled_comes_back as gives_back_what_a_reader_left,
            delivery::settled_never_comes_back as forgets_what_was_settled,
            delivery::settle_sends as sends_and_acknowledges_in_one_settle,
            delivery::attempts_are_counted as counts_attempts_across_readers,
            delivery::readiness as tells_when_there_is_something,
            delivery::empty as finds_nothing_in_an_empty_queue,
            delivery::full_blocks as waits_for_room_and_goes_on,
            delivery::full_policies as keeps_or_refuses_each_policy_when_full,
            delivery::create_and_remove as creates_once_and_removes,
            delivery::no_such_queue as knows_what_is_not_there,
            delivery::stat_counts as counts_depth_held_and_readers,
            delivery::half_sent_is_finished as finishes_what_a_dead_reader_was_sending,
            delivery::recorded_for_a_queue_that_is_gone as goes_on_beside_outputs_for_a_lost_queue,
            delivery::many_outputs as hands_over_more_outputs_than_fit,
            delivery::control_travels as carries_the_control_block,
            joins::fires_once as gathers_parts_and_fires_once,
            joins::fires_once_of_k as fires_once_with_the_kth_part,
            joins::fires_again_after_a_crash as fires_again_for_who_takes_over,
            sizes::around_every_limit as carries_bodies_around_every_limit,
            sizes::large as carries_a_large_body,
            sizes::large_attributes as carries_large_attributes,
            sizes::names as takes_odd_names,
            sizes::many_queues as works_with_many_queues,
            views::takes_nothing as shows_messages_and_takes_none,
            views::follows as shows_what_comes_later,
            views::knows_what_is_not_there as cannot_show_what_is_not_there,
        })* }
    };
}

suites! {
    mem: Mem,
    mq: Mq,
    redis: Redis,
    kafka: Kafka,
}
