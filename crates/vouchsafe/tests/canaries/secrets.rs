//! Secrets live a whole life: over both versions of HTTP, and by the command line.

use bytes::Bytes;
use http::{Method, Request, header};
use http_body_util::Full;
use serde_json::json;

use crate::{Journey, Stage};

impl Stage<'_> {
    /// Every operation on secrets, as it should be.
    pub async fn secrets_come_and_go(&mut self) {
        let (value, label, kind) = (
            self.journey.secret("a value"),
            self.journey.label("a tag"),
            self.journey.label("a content type"),
        );
        let name = self.journey.name();
        let path = format!("/secrets/{name}");
        let body = json!({ "value": value, "contentType": kind, "tags": { "k": label, label.clone(): "v" } });
        let set = self.vault(Method::PUT, &path, Some(body)).await;
        let set = Journey::granted(&mut self.journey.by_right, set, "set");
        let read = self.vault(Method::GET, &path, None).await;
        let read = Journey::granted(&mut self.journey.by_right, read, "get");
        assert_eq!(read.json()["value"], value.as_str());
        let version = set.json()["id"].as_str().unwrap().rsplit('/').next().unwrap().to_owned();
        let changed = json!({ "contentType": self.journey.label("a changed content type"),
            "tags": { "k": self.journey.label("a changed tag") } });
        let long = format!("{}{}", self.journey.secret("a long value"), "x".repeat(20_000));
        let steps = [
            (Method::PATCH, format!("{path}/{version}"), Some(changed)),
            (Method::GET, "/secrets".to_owned(), None),
            (Method::GET, format!("{path}/versions"), None),
            (Method::DELETE, path.clone(), None),
            (Method::GET, "/deletedsecrets".to_owned(), None),
            (Method::GET, format!("/deletedsecrets/{name}"), None),
            (Method::POST, format!("/deletedsecrets/{name}/recover"), None),
        ];
        for (method, path, body) in steps {
            let what = format!("{method} {path}");
            let answer = self.vault(method, &path, body).await;
            Journey::granted(&mut self.journey.about, answer, &what);
        }
        let second = self.vault(Method::PUT, &path, Some(json!({ "value": long }))).await;
        Journey::granted(&mut self.journey.by_right, second, "set again");
        let backup = self.vault(Method::POST, &format!("{path}/backup"), None).await;
        let backup = Journey::granted(&mut self.journey.others, backup, "backup").json();
        for (method, path) in
            [(Method::DELETE, path.clone()), (Method::DELETE, format!("/deletedsecrets/{name}"))]
        {
            let answer = self.vault(method, &path, None).await;
            Journey::granted(&mut self.journey.about, answer, "delete and purge");
        }
        let restored =
            self.vault(Method::POST, "/secrets/restore", Some(json!({ "value": backup["value"] }))).await;
        Journey::granted(&mut self.journey.about, restored, "restore");

        // The same by HTTP/2, whose library has much to say at this level of logging.
        let value = self.journey.secret("a value by HTTP/2");
        let uri = format!("https://{}/secrets/{}", self.vault, self.journey.name());
        let request = |method: Method, body: String| {
            let request = Request::builder().method(method).uri(&uri);
            let request = request.header(header::AUTHORIZATION, format!("Bearer {}", self.token));
            request.body(Full::new(Bytes::from(body))).unwrap()
        };
        let set = request(Method::PUT, json!({ "value": value }).to_string());
        let read = request(Method::GET, String::new());
        for request in [set, read] {
            let answer = self.client.send_http2(request).await;
            Journey::granted(&mut self.journey.by_right, answer, "by HTTP/2");
        }

        // And by the command line, value from a file.
        let value = self.journey.secret("a value by the command line");
        let file = self.installation.scratch().join("value.input");
        std::fs::write(&file, &value).unwrap();
        let (file, socket) = (file.to_str().unwrap(), self.server.endpoints().admin_socket.as_str());
        let name = self.journey.name();
        let set = ["--socket", socket, "secret", "set", &name, "--vault", "app", "--value-file", file];
        let (status, said, complained) = self.installation.run(set);
        assert!(status.success(), "{complained}");
        self.journey.others.push(format!("{said}{complained}").into_bytes());
        let list = ["--socket", socket, "secret", "list", "--vault", "app", "-o", "json"];
        let (status, said, complained) = self.installation.run(list);
        assert!(status.success(), "{complained}");
        self.journey.about.push(format!("{said}{complained}").into_bytes());
    }
}
