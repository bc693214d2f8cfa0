//! An operator who assigns roles: by desired state over the administrators' socket, and one by one over TLS.

use std::collections::BTreeSet;
use std::sync::Arc;

use http::{Method, StatusCode};
use serde_json::json;
use vouchsafe_testkit::running::Client;

use crate::{Dice, Round, Seen};

/// Key Vault Secrets User, the same everywhere in Azure.
const ROLE: &str = "4633458b-17de-408a-b874-0445c86b69e6";
const API: &str = "api-version=2022-04-01";

#[derive(Clone, Debug)]
enum Operation {
    Apply(String),
    Put(String, String),
    Delete(String, String),
}

pub struct Operator {
    subscription: String,
    principal: String,
    dice: Dice,
    serial: u64,
    /// Secrets on which a role is assigned, by the scope's last part.
    assigned: BTreeSet<String>,
    /// Those that were put one by one, with the assignment's id.
    own: Vec<(String, String)>,
    unanswered: Option<Operation>,
    pub seen: Vec<Seen>,
    pub acknowledged: u64,
    pub happened: u64,
    pub vanished: u64,
}

impl Operator {
    pub fn new(subscription: String, principal: String, dice: Dice) -> Self {
        Self {
            subscription,
            principal,
            dice,
            serial: 0,
            assigned: BTreeSet::new(),
            own: Vec::new(),
            unanswered: None,
            seen: Vec::new(),
            acknowledged: 0,
            happened: 0,
            vanished: 0,
        }
    }

    fn scope(&self, name: &str) -> String {
        format!(
            "/subscriptions/{}/resourceGroups/default/providers/Microsoft.KeyVault/vaults/app/secrets/{name}",
            self.subscription
        )
    }

    /// Works until the server is gone.
    pub async fn work(mut self, mut client: Client, mut admin: Client, round: Arc<Round>) -> Self {
        loop {
            self.serial += 1;
            let name = format!("role-{}", self.serial);
            let operation = match self.dice.below(3) {
                0 => Operation::Apply(name),
                1 if !self.own.is_empty() => {
                    let which = usize::try_from(self.dice.below(self.own.len() as u64)).unwrap();
                    let (name, id) = self.own[which].clone();
                    Operation::Delete(name, id)
                }
                _ => {
                    let (high, low) = (self.dice.roll(), self.dice.roll() & 0xffff_ffff_ffff);
                    let (a, b, c) = (high >> 32, (high >> 16) & 0xffff, high & 0xfff);
                    Operation::Put(name, format!("{a:08x}-{b:04x}-4{c:03x}-8000-{low:012x}"))
                }
            };
            self.unanswered = Some(operation.clone());
            let at = |name: &str, id: &str| {
                format!("{}/providers/Microsoft.Authorization/roleAssignments/{id}?{API}", self.scope(name))
            };
            let token = Some(round.arm_token.as_str());
            let answer = match &operation {
                Operation::Apply(name) => {
                    let scope = json!({ "secret": { "vault": "app", "name": name } });
                    let assignment =
                        json!({ "identity": "reader", "role": "Key Vault Secrets User", "scope": scope });
                    let body = json!({ "state": { "role_assignments": [assignment] } }).to_string();
                    let path = "/admin/v1/apply";
                    admin.request(Method::POST, "vouchsafe", path, None, Some(body.as_bytes())).await
                }
                Operation::Put(name, id) => {
                    let role = format!("/providers/Microsoft.Authorization/roleDefinitions/{ROLE}");
                    let properties = json!({ "roleDefinitionId": role, "principalId": self.principal });
                    let body = json!({ "properties": properties }).to_string();
                    client.request(Method::PUT, &round.arm, &at(name, id), token, Some(body.as_bytes())).await
                }
                Operation::Delete(name, id) => {
                    client.request(Method::DELETE, &round.arm, &at(name, id), token, None).await
                }
            };
            let Ok(answer) = answer else { return self };
            self.unanswered = None;
            assert!(
                matches!(answer.status, StatusCode::OK | StatusCode::CREATED),
                "{operation:?}: {} {}",
                answer.status,
                answer.text()
            );
            self.seen.push(Seen::of(&answer, format!("{operation:?}"), true));
            self.believe(&operation);
            self.acknowledged += 1;
            let _ = round.acknowledged.send(());
        }
    }

    fn believe(&mut self, operation: &Operation) {
        match operation {
            Operation::Apply(name) => drop(self.assigned.insert(name.clone())),
            Operation::Put(name, id) => {
                self.assigned.insert(name.clone());
                self.own.push((name.clone(), id.clone()));
            }
            Operation::Delete(name, _) => {
                self.assigned.remove(name);
                self.own.retain(|(own, _)| own != name);
            }
        }
    }

    /// Compares what the server lists with what it acknowledged.
    pub async fn settle(&mut self, client: &mut Client, round: &Round) {
        let path = format!(
            "/subscriptions/{}/providers/Microsoft.Authorization/roleAssignments?{API}",
            self.subscription
        );
        let answer =
            client.request(Method::GET, &round.arm, &path, Some(&round.arm_token), None).await.unwrap();
        assert_eq!(answer.status, StatusCode::OK, "{}", answer.text());
        let list = answer.json();
        let scopes =
            list["value"].as_array().into_iter().flatten().map(|item| item["properties"]["scope"].as_str());
        let names = scopes
            .flatten()
            .filter_map(|scope| scope.split_once("/secrets/"))
            .map(|(_, name)| name.to_owned());
        let listed: BTreeSet<String> = names.collect();
        if let Some(operation) = self.unanswered.take() {
            if listed == self.assigned {
                self.vanished += 1;
            } else {
                self.believe(&operation);
                self.happened += 1;
            }
        }
        assert_eq!(listed, self.assigned, "the role assignments are not what was acknowledged");
    }
}
