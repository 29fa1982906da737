//! Which engine a command or a name means, and what an application can get wrong.

use std::time::Duration;

use super::*;
use crate::{
    engines::{FailureLine, FailureRules},
    failure::FailureClass,
};

fn recognise(command: &str) -> String {
    let words: Vec<&str> = command.split(' ').collect();
    Engines::default().recognise(words[0], &words[1..]).name().to_owned()
}

#[test]
fn programs_are_known_by_their_names() {
    for (command, engine) in [
        ("/opt/bin/llama-server -m x", "llama-server"),
        ("sd-server", "sd-server"),
        ("/opt/sd.cpp/bin/sd -m x", "sd-cpp"),
        ("sd-cli -m x", "sd-cpp"),
        ("sdd -m x", "generic"),
        ("/usr/bin/python3 -u /srv/ComfyUI/main.py --port 1", "comfyui"),
        ("comfy launch", "comfyui"),
        ("python main.py", "generic"),
        ("/srv/webui.sh --api", "a1111"),
        ("python3.11 launch.py --api", "a1111"),
        ("python -m vllm.entrypoints.openai.api_server", "vllm"),
        ("vllm serve m", "vllm"),
        ("sleep 60", "generic"),
        ("cat llama-server", "generic"),
    ] {
        assert_eq!(recognise(command), engine, "{command}");
    }
}

#[test]
fn names_lead_to_engines_and_back() {
    let engines = Engines::default();
    for engine in engines.all() {
        assert_eq!(engines.named(engine.name()).as_ref(), Some(engine));
        assert!(is_name(engine.name()), "{engine:?}");
    }
    assert_eq!(engines.named("auto"), None);
    assert_eq!(engines.all().count(), 7);
}

#[test]
fn large_files_get_more_time() {
    let timeout = |name: &str, size| Engines::default().named(name).expect("an engine").ready_timeout(size);
    assert_eq!(timeout("llama-server", 5_000_000_000), Duration::from_secs(120));
    assert_eq!(timeout("llama-server", 40_000_000_000), Duration::from_secs(400));
    assert_eq!(timeout("vllm", 0), Duration::from_secs(900));
    assert_eq!(timeout("vllm", 200_000_000_000), Duration::from_secs(2000));
}

struct Own(&'static str);

impl Engine for Own {
    fn name(&self) -> &str {
        self.0
    }

    fn recognises(&self, program: &str, _: &[&str]) -> bool {
        program.ends_with("llama-server")
    }

    fn ready_probe(&self) -> Probe {
        Probe::Log("up and running".to_owned())
    }

    fn failures(&self) -> &[FailureLine] {
        &[("the well is dry", FailureClass::OomHost)]
    }
}

#[test]
fn an_applications_engine_comes_before_those_that_are_built_in() {
    let engines = Engines::default().with(Own("own"));
    assert_eq!(engines.recognise("llama-server", &[]).name(), "own");
    let own = engines.named("own").expect("the engine");
    assert_eq!((own.alive_probe(), own.is_generic()), (Probe::None, false));
    assert_eq!(engines.problems(), []);
    let rules = FailureRules::new(&own, &[]).expect("patterns");
    assert_eq!(rules.class_of(b"the well is dry"), Some((0, FailureClass::OomHost)));
    assert_eq!(rules.class_of(b"std::bad_alloc").map(|(_, class)| class), Some(FailureClass::OomHost));
}

struct Broken;

impl Engine for Broken {
    fn name(&self) -> &str {
        "broken"
    }

    fn ready_probe(&self) -> Probe {
        Probe::Http("health".to_owned())
    }

    fn failures(&self) -> &[FailureLine] {
        &[("(", FailureClass::Nan)]
    }

    fn progress_lines(&self) -> &[&'static str] {
        &["["]
    }
}

#[test]
fn all_that_is_wrong_with_an_engine_is_said() {
    let engines = Engines::default().with(Own("Big One")).with(Own("auto")).with(Own("vllm")).with(Broken);
    let said: Vec<String> = engines.problems().iter().map(ToString::to_string).collect();
    assert_eq!(
        said,
        [
            "an engine cannot be called `Big One`: lower-case letters, digits and hyphens, and not `auto`",
            "an engine cannot be called `auto`: lower-case letters, digits and hyphens, and not `auto`",
            "there are two engines called `vllm`",
            "engine `broken`: a pattern of its failure lines does not compile",
            "engine `broken`: a pattern of its progress lines does not compile",
            "engine `broken`: the path of a probe begins with `/`, and `health` does not",
        ]
    );
    let broken = engines.named("broken").expect("the engine");
    assert!(FailureRules::new(&broken, &[]).is_err());
}
