//! What an engine brings along: whether it sleeps, and how it says that it is busy.

use greenroom::actors::spec::{BusySpec, PortSpec};

use super::given::{folder, helps, memory};
use crate::folder::service;

#[test]
fn only_an_engine_that_can_unload_its_model_sleeps() {
    let text = "[service.a]\ncommand = \"sleep ${port}\"\noffload.how = \"sleep\"\n";
    assert_eq!(
        folder(text).problems(),
        ["g.toml:3:15 service `a`: offload.how = \"sleep\": the engine `generic` cannot unload its model"]
    );
    assert!(helps(text)[0].contains("comfyui"), "{:?}", helps(text));
    // That it has no port either is of no use to who reads that.
    let portless = "[service.a]\ncommand = \"sleep 1\"\noffload.how = \"sleep\"\n";
    assert_eq!(folder(portless).problems(), folder(text).problems());
    // It is asked on its port.
    let blind = "[service.a]\ncommand = \"sleep 1\"\nengine = \"comfyui\"\nready = \"none\"\nalive = \"none\"\n";
    let said = folder(&format!("{blind}offload.how = \"sleep\"\n")).problems();
    assert!(said.len() == 1 && said[0].contains("`offload.how` asks its port"), "{said:?}");
}

#[test]
fn an_engine_says_what_is_busy_unless_the_user_does() {
    let comfyui = "engine = \"comfyui\"\n";
    let queue = BusySpec::Http {
        path: "/queue".to_owned(),
        nonempty: ["queue_running", "queue_pending"].map(str::to_owned).to_vec(),
    };
    assert_eq!(memory(comfyui).busy, queue);
    assert!(matches!(memory("engine = \"a1111\"\n").busy, BusySpec::Http { .. }));
    assert_eq!(memory("").busy, BusySpec::Requests);
    assert_eq!(memory(&format!("{comfyui}busy = \"requests\"\n")).busy, BusySpec::Requests);
    let everywhere =
        format!("[defaults.service]\nbusy = \"requests\"\n[service.a]\ncommand = \"sleep ${{port}}\"\n{comfyui}");
    assert_eq!(service(&folder(&everywhere).loaded().spec, "a").memory.busy, BusySpec::Requests);
    // Without a port there is nobody to ask: the engine's question is dropped, the user's own is refused.
    let blind = "[service.a]\ncommand = \"sleep 1\"\nengine = \"comfyui\"\nready = \"none\"\nalive = \"none\"\n";
    let a = service(&folder(blind).loaded().spec, "a").clone();
    assert_eq!((a.port, a.memory.busy), (None, BusySpec::Requests));
    let said = folder(&format!("{blind}busy = {{ http = \"/q\", nonempty = [\"x\"] }}\n")).problems();
    assert!(said.len() == 1 && said[0].contains("`busy` asks its port"), "{said:?}");
    let fixed = folder(&format!("{blind}port = 7777\n")).loaded();
    assert_eq!(service(&fixed.spec, "a").port, Some(PortSpec::Fixed(7777)));
    assert_eq!(service(&fixed.spec, "a").memory.busy, queue);
}
