//! ARM shapes against the published examples (keyvault.json 2023-02-01, ManagedIdentity.json 2023-01-31, authorization
//! 2022-04-01) and the requests that `az` sends.

use proptest::prelude::proptest;
use serde_json::{Value, json};
use vouchsafe_wire::arm::{
    Authentication, BadFilter, CloudMetadata, Condition, DeletedVault, ErrorBody, Filter, GenericResource,
    IdentityPut, List, MetadataAnswer, NameAvailability, NameQuestion, Property, Provider,
    ProviderResourceType, Query, ResourceGroup, ResourceGroupPut, RoleAssignment, RoleAssignmentPut,
    RoleDefinition, RoleDefinitionPut, Subscription, Suffixes, Tenant, UserAssignedIdentity, Vault, VaultPut,
};
use vouchsafe_wire::json::{Budget, parse};

const BUDGET: Budget = Budget::new(64 * 1024);

/// Every member of the example is understood and said again, word for word.
fn round_trips<T: serde::de::DeserializeOwned + serde::Serialize>(example: Value) {
    let read: T = parse(example.to_string().as_bytes(), &BUDGET).expect("the example is of the shape");
    assert_eq!(serde_json::to_value(read).expect("a shape serializes"), example);
}

fn vault_example() -> Value {
    json!({
        "id": "/subscriptions/S/resourceGroups/sample-resource-group/providers/Microsoft.KeyVault/vaults/sample-vault",
        "name": "sample-vault",
        "type": "Microsoft.KeyVault/vaults",
        "location": "westus",
        "tags": {},
        "properties": {
            "sku": {"family": "A", "name": "standard"},
            "tenantId": "00000000-0000-0000-0000-000000000000",
            "networkAcls": {
                "bypass": "AzureServices",
                "defaultAction": "Deny",
                "ipRules": [{"value": "124.56.78.91/32"}],
                "virtualNetworkRules": [{"id": "/subscriptions/s", "ignoreMissingVnetServiceEndpoint": false}]
            },
            "accessPolicies": [{
                "tenantId": "00000000-0000-0000-0000-000000000000",
                "objectId": "00000000-0000-0000-0000-000000000000",
                "permissions": {"keys": ["encrypt"], "secrets": ["get", "list"], "certificates": ["purge"]}
            }],
            "enabledForDeployment": true,
            "enabledForDiskEncryption": true,
            "enabledForTemplateDeployment": true,
            "enableSoftDelete": true,
            "softDeleteRetentionInDays": 90,
            "enableRbacAuthorization": true,
            "enablePurgeProtection": true,
            "vaultUri": "https://sample-vault.vault.azure.net/",
            "provisioningState": "Succeeded",
            "publicNetworkAccess": "Enabled"
        }
    })
}

#[test]
fn published_examples_survive_the_round_trip() {
    round_trips::<Vault>(vault_example());
    round_trips::<List<Vault>>(json!({"value": [vault_example()], "nextLink": "https://x/?$skiptoken=y"}));
    round_trips::<DeletedVault>(json!({
        "id": "/subscriptions/S/providers/Microsoft.KeyVault/locations/westus/deletedVaults/sample-vault",
        "name": "sample-vault",
        "type": "Microsoft.KeyVault/deletedVaults",
        "properties": {
            "vaultId": "/subscriptions/S/resourceGroups/g/providers/Microsoft.KeyVault/vaults/sample-vault",
            "location": "westus",
            "tags": {},
            "deletionDate": "2017-01-01T00:00:59Z",
            "scheduledPurgeDate": "2017-04-01T00:00:59Z",
            "purgeProtectionEnabled": true
        }
    }));
    round_trips::<UserAssignedIdentity>(json!({
        "id": "/subscriptions/s/resourcegroups/g/providers/Microsoft.ManagedIdentity/userAssignedIdentities/identityName",
        "location": "eastus",
        "name": "identityName",
        "properties": {
            "clientId": "4024ab25-56a8-4370-aea6-6389221caf29",
            "principalId": "25cc773c-7f05-40fc-a104-32d2300754ad",
            "tenantId": "b6c948ef-f6b5-4384-8354-da3a15eca969"
        },
        "tags": {"key1": "value1", "key2": "value2"},
        "type": "Microsoft.ManagedIdentity/userAssignedIdentities"
    }));
    round_trips::<RoleAssignment>(json!({
        "properties": {
            "roleDefinitionId": "/providers/Microsoft.Authorization/roleDefinitions/0b5fe924-9a61-425c-96af-cfe6e287ca2d",
            "principalId": "ce2ce14e-85d7-4629-bdbc-454d0519d987",
            "principalType": "User",
            "scope": "/subscriptions/a925f2f7-5c63-4b7b-8799-25a5f97bc3b2"
        },
        "id": "/subscriptions/a925f2f7/providers/Microsoft.Authorization/roleAssignments/b0f43c54",
        "type": "Microsoft.Authorization/roleAssignments",
        "name": "b0f43c54-e787-4862-89b1-a653fa9cf747"
    }));
    round_trips::<RoleDefinition>(json!({
        "properties": {
            "roleName": "Role name",
            "type": "CustomRole",
            "description": "Role description",
            "assignableScopes": ["/subscriptions/subId"],
            "permissions": [{
                "actions": ["action"], "notActions": [], "dataActions": ["dataAction"], "notDataActions": []
            }]
        },
        "id": "/subscriptions/subID/providers/Microsoft.Authorization/roleDefinitions/roleDefinitionId",
        "type": "Microsoft.Authorization/roleDefinitions",
        "name": "roleDefinitionId"
    }));
    round_trips::<NameQuestion>(json!({"name": "sample-vault", "type": "Microsoft.KeyVault/vaults"}));
    round_trips::<NameAvailability>(json!({"nameAvailable": true}));
}

