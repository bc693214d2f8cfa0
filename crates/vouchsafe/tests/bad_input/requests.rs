//! Addresses and heads that make no sense.

use vouchsafe_testkit::running::Pieces;

use crate::{Bench, Dialect, Place};

pub async fn try_all(bench: &mut Bench) {
    everywhere(bench).await;
    methods(bench).await;
    names_and_queries(bench).await;
    places_in_lists(bench).await;
    hosts(bench).await;
    not_http(bench).await;
}

/// What no plane has.
async fn everywhere(bench: &mut Bench) {
    let below = format!("/subscriptions/{}", bench.subscription);
    let tenant = format!("/{}", bench.tenant);
    let planes: Vec<(Place, String)> = vec![
        (bench.vault.clone(), String::new()),
        (bench.vault.clone(), "/secrets".to_owned()),
        (bench.arm.clone(), below),
        (bench.entra.clone(), tenant),
        (bench.operations.clone(), "/metadata".to_owned()),
        (bench.admin.clone(), "/admin".to_owned()),
        (bench.node.clone(), "/node".to_owned()),
    ];
    let long = "a".repeat(3_000);
    let many = "/a".repeat(200);
    let paths: [(&str, u16); 21] = [
        ("/nowhere/at/all/there", 404),
        ("/nowhere/at/all/there/", 404),
        ("/nowhere//at///all/there", 404),
        ("/nowhere/at/all/there?api-version=7.4", 404),
        ("/%F0%9F%90%A6/at/all/there", 404),
        ("/nowhere/at/all/%22%3Cscript%3E%60", 404),
        ("/%00/a/b/c", 400),
        ("/a/%0d%0aSet-Cookie:%20a=b/c/d", 400),
        ("/a/%7f/b/c", 400),
        ("/%ff%fe/a/b/c", 400),
        ("/%c0%af/a/b/c", 400),
        ("/%/a/b/c", 400),
        ("/%2/a/b/c", 400),
        ("/%zz/a/b/c", 400),
        ("/a%2fb/c/d/e", 400),
        ("/a%5cb/c/d/e", 400),
        ("/a/../b/c/d", 400),
        ("/a/%2e%2e/b/c", 400),
        ("/./a/b/c", 400),
        (&long, 414),
        (&many, 414),
    ];
    for (place, prefix) in &planes {
        for (path, status) in &paths {
            let slash = if path.starts_with('/') { "" } else { "/" };
            let shown: String = path.chars().take(60).collect();
            let pieces = place.pieces(format!("GET {prefix}{slash}{path} HTTP/1.1"));
            bench.refuses_with(place, *status, &format!("GET {prefix}{shown}"), &pieces).await;
        }
    }
}

/// Methods that an address does not have: 405 with those it has.
async fn methods(bench: &mut Bench) {
    let below = format!("/subscriptions/{}", bench.subscription);
    let token = format!("/{}/oauth2/v2.0/token", bench.tenant);
    let keys = format!("/{}/discovery/v2.0/keys", bench.tenant);
    let routes: Vec<(Place, &str)> = vec![
        (bench.vault.clone(), "/secrets/kept"),
        (bench.vault.clone(), "/secrets"),
        (bench.vault.clone(), "/deletedsecrets/kept/recover"),
        (bench.vault.clone(), "/keys/kept"),
        (bench.vault.clone(), "/keys/kept//sign"),
        (bench.vault.clone(), "/rng"),
        (bench.arm.clone(), &below),
        (bench.arm.clone(), "/subscriptions"),
        (bench.entra.clone(), &token),
        (bench.entra.clone(), &keys),
        (bench.operations.clone(), "/metrics"),
        (bench.operations.clone(), "/healthz"),
        (bench.admin.clone(), "/admin/v1/status"),
        (bench.admin.clone(), "/admin/v1/apply"),
        (bench.node.clone(), "/node/v1/token"),
    ];
    for (place, path) in &routes {
        for method in ["TRACE", "OPTIONS", "PROPFIND", "get", "X"] {
            let pieces = place.pieces(format!("{method} {path} HTTP/1.1"));
            let answer = bench.refuses_with(place, 405, &format!("{method} {path}"), &pieces).await;
            if !answer.is_some_and(|answer| answer.headers.contains_key("allow")) {
                bench.complain(format!("{method} {path}: the answer does not say which methods there are"));
            }
        }
    }
}

