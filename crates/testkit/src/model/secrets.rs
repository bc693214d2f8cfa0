//! The life of secrets, written from Key Vault's documentation and not from our code: maps, loops and seconds.
//!
//! Names are compared without case; ids of versions come from outside, because nobody can predict them.

use std::collections::BTreeMap;

/// One version of a secret.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Version {
    /// Its id.
    pub id: String,
    /// Its value.
    pub value: String,
    /// Whether it may be read.
    pub enabled: bool,
    /// Its content type.
    pub content_type: Option<String>,
}

/// A secret: its name as first written, and its versions, the newest last.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Secret {
    /// The name.
    pub name: String,
    /// The versions.
    pub versions: Vec<Version>,
}

/// What an operation came to, besides its result.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub enum Refusal {
    /// There is no such secret, version or deleted secret.
    NotFound,
    /// The version is disabled.
    Disabled,
    /// The name belongs to a deleted secret.
    Recoverable,
    /// The name belongs to a live secret.
    Exists,
    /// The vault is protected against purging.
    Protected,
}

/// A vault: live secrets, and deleted ones with the second at which they are purged.
#[derive(Clone, Debug, Default)]
pub struct Vault {
    /// Seconds between deletion and purge.
    pub retention: u64,
    /// Whether nobody may purge sooner.
    pub protected: bool,
    /// Live secrets by lower-case name.
    pub live: BTreeMap<String, Secret>,
    /// Deleted secrets by lower-case name.
    pub deleted: BTreeMap<String, (Secret, u64)>,
}

fn key(name: &str) -> String {
    name.to_lowercase()
}

impl Vault {
    fn secret(&self, name: &str) -> Result<&Secret, Refusal> {
        self.live.get(&key(name)).ok_or(Refusal::NotFound)
    }

    fn free(&self, name: &str) -> Result<(), Refusal> {
        if self.deleted.contains_key(&key(name)) { Err(Refusal::Recoverable) } else { Ok(()) }
    }

    /// Makes a version.
    pub fn set(&mut self, name: &str, version: Version) -> Result<(), Refusal> {
        self.free(name)?;
        let new = Secret { name: name.to_owned(), versions: Vec::new() };
        self.live.entry(key(name)).or_insert(new).versions.push(version);
        Ok(())
    }

    /// Reads a version, the newest if none is named.
    pub fn get(&self, name: &str, id: Option<&str>) -> Result<&Version, Refusal> {
        let versions = &self.secret(name)?.versions;
        let found = versions.iter().rfind(|version| id.is_none_or(|id| version.id == id));
        let found = found.ok_or(Refusal::NotFound)?;
        if found.enabled { Ok(found) } else { Err(Refusal::Disabled) }
    }

    /// Changes what is mentioned of a version, the newest if none is named.
    pub fn update(
        &mut self,
        name: &str,
        id: Option<&str>,
        enabled: Option<bool>,
        content_type: Option<&str>,
    ) -> Result<(), Refusal> {
        let secret = self.live.get_mut(&key(name)).ok_or(Refusal::NotFound)?;
        let found = secret.versions.iter_mut().rfind(|version| id.is_none_or(|id| version.id == id));
        let found = found.ok_or(Refusal::NotFound)?;
        found.enabled = enabled.unwrap_or(found.enabled);
        found.content_type = content_type.map(str::to_owned).or(found.content_type.take());
        Ok(())
    }

    /// Deletes softly.
    pub fn delete(&mut self, name: &str, now: u64) -> Result<u64, Refusal> {
        let secret = self.live.remove(&key(name)).ok_or(Refusal::NotFound)?;
        self.deleted.insert(key(name), (secret, now + self.retention));
        Ok(now + self.retention)
    }

    /// Undoes a deletion.
    pub fn recover(&mut self, name: &str) -> Result<(), Refusal> {
        let (secret, _) = self.deleted.remove(&key(name)).ok_or(Refusal::NotFound)?;
        self.live.insert(key(name), secret);
        Ok(())
    }

    /// Destroys what was deleted.
    pub fn purge(&mut self, name: &str) -> Result<(), Refusal> {
        if self.protected && self.deleted.contains_key(&key(name)) {
            return Err(Refusal::Protected);
        }
        self.deleted.remove(&key(name)).map(drop).ok_or(Refusal::NotFound)
    }

    /// Destroys what is due.
    pub fn purge_due(&mut self, now: u64) -> usize {
        let before = self.deleted.len();
        self.deleted.retain(|_, (_, due)| *due > now);
        before - self.deleted.len()
    }

    /// Copies a secret with all its versions.
    pub fn backup(&self, name: &str) -> Result<Secret, Refusal> {
        self.secret(name).cloned()
    }

    /// Puts a copy where its name is free.
    pub fn restore(&mut self, backup: &Secret) -> Result<(), Refusal> {
        if self.live.contains_key(&key(&backup.name)) {
            return Err(Refusal::Exists);
        }
        self.free(&backup.name)?;
        self.live.insert(key(&backup.name), backup.clone());
        Ok(())
    }
}
