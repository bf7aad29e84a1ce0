//! `completions`: completion scripts for shells.

use clap::{Args, CommandFactory};
use clap_complete::{Shell, generate};

use crate::output::print_results;
use crate::{CommandLine, Failure};

/// Print a completion script for your shell
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  smartclean-push completions bash > ~/.local/share/bash-completion/completions/smartclean-push
  smartclean-push completions zsh > ~/.zfunc/_smartclean-push
  smartclean-push completions fish > ~/.config/fish/completions/smartclean-push.fish")]
pub(super) struct CompletionsCommand {
    /// Name of the shell
    shell: Shell,
}

impl CompletionsCommand {
    pub(super) fn run(self) -> Result<(), Failure> {
        // Into memory first: the generator panics if the output ends early, as with `head`.
        let mut script = Vec::new();
        let mut command = CommandLine::command();
        let name = command.get_name().to_owned();
        generate(self.shell, &mut command, name, &mut script);
        print_results(String::from_utf8_lossy(&script))
    }
}