/// A place in one list, real or made up, shows nothing when it is named in another.
async fn places_in_lists(bench: &mut Bench) {
    let vault = bench.vault.clone();
    let page = vault.pieces("GET /secrets?maxresults=1 HTTP/1.1");
    let page = vault.client.raw(&vault.host, &page).await.unwrap().json();
    let link = page["nextLink"].as_str().expect("two secrets are two pages").to_owned();
    let real = link.split("skiptoken=").nth(1).and_then(|rest| rest.split('&').next()).unwrap().to_owned();
    for token in ["AAAA", &"A".repeat(4_000), &"_".repeat(130), &real] {
        for (path, own) in
            [("/deletedsecrets", "/deletedsecrets/"), ("/secrets/kept/versions", "/secrets/kept/")]
        {
            let pieces = vault.pieces(format!("GET {path}?$skiptoken={token} HTTP/1.1"));
            let answer = vault.client.raw(&vault.host, &pieces).await.unwrap();
            let shown: String = token.chars().take(20).collect();
            if answer.status.is_server_error() {
                bench.complain(format!("{path} from {shown}: {} {}", answer.status, answer.text()));
            }
            for item in answer.json()["value"].as_array().into_iter().flatten() {
                if !item["id"].as_str().is_some_and(|id| id.contains(own)) {
                    bench.complain(format!("{path} from {shown} shows {item}"));
                }
            }
        }
    }
}

