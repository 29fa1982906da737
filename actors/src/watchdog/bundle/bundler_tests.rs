//! Whole bundles, unpacked by the `tar` of this machine.

use std::{collections::BTreeMap, os::unix::fs::PermissionsExt, process::Command};

use super::*;
use crate::{
    event::EventBus,
    ids::{Pid, RunId, ServiceName},
    os::containment::best_effort::BestEffortContainment,
    resource_orchestrator::view::MemoryBoard,
    services::ServiceSet,
    time::Timestamp,
    watchdog::bundle::{ConfigText, Running, Secrets, Shown},
};
