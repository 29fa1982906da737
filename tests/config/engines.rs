//! An application's own engines in a configuration.

use greenroom::{
    actors::{
        engines::{Engine, Engines},
        spec::{Probe, StartMode},
    },
    config::Loaded,
};

use crate::folder::Folder;

struct Heron;

impl Engine for Heron {
    fn name(&self) -> &str {
        "heron"
    }

    fn recognises(&self, program: &str, arguments: &[&str]) -> bool {
        program.ends_with("true") && arguments == ["--port", ""]
    }

    fn ready_probe(&self) -> Probe {
        Probe::Http("/stands".to_owned())
    }
}

fn loaded(engines: Engines, text: &str) -> Result<Loaded, String> {
    let mut folder = Folder::toml(text);
    folder.sources.engines = engines;
    folder.load().map_err(|errors| errors.to_string())
}

#[test]
fn its_name_and_its_command_lead_to_an_engine_and_what_it_knows() {
    let text = "[service.a]\ncommand = ['true', '--port', '${port}']\n\
                [service.b]\ncommand = ['sleep', '${port}']\nengine = 'heron'\n\
                [service.c]\ncommand = ['true', '--port', '${port}']\nengine = 'generic'\n";
    let services = loaded(Engines::default().with(Heron), text).expect("a configuration").spec.services;
    for service in &services[..2] {
        assert_eq!(service.engine.name(), "heron");
        assert_eq!(service.start, StartMode::OnDemand);
        assert_eq!(service.ready.probe, Probe::Http("/stands".to_owned()));
        assert_eq!(service.alive.probe, Probe::Http("/stands".to_owned()));
    }
    assert!(services[2].engine.is_generic());
}

#[test]
fn a_slip_in_its_name_is_answered_with_the_name() {
    let text = "[service.a]\ncommand = 'true'\nengine = 'hreon'\n";
    let said = loaded(Engines::default().with(Heron), text).expect_err("no such engine");
    assert!(said.contains("`hreon` is not one of \"auto\", \"heron\", \"llama-server\""), "{said}");
    assert!(said.contains("did you mean \"heron\"?"), "{said}");
    let said = loaded(Engines::default(), "[service.a]\ncommand = 'true'\nengine = 'heron'\n").expect_err("not known");
    assert!(said.contains("`heron` is not one of"), "{said}");
}

#[test]
fn an_engine_that_is_wrong_is_a_problem_of_the_configuration() {
    let engines = Engines::default().with(Heron).with(Heron);
    let said = loaded(engines, "[service.a]\nprot = 1\ncommand = 'true'\n").expect_err("two of one name");
    assert!(said.contains("there are two engines called `heron`") && said.contains("unknown key"), "{said}");
}
