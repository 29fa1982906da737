//! `sweep`: finds and ends what an earlier runtime of a state dir left.

use greenroom_actors::os::{
    keep::{Found, find},
    state_dir::{StateDir, StateDirError, instance},
    sweep::{SweepReport, sweep_but},
};

use super::{
    args::{Global, SweepArgs},
    failure::Failure,
    place,
    terminal::Terminal,
};

/// Sweeps, with the state dir claimed meanwhile so that no runtime starts beside it; 1 when something does not end.
pub fn run(args: &SweepArgs, global: &Global, terminal: &Terminal) -> Result<i32, Failure> {
    let state_dir = place::find(global)?.state_dir;
    if !state_dir.exists() {
        if terminal.json {
            terminal.value(&SweepReport { dry_run: args.dry_run, ..SweepReport::default() })?;
        } else {
            terminal.say(format!("nothing has run in {} yet", state_dir.display()))?;
        }
        return Ok(0);
    }
    let claim = StateDir::claim(&state_dir).map_err(|error| match error {
        StateDirError::AlreadyRunning { .. } => Failure::Running(state_dir.clone()),
        other => Failure::StateDir(other),
    })?;
    let instance = instance(claim.path());
    // What is sound is held on to meanwhile, so that it stays what it is.
    let found = if args.kept { Found::default() } else { find(claim.path(), &instance)? };
    let report = sweep_but(claim.path(), &instance, args.dry_run, &found.sound())?;
    drop(found);
    if terminal.json {
        terminal.value(&report)?;
    } else {
        terminal.say(report.to_string())?;
    }
    Ok(if args.dry_run || report.stuck().next().is_none() { 0 } else { 1 })
}
