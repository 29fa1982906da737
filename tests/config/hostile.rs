//! Files that mean harm, or are none.

use std::path::{Path, PathBuf};

use greenroom::config::{Sources, load_text};
use proptest::prelude::*;

use crate::folder::Folder;

#[test]
fn hostile_files_are_refused_in_a_sentence() {
    for (text, told) in [
        (vec![0xff, 0xfe, 0x00], "it is not UTF-8 text"),
        (b"a = 1\0".to_vec(), "this is not a text file"),
        (vec![b'#'; (4 << 20) + 1], "it is larger than 4MiB"),
        ("a = [".repeat(200_000).into_bytes(), "g.toml:1:"),
        (format!("[{}a]", "a.".repeat(200_000)).into_bytes(), "g.toml:1:"),
        (format!("x = \"{}\"", "y".repeat(3 << 20)).into_bytes(), "unknown key `x`"),
    ] {
        let problems = Folder::toml(&text).problems();
        assert!(problems.iter().any(|problem| problem.contains(told)), "{told}: {problems:.300?}");
    }
    let mut folder = Folder::new();
    folder.sources.files.push(folder.dir.path().join("none.toml"));
    assert_eq!(folder.problems(), ["none.toml the config file cannot be read: No such file or directory"]);
    folder.sources.files = vec![folder.dir.path().to_owned()];
    assert!(folder.problems()[0].ends_with("it is not a file"), "{:?}", folder.problems());
    folder.sources.files = vec![PathBuf::from("/dev/zero")];
    assert!(folder.problems()[0].ends_with("it is not a file"), "{:?}", folder.problems());
}

#[test]
fn macros_cannot_multiply_without_bound() {
    let chain: String = (0..12).map(|n| format!("m{n} = \"{}\"\n", format!("${{m{}}}", n + 1).repeat(10))).collect();
    let text = format!("[macros]\n{chain}m12 = \"xxxxxxxxxx\"\n[service.a]\ncommand = \"sleep ${{m0}}\"\n");
    let problems = Folder::toml(text).problems();
    assert!(problems.iter().any(|problem| problem.starts_with("g.toml:16:11 macros")), "{problems:?}");
}

#[test]
fn more_services_than_a_machine_runs_are_refused() {
    let text: String = (0..5_000).map(|n| format!("[service.s{n}]\n")).collect();
    assert_eq!(
        Folder::toml(text).problems(),
        ["configuration more than 4096 services, jobs, remotes and keys of sections"]
    );
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, cases: 300, ..ProptestConfig::default() })]
    /// Texts made of what configurations are made of, in any order: whatever comes out, it comes out.
    #[test]
    fn no_input_makes_it_panic(
        parts in prop::collection::vec(prop::sample::select(PARTS), 0..40),
        noise in "\\PC{0,12}",
        language in prop::sample::select(&["g.toml", "g.yaml", "g.json"][..]),
        at in 0usize..40,
    ) {
        let mut parts = parts;
        parts.insert(at.min(parts.len()), &noise);
        let text = parts.concat();
        let sources = Sources { set: vec![text.clone()], ..Sources::default() };
        for loaded in [
            load_text(language, &text, Path::new("/nowhere"), &Sources::default()),
            load_text(language, "", Path::new("/nowhere"), &sources),
        ] {
            match loaded {
                Ok(loaded) => prop_assert!(!loaded.effective.rows().is_empty()),
                Err(errors) => prop_assert!(!errors.0.is_empty() && !errors.to_string().is_empty()),
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, cases: 60, ..ProptestConfig::default() })]
    /// Any text, and any of those that mean something, in each key of jobs and of what is done after them.
    #[test]
    fn no_text_in_a_key_of_jobs_makes_it_panic(
        texts in prop::collection::vec("\\PC{0,12}|(\\$\\{|\\}|param\\.x|output|data_dir|/|\\.\\.|~|\\.|0|x| ){0,8}", WRITTEN.len()),
    ) {
        for one in 0..=WRITTEN.len() {
            let mut text = JOBS.to_owned();
            for (n, (key, form)) in WRITTEN.iter().enumerate() {
                // All at once, and each alone: what is refused early hides what comes later.
                if one == n || one == WRITTEN.len() {
                    let quoted = serde_json::Value::from(texts[n].as_str()).to_string().replace('\u{7f}', "");
                    text.push_str(&format!("{key} = {}\n", form.replace('@', &quoted)));
                }
            }
            match load_text("g.toml", &text, Path::new("/nowhere"), &Sources::default()) {
                Ok(loaded) => prop_assert!(loaded.spec.jobs.len() >= 2),
                Err(errors) => prop_assert!(!errors.to_string().is_empty()),
            }
        }
    }
}

