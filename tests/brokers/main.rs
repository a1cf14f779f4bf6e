//! Chains on brokers, with the tools as a person types them: what works, what
//! goes wrong beneath them, and what they say to bad input.

mod common;
mod hosts;
mod hybrid;
mod kafka;
mod kafka_bad_input;
mod kafka_balance;
mod kafka_brokers;
mod kafka_faults;
mod look;
mod partition;
mod profiles;
mod redis;
mod redis_bad_input;
mod redis_bulk;
mod redis_cluster;
mod redis_faults;
mod verbs;
mod watch;
