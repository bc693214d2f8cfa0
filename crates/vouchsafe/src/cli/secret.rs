//! What can be typed after `vouchsafe secret`.

use std::path::PathBuf;

use clap::Subcommand;

use super::InVault;

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
        /// The secret's name
        name: String,
        #[command(flatten)]
        vault: InVault,
        /// The version; the current one if not given
        #[arg(long, value_name = "VERSION")]
        version: Option<String>,
        /// Write the value into this new file, for its owner only
        #[arg(long, value_name = "FILE")]
        value_file: Option<PathBuf>,
    },
    /// List secrets, without values
    List {
        #[command(flatten)]
        vault: InVault,
        /// List soft-deleted ones
        #[arg(long)]
        deleted: bool,
    },
    /// List the versions of a secret
    Versions {
        /// The secret's name
        name: String,
        #[command(flatten)]
        vault: InVault,
    },
    /// Write a sealed backup of all versions into a new file
    Backup {
        /// The secret's name
        name: String,
        #[command(flatten)]
        vault: InVault,
        /// The new file
        #[arg(long, value_name = "FILE")]
        file: PathBuf,
    },
    /// Restore a backup; nothing of its name may be there
    Restore {
        #[command(flatten)]
        vault: InVault,
        /// The backup
        #[arg(long, value_name = "FILE")]
        file: PathBuf,
    },
    /// Soft-delete a secret
    Delete {
        /// The secret's name
        name: String,
        #[command(flatten)]
        vault: InVault,
    },
    /// Make a soft-deleted secret live again
    Recover {
        /// The secret's name
        name: String,
        #[command(flatten)]
        vault: InVault,
    },
    /// Destroy a soft-deleted secret
    Purge {
        /// The secret's name
        name: String,
        #[command(flatten)]
        vault: InVault,
    },
}
