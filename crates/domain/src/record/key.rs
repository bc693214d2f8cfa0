//! Stored forms of keys and of their rotation policies.

use super::Tag;

records! {
    /// The public half of a key: modulus and exponent, or the two coordinates of a point.
    PublicKey {
        #[prost(bytes = "vec", tag = "1")] first: Vec<u8>,
        #[prost(bytes = "vec", tag = "2")] second: Vec<u8>,
    }
    /// To whom a key may be released.
    ReleasePolicy {
        #[prost(string, optional, tag = "1")] content_type: Option<String>,
        #[prost(bytes = "vec", tag = "2")] data: Vec<u8>,
        #[prost(bool, tag = "3")] immutable: bool,
    }
    /// The public half and the attributes of one version of a key.
    KeyVersion {
        #[prost(bytes = "vec", tag = "1")] version: Vec<u8>,
        #[prost(bool, tag = "2")] disabled: bool,
        #[prost(uint64, optional, tag = "3")] not_before: Option<u64>,
        #[prost(uint64, optional, tag = "4")] expires: Option<u64>,
        #[prost(uint64, tag = "5")] created: u64,
        #[prost(uint64, tag = "6")] updated: u64,
        #[prost(uint32, tag = "7")] spec: u32,
        #[prost(message, repeated, tag = "8")] tags: Vec<Tag>,
        #[prost(bool, tag = "9")] managed: bool,
        #[prost(bool, tag = "10")] in_token: bool,
        #[prost(bool, tag = "11")] exportable: bool,
        #[prost(uint32, repeated, tag = "12")] operations: Vec<u32>,
        #[prost(message, optional, tag = "13")] public: Option<PublicKey>,
        #[prost(message, optional, tag = "14")] release_policy: Option<ReleasePolicy>,
    }
    /// An action of a rotation policy and its moment.
    LifetimeAction {
        #[prost(uint32, tag = "1")] action: u32,
        #[prost(string, optional, tag = "2")] after_create: Option<String>,
        #[prost(string, optional, tag = "3")] before_expiry: Option<String>,
    }
    /// When a key is rotated by itself.
    RotationPolicy {
        #[prost(message, repeated, tag = "1")] actions: Vec<LifetimeAction>,
        #[prost(string, optional, tag = "2")] expiry: Option<String>,
        #[prost(uint64, optional, tag = "3")] created: Option<u64>,
        #[prost(uint64, tag = "4")] updated: u64,
        #[prost(bytes = "vec", optional, tag = "5")] notified: Option<Vec<u8>>,
    }
}
