//! The shape of the code base, held by tests: pure files touch nothing outside, rooms import only downwards, files stay
//! readable.

use std::{
    fs,
    path::{Path, PathBuf},
};

/// Decisions: no actor framework, executor, system call, file system or clock in them.
const PURE: &[&str] = &[
    "actors/src/admit/judgement.rs",
    "actors/src/base64.rs",
    "actors/src/cause.rs",
    "actors/src/digest.rs",
    "actors/src/engines",
    "actors/src/estimate/diffusion.rs",
    "actors/src/estimate/gguf",
    "actors/src/estimate/llama",
    "actors/src/estimate/part.rs",
    "actors/src/estimate/safetensors.rs",
    "actors/src/event/kind.rs",
    "actors/src/event/standing.rs",
    "actors/src/failure.rs",
    "actors/src/gate",
    "actors/src/history_store/backlog.rs",
    "actors/src/history_store/fault.rs",
    "actors/src/ids.rs",
    "actors/src/job.rs",
    "actors/src/job_queue/finished.rs",
    "actors/src/job_queue/life",
    "actors/src/job_queue/life.rs",
    "actors/src/job_queue/names.rs",
    "actors/src/job_queue/order.rs",
    "actors/src/job_queue/params.rs",
    "actors/src/job_queue/queue",
    "actors/src/job_queue/queue.rs",
    "actors/src/job_queue/recover.rs",
    "actors/src/job_queue/runner/process/command.rs",
    "actors/src/job_queue/runner/process/course.rs",
    "actors/src/job_queue/runner/process/outcome.rs",
    "actors/src/job_queue/runner/admission/verdict.rs",
    "actors/src/job_queue/runner/cleanup/needed.rs",
    "actors/src/job_queue/runner/comfyui/told.rs",
    "actors/src/job_queue/runner/dirty.rs",
    "actors/src/job_queue/runner/failing.rs",
    "actors/src/job_queue/runner/found.rs",
    "actors/src/job_queue/runner/refused.rs",
    "actors/src/job_queue/runner/stillness.rs",
    "actors/src/job_queue/runner/written.rs",
    "actors/src/memory",
    "actors/src/memory.rs",
    "actors/src/os/gpu/amdgpu/fdinfo.rs",
    "actors/src/os/gpu/nvml/verdict.rs",
    "actors/src/os/gpu/reading.rs",
    "actors/src/os/host/levels.rs",
    "actors/src/os/keep/fingerprint.rs",
    "actors/src/os/keep/verdict.rs",
    "actors/src/os/ports/inet_diag.rs",
    "actors/src/os/shim/book.rs",
    "actors/src/os/shim/course.rs",
    "actors/src/os/shim/wire.rs",
    "actors/src/os/sweep/report.rs",
    "actors/src/os/vitals/text.rs",
    "actors/src/watchdog/kin.rs",
    "actors/src/probe.rs",
    "actors/src/plain.rs",
    "actors/src/process_supervisor/classify.rs",
    "actors/src/process_supervisor/dependencies.rs",
    "actors/src/process_supervisor/lifecycle",
    "actors/src/process_supervisor/output/pace.rs",
    "actors/src/process_supervisor/output/search.rs",
    "actors/src/process_supervisor/output/splitter.rs",
    "actors/src/process_supervisor/output/tail.rs",
    "actors/src/process_supervisor/output/view.rs",
    "actors/src/process_supervisor/probe/busy.rs",
    "actors/src/process_supervisor/probe/patience.rs",
    "actors/src/process_supervisor/probe/pauses.rs",
    "actors/src/process_supervisor/probe/pulse.rs",
    "actors/src/process_supervisor/probe/token.rs",
    "actors/src/process_supervisor/restart_policy.rs",
    "actors/src/remote",
    "actors/src/resource_orchestrator/need/drift.rs",
    "actors/src/resource_orchestrator/need/figure.rs",
    "actors/src/resource_orchestrator/need/key.rs",
    "actors/src/resource_orchestrator/need/learned.rs",
    "actors/src/resource_orchestrator/admission",
    "actors/src/resource_orchestrator/ledger",
    "actors/src/resource_orchestrator/planner",
    "actors/src/process_supervisor/run/ending.rs",
    "actors/src/shutdown_coordinator/graph.rs",
    "actors/src/shutdown_coordinator/schedule.rs",
    "actors/src/spec.rs",
    "actors/src/spec/own_folder.rs",
    "actors/src/state.rs",
    "actors/src/template.rs",
    "actors/src/time.rs",
    "actors/src/units.rs",
    "actors/src/watchdog/alerts.rs",
    "actors/src/watchdog/bundle/desk.rs",
    "actors/src/watchdog/bundle/forms.rs",
    "actors/src/watchdog/bundle/lines.rs",
    "actors/src/watchdog/bundle/name.rs",
    "actors/src/watchdog/bundle/process.rs",
    "actors/src/watchdog/bundle/runbook.rs",
    "actors/src/watchdog/bundle/secrets.rs",
    "actors/src/watchdog/bundle/summary.rs",
    "actors/src/watchdog/bundle/tar.rs",
    "actors/src/watchdog/bundle/values.rs",
    "actors/src/watchdog/deed.rs",
    "actors/src/watchdog/judge",
    "actors/src/watchdog/sample.rs",
    "src/cli/columns.rs",
    "src/cli/follow.rs",
    "src/cli/job/bar.rs",
    "src/cli/job/show.rs",
    "src/cli/outlook.rs",
    "src/cli/remotes.rs",
    "src/cli/requests.rs",
    "src/cli/swaps.rs",
    "src/cli/table.rs",
    "src/cli/target.rs",
    "src/cli/waves.rs",
    "src/cli/wrap.rs",
    "src/config/build/alive.rs",
    "src/config/build/cleanup.rs",
    "src/config/build/fits.rs",
    "src/config/build/gateway.rs",
    "src/config/build/memory.rs",
    "src/config/build/doors.rs",
    "src/config/build/job.rs",
    "src/config/build/owner.rs",
    "src/config/build/params.rs",
    "src/config/build/place.rs",
    "src/config/build/program.rs",
    "src/config/build/purge.rs",
    "src/config/build/request.rs",
    "src/config/build/scope.rs",
    "src/config/build/shell.rs",
    "src/config/build/worker.rs",
    "src/config/build/remote.rs",
    "src/config/build/resources.rs",
    "src/config/build/url.rs",
    "src/config/build/limits.rs",
    "src/config/build/watchdog.rs",
    "src/config/diff.rs",
    "src/config/effective.rs",
    "src/config/holes.rs",
    "src/config/import_llama_swap/command.rs",
    "src/config/import_llama_swap/global.rs",
    "src/config/import_llama_swap/group.rs",
    "src/config/import_llama_swap/macros.rs",
    "src/config/import_llama_swap/notes.rs",
    "src/config/import_llama_swap/peer.rs",
    "src/config/import_llama_swap/place.rs",
    "src/config/import_llama_swap/section.rs",
    "src/config/import_llama_swap/service.rs",
    "src/config/import_llama_swap/taken.rs",
    "src/config/import_llama_swap/whole.rs",
    "src/config/import_llama_swap/yaml.rs",
    "src/config/job_config.rs",
    "src/config/kind.rs",
    "src/config/named_keys.rs",
    "src/config/schema",
    "src/config/secrets.rs",
    "src/config/service_config.rs",
    "src/config/validate",
    "src/config/validate.rs",
    "src/config/value.rs",
    "src/config/walk.rs",
    "src/embed/demand.rs",
    "src/gateway/door/ending.rs",
    "src/gateway/door/jobs/answer.rs",
    "src/gateway/door/jobs/form.rs",
    "src/gateway/door/jobs/mapping.rs",
    "src/gateway/door/jobs/wish.rs",
    "src/gateway/door/keys.rs",
    "src/gateway/door/models.rs",
    "src/gateway/door/model",
    "src/gateway/door/names.rs",
    "src/gateway/jobs/range.rs",
    "src/gateway/jobs/written.rs",
    "src/gateway/origin.rs",
    "src/gateway/door/priority.rs",
    "src/gateway/door/table.rs",
    "src/gateway/metrics",
    "src/gateway/openapi",
    "src/gateway/query.rs",
    "src/gateway/remotes/written.rs",
    "src/runtime/command.rs",
    "src/runtime/job_view.rs",
    "src/runtime/metrics/alerts.rs",
    "src/runtime/metrics/histogram.rs",
    "src/runtime/metrics/jobs.rs",
    "src/runtime/metrics/refused.rs",
    "src/runtime/metrics/requests.rs",
    "src/runtime/metrics/swaps.rs",
    "src/runtime/narrate.rs",
    "src/runtime/outcome.rs",
    "src/runtime/reload/diff.rs",
    "src/runtime/reload/diff/next_start.rs",
    "src/runtime/reload/doors.rs",
    "src/runtime/reload/report.rs",
    "src/runtime/remotes.rs",
    "src/runtime/told.rs",
    "src/runtime/view.rs",
    "src/runtime/why.rs",
    "src/runtime/why_memory.rs",
];

