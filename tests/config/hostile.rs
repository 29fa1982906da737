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
        let problems = Folder::with("g.toml", &text).problems();
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
    let problems = Folder::with("g.toml", text).problems();
    assert!(problems.iter().any(|problem| problem.starts_with("g.toml:16:11 macros")), "{problems:?}");
}

#[test]
fn more_services_than_a_machine_runs_are_refused() {
    let text: String = (0..5_000).map(|n| format!("[service.s{n}]\n")).collect();
    assert_eq!(
        Folder::with("g.toml", text).problems(),
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

const PARTS: &[&str] = &[
    "[service.a]",
    "[[service.a.failure]]",
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
