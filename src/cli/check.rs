//! `check`: every problem of the configuration, and nothing else.

use serde_json::json;

use super::{args::Global, failure::Failure, place, table::count, terminal::Terminal};

/// Exit code of a configuration with problems.
const BAD_CONFIG: i32 = 2;

/// Prints every problem and warning; 0 when there are none but warnings.
pub fn run(global: &Global, terminal: &Terminal) -> Result<i32, Failure> {
    let loaded = match place::load(global) {
        Ok(loaded) => loaded,
        Err(Failure::Config(errors)) => {
            if terminal.json {
                terminal.value(&json!({ "ok": false, "problems": errors.0, "warnings": [] }))?;
            } else {
                terminal.say(errors.to_string())?;
                terminal.say(format!("\n{}", count(errors.0.len(), "problem", "problems")))?;
            }
            return Ok(BAD_CONFIG);
        }
        Err(other) => return Err(other),
    };
    if terminal.json {
        let names: Vec<&str> = loaded.spec.services.iter().map(|s| s.name.as_str()).collect();
        terminal.value(&json!({ "ok": true, "problems": [], "warnings": loaded.warnings, "services": names }))?;
        return Ok(0);
    }
    for warning in &loaded.warnings {
        terminal.say(format!("{warning}\n"))?;
    }
    terminal.say(format!(
        "no problems, {}; {} in state dir {}",
        count(loaded.warnings.len(), "warning", "warnings"),
        count(loaded.spec.services.len(), "service", "services"),
        loaded.spec.state_dir.display()
    ))?;
    Ok(0)
}
