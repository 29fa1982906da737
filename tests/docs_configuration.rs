//! `docs/configuration.md` and `config/greenroom.toml` say what the program's own table says.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::{fs, path::Path};

use greenroom::config::{Sources, load_text, schema};

const MARK: &str = "<!-- reference -->\n";

fn read(path: &str) -> String {
    fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(path)).unwrap()
}

#[test]
fn the_reference_is_the_one_of_the_table() {
    let text = read("docs/configuration.md");
    let (words, reference) = text.split_once(MARK).expect("the mark before the reference");
    let expected = schema::reference();
    if reference != expected && std::env::var_os("GREENROOM_REWRITE_DOCS").is_some() {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/configuration.md");
        fs::write(path, format!("{words}{MARK}{expected}")).unwrap();
        return;
    }
    let differ = reference.lines().zip(expected.lines()).find(|(is, should)| is != should);
    assert_eq!(differ, None, "the reference is not up to date: run this test with GREENROOM_REWRITE_DOCS=1");
    assert_eq!(reference.len(), expected.len());
}

#[test]
fn the_reference_has_every_key() {
    let text = read("docs/configuration.md");
    for key in schema::keys() {
        assert!(text.contains(&format!("| `{}` |", key.path.replace('*', "NAME"))), "{}", key.path);
    }
}

#[test]
fn the_complete_file_has_every_key_with_its_default() {
    let text = read("config/greenroom.toml");
    for key in schema::keys() {
        let mut parts = key.path.split('.').skip(1).peekable();
        if ["service", "job", "remote"].iter().any(|section| key.path.starts_with(&format!("{section}."))) {
            parts.next();
        }
        let name = parts.filter(|part| *part != "*").collect::<Vec<_>>().join(".");
        let line = match (key.default, key.same_as) {
            (Some(default), _) => format!("\n#{name} = {default}\n"),
            (None, Some(_)) => format!("\n#{name} = "),
            (None, None) => name,
        };
        assert!(text.contains(&line), "`{}` should stand there as: {line}", key.path);
    }
}

/// What a key is for, as plain words: up to a link, which a file of settings cannot have.
fn words(key: &schema::Key) -> String {
    let link = key.help.find("](").and_then(|end| key.help[..end].rfind('['));
    let help = key.help[..link.unwrap_or(key.help.len())].replace('`', "");
    help.trim().to_owned()
}

#[test]
fn the_complete_file_says_of_each_key_what_the_table_says() {
    let text = read("config/greenroom.toml");
    for key in schema::keys().filter(|key| key.default.is_some() || key.same_as.is_some()) {
        let named = key.path.contains(".*.");
        let name = key.path.splitn(if named { 3 } else { 2 }, '.').last().unwrap();
        let setting = format!("\n#{name} = ");
        let told: Vec<String> = text
            .split("\n\n")
            .filter(|part| part.contains(&setting))
            .map(|part| part.replace("\n# ", " ").trim_start_matches("# ").to_owned())
            .collect();
        assert!(told.iter().any(|told| told.starts_with(&words(key))), "{}: {}\n{told:#?}", key.path, words(key));
    }
}

#[test]
fn the_complete_file_is_right_as_it_is_and_with_every_default_set() {
    let text = read("config/greenroom.toml");
    let env = vec![("HOME".to_owned(), "/home/nobody".to_owned()), ("PATH".to_owned(), "/usr/bin:/bin".to_owned())];
    let sources = Sources { env, ..Sources::default() };
    let plain =
        load_text("greenroom.toml", &text, Path::new("/"), &sources).unwrap_or_else(|errors| panic!("{errors}"));
    assert_eq!(plain.warnings, []);

    let is_setting = |line: &str| line.starts_with('#') && !line.starts_with("# ") && line != "#";
    let set: Vec<_> = text.lines().map(|line| if is_setting(line) { &line[1..] } else { line }).collect();
    let all = load_text("greenroom.toml", &set.join("\n"), Path::new("/"), &sources);
    let all = all.unwrap_or_else(|errors| panic!("{errors}"));
    // What a job and a remote cannot do without is an example, as the command of a service is.
    let command = text.lines().find(|line| line.starts_with("#command = ") && line.contains("${output}"));
    let command = command.and_then(|line| line.strip_prefix('#')).expect("the command of the job");
    let job = format!("[job.image]\n{command}\nparams = {{ prompt = {{}} }}\n");
    let remote = "[remote.elsewhere]\nurls = [\"http://127.0.0.1:7860\"]\n";
    let with_both = load_text("greenroom.toml", &format!("{text}\n{job}{remote}"), Path::new("/"), &sources);
    let with_both = with_both.unwrap_or_else(|errors| panic!("{errors}"));
    assert_eq!(all.spec, with_both.spec, "a line is not the default that it says it is");
    let told: Vec<&str> = all.warnings.iter().map(|warning| warning.message.as_str()).collect();
    assert_eq!(told, Vec::<&str>::new());
    // One key of each section was really read.
    let rows = all.effective.rows();
    for key in ["runtime.name", "gateway.listen", "job.image.timeout", "remote.elsewhere.urls", "metrics.enabled"] {
        let row = rows.iter().find(|row| row.key == key).unwrap_or_else(|| panic!("{key}"));
        assert!(row.origin.starts_with("greenroom.toml:"), "{key}: {}", row.origin);
    }
}

#[test]
fn the_examples_are_right() {
    let text = read("docs/configuration.md");
    let variables = ["HOME", "POD_KEY"].map(|name| (name.to_owned(), "/home/nobody".to_owned()));
    let sources = Sources { env: variables.to_vec(), ..Sources::default() };
    let examples: Vec<&str> =
        text.split("```toml\n").skip(1).filter_map(|part| Some(part.split_once("```")?.0)).collect();
    assert!(examples.len() > 5, "{examples:#?}");
    for example in examples {
        let Err(errors) = load_text("example.toml", example, Path::new("/nowhere"), &sources) else { continue };
        // The models and folders of an example are those of its reader.
        let wrong: Vec<_> = errors.0.iter().filter(|problem| !problem.message.contains("cannot be read")).collect();
        assert!(wrong.is_empty(), "{example}\n{wrong:#?}");
    }
}
