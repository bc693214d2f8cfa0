//! The certificate authority of our own listener, kept like every other secret: sealed in the store.

use vouchsafe_crypto::{Reason, SecretBytes};

use crate::error::Fault;
use crate::ports::Store;
use crate::ports::store::{Commit, CommitError, Expect, Housekeeping, Key, Kind, Partition};
use crate::record::{self, Decode, Encode, Undecodable};

/// A certificate and its private key.
pub struct ListenerAuthority {
    /// The certificate, DER.
    pub certificate: Vec<u8>,
    /// The private key, PKCS#8.
    pub key: SecretBytes,
}

fn place() -> Key {
    Key::new(Partition::Deployment, Kind::TlsAuthority, "listener")
}

impl ListenerAuthority {
    /// The authority of this deployment.
    pub async fn load(store: &dyn Store) -> Result<Option<Self>, Fault> {
        let Some(record) = store.get(&place()).await? else { return Ok(None) };
        Ok(Some(Self::decode(record.value.expose(Reason::Record))?))
    }

    /// Keeps the first authority, while the deployment is initialised.
    pub async fn keep(&self, store: &dyn Store) -> Result<(), Fault> {
        let commit = Commit::housekeeping(Housekeeping::Initialise);
        match store.commit(commit.put(place(), Expect::Absent, SecretBytes::new(self.encode()))).await {
            Ok(_) => Ok(()),
            Err(CommitError::Conflict) => {
                Err(Fault::Broken("the deployment has a listener authority".to_owned()))
            }
            Err(CommitError::Store(error)) => Err(error.into()),
        }
    }
}

impl Encode for ListenerAuthority {
    fn encode(&self) -> Vec<u8> {
        record::encode(&record::TlsAuthority {
            certificate: self.certificate.clone(),
            pkcs8: self.key.expose(Reason::Record).to_vec(),
        })
    }
}

impl Decode for ListenerAuthority {
    fn decode(bytes: &[u8]) -> Result<Self, Undecodable> {
        let stored: record::TlsAuthority = record::decode(bytes)?;
        Ok(Self { certificate: stored.certificate, key: SecretBytes::new(stored.pkcs8) })
    }
}
