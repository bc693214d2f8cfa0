//! Clients log in with what only they know, rightly and wrongly: a secret, a header, an assertion.

use bytes::Bytes;
use data_encoding::{BASE64, BASE64URL_NOPAD};
use http::{Request, header};
use http_body_util::Full;
use rcgen::{CertificateParams, KeyPair, PKCS_ECDSA_P256_SHA256};
use serde_json::json;
use vouchsafe_crypto::jose::{Algorithm, KeyKind, SigningKey, azure_assertion};
use vouchsafe_crypto::{SecretBytes, digest};
use vouchsafe_testkit::running::Answer;

use crate::{Journey, Stage, form, now, post};

impl Stage<'_> {
    /// Clients log in with what only they know.
    pub async fn clients_log_in(&mut self) {
        let key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).unwrap();
        let certificate =
            CertificateParams::new(vec!["client".to_owned()]).unwrap().self_signed(&key).unwrap();
        let id = "6b1a7d3e-0000-4000-8000-00000000c11e";
        let application = json!({ "name": "client", "client_id": id, "certificates": [certificate.pem()] });
        let state = json!({ "state": { "applications": [application] } });
        let mut admin = self.server.admin();
        let applied = post(&mut admin, "/admin/v1/apply", &state).await;
        Journey::granted(&mut self.journey.others, applied, "apply");
        let secret = post(&mut admin, "/admin/v1/client-secrets", &json!({ "application": "client" })).await;
        let secret = Journey::granted(&mut self.journey.by_right, secret, "client secret").json();
        let secret = secret["secret"].as_str().expect("a client secret").to_owned();
        self.journey.secrets.insert("a client secret".to_owned(), secret.clone());

        let path = format!("/{}/oauth2/v2.0/token", self.server.endpoints().tenant);
        let scope = "https://vault.azure.net/.default";
        let signing =
            SigningKey::from_pkcs8(KeyKind::P256, &SecretBytes::new(key.serialize_der())).ok().unwrap();
        let audience = format!("{}{path}", self.server.endpoints().authority);
        let now = now();
        let claims = json!({ "iss": id, "sub": id, "aud": audience, "exp": now + 600, "jti": "1" });
        let sha256 = digest::sha256(certificate.der());
        let assertion = azure_assertion::sign(&signing, Algorithm::Es256, &sha256, &claims).ok().unwrap();
        self.journey.secrets.insert("a client assertion".to_owned(), assertion.clone());
        let signature = assertion.rsplit('.').next().unwrap().to_owned();
        self.journey.secrets.insert("the signature of an assertion".to_owned(), signature);

        let kind = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";
        let by_assertion = form(&[
            ("grant_type", "client_credentials"),
            ("client_id", id),
            ("scope", scope),
            ("client_assertion_type", kind),
            ("client_assertion", &assertion),
        ]);
        let by_secret = form(&[
            ("grant_type", "client_credentials"),
            ("client_id", id),
            ("scope", scope),
            ("client_secret", &secret),
        ]);
        for (what, body) in [("by assertion", by_assertion), ("by secret", by_secret)] {
            let answer = self.client.form(&self.host, &path, &body).await;
            self.a_token(answer, what);
        }
        let basic = BASE64.encode(form(&[(id, &secret)]).replacen('=', ":", 1).as_bytes());
        let body = form(&[("grant_type", "client_credentials"), ("scope", scope)]);
        let answer = self.basic(&path, &basic, body).await;
        self.a_token(answer, "by Basic");

        // The same client with what is wrong.
        let wrong = self.journey.secret("a wrong client secret");
        let body = form(&[
            ("grant_type", "client_credentials"),
            ("client_id", id),
            ("scope", scope),
            ("client_secret", &wrong),
        ]);
        let answer = self.client.form(&self.host, &path, &body).await;
        self.journey.refused(answer, "a wrong client secret");
        let wrong = self.journey.secret("a wrong client secret in a Basic header");
        let basic = BASE64.encode(format!("{id}:{wrong}").as_bytes());
        let answer =
            self.basic(&path, &basic, form(&[("grant_type", "client_credentials"), ("scope", scope)])).await;
        self.journey.refused(answer, "a wrong client secret in a Basic header");
        let forged = self.journey.secret("a claim of a forged assertion");
        let claims = json!({ "iss": id, "sub": forged, "aud": audience, "exp": now + 600, "jti": forged });
        let unsigned = azure_assertion::sign(&signing, Algorithm::Es256, &sha256, &claims).ok().unwrap();
        let opaque = self.journey.secret("an assertion that is none");
        let header = self.journey.secret("a header member of an assertion");
        let strange = format!(
            "{}.e30.AAAA",
            BASE64URL_NOPAD.encode(json!({ "alg": header, "x5t": header }).to_string().as_bytes())
        );
        for assertion in [unsigned, opaque, strange] {
            let body = form(&[
                ("grant_type", "client_credentials"),
                ("client_id", id),
                ("scope", scope),
                ("client_assertion_type", kind),
                ("client_assertion", &assertion),
            ]);
            let answer = self.client.form(&self.host, &path, &body).await;
            self.journey.refused(answer, "a wrong assertion");
        }
        for field in ["password", "refresh_token", "code", "device_code", "assertion", "code_verifier"] {
            let lost = self.journey.secret(&format!("the field {field}"));
            for grant in ["password", "refresh_token", "client_credentials"] {
                let body = form(&[
                    ("grant_type", grant),
                    ("client_id", id),
                    ("username", "u"),
                    ("scope", scope),
                    (field, &lost),
                ]);
                let answer = self.client.form(&self.host, &path, &body).await;
                self.journey.refused(answer, field);
            }
            let answer = self.client.form(&self.host, &format!("{path}?{field}={lost}"), "").await;
            self.journey.refused(answer, "in a query");
        }
        let twice = self.journey.secret("a client secret given twice");
        let body = form(&[
            ("client_secret", &twice),
            ("client_secret", &twice),
            ("grant_type", "client_credentials"),
        ]);
        let answer = self.client.form(&self.host, &path, &body).await;
        self.journey.refused(answer, "twice");
        let claims = self.journey.secret("a claims parameter");
        let body = form(&[
            ("grant_type", "client_credentials"),
            ("scope", scope),
            ("claims", &format!("{{\"a\": {claims}")),
        ]);
        let answer = self.client.form(&self.host, &path, &body).await;
        self.journey.refused(answer, "claims");
    }

    async fn basic(&mut self, path: &str, basic: &str, body: String) -> std::io::Result<Answer> {
        let request = Request::post(path)
            .header(header::HOST, &self.host)
            .header(header::CONTENT_TYPE, "application/x-www-form-urlencoded")
            .header(header::AUTHORIZATION, format!("Basic {basic}"));
        self.client.send(request.body(Full::new(Bytes::from(body))).unwrap()).await
    }

    /// A token in an answer is a secret from now on, and so is its signature alone.
    fn a_token(&mut self, answer: std::io::Result<Answer>, what: &str) {
        let answer = Journey::granted(&mut self.journey.by_right, answer, what).json();
        self.keep_token(what, answer["access_token"].as_str().expect("a token"));
    }

    pub fn keep_token(&mut self, what: &str, token: &str) {
        self.journey.secrets.insert(format!("a token {what}"), token.to_owned());
        let signature = token.rsplit('.').next().unwrap().to_owned();
        self.journey.secrets.insert(format!("the signature of a token {what}"), signature);
    }
}