/// What a pure file must not name.
const OUTSIDE: &[&str] = &[
    "actix",
    "tokio",
    "nix::",
    "rustix::",
    "std::fs",
    "TcpListener",
    "TcpStream",
    "std::process",
    "std::thread",
    "Instant::now",
    "SystemTime",
    "os::clock",
];

/// Rooms of the actor crate, lowest first. A file names only rooms of its own line or of lines above it.
const LEVELS: &[&[&str]] = &[
    &["base64", "cause", "digest", "failure", "gate", "ids", "job", "plain", "units", "time"],
    &["memory", "estimate"],
    &["template"],
    &["probe"],
    &["engines"],
    &["spec", "state"],
    &["remote"],
    &["os"],
    &["event"],
    &["lease", "witness"],
    &["history_store", "shutdown_coordinator"],
    &["process_supervisor"],
    &["resource_orchestrator"],
    &["services"],
    &["admit"],
    &["job_queue"],
    &["watchdog"],
    &["assembly"],
];

/// Past this there are two concerns in a file; tests, at its end or in a `_tests.rs` beside it, are not counted.
const LONGEST: usize = 400;

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

/// Every Rust file at or below `path`.
fn rust_files(path: &Path) -> Vec<PathBuf> {
    if path.is_file() {
        return vec![path.to_owned()];
    }
    let Ok(entries) = fs::read_dir(path) else { return Vec::new() };
    let mut files: Vec<PathBuf> = entries.flatten().flat_map(|e| rust_files(&e.path())).collect();
    files.retain(|f| f.extension().is_some_and(|e| e == "rs"));
    files.sort();
    files
}

