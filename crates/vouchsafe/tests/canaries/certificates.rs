//! Certificates come with their keys and passwords and are given back with them; issuers have passwords, too, and
//! contacts are people. What leaves is the secret of an exportable certificate, to whoever asks for that.

use data_encoding::{BASE64, BASE64URL_NOPAD};
use http::Method;
use serde_json::{Value, json};
use vouchsafe_crypto::keys::{KeySpec, PrivateKey};
use vouchsafe_crypto::pki::{ChainOrder, Validity, read_pem, read_pfx, write_pem, write_pfx};
use vouchsafe_crypto::{Reason, SecretString};
use vouchsafe_testkit::elsewhere::Elsewhere;

use crate::keys::Bucket;
use crate::known_keys::numbers_of;
use crate::scanner::name_canary;
use crate::{Stage, now};

const DAY: u64 = 86_400;
const PEM: &str = "application/x-pem-file";

fn text(text: &str) -> SecretString {
    SecretString::new(text.to_owned())
}

/// The part of a private key in PEM that is like no other key's, as it stands in a line of its own.
fn telling_line(pem: &str) -> String {
    let private = pem.split("-----BEGIN PRIVATE KEY-----").nth(1).expect("a private key");
    private.lines().nth(2).expect("a key on P-256 has three lines").to_owned()
}

