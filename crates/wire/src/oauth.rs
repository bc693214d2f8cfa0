//! OAuth 2.0 and OpenID Connect as Entra speaks them: token requests and answers, errors, discovery, published keys.

mod discovery;
mod error;
mod request;
mod response;

pub use discovery::{InstanceDiscovery, InstanceMetadata, JwkSet, OpenIdConfiguration, PublishedKey};
pub use error::{ErrorResponse, PlainLine};
pub use request::{BadBasic, BasicCredentials, FORM_BUDGET, TokenRequest, client_capabilities};
pub use response::{TokenResponse, TokenResponseV1};
