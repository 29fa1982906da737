//! A load that runs out of GPU memory, though it was expected to fit.

use crate::{
    common::{
        Greenroom,
        gguf::{self, Shape},
    },
    driver::wait_alerts,
    house::{CARD, chat, chat_well, door, refused},
};

const LAYERS: u32 = 8;

/// A program that has no room for all of its layers, and says so as CUDA does; `keys` are further ones of its service.
fn running(keys: &str) -> Greenroom {
    let greenroom = Greenroom::new();
    gguf::write(&greenroom.folder().join("model.gguf"), Shape { layers: LAYERS, ..Shape::default() }).expect("a model");
    let program = greenroom.stand_in_line("llm", "--port $1");
    let too_many = "echo 'ggml_backend_cuda_buffer_type_alloc_buffer: cudaMalloc failed: out of memory' >&2; exit 1";
    let script = format!("[ \"$2\" -lt {LAYERS} ] || {{ {too_many}; }}; exec {program}");
    let command = greenroom.words(&["/bin/sh", "-c", &script, "sh", "${port}", "${gpu_layers}"]);
    let service = format!("[service.llm]\ncommand = {command}\nmodel_file = \"model.gguf\"\nready = \"/health\"\n");
    greenroom.configure(&format!("{}{CARD}{service}start = \"on_demand\"\n{keys}\n", door(&greenroom)));
    greenroom.start();
    greenroom
}

#[test]
fn the_next_start_takes_fewer_layers_and_the_request_that_waits_is_answered() {
    let greenroom = running("gpu_layers = \"auto\"");
    chat_well(&greenroom, "llm");
    let service = greenroom.service("llm");
    assert_eq!(service["lease"]["gpu_layers"], LAYERS - 1, "{service:#}");
    assert_eq!((&service["last_exit"]["class"], &service["restarts"]["total"]), (&"oom_gpu".into(), &1.into()));
    wait_alerts(&greenroom, "oom_on_load", 1, 1);
    // What did not fit once is not tried again.
    assert_eq!(greenroom.cli(&["offload", "llm"]).code, 0);
    chat_well(&greenroom, "llm");
    let service = greenroom.service("llm");
    assert_eq!((&service["lease"]["gpu_layers"], &service["restarts"]["total"]), (&(LAYERS - 1).into(), &1.into()));
    greenroom.shutdown_clean();
    greenroom.assert_clean();
}

#[test]
fn a_number_that_is_configured_is_not_overruled_and_the_one_to_try_is_told() {
    let greenroom = running(&format!("gpu_layers = {LAYERS}\nrestart.max = 1\nrestart.backoff = \"10ms..10ms\""));
    let message = refused(&chat(&greenroom, "llm"), 502, "start_failed");
    assert!(message.contains("cudaMalloc failed: out of memory"), "{message}");
    greenroom.wait_state("llm", "failed");
    wait_alerts(&greenroom, "oom_on_load", 1, 0);
    let why = greenroom.cli(&["why", "llm"]).expect(0).stdout;
    assert!(why.contains(&format!("gpu_layers = {} would be the next to try", LAYERS - 1)), "{why}");
    let now = why.split("what happened last").next().unwrap_or_default();
    assert_eq!(now.matches("give it less to hold").count(), 1, "said once: {why}");
    greenroom.shutdown_clean();
    greenroom.assert_clean();
}
