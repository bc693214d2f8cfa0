//! Nothing crosses from one tenant to another, and nothing from one vault to its neighbour: every request that the one
//! makes is replayed by the other, is refused, and is answered in the very words that names have which do not exist.

mod support;

use std::collections::BTreeSet;

use serde_json::json;
use support::tenants::{
    ASSIGNMENT, ROLE, Signer, Two, by_assertion, ghosts, said, said_of_ghosts, token_request,
};
use support::{Ask, HOST, TLS};
use vouchsafe_domain::access::built_in;
use vouchsafe_domain::ids::{ObjectName, TenantId, VaultName};
use vouchsafe_domain::resource::scope::Scope;
use vouchsafe_server::assemble::routes;
use vouchsafe_server::http::route::Guard;
use vouchsafe_testkit::world::{KEY_VAULT, ORIGIN};

#[tokio::test]
async fn every_request_of_one_tenant_is_refused_to_the_other_and_tells_nothing() {
    let two = Two::found(21).await;
    let scenario = two.scenario().await;
    let covered: BTreeSet<_> = scenario.tape.iter().filter_map(|(ask, _)| two.world.route(ask)).collect();
    let guarded: BTreeSet<_> =
        routes().iter().filter(|route| route.guard == Guard::Bearer).map(|route| route.name).collect();
    assert_eq!(covered, guarded, "the scenario must use every route that takes a token");

    let ghosts = ghosts(&two.alpha, &scenario.tape);
    let strangers = two.tokens(&two.bravo).await;
    // Tokens that are good at home, and remembered as good, when they come to the wrong door.
    for (token, home) in strangers.iter().zip([
        Ask::new("GET", HOST, &format!("/subscriptions/{}/resourceGroups", two.bravo.subscription)),
        Ask::new("GET", &two.bravo.vault_host("one"), "/secrets"),
    ]) {
        assert_eq!(two.world.ask(TLS, &home.bearer(token)).await.status, 200);
    }
    let before = two.reads(&scenario).await;
    let commits = two.world.opened.store.commits();
    let mut own = Vec::new();
    for (ask, _) in &scenario.tape {
        let token = if ask.is_of_a_vault() { &strangers[1] } else { &strangers[0] };
        let answer = two.world.ask(TLS, &ask.clone().bearer(token)).await;
        // A vault's host is a name in the DNS: who asks it may know that it is there. What is in it must not show.
        let mut ghost = ask.renamed(&ghosts);
        ghost.host.clone_from(&ask.host);
        let of_ghost = two.world.ask(TLS, &ghost.bearer(token)).await;
        assert_eq!(said(&answer), said_of_ghosts(&of_ghost, &ghosts), "{ask:?}");
        if ask.is_of_a_vault() {
            let challenge =
                format!("Bearer authorization=\"{ORIGIN}/{}\", resource=\"{KEY_VAULT}\"", two.alpha.id);
            assert_eq!((answer.status, answer.challenge()), (401, Some(challenge.as_str())), "{ask:?}");
            let told = answer.json()["error"]["message"].as_str().unwrap_or_default().to_owned();
            assert!(ask.method == "HEAD" || told.starts_with("AKV10032: Invalid issuer."), "{ask:?} {told}");
        } else if ask.path.starts_with("/subscriptions/") {
            assert_eq!(answer.status, 404, "{ask:?} {answer:?}");
        } else {
            let told = ghosts.iter().find(|(name, _)| answer.body.contains(name.as_str()));
            assert_eq!(told, None, "{ask:?} {answer:?}");
            own.push(ask.path.as_str());
        }
    }
    assert_eq!(own, ["/tenants", "/subscriptions"], "only these are about whoever asks");
    assert_eq!(two.world.opened.store.commits(), commits, "a refused request changed something");
    assert_eq!(two.reads(&scenario).await, before);
    println!("{} requests replayed over {} routes", scenario.tape.len(), covered.len());
}

