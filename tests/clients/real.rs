//! The same clients, with a real llama-server behind the gateway.

use std::path::Path;

use serde_json::{Value, json};

use crate::{
    KEY,
    common::{Greenroom, gguf, llama},
    gateway, packages, url,
};

/// A chat and an embedding model, each loaded when it is asked for.
fn running(server: &Path) -> Greenroom {
    Greenroom::running(|g| {
        gguf::write(&g.folder().join("model.gguf"), gguf::Shape::default()).expect("the test's folder is writable");
        let service = |name: &str, more: &str| {
            format!(
                "[service.{name}]\ncommand = [\"{}\", \"--port\", \"${{port}}\", \"-m\", \"${{model_file}}\", \"-c\", \"1024\", \"-np\", \"1\",\n\
                 \"-ngl\", \"0\", \"--device\", \"none\", \"--cache-ram\", \"0\", \"-fit\", \"off\"{more}]\n\
                 model_file = \"model.gguf\"\ngpu = \"none\"\n",
                server.display()
            )
        };
        gateway(g) + &service("chat", "") + &service("embed", ", \"--embeddings\", \"--pooling\", \"mean\"")
    })
}

fn given(greenroom: &Greenroom) -> Value {
    json!({ "url": url(greenroom), "key": KEY, "chat": "chat", "embed": "embed" })
}

/// Six tokens were told, in whole and in pieces.
#[track_caller]
fn saw_a_chat(said: &Value) {
    assert_eq!((&said["chat"]["tokens"], &said["chat"]["finish"]), (&json!(6), &json!("length")), "{said:#}");
    assert_eq!(said["stream"]["finish"], "length", "{said:#}");
    assert!(said["stream"]["pieces"].as_u64().is_some_and(|pieces| pieces > 1), "{said:#}");
    assert_eq!(said["models"], json!(["chat", "embed"]), "{said:#}");
    assert_eq!(said["unknown"]["status"], 404, "{said:#}");
}

#[test]
fn clients_of_openai_and_anthropic_speak_to_a_real_llama_server() {
    let Some(server) = llama::server() else { return };
    let greenroom = running(server);
    let given = given(&greenroom);
    let Some(said) = packages::python("openai_client.py", &given) else { return };
    saw_a_chat(&said);
    assert_eq!(said["embeddings"], json!([256, 256]), "the width of the model: {said:#}");
    if let Some(said) = packages::node("openai_client.mjs", &given) {
        saw_a_chat(&said);
    }
    if let Some(said) = packages::python("anthropic_client.py", &given) {
        assert_eq!(
            (&said["message"]["tokens"], &said["message"]["stop"]),
            (&json!(6), &json!("max_tokens")),
            "{said:#}"
        );
        assert_eq!((&said["stream"]["role"], &said["stream"]["stop"]), (&json!("assistant"), &json!("max_tokens")));
        assert!(said["count"].as_u64().is_some_and(|count| count > 0), "{said:#}");
    }
    greenroom.shutdown_clean();
    greenroom.assert_clean();
}
