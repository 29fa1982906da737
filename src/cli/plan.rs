//! `plan`: what a load of a service would do now.

use super::{
    args::{Global, OneService},
    ask::{Asked, block_on, get, named_path, read},
    failure::Failure,
    seen_memory::{Leaver, Plan},
    table::{Cell, table},
    terminal::Terminal,
    wrap::wrap,
};
use crate::runtime::told::{amounts, seconds};

/// Prints it. A plan that is refused is an answer as well.
pub fn run(args: &OneService, global: &Global, terminal: &Terminal) -> Result<i32, Failure> {
    let asked = Asked::find(global)?;
    let path = named_path("/api/plan/", &args.name, "");
    let value = block_on(get(&asked, &path))?;
    if terminal.json {
        terminal.value(&value)?;
        return Ok(0);
    }
    terminal.say(render(&read(&path, value)?, terminal.width))?;
    Ok(0)
}

/// The whole of it.
#[must_use]
pub fn render(plan: &Plan, width: Option<usize>) -> String {
    let holds = amounts(&plan.lease, &[]);
    let layers = plan.gpu_layers.map(|n| format!(", with {n} layers on the card")).unwrap_or_default();
    let verdict = match (&plan.refusal, holds) {
        (Some(refusal), _) => refusal.to_string(),
        (None, Some(holds)) if plan.resident => format!("it is in memory and may hold {holds}{layers}"),
        (None, None) if plan.resident => "it is in memory".to_owned(),
        (None, Some(holds)) => format!("it would get {holds}{layers}"),
        (None, None) => "it needs no memory that is counted".to_owned(),
    };
    let mut lines = wrap(&format!("{}: {verdict}", plan.service), width, 0, 2);
    // A refusal is its own reason.
    let because: Vec<&String> = plan.because.iter().filter(|sentence| **sentence != verdict).collect();
    if !because.is_empty() {
        lines.push("\nwhy".to_owned());
        lines.extend(because.iter().flat_map(|sentence| wrap(sentence, width, 2, 4)));
    }
    if !plan.offload.is_empty() {
        lines.push(String::new());
        let rows: Vec<Vec<Cell>> = plan.offload.iter().map(row).collect();
        lines.extend(table(&["WOULD LEAVE", "COST", "WORKS NOW", "GIVES"], &rows, width, false));
    }
    lines.join("\n")
}

fn row(leaver: &Leaver) -> Vec<Cell> {
    vec![
        Cell::text(leaver.service.as_str()),
        Cell::number(seconds(leaver.cost)),
        Cell::text(if leaver.busy { "yes: it finishes first" } else { "no" }),
        Cell::text(amounts(&leaver.gives, &[]).unwrap_or_else(|| "nothing".to_owned())),
    ]
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn rendered(more: Value) -> String {
        let mut plan = json!({
            "service": "image", "resident": false, "need": {}, "gpus": ["GPU-1"], "gpu_layers": null,
            "lease": { "vram": { "GPU-1": 1u64 << 30 }, "ram": 0 }, "offload": [], "refusal": null, "because": [],
        });
        for (key, value) in more.as_object().cloned().unwrap_or_default() {
            plan[key] = value;
        }
        render(&serde_json::from_value(plan).expect("a plan"), None)
    }

    #[test]
    fn it_says_where_it_goes_who_leaves_and_why() {
        let offload = json!([{ "service": "chat", "busy": true, "cost": 1.25,
                               "gives": { "vram": { "GPU-1": 7u64 << 30 }, "ram": 1 << 30 } }]);
        let text = rendered(json!({ "because": ["chat leaves: it costs least"], "offload": offload }));
        assert_eq!(
            text,
            "image: it would get 1GiB of VRAM of GPU-1\n\nwhy\n  chat leaves: it costs least\n\n\
             WOULD LEAVE  COST  WORKS NOW               GIVES\n\
             chat         1.2s  yes: it finishes first  7GiB of VRAM of GPU-1 and 1GiB of RAM"
        );
    }

    #[test]
    fn one_that_is_in_needs_nothing_or_gets_nothing_says_so() {
        assert_eq!(
            rendered(json!({ "resident": true, "gpu_layers": 44 })),
            "image: it is in memory and may hold 1GiB of VRAM of GPU-1, with 44 layers on the card"
        );
        let nothing = json!({ "vram": {}, "ram": 0 });
        assert_eq!(rendered(json!({ "lease": nothing })), "image: it needs no memory that is counted");
        let refusal = json!({ "service": "image", "kind": "in_the_way", "missing": [], "holders": [] });
        let because = ["there is no memory for it"];
        assert_eq!(
            rendered(json!({ "refusal": refusal, "because": because })),
            "image: there is no memory for it",
            "said once"
        );
    }
}
