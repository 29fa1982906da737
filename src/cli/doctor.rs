//! `doctor`: what this machine offers, what is missing, and what that costs.

use greenroom_actors::os::doctor::examine_with;

use super::{args::Global, failure::Failure, place, terminal::Terminal, wrap::wrap};

/// Where the text of a finding begins, in columns.
const INDENT: usize = 10;

/// Prints the findings.
pub fn run(global: &Global, terminal: &Terminal) -> Result<i32, Failure> {
    let place = place::find(global)?;
    let report = examine_with(&place.state_dir, place.ports, &place.resources);
    if terminal.json {
        terminal.value(&report)?;
    } else {
        terminal.say(fit(&report.to_string(), terminal.width))?;
    }
    Ok(0)
}

/// Lines that are too long for the terminal go on below where their text begins.
fn fit(text: &str, width: Option<usize>) -> String {
    let lines = text.lines().flat_map(|line| {
        let words = line.trim_start();
        wrap(words, width, line.len() - words.len(), INDENT)
    });
    lines.collect::<Vec<_>>().join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_finding_keeps_its_columns_and_fits() {
        let text = "degraded  gpu: no driver\n          remedy: install the driver; or pass the devices in";
        assert_eq!(fit(text, None), text);
        let expected = "degraded  gpu: no driver\n          remedy: install the\n          driver; or pass the\n          devices in";
        assert_eq!(fit(text, Some(30)), expected);
    }
}
