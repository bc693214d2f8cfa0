//! The life and the use of keys, written from Key Vault's documentation and not from our code: maps, loops and seconds.
//!
//! Names are compared without case; ids of versions and public halves come from outside, because nobody can predict them.

use std::collections::BTreeMap;

/// One version of a key.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Version {
    /// Its id.
    pub id: String,
    /// Its public half, in any form that compares.
    pub public: String,
    /// Whether it may be used.
    pub enabled: bool,
    /// The names of what it may be used for.
    pub operations: Vec<&'static str>,
    /// The second from which on it is valid.
    pub not_before: Option<u64>,
    /// The second from which on it is not valid any more.
    pub expires: Option<u64>,
}

/// A key: its name as first written, and its versions, the newest last.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Key {
    /// The name.
    pub name: String,
    /// The versions.
    pub versions: Vec<Version>,
    /// The days that its rotation policy gives a new version.
    pub policy_days: Option<u64>,
}

/// What an operation came to, besides its result.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub enum Refusal {
    /// There is no such key, version or deleted key.
    NotFound,
    /// The version is disabled.
    Disabled,
    /// The operation is not permitted on the version.
    Operation,
    /// The version is not valid yet.
    NotYetValid,
    /// The version is not valid any more.
    Expired,
    /// The name belongs to a deleted key.
    Recoverable,
    /// The name belongs to a live key.
    Exists,
    /// The vault is protected against purging.
    Protected,
}

/// A vault: live keys, and deleted ones with the second at which they are purged.
#[derive(Clone, Debug, Default)]
pub struct Vault {
    /// Seconds between deletion and purge.
    pub retention: u64,
    /// Whether nobody may purge sooner.
    pub protected: bool,
    /// Live keys by lower-case name.
    pub live: BTreeMap<String, Key>,
    /// Deleted keys by lower-case name.
    pub deleted: BTreeMap<String, (Key, u64)>,
}

fn canonical(name: &str) -> String {
    name.to_lowercase()
}

/// Whether a version may be used for an operation now.
pub fn usable(version: &Version, operation: &str, now: u64) -> Result<(), Refusal> {
    if !version.enabled {
        return Err(Refusal::Disabled);
    }
    if !version.operations.contains(&operation) {
        return Err(Refusal::Operation);
    }
    // "Not-yet-valid and expired keys … will work for decrypt, unwrap, and verify operations."
    if ["decrypt", "unwrapKey", "verify"].contains(&operation) {
        return Ok(());
    }
    if version.not_before.is_some_and(|from| now < from) {
        return Err(Refusal::NotYetValid);
    }
    if version.expires.is_some_and(|until| now >= until) {
        return Err(Refusal::Expired);
    }
    Ok(())
}

impl Vault {
    fn free(&self, name: &str) -> Result<(), Refusal> {
        if self.deleted.contains_key(&canonical(name)) { Err(Refusal::Recoverable) } else { Ok(()) }
    }

    /// Makes a version.
    pub fn create(&mut self, name: &str, version: Version) -> Result<(), Refusal> {
        self.free(name)?;
        let new = Key { name: name.to_owned(), versions: Vec::new(), policy_days: None };
        self.live.entry(canonical(name)).or_insert(new).versions.push(version);
        Ok(())
    }

    /// Makes a version like the newest one.
    pub fn rotate(&mut self, name: &str, id: &str, public: &str, now: u64) -> Result<(), Refusal> {
        let key = self.live.get_mut(&canonical(name)).ok_or(Refusal::NotFound)?;
        let newest = key.versions.last().ok_or(Refusal::NotFound)?;
        if !newest.enabled {
            return Err(Refusal::Disabled);
        }
        key.versions.push(Version {
            id: id.to_owned(),
            public: public.to_owned(),
            not_before: None,
            expires: key.policy_days.map(|days| now + days * 86_400),
            ..newest.clone()
        });
        Ok(())
    }

    /// Reads a version, the newest if none is named. A disabled one, too.
    pub fn get(&self, name: &str, id: Option<&str>) -> Result<&Version, Refusal> {
        let key = self.live.get(&canonical(name)).ok_or(Refusal::NotFound)?;
        key.versions.iter().rfind(|version| id.is_none_or(|id| version.id == id)).ok_or(Refusal::NotFound)
    }

    /// The version to change, the newest if none is named.
    pub fn to_update(&mut self, name: &str, id: Option<&str>) -> Result<&mut Version, Refusal> {
        let key = self.live.get_mut(&canonical(name)).ok_or(Refusal::NotFound)?;
        let found = key.versions.iter_mut().rfind(|version| id.is_none_or(|id| version.id == id));
        found.ok_or(Refusal::NotFound)
    }

    /// Deletes softly.
    pub fn delete(&mut self, name: &str, now: u64) -> Result<u64, Refusal> {
        let key = self.live.remove(&canonical(name)).ok_or(Refusal::NotFound)?;
        self.deleted.insert(canonical(name), (key, now + self.retention));
        Ok(now + self.retention)
    }

    /// Undoes a deletion.
    pub fn recover(&mut self, name: &str) -> Result<(), Refusal> {
        let (key, _) = self.deleted.remove(&canonical(name)).ok_or(Refusal::NotFound)?;
        self.live.insert(canonical(name), key);
        Ok(())
    }

    /// Destroys what was deleted.
    pub fn purge(&mut self, name: &str) -> Result<(), Refusal> {
        if self.protected && self.deleted.contains_key(&canonical(name)) {
            return Err(Refusal::Protected);
        }
        self.deleted.remove(&canonical(name)).map(drop).ok_or(Refusal::NotFound)
    }

    /// Destroys what is due.
    pub fn purge_due(&mut self, now: u64) -> usize {
        let before = self.deleted.len();
        self.deleted.retain(|_, (_, due)| *due > now);
        before - self.deleted.len()
    }

    /// Copies a key with all its versions.
    pub fn backup(&self, name: &str) -> Result<Key, Refusal> {
        self.live.get(&canonical(name)).cloned().ok_or(Refusal::NotFound)
    }

    /// Puts a copy where its name is free.
    pub fn restore(&mut self, backup: &Key) -> Result<(), Refusal> {
        if self.live.contains_key(&canonical(&backup.name)) {
            return Err(Refusal::Exists);
        }
        self.free(&backup.name)?;
        self.live.insert(canonical(&backup.name), backup.clone());
        Ok(())
    }
}
