use proptest::prelude::*;

use super::*;

const ROWS: &[(Plane, Method, &str)] = &[
    (Plane::KeyVault, Method::PUT, "/secrets/{name}"),
    (Plane::KeyVault, Method::GET, "/secrets"),
    (Plane::KeyVault, Method::GET, "/secrets/{name}/{version?}"),
    (Plane::KeyVault, Method::PATCH, "/secrets/{name}/{version?}"),
    (Plane::KeyVault, Method::GET, "/secrets/{name}/versions"),
    (Plane::KeyVault, Method::POST, "/secrets/restore"),
    (Plane::KeyVault, Method::POST, "/secrets/{name}/backup"),
    (Plane::KeyVault, Method::POST, "/keys/{name}/{version?}/sign"),
    (Plane::KeyVault, Method::POST, "/keys/{name}/create"),
    (Plane::KeyVault, Method::GET, "/certificates/issuers"),
    (Plane::KeyVault, Method::GET, "/certificates/issuers/{issuer}"),
    (Plane::KeyVault, Method::GET, "/certificates/{name}/{version?}"),
    (Plane::Arm, Method::GET, "/subscriptions"),
    (Plane::Arm, Method::PUT, "/subscriptions/{subscription}/resourceGroups/{group}"),
    (Plane::Arm, Method::GET, "/subscriptions/{subscription}/providers/{namespace}/{kind}"),
    (Plane::Arm, Method::PUT, "{scope*}/providers/Microsoft.Authorization/roleAssignments/{name}"),
    (Plane::Arm, Method::GET, "{scope*}/providers/Microsoft.Authorization/roleAssignments"),
    (Plane::Entra, Method::POST, "/{tenant}/oauth2/v2.0/token"),
    (Plane::Entra, Method::POST, "/adfs/oauth2/token"),
    (Plane::Operations, Method::GET, "/"),
];

fn route(plane: Plane, method: Method, pattern: &'static str, name: &'static str) -> Route<()> {
    Route { plane, method, pattern, name, guard: Guard::None, handler: () }
}

fn table() -> Table<()> {
    let rows = ROWS.iter().enumerate().map(|(index, (plane, method, pattern))| {
        let name: &'static str = Box::leak(index.to_string().into_boxed_str());
        route(*plane, method.clone(), pattern, name)
    });
    Table::new(rows).unwrap()
}

fn resolve(plane: Plane, method: Method, path: &str) -> String {
    match table().resolve(plane, &method, path) {
        Ok(Resolution::Found(route, params)) => {
            let bound: Vec<_> = params.0.iter().map(|(name, value)| format!(" {name}={value}")).collect();
            format!("{}{}", route.pattern, bound.concat())
        }
        Ok(Resolution::NotFound) => "not found".into(),
        Ok(Resolution::MethodNotAllowed(allow)) => format!("allow {allow:?}"),
        Err(error) => error.to_string(),
    }
}

#[test]
fn every_pattern_resolves_to_itself() {
    let table = table();
    for route in table.routes() {
        assert!(!route.samples().is_empty());
        for sample in route.samples() {
            match table.resolve(route.plane, &route.method, &sample) {
                Ok(Resolution::Found(found, _)) => assert_eq!(found.name, route.name, "{sample}"),
                _ => panic!("{} does not resolve {sample}", route.pattern),
            }
        }
    }
}

#[test]
fn key_vault_paths_may_have_an_empty_version_and_a_trailing_slash() {
    let get = |path| resolve(Plane::KeyVault, Method::GET, path);
    assert_eq!(get("/secrets/n"), "/secrets/{name}/{version?} name=n version=");
    assert_eq!(get("/secrets/n/"), "/secrets/{name}/{version?} name=n version=");
    assert_eq!(get("/secrets/n//"), "/secrets/{name}/{version?} name=n version=");
    assert_eq!(get("/secrets/n/v/"), "/secrets/{name}/{version?} name=n version=v");
    assert_eq!(get("/secrets/"), "/secrets");
    assert_eq!(get("/secrets///"), "not found");
    assert_eq!(get("/Secrets/n"), "not found");
    let post = |path| resolve(Plane::KeyVault, Method::POST, path);
    assert_eq!(post("/keys/k//sign"), "/keys/{name}/{version?}/sign name=k version=");
    assert_eq!(post("/keys/k/v/sign/"), "/keys/{name}/{version?}/sign name=k version=v");
    assert_eq!(post("/keys//v/sign"), "not found");
    assert_eq!(
        post("/keys/k/sign"),
        "/keys/{name}/{version?}/sign name=k version=",
        "Go folds empty segments"
    );
}

#[test]
fn fixed_words_come_before_names_and_still_are_names_for_other_methods() {
    assert_eq!(
        resolve(Plane::KeyVault, Method::GET, "/secrets/n/versions"),
        "/secrets/{name}/versions name=n"
    );
    assert_eq!(resolve(Plane::KeyVault, Method::POST, "/secrets/restore"), "/secrets/restore");
    assert_eq!(resolve(Plane::KeyVault, Method::PUT, "/secrets/restore"), "/secrets/{name} name=restore");
    assert_eq!(
        resolve(Plane::KeyVault, Method::GET, "/certificates/issuers/i"),
        "/certificates/issuers/{issuer} issuer=i"
    );
    assert_eq!(resolve(Plane::KeyVault, Method::GET, "/certificates/issuers/"), "/certificates/issuers");
    assert_eq!(resolve(Plane::Entra, Method::POST, "/adfs/oauth2/token"), "/adfs/oauth2/token");
    assert_eq!(
        resolve(Plane::Entra, Method::POST, "/adfs/oauth2/v2.0/token"),
        "/{tenant}/oauth2/v2.0/token tenant=adfs"
    );
}