impl Stage<'_> {
    /// A whole life of certificates, with keys that the test knows.
    pub async fn certificates_come_and_go(&mut self) {
        let elsewhere = Elsewhere::during(Validity { not_before: now() - DAY, not_after: now() + 300 * DAY });
        self.a_file_comes(&elsewhere).await;
        self.a_text_comes(&elsewhere).await;
        self.a_key_stays(&elsewhere).await;
        self.issuers_and_contacts_are_named().await;
    }

    /// PKCS #12: the password opens it once and is nowhere afterwards; the key is given back to who asks for it.
    async fn a_file_comes(&mut self, elsewhere: &Elsewhere) {
        let key = PrivateKey::generate(KeySpec::P256);
        self.journey.keep_key("an imported PKCS #12 file", &numbers_of(&key));
        let bundle = elsewhere.bundle_for(&key);
        let password = self.journey.secret("the password of an imported file");
        let file = write_pfx(&bundle, 0, &text(&password)).unwrap();
        let file = BASE64.encode(file.expose(Reason::Test));
        let name = self.journey.name();
        let import = format!("/certificates/{name}/import");
        let wrong = self.journey.secret("a wrong password for a good file");
        for pwd in [wrong.clone(), String::new(), format!("{password} ")] {
            let body = json!({ "value": file, "pwd": pwd });
            let refused = self.vault(Method::POST, &import, Some(body)).await;
            self.journey.refused(refused, "a good file and a wrong password");
        }
        let label = self.journey.label("the tag of a certificate");
        // The key is kept when the certificate is renewed, so that it is the same known one in both versions.
        let policy = json!({ "issuer": { "name": "Self" }, "key_props": { "reuse_key": true },
            "x509_props": { "subject": "CN=renewed", "key_usage": ["digitalSignature"], "ekus": [] } });
        let body = json!({ "value": file, "pwd": password, "tags": { "k": label }, "policy": policy });
        self.granted(Bucket::About, Method::POST, &import, body).await;
        self.give_back(&name, &key).await;
        let path = format!("/certificates/{name}/create");
        self.granted(Bucket::About, Method::POST, &path, json!({})).await;
        let path = format!("/certificates/{name}/pending");
        let pending = self.granted(Bucket::About, Method::GET, &path, Value::Null).await;
        assert_eq!(pending["status"], "completed", "{pending}");
        self.give_back(&name, &key).await;
        let digest = BASE64URL_NOPAD.encode(&[7; 32]);
        let body = json!({ "alg": "ES256", "value": digest });
        self.granted(Bucket::Others, Method::POST, &format!("/keys/{name}//sign"), body).await;

        let tags = json!({ "tags": { "k": self.journey.label("a changed tag of a certificate") } });
        let at = format!("/certificates/{name}");
        let steps = [
            (Method::PATCH, format!("{at}/"), tags),
            (Method::GET, at.clone(), Value::Null),
            (Method::GET, format!("{at}/policy"), Value::Null),
            (Method::GET, format!("{at}/versions"), Value::Null),
            (Method::GET, "/certificates".to_owned(), Value::Null),
            (Method::GET, format!("/keys/{name}"), Value::Null),
            (Method::GET, format!("/secrets/{name}/versions"), Value::Null),
        ];
        for (method, path, body) in steps {
            self.granted(Bucket::About, method, &path, body).await;
        }
        let backup = self.granted(Bucket::Others, Method::POST, &format!("{at}/backup"), Value::Null).await;
        let steps = [
            (Method::DELETE, at.clone(), Value::Null),
            (Method::GET, format!("/deletedcertificates/{name}"), Value::Null),
            (Method::POST, format!("/deletedcertificates/{name}/recover"), Value::Null),
            (Method::DELETE, at, Value::Null),
            (Method::DELETE, format!("/deletedcertificates/{name}"), Value::Null),
            (Method::POST, "/certificates/restore".to_owned(), json!({ "value": backup["value"] })),
        ];
        for (method, path, body) in steps {
            self.granted(Bucket::About, method, &path, body).await;
        }
        self.give_back(&name, &key).await;
    }

    /// The secret of a certificate, in both forms; from now on neither may be seen anywhere else.
    async fn give_back(&mut self, name: &str, key: &PrivateKey) {
        let known = key.to_pkcs8().unwrap();
        let known = known.expose(Reason::Test);
        let path = format!("/secrets/{name}");
        let secret = self.granted(Bucket::ByRight, Method::GET, &path, Value::Null).await;
        let value = secret["value"].as_str().unwrap().to_owned();
        let file = BASE64.decode(value.as_bytes()).unwrap();
        let opened = read_pfx(&file, &text(""), ChainOrder::LeafFirst).unwrap();
        assert!(opened.key.expose(Reason::Test) == known, "another key came back");
        self.journey
            .secrets
            .insert(format!("the file that {name} gave {}", self.journey.secrets.len()), value);
        let path = format!("/secrets/{name}?outContentType={PEM}");
        let secret = self.granted(Bucket::ByRight, Method::GET, &path, Value::Null).await;
        let pem = secret["value"].as_str().unwrap();
        let opened = read_pem(&text(pem), ChainOrder::LeafFirst).unwrap();
        assert!(opened.key.expose(Reason::Test) == known, "another key came back");
        self.journey.secrets.insert(format!("the text that {name} gave"), telling_line(pem));
    }

    /// PEM: the text is the key itself.
    async fn a_text_comes(&mut self, elsewhere: &Elsewhere) {
        let key = PrivateKey::generate(KeySpec::P256);
        self.journey.keep_key("an imported PEM text", &numbers_of(&key));
        let pem = write_pem(&elsewhere.bundle_for(&key));
        let pem = pem.expose(Reason::Test);
        self.journey.secrets.insert("a line of an imported PEM text".to_owned(), telling_line(pem));
        let name = self.journey.name();
        let import = format!("/certificates/{name}/import");
        let password = self.journey.secret("a password for a text that has none");
        let refused = json!({ "value": pem, "pwd": password, "policy": { "key_props": { "kty": "RSA" } } });
        let refused = self.vault(Method::POST, &import, Some(refused)).await;
        self.journey.refused(refused, "a text whose key is of another kind");
        self.granted(Bucket::About, Method::POST, &import, json!({ "value": pem })).await;
        self.granted(Bucket::ByRight, Method::GET, &format!("/secrets/{name}"), Value::Null).await;
        let path = format!("/certificates/{name}");
        self.granted(Bucket::About, Method::GET, &path, Value::Null).await;
        self.granted(Bucket::About, Method::DELETE, &path, Value::Null).await;
    }

    /// What is not exportable does not leave, also not to those who may read the secret.
    async fn a_key_stays(&mut self, elsewhere: &Elsewhere) {
        let key = PrivateKey::generate(KeySpec::P256);
        self.journey.keep_key("a certificate that is not exportable", &numbers_of(&key));
        let pem = write_pem(&elsewhere.bundle_for(&key));
        let pem = pem.expose(Reason::Test);
        self.journey.secrets.insert("a line of a text that stays".to_owned(), telling_line(pem));
        let name = self.journey.name();
        let body = json!({ "value": pem, "policy": { "key_props": { "exportable": false } } });
        let path = format!("/certificates/{name}/import");
        self.granted(Bucket::About, Method::POST, &path, body).await;
        self.granted(Bucket::About, Method::GET, &format!("/secrets/{name}"), Value::Null).await;
        let path = format!("/certificates/{name}/backup");
        self.granted(Bucket::Others, Method::POST, &path, Value::Null).await;
    }

    /// An issuer's password goes in and never comes back; people are named to those who may read who they are.
    async fn issuers_and_contacts_are_named(&mut self) {
        let password = self.journey.secret("the password of an issuer");
        let account = self.journey.label("the account of an issuer");
        let person = |journey: &mut crate::Journey, what: &str| {
            let name = name_canary();
            journey.labels.insert(what.to_owned(), name.clone());
            (name.clone(), format!("{name}@example.test"))
        };
        let (first, mail) = person(&mut self.journey, "an administrator of an issuer");
        let path = "/certificates/issuers/outside";
        let details = json!({ "admin_details": [{ "first_name": first, "email": mail }] });
        let credentials = json!({ "account_id": account, "pwd": password });
        let body = json!({ "provider": "Test", "credentials": credentials, "org_details": details });
        self.granted(Bucket::About, Method::PUT, path, body).await;
        let next = self.journey.secret("the next password of an issuer");
        let body = json!({ "credentials": { "pwd": next } });
        self.granted(Bucket::About, Method::PATCH, path, body).await;
        self.granted(Bucket::About, Method::GET, path, Value::Null).await;
        self.granted(Bucket::About, Method::GET, "/certificates/issuers", Value::Null).await;
        for body in [
            json!({ "provider": [password], "credentials": { "pwd": password } }),
            json!({ "credentials": { "pwd": [password] } }),
            json!({ "provider": password, "credentials": password }),
        ] {
            let refused = self.vault(Method::PUT, path, Some(body)).await;
            self.journey.refused(refused, "an issuer that is none");
        }
        self.granted(Bucket::About, Method::DELETE, path, Value::Null).await;

        let (name, mail) = person(&mut self.journey, "a contact");
        let path = "/certificates/contacts";
        let body = json!({ "contacts": [{ "email": mail, "name": name, "phone": "1" }] });
        self.granted(Bucket::About, Method::PUT, path, body).await;
        self.granted(Bucket::About, Method::GET, path, Value::Null).await;
        let (_, wrong) = person(&mut self.journey, "a contact that is refused");
        let refused = json!({ "contacts": [{ "email": [wrong] }] });
        let refused = self.vault(Method::PUT, path, Some(refused)).await;
        self.journey.refused(refused, "a contact that is none");
        self.granted(Bucket::About, Method::DELETE, path, Value::Null).await;
    }
}