/// Names and queries that no object can have.
async fn names_and_queries(bench: &mut Bench) {
    let vault = bench.vault.clone();
    let long = "n".repeat(128);
    let too_many = (0..64).map(|n| format!("p{n}=v")).collect::<Vec<_>>().join("&");
    let too_long = format!("x={}", "v".repeat(10_000));
    for (path, status) in [
        (format!("/secrets/{long}"), 400),
        ("/secrets/a_b".to_owned(), 400),
        ("/secrets/a.b".to_owned(), 400),
        ("/secrets/a%20b".to_owned(), 400),
        ("/secrets/%C3%A4".to_owned(), 400),
        ("/secrets/kept/not-a-version".to_owned(), 400),
        ("/secrets/kept/00000000000000000000000000000000000".to_owned(), 400),
        ("/secrets/kept/00000000000000000000000000000000".to_owned(), 404),
        ("/secrets/nothing".to_owned(), 404),
        ("/secrets/nothing/versions".to_owned(), 404),
        ("/deletedsecrets/kept".to_owned(), 404),
        (format!("/keys/{long}"), 400),
        ("/keys/a_b".to_owned(), 400),
        ("/keys/kept/not-a-version".to_owned(), 400),
        ("/keys/kept/00000000000000000000000000000000".to_owned(), 404),
        ("/keys/nothing".to_owned(), 404),
        ("/keys/nothing/rotationpolicy".to_owned(), 404),
        ("/deletedkeys/kept".to_owned(), 404),
        ("/keys?maxresults=26".to_owned(), 400),
        (format!("/certificates/{long}"), 400),
        ("/certificates/a_b".to_owned(), 400),
        ("/certificates/kept-tls/not-a-version".to_owned(), 400),
        ("/certificates/kept-tls/00000000000000000000000000000000".to_owned(), 404),
        ("/certificates/nothing".to_owned(), 404),
        ("/certificates/nothing/policy".to_owned(), 404),
        ("/certificates/nothing/pending".to_owned(), 404),
        ("/certificates/issuers/nobody".to_owned(), 404),
        ("/certificates/issuers/self".to_owned(), 400),
        ("/certificates/contacts".to_owned(), 404),
        ("/certificates?includePending=perhaps".to_owned(), 400),
        ("/certificates?maxresults=26".to_owned(), 400),
        ("/certificates/issuers?maxresults=26".to_owned(), 400),
        ("/deletedcertificates/kept-tls".to_owned(), 404),
        ("/secrets/kept-tls?outContentType=text/plain".to_owned(), 400),
        ("/secrets/kept?outContentType=application/x-pem-file".to_owned(), 400),
        ("/secrets?maxresults=-1".to_owned(), 400),
        ("/secrets?maxresults=0".to_owned(), 400),
        ("/secrets?maxresults=26".to_owned(), 400),
        ("/secrets?maxresults=many".to_owned(), 400),
        ("/secrets?maxresults=4294967295".to_owned(), 400),
        ("/secrets?maxresults=99999999999999999999".to_owned(), 400),
        ("/secrets?maxresults=1&maxresults=2".to_owned(), 400),
        ("/secrets?api-version=1&api%2Dversion=2".to_owned(), 400),
        ("/secrets?$skiptoken=%21%21".to_owned(), 400),
        ("/secrets/kept?a=%ff".to_owned(), 400),
        ("/secrets/kept?%ff=a".to_owned(), 400),
        (format!("/secrets/kept?{too_many}"), 400),
        (format!("/secrets/kept?{too_long}"), 400),
    ] {
        let shown: String = path.chars().take(60).collect();
        let pieces = vault.pieces(format!("GET {path} HTTP/1.1"));
        bench.refuses_with(&vault, status, &format!("GET {shown}"), &pieces).await;
    }
    for line in [
        "DELETE /secrets/nothing HTTP/1.1",
        "POST /secrets/nothing/backup HTTP/1.1",
        "POST /deletedsecrets/kept/recover HTTP/1.1",
        "DELETE /deletedsecrets/kept HTTP/1.1",
        "DELETE /keys/nothing HTTP/1.1",
        "POST /keys/nothing/backup HTTP/1.1",
        "POST /keys/nothing/rotate HTTP/1.1",
        "POST /deletedkeys/kept/recover HTTP/1.1",
        "DELETE /deletedkeys/kept HTTP/1.1",
        "DELETE /certificates/nothing HTTP/1.1",
        "DELETE /certificates/nothing/pending HTTP/1.1",
        "DELETE /certificates/issuers/nobody HTTP/1.1",
        "DELETE /certificates/contacts HTTP/1.1",
        "POST /certificates/nothing/backup HTTP/1.1",
        "POST /deletedcertificates/kept-tls/recover HTTP/1.1",
        "DELETE /deletedcertificates/kept-tls HTTP/1.1",
    ] {
        bench.refuses_with(&vault, 404, line, &vault.pieces(line)).await;
    }

    let arm = bench.arm.clone();
    let below = format!("/subscriptions/{}", bench.subscription);
    let deep =
        format!("{below}/providers/Microsoft.Authorization/roleAssignments?$filter={}", "(".repeat(1_000));
    for path in [
        "/subscriptions/not-a-guid?api-version=1".to_owned(),
        "/subscriptions/00000000-0000-0000-0000-000000000000?api-version=1".to_owned(),
        format!("{below}/resourceGroups/{}?api-version=1", "g".repeat(100)),
        format!("{below}/resourceGroups/a%24b?api-version=1"),
        format!("{below}/resourceGroups/nothing?api-version=1"),
        format!("{below}/resourceGroups/default/providers/Microsoft.KeyVault/vaults/x?api-version=1"),
        format!("{below}/resourceGroups/default/providers/Microsoft.KeyVault/vaults/nothing?api-version=1"),
        format!("{below}/resourceGroups/default/providers/Microsoft.Nothing/things/x?api-version=1"),
        format!("{below}/providers/Microsoft.Authorization/roleAssignments/x?api-version=1"),
        format!("{below}/providers/Microsoft.Authorization/roleAssignments?$filter=drop%20table"),
        deep,
        format!("{below}/resources?api-version=1&api-version=2"),
        format!("{below}/resources?a=%ff"),
    ] {
        let shown: String = path.chars().take(120).collect();
        bench.refuses(&arm, arm.dialect, &shown, &arm.pieces(format!("GET {path} HTTP/1.1"))).await;
    }

    let admin = bench.admin.clone();
    for line in [
        "POST /admin/v1/token HTTP/1.1",
        "POST /admin/v1/token?resource= HTTP/1.1",
        "POST /admin/v1/token?resource=nothing HTTP/1.1",
        "POST /admin/v1/token?resource=a&resource=b HTTP/1.1",
        "GET /admin/v1/audit?from=-1 HTTP/1.1",
        "GET /admin/v1/audit?from=first HTTP/1.1",
        "GET /admin/v1/audit?limit=all HTTP/1.1",
        "GET /admin/v1/audit?limit=99999999999999999999 HTTP/1.1",
    ] {
        bench.refuses_with(&admin, 400, line, &admin.pieces(line)).await;
    }
    for tenant in ["nobody", "\u{ff}", "00000000-0000-0000-0000-000000000000"] {
        let pieces =
            admin.pieces("GET /admin/v1/status HTTP/1.1").header(format!("X-Vouchsafe-Tenant: {tenant}"));
        bench.refuses_with(&admin, 404, tenant, &pieces).await;
    }
    // What belongs to the socket is not on the network: there is no tenant named admin, and no agent comes this way.
    let entra = bench.entra.clone();
    for line in
        ["GET /admin/v1/status HTTP/1.1", "POST /admin/v1/token?resource=https://vault.azure.net HTTP/1.1"]
    {
        bench.refuses_with(&entra, 404, line, &entra.pieces(line)).await;
    }
    let remote = Place { dialect: Dialect::Node, ..entra.clone() };
    bench
        .refuses_with(
            &remote,
            403,
            "an agent over the network",
            &remote.pieces("POST /node/v1/token HTTP/1.1"),
        )
        .await;
    for line in [
        "GET /nobody/v2.0/.well-known/openid-configuration HTTP/1.1",
        "GET /%22%5c/v2.0/.well-known/openid-configuration HTTP/1.1",
        "GET /nobody/discovery/v2.0/keys HTTP/1.1",
        "GET /common/discovery/instance HTTP/1.1",
        "GET /common/discovery/instance?authorization_endpoint=x HTTP/1.1",
        "GET /common/discovery/instance?authorization_endpoint=https://evil.example/x/authorize HTTP/1.1",
        "GET /common/discovery/instance?authorization_endpoint=%22%5c%0a HTTP/1.1",
    ] {
        bench.refuses(&entra, entra.dialect, line, &entra.pieces(line)).await;
    }
}

