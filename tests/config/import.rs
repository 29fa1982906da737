//! llama-swap's configuration turned into one of Greenroom: it loads, it means the same, and what does not is told.

use std::{collections::BTreeMap, path::Path, time::Duration};

use greenroom::{
    actors::spec::{PortSpec, Probe, RuntimeSpec, StartMode},
    config::{Imported, Loaded, Told, import_llama_swap},
};
use proptest::prelude::*;

use crate::folder::{Folder, service, texts};

const SAMPLE: &str = include_str!("llama_swap.yaml");

/// A folder with a file of llama-swap, a model, and the variables that the sample asks for.
fn folder(text: &str) -> Folder {
    let folder = Folder::new();
    std::fs::create_dir(folder.dir.path().join("models")).unwrap();
    folder.write("models/qwen3.gguf", "GGUF");
    folder.write("config.yaml", text);
    let home = folder.dir.path().display().to_string();
    folder.variable("SWAP_KEY", "sk-1").variable("ENGINES", "/opt/engines").variable("MODELS", &home)
}

fn import(folder: &Folder) -> Result<Imported, String> {
    let file = folder.dir.path().join("config.yaml");
    import_llama_swap(&file, folder.dir.path(), &folder.sources.env).map_err(|errors| errors.to_string())
}

/// What was imported, loaded as `greenroom check` does.
#[track_caller]
fn loaded(folder: &mut Folder, imported: &Imported) -> Loaded {
    folder.sources.files.clear();
    folder.config("greenroom.toml", &imported.config);
    folder.load().unwrap_or_else(|errors| panic!("{errors}\n{}", imported.config))
}

#[track_caller]
fn spec(text: &str) -> (RuntimeSpec, Imported) {
    let mut folder = folder(text);
    let imported = import(&folder).unwrap_or_else(|errors| panic!("{errors}"));
    (loaded(&mut folder, &imported).spec, imported)
}

/// What was told, as `line key`.
fn lines(told: &[Told]) -> Vec<String> {
    told.iter().map(|told| format!("{} {}", told.line, told.key)).collect()
}

/// The line of the sample that begins with this, from 1.
fn line(begin: &str) -> usize {
    1 + SAMPLE.lines().position(|line| line.trim_start().starts_with(begin)).unwrap_or_else(|| panic!("{begin}"))
}

#[test]
fn a_model_becomes_a_service_that_means_the_same() {
    let (spec, imported) = spec(SAMPLE);
    let qwen = service(&spec, "Qwen-Qwen3-8b");
    assert_eq!(
        texts(&qwen.command),
        [
            "/opt/engines/llama-server",
            "--host",
            "127.0.0.1",
            "--port",
            "<Port>",
            "-m",
            "<ModelFile>",
            "-c",
            "16384",
            "--alias",
            "Qwen/Qwen3:8b",
            "--jinja"
        ]
    );
    assert!(qwen.model_file.as_ref().is_some_and(|file| file.ends_with("models/qwen3.gguf")), "{qwen:?}");
    assert_eq!(qwen.serves, ["Qwen/Qwen3:8b", "qwen", "gpt-4o-mini"]);
    assert_eq!((qwen.start, qwen.memory.idle_timeout), (StartMode::Eager, Duration::from_secs(60)));
    assert_eq!(texts(&[qwen.env["OMP_NUM_THREADS"].clone()]), ["4"]);
    for line in ["upstream_model = \"qwen-upstream\"", "max_concurrency = 2", "# Qwen 3", "# for every day"] {
        assert!(imported.config.lines().any(|found| found == line), "{line}\n{}", imported.config);
    }
    let plain = service(&spec, "plain");
    assert_eq!((plain.start, plain.memory.idle_timeout), (StartMode::OnDemand, Duration::ZERO));
    assert_eq!(plain.ready.timeout, Duration::from_secs(15), "never less");
    assert_eq!(plain.stop.grace, Duration::from_secs(15));
    assert_eq!(texts(&[plain.env["TEMPLATE"].clone()]), ["${x:-y}"]);
    assert_eq!(plain.model_file, None, "a file that is not there is only offered");
    assert!(imported.config.contains("# model_file = \"${env.MODELS}/none.gguf\""), "{}", imported.config);
    assert_eq!((imported.services, imported.remotes), (spec.services.len(), 1));
}

#[test]
fn ports_probes_and_ends_are_taken_over() {
    let (spec, _) = spec(SAMPLE);
    let fixed = service(&spec, "fixed");
    assert_eq!((fixed.port, &fixed.ready.probe), (Some(PortSpec::Fixed(21_999)), &Probe::Http("/v1/ok".to_owned())));
    assert_eq!((fixed.stop.grace, fixed.memory.pinned), (Duration::from_secs(40), true));
    let also = service(&spec, "also-fixed");
    assert_eq!(texts(&also.command), ["server", "--port", "<Port>"], "one port is one service's");
    assert_eq!((also.port, &also.ready.probe), (Some(PortSpec::Assigned), &Probe::None));
    assert_eq!(also.stop.exec, [], "no process id is known there");
    let boxed = service(&spec, "boxed");
    assert!(!boxed.owner_check && texts(&boxed.stop.exec).ends_with(&["stop".to_owned(), "boxed".to_owned()]));
    assert_eq!((boxed.port, &boxed.ready.probe), (Some(PortSpec::Assigned), &Probe::Http("/health".to_owned())));
    let somewhere = service(&spec, "somewhere");
    assert_eq!((somewhere.engine.name(), somewhere.port), ("generic", None));
    assert_eq!(spec.ports, (21_000, 21_199));
    assert_eq!(spec.gateway.api_keys, ["sk-1"]);
    assert_eq!(spec.shutdown.deadline, Duration::from_secs(60), "40 s to end, and what is around it");
}

