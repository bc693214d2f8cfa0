//! What can be typed for every kind of object in a vault: lists, backups, and the way from deletion to recovery or purge.

use std::fmt::Debug;
use std::marker::PhantomData;
use std::path::PathBuf;

use clap::{Args, Subcommand};

use super::InVault;

/// A kind of object, in the words of its help.
pub trait Noun: Debug {
    /// The word for one.
    const WORD: &'static str;
    /// What a list of them leaves out, where that must be said.
    const LISTED: &'static str = "";
    /// What is deleted with one.
    const WITH: &'static str = "";
}

#[derive(Debug, Subcommand)]
pub enum Object<N: Noun> {
    #[command(about = format!("List {}s{}", N::WORD, N::LISTED))]
    List {
        #[command(flatten)]
        vault: InVault,
        /// List soft-deleted ones
        #[arg(long)]
        deleted: bool,
    },
    #[command(about = format!("List the versions of a {}", N::WORD))]
    Versions(Named<N>),
    /// Write a sealed backup of all versions into a new file
    Backup {
        #[command(flatten)]
        named: Named<N>,
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
    #[command(about = format!("Soft-delete a {}{}", N::WORD, N::WITH))]
    Delete(Named<N>),
    #[command(about = format!("Make a soft-deleted {} live again", N::WORD))]
    Recover(Named<N>),
    #[command(about = format!("Destroy a soft-deleted {}{}", N::WORD, N::WITH))]
    Purge(Named<N>),
}

/// One object of a vault.
#[derive(Args, Debug)]
pub struct Named<N: Noun> {
    #[arg(help = format!("The {}'s name", N::WORD))]
    pub name: String,
    #[command(flatten)]
    pub vault: InVault,
    #[arg(skip)]
    noun: PhantomData<N>,
}

/// One version of an object.
#[derive(Args, Debug)]
pub struct Which<N: Noun> {
    #[command(flatten)]
    pub named: Named<N>,
    /// The version; the current one if not given
    #[arg(long, value_name = "VERSION")]
    pub version: Option<String>,
}
