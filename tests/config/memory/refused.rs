//! What cannot be meant is refused, with the place and a remedy.

use greenroom::actors::{
    memory::GpuId,
    spec::{GpuChoice, GpuName},
};

use super::given::{folder, helps, memory, problems, warnings};
use crate::folder::Folder;

#[test]
fn forms_that_are_none_are_refused() {
    let refused = problems(
        "vram = \"8 gigs\"\npriority = 1.5\nidle_timeout = \"soon\"\nwake_on = [\"prompt\"]\nbusy = { http = \"/q\" }\n\
         offload.how = \"kill\"\noffload.backoff = \"0s..1s\"\noffload.retries = -1\nneeds = { npu = \"one\" }\n",
    );
    let told = [
        ("3:8 `service.a.vram`", "8 gigs"),
        ("4:12 `service.a.priority`", "1.5"),
        ("5:16 `service.a.idle_timeout`", "soon"),
        ("6:12 `service.a.wake_on`", "`prompt` is not \"*\", a path such as \"/v1/*\", or method and path"),
        ("7:8 `service.a.busy`", "`nonempty` is missing"),
        ("8:15 `service.a.offload.how`", "`kill` is not one of \"stop\", \"sleep\""),
        ("9:19 `service.a.offload.backoff`", "`0s..1s` is not a range of durations of at least 1ms"),
        ("10:19 `service.a.offload.retries`", "-1 is out of range"),
        ("11:17 `service.a.needs.npu`", "found \"one\""),
    ];
    assert_eq!(refused.len(), told.len(), "{refused:#?}");
    for ((place, what), said) in told.iter().zip(&refused) {
        assert!(said.starts_with(&format!("g.toml:{place}")) && said.contains(what), "{place}: {said}");
    }
    for form in ["GET prompt", "FETCH /prompt", "/a*b", "/a?b=c", "", "POST  /x"] {
        assert_eq!(problems(&format!("wake_on = [\"{form}\"]\n")).len(), 1, "{form}");
    }
    for form in ["POST *", "HEAD /x", "/", "/*"] {
        assert_eq!(memory(&format!("wake_on = [\"{form}\"]\n")).wake_on.len(), 1, "{form}");
    }
    assert_eq!(memory("wake_on = []\n").wake_on, [], "no request loads it");
    let shares = Folder::new().set("resources.vram_limit=1.5").set("resources.ram_limit=-1").problems();
    assert_eq!(shares.len(), 2, "{shares:?}");
    assert!(shares[0].contains("expected a share from 0.0 to 1.0, or a size"), "{shares:?}");
}

#[test]
fn cards_are_named_by_index_or_uuid_each_once() {
    let gpu = |value: &str| memory(&format!("gpu = {value}\n")).gpu;
    assert_eq!((gpu("\"any\""), gpu("\"none\"")), (GpuChoice::Any, GpuChoice::None));
    assert_eq!(gpu("0"), GpuChoice::These(vec![GpuName::Index(0)]));
    for id in ["GPU-5e0fd5c1-6c41", "MIG-5e0f", "declared-0", "0000:03:00.0"] {
        assert_eq!(gpu(&format!("\"{id}\"")), GpuChoice::These(vec![GpuName::Id(GpuId(id.to_owned()))]));
    }
    for (value, said) in [
        ("[]", "3:7 service `a`: `gpu` is an empty list"),
        ("[0, 1, 0]", "3:14 service `a`: `gpu` names one card twice, 0"),
        ("[\"GPU-1\", \"GPU-1\"]", "3:17 service `a`: `gpu` names one card twice, \"GPU-1\""),
        ("[\"any\", 0]", "3:8 service `a`: `gpu`: \"any\" stands in a list"),
        ("\"0\"", "3:7 service `a`: `gpu`: \"0\" is no UUID"),
        ("\"nonne\"", "3:7 service `a`: `gpu`: \"nonne\" is no UUID"),
        ("\"cuda:0 \"", "3:7 service `a`: `gpu`: \"cuda:0 \" is no UUID"),
    ] {
        assert_eq!(problems(&format!("gpu = {value}\n")), [format!("g.toml:{said}")]);
    }
    let help = |value: &str| helps(&format!("[service.a]\ncommand = \"sleep 1\"\ngpu = {value}\n")).join("");
    assert_eq!(help("\"nonne\""), "did you mean \"none\"?");
    assert_eq!(help("\"0\""), "an index has no quotes: 0");
    assert!(help("\"rtx\"").contains("greenroom gpus"));
}

#[test]
fn figures_that_contradict_each_other_are_refused() {
    assert_eq!(
        problems("vram = { idle = \"2GiB\", peak = \"1GiB\" }\n"),
        ["g.toml:3:17 service `a`: `vram.idle`, 2GiB, is more than its peak, 1GiB"]
    );
    assert_eq!(
        problems("gpu = \"none\"\nvram = \"1GiB\"\n"),
        ["g.toml:4:8 service `a` is given `vram`, and with gpu = \"none\" it has no card"]
    );
    assert_eq!(memory("gpu = \"none\"\nvram = \"0B\"\n").gpu, GpuChoice::None);
    let never = problems("busy = { http = \"/q\", nonempty = [] }\n");
    assert_eq!(never, ["g.toml:3:8 service `a`: `busy.nonempty` names no member, so it would never be busy"]);
    let pinned = warnings("[service.a]\ncommand = \"sleep 1\"\npinned = true\nidle_timeout = \"1m\"\n");
    assert_eq!(
        pinned,
        ["g.toml:3:10 service `a` is `pinned`, and all the same offloaded when its `idle_timeout` is over"]
    );
}

#[test]
fn needs_are_of_pools_that_there_are() {
    let text = "[resources]\ncustom.npu = 1\n[service.a]\ncommand = \"sleep 1\"\n";
    assert_eq!(
        folder(&format!("{text}needs = {{ npuu = 1, npu = 2, tape = 1 }}\n")).problems(),
        [
            "g.toml:5:18 service `a` needs `npuu`, which is no pool of `resources.custom`",
            "g.toml:5:27 service `a` needs 2 of `npu`, of which there is 1",
            "g.toml:5:37 service `a` needs `tape`, which is no pool of `resources.custom`",
        ]
    );
    let helps = helps(&format!("{text}needs = {{ npuu = 1, npu = 2, tape = 1 }}\n"));
    assert_eq!((helps[0].as_str(), helps[2].as_str()), ("did you mean `npu`?", "pools are: npu"));
    // A pool with a wrong size is told once, where it stands.
    let faulty = folder("[resources]\ncustom.npu = -1\n[service.a]\ncommand = \"sleep 1\"\nneeds.npu = 1\n").problems();
    assert_eq!(faulty.len(), 1, "{faulty:?}");
}