#[test]
fn every_line_without_a_counterpart_is_told_once() {
    let (_, imported) = spec(SAMPLE);
    let expected = [
        ("logToStdout", "logToStdout"),
        ("sendLoadingState", "sendLoadingState"),
        ("includeAliasesInList", "includeAliasesInList"),
        ("metricsMaxInMemory", "metricsMaxInMemory"),
        ("- \"two words\"", "apiKeys"),
        ("name: \"Qwen 3\"", "models.\"Qwen/Qwen3:8b\".name"),
        ("description:", "models.\"Qwen/Qwen3:8b\".description"),
        ("unlisted:", "models.\"Qwen/Qwen3:8b\".unlisted"),
        ("metadata:", "models.\"Qwen/Qwen3:8b\".metadata"),
        ("stripParams: \"temp", "models.\"Qwen/Qwen3:8b\".filters.stripParams"),
        ("setParams: {", "models.\"Qwen/Qwen3:8b\".filters.setParams"),
        ("\"${MODEL_ID}:think\"", "models.\"Qwen/Qwen3:8b\".filters.setParamsByID.\"${MODEL_ID}:think\""),
        ("timeouts:", "models.\"Qwen/Qwen3:8b\".timeouts"),
        ("invented:", "models.\"Qwen/Qwen3:8b\".invented"),
        ("aliases: [ \"qwen\", \"Qwen", "models.plain.aliases"),
        ("env: [ \"CUDA", "models.plain.env"),
        ("sendLoadingState: false", "models.plain.sendLoadingState"),
        ("proxy: \"http://localhost:21999", "models.also-fixed.proxy"),
        ("cmdStop: kill", "models.also-fixed.cmdStop"),
        ("cmd: llama-server -m", "models.somewhere.cmd"),
        ("checkEndpoint: /health", "models.somewhere.checkEndpoint"),
        ("cmd: \"'unclosed", "models.broken.cmd"),
        ("nothing:", "models.nothing"),
        ("preload:", "hooks.on_startup.preload"),
        ("turns:", "groups.turns"),
        ("beside:", "groups.beside"),
        ("other-box:", "peers.other-box"),
        ("models: [ \"llama-70b\", \"plain\"", "peers.other-box.models"),
        ("filters: { stripParams: \"top_p", "peers.other-box.filters.stripParams"),
        ("models: [ \"llama-70b\" ]", "peers.twin.models"),
        ("twin:", "peers.twin"),
        ("proxy: ${MODEL_ID}", "peers.odd.proxy"),
        ("odd:", "peers.odd"),
    ];
    let mut expected: BTreeMap<String, ()> =
        expected.iter().map(|(begin, key)| (format!("{} {key}", line(begin)), ())).collect();
    // The program of a container stands on another line than its name.
    expected.insert(format!("{} models.boxed.cmd", line("docker run") - 1), ());
    let mut found = lines(&imported.told);
    found.dedup();
    let unexpected: Vec<_> = found.iter().filter(|told| !expected.contains_key(*told)).collect();
    let missing: Vec<_> = expected.keys().filter(|told| !found.contains(told)).collect();
    assert!(unexpected.is_empty() && missing.is_empty(), "not told: {missing:#?}\nnot expected: {unexpected:#?}");
    assert!(imported.told.is_sorted_by_key(|told| told.line));
    let told = imported.told[0].to_string();
    assert!(told.contains("config.yaml:4: logToStdout: "), "{told}");
}

#[test]
fn groups_that_take_turns_are_offered_as_a_pool() {
    let mut folder = folder(SAMPLE);
    let imported = import(&folder).unwrap();
    let in_force = |text: &str, lines: &[&str]| {
        let uncommented = |line: &str| lines.contains(&line).then(|| line.trim_start_matches("# ").to_owned());
        text.lines().map(|line| uncommented(line).unwrap_or_else(|| line.to_owned()) + "\n").collect::<String>()
    };
    let lines = ["# [resources.custom]", "# group-turns = 1", "# needs = { group-turns = 1 }"];
    let config = in_force(&imported.config, &lines);
    let loaded = loaded(&mut folder, &Imported { config, ..imported });
    let needs = |name: &str| service(&loaded.spec, name).memory.needs.clone();
    assert_eq!(needs("Qwen-Qwen3-8b").get("group-turns"), Some(&1));
    assert_eq!(needs("plain"), needs("Qwen-Qwen3-8b"));
    assert!(needs("fixed").is_empty());
}