#[test]
fn resource_manager_ignores_case_and_takes_any_scope() {
    let put = |path: &str| resolve(Plane::Arm, Method::PUT, path);
    assert_eq!(
        put("/SUBSCRIPTIONS/S/resourcegroups/MyGroup"),
        "/subscriptions/{subscription}/resourceGroups/{group} subscription=S group=MyGroup"
    );
    let assignment = "{scope*}/providers/Microsoft.Authorization/roleAssignments/{name}";
    for (scope, seen) in [
        ("", "/"),
        ("/", "/"),
        ("/subscriptions/s", "/subscriptions/s"),
        ("//subscriptions/s", "/subscriptions/s"),
        (
            "/subscriptions/s/resourceGroups/g/providers/Microsoft.KeyVault/vaults/v/secrets/x",
            "/subscriptions/s/resourceGroups/g/providers/Microsoft.KeyVault/vaults/v/secrets/x",
        ),
    ] {
        let path = format!("{scope}/providers/microsoft.authorization/ROLEASSIGNMENTS/a");
        assert_eq!(put(&path), format!("{assignment} scope={seen} name=a"));
    }
    assert_eq!(put("/subscriptions//providers/Microsoft.Authorization/roleAssignments/a"), "not found");
    assert_eq!(
        resolve(
            Plane::Arm,
            Method::GET,
            "/subscriptions/s/providers/Microsoft.Authorization/roleAssignments/"
        ),
        "{scope*}/providers/Microsoft.Authorization/roleAssignments scope=/subscriptions/s"
    );
}

#[test]
fn a_wrong_method_is_told_the_right_ones_and_a_wrong_plane_nothing() {
    assert_eq!(resolve(Plane::KeyVault, Method::DELETE, "/secrets/n/v"), "allow [GET, PATCH]");
    assert_eq!(resolve(Plane::KeyVault, Method::DELETE, "/secrets/restore"), "allow [POST, PUT, GET, PATCH]");
    assert_eq!(resolve(Plane::Graph, Method::GET, "/secrets/n/v"), "not found");
    assert_eq!(
        resolve(Plane::Arm, Method::POST, "/providers/Microsoft.Authorization/roleAssignments"),
        "allow [GET]"
    );
}

#[test]
fn a_table_with_two_equal_rows_is_refused() {
    let build = |rows: &[(Plane, &'static str)]| {
        const NAMES: [&str; 2] = ["a", "b"];
        let rows =
            rows.iter().zip(NAMES).map(|((plane, pattern), name)| route(*plane, Method::GET, pattern, name));
        Table::new(rows).err()
    };
    let ambiguous = Some(TableError::Ambiguous("a", "b"));
    let key_vault = Plane::KeyVault;
    assert_eq!(build(&[(key_vault, "/secrets/{name}"), (key_vault, "/secrets/{other}")]), ambiguous);
    assert_eq!(
        build(&[(key_vault, "/secrets/{name}"), (key_vault, "/secrets/{name}/{version?}")]),
        ambiguous
    );
    assert_eq!(build(&[(key_vault, "/secrets/{name}"), (key_vault, "/Secrets/{name}")]), None);
    assert_eq!(build(&[(Plane::Arm, "/tenants"), (Plane::Arm, "/Tenants")]), ambiguous);
    let scoped = "{scope*}/providers/A/b/{name}";
    let either_way = |error| error == ambiguous || error == Some(TableError::Ambiguous("b", "a"));
    assert!(either_way(build(&[(Plane::Arm, scoped), (Plane::Arm, "/tenants/{t}/providers/A/b/{name}")])));
    assert!(either_way(build(&[(Plane::Arm, scoped), (Plane::Arm, "{scope*}/providers/A/b/{other}")])));
    assert!(either_way(build(&[(Plane::Arm, scoped), (Plane::Arm, "{scope*}/providers/{ns}/b/c")])));
    assert_eq!(
        build(&[(Plane::Arm, scoped), (Plane::Arm, "/tenants/{t}/providers/{ns}/{kind}/{name}")]),
        None
    );
    for pattern in ["secrets", "/a//b", "/{}", "/{a", "/a/{scope*}", "{scope*}/{a}/b", "/a b"] {
        assert!(matches!(build(&[(key_vault, pattern)]), Some(TableError::Pattern { .. })), "{pattern}");
    }
}

proptest! {
    #[test]
    fn resolving_never_panics(
        path in "(/(secrets|keys|k|providers|Microsoft\\.Authorization|roleAssignments|sign|)){0,12}|.{0,80}",
        plane in prop::sample::select(Plane::ALL.to_vec()),
        method in prop::sample::select(vec![Method::GET, Method::PUT, Method::POST]),
    ) {
        let table = table();
        if let Ok(Resolution::Found(route, _)) = table.resolve(plane, &method, &path) {
            prop_assert!(route.plane == plane && route.method == method);
        }
    }
}
