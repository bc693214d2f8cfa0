//! When a key is replaced by itself (keys.json, `KeyRotationPolicy`; durations are ISO 8601).

use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::json::{self, BadBody, Budget};

/// `GET` and `PUT /keys/{name}/rotationpolicy`.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct KeyRotationPolicy {
    /// Its address; read-only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<String>,
    /// What happens when.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lifetime_actions: Option<Vec<LifetimeAction>>,
    /// How long new versions are valid.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub attributes: Option<RotationAttributes>,
}

impl KeyRotationPolicy {
    /// Reads a body within a budget.
    pub fn parse(body: &[u8], budget: &Budget) -> Result<Self, BadBody> {
        json::parse(body, budget)
    }
}

/// One action and its moment.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct LifetimeAction {
    /// When.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trigger: Option<LifetimeTrigger>,
    /// What.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub action: Option<LifetimeActionKind>,
}

/// A moment in the life of a version; exactly one member is meant to be there.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct LifetimeTrigger {
    /// So long after the version was made.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub time_after_create: Option<Period>,
    /// So long before it expires.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub time_before_expiry: Option<Period>,
}

/// The action's kind, in an object of its own.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct LifetimeActionKind {
    /// Which.
    #[serde(rename = "type")]
    pub kind: ActionKind,
}

/// What can happen; clients write it with and without a capital.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub enum ActionKind {
    /// A new version is made.
    #[serde(alias = "rotate")]
    Rotate,
    /// Somebody is told.
    #[serde(alias = "notify")]
    Notify,
}

/// How long versions are valid, and since when the policy is as it is.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct RotationAttributes {
    /// How long a version that rotation makes is valid.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expiry_time: Option<Period>,
    /// When the policy was first set, in seconds since the epoch; read-only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub created: Option<i64>,
    /// When it was last set, in seconds since the epoch; read-only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub updated: Option<i64>,
}

/// A span in whole calendar units: `P2Y`, `P18M`, `P90D`, `P1Y6M10D`, `P4W`. Hours are refused: nothing here is that
/// exact.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Period {
    /// Months; a year is twelve.
    pub months: u32,
    /// Days; a week is seven.
    pub days: u32,
}

impl Period {
    /// Reads a span; no unit twice, in order, at least one, no more than four digits each, also when written again.
    pub fn parse(text: &str) -> Option<Self> {
        let mut rest = text.strip_prefix(['P', 'p'])?;
        let mut period = Self::default();
        let mut units = "YMWD".chars();
        while !rest.is_empty() {
            let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
            let (number, after) = rest.split_at_checked(digits).filter(|_| (1..=4).contains(&digits))?;
            let number: u32 = number.parse().ok()?;
            let unit = after.chars().next()?.to_ascii_uppercase();
            units.find(|known| *known == unit)?;
            match unit {
                'Y' => period.months += number * 12,
                'M' => period.months += number,
                'W' => period.days += number * 7,
                _ => period.days += number,
            }
            rest = after.get(1..)?;
        }
        let whole = text.len() > 1 && period.months < 12 * 10_000 && period.days < 10_000;
        whole.then_some(period)
    }

    /// The span as Key Vault writes it.
    pub fn compose(self) -> String {
        let (years, months) = (self.months / 12, self.months % 12);
        let mut text = "P".to_owned();
        for (number, unit) in [(years, 'Y'), (months, 'M'), (self.days, 'D')] {
            if number != 0 {
                text.push_str(&format!("{number}{unit}"));
            }
        }
        if text.len() == 1 { "P0D".to_owned() } else { text }
    }
}

impl<'de> Deserialize<'de> for Period {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let problem = "must be a duration in whole years, months or days, such as P90D";
        Self::parse(&text).ok_or_else(|| D::Error::custom(problem))
    }
}

impl Serialize for Period {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.compose())
    }
}