/// Hosts that are not ours, or not hosts.
async fn hosts(bench: &mut Bench) {
    let ours = bench.operations.clone();
    let long = format!("{}.vault.localhost", "a".repeat(300));
    for host in [
        "",
        "evil.example",
        "localhost.evil.example",
        "vault.localhost",
        "a.b.vault.localhost",
        "x.vault.localhost",
        "-app.vault.localhost",
        "app.vault.localhost:99999",
        "app.vault.localhost:-1",
        "app.vault.localhost:",
        "[::1",
        "app.vault.localhost@localhost",
        "localhost/x",
        "local host",
        "\u{ff}",
        "127.0.0.1.",
        "2130706433",
        "0x7f.1",
        "login.microsoftonline.com",
        "app.vault.azure.net",
        &long,
    ] {
        let pieces = Pieces::new("GET /secrets HTTP/1.1", host);
        bench.refuses(&ours, Dialect::Ours, &format!("Host: {host}"), &pieces).await;
    }
    let twice = Pieces::new("GET /secrets HTTP/1.1", "localhost").header("Host: evil.example");
    bench.refuses(&ours, Dialect::Ours, "two hosts", &twice).await;
    let none = Pieces { line: b"GET /healthz HTTP/1.1".to_vec(), ..Pieces::default() };
    bench.refuses(&ours, Dialect::Ours, "no host", &none).await;
    let relative = Pieces::new("GET secrets HTTP/1.1", "localhost");
    bench.refuses(&ours, Dialect::Ours, "a target without a slash", &relative).await;
    let absolute = Pieces::new("GET https://evil.example/healthz HTTP/1.1", "localhost");
    bench.refuses(&ours, Dialect::Ours, "an absolute target elsewhere", &absolute).await;
    let vault = bench.vault.clone();
    let missing = Place { host: vault.host.replacen("app.", "nothing.", 1), ..vault };
    bench
        .refuses_with(&missing, 404, "a vault that is not there", &missing.pieces("GET /secrets HTTP/1.1"))
        .await;
}

/// What is refused before it is a request.
async fn not_http(bench: &mut Bench) {
    let vault = bench.vault.clone();
    let bearer = format!("Authorization: Bearer {}", vault.bearer.clone().unwrap_or_default());
    let long = format!("GET /{} HTTP/1.1", "a".repeat(70_000));
    let lines: [&[u8]; 9] = [
        b"GET",
        b"GET /",
        b"GET / HTTP/9.9",
        b"GET / HTTP/1.1 x",
        b"GET /\x00 HTTP/1.1",
        b"G\xffT / HTTP/1.1",
        b"\xff\xfe\xfd",
        b"{\"jsonrpc\":\"2.0\"}",
        long.as_bytes(),
    ];
    for line in lines {
        let shown = String::from_utf8_lossy(&line[..line.len().min(40)]).into_owned();
        let pieces = Pieces::new(line, &vault.host).header(&bearer);
        bench.refuses(&vault, Dialect::Protocol, &shown, &pieces).await;
    }
    let huge = format!("X-Huge: {}", "h".repeat(300_000));
    let headers: [&[u8]; 6] =
        [b"No colon here", b"Bad name: x", b": x", b"X-Nul: a\x00b", b"Content-Length: -1", huge.as_bytes()];
    for line in headers {
        let shown = String::from_utf8_lossy(&line[..line.len().min(40)]).into_owned();
        let pieces = Pieces::new("GET /secrets/kept HTTP/1.1", &vault.host).header(&bearer).header(line);
        bench.refuses(&vault, Dialect::Protocol, &shown, &pieces).await;
    }
    let mut many = Pieces::new("GET /secrets/kept HTTP/1.1", &vault.host).header(&bearer);
    for number in 0..1_000 {
        many = many.header(format!("X-{number}: v"));
    }
    bench.refuses(&vault, Dialect::Protocol, "a thousand headers", &many).await;
    // A target whose bytes are not UTF-8 is still HTTP; what it names is not there.
    let pieces = Pieces::new(b"GET /secrets/\xff\xfe HTTP/1.1", &vault.host).header(&bearer);
    bench.refuses(&vault, Dialect::Protocol, "raw bytes in the path", &pieces).await;
}
