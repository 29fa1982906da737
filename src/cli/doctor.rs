//! `doctor`: what this machine offers, what is missing, and what that costs.

use greenroom_actors::os::doctor::examine_with;

use super::{args::Global, failure::Failure, place, terminal::Terminal};

/// Prints the findings.
pub fn run(global: &Global, terminal: &Terminal) -> Result<i32, Failure> {
    let place = place::find(global)?;
    let report = examine_with(&place.state_dir, place.ports);
    if terminal.json {
        terminal.value(&report)?;
    } else {
        terminal.say(report.to_string())?;
    }
    Ok(0)
}
