//! The flags of `profile`.

use clap::{Args, Subcommand};
use faas_common::cli::table::Listing;

/// Flags of `profile`.
#[derive(Debug, Args)]
#[command(after_help = "\
A profile stands in ./faas.toml or in ~/.config/faas-tools/config.toml, the nearer one
first. Wherever a URL is asked for, @NAME/QUEUE stands for that queue of its server.

Examples:
  faas-queue profile add prod redis://ann@queues.example/0 --password-file ~/.secrets/prod
  faas-queue profile add dev kafka://127.0.0.1:9092 --here
  faas-queue profile test prod
  faas-queue peek @prod/orders")]
pub struct Profile {
    /// What to do
    #[command(subcommand)]
    pub verb: ProfileVerb,
}

/// What can be done with profiles.
#[derive(Debug, Subcommand)]
pub enum ProfileVerb {
    /// Write a profile, in place of one of the same name
    Add(Add),
    /// List profiles; passwords are not shown, only where they are
    Ls(List),
    /// Remove a profile
    Rm(Remove),
    /// Connect to a profile's server, and say how long that took
    Test(Test),
}

/// Flags of `profile add`.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  faas-queue profile add dev kafka://127.0.0.1:9092\n  faas-queue profile add prod redis://ann@queues.example/0 --password-file ~/.secrets/prod\n  faas-queue profile add prod rediss://queues.example/0 --password-command 'pass show prod'"
)]
pub struct Add {
    /// Its name: letters, digits, - and _
    #[arg(value_name = "NAME")]
    pub name: String,
    /// The server, not one of its queues
    #[arg(value_name = "URL")]
    pub url: String,
    /// Its password is in this file
    #[arg(long, value_name = "FILE", group = "secret")]
    pub password_file: Option<String>,
    /// Its password is in this variable of the environment
    #[arg(long, value_name = "NAME", group = "secret")]
    pub password_env: Option<String>,
    /// This command prints its password; words are separated by blanks
    #[arg(long, value_name = "COMMAND", group = "secret")]
    pub password_command: Option<String>,
    /// Read its password from stdin, and write it into the file as it is
    #[arg(long, group = "secret")]
    pub password_plain: bool,
    /// Write it into ./faas.toml
    #[arg(long)]
    pub here: bool,
}

/// Flags of `profile ls`.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  faas-queue profile ls\n  faas-queue profile ls -o json | jq -r .url"
)]
pub struct List {
    /// Shape of the list
    #[arg(short, long, value_enum, default_value_t)]
    pub output: Listing,
}

/// Flags of `profile rm`.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  faas-queue profile rm prod")]
pub struct Remove {
    /// Its name
    #[arg(value_name = "NAME")]
    pub name: String,
}

/// Flags of `profile test`.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  faas-queue profile test prod")]
pub struct Test {
    /// Its name
    #[arg(value_name = "NAME")]
    pub name: String,
}
