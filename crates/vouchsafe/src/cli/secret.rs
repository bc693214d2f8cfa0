//! What can be typed after `vouchsafe secret`.

use std::path::PathBuf;

use clap::Subcommand;

use super::InVault;
use super::object::{Noun, Object, Which};

#[derive(Debug, Subcommand)]
pub enum Secret {
    /// Set a secret; the value comes from a file, standard input or a prompt
    Set {
        /// The secret's name
        name: String,
        #[command(flatten)]
        vault: InVault,
        /// The file with the value; `-` reads standard input
        #[arg(long, value_name = "FILE")]
        value_file: Option<PathBuf>,
        /// What kind of text it is
        #[arg(long, value_name = "TYPE")]
        content_type: Option<String>,
    },
    /// Write a secret's value to standard output or a file
    Get {
        #[command(flatten)]
        secret: Which<Self>,
        /// Write the value into this new file, for its owner only
        #[arg(long, value_name = "FILE")]
        value_file: Option<PathBuf>,
    },
    #[command(flatten)]
    Object(Object<Secret>),
}

impl Noun for Secret {
    const WORD: &str = "secret";
    const LISTED: &str = ", without values";
}
