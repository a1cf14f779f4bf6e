//! Extension attributes: their names and their values.

/// The value of an extension attribute (CloudEvents 1.0, section 3.1; URIs,
/// timestamps and binary values are strings in JSON).
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Attr {
    /// `true` or `false`.
    Bool(bool),
    /// A whole number.
    Int(i64),
    /// Any other value.
    Text(String),
}

impl std::fmt::Display for Attr {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Bool(value) => write!(f, "{value}"),
            Self::Int(value) => write!(f, "{value}"),
            Self::Text(value) => f.write_str(value),
        }
    }
}

/// An attribute name that CloudEvents does not allow.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("attribute `{0}`: names are lower-case letters and digits")]
pub struct NameError(pub String);

/// Checks an attribute name: lower-case letters and digits, not empty.
///
/// # Errors
/// [`NameError`] with the name.
pub fn check_name(name: &str) -> Result<(), NameError> {
    let fits = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit();
    if !name.is_empty() && name.bytes().all(fits) {
        Ok(())
    } else {
        Err(NameError(name.to_owned()))
    }
}
