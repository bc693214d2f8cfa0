//! What callers do with keys, on ways that succeed and ways that fail, with material that the test knows.

use data_encoding::{BASE64, BASE64URL_NOPAD};
use http::Method;
use serde_json::{Value, json};
use vouchsafe_crypto::keys::KeySpec;

use crate::known_keys::{KnownKey, known};
use crate::scanner::canary;
use crate::{Journey, Stage};

/// The kinds that are imported, with the algorithms that are used on them.
const KINDS: [(KeySpec, &str, &str, &str); 3] = [
    (KeySpec::Rsa2048, "RSA-OAEP-256", "RSA-OAEP", "PS256"),
    (KeySpec::P256, "", "", "ES256"),
    (KeySpec::Oct256, "A256GCM", "A256KW", ""),
];

fn text(bytes: &[u8]) -> String {
    BASE64URL_NOPAD.encode(bytes)
}

impl Journey {
    /// Everything private of a key is looked for from now on.
    pub fn keep_key(&mut self, what: &str, key: &KnownKey) {
        for (name, number) in &key.numbers {
            self.material.push((format!("`{name}` of {what}"), number.clone()));
        }
    }

    pub fn keep_bytes(&mut self, what: &str) -> Vec<u8> {
        // As many as a key that is wrapped, and unlike anything else.
        let bytes = format!("{}{}", canary(), &canary()[..11]).into_bytes();
        self.material.push((what.to_owned(), bytes.clone()));
        bytes
    }
}