/// The code of a file without its unit tests and comments.
fn code(path: &Path) -> String {
    let text = fs::read_to_string(path).expect("a source file");
    let body = text.split("#[cfg(test)]\nmod tests").next().unwrap_or_default();
    body.lines().filter(|l| !l.trim_start().starts_with("//")).collect::<Vec<_>>().join("\n")
}

#[test]
fn pure_files_touch_nothing_outside() {
    let mut broken = Vec::new();
    for pure in PURE {
        let files = rust_files(&root().join(pure));
        assert!(!files.is_empty(), "{pure} is named as pure and is not there");
        for file in files {
            let code = code(&file);
            broken.extend(
                OUTSIDE.iter().filter(|word| code.contains(**word)).map(|w| format!("{}: {w}", file.display())),
            );
        }
    }
    assert!(broken.is_empty(), "pure files name the outside:\n{}", broken.join("\n"));
}

/// The room of an actor crate file: its first folder, or its own name.
fn room(file: &Path) -> String {
    let below = file.strip_prefix(root().join("actors/src")).expect("a file of the actor crate");
    let first = below.components().next().expect("a name").as_os_str().to_string_lossy().into_owned();
    first.trim_end_matches(".rs").to_owned()
}

fn level(room: &str) -> Option<usize> {
    LEVELS.iter().position(|rooms| rooms.contains(&room))
}

/// Rooms that a file names, by `crate::room` alone or in a `use crate::{..}` list.
fn named_rooms(code: &str) -> Vec<&'static str> {
    let all = LEVELS.iter().flat_map(|rooms| rooms.iter().copied());
    let flat = code.replace("\n    ", " ");
    let listed: String = flat.split("use crate::{").skip(1).filter_map(|rest| rest.split("};").next()).collect();
    let in_list = |room: &str| {
        listed.split([' ', ',', '{', '\n']).any(|word| word.starts_with(&format!("{room}::")) || word == room)
    };
    all.filter(|room| code.contains(&format!("crate::{room}::")) || in_list(room)).collect()
}

