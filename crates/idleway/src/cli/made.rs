//! What is made from the definitions of the command line and the file: completions, manual pages, the schema.

use std::io::{self, Write};

use clap::error::ErrorKind;
use clap::{Args, CommandFactory};
use clap_complete::Shell;
use clap_mangen::Man;

use super::{Cli, Failure, say};

#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  idleway completions bash > ~/.local/share/bash-completion/completions/idleway
  idleway completions zsh > ~/.zfunc/_idleway
  idleway completions fish > ~/.config/fish/completions/idleway.fish")]
pub(super) struct CompletionsArgs {
    /// The shell.
    shell: Shell,
}

pub(super) fn completions(args: &CompletionsArgs) {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut Cli::command(), "idleway", &mut script);
    // Where nobody reads it any more, nothing is lost.
    let _ = io::stdout().write_all(&script);
}

#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  idleway man | man -l -
  idleway man run > idleway-run.1")]
pub(super) struct ManArgs {
    /// The command whose page it is [default: that of the program].
    command: Option<String>,
}

pub(super) fn man(args: &ManArgs) -> Result<(), Failure> {
    let mut program = Cli::command();
    program.build();
    let page = match &args.command {
        None => program,
        Some(name) => program.find_subcommand(name).cloned().unwrap_or_else(|| {
            Cli::command().error(ErrorKind::InvalidValue, format!("there is no command `{name}`")).exit()
        }),
    };
    let mut written = Vec::new();
    Man::new(page).render(&mut written).map_err(anyhow::Error::from)?;
    let _ = io::stdout().write_all(&written);
    Ok(())
}

#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  idleway schema > idleway.schema.json

A file whose first line is `#:schema ./idleway.schema.json` is completed and checked by editors as it is typed.")]
pub(super) struct SchemaArgs {}

pub(super) fn schema() -> Result<(), Failure> {
    let schema = serde_json::to_string_pretty(&idleway::config::schema()).map_err(anyhow::Error::from)?;
    say(&schema);
    Ok(())
}
