//! `completions`: what makes a shell complete this command.

use std::io::Write;

use clap::{Args, CommandFactory};
use clap_complete::{Shell, generate};

use crate::{Arguments, Failure};

/// Print a script that makes your shell complete this command
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  smartclean-push completions bash > ~/.local/share/bash-completion/completions/smartclean-push
  smartclean-push completions zsh > ~/.zfunc/_smartclean-push
  smartclean-push completions fish > ~/.config/fish/completions/smartclean-push.fish")]
pub(super) struct Completions {
    /// Which shell
    shell: Shell,
}

impl Completions {
    pub(super) fn run(self) -> Result<(), Failure> {
        // Into memory first: the generator panics where the output ends early, as `head` makes it.
        let mut script = Vec::new();
        generate(self.shell, &mut Arguments::command(), env!("CARGO_PKG_NAME"), &mut script);
        let written = anstream::stdout().write_all(&script);
        written.map_err(|fault| Failure::new(format!("the script cannot be printed: {fault}")))
    }
}
