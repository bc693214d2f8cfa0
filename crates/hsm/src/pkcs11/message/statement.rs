//! What a token says of a key, as it is sent.

use prost::Message;
use vouchsafe_domain::ports::hsm::{ObjectStatement, TokenStatement};

use super::super::material::ID_BYTES;
use super::{Misunderstood, shortened};

/// A [`TokenStatement`].
#[derive(Clone, PartialEq, Message)]
pub(super) struct Statement {
    #[prost(string, tag = "1")]
    manufacturer: String,
    #[prost(string, tag = "2")]
    model: String,
    #[prost(string, tag = "3")]
    serial: String,
    #[prost(string, tag = "4")]
    label: String,
    #[prost(bytes = "vec", tag = "5")]
    id: Vec<u8>,
    #[prost(message, optional, tag = "6")]
    secret: Option<Object>,
    #[prost(message, optional, tag = "7")]
    public: Option<Object>,
}

/// An [`ObjectStatement`].
#[derive(Clone, Copy, PartialEq, Message)]
struct Object {
    #[prost(bool, optional, tag = "1")]
    token: Option<bool>,
    #[prost(bool, optional, tag = "2")]
    private: Option<bool>,
    #[prost(bool, optional, tag = "3")]
    sensitive: Option<bool>,
    #[prost(bool, optional, tag = "4")]
    always_sensitive: Option<bool>,
    #[prost(bool, optional, tag = "5")]
    extractable: Option<bool>,
    #[prost(bool, optional, tag = "6")]
    never_extractable: Option<bool>,
    #[prost(bool, optional, tag = "7")]
    local: Option<bool>,
}

impl From<TokenStatement> for Statement {
    fn from(statement: TokenStatement) -> Self {
        let TokenStatement { manufacturer, model, serial, label, id, secret, public } = statement;
        Self {
            manufacturer,
            model,
            serial,
            label,
            id,
            secret: Some(secret.into()),
            public: public.map(Object::from),
        }
    }
}

impl Statement {
    /// What is said of the key with this id; what is said of another one is not what was asked.
    pub(super) fn read(self, id: &[u8; ID_BYTES]) -> Result<TokenStatement, Misunderstood> {
        if self.id != id {
            return Err(Misunderstood("a statement about another key"));
        }
        Ok(TokenStatement {
            manufacturer: shortened(&self.manufacturer),
            model: shortened(&self.model),
            serial: shortened(&self.serial),
            label: shortened(&self.label),
            id: self.id,
            secret: self.secret.ok_or(Misunderstood("a statement about no key"))?.into(),
            public: self.public.map(ObjectStatement::from),
        })
    }
}

macro_rules! same_members {
    ($from:ident to $to:ident: $($member:ident)*) => {
        impl From<$from> for $to {
            fn from(object: $from) -> Self {
                Self { $($member: object.$member,)* }
            }
        }
    };
}

same_members! { ObjectStatement to Object: token private sensitive always_sensitive extractable never_extractable local }
same_members! { Object to ObjectStatement: token private sensitive always_sensitive extractable never_extractable local }