#[tokio::test]
async fn naming_another_tenants_things_in_ones_own_requests_tells_nothing() {
    let two = Two::found(22).await;
    let scenario = two.scenario().await;
    let ghosts = ghosts(&two.alpha, &scenario.tape);
    let tokens = two.tokens(&two.bravo).await;
    let (alpha, bravo) = (&two.alpha, &two.bravo);
    let own = format!("/subscriptions/{}", bravo.subscription);
    let foreign = format!("/subscriptions/{}", alpha.subscription);
    let authorization = format!("{own}/providers/Microsoft.Authorization");
    let worker = scenario
        .tape
        .iter()
        .find_map(|(_, answer)| answer.json()["properties"]["principalId"].as_str().map(str::to_owned));
    let worker = worker.expect("a principal");
    let reader = format!("{authorization}/roleDefinitions/{}", built_in::KEY_VAULT_READER);
    let assign = |role: &str, principal: &str| json!({"properties": {"roleDefinitionId": role, "principalId": principal}});
    let role = |scope: &str| {
        json!({"properties": {"roleName": "mine", "assignableScopes": [scope],
            "permissions": [{"actions": ["*/read"], "notActions": [], "dataActions": [], "notDataActions": []}]}})
    };
    let vault = |tenant: TenantId| {
        json!({"location": "local", "properties": {
            "tenantId": tenant.to_string(), "sku": {"family": "A", "name": "standard"}}})
    };
    let new = "bbbbbbbb-0000-4000-8000-000000000001";
    let put = |path: String, body: serde_json::Value| Ask::new("PUT", HOST, &path).body(body);
    let get = |path: String| Ask::new("GET", HOST, &path);
    let asks = [
        put(format!("{authorization}/roleAssignments/{new}"), assign(&reader, &worker)),
        put(format!("{authorization}/roleAssignments/{new}"), assign(&reader, &alpha.principal.to_string())),
        put(
            format!("{authorization}/roleAssignments/{new}"),
            assign(&format!("{authorization}/roleDefinitions/{ROLE}"), &bravo.principal.to_string()),
        ),
        put(format!("{authorization}/roleDefinitions/{new}"), role(&foreign)),
        put(
            format!("{own}/resourceGroups/rg/providers/Microsoft.KeyVault/vaults/bravo-new"),
            vault(alpha.id),
        ),
        put(
            format!("{own}/resourceGroups/alpha-rg/providers/Microsoft.KeyVault/vaults/bravo-new"),
            vault(bravo.id),
        ),
        Ask::new("DELETE", HOST, &format!("{authorization}/roleAssignments/{ASSIGNMENT}")),
        Ask::new("DELETE", HOST, &format!("{authorization}/roleDefinitions/{ROLE}")),
        get(format!("{authorization}/roleAssignments/{ASSIGNMENT}")),
        get(format!("{authorization}/roleDefinitions/{ROLE}")),
        get(format!("{authorization}/roleAssignments?%24filter=principalId%20eq%20%27{worker}%27")),
        get(format!("{authorization}/roleAssignments?%24filter=assignedTo%28%27{worker}%27%29")),
        get(format!("{own}/resources?%24filter=name%20eq%20%27alpha-one%27")),
        get(format!("{own}/resourceGroups/alpha-rg")),
        get(format!("{own}/resourceGroups/alpha-rg/providers/Microsoft.KeyVault/vaults/alpha-one")),
        get(format!("{own}/providers/Microsoft.KeyVault/locations/local/deletedVaults/alpha-old")),
        get("/tenants".to_owned()).header("x-vouchsafe-tenant", alpha.id),
        get("/subscriptions".to_owned()).header("x-vouchsafe-tenant", "alpha.example"),
        Ask::new("GET", &bravo.vault_host("one"), "/secrets/alpha-db").header("x-vouchsafe-tenant", alpha.id),
    ];
    let commits = two.world.opened.store.commits();
    for ask in asks {
        let token = if ask.is_of_a_vault() { &tokens[1] } else { &tokens[0] };
        let answer = two.world.ask(TLS, &ask.clone().bearer(token)).await;
        let of_ghost = two.world.ask(TLS, &ask.renamed(&ghosts).bearer(token)).await;
        assert_eq!(said(&answer), said_of_ghosts(&of_ghost, &ghosts), "{ask:?}");
        let repeated = format!("{}{}", ask.path, ask.body);
        let told = ghosts
            .iter()
            .find(|(name, _)| answer.body.contains(name.as_str()) && !repeated.contains(name.as_str()));
        assert_eq!(told, None, "{ask:?} {answer:?}");
    }
    assert_eq!(two.world.opened.store.commits(), commits);

    // A backup opens in its own subscription and nowhere else; elsewhere it is like any other bytes.
    let backup = scenario.tape.iter().find(|(ask, _)| ask.path.ends_with("/backup")).expect("a backup");
    let blob = backup.1.json()["value"].as_str().expect("a blob").to_owned();
    let garbage: String =
        blob.chars().rev().map(|c| if c.is_ascii_alphanumeric() { 'A' } else { c }).collect();
    let mut answers = Vec::new();
    for value in [&blob, &garbage] {
        let ask =
            Ask::new("POST", &bravo.vault_host("one"), "/secrets/restore").body(json!({"value": value}));
        answers.push(said(&two.world.ask(TLS, &ask.bearer(&tokens[1])).await));
    }
    assert_eq!(answers[0].0, 400, "{answers:?}");
    assert_eq!(answers[0], answers[1]);
}

