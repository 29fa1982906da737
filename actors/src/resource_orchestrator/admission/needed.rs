//! Whom others depend on, and who therefore stays.

use std::collections::{BTreeMap, BTreeSet};

use super::{Around, machine::Admission};
use crate::{ids::ServiceName, resource_orchestrator::ledger::Claim, spec::ServiceSpec};

impl Admission {
    /// All that a service depends on, also by way of others.
    pub(super) fn needed_by(&self, spec: &ServiceSpec) -> BTreeSet<ServiceName> {
        let mut needed = BTreeSet::new();
        let mut open: Vec<&ServiceSpec> = vec![spec];
        while let Some(spec) = open.pop() {
            for dependency in &spec.depends_on {
                if needed.insert(dependency.service.clone()) {
                    open.extend(self.members.get(&dependency.service).map(|member| &*member.spec));
                }
            }
        }
        needed
    }

    /// Whom a service needs that is up, or on its way in or out, with one who needs it. Those with a claim are on their way
    /// in: they asked before, and what they depend on was there then. What one depends on that is not up (it has run to its
    /// end) needs nobody, so every service speaks for what it names itself.
    pub(super) fn users(&self, claims: &[Claim], around: &dyn Around) -> BTreeMap<ServiceName, ServiceName> {
        let mut users = BTreeMap::new();
        for (name, member) in self.members.iter().filter(|(_, member)| !member.spec.depends_on.is_empty()) {
            let has_claim = claims.iter().any(|claim| claim.service == *name);
            // Its supervisor has not heard yet that it was granted its memory.
            let is_granted = || self.ledger.live(name).is_some_and(|lease| lease.is_coming());
            if has_claim || is_granted() || around.outlook(name).live {
                for dependency in &member.spec.depends_on {
                    users.entry(dependency.service.clone()).or_insert_with(|| name.clone());
                }
            }
        }
        users
    }
}
