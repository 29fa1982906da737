//! A configuration of llama-swap, imported by the command line, serves what it served.

use std::fs;

use serde_json::json;

use crate::common::{Greenroom, Http};

#[test]
fn an_imported_configuration_serves_the_names_it_had() {
    let greenroom = Greenroom::new();
    let server = greenroom.stand_in_line("small", "--port ${PORT} --load-ms 100");
    let yaml = format!(
        "startPort: {first}\nmodels:\n  \"org/small:latest\":\n    cmd: |\n      # loads at once\n      {server}\n    \
         aliases: [gpt-4o-mini]\n    ttl: 600\n    unlisted: true\n",
        first = greenroom.first_port(),
    );
    fs::write(greenroom.folder().join("config.yaml"), yaml).expect("the test's folder is writable");
    let imported = greenroom.bare(&["import", "llama-swap", "config.yaml", "-o", "greenroom.toml"]).expect(0);
    assert!(imported.stderr.starts_with("config.yaml:9: models.\"org/small:latest\".unlisted: "), "{imported:?}");
    assert!(imported.stdout.contains("wrote greenroom.toml: 1 service; 1 line to look at"), "{imported:?}");
    let plain = greenroom.bare(&["import", "llama-swap", "config.yaml"]).expect(0);
    let written = fs::read_to_string(greenroom.config_file()).expect("it was written");
    assert_eq!((plain.stdout.as_str(), &plain.stderr), (written.as_str(), &imported.stderr));
    greenroom.bare(&["import", "llama-swap", "config.yaml", "-o", "greenroom.toml"]).expect(1);
    let json = greenroom.bare(&["--json", "import", "llama-swap", "config.yaml"]).expect(0).json();
    assert_eq!((&json["services"], &json["told"][0]["line"]), (&json!(1), &json!(9)), "{json:#}");

    // A port and a state dir of the test's own; the rest is as it was written.
    let listen = format!("gateway.listen=127.0.0.1:{}", greenroom.port(0));
    greenroom.start_as(|command| {
        command.args(["run", "-c", "greenroom.toml", "--set", &listen]);
        command.arg("--set").arg(format!("runtime.ports={}", greenroom.port_range()));
        command.arg("--state-dir").arg(greenroom.state_dir());
    });
    for model in ["org/small:latest", "gpt-4o-mini", "org-small-latest"] {
        let body = json!({ "model": model, "max_tokens": 2 });
        let answer = Http::Tcp(greenroom.port(0)).post("/v1/chat/completions", Some(&body)).expect("it answers");
        assert_eq!(answer.status, 200, "{model}: {answer:?}");
    }
    greenroom.shutdown_clean();
    greenroom.assert_clean();
}