#[tokio::test]
async fn a_vault_name_that_another_tenant_has_is_refused_alike_whether_its_vault_lives_or_is_deleted() {
    let two = Two::found(23).await;
    let _scenario = two.scenario().await;
    let [token, _] = two.tokens(&two.bravo).await;
    let own = format!("/subscriptions/{}", two.bravo.subscription);
    let body = json!({"location": "local", "properties": {
        "tenantId": two.bravo.id.to_string(), "sku": {"family": "A", "name": "standard"}}});
    let mut answers = Vec::new();
    for name in ["alpha-one", "alpha-old"] {
        let path = format!("{own}/resourceGroups/rg/providers/Microsoft.KeyVault/vaults/{name}");
        let answer = two.world.ask(TLS, &Ask::new("PUT", HOST, &path).body(&body).bearer(&token)).await;
        let (status, headers, body) = said(&answer);
        answers.push((status, headers, body.replace(name, "NAME")));
    }
    assert_eq!(answers[0].0, 409, "{answers:?}");
    assert_eq!(answers[0], answers[1]);
    // What was purged is free for everybody.
    let path = format!("{own}/resourceGroups/rg/providers/Microsoft.KeyVault/vaults/alpha-gone");
    let answer = two.world.ask(TLS, &Ask::new("PUT", HOST, &path).body(&body).bearer(&token)).await;
    assert_eq!(answer.status, 201, "{answer:?}");
}

#[tokio::test]
async fn the_credentials_of_one_tenant_open_nothing_at_the_other_and_tell_nothing() {
    let two = Two::found(24).await;
    let (world, alpha, bravo) = (&two.world, &two.alpha, &two.bravo);
    let ghost_client = "99999999-0000-4000-8000-000000000003";
    let ghost_signer = Signer::new();
    for tenant in [alpha, bravo] {
        for ask in [tenant.with_secret(KEY_VAULT), tenant.with_certificate(world, KEY_VAULT)] {
            assert_eq!(world.ask(TLS, &ask).await.status, 200, "{ask:?}");
        }
    }
    let own_client = bravo.client.to_string();
    let mut ghosts = vec![(own_client.clone(), ghost_client.to_owned())];
    ghosts.extend(bravo.signer.thumbprints().into_iter().zip(ghost_signer.thumbprints()));
    ghosts.push((bravo.secret.clone(), "x".repeat(bravo.secret.len())));
    for tenant in [alpha.id.to_string(), "alpha.example".to_owned(), "common".to_owned(), "adfs".to_owned()] {
        let path = format!("/{tenant}/oauth2/v2.0/token");
        let target = alpha.client.to_string();
        let assertions = |signer: &Signer, client: &str, audience: &str| {
            by_assertion(&signer.assertion(world, client, audience))
        };
        let (home, id) = (bravo.id.to_string(), tenant.as_str());
        // Each with a stranger's credential, and the same with one that nobody has.
        let pairs = [
            // Bravo's application asks in alpha.
            (
                &own_client,
                format!("&client_secret={}", bravo.secret),
                format!("&client_secret={}", "x".repeat(43)),
            ),
            (
                &own_client,
                assertions(&bravo.signer, &own_client, &home),
                assertions(&ghost_signer, ghost_client, &home),
            ),
            (
                &own_client,
                assertions(&bravo.signer, &own_client, id),
                assertions(&ghost_signer, ghost_client, id),
            ),
            // Bravo's credentials for alpha's application.
            (
                &target,
                format!("&client_secret={}", bravo.secret),
                format!("&client_secret={}", "x".repeat(43)),
            ),
            (&target, assertions(&bravo.signer, &target, id), assertions(&ghost_signer, &target, id)),
            (
                &target,
                assertions(&bravo.signer, &own_client, &home),
                assertions(&ghost_signer, ghost_client, &home),
            ),
        ];
        for (client, credential, of_nobody) in pairs {
            let ask = token_request(&path, client, KEY_VAULT);
            let answer = world.ask(TLS, &ask.clone().appended(&credential)).await;
            assert!(matches!(answer.status, 400 | 401), "{ask:?} {answer:?}");
            assert!(!answer.body.contains("access_token"));
            let ghost = ask.renamed(&ghosts[..1]).appended(&of_nobody);
            let of_ghost = world.ask(TLS, &ghost).await;
            assert_eq!(said(&answer), said_of_ghosts(&of_ghost, &ghosts), "{ask:?} {credential}");
        }
    }
    // Replayed at the other tenant's endpoint, alpha's own requests are a stranger's.
    for ask in [alpha.with_secret(KEY_VAULT), alpha.with_certificate(world, KEY_VAULT)] {
        let at_bravo = Ask { path: bravo.token_path(), ..ask };
        let answer = world.ask(TLS, &at_bravo).await;
        let renamed = at_bravo.renamed(&[(alpha.client.to_string(), ghost_client.to_owned())]);
        let of_ghost = world.ask(TLS, &renamed).await;
        assert_eq!(answer.status, 400, "{answer:?}");
        assert_eq!(
            said(&answer),
            said_of_ghosts(&of_ghost, &[(alpha.client.to_string(), ghost_client.to_owned())])
        );
    }
}