#[test]
fn rooms_of_the_actor_crate_import_only_downwards() {
    let mut broken = Vec::new();
    for file in rust_files(&root().join("actors/src")) {
        let own = room(&file);
        if own == "lib" {
            continue;
        }
        let here = level(&own).unwrap_or_else(|| panic!("room `{own}` has no level: add it to LEVELS"));
        for other in named_rooms(&code(&file)) {
            let there = level(other).expect("listed");
            if other != own && there > here {
                broken.push(format!("{} names the higher room `{other}`", file.display()));
            }
        }
    }
    assert!(broken.is_empty(), "{}", broken.join("\n"));
}

#[test]
fn the_actor_crate_knows_neither_http_routes_nor_the_command_line() {
    for file in rust_files(&root().join("actors/src")) {
        let code = code(&file);
        for word in ["actix_web", "clap::", "\"/api/"] {
            assert!(!code.contains(word), "{} names {word}", file.display());
        }
    }
}

#[test]
fn only_the_launcher_and_a_helpers_main_end_the_process() {
    for file in rust_files(&root().join("src")).into_iter().chain(rust_files(&root().join("actors/src"))) {
        // In a helper process nothing of the application that it was started from runs, and `init` is its whole `main`.
        if file.ends_with("src/main.rs") || file.ends_with("src/guardian.rs") {
            continue;
        }
        assert!(!code(&file).contains("process::exit"), "{} ends the process", file.display());
    }
}

#[test]
fn files_have_one_concern_each() {
    let long: Vec<String> = ["src", "actors/src"]
        .iter()
        .flat_map(|part| rust_files(&root().join(part)))
        .filter(|file| !file.to_string_lossy().ends_with("_tests.rs"))
        .map(|file| {
            let text = fs::read_to_string(&file).expect("a source file");
            let body = text.split("#[cfg(test)]\nmod tests").next().unwrap_or_default();
            (body.lines().count(), file)
        })
        .filter(|(lines, _)| *lines > LONGEST)
        .map(|(lines, file)| format!("{lines} lines: {}", file.display()))
        .collect();
    assert!(long.is_empty(), "{}", long.join("\n"));
}

#[test]
fn the_top_level_holds_what_it_should() {
    let allowed = ["Cargo.toml", "Cargo.lock", "src", "actors", "tests", "config", "docs", "README.md", "target"];
    for entry in fs::read_dir(root()).expect("the root").flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        assert!(name.starts_with('.') || allowed.contains(&name.as_str()), "{name} does not belong at the top level");
    }
}

/// The `#[error("...")]` texts in this code that also tell the source of their error: it would be said twice in a chain.
fn repeating_texts(code: &str) -> Vec<&str> {
    code.split("#[error(").skip(1).filter_map(repeating_text).collect()
}

/// The first text here, if it tells the source among the fields that follow it.
fn repeating_text(after: &str) -> Option<&str> {
    let (shown, fields) = after.split_once(")]\n")?;
    let tells = |name: &str| {
        [format!("{{{name}}}"), format!("{{{name}:"), format!(" .{name}")].iter().any(|word| shown.contains(word))
    };
    let is_first = fields.lines().next().is_some_and(|line| line.contains("(#[source]") || line.contains("(#[from]"));
    let marked =
        fields.split_once("#[source]\n").and_then(|(_, field)| field.split(':').next()?.split_whitespace().last());
    let is_told =
        is_first && tells("0") || marked.is_some_and(tells) || fields.contains(" source: ") && tells("source");
    is_told.then_some(shown)
}

#[test]
fn an_error_does_not_tell_its_source_which_the_edge_tells() {
    let sample = "#[error(\"at {at}: {wrong}\")]\npub struct E {\n    #[source]\n    pub wrong: W,\n}\n\
                  #[error(\"bad: {0}\")]\n    A(#[from] W),\n#[error(\"bad {}\", .folder)]\n    B {\n        folder: F,\n        source: W,\n    }\n\
                  #[error(\"fine {0}\")]\n    C(String, #[source] W),\n#[error(\"x: {source}\")]\n    D { source: W },\n";
    assert_eq!(repeating_texts(sample), ["\"at {at}: {wrong}\"", "\"bad: {0}\"", "\"x: {source}\""]);
    let files = ["src", "actors/src"].iter().flat_map(|part| rust_files(&root().join(part)));
    let of = |file: PathBuf| {
        repeating_texts(&code(&file)).iter().map(|text| format!("{}: {text}", file.display())).collect()
    };
    let twice: Vec<String> = files.flat_map(|file| -> Vec<String> { of(file) }).collect();
    assert!(twice.is_empty(), "said twice where causes are told:\n{}", twice.join("\n"));
}
