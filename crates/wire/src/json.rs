//! Strict parsing of JSON bodies under a budget (RFC 8259, with the I-JSON rule of RFC 7493 §2.3 on duplicates).
//!
//! Every JSON request of this crate is read here and nowhere else. The body is first read into a tree, where size,
//! nesting, the number of values and duplicate members are checked everywhere, also inside members that the shape
//! ignores; then the shape is built from the tree, so that an error can name the member by its path. Errors say what
//! was expected and what kind of thing was found, never the found value: it may be the secret.

mod build;
mod tree;

use serde::de::DeserializeOwned;

/// How deep objects and lists may be nested.
pub const DEPTH_MAX: usize = 32;

/// How much one body may cost.
#[derive(Clone, Copy, Debug)]
pub struct Budget {
    /// The longest body accepted.
    pub bytes_max: usize,
    /// How deep objects and lists may be nested.
    pub depth_max: usize,
    /// How many values the body may hold in all, which bounds the memory of the tree.
    pub values_max: usize,
}

impl Budget {
    /// A budget for bodies of at most `bytes_max` bytes with the usual depth and number of values.
    pub const fn new(bytes_max: usize) -> Self {
        Self { bytes_max, depth_max: DEPTH_MAX, values_max: 4096 }
    }

    /// The same budget for bodies that are long lists.
    pub const fn with_values_max(self, values_max: usize) -> Self {
        Self { values_max, ..self }
    }
}

/// Why a body is not what was asked for; fit to be shown to the caller.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum BadBody {
    /// There are more bytes than the budget allows.
    #[error("the body is longer than the {bytes_max} bytes accepted here")]
    TooLong {
        /// What the budget allows.
        bytes_max: usize,
    },
    /// There is nothing in it.
    #[error("the body is empty; a JSON object is expected")]
    Empty,
    /// It is not UTF-8.
    #[error("the body is not UTF-8 text, from byte {at}")]
    NotText {
        /// The offset of the first byte that does not fit.
        at: usize,
    },
    /// It is text but not JSON.
    #[error("the body is not JSON: {problem}")]
    NotJson {
        /// What is wrong, with line and column.
        problem: String,
    },
    /// Objects or lists are nested too deep.
    #[error("the body is nested deeper than the {depth_max} levels accepted here")]
    TooDeep {
        /// What the budget allows.
        depth_max: usize,
    },
    /// There are too many values in it.
    #[error("the body holds more than the {values_max} values accepted here")]
    TooMany {
        /// What the budget allows.
        values_max: usize,
    },
    /// One object gives a member twice.
    #[error("the member `{path}` is given twice")]
    Duplicate {
        /// Where, as `outer.inner[3].name`.
        path: String,
    },
    /// A member is missing, unknown or of the wrong kind.
    #[error("{}{problem}", subject(.path))]
    Mismatch {
        /// Where, as `outer.inner[3].name`; empty for the body itself.
        path: String,
        /// What is wrong with it, as the rest of a sentence.
        problem: String,
    },
}

impl BadBody {
    /// The member that is at fault, where there is one.
    pub fn path(&self) -> Option<&str> {
        match self {
            Self::Duplicate { path } | Self::Mismatch { path, .. } if !path.is_empty() => Some(path),
            _ => None,
        }
    }
}

fn subject(path: &str) -> String {
    if path.is_empty() { "the body ".to_owned() } else { format!("the member `{path}` ") }
}

/// Reads a body of the asked shape, or says in plain words why it is none.
pub fn parse<T: DeserializeOwned>(body: &[u8], budget: &Budget) -> Result<T, BadBody> {
    if body.len() > budget.bytes_max {
        return Err(BadBody::TooLong { bytes_max: budget.bytes_max });
    }
    if body.trim_ascii().is_empty() {
        return Err(BadBody::Empty);
    }
    let text = std::str::from_utf8(body).map_err(|error| BadBody::NotText { at: error.valid_up_to() })?;
    build::build(tree::read(text, budget)?)
}

/// A member's name as it may be shown: short and without control characters.
fn shown(name: &str) -> String {
    name.chars().take(64).map(|c| if c.is_control() || c == '`' { '\u{fffd}' } else { c }).collect()
}
