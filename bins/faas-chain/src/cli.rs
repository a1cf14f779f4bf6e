#[derive(clap::Parser)] pub struct Cli { #[arg(long)] pub generate: Option<faas_common::cli::generate::Generate> }
