//! `decide` agrees with the naive evaluator of `testkit` in random worlds.
//!
//! Names, patterns and scopes come from small pools with near misses in them (`app` and `app2`, groups that hold the
//! same role, exceptions that cover what they should not), so that most questions are close to a border. A failure
//! prints the seed of its world; `ACCESS_MODEL_SEED` starts from another one.

use uuid::Uuid;
use vouchsafe_domain::access::action::{ActionName, Plane};
use vouchsafe_domain::access::assignment::{PrincipalType, RoleAssignment};
use vouchsafe_domain::access::built_in;
use vouchsafe_domain::access::caller::Subject;
use vouchsafe_domain::access::decide::{Decision, Request, decide};
use vouchsafe_domain::access::facts::Facts;
use vouchsafe_domain::access::pattern::ActionPattern;
use vouchsafe_domain::access::role::{Condition, Permission, RoleDefinition};
use vouchsafe_domain::ids::{PrincipalId, RoleAssignmentId, RoleDefinitionId, TenantId};
use vouchsafe_domain::resource::scope::Scope;
use vouchsafe_domain::time::Timestamp;
use vouchsafe_testkit::model::access as model;

const WORLDS: u64 = 1_000;
const QUESTIONS_PER_WORLD: u64 = 100;

/// SplitMix64: small, and the same on every machine and with every version of every crate.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn below(&mut self, end: usize) -> usize {
        usize::try_from(self.next() % u64::try_from(end).expect("small")).expect("small")
    }

    fn one_in(&mut self, count: usize) -> bool {
        self.below(count) == 0
    }

    fn pick<'a, T>(&mut self, from: &'a [T]) -> &'a T {
        &from[self.below(from.len())]
    }

    fn respell(&mut self, text: &str) -> String {
        match self.below(4) {
            0 => text.to_uppercase(),
            1 => text.to_lowercase(),
            2 => text.chars().map(|c| if self.one_in(2) { c.to_ascii_uppercase() } else { c }).collect(),
            _ => text.to_owned(),
        }
    }
}

fn guid(kind: u128, number: usize) -> Uuid {
    Uuid::from_u128((kind << 64) + u128::try_from(number).expect("small"))
}

/// A scope of a small tree; the deeper, the likelier.
fn scope(random: &mut Random) -> String {
    let depth = *random.pick(&[0, 1, 2, 3, 3, 4, 4, 4]);
    let mut scope = String::new();
    if depth >= 1 {
        scope += &format!("/subscriptions/{}", guid(0xa, random.below(2)));
    }
    if depth >= 2 {
        scope += &format!("/resourceGroups/{}", random.pick(&["rg", "rg2"]));
    }
    if depth >= 3 {
        scope += &format!("/providers/Microsoft.KeyVault/vaults/{}", random.pick(&["app", "app2", "app-2"]));
    }
    if depth >= 4 {
        scope += &format!("/{}/{}", random.pick(&["secrets", "keys"]), random.pick(&["db", "db2", "d"]));
    }
    random.respell(if scope.is_empty() { "/" } else { &scope })
}

/// A pattern near the actions that exist: some of their text replaced by stars.
fn pattern(random: &mut Random) -> String {
    if random.one_in(5) {
        let fixed = [
            "*",
            "*/read",
            "*/write",
            "*/action",
            "Microsoft.*",
            "*vault*",
            "*vaults*vaults*",
            "*/secrets/*",
            "*s/*/a*n",
        ];
        return (*random.pick(&fixed)).to_owned();
    }
    let mut text = random.pick(ActionName::ALL).as_str().to_owned();
    for _ in 0..random.below(3) {
        let start = random.below(text.len());
        let end = start + random.below(text.len() - start + 1);
        text.replace_range(start..end, "*");
    }
    while text.contains("**") {
        text = text.replace("**", "*");
    }
    random.respell(&text)
}

fn patterns(random: &mut Random, most: usize) -> Vec<String> {
    (0..random.below(most + 1)).map(|_| pattern(random)).collect()
}

fn parsed(raw: &[String]) -> Vec<ActionPattern> {
    raw.iter().map(|raw| ActionPattern::parse(raw).expect(raw)).collect()
}

fn plain(patterns: &[ActionPattern]) -> Vec<String> {
    patterns.iter().map(ToString::to_string).collect()
}

fn plain_role(role: &RoleDefinition) -> model::Role {
    let permission = |permission: &Permission| model::Permission {
        actions: plain(&permission.actions),
        not_actions: plain(&permission.not_actions),
        data_actions: plain(&permission.data_actions),
        not_data_actions: plain(&permission.not_data_actions),
        assigns_only: permission
            .condition
            .as_ref()
            .map(|Condition::AssignsOnly(roles)| roles.iter().map(ToString::to_string).collect()),
    };
    model::Role {
        id: role.id().to_string(),
        permissions: role.permissions().iter().map(permission).collect(),
    }
}

/// The same world in both forms.
struct Worlds {
    facts: Facts,
    model: model::World,
}

fn role(random: &mut Random, id: RoleDefinitionId) -> RoleDefinition {
    let permissions = (0..=random.below(2))
        .map(|_| Permission {
            actions: parsed(&patterns(random, 5)),
            not_actions: parsed(&patterns(random, 2)),
            data_actions: parsed(&patterns(random, 5)),
            not_data_actions: parsed(&patterns(random, 2)),
            condition: None,
        })
        .collect();
    RoleDefinition::custom(id, "Random", "", permissions, vec![Scope::root()]).expect("a role")
}

