//! x
/// The rules in force.
#[derive(Debug, Clone, Default)]
pub struct RuleSet {}
