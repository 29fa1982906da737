//! Config files that are malformed, huge, binary or contradictory.

use crate::common::{Cli, Greenroom};

/// `check` and `run` must say the same.
#[track_caller]
fn refused(text: impl AsRef<[u8]>) -> Cli {
    let greenroom = Greenroom::new();
    greenroom.write_config(text);
    let file = greenroom.config_file().display().to_string();
    let run = greenroom.bare(&["run", "-c", &file]).expect(2);
    let check = greenroom.bare(&["check", "-c", &file]).expect(2);
    assert!(check.text().contains("greenroom.toml"), "names the file: {check:?}");
    assert!(run.text().contains("greenroom.toml"), "names the file: {run:?}");
    check
}

#[track_caller]
fn says(cli: &Cli, words: &[&str]) {
    for word in words {
        assert!(cli.text().contains(word), "`{word}` is missing in:\n{}", cli.text());
    }
}

#[test]
fn a_misspelt_key_is_named_with_its_line_and_the_likely_one() {
    let cli = refused("[service.chat]\ncommand = \"sleep 1\"\nprot = 80\n");
    says(&cli, &["greenroom.toml:3:1", "prot", "did you mean", "port"]);
}

#[test]
fn all_problems_are_told_at_once() {
    let cli =
        refused("[service.a]\ncommand = \"sleep 1\"\nprot = 80\n[service.b]\ncommand = 5\nstop.grace = \"soon\"\n");
    says(&cli, &["greenroom.toml:3", "greenroom.toml:5", "greenroom.toml:6", "soon"]);
}

#[test]
fn broken_syntax_is_named_with_its_line() {
    says(&refused("[service.chat]\ncommand = [\"sleep\"\n\nstart = eager\n"), &["greenroom.toml:"]);
    says(&refused("[service.chat\n"), &["greenroom.toml:1:"]);
}

#[test]
fn a_service_without_a_command_is_named() {
    says(&refused("[service.chat]\nport = 8080\n"), &["chat", "command"]);
}

#[test]
fn contradictions_between_services_are_named() {
    let two = |more: &str| format!("[service.a]\ncommand = \"sleep 1\"\n{more}[service.b]\ncommand = \"sleep 1\"\n");
    says(&refused(format!("{}port = 9000\n", two("port = 9000\n"))), &["9000", "a", "b"]);
    says(&refused(two("depends_on = { c = \"ready\" }\n")), &["c"]);
    let circle = format!("{}depends_on = {{ a = \"ready\" }}\n", two("depends_on = { b = \"ready\" }\n"));
    says(&refused(circle), &["a", "b"]);
    says(&refused(format!("{}serves = [\"m\"]\n", two("serves = [\"m\"]\n"))), &["m"]);
}

#[test]
fn impossible_values_are_named() {
    for (value, word) in [
        ("stop.grace = \"-1s\"", "-1s"),
        ("port = 70000", "70000"),
        ("restart.backoff = \"60s..1s\"", "60s..1s"),
        ("restart.policy = \"sometimes\"", "sometimes"),
        ("ready.probe = { log = \"(\" }", "("),
        ("env = { A = \"${env.GREENROOM_NO_SUCH_VARIABLE}\" }", "GREENROOM_NO_SUCH_VARIABLE"),
        ("engine = \"warp\"", "warp"),
    ] {
        let cli = refused(format!("[service.chat]\ncommand = \"sleep 1\"\n{value}\n"));
        says(&cli, &["greenroom.toml:3", word]);
    }
}

#[test]
fn binary_empty_and_huge_files_are_refused_in_plain_words() {
    let binary: Vec<u8> = (0..=255).cycle().take(100_000).collect();
    refused(binary);
    refused([0xFF, 0xFE, 0x00]);
    let mut huge = String::from("[service.chat]\ncommand = \"sleep 1\"\n");
    huge.push_str(&"#".repeat(64 << 20));
    huge.push_str("\nprot = 80\n");
    let cli = refused(huge);
    assert!(cli.text().len() < 100_000, "an error about a huge file is not huge: {} bytes", cli.text().len());
    let deep = format!("x = {}{}\n", "[".repeat(100_000), "]".repeat(100_000));
    refused(deep);
}

#[test]
fn a_file_that_is_missing_or_a_folder_is_named() {
    let greenroom = Greenroom::new();
    let missing = greenroom.folder().join("nothing.toml").display().to_string();
    says(&greenroom.bare(&["run", "-c", &missing]).expect(2), &["nothing.toml"]);
    let folder = greenroom.folder().display().to_string();
    says(&greenroom.bare(&["check", "-c", &folder]).expect(2), &[&folder]);
}

#[test]
fn no_config_at_all_names_init_and_demo() {
    let greenroom = Greenroom::new();
    // The test's folder has no greenroom.toml; a home folder without one is given as well.
    let home = greenroom.folder().display().to_string();
    let output = std::process::Command::new(crate::common::BIN)
        .arg("run")
        .current_dir(greenroom.folder())
        .env("XDG_CONFIG_HOME", &home)
        .env("HOME", &home)
        .output()
        .expect("the binary under test runs");
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(2), "{text}");
    assert!(text.contains("greenroom init") && text.contains("greenroom demo"), "{text}");
}

#[test]
fn check_accepts_what_run_accepts() {
    let greenroom = Greenroom::new();
    greenroom.configure("[service.chat]\ncommand = \"sleep 600\"\n");
    let file = greenroom.config_file().display().to_string();
    greenroom.bare(&["check", "-c", &file]).expect(0);
    greenroom.bare(&["run", "--no-such-option"]).expect(2);
    let shown = greenroom.bare(&["config", "show", "--effective", "-c", &file]).expect(0);
    assert!(shown.stdout.contains("sleep") && shown.stdout.contains("greenroom.toml"), "{shown:?}");
}

#[test]
fn a_file_of_llama_swap_that_is_none_is_refused_with_its_place() {
    let greenroom = Greenroom::new();
    let file = greenroom.folder().join("config.yaml");
    let named = file.display().to_string();
    for (text, place) in [("models:\n  a: [\n", ":3:1: "), ("models: 1\n", ":1:1: "), ("", ":1:1: ")] {
        std::fs::write(&file, text).expect("the test's folder is writable");
        let cli = greenroom.bare(&["import", "llama-swap", &named]).expect(2);
        says(&cli, &[&format!("{named}{place}")]);
        assert_eq!(cli.stdout, "", "nothing is taken over from it");
    }
    std::fs::write(&file, b"models: \xff\xfe\n").expect("the test's folder is writable");
    says(&greenroom.bare(&["import", "llama-swap", &named]).expect(2), &[&named, "line 1"]);
    says(&greenroom.bare(&["import", "llama-swap", "/nowhere.yaml"]).expect(2), &["/nowhere.yaml"]);
    says(&greenroom.bare(&["import", "comfyui", &named]).expect(2), &["comfyui"]);
}
