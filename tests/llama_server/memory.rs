//! Two models under a limit that holds one of them: they take turns, and what was measured becomes what is needed.

use std::{fs, path::Path};

use serde_json::Value;

use crate::{
    ask,
    common::{Greenroom, gguf, llama, note},
};

/// 70 MB of weights: as much again as the program itself takes, so that a need without them would be seen.
const ONE: gguf::Shape = gguf::Shape { layers: 6, embedding: 768, feed_forward: 1536, words: 256 };
/// 58 MB.
const OTHER: gguf::Shape = gguf::Shape { layers: 5, ..ONE };
/// Holds either of them as estimated and as measured, and never both.
const LIMIT: &str = "[resources]\nram_limit = \"130MiB\"\nram_reserve = \"0B\"\n";

const SWAPS: usize = 20;
/// How many of the last runs a calibrated need is made of.
const RUNS: usize = 5;

fn service(server: &Path, name: &str) -> String {
    format!(
        "[service.{name}]\ncommand = [\"{}\", \"--port\", \"${{port}}\", \"-m\", \"${{model_file}}\", \"-c\", \"512\", \"-np\", \"1\",\n\
         \"-ngl\", \"0\", \"--device\", \"none\", \"--cache-ram\", \"0\", \"-fit\", \"off\", \"--no-mmap\"]\n\
         model_file = \"{name}.gguf\"\ngpu = \"none\"\nstart = \"on_demand\"\n",
        server.display()
    )
}

/// What a process holds that nobody can take from it, in bytes (`proc(5)`, `RssAnon` and `RssShmem`). Once it has
/// answered, that is the most it ever held: its weights and buffers are taken while it loads, and stay.
fn held(pid: i32) -> u64 {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).expect("it runs");
    let kib = |name: &str| {
        let line = status.lines().find_map(|line| line.strip_prefix(name)).expect("a figure");
        line.trim().trim_end_matches(" kB").parse::<u64>().expect("a number")
    };
    (kib("RssAnon:") + kib("RssShmem:")) * 1024
}

#[test]
fn two_models_that_do_not_fit_together_take_turns_and_are_calibrated() {
    let Some(server) = llama::server() else { return };
    let greenroom = Greenroom::new();
    for (name, shape) in [("one", ONE), ("other", OTHER)] {
        gguf::write(&greenroom.folder().join(format!("{name}.gguf")), shape).expect("the test's folder is writable");
    }
    greenroom.configure(&format!("{LIMIT}{}{}", service(server, "one"), service(server, "other")));
    greenroom.start();
    let mut peaks: [Vec<u64>; 2] = [Vec::new(), Vec::new()];
    for swap in 0..=SWAPS {
        let (name, rival) = if swap % 2 == 0 { ("one", "other") } else { ("other", "one") };
        greenroom.cli(&["load", name]).expect(0);
        let answer = greenroom.engine(name).post("/v1/chat/completions", Some(&ask(8))).expect("an answer");
        assert_eq!(answer.status, 200, "{answer:?}");
        let states = (greenroom.state(name), greenroom.state(rival));
        let rests = if swap == 0 { "stopped" } else { "offloaded" };
        assert_eq!((states.0.as_str(), states.1.as_str()), ("ready", rests), "swap {swap}\n{}", greenroom.output());
        assert_eq!(greenroom.processes_of(rival), [], "swap {swap}: it has left something");
        peaks[swap % 2].push(held(greenroom.service_pid(name)));
    }
    // Both have ended at least once, and so has everything that was learned from them: one more plan for each.
    for (name, peaks) in ["one", "other"].into_iter().zip(peaks) {
        let need = need(&greenroom, name);
        let most = *peaks.iter().rev().take(RUNS).max().expect("it ran");
        note(&format!("{name} held {most} bytes at most and needs {need}"));
        assert!(
            need >= most && (need - most) * 20 <= most,
            "{name}: it needs {need}, and held {most} at most: {peaks:?}"
        );
    }
    greenroom.shutdown_clean();
    greenroom.assert_clean();
}

/// Its need of RAM, which must have been measured.
fn need(greenroom: &Greenroom, name: &str) -> u64 {
    let plan: Value = greenroom.api().get(&format!("/api/plan/{name}")).expect("an answer").json();
    assert_eq!(plan["need"]["ram_source"], "calibrated", "{plan:#}");
    plan["need"]["ram"].as_u64().unwrap_or_else(|| panic!("no figure: {plan:#}"))
}
