//! `idleway check`: what is wrong with a configuration, or what it means.

mod json;
mod summary;

use std::io;
use std::path::{Path, PathBuf};

use clap::error::ErrorKind;
use clap::{Args, CommandFactory};
use idleway::config::{Faults, Plan, Source};

use super::explain::{ExplainArgs, explain};
use super::{Cli, Failure, find, say, tell};

#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  idleway check                              the file that `idleway run` would read
  idleway check idleway.toml other.toml      several at once
  idleway check --json - < idleway.toml      for editors and CI
  idleway check --print idleway.toml         every key, with what it comes to
  idleway check --route GET http://host/path which route takes a request, and why

Of the environment only what the file itself names by ${NAME} is looked at, not IDLEWAY_LISTEN and the like.
Ends with 0 where all is well, with 78 where a file is at fault; --route with 1 where no route takes the request.")]
pub(super) struct CheckArgs {
    /// The configuration files; `-` reads standard input [default: the one that `idleway run` would read].
    #[arg(value_name = "FILE")]
    files: Vec<PathBuf>,
    /// Say it as JSON on standard output, one object in a line for each file: for editors and CI.
    #[arg(long, conflicts_with = "print")]
    json: bool,
    /// Show what the file comes to, as a file in which every key stands.
    #[arg(long)]
    print: bool,
    #[command(flatten)]
    explain: ExplainArgs,
}

pub(super) fn check(args: &CheckArgs) -> Result<(), Failure> {
    args.explain.refuse_nonsense();
    if args.print && args.files.len() > 1 {
        Cli::command().error(ErrorKind::TooManyValues, "--print takes one file").exit();
    }
    if args.explain.is_asked() && args.files.len() > 1 {
        Cli::command().error(ErrorKind::TooManyValues, "--route takes one file").exit();
    }
    let files = if args.files.is_empty() { &[find::find()][..] } else { &args.files };
    let mut is_good = true;
    for file in files {
        let source = read(file);
        let read = source.and_then(|source| source.plan().map(|plan| (source, plan)));
        if let Ok((source, plan)) = &read
            && let Some(explained) = explain(&args.explain, plan, &source.hiding())
        {
            return explained;
        }
        is_good &= read.is_ok();
        say_of(file, read, args);
    }
    if is_good { Ok(()) } else { Err(Failure::Found(78)) }
}

fn read(file: &Path) -> Result<Source, Faults> {
    if file.as_os_str() == "-" {
        return Source::read_from(io::stdin().lock(), "standard input");
    }
    Source::read(file)
}

fn say_of(file: &Path, read: Result<(Source, Plan), Faults>, args: &CheckArgs) {
    match read {
        Ok((source, _)) if args.json => say(&json::of(source.name(), None)),
        Err(faults) if args.json => say(&json::of(faults.name(), Some(&faults))),
        Ok((source, plan)) if args.print => say(source.print(&plan).trim_end()),
        Ok((source, plan)) => {
            let name =
                if file.as_os_str() == "-" { source.name().to_owned() } else { file.display().to_string() };
            say(&format!("{name} is good: {}", summary::of(&plan, &source.hiding())));
        }
        Err(faults) => tell(&faults),
    }
}