#[test]
fn subscriptions_groups_and_providers_have_the_members_that_az_reads() {
    round_trips::<Subscription>(json!({
        "id": "/subscriptions/s", "subscriptionId": "s", "tenantId": "t", "displayName": "d", "state": "Enabled",
        "authorizationSource": "RoleBased", "managedByTenants": []
    }));
    round_trips::<Tenant>(json!({
        "id": "/tenants/t", "tenantId": "t", "displayName": "d", "defaultDomain": "d.localhost",
        "domains": ["d.localhost"], "tenantCategory": "Home"
    }));
    round_trips::<ResourceGroup>(json!({
        "id": "/subscriptions/s/resourceGroups/g", "name": "g", "type": "Microsoft.Resources/resourceGroups",
        "location": "westus", "tags": {"a": "b"}, "properties": {"provisioningState": "Succeeded"}
    }));
    round_trips::<GenericResource>(json!({
        "id": "/subscriptions/s/…", "name": "v", "type": "Microsoft.KeyVault/vaults", "location": "l", "tags": {}
    }));
    let types = vec![ProviderResourceType {
        resource_type: "vaults".to_owned(),
        locations: vec!["Local".to_owned()],
        api_versions: vec!["2023-02-01".to_owned()],
    }];
    let provider = serde_json::to_value(Provider::registered("s", "Microsoft.KeyVault", types)).unwrap();
    assert_eq!(provider["id"], "/subscriptions/s/providers/Microsoft.KeyVault");
    assert_eq!(provider["registrationState"], "Registered");
    assert_eq!(provider["resourceTypes"][0]["apiVersions"][0], "2023-02-01");
}

#[test]
fn the_envelope_knows_the_published_type_names() {
    assert_eq!(Vault::TYPE, "Microsoft.KeyVault/vaults");
    assert_eq!(DeletedVault::TYPE, "Microsoft.KeyVault/deletedVaults");
    assert_eq!(UserAssignedIdentity::TYPE, "Microsoft.ManagedIdentity/userAssignedIdentities");
    assert_eq!(RoleAssignment::TYPE, "Microsoft.Authorization/roleAssignments");
    assert_eq!(RoleDefinition::TYPE, "Microsoft.Authorization/roleDefinitions");
    assert_eq!(ResourceGroup::TYPE, "Microsoft.Resources/resourceGroups");
}

