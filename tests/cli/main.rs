//! The tools as a person types them: whole outcomes as snapshots, and what
//! they leave behind.

mod adversity;
mod ahead;
mod bad_chains;
mod bad_functions;
mod bad_input;
mod complete;
mod config;
mod damage;
mod examples;
mod failing;
mod fed;
mod filters;
mod flow;
mod functions;
mod help;
mod http_source;
mod joins;
mod limits;
mod look;
mod loops;
mod queues;
mod redrive;
mod resume;
mod runs;
mod servers;
mod signals;
mod sources;
mod terminal;
mod web;

/// Compares a script's whole outcome with the kept one.
macro_rules! told {
    ($script:expr) => {{
        let sandbox = faas_tests::Sandbox::new();
        insta::assert_snapshot!(sandbox.told($script));
    }};
}
pub(crate) use told;
