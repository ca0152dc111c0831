use anyhow::Result;
use clap::CommandFactory;
use clap_complete::Shell;

use crate::Cli;
use crate::exit::Exit;
use crate::output::Output;

/// Print the completions for a shell
#[derive(clap::Args)]
#[command(before_help = "\
Examples:
  factlog completions bash > ~/.local/share/bash-completion/completions/factlog
  factlog completions zsh > ~/.zfunc/_factlog
  factlog completions fish > ~/.config/fish/completions/factlog.fish")]
pub(crate) struct Args {
    /// The shell
    shell: Shell,
}

pub(crate) fn run(args: &Args, out: &mut Output) -> Result<Exit> {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut Cli::command(), "factlog", &mut script);
    out.write(&script)?;
    Ok(Exit::Done)
}
