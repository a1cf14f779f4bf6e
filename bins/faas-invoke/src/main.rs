//! `faas-invoke`: see `cli.rs` for what it offers and `run.rs` for what it does.

mod cli;
mod run;

use clap::CommandFactory;
use faas_common::cli::{generate, main, parse};
use std::process::ExitCode;

fn main() -> ExitCode {
    main::run("faas-invoke", || {
        let cli: cli::Cli = parse::parse()?;
        match cli.generate {
            Some(what) => Ok(generate::print(cli::Cli::command(), what)),
            None => run::run(cli),
        }
    })
}