#[test]
fn the_newer_place_of_groups_and_the_matrix_are_read_as_well() {
    let routing = "models: { a: { cmd: 'x ${PORT}' }, b: { cmd: 'x ${PORT}' } }\nrouting:\n  router:\n    use: group\n    \
                   settings:\n      groups:\n        g: { members: [a, b] }\n  scheduler: { use: fifo }\n";
    let (_, imported) = spec(routing);
    assert_eq!(lines(&imported.told), ["7 routing.router.settings.groups.g", "8 routing.scheduler.use"]);
    assert!(imported.config.contains("# needs = { group-g = 1 }"), "{}", imported.config);
    let matrix = "models: { a: { cmd: 'x ${PORT}' }, b: { cmd: 'x ${PORT}' } }\nmatrix:\n  vars: { z: b }\n  \
                  evict_costs: { z: 5 }\n  sets:\n    s: a & z\n";
    let (_, imported) = spec(matrix);
    assert_eq!(lines(&imported.told), ["3 matrix.vars", "4 matrix.evict_costs.z", "6 matrix.sets.s"]);
    assert!(imported.told[2].message.contains("`a & z`"), "{:?}", imported.told);
}

#[test]
fn a_file_that_is_none_is_refused_with_its_place() {
    for (text, expected) in [
        ("models:\n  a:\n  cmd: [\n", "config.yaml:4:1: "),
        ("models: { a: { cmd: x, cmd: y } }\n", "config.yaml:1:24: duplicate key `cmd`"),
        ("services: {}\n", "config.yaml:1:1: this is no configuration of llama-swap"),
        ("- a\n", "config.yaml:1:1: this is no configuration of llama-swap"),
        ("", "config.yaml:1:1: this is no configuration of llama-swap"),
    ] {
        let errors = import(&folder(text)).expect_err(text);
        assert!(errors.contains(expected), "{text}: {errors}");
    }
    let errors = import_llama_swap(Path::new("/nowhere/config.yaml"), Path::new("/"), &[]).expect_err("no file");
    assert!(errors.to_string().contains("/nowhere/config.yaml: the file cannot be read: No such file"), "{errors}");
}

#[test]
fn one_port_for_all_models_is_no_obstacle() {
    let text = "models:\n  a: { cmd: 'llama-server --port 9999', proxy: 'http://127.0.0.1:9999' }\n  \
                b: { cmd: 'llama-server --port 9999', proxy: 'http://127.0.0.1:9999' }\n  \
                c: { cmd: 'run 8484', proxy: 'http://127.0.0.1:8484' }\n";
    let (spec, _) = spec(text);
    assert_eq!(service(&spec, "a").port, Some(PortSpec::Fixed(9999)));
    assert_eq!(service(&spec, "b").port, Some(PortSpec::Assigned));
    assert_eq!(service(&spec, "c").port, Some(PortSpec::Fixed(8484)), "the gateway steps aside");
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    /// Whatever names, commands and values a file has: what comes out is a configuration without a fault of form.
    #[test]
    fn what_comes_out_always_loads(
        id in "[a-zA-Z0-9/:._ ${}\"'#\\[\\]-]{1,20}|\\PC{1,12}",
        alias in "[a-z${}:/\"-]{0,8}",
        word in "[a-z${}:/\"'\\\\# -]{0,16}|\\PC{0,8}",
        value in "[A-Za-z0-9${}.=:/\" -]{0,12}",
        number in any::<i32>(),
        port in "\\$\\{PORT\\}|[0-9]{1,6}|",
    ) {
        let quoted = |text: &str| serde_json::Value::from(text).to_string();
        let text = format!(
            "globalTTL: {number}\nstartPort: {number}\nunloadTimeout: {number}\nhealthCheckTimeout: {number}\n\
             apiKeys: [{value}]\nmodels:\n  {id}:\n    cmd: {cmd}\n    proxy: {proxy}\n    checkEndpoint: {value}\n    \
             aliases: [{alias}]\n    env: [{value}]\n    ttl: {number}\n    cmdStop: {word}\n    useModelName: {value}\n    \
             name: {word}\n    concurrencyLimit: {number}\n    unloadTimeout: {number}\n\
             groups:\n  {id}: {{ members: [{id}, b] }}\npeers: {{ {id}: {{ proxy: {proxy}, models: [{alias}], apiKey: {value} }} }}\n",
            id = quoted(&id), cmd = quoted(&format!("srv {word} {port}")), proxy = quoted(&format!("http://h:{port}")),
            value = quoted(&value), alias = quoted(&alias), word = quoted(&word),
        );
        let mut folder = folder(&text);
        let Ok(imported) = import(&folder) else { return Ok(()) };
        // A variable that is not set is the machine's fault, not the form's.
        if imported.config.contains("${env.") {
            return Ok(());
        }
        folder.config("greenroom.toml", &imported.config);
        if let Err(errors) = folder.load() {
            prop_assert!(false, "{errors}\n{}\n{text}", imported.config);
        }
    }
}