fn worlds(random: &mut Random) -> Worlds {
    let tenant = TenantId(guid(1, 0));
    let mut facts = Facts::new(tenant);
    let mut model = model::World { tenant: tenant.to_string(), ..model::World::default() };

    let mut roles: Vec<RoleDefinitionId> = built_in::all().iter().map(|role| role.id()).collect();
    model.roles = built_in::all().iter().map(|role| plain_role(role)).collect();
    for number in 0..4 {
        let id = RoleDefinitionId(guid(2, number));
        roles.push(id);
        // A role that no longer exists may still be assigned.
        if !random.one_in(8) {
            let role = role(random, id);
            model.roles.push(plain_role(&role));
            facts.insert_role(role);
        }
    }

    for number in 0..3 {
        let members: Vec<PrincipalId> =
            (0..4).filter(|_| random.one_in(3)).map(|member| PrincipalId(guid(3, member))).collect();
        facts.set_members(PrincipalId(guid(4, number)), &members);
        model.groups.push((guid(4, number).to_string(), members.iter().map(ToString::to_string).collect()));
    }

    for number in 0..random.below(16) {
        let holder = if random.one_in(3) { guid(4, random.below(3)) } else { guid(3, random.below(4)) };
        let role =
            if random.one_in(2) { roles[roles.len() - 1 - random.below(4)] } else { *random.pick(&roles) };
        let raw = scope(random);
        facts.insert_assignment(RoleAssignment {
            id: RoleAssignmentId(guid(5, number)),
            scope: Scope::parse(&raw).expect(&raw),
            role,
            principal: PrincipalId(holder),
            principal_type: PrincipalType::ServicePrincipal,
            created_on: Timestamp::default(),
            created_by: None,
        });
        model.assignments.push(model::Assignment {
            id: guid(5, number).to_string(),
            scope: raw,
            role: role.to_string(),
            principal: holder.to_string(),
        });
    }
    // Facts are changed in place as the tenant changes; what is gone must be gone.
    if random.one_in(4) && !model.assignments.is_empty() {
        let number = random.below(model.assignments.len());
        facts.remove_assignment(RoleAssignmentId(guid(5, number)));
        model.assignments.remove(number);
    }
    if random.one_in(4) {
        let members = [PrincipalId(guid(3, random.below(4)))];
        facts.set_members(PrincipalId(guid(4, 0)), &members);
        model.groups[0].1 = members.iter().map(ToString::to_string).collect();
    }
    Worlds { facts, model }
}

#[test]
fn decide_agrees_with_the_naive_evaluator() {
    let seed = std::env::var_os("ACCESS_MODEL_SEED")
        .and_then(|value| value.to_str().and_then(|value| value.parse().ok()))
        .unwrap_or(20_261_122_u64);
    let (mut allowed, mut denied_near) = (0_u64, 0_u64);
    for number in 0..WORLDS {
        let world_seed = seed.wrapping_add(number);
        let mut random = Random(world_seed);
        let Worlds { facts, model } = worlds(&mut random);
        for _ in 0..QUESTIONS_PER_WORLD {
            let tenant = if random.one_in(20) { guid(1, 1) } else { guid(1, 0) };
            // Questions near an assignment are the interesting ones.
            let near =
                (!model.assignments.is_empty() && random.one_in(2)).then(|| random.pick(&model.assignments));
            let raw = match near {
                Some(near) => random.respell(&near.scope),
                None => scope(&mut random),
            };
            let holder = near.map(|near| near.principal.clone());
            let member = holder.as_ref().and_then(|group| {
                let group = model.groups.iter().find(|(id, _)| id == group);
                group.and_then(|(_, members)| members.first()).cloned()
            });
            // A group that asks for itself holds what is assigned to it; no token is ever issued to one.
            let principal = match random.below(4) {
                0 => guid(3, random.below(4)).to_string(),
                1 => holder.unwrap_or_else(|| guid(4, random.below(3)).to_string()),
                _ => member.or(holder).unwrap_or_else(|| guid(3, random.below(4)).to_string()),
            };
            let action = match random.below(8) {
                0 => *random.pick(&[ActionName::WriteRoleAssignment, ActionName::DeleteRoleAssignment]),
                _ => *random.pick(ActionName::ALL),
            };
            let assigned = (!random.one_in(3)).then(|| random.pick(&model.roles).id.clone());

            let question = model::Question {
                tenant: tenant.to_string(),
                principal: principal.clone(),
                action: action.as_str().to_owned(),
                is_data: action.plane() == Plane::Data,
                scope: raw.clone(),
                assigned: assigned.clone(),
            };
            let subject = Subject {
                tenant: TenantId(tenant),
                principal: PrincipalId::parse(&principal).expect("a GUID"),
                client: None,
                issuer: String::new(),
                token_id: None,
            };
            let request = Request {
                subject: &subject,
                action,
                scope: &Scope::parse(&raw).expect(&raw),
                assigned: assigned.map(|id| RoleDefinitionId::parse(&id).expect("a GUID")),
            };
            let expected = model::permitting(&model, &question);
            let decision = decide(&request, &facts);
            let agree = match decision {
                Decision::Allow(id) => expected.contains(&id.to_string()),
                Decision::Deny(_) => expected.is_empty(),
            };
            assert!(
                agree,
                "world seed {world_seed}: `decide` says {decision:?}, the model permits by {expected:?}\n\
                 {question:#?}\n{model:#?}"
            );
            match decision {
                Decision::Allow(_) => allowed += 1,
                Decision::Deny(_) => {
                    denied_near +=
                        u64::from(model.assignments.iter().any(|a| a.principal == question.principal))
                }
            }
        }
    }
    let asked = WORLDS * QUESTIONS_PER_WORLD;
    println!("seed {seed}: {asked} questions, {allowed} allowed, {denied_near} denied to holders of a role");
    // An agreement on nothing but denials would say little.
    assert!((asked / 10..asked * 6 / 10).contains(&allowed), "{allowed} of {asked} allowed");
}
