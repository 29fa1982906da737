//! What children inherit of this process's environment.

use std::{
    env,
    ffi::{OsStr, OsString},
};

use crate::spec::InheritEnv;

/// Words between a service manager and this process alone: a child that took them for its own would speak in our name, or
/// believe that somebody waits for its sign of life. See sd_notify(3) and sd_watchdog_enabled(3).
const OWN: [&str; 3] = ["NOTIFY_SOCKET", "WATCHDOG_PID", "WATCHDOG_USEC"];

/// What a child gets of this process's environment. What is meant for this process alone it gets only by name.
pub fn inherited(which: &InheritEnv) -> impl Iterator<Item = (OsString, OsString)> + use<'_> {
    env::vars_os().filter(|(name, _)| is_inherited(name, which))
}

fn is_inherited(name: &OsStr, which: &InheritEnv) -> bool {
    match which {
        InheritEnv::All => !OWN.iter().any(|own| name == *own),
        InheritEnv::Nothing => false,
        InheritEnv::Only(names) => names.iter().any(|wanted| name == wanted.as_str()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_service_manager_says_to_this_process_goes_to_nobody_who_does_not_name_it() {
        let socket = OsStr::new("NOTIFY_SOCKET");
        assert!(OWN.iter().all(|name| !is_inherited(OsStr::new(name), &InheritEnv::All)));
        assert!(is_inherited(OsStr::new("PATH"), &InheritEnv::All));
        assert!(is_inherited(socket, &InheritEnv::Only(vec!["NOTIFY_SOCKET".to_owned()])));
        assert!(!is_inherited(socket, &InheritEnv::Only(vec!["PATH".to_owned()])));
        assert!(!is_inherited(OsStr::new("PATH"), &InheritEnv::Nothing));
    }
}
