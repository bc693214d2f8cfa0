//! `$filter`, in the few forms that clients send: conditions joined by `and`, each `property eq 'text'`, `atScope()`
//! or `assignedTo('id')` (OData 4.01 part 2 §5.1.1, the least of it).
//!
//! A filter that is not understood is refused, never ignored: ignoring a condition would answer more than was asked.

/// The longest filter accepted.
const BYTES_MAX: usize = 2048;
/// The most conditions accepted.
const CONDITIONS_MAX: usize = 8;

/// Why a filter is refused; fit to be shown to the caller.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum BadFilter {
    /// It is longer or has more conditions than the budget allows.
    #[error("the filter is longer than {BYTES_MAX} bytes or has more than {CONDITIONS_MAX} conditions")]
    TooLong,
    /// It asks for something that no known client asks for.
    #[error(
        "the filter is not understood from character {at}; conditions may be `property eq 'text'`, `atScope()` and \
         `assignedTo('id')`, joined by `and`"
    )]
    NotUnderstood {
        /// Where, counted in bytes from 1.
        at: usize,
    },
}

/// Conditions that must all hold.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Filter {
    /// The conditions, at least one.
    pub conditions: Vec<Condition>,
}

/// One condition.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Condition {
    /// Only what applies at the scope itself or above it, not below.
    AtScope,
    /// Only what the principal has, also through its groups.
    AssignedTo(String),
    /// Only what has exactly this text, compared without regard to case.
    Equals(Property, String),
}

/// What a condition may be about.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Property {
    /// `name`: the name of a resource.
    Name,
    /// `resourceType`: namespace and type of a resource.
    ResourceType,
    /// `resourceGroup`: the group a resource is in.
    ResourceGroup,
    /// `roleName`: the name of a role definition.
    RoleName,
    /// `type`: the kind of a role definition.
    RoleType,
    /// `principalId`: who has a role assignment.
    PrincipalId,
}

/// The names on the wire; matched without regard to case.
const PROPERTIES: [(&str, Property); 6] = [
    ("name", Property::Name),
    ("resourceType", Property::ResourceType),
    ("resourceGroup", Property::ResourceGroup),
    ("roleName", Property::RoleName),
    ("type", Property::RoleType),
    ("principalId", Property::PrincipalId),
];

impl Filter {
    /// Reads a filter.
    pub fn parse(text: &str) -> Result<Self, BadFilter> {
        if text.len() > BYTES_MAX {
            return Err(BadFilter::TooLong);
        }
        let mut reader = Reader { text, at: 0 };
        let mut conditions = Vec::new();
        loop {
            if conditions.len() >= CONDITIONS_MAX {
                return Err(BadFilter::TooLong);
            }
            conditions.push(reader.condition()?);
            reader.spaces();
            if reader.rest().is_empty() {
                return Ok(Self { conditions });
            }
            reader.keyword("and")?;
        }
    }

    /// The text that a property must equal, when the filter says.
    pub fn wanted(&self, property: Property) -> Option<&str> {
        self.conditions.iter().find_map(|condition| match condition {
            Condition::Equals(given, text) if *given == property => Some(text.as_str()),
            _ => None,
        })
    }
}

/// Reads a filter from left to right; every step either moves on or fails.
struct Reader<'a> {
    text: &'a str,
    at: usize,
}

impl<'a> Reader<'a> {
    fn rest(&self) -> &'a str {
        self.text.get(self.at..).unwrap_or_default()
    }

    fn lost<T>(&self) -> Result<T, BadFilter> {
        Err(BadFilter::NotUnderstood { at: self.at + 1 })
    }

    fn spaces(&mut self) {
        self.at += self.rest().len() - self.rest().trim_start().len();
    }

    /// Takes the longest run of letters, digits and hyphens.
    fn word(&mut self) -> &'a str {
        let rest = self.rest();
        let end = rest.find(|c: char| !c.is_ascii_alphanumeric() && c != '-').unwrap_or(rest.len());
        let (word, _) = rest.split_at(end);
        self.at += end;
        word
    }

    fn keyword(&mut self, keyword: &str) -> Result<(), BadFilter> {
        let begin = self.at;
        if self.word().eq_ignore_ascii_case(keyword) {
            return Ok(());
        }
        self.at = begin;
        self.lost()
    }

    fn mark(&mut self, mark: char) -> Result<(), BadFilter> {
        self.spaces();
        if !self.rest().starts_with(mark) {
            return self.lost();
        }
        self.at += mark.len_utf8();
        Ok(())
    }

    fn condition(&mut self) -> Result<Condition, BadFilter> {
        self.spaces();
        let begin = self.at;
        let word = self.word();
        if word.eq_ignore_ascii_case("atScope") {
            self.mark('(')?;
            self.mark(')')?;
            return Ok(Condition::AtScope);
        }
        if word.eq_ignore_ascii_case("assignedTo") {
            self.mark('(')?;
            let principal = self.value()?;
            self.mark(')')?;
            return Ok(Condition::AssignedTo(principal));
        }
        let Some((_, property)) = PROPERTIES.iter().find(|(name, _)| word.eq_ignore_ascii_case(name)) else {
            self.at = begin;
            return self.lost();
        };
        self.spaces();
        self.keyword("eq")?;
        Ok(Condition::Equals(*property, self.value()?))
    }

    /// Takes quoted text, in which a doubled quote stands for one, or a bare id.
    fn value(&mut self) -> Result<String, BadFilter> {
        self.spaces();
        if !self.rest().starts_with('\'') {
            let word = self.word();
            return if word.is_empty() { self.lost() } else { Ok(word.to_owned()) };
        }
        self.at += 1;
        let mut value = String::new();
        loop {
            let Some((piece, after)) = self.rest().split_once('\'') else { return self.lost() };
            value.push_str(piece);
            self.at += piece.len() + 1;
            if !after.starts_with('\'') {
                return Ok(value);
            }
            value.push('\'');
            self.at += 1;
        }
    }
}