const JOBS: &str = r#"
remote.r.urls = ["http://h"]
service.s.command = ["sleep", "${port}"]
service.s.working_dir = "/usr"
job.p.command = ["sleep", "${param.x}"]
job.p.params.x = {}
job.q.service = "s"
job.q.request = { method = "POST", path = "/x" }
job.q.params.x = {}
"#;

/// Keys, and how a text stands in their values.
const WRITTEN: &[(&str, &str)] = &[
    ("job.p.env.A", "@"),
    ("job.p.progress", "@"),
    ("job.p.params.y", "{ default = @, flag = @ }"),
    ("job.p.params.z", "{ default = @, type = @ }"),
    ("job.p.cleanup.actions", "[{ purge = @ }, { exec = [@, @] }, { exec = @ }, { http = @ }]"),
    ("job.p.cleanup.when", "@"),
    ("job.p.serves", "[@]"),
    ("job.p.engine", "@"),
    ("job.r", "{ service = \"s\", request = { method = \"POST\", path = \"/x\", body_file = @, set = { @ = @ } } }"),
    ("job.q.cleanup.actions", "[{ purge = @ }, { exec = @ }]"),
    ("service.s.cleanup.actions", "[{ purge = @ }, { http = @ }]"),
    ("remote.r.cleanup.actions", "[{ purge = @ }, { http = @ }]"),
    ("macros.m", "@"),
];

const PARTS: &[&str] = &[
    "[service.a]",
    "[[service.a.failure]]",
    "[job.a]",
    "[job.b.params]",
    "[remote.a]",
    "[defaults.service]",
    "[macros]",
    "[runtime]",
    "\n",
    "\n",
    "\n",
    "\n  ",
    "command",
    "ready",
    "depends_on",
    "env",
    "port",
    "probe",
    "vram",
    "pattern",
    "serves",
    "cleanup.actions",
    "cleanup.when",
    "params.x",
    "request",
    "method",
    "path",
    "body_file",
    "set",
    "purge",
    "exec",
    "http",
    "default",
    "type",
    "flag",
    "progress",
    "m",
    "a",
    "service",
    "runtime",
    "macros",
    "state_dir",
    " = ",
    " = ",
    " = ",
    ": ",
    ": ",
    ".",
    ",",
    "{",
    "}",
    "[",
    "]",
    "\"",
    "\"",
    "'",
    "\"x\"",
    "\"${m}\"",
    "\"${port}\"",
    "\"${param.x}\"",
    "\"${output}\"",
    "\"${data_dir}/..\"",
    "\"/dev/null\"",
    "\"POST\"",
    "\"POST /x\"",
    "\"(?P<step>x)\"",
    "\"vram > 0.5\"",
    "\"${env.X:-y}\"",
    "\"${file:/dev/null}\"",
    "\"$${\"",
    "\"${\"",
    "1",
    "-1",
    "9223372036854775808",
    "1.5",
    "nan",
    "true",
    "null",
    "~",
    "&a ",
    "*a",
    "- ",
    "---\n",
    "# ",
    "\"\"\"",
    "\\",
    "é",
    "\u{7f}",
    "\u{FEFF}",
    "1979-05-27",
    "\"1s..2s\"",
];