#[tokio::test]
async fn a_role_on_one_vault_or_one_secret_opens_nothing_beside_it() {
    let two = Two::found(25).await;
    let scenario = two.scenario().await;
    let (world, id) = (&two.world, two.alpha.id);
    let opened = &world.opened;
    let (_, vault) =
        opened.platform.world().vault(&VaultName::parse("alpha-one").expect("a name")).expect("a vault");
    let scope = Scope::vault(vault.subscription, &vault.group, &vault.name);
    let of_vault = opened.put_identity(id, "of-one-vault").await;
    opened.assign(id, built_in::KEY_VAULT_ADMINISTRATOR, of_vault.principal, scope.clone()).await;
    let of_secret = opened.put_identity(id, "of-one-secret").await;
    let secret = scope.object("secrets", &ObjectName::parse("alpha-db").expect("a name"));
    opened.assign(id, built_in::KEY_VAULT_SECRETS_OFFICER, of_secret.principal, secret).await;
    let (of_vault, of_secret) =
        (opened.token(&of_vault, KEY_VAULT).await, opened.token(&of_secret, KEY_VAULT).await);
    let (one, neighbour) = (two.alpha.vault_host("one"), two.alpha.vault_host("two"));
    let ghosts = ghosts(&two.alpha, &scenario.tape);
    let reads_of_db = |ask: &Ask| ask.method == "GET" && ask.path.starts_with("/secrets/alpha-db");

    // The positive twins: what the roles are for.
    for (ask, told) in scenario.tape.iter().filter(|(ask, _)| ask.method == "GET" && ask.host == one) {
        let answer = world.ask(TLS, &ask.clone().bearer(&of_vault)).await;
        assert_eq!(answer.status, told.status, "{ask:?} {answer:?}");
        let answer = world.ask(TLS, &ask.clone().bearer(&of_secret)).await;
        assert_eq!(answer.status, if reads_of_db(ask) { 200 } else { 403 }, "{ask:?} {answer:?}");
    }
    let (before, commits) = (two.reads(&scenario).await, opened.store.commits());
    let mut refused = 0;
    for (ask, _) in scenario.tape.iter().filter(|(ask, _)| ask.is_of_a_vault()) {
        let next_door = Ask { host: neighbour.clone(), ..ask.clone() };
        let beside =
            Ask { host: one.clone(), ..ask.renamed(&[("alpha-db".to_owned(), "alpha-back".to_owned())]) };
        let collection =
            ask.path.starts_with("/secrets?") || matches!(ask.path.as_str(), "/secrets" | "/secrets/restore");
        let mut cases = vec![(&of_vault, next_door.clone()), (&of_secret, next_door), (&of_secret, beside)];
        if collection {
            cases.push((&of_secret, ask.clone()));
        }
        for (token, ask) in cases {
            let answer = world.ask(TLS, &ask.clone().bearer(token)).await;
            assert_eq!(answer.status, 403, "{ask:?} {answer:?}");
            assert_eq!(answer.json()["error"]["innererror"]["code"], "ForbiddenByRbac", "{ask:?}");
            let mut ghost = ask.renamed(&ghosts);
            ghost.host.clone_from(&ask.host);
            let of_ghost = world.ask(TLS, &ghost.bearer(token)).await;
            // The place is named as it was asked for; nothing else differs.
            assert_eq!(said(&answer), said_of_ghosts(&of_ghost, &ghosts), "{ask:?}");
            refused += 1;
        }
    }
    assert!(refused > 50);
    assert_eq!(opened.store.commits(), commits);
    assert_eq!(two.reads(&scenario).await, before);
}