#[test]
fn a_put_may_carry_more_than_we_know_and_nulls() {
    let az = br#"{"location":"westus","tags":null,"properties":{"tenantId":"t","sku":{"family":"A","name":"standard"},
        "accessPolicies":[],"enableRbacAuthorization":true,"enableSoftDelete":true,"softDeleteRetentionInDays":90,
        "networkAcls":{"bypass":"AzureServices","defaultAction":"Allow","ipRules":[],"virtualNetworkRules":[]},
        "enablePurgeProtection":null,"hsmPoolResourceId":"x","privateEndpointConnections":[{}]}}"#;
    let put: VaultPut = parse(az, &BUDGET).unwrap();
    assert_eq!(put.properties.soft_delete_retention_in_days, Some(90));
    assert_eq!(put.properties.enable_purge_protection, None);
    assert_eq!(put.properties.network_acls.unwrap().default_action.as_deref(), Some("Allow"));

    let put: RoleAssignmentPut =
        parse(br#"{"properties":{"roleDefinitionId":"r","principalId":"p","condition":"c"}}"#, &BUDGET)
            .unwrap();
    assert_eq!((put.properties.principal_type, put.properties.condition.as_deref()), (None, Some("c")));

    let put: RoleDefinitionPut = parse(
        br#"{"properties":{"roleName":"n","assignableScopes":["/"],"permissions":[{"dataActions":["a/*"]}]}}"#,
        &BUDGET,
    )
    .unwrap();
    assert_eq!(put.properties.permissions[0].data_actions, ["a/*"]);
    assert!(put.properties.permissions[0].actions.is_empty());

    assert_eq!(parse::<IdentityPut>(b"{}", &BUDGET).unwrap(), IdentityPut { location: None, tags: None });
    assert!(parse::<ResourceGroupPut>(br#"{"location":"l","properties":{}}"#, &BUDGET).is_ok());
}

#[test]
fn bad_bodies_are_refused_by_member() {
    let vault = |body: &str| parse::<VaultPut>(body.as_bytes(), &BUDGET).unwrap_err().to_string();
    assert_eq!(vault(r#"{"properties":{}}"#), "the member `properties.tenantId` is missing");
    assert_eq!(
        vault(r#"{"location":"l","properties":{"tenantId":"t","sku":"standard"}}"#),
        "the member `properties.sku` must be an object, not text"
    );
    assert_eq!(
        vault(
            r#"{"location":"l","properties":{"tenantId":"t","sku":{"family":"A","name":"n"},"accessPolicies":
                [{"tenantId":"t","objectId":"o","permissions":{"secrets":["get",7]}}]}}"#
        ),
        "the member `properties.accessPolicies[0].permissions.secrets[1]` must be text, not a number"
    );
    let role = parse::<RoleAssignmentPut>(br#"{"properties":{"principalId":"p"}}"#, &BUDGET).unwrap_err();
    assert_eq!(role.path(), Some("properties.roleDefinitionId"));
}

#[test]
fn a_refusal_has_code_message_and_target() {
    let body = ErrorBody::new("ResourceNotFound", "none", None);
    assert_eq!(
        serde_json::to_value(body).unwrap(),
        json!({"error": {"code": "ResourceNotFound", "message": "none"}})
    );
    let body = ErrorBody::new("InvalidParameter", "wrong", Some("location"));
    assert_eq!(serde_json::to_value(body).unwrap()["error"]["target"], "location");
}

#[test]
fn cloud_metadata_is_an_object_since_2022_09_01_and_a_list_before() {
    let cloud = || CloudMetadata {
        name: "local".to_owned(),
        authentication: Authentication {
            login_endpoint: "https://localhost:8443".to_owned(),
            audiences: vec!["https://localhost:8443/arm".to_owned()],
            tenant: "common".to_owned(),
            identity_provider: "AAD".to_owned(),
        },
        resource_manager: "https://localhost:8443/arm".to_owned(),
        microsoft_graph_resource_id: "https://localhost:8443/graph".to_owned(),
        graph_audience: "https://localhost:8443/graph".to_owned(),
        suffixes: Suffixes { key_vault_dns: ".vault.localhost:8443".to_owned(), mhsm_dns: None },
        portal: None,
    };
    let answer = |version| serde_json::to_value(MetadataAnswer::new(version, cloud())).unwrap();
    let object = answer(Some("2022-09-01"));
    assert_eq!(object["authentication"]["loginEndpoint"], "https://localhost:8443");
    assert_eq!(object["microsoftGraphResourceId"], "https://localhost:8443/graph");
    assert_eq!(object["suffixes"], json!({"keyVaultDns": ".vault.localhost:8443"}));
    assert!(answer(None).is_object() && answer(Some("2023-11-01")).is_object());
    assert_eq!(answer(Some("2019-05-01")), json!([object]));
    assert_eq!(answer(Some("2020-09-01"))[0]["resourceManager"], "https://localhost:8443/arm");
}

#[test]
fn the_filters_that_clients_send_are_understood() {
    let equals = |property, text: &str| Condition::Equals(property, text.to_owned());
    for (text, conditions) in [
        ("atScope()", vec![Condition::AtScope]),
        (" AtScope ( ) ", vec![Condition::AtScope]),
        ("assignedTo('p-1')", vec![Condition::AssignedTo("p-1".to_owned())]),
        ("roleName eq 'Key Vault Reader'", vec![equals(Property::RoleName, "Key Vault Reader")]),
        ("principalId eq 'p-1'", vec![equals(Property::PrincipalId, "p-1")]),
        ("principalId eq p-1", vec![equals(Property::PrincipalId, "p-1")]),
        ("atScope() and principalId eq 'p'", vec![Condition::AtScope, equals(Property::PrincipalId, "p")]),
        (
            "resourceType eq 'Microsoft.KeyVault/vaults' and name eq 'x'",
            vec![equals(Property::ResourceType, "Microsoft.KeyVault/vaults"), equals(Property::Name, "x")],
        ),
        ("resourceGroup eq 'rg1'", vec![equals(Property::ResourceGroup, "rg1")]),
        ("type EQ 'CustomRole'", vec![equals(Property::RoleType, "CustomRole")]),
        ("name eq 'it''s' and atscope()", vec![equals(Property::Name, "it's"), Condition::AtScope]),
        ("name eq ''", vec![equals(Property::Name, "")]),
    ] {
        assert_eq!(Filter::parse(text), Ok(Filter { conditions }), "{text}");
    }
    let filter = Filter::parse("resourceType eq 'v' and name eq 'x'").unwrap();
    assert_eq!((filter.wanted(Property::Name), filter.wanted(Property::RoleName)), (Some("x"), None));
}

#[test]
fn filters_that_are_not_understood_are_refused_with_the_place() {
    for (text, at) in [
        ("", 1),
        ("   ", 4),
        ("tagName eq 'x'", 1),
        ("name ne 'x'", 6),
        ("name eq", 8),
        ("name eq 'x", 10),
        ("name eq 'x' or name eq 'y'", 13),
        ("name eq 'x' and", 16),
        ("name eq 'x' name eq 'y'", 13),
        ("atScope", 8),
        ("atScope('x')", 9),
        ("assignedTo()", 12),
        ("assignedTo('x'", 15),
        ("(name eq 'x')", 1),
        ("näme eq 'x'", 1),
    ] {
        assert_eq!(Filter::parse(text), Err(BadFilter::NotUnderstood { at }), "{text}");
    }
    assert_eq!(Filter::parse(&format!("name eq '{}'", "x".repeat(3000))), Err(BadFilter::TooLong));
    assert_eq!(Filter::parse(&["atScope()"; 9].join(" and ")), Err(BadFilter::TooLong));
    assert!(Filter::parse(&["atScope()"; 8].join(" and ")).is_ok());
}

#[test]
fn a_query_is_decoded_before_its_filter_is_read() {
    let query = Query::parse(Some(
        "%24filter=resourceType%20eq%20%27Microsoft.KeyVault%2Fvaults%27+and+name+eq+%27x%27&api-version=2024-11-01\
         &$top=5&$expand=createdTime",
    ))
    .unwrap();
    assert_eq!(query.filter.unwrap().wanted(Property::ResourceType), Some("Microsoft.KeyVault/vaults"));
    assert_eq!((query.api_version.as_deref(), query.top), (Some("2024-11-01"), Some(5)));
    assert_eq!(Query::parse(None).unwrap(), Query::default());
    assert!(Query::parse(Some("$filter=everything")).is_err());
    assert!(Query::parse(Some("$top=many")).is_err());
}

proptest! {
    #[test]
    fn no_text_makes_a_parser_panic(text: String, body: Vec<u8>) {
        let _ = Filter::parse(&text);
        let _ = Query::parse(Some(&text));
        let _ = parse::<VaultPut>(&body, &BUDGET);
        let _ = parse::<RoleDefinitionPut>(&body, &BUDGET);
    }

    #[test]
    fn no_text_of_filter_words_makes_the_parser_panic(
        text in "((name|type|eq|and|atScope|assignedTo|[()' é-])\\x20?){0,20}",
    ) {
        let _ = Filter::parse(&text);
    }

    #[test]
    fn any_name_can_be_asked_for(name in "\\PC{0,100}") {
        let filter = Filter::parse(&format!("roleName eq '{}'", name.replace('\'', "''"))).unwrap();
        assert_eq!(filter.wanted(Property::RoleName), Some(name.as_str()));
    }
}