impl Stage<'_> {
    pub async fn granted(&mut self, bucket: Bucket, method: Method, path: &str, body: Value) -> Value {
        let body = (!body.is_null()).then_some(body);
        let answer = self.vault(method.clone(), path, body).await;
        let kept = match bucket {
            Bucket::ByRight => &mut self.journey.by_right,
            Bucket::About => &mut self.journey.about,
            Bucket::Others => &mut self.journey.others,
        };
        Journey::granted(kept, answer, &format!("{method} {path}")).json()
    }

    /// Imported keys live a whole life in the vault that the stage is set to, as keys in a token or not.
    pub async fn keys_come_and_go(&mut self, in_token: bool) {
        for (spec, encryption, wrapping, signature) in KINDS {
            let key = known(spec);
            let place = if in_token { "in a token" } else { "in software" };
            self.journey.keep_key(&format!("an imported {spec:?} {place}"), &key);
            let name = self.journey.name();
            let tags = json!({ "k": self.journey.label(&format!("the tag of {spec:?} {place}")) });
            let body = json!({ "key": key.jwk, "Hsm": in_token, "tags": tags });
            let made = self.granted(Bucket::About, Method::PUT, &format!("/keys/{name}"), body).await;
            let kid = made["key"]["kid"].as_str().unwrap().to_owned();
            let version = kid.rsplit('/').next().unwrap().to_owned();
            if !encryption.is_empty() {
                self.encrypts(&name, encryption, "encrypt", "decrypt").await;
                self.encrypts(&name, wrapping, "wrapkey", "unwrapkey").await;
            }
            if !signature.is_empty() {
                let digest = text(&[7; 32]);
                let body = json!({ "alg": signature, "value": digest });
                let path = format!("/keys/{name}/{version}/sign");
                let signed = self.granted(Bucket::Others, Method::POST, &path, body).await;
                let body = json!({ "alg": signature, "digest": digest, "value": signed["value"] });
                self.granted(Bucket::Others, Method::POST, &format!("/keys/{name}//verify"), body).await;
            }
            let tags =
                json!({ "tags": { "k": self.journey.label(&format!("a changed tag of {spec:?} {place}")) } });
            let list = json!({ "lifetimeActions": [], "attributes": { "expiryTime": "P1Y" } });
            let steps = [
                (Method::PATCH, format!("/keys/{name}/{version}"), tags),
                (Method::GET, format!("/keys/{name}"), Value::Null),
                (Method::GET, "/keys".to_owned(), Value::Null),
                (Method::GET, format!("/keys/{name}/versions"), Value::Null),
                (Method::PUT, format!("/keys/{name}/rotationpolicy"), list),
                (Method::POST, format!("/keys/{name}/rotate"), Value::Null),
            ];
            for (method, path, body) in steps {
                self.granted(Bucket::About, method, &path, body).await;
            }
            let path = format!("/keys/{name}/backup");
            let backup = self.granted(Bucket::Others, Method::POST, &path, Value::Null).await;
            let steps = [
                (Method::DELETE, format!("/keys/{name}"), Value::Null),
                (Method::GET, "/deletedkeys".to_owned(), Value::Null),
                (Method::POST, format!("/deletedkeys/{name}/recover"), Value::Null),
                (Method::DELETE, format!("/keys/{name}"), Value::Null),
            ];
            for (method, path, body) in steps {
                self.granted(Bucket::About, method, &path, body).await;
            }
            if !in_token {
                let steps = [
                    (Method::DELETE, format!("/deletedkeys/{name}"), Value::Null),
                    (Method::POST, "/keys/restore".to_owned(), json!({ "value": backup["value"] })),
                ];
                for (method, path, body) in steps {
                    self.granted(Bucket::About, method, &path, body).await;
                }
            }
        }
        let random = self.granted(Bucket::ByRight, Method::POST, "/rng", json!({ "count": 48 })).await;
        let random = BASE64URL_NOPAD.decode(random["value"].as_str().unwrap().as_bytes()).unwrap();
        self.journey.material.push(("random bytes".to_owned(), random));
    }

    /// A plaintext is in the answer to who opens it, and nowhere else.
    async fn encrypts(&mut self, name: &str, algorithm: &str, there: &str, back: &str) {
        let plaintext = self.journey.keep_bytes(&format!("a plaintext of {algorithm}"));
        let body = json!({ "alg": algorithm, "value": text(&plaintext) });
        let mut sealed =
            self.granted(Bucket::Others, Method::POST, &format!("/keys/{name}//{there}"), body).await;
        sealed["alg"] = json!(algorithm);
        let path = format!("/keys/{name}//{back}");
        let opened = self.granted(Bucket::ByRight, Method::POST, &path, sealed.clone()).await;
        assert_eq!(opened["value"], text(&plaintext));
        // With one bit changed nothing opens, and the refusal says nothing of what would have.
        let mut bent = BASE64URL_NOPAD.decode(sealed["value"].as_str().unwrap().as_bytes()).unwrap();
        bent[0] ^= 1;
        sealed["value"] = json!(text(&bent));
        let refused = self.vault(Method::POST, &path, Some(sealed)).await;
        self.journey.refused(refused, &format!("a bent ciphertext of {algorithm}"));
    }

    /// Keys and plaintexts that come in a form in which they are refused.
    pub async fn callers_err_with_keys(&mut self) {
        let rsa = known(KeySpec::Rsa2048);
        let ec = known(KeySpec::P256);
        let oct = known(KeySpec::Oct256);
        for (what, key) in [("RSA", &rsa), ("EC", &ec), ("oct", &oct)] {
            self.journey.keep_key(&format!("a refused {what} key"), key);
        }
        let changed = |key: &KnownKey, member: &str, value: Value| {
            let mut jwk = key.jwk.clone();
            jwk[member] = value;
            json!({ "key": jwk }).to_string()
        };
        let whole = |key: &KnownKey| json!({ "key": key.jwk }).to_string();
        let pem = |key: &KnownKey| {
            let der = key.pkcs8.as_deref().unwrap_or_default();
            format!("-----BEGIN PRIVATE KEY-----\n{}\n-----END PRIVATE KEY-----\n", BASE64.encode(der))
        };
        let cut = |body: String| body[..body.len() - 2].to_owned();
        let bodies = [
            changed(&rsa, "dp", rsa.jwk["dq"].clone()),
            changed(&rsa, "e", json!("AQ")),
            changed(&rsa, "kty", json!("EC")),
            changed(&rsa, "kty", json!("DSA")),
            changed(&rsa, "kty", rsa.jwk["p"].clone()),
            changed(&rsa, "key_ops", rsa.jwk["p"].clone()),
            changed(&rsa, "key_ops", json!([rsa.jwk["p"]])),
            changed(&rsa, "d", json!([rsa.jwk["d"]])),
            changed(&ec, "x", ec.jwk["y"].clone()),
            changed(&ec, "crv", ec.jwk["d"].clone()),
            changed(&ec, "d", json!({ "d": ec.jwk["d"] })),
            changed(&ec, "n", ec.jwk["d"].clone()),
            changed(&oct, "k", json!(format!("{}AAAA", oct.jwk["k"].as_str().unwrap()))),
            changed(&oct, "k", json!(format!("{}=", oct.jwk["k"].as_str().unwrap()))),
            changed(&oct, "k", json!(pem(&ec))),
            changed(&oct, "k", json!(oct.numbers[0].1)),
            cut(whole(&rsa)),
            cut(whole(&ec)),
            whole(&oct).replace("\"k\":", "\"k\":\"AAAA\",\"k\":"),
            json!({ "key": pem(&rsa) }).to_string(),
            json!({ "key": ec.jwk, "attributes": ec.jwk["d"] }).to_string(),
            json!({ "key": ec.jwk, "tags": [ec.jwk["d"]] }).to_string(),
            json!({ "key": ec.jwk, "Hsm": ec.jwk["d"] }).to_string(),
            json!({ "key": ec.jwk, "release_policy": { "data": [ec.jwk["d"]] } }).to_string(),
        ];
        let name = self.journey.name();
        for body in bodies {
            let (vault, token) = (self.vault.clone(), self.token.clone());
            let path = format!("/keys/{name}");
            let sent = self.client.request(Method::PUT, &vault, &path, Some(&token), Some(body.as_bytes()));
            let refused = sent.await;
            self.journey.refused(refused, "a key that is refused");
        }
        let path = format!("/keys/{name}/create");
        for body in
            [rsa.jwk.clone(), json!({ "kty": "EC", "crv": ec.jwk["d"] }), json!({ "kty": oct.jwk["k"] })]
        {
            // A private key where only a kind belongs: unknown members are not looked at, so some of these are done.
            if let Ok(answer) = self.vault(Method::POST, &path, Some(body)).await {
                self.journey.others.push(Journey::bytes(&answer));
            }
        }
        let (kept, aes) = (self.journey.name(), self.journey.name());
        let path = format!("/keys/{kept}/create");
        self.granted(Bucket::About, Method::POST, &path, json!({ "kty": "EC" })).await;
        let path = format!("/keys/{aes}/create");
        self.granted(Bucket::About, Method::POST, &path, json!({ "kty": "oct", "key_size": 256 })).await;
        for (operation, algorithm) in [
            ("encrypt", "RSA-OAEP"),
            ("encrypt", "A256GCM"),
            ("wrapkey", "A256KW"),
            ("decrypt", "A999GCM"),
            ("sign", "ES384"),
            ("sign", "none"),
            ("verify", "ES256"),
        ] {
            let lost = self.journey.keep_bytes(&format!("what was to be {operation}ed with {algorithm}"));
            let body = json!({ "alg": algorithm, "value": text(&lost), "digest": text(&lost[..20]) });
            let refused = self.vault(Method::POST, &format!("/keys/{kept}//{operation}"), Some(body)).await;
            self.journey.refused(refused, operation);
            let body = json!({ "alg": lost, "value": text(&lost) });
            let refused = self.vault(Method::POST, &format!("/keys/{kept}//{operation}"), Some(body)).await;
            self.journey.refused(refused, operation);
        }
        for (what, body) in [
            ("no length of a block", json!({ "alg": "A256CBC", "iv": text(&[1; 16]) })),
            ("no vector", json!({ "alg": "A256CBCPAD" })),
            ("a vector of the caller's", json!({ "alg": "A256GCM", "iv": text(&[1; 12]) })),
        ] {
            let lost = self.journey.keep_bytes(&format!("a plaintext with {what}"));
            let mut body = body;
            body["value"] = json!(text(&lost[..31]));
            let refused = self.vault(Method::POST, &format!("/keys/{aes}//encrypt"), Some(body)).await;
            self.journey.refused(refused, what);
        }
        self.files_are_refused(&rsa, &ec).await;
    }

    /// Certificate files with keys in them, and their passwords.
    async fn files_are_refused(&mut self, rsa: &KnownKey, ec: &KnownKey) {
        let name = self.journey.name();
        for (what, key) in [("RSA", rsa), ("EC", ec)] {
            let password = self.journey.secret(&format!("the password of a file with an {what} key"));
            let der = key.pkcs8.as_deref().unwrap();
            let pem =
                format!("-----BEGIN PRIVATE KEY-----\n{}\n-----END PRIVATE KEY-----\n", BASE64.encode(der));
            for value in [pem, BASE64.encode(der), text(der)] {
                for body in [
                    json!({ "value": value, "pwd": password }),
                    json!({ "value": value, "pwd": [password] }),
                    json!({ "value": [value], "pwd": password }),
                    json!({ "value": value, "pwd": password, "policy": password }),
                ] {
                    let path = format!("/certificates/{name}/import");
                    let refused = self.vault(Method::POST, &path, Some(body)).await;
                    self.journey.refused(refused, "a file that is refused");
                }
            }
        }
    }
}

#[derive(Clone, Copy)]
pub enum Bucket {
    /// Holds a value by right.
    ByRight,
    /// Tells of an object, without what is secret about it.
    About,
    /// Anything else.
    Others,
}
