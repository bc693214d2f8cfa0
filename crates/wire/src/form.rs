//! `name=value&…` texts: token requests and query strings, read within a budget.
//!
//! Both sides are percent-decoded, names too: some clients send `api%2Dversion`. What does not decode to UTF-8 is
//! refused, not patched. Fields nobody asks for are ignored, because SDKs add telemetry; a field that is asked for and
//! given twice is refused, because two readers could then disagree on which one counts.

use percent_encoding::percent_decode;
use zeroize::Zeroizing;

/// How much one form may cost.
#[derive(Clone, Copy, Debug)]
pub struct Budget {
    /// The longest text accepted.
    pub bytes_max: usize,
    /// How many fields it may have, known or not.
    pub fields_max: usize,
}

/// Why a form is refused; fit to be shown to the caller.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum BadForm {
    /// There are more bytes than the budget allows.
    #[error("the parameters are longer than the {bytes_max} bytes accepted here")]
    TooLong {
        /// What the budget allows.
        bytes_max: usize,
    },
    /// There are more fields than the budget allows.
    #[error("there are more than the {fields_max} parameters accepted here")]
    TooMany {
        /// What the budget allows.
        fields_max: usize,
    },
    /// A name or value is not UTF-8 after decoding.
    #[error("parameter {position} is not UTF-8 text")]
    NotText {
        /// Which one, counted from 1.
        position: usize,
    },
    /// A known parameter is given twice.
    #[error("the parameter `{name}` is given twice")]
    Duplicate {
        /// Its name.
        name: &'static str,
    },
    /// A known parameter is not what it must be.
    #[error("the parameter `{name}` {problem}")]
    Malformed {
        /// Its name.
        name: &'static str,
        /// The rest of the sentence.
        problem: &'static str,
    },
}

/// The decoded fields of a form. Values wipe themselves, because one may be a client secret.
pub struct Form(Vec<(String, Zeroizing<String>)>);

impl Form {
    /// Splits and decodes the text.
    pub fn parse(text: &[u8], budget: &Budget) -> Result<Self, BadForm> {
        if text.len() > budget.bytes_max {
            return Err(BadForm::TooLong { bytes_max: budget.bytes_max });
        }
        let mut fields = Vec::new();
        for field in text.split(|byte| *byte == b'&').filter(|field| !field.is_empty()) {
            if fields.len() >= budget.fields_max {
                return Err(BadForm::TooMany { fields_max: budget.fields_max });
            }
            let (name, value) = match field.iter().position(|byte| *byte == b'=') {
                Some(at) => (&field[..at], &field[at + 1..]),
                None => (field, &[][..]),
            };
            let position = fields.len() + 1;
            let decoded = decode(name).zip(decode(value)).ok_or(BadForm::NotText { position })?;
            fields.push((decoded.0, Zeroizing::new(decoded.1)));
        }
        Ok(Self(fields))
    }

    /// Takes the value of a parameter out; one without a value counts as absent (RFC 6749 §3.1).
    pub fn take(&mut self, name: &'static str) -> Result<Option<Zeroizing<String>>, BadForm> {
        let mut found = self.0.iter_mut().filter(|(given, _)| given == name);
        let value = found.next().map(|(_, value)| std::mem::take(value));
        if found.next().is_some() {
            return Err(BadForm::Duplicate { name });
        }
        Ok(value.filter(|value| !value.is_empty()))
    }

    /// Takes a value out that is not a secret.
    pub fn take_plain(&mut self, name: &'static str) -> Result<Option<String>, BadForm> {
        Ok(self.take(name)?.map(|mut value| std::mem::take(&mut *value)))
    }

    /// Takes a whole number out.
    pub fn take_number(&mut self, name: &'static str) -> Result<Option<u32>, BadForm> {
        let problem = "must be a whole number that is not negative";
        let digits = self.take_plain(name)?;
        digits.map(|digits| digits.parse().map_err(|_| BadForm::Malformed { name, problem })).transpose()
    }

    /// Takes `true` or `false` out, in any case: Python writes the first letter large.
    pub fn take_truth(&mut self, name: &'static str) -> Result<Option<bool>, BadForm> {
        let problem = "must be true or false";
        let read = |text: String| match text.to_ascii_lowercase().as_str() {
            "true" => Ok(true),
            "false" => Ok(false),
            _ => Err(BadForm::Malformed { name, problem }),
        };
        self.take_plain(name)?.map(read).transpose()
    }

    /// Whether a parameter is there, with or without a value.
    pub fn has(&self, name: &str) -> bool {
        self.0.iter().any(|(given, _)| given == name)
    }
}

/// Decodes one side of a field; a `+` is a space. Never reallocates, so that no copy stays behind.
pub(crate) fn decode(raw: &[u8]) -> Option<String> {
    let mut spaced = Zeroizing::new(raw.to_vec());
    spaced.iter_mut().filter(|byte| **byte == b'+').for_each(|byte| *byte = b' ');
    let mut decoded = Vec::with_capacity(spaced.len());
    decoded.extend(percent_decode(&spaced));
    String::from_utf8(decoded).ok()
}
