//! `faas-queue`: see `cli.rs` for what it offers and `run.rs` for what it does.

mod cli;
mod run;

use clap::{CommandFactory, Parser};
use faas_common::cli::{generate, main};
use std::process::ExitCode;

fn main() -> ExitCode {
    let cli = cli::Cli::parse();
    main::run("faas-queue", || match cli.generate {
        Some(what) => Ok(generate::print(cli::Cli::command(), what)),
        None => run::run(cli),
    })
}
