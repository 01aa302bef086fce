//! Why a twin does not fit its schema.

use std::fmt::{self, Display, Formatter};

use super::super::plan::Node;

/// Which field, what was given, and what belongs there.
#[derive(Debug)]
pub(in super::super) struct Misfit(Box<str>);

impl Misfit {
    #[cold]
    pub(super) fn new(message: impl Display) -> Misfit {
        Misfit(message.to_string().into())
    }

    #[cold]
    pub(super) fn of(value: &str, node: &Node) -> Misfit {
        Misfit::new(format_args!("`{value}` stands where {} belongs", node.kind()))
    }

    /// The same, within `field`.
    #[cold]
    pub(super) fn within(self, field: &str) -> Misfit {
        Misfit::new(format_args!("in field `{field}`: {self}"))
    }
}

impl Display for Misfit {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Misfit {}

impl serde::ser::Error for Misfit {
    fn custom<T: Display>(message: T) -> Misfit {
        Misfit::new(message)
    }
}
