//! Lists that do not fit a page, of any kind of object: the clients' types differ, what is looked at does not.

use std::collections::HashMap;
use std::pin::pin;

use anyhow::{Result, ensure};
use futures_util::{Stream, TryStreamExt};

use crate::keys::tags;
use crate::world::equal;

/// The most that a vault puts on a page.
const PAGE_MAX: usize = 25;

/// What a list says of an object.
pub struct Listed {
    pub name: String,
    pub version: Option<String>,
    pub tags: Option<HashMap<String, String>>,
}

/// Everything in a list of at least so many pages, none of them too long.
pub async fn over_pages<P>(
    pages: impl Stream<Item = azure_core::Result<P>>,
    pages_min: usize,
    read: impl Fn(P) -> Result<Vec<Listed>>,
) -> Result<Vec<Listed>> {
    let (mut pages, mut sizes, mut all) = (pin!(pages), Vec::new(), Vec::new());
    while let Some(page) = pages.try_next().await? {
        let items = read(page)?;
        sizes.push(items.len());
        all.extend(items);
    }
    ensure!(sizes.len() >= pages_min && sizes.iter().all(|&size| size <= PAGE_MAX), "pages of {sizes:?}");
    Ok(all)
}

/// So many names that begin alike, each with the label that an object of this name is given.
pub fn numbered(prefix: &str, count: usize) -> Vec<(String, String)> {
    let numbers = (0..count).map(|number| format!("{number:02}"));
    numbers.map(|number| (format!("{prefix}-{number}"), number)).collect()
}

/// Fails unless each of these is listed once, without a version and with its label.
pub fn each_once(listed: Vec<Listed>, prefix: &str, expected: &[(String, String)]) -> Result<()> {
    let mut found = Vec::new();
    for Listed { name, version, tags: labels } in listed {
        if let Some(number) = name.strip_prefix(&format!("{prefix}-")) {
            equal((labels, version), (tags(&[("n", number)]), None))?;
            found.push(name);
        }
    }
    found.sort();
    equal(found, expected.iter().map(|(name, _)| name.clone()).collect())
}
